"""The C files without Python, on any machine: make the input of driver.c, run it, judge its output.

    python tests/portable/compare.py PROGRAM...

PROGRAM is the command that runs the driver, with an emulator in front if need be. Every case is a structure
with a potential of all interactions, core repulsion included, and with the columns of all interactions and
radial families. Judged are

- single terms and design rows: against the oracle, which has no code of the package;
- energies, forces and strain derivatives of the potential: against those that this machine's package gives.
"""

import struct
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import oracle
from sample_potentials import inside_and_outside, interactions
from sample_structures import sample

from plip import radial
from plip._core import ANY
from plip._design._plan import build_plan
from plip._structures._neighbors import find_neighbors
from plip.interactions import TwoBody
from plip.interactions._terms import build_terms

CASES = ("bulk", "triclinic", "molecule", "three species")
LANES = (1, 2, 4, 8)
KINDS = ("two-body", "three-body", "N-body", "four-body")
# The struct plip_term.
TERM = np.dtype(
    [
        ("kind", "i4"),
        ("species", "i4", 4),
        ("family", "i4", 3),
        ("p", "f8", 3),
        ("q", "f8", 3),
        ("power", "i4", 3),
        ("cutoff", "f8"),
        ("switch", "f8"),
        ("coefficient", "f8"),
    ],
    align=True,
)
FAMILIES = (
    radial.Gaussian(eta=0.7, centers=2.3),
    radial.Slater(powers=2.0, zeta=1.1),
    radial.GaussianType(powers=2.0, zeta=0.3),
    radial.StillingerWeber(gamma=-0.5, onset=1.2),
    radial.Power(powers=-3.0),
    radial.Lorentzian(centers=2.0, exponents=4),
    radial.LogNormal(onsets=0.3, scales=1.4),
    radial.LennardJones(sigma=1.6),
)
TABLES = (
    "cutoffs",
    "sets",
    "switches",
    "families",
    "p",
    "q",
    "centers",
    "groups_of",
    "moments",
    "powers",
    "products",
)


def records(species, terms):
    table = np.zeros(len(terms), TERM)
    for record, (term, coefficient) in zip(table, terms, strict=True):
        record["kind"] = KINDS.index(term.interaction)
        record["species"][: len(term.species)] = [-2 if s == ANY else species.index(s) for s in term.species]
        for m, function in enumerate(term.radial):
            record["family"][m] = function.code
            record["p"][m], record["q"][m] = function.kernel_parameters()
        powers = np.atleast_1d(0 if term.power in (None, 0.5) else term.power)
        record["power"][: len(powers)] = powers
        record["cutoff"], record["switch"], record["coefficient"] = (
            term.cutoff,
            term.switch or 0.0,
            coefficient,
        )
    return table


