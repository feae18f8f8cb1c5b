"""What a label may be: numbers, types, masks, units, shapes, weights."""

import numpy as np
import pytest
from sample_labels import STRESS, labeled_copper, targets_present

from plip.labels import read_labels

# Data without a problem must not cause a warning.
pytestmark = pytest.mark.filterwarnings("error::UserWarning")

NAN, INF = np.nan, np.inf


def mask(array, *entries):
    masked = np.ma.array(array, mask=np.zeros(np.shape(array), bool))
    masked[entries or ...] = np.ma.masked
    return masked


def entries(array, value):
    changed = np.array(array, dtype=object)
    changed[-1, -1] = value
    return changed


@pytest.mark.parametrize("attached", [False, True])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: mask(a, 0), "masked"),
        (lambda a: [mask(a[0], 1), *a[1:]], "masked"),
        (lambda a: a > 0, "bool"),
        (lambda a: a.astype(complex), "complex"),
        (lambda a: a.astype(str), "real numbers"),
        (lambda a: entries(a, "1.0"), "str"),
        (lambda a: entries(a, True), "bool"),
        (lambda a: entries(a, 1j), "complex"),
        (lambda a: entries(a, None), "NoneType"),
        (lambda a: entries(a, np.ma.masked), "masked"),
        (lambda a: [[True, 0.0, 1.0], *a.tolist()[1:]], "bool"),
        (lambda a: [[*a[0, :2], np.bool_(True)], *a.tolist()[1:]], "bool"),
        (lambda a: entries(a, 10**400), "real numbers"),
    ],
)
def test_what_an_array_says_beside_its_numbers(attached, spoil, message):
    X = labeled_copper()
    if attached:
        X[1].calc.results["forces"] = spoil(X[1].calc.results["forces"])
        given = {}
    else:
        given = {"forces": [atoms.calc.results["forces"] for atoms in X]}
        given["forces"][1] = spoil(given["forces"][1])
    with pytest.raises(ValueError, match=rf"^structure 1 \(Cu8\): forces .*{message}"):
        read_labels(X, **given)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("energy", True, "bool"),
        ("energy", np.bool_(False), "bool"),
        ("energy", "1.5", "str"),
        ("energy", 1j, "complex"),
        ("stress", mask(STRESS, 2), "masked"),
        ("stress", STRESS > 0, "bool"),
        ("stress", ["0", *STRESS[1:]], "str"),
    ],
)
def test_types_of_attached_energies_and_stresses(name, value, message):
    X = labeled_copper()
    X[1].calc.results[name] = value
    with pytest.raises(ValueError, match=rf"^structure 1 \(Cu8\): {name} .*{message}"):
        read_labels(X)


def test_masked_as_a_whole_is_missing():
    X = labeled_copper()
    X[0].calc.results |= {"energy": np.ma.masked, "stress": mask(STRESS)}
    X[2].calc.results["forces"] = mask(np.zeros((12, 3)))
    labels = read_labels(X)
    assert targets_present(labels) == {
        "energy": [False, True, True, True],
        "force": [True, True, False, True],
        "virial": [False, True, True, True],
    }
    # A mask that hides nothing changes nothing.
    X[1].calc.results["forces"] = np.ma.array(X[1].calc.results["forces"])
    np.testing.assert_array_equal(read_labels(X).forces[1], labels.forces[1])


