"""Labeled structures; that each call checks its structures and reads their labels once."""

import dataclasses
import sys
import weakref

import numpy as np
import pytest

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor, PLIPRegressorCV
from plip._structures._checks import check_structures
from plip._structures._evaluation import check_atoms
from plip.datasets import load_silicon_carbide
from plip.interactions import TwoBody
from plip.labels import LabelledStructures, read_labels
from plip.metrics import Evaluation, cancellation, error_summary, neg_energy_rmse, neg_force_rmse
from plip.radial import Gaussian

PAIRS = PLIPDescriptors(
    cutoff=4.0, two_body=TwoBody(Gaussian(eta=2.0, centers=[2.0, 3.0])), three_body=None, n_body=None
)


@pytest.fixture(scope="module")
def structures():
    return load_silicon_carbide()[1][:12]


@pytest.fixture(scope="module")
def model(structures):
    return PLIPRegressor(PAIRS).fit(structures)


# The method to call, and whether it reads labels.
CALLS = {
    "fit": (lambda model, X: PLIPRegressor(PAIRS).fit(X), True),
    "fit to a generator": (lambda model, X: PLIPRegressor(PAIRS).fit(iter(X)), True),
    "partial_fit": (lambda model, X: PLIPRegressor(PAIRS).partial_fit(X), True),
    "cross-validation": (lambda model, X: PLIPRegressorCV(PAIRS, cv=2).fit(X), True),
    "normal equations": (lambda model, X: NormalEquations.from_structures(X, PAIRS), True),
    "score": (lambda model, X: model.score(X), True),
    "score of energies": (neg_energy_rmse, True),
    "score of forces": (neg_force_rmse, True),
    "evaluation": (lambda model, X: Evaluation(model.potential_, X).summary(), True),
    "summary": (error_summary, True),
    "predict": (lambda model, X: model.predict(X), False),
    "predict_forces": (lambda model, X: model.predict_forces(X), False),
    "predict_stress": (lambda model, X: model.predict_stress(X), False),
    "predict by a potential": (lambda model, X: model.potential_.predict(X), False),
    "cancellation": (lambda model, X: cancellation(model.potential_, X), False),
    "transform": (lambda model, X: model.descriptors_.transform(X), False),
}


@pytest.mark.parametrize("call", CALLS)
def test_structures_are_checked_once(structures, model, call):
    function, reads_labels = CALLS[call]
    seen = {check_structures.__code__: [], check_atoms.__code__: [], read_labels.__code__: []}

    def profile(frame, event, argument):
        if event == "call" and frame.f_code in seen:
            names = frame.f_locals
            seen[frame.f_code] += [names["atoms"]] if "atoms" in names else names["X"]

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        function(model, structures)
    finally:
        sys.setprofile(before)
    expected = [id(atoms) for atoms in structures]
    assert [id(atoms) for atoms in seen[check_structures.__code__]] == expected
    assert [id(atoms) for atoms in seen[read_labels.__code__]] == (expected if reads_labels else [])
    # The search for a core repulsion evaluates pairs of its own.
    singles = [atoms for atoms in seen[check_atoms.__code__] if id(atoms) in expected]
    assert singles == []


def test_read_and_take(structures):
    data = LabelledStructures.read(structures, sample_weight=np.arange(12.0), first=100)
    assert len(data) == 12 and data.structures[3] is structures[3]
    np.testing.assert_array_equal(data.places, np.arange(100, 112))
    np.testing.assert_array_equal(data.n_atoms, [len(atoms) for atoms in structures])
    for rows in (np.array([7, 2]), slice(7, 1, -5)):
        part = data.take(rows)
        assert part.structures == (structures[7], structures[2])
        np.testing.assert_array_equal(part.places, [107, 102])
        np.testing.assert_array_equal(part.labels.sample_weight, [7.0, 2.0])
        energies = [structures[k].get_potential_energy() for k in (7, 2)]
        np.testing.assert_array_equal(part.labels.energy, energies)


@pytest.mark.parametrize("call", ["fit", "partial_fit", "cross-validation", "normal equations", "evaluation"])
def test_labeled_structures_are_not_read_again(structures, model, call):
    data = LabelledStructures.read(structures)
    called = []

    def profile(frame, event, argument):
        if event == "call" and frame.f_code in (check_structures.__code__, read_labels.__code__):
            called.append(frame.f_code.co_name)

    function, _ = CALLS[call]
    sys.setprofile(profile)
    try:
        found = function(model, data)
    finally:
        sys.setprofile(None)
    assert not called
    expected = function(model, structures)
    if call == "evaluation":
        assert found == expected
    elif call == "normal equations":
        assert found.data_hash == expected.data_hash
    else:
        assert found.coef_.tolist() == expected.coef_.tolist()


def test_labeled_structures_have_their_labels_and_weights(structures):
    data = LabelledStructures.read(structures)
    with pytest.raises(TypeError, match="X has its labels"):
        PLIPRegressor(PAIRS).fit(data, y=data.labels.energy)
    with pytest.raises(ValueError, match="structure 0 .*element C is not among the known species"):
        PLIPRegressor(PLIPDescriptors(species=("Si",))).fit(data)
    weights = np.linspace(0.5, 2.0, len(structures))
    found = PLIPRegressor(PAIRS).fit(data, sample_weight=weights)
    expected = PLIPRegressor(PAIRS).fit(structures, sample_weight=weights)
    assert found.coef_.tolist() == expected.coef_.tolist()
    again = LabelledStructures.read(data, targets=("force",))
    assert again.labels.targets() == ["force"]
    with pytest.raises(ValueError, match="no energies"):
        LabelledStructures.read(again, targets=("energy",))


def test_labeled_structures_are_frozen(structures):
    data = LabelledStructures.read(structures)
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.labels = None
    with pytest.raises(TypeError):
        data.structures[0] = structures[1]


def test_errors_name_places(structures):
    broken = structures[1].copy()
    broken.positions[0] = np.nan
    with pytest.raises(ValueError, match=r"^structure 101 .*positions"):
        LabelledStructures.read([structures[0], broken], first=100)
    with pytest.raises(ValueError, match=r"^structure 101 .*known species"):
        LabelledStructures.read([structures[0][[0]], structures[1]], y=[0.0, 0.0], species=["Si"], first=100)
    with pytest.raises(ValueError, match=r"^structure 101 .*y is inf"):
        LabelledStructures.read(structures[:2], y=[0.0, np.inf], first=100)


def test_generators_are_never_held_as_a_whole(structures, monkeypatch):
    monkeypatch.setattr("plip.normal_equations._batches._BATCH", 4)
    monkeypatch.setattr("plip.normal_equations._chunks.CHUNK_ATOMS", 8)
    references, most = [], 0

    def stream():
        nonlocal most
        for k in range(100):
            atoms = structures[k % len(structures)].copy()
            atoms.calc = structures[k % len(structures)].calc
            references.append(weakref.ref(atoms))
            most = max(most, sum(reference() is not None for reference in references))
            yield atoms

    PLIPRegressor(PAIRS).fit(stream())
    assert len(references) == 100
    # Four chunks that are read and four in work, two that these leave to the next, and three structures to
    # check the fit by. The chunks at the end are of three structures.
    assert 4 <= most <= (4 + 4 + 2) * 3 + 3
