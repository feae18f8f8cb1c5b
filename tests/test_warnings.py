"""Warnings point at the line of the user."""

import warnings

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

from plip import NormalEquations, PLIPRegressor, PLIPRegressorCV
from plip.datasets import load_silicon_carbide
from plip.labels import LabelWarning, read_labels


@pytest.fixture
def stresses_in_kbar():
    structures = []
    for atoms in load_silicon_carbide()[0][:60:5]:
        results = {"energy": atoms.get_potential_energy(), "stress": 100.0 * np.ones(6)}
        atoms = atoms.copy()
        atoms.calc = SinglePointCalculator(atoms, **results)
        structures.append(atoms)
    return structures


@pytest.mark.parametrize(
    "call",
    [
        lambda structures: read_labels(structures),
        lambda structures: NormalEquations.from_structures(structures, "stock"),
        lambda structures: NormalEquations.from_structures(iter(structures), "stock"),
        lambda structures: PLIPRegressor("stock").fit(structures),
        lambda structures: PLIPRegressorCV("stock", cv=2).fit(structures),
    ],
)
def test_warnings_of_labels_point_at_the_call(call, stresses_in_kbar):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(stresses_in_kbar)
    files = {warning.filename for warning in caught if issubclass(warning.category, LabelWarning)}
    assert files == {__file__}