def test_numbers_with_units_are_refused():
    class Quantity(np.ndarray):
        unit = "kcal/mol"

    X = labeled_copper()
    X[1].calc.results["forces"] = X[1].calc.results["forces"].view(Quantity)
    with pytest.raises(ValueError, match="^structure 1 .*forces has a unit"):
        read_labels(X)


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("y", [1, NAN, 2, 3], "structure 1 .*y is nan"),
        ("y", [1, 2, -INF, 3], "structure 2 .*y is -inf"),
        ("y", [1, True, 2, 3], "structure 1 .*bool"),
        ("y", np.array([True, False, True, True]), "structure 0 .*bool"),
        ("y", np.array([1, 2, "x", 4], dtype=object), "structure 2 .*str"),
        ("y", [1, 2, 10**400, 3], "structure 2 .*y is 1000"),
        ("y", [1, 2, "3", 4], "structure 2 .*str"),
        ("y", np.array(["1", "2", "3", "4"]), "structure 0 .*str"),
        ("y", [1, 2j, 3, 4], "structure 1 .*complex"),
        ("y", [[1], [2], [3], [4]], "structure 0 .*list"),
        ("y", np.zeros((4, 1)), r"shape \(4, 1\)"),
        ("y", np.array(1.0), r"shape \(\)"),
        ("y", 3.0, "one entry per structure"),
        ("y", {0: 1.0, 1: 2.0, 2: 3.0, 3: 4.0}, "list of one entry per structure, got dict"),
        ("y", {1.0, 2.0, 3.0, 4.0}, "list of one entry per structure, got set"),
        ("y", [1, 2, 3], "3 entries for 4 structures"),
        ("sample_weight", [1, NAN, 2, 3], "structure 1 .*sample_weight is nan"),
        ("sample_weight", [1, INF, 2, 3], "structure 1 .*sample_weight is inf"),
        ("sample_weight", [1, 1, 1, -1], "structure 3 .*negative"),
        ("sample_weight", [1, 1, True, 1], "structure 2 .*bool"),
        ("sample_weight", [1, None, 1, 1], "structure 1 .*NoneType"),
        ("sample_weight", np.ma.masked_equal([1.0, 1.0, 2.0, 1.0], 2.0), "structure 2 .*masked entry"),
        ("sample_weight", [0, 0, 0, 0], "zero for every structure"),
        ("sample_weight", np.zeros((4, 3)), "zero for every structure"),
        ("sample_weight", np.ones((4, 2)), r"got shape \(4, 2\)"),
        ("sample_weight", np.ones((3, 3)), "3 entries for 4 structures"),
        ("sample_weight", np.diag([1.0, 1, 1, -1])[:, 1:], "structure 3 .*negative"),
        ("sample_weight", np.ones((4, 3), bool), "structure 0 .*bool"),
        (
            "sample_weight",
            np.ma.masked_equal(np.diag([1.0, 1, 2, 1])[:, 1:], 2),
            "structure 2 .*masked entry",
        ),
        ("sample_weight", [1, 2], "2 entries for 4 structures"),
        ("sample_weight", 1.0, "one entry per structure"),
        ("sample_weight", {1: 2.0, 2: 2.0, 3: 2.0, 4: 2.0}, "list of one entry per structure, got dict"),
        ("forces", [np.zeros((4, 3))] * 3, "3 entries for 4 structures"),
        ("forces", [np.zeros((4, 3))] * 4, r"structure 1 .*shape \(8, 3\), got shape \(4, 3\)"),
        ("forces", [np.zeros(12)] * 4, r"structure 0 .*shape \(4, 3\), got shape \(12,\)"),
        ("forces", ["x"] * 4, "structure 0 .*real numbers"),
        ("forces", [[[1, 2, 3], [1, 2]]] * 4, "structure 0 .*real numbers"),
        ("forces", 1.0, "one entry per structure"),
        ("stress", [STRESS] * 3, "3 entries for 4 structures"),
        ("stress", [STRESS, STRESS[:5], STRESS, STRESS], r"structure 1 .*shape \(6,\), got shape \(5,\)"),
        ("stress", [[], STRESS, STRESS, STRESS], r"structure 0 .*shape \(6,\), got shape \(0,\)"),
        ("stress", [STRESS, STRESS, np.zeros((2, 3)), STRESS], r"structure 2 .*shape \(3, 3\)"),
        ("stress", [STRESS, [0, 0, NAN, 0, 0, 0], STRESS, STRESS], "structure 1 .*NaN or infinite"),
        ("stress", [STRESS, [0, 0, INF, 0, 0, 0], STRESS, STRESS], "structure 1 .*NaN or infinite"),
    ],
)
def test_given_labels_that_are_unusable(argument, value, message):
    with pytest.raises(ValueError, match=message):
        read_labels(labeled_copper(), **{argument: value})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("energy", NAN, "energy has NaN"),
        ("energy", INF, "energy has NaN or infinite"),
        ("energy", np.zeros(12), "a single number, got shape"),
        ("energy", "low", "real numbers"),
        ("forces", np.zeros((5, 3)), r"shape \(12, 3\), got shape \(5, 3\)"),
        ("forces", np.full((12, 3), NAN), "forces has NaN"),
        ("forces", np.full((12, 3), -INF), "forces has NaN or infinite"),
        ("stress", np.full(6, NAN), "stress has NaN"),
        ("stress", np.zeros(5), r"shape \(6,\)"),
    ],
)
def test_attached_labels_that_are_unusable(name, value, message):
    X = labeled_copper()
    X[2].calc.results[name] = value
    with pytest.raises(ValueError, match=rf"^structure 2 \(Cu12\): .*{message}"):
        read_labels(X)


def test_nan_forces_in_given_list():
    X = labeled_copper()
    forces = read_labels(X).forces
    forces[3] = forces[3].copy()
    forces[3][5, 1] = NAN
    with pytest.raises(ValueError, match=r"^structure 3 \(Cu16\): forces has NaN"):
        read_labels(X, forces=forces)


def test_weights_of_zero_are_allowed_beside_others():
    np.testing.assert_array_equal(
        read_labels(labeled_copper(), sample_weight=[0, 1, 0, 2]).sample_weight, [0, 1, 0, 2]
    )
