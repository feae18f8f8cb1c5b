"""Files of version 0.1.0, which every later version must read, and the numbers that version found.

A file of the first format is never made anew: where one of these tests fails, the reader is at fault.
"""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from plip import NormalEquations, load_potential

FOLDER = Path(__file__).parent / "data" / "0.1.0"


def crystal():
    cell = [[4.4, 0.0, 0.1], [0.2, 4.3, 0.0], [-0.3, 0.1, 4.5]]
    fractions = [
        [0.01, 0.02, 0.0],
        [0.26, 0.24, 0.25],
        [0.5, 0.51, 0.02],
        [0.77, 0.74, 0.24],
        [0.49, 0.0, 0.52],
        [0.75, 0.26, 0.74],
    ]
    return Atoms("SiCSiCSiC", scaled_positions=fractions, cell=cell, pbc=True)


def molecule():
    return Atoms("SiCC", positions=[[0.0, 0.0, 0.1], [1.8, 0.1, 0.0], [2.2, 1.3, 0.3]])


def test_potential_gives_the_same_energies():
    """All interactions with all radial families, cutoffs of their own, a switch."""
    potential = load_potential(FOLDER / "potential.json")
    assert potential.species == ("C", "Si")
    assert potential.intercept == {"C": -3.21, "Si": -6.42}
    assert len(potential.terms) == 96
    assert potential.cutoff == 3.4
    assert potential.terms[0][0].name == "two-body C-C Gaussian(eta=0.7, centers=2.3)"
    assert potential.coef[0] == 0.29064517352510655
    # The error of the radial tables is about 1e-9 eV/Angstrom for each pair.
    close = {"rtol": 1e-9, "atol": 1e-8}
    results = potential.evaluate(crystal())
    np.testing.assert_allclose(results["energy"], -32.05326511293037, **close)
    np.testing.assert_allclose(
        results["forces"][1], [-1.0202276497484182, 0.9274746594247272, 3.64279479249072], **close
    )
    np.testing.assert_allclose(
        results["stress"],
        [
            -0.4412540863587312,
            -0.3929641850664372,
            -0.42770470923106746,
            -0.11455603796045684,
            -0.7652471444938691,
            -0.4216541799924659,
        ],
        **close,
    )
    results = potential.evaluate(molecule())
    np.testing.assert_allclose(results["energy"], -48.15223754356731, **close)
    np.testing.assert_allclose(
        results["forces"][1], [57.973139829615526, 54.23457362825503, 10.735887608464903], **close
    )


def test_potential_is_written_without_loss(tmp_path):
    potential = load_potential(FOLDER / "potential.json")
    potential.save(tmp_path / "again.json")
    again = load_potential(tmp_path / "again.json")
    assert again.terms == potential.terms
    assert again.energy(molecule()) == potential.energy(molecule())


# Name of the file; numbers of terms and rows, sums of weights, trace of the Gram matrix, sum of the moments,
# sum of squares of the target, reference energies of C and Si, mean square errors of forces and virials.
EQUATIONS = {
    "normal_equations": (
        40,
        {"energy": 2, "force": 27, "virial": 6},
        {"energy": 1.5, "force": 22.5, "virial": 6.0},
        (75846.74971585559, 174.3328318258358, 15.679848307045308),
        (-6.237762638385699, -6.706487662972638),
        (1.183139963943941, 0.06169793788846431),
    ),
    "normal_equations_auto": (
        54,
        {"energy": 2, "force": 27, "virial": 6},
        {"energy": 2.0, "force": 27.0, "virial": 6.0},
        (65.18435447510133, -4.065789473019366, 17.223546313894204),
        (-6.445294989449962, -6.553034253114076),
        (0.6361738232039172, 0.07032927775941146),
    ),
}


@pytest.mark.parametrize("name", EQUATIONS)
def test_normal_equations_give_the_same_problem(name, tmp_path):
    n_terms, n_rows, weights, sums, references, errors = EQUATIONS[name]
    stored = NormalEquations.load(FOLDER / f"{name}.npz")
    stored.save(tmp_path / "again.npz")
    for equations in (stored, NormalEquations.load(tmp_path / "again.npz")):
        assert equations.species == ("C", "Si")
        assert equations.n_structures == 2
        assert len(equations.terms) == n_terms
        assert equations.n_rows == n_rows
        assert equations.weight_sums == weights
        problem = equations.problem(30.0, 1.0, 0.5)
        assert problem.weight_sum == sum(weights.values())
        # Sums of up to 1e5 in other orders.
        found = (np.trace(problem.gram), problem.moment.sum(), problem.target_square)
        np.testing.assert_allclose(found, sums, rtol=1e-9)
        coef = 0.01 * np.cos(np.arange(n_terms))
        reference = equations.reference_energies(coef)
        np.testing.assert_allclose((reference["C"], reference["Si"]), references, rtol=1e-9)
        # Two energies of two species leave an error that is rounding, and there are only products.
        with pytest.warns(UserWarning, match="energy errors of some models are so small"):
            found = equations.mean_squares(coef[None], equations.references(coef[None]))
        np.testing.assert_allclose((found["force"][0], found["virial"][0]), errors, rtol=1e-9)


def test_normal_equations_take_new_structures():
    """The descriptors in the file make the same columns, so that sums of today add to those of then."""
    from ase.calculators.singlepoint import SinglePointCalculator

    stored = NormalEquations.load(FOLDER / "normal_equations.npz")
    atoms = crystal()
    atoms.calc = SinglePointCalculator(atoms, energy=-39.0, forces=np.ones((6, 3)), stress=np.zeros(6))
    today = NormalEquations.from_structures([atoms], stored.descriptors)
    assert (stored + today).n_structures == 3
    # Only this structure of those in the file has a stress.
    then, now = (equations.problem(0.0, 0.0, 1.0).gram for equations in (stored, today))
    # Files of that version do not know which columns the data hardly touch.
    kept = now.diagonal() > 0
    assert kept.sum() > 0.8 * np.count_nonzero(then.diagonal())
    then, now = (gram[np.ix_(kept, kept)] for gram in (then, now))
    np.testing.assert_allclose(then, now, rtol=1e-9, atol=1e-12 * np.abs(now).max())