class Case:
    """A structure, what the driver reads of it, and what it should answer."""

    def __init__(self, name):
        self.name = name
        self.atoms, self.cutoff = sample(name)
        self.potential = inside_and_outside(self.atoms, self.cutoff)
        self.species = list(self.potential.species)
        self.terms = [term for term, _ in self.potential.terms]
        self.index = np.array([self.species.index(s) for s in self.atoms.symbols], np.int32)
        some = interactions(self.cutoff, mixed=True) | {"two_body": TwoBody(list(FAMILIES))}
        self.columns = build_terms(self.species, self.cutoff, **some)

    def blocks(self):
        return [*self._structure(), *self._potential(), *self._rows()]

    def _structure(self):
        atoms = self.atoms
        return [atoms.positions, np.array(atoms.cell), atoms.pbc.astype(np.int32), self.index]

    def _potential(self):
        potential, n = self.potential, len(self.species)
        fade, force = np.zeros((2, n, n)), np.zeros((n, n))
        for (a, b), ends in potential.repulsion.items():
            s, t = self.species.index(a), self.species.index(b)
            fade[:, s, t] = fade[:, t, s] = ends
            force[s, t] = force[t, s] = potential.core_forces.get((a, b), 0.0)
        limits = np.array([potential.density_limits[s] for s in self.species])
        return [
            np.array([potential.intercept[s] for s in self.species]),
            records(self.species, potential.terms),
            b"".join(s.encode().ljust(4, b"\0") for s in self.species),
            *fade,
            force,
            limits[:, 0].copy(),
            limits[:, 1].copy(),
            np.array([potential.energy_floors[s] for s in self.species]),
        ]

    def _rows(self):
        near = find_neighbors(self.atoms, self.index, len(self.species), self.cutoff)
        blocks = [near.species_a, near.first_as, near.neighbor_p, near.vector_pc, near.distance_p]
        blocks.append(np.array(LANES, np.int32))
        for lanes in LANES:
            plan = build_plan(self.columns, self.species, lanes)
            sizes = [plan.n_terms, plan.n_species, plan.n_labels, plan.state_size, plan.n_halves]
            blocks.append(np.array([*sizes, *plan.max_degree], np.int32))
            blocks += [getattr(plan, table) for table in (*TABLES, "groups", "contributions")]
        return blocks

    def expected(self):
        """What the driver writes for one instruction set: name, values, and the error that each may have."""
        result = self.potential.evaluate(self.atoms)
        forces, strain = result["forces"], self._strain_derivative()
        # Both sides have the same tables, but for the last digits of exp and cos.
        yield "energies", result["energies"], 1e-12 * np.abs(result["energies"]).max()
        yield "forces", forces, 1e-12 * np.abs(forces).max()
        yield "strain", strain, 1e-12 * np.abs(strain).max()
        exact = oracle.oracle_energies(self.atoms, self.terms)
        # A potential has tables, which promise about nine digits.
        yield "terms", exact, 1e-9 * oracle.oracle_magnitudes(self.atoms, self.terms)
        values, forces, strain = oracle.oracle_derivatives(self.atoms, self.columns)
        magnitudes = oracle.oracle_magnitudes(self.atoms, self.columns)
        yield "values", values, 1e-12 * magnitudes
        for name, rows in (("force rows", forces.reshape(-1, len(values))), ("virial rows", strain)):
            yield name, rows, 1e-12 * (np.abs(rows).max(axis=0) + magnitudes)

    def _strain_derivative(self):
        """From the stress where there is one, or from the forces of a molecule, which is in no cell."""
        if self.atoms.cell.rank == 3:
            return self.potential.stress(self.atoms) * self.atoms.get_volume()
        forces = self.potential.evaluate(self.atoms)["forces"]
        virial = -np.einsum("ax,ay->xy", self.atoms.positions, forces)
        return virial[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]

    def judge(self, take):
        """The worst error over what is allowed, by name."""
        worst = {}
        for name, expected, allowed in self.expected():
            found = take()
            if name == "terms":
                found = found.reshape(len(self.atoms), -1).sum(axis=0)
            error = np.abs(found.reshape(expected.shape) - expected) / np.maximum(allowed, 1e-300)
            worst[name] = float(error.max()) if np.isfinite(found).all() else np.inf
        return worst


def write(path, blocks):
    with open(path, "wb") as file:
        for block in blocks:
            content = block if isinstance(block, bytes) else np.ascontiguousarray(block).tobytes()
            file.write(struct.pack("<q", len(content)) + content)


def reader(path):
    content = memoryview(path.read_bytes())
    place = 0

    def take():
        nonlocal place
        (size,) = struct.unpack_from("<q", content, place)
        block = np.frombuffer(content[place + 8 : place + 8 + size])
        place += 8 + size
        return block

    return take


def main(command):
    cases = [Case(name) for name in CASES]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "input", Path(folder) / "output"
        write(source, [bytes(len(cases)), *(block for case in cases for block in case.blocks())])
        run = subprocess.run(
            [*command, str(source), str(target)], check=True, stdout=subprocess.PIPE, text=True
        )
        sets = run.stdout.split("\n")[:-1]
        take = reader(target)
        passed = failed = 0
        for case in cases:
            for name in sets:
                worst = case.judge(take)
                bad = {what: error for what, error in worst.items() if not error <= 1.0}
                passed, failed = passed + (not bad), failed + bool(bad)
                errors = ", ".join(f"{what} {error:.2g}" for what, error in (bad or worst).items())
                print(f"{'FAILED' if bad else 'ok'}: {case.name}, {name} lanes: {errors} times the tolerance")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
