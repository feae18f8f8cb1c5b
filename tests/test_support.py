"""Warnings where data do not carry a model."""

import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read
from sample_fits import small_descriptors

from plip import PLIPDescriptors, PLIPRegressor, PLIPRegressorCV
from plip.datasets import load_silicon_carbide
from plip.interactions import ThreeBody
from plip.radial import Gaussian


def warned(fit):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        fit()
    return [str(warning.message) for warning in found if issubclass(warning.category, UserWarning)]


def test_few_labels_for_many_terms():
    train, _ = load_silicon_carbide()
    (message,) = warned(lambda: PLIPRegressor(max_terms=300).fit(train))
    assert message.startswith("300 terms from 167 structures with") and "16 labels per term" in message
    assert "left out" in message
    # Cross-validation finds 68 terms for these data, and the default is 50.
    assert warned(lambda: PLIPRegressor().fit(train)) == []
    assert warned(lambda: PLIPRegressorCV().fit(train)) == []


def test_counts_labels_that_are_fitted(silicon_carbide):
    train = silicon_carbide[0][:10]
    n_forces = 3 * sum(map(len, train))
    options = {"energy_weight": 0.0, "stress_weight": 0.0, "solver": "omp"}
    descriptors = small_descriptors()
    enough = n_forces // 20
    assert warned(lambda: PLIPRegressor(descriptors, max_terms=enough, **options).fit(train)) == []
    (message,) = warned(lambda: PLIPRegressor(descriptors, max_terms=enough + 2, **options).fit(train))
    assert f"with {n_forces:,} labels" in message
    assert warned(lambda: PLIPRegressor(descriptors, solver="ridge").fit(train)) == []


@pytest.mark.parametrize("name", ["Si_train", "Mo_train", "MoNbTa_train", "Ta"])
def test_no_false_warning(shared_datasets, name):
    structures = read(shared_datasets / f"{name}.xyz", ":")
    assert warned(lambda: PLIPRegressor().fit(structures)) == []


def alloys(*compositions):
    """Cells of four atoms of these species, labeled by EMT."""
    random = np.random.default_rng(0)
    structures = []
    for symbols in compositions:
        for _ in range(6):
            atoms = bulk("Cu", a=3.9, cubic=True)
            atoms.symbols[:] = random.permutation(list(symbols))
            atoms.rattle(0.1, seed=int(random.integers(10**6)))
            atoms.calc = EMT()
            labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
            atoms.calc = SinglePointCalculator(atoms, **labels)
            structures.append(atoms)
    return structures


def three_body(shared):
    family = ThreeBody(Gaussian(eta=1.0, centers=[2.2, 3.0]), max_power=2)
    return PLIPDescriptors(cutoff=4.0, three_body=family, shared=shared)


def test_no_term_is_kept():
    gas = [Atoms("Ar", cell=[20, 20, 20], pbc=True) for _ in range(3)]
    for atoms in gas:
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((1, 3)))
    (message,) = warned(lambda: PLIPRegressor().fit(gas))
    assert "Atoms have no neighbors within the cutoff" in message and "alpha" not in message
    train, _ = load_silicon_carbide()
    model = PLIPRegressor("fast", solver="lasso_lars", alpha=1e9)
    (message,) = warned(lambda: model.fit(train[::8]))
    assert "alpha=1e+09" in message


def test_species_without_data():
    train, _ = load_silicon_carbide()
    offer = small_descriptors(species=["C", "O", "Si"], shared=True)
    (message,) = warned(lambda: PLIPRegressor(offer, max_terms=10).fit(train[::4]))
    assert message.startswith("no structure holds O: its reference energy is 0 eV")
    # One atom is enough, with any label.
    oxygen = Atoms("O")
    oxygen.calc = SinglePointCalculator(oxygen, energy=-2.0)
    messages = warned(lambda: PLIPRegressor(offer, max_terms=10).fit([*train[::4], oxygen]))
    assert [message.split(" within")[0] for message in messages] == [
        "no structure holds C and O",
        "no structure holds O and Si",
    ]


def test_triplets_of_species_without_data():
    binary = alloys(["Cu", "Cu", "Ag", "Ag"], ["Cu", "Cu", "Au", "Au"], ["Ag", "Ag", "Au", "Au"])
    (message,) = warned(lambda: PLIPRegressor(three_body(False), max_terms=5).fit(binary))
    assert "within the cutoff of one atom: Ag-Au-Cu." in message
    assert warned(lambda: PLIPRegressor(three_body(True), max_terms=5).fit(binary)) == []
    ternary = [*binary, *alloys(["Cu", "Ag", "Au", "Au"])]
    assert warned(lambda: PLIPRegressor(three_body(False), max_terms=5).fit(ternary)) == []


def test_lone_atoms_are_no_triplet():
    atoms = Atoms("CuAgAu", positions=[[0, 0, 0], [9, 0, 0], [0, 9, 0]])
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((3, 3)))
    pairs = alloys(["Cu", "Cu", "Ag", "Ag"], ["Cu", "Cu", "Au", "Au"], ["Ag", "Ag", "Au", "Au"])
    messages = warned(lambda: PLIPRegressor(three_body(False), max_terms=5).fit([*pairs, atoms]))
    assert any("Ag-Au-Cu" in message for message in messages)
