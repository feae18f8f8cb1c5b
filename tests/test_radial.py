"""Radial families: their values, derivatives, grids, and what they refuse."""

from pathlib import Path

import numpy as np
import oracle
import pytest
from sklearn.base import clone

from plip import radial
from plip.interactions import NBody
from plip.interactions._terms import build_terms
from plip.potential import potential_schema
from plip.radial import (
    FAMILIES,
    Gaussian,
    GaussianType,
    LennardJones,
    LogNormal,
    Lorentzian,
    Power,
    Slater,
    StillingerWeber,
    cutoff_function,
)

DISTANCES = np.linspace(0.9, 6.0, 101)


def complex_step(function, r):
    """Exact derivative at a real r of a function that takes complex arguments."""
    return function(complex(r, 1e-30)).imag / 1e-30


def parameters_of(functions):
    return [tuple(f.get_params().values()) for f in functions]


def test_the_oracle_knows_every_family():
    assert set(FAMILIES) == set(oracle.FAMILY_NAMES)
    assert set(oracle.FAMILY_NAMES) <= set(radial.__all__)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_place_that_lists_families_has_this_one(name):
    """Readers of files, in Python by the schema and in C by the table, and the documentation."""
    parameters = FAMILIES[name]._parameter_names()
    in_schema = potential_schema()["$defs"]["function"]["oneOf"]
    (found,) = [entry for entry in in_schema if entry["properties"]["family"]["const"] == name]
    assert found["required"] == ["family", *parameters]
    of_roots = potential_schema()["$defs"]["term"]["allOf"][-1]["then"]["properties"]["radial"]["items"]
    without_roots = of_roots["properties"]["family"]["not"]["enum"]
    assert (name in without_roots) == FAMILIES[name].changes_sign
    package = Path(radial.__file__).parent
    entry = ", ".join([f'"{text}"' for text in (name, *parameters)] + ["NULL"] * (2 - len(parameters)))
    entry += f", {FAMILIES[name].changes_sign:d}"
    assert f"{{{entry}}}" in (package / "_core" / "plip_check.c").read_text(encoding="utf-8")
    page = package.parent / "doc" / "model.rst"
    if page.is_file():
        assert f"``{name}({', '.join(parameters)})``" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", oracle.FAMILY_NAMES)
def test_value_and_derivative(families, name):
    for function in families[name].grid(6.0):
        value, slope = function.evaluate(DISTANCES)
        expected = np.array([oracle.phi(function, r) for r in DISTANCES])
        expected_slope = np.array(
            [complex_step(lambda z, f=function: oracle.phi(f, z), r) for r in DISTANCES]
        )
        # 1e-12: some roundings of functions of order one, amplified at most by exponents of order ten.
        np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-300)
        np.testing.assert_allclose(slope, expected_slope, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", FAMILIES)
def test_families_say_whether_they_change_sign(families, name):
    values = [function(DISTANCES) for function in families[name].grid(6.0)]
    assert (np.min(values) < 0.0 < np.max(values)) == FAMILIES[name].changes_sign
    with_roots = NBody(families[name], powers=0.5)
    if FAMILIES[name].changes_sign:
        with pytest.raises(ValueError, match=f"leave {name}.* out"):
            build_terms(["Si"], 6.0, n_body=with_roots)
    else:
        assert build_terms(["Si"], 6.0, n_body=with_roots)


@pytest.mark.parametrize("cutoff", [2.5, 4.0])
def test_cutoff_function(cutoff):
    value, slope = cutoff_function(DISTANCES, cutoff)
    expected = [oracle.smooth_cutoff(r, cutoff) for r in DISTANCES]
    expected_slope = [complex_step(lambda z: oracle.smooth_cutoff(z, cutoff), r) for r in DISTANCES]
    np.testing.assert_allclose(value, expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose(slope, expected_slope, rtol=0, atol=1e-15)


def test_cutoff_function_ends_at_the_cutoff():
    value, slope = cutoff_function(np.array([0.0, 3.0, np.nextafter(3.0, 4.0), 10.0]), 3.0)
    np.testing.assert_array_equal(value[:2], [1.0, 0.0])
    np.testing.assert_array_equal(value[2:], 0.0)
    np.testing.assert_array_equal(slope[2:], 0.0)
    np.testing.assert_allclose(slope[:2], 0.0, atol=1e-15)


@pytest.mark.parametrize(
    "function", [StillingerWeber(gamma=-1.2, onset=1.5), LogNormal(onsets=1.5, scales=2.0)]
)
def test_nothing_below_the_onset_and_smooth_across(function):
    (function,) = function.grid(5.0)
    steps = [1e-15, 1e-12, 1e-8, 1e-4]
    r = np.array([0.5, 1.4, 1.5, np.nextafter(1.5, 2.0), *(1.5 + np.array(steps))])
    with np.errstate(all="raise", under="ignore"):
        value, slope = function.evaluate(r)
    np.testing.assert_array_equal(value[:3], 0.0)
    np.testing.assert_array_equal(slope[:3], 0.0)
    # exp(-ln^2(5e-5)) = 2.5e-43 and exp(-1.2e4) = 0: all derivatives vanish at the onset.
    np.testing.assert_allclose(value, 0.0, atol=1e-40)
    np.testing.assert_allclose(slope, 0.0, atol=1e-35)


def test_stillinger_weber_is_not_cut_above_its_onset():
    # The published code sets it to zero up to onset + 0.1, where it jumps.
    value, _ = StillingerWeber(gamma=-0.1, onset=1.5).grid(5.0)[0].evaluate(np.array([1.55]))
    np.testing.assert_allclose(value, np.exp(-2.0), rtol=1e-13)


def test_lennard_jones_zero_and_minimum():
    value, slope = LennardJones(sigma=1.7).grid(5.0)[0].evaluate(1.7 * np.array([1.0, 2.0 ** (1 / 6)]))
    np.testing.assert_allclose(value, [0.0, -1.0], atol=1e-14)
    np.testing.assert_allclose(slope, [-24.0 / 1.7, 0.0], atol=1e-12)


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (
            Gaussian(eta=[0.5, 1.5], centers=[1.0, 2.0, 3.0]),
            [(0.5, 1.0), (0.5, 2.0), (0.5, 3.0), (1.5, 1.0), (1.5, 2.0), (1.5, 3.0)],
        ),
        (Slater(powers=[2, 1], zeta=[1.0, 0.5]), [(2, 1.0), (2, 0.5), (1, 1.0), (1, 0.5)]),
        (GaussianType(powers=(0.0, 1.0), zeta=(0.2, 0.4)), [(0, 0.2), (0, 0.4), (1, 0.2), (1, 0.4)]),
        (StillingerWeber(gamma=[-1.0, -2.0], onset=[0.5, 1.0]), [(-1, 0.5), (-1, 1.0), (-2, 0.5), (-2, 1.0)]),
        (Power(powers=np.array([-6.0, 2.5])), [(-6.0,), (2.5,)]),
        (Lorentzian(centers=[1.0, 2.0], exponents=[2, 4]), [(1, 2), (1, 4), (2, 2), (2, 4)]),
        (LogNormal(onsets=[0.0, 1.0], scales=[1.5, 2.5]), [(0, 1.5), (0, 2.5), (1, 1.5), (1, 2.5)]),
        (LennardJones(sigma=[1.0, 2.0]), [(1.0,), (2.0,)]),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, list) else "",
)
def test_grid_is_all_combinations_first_parameter_outermost(family, expected):
    grid = family.grid(5.0)
    names = list(family.get_params())
    assert [tuple(getattr(f, name) for name in names) for f in grid] == expected
    for function in grid:
        assert type(function) is type(family)
        assert all(np.ndim(v) == 0 and float(v) == v for v in function.get_params().values())


def test_a_scalar_is_one_position():
    assert parameters_of(Gaussian(eta=1.0, centers=2.5).grid(5.0)) == [(1.0, 2.5)]
    assert parameters_of(Slater(powers=2, zeta=1).grid(5.0)) == [(2.0, 1.0)]
    assert parameters_of(Lorentzian(centers=2.0, exponents=4).grid(5.0)) == [(2.0, 4.0)]


def test_a_scalar_function_is_its_own_grid(families):
    for family in families.values():
        for function in family.grid(5.0):
            assert parameters_of(function.grid(5.0)) == [tuple(function.get_params().values())]


@pytest.mark.parametrize("cutoff", [3.0, 6.0])
@pytest.mark.parametrize("count", [4, 16, np.int64(7)])
def test_count_of_centers(count, cutoff):
    grid = Gaussian(centers=count).grid(cutoff)
    assert len(grid) == count
    centers = np.array([f.centers for f in grid])
    spacing = np.diff(centers)
    np.testing.assert_allclose(spacing, spacing[0], rtol=1e-12)
    assert spacing[0] > 0
    assert centers[0] >= 0
    assert centers[-1] <= cutoff
    # "Up to the cutoff": no gap at the far end wider than two steps, the functions reach that far.
    assert centers[-1] > cutoff - 2.5 * spacing[0]
    # One width, from the spacing: neighbors overlap but can be told apart, exp(-eta spacing^2) in [0.02,
    # 0.8].
    assert len({f.eta for f in grid}) == 1
    assert 0.02 <= np.exp(-grid[0].eta * spacing[0] ** 2) <= 0.8


def test_count_of_centers_scales_with_the_cutoff():
    small, large = Gaussian(centers=8).grid(3.0), Gaussian(centers=8).grid(6.0)
    np.testing.assert_allclose([f.centers for f in large], [2 * f.centers for f in small], rtol=1e-12)
    np.testing.assert_allclose([f.eta for f in large], [f.eta / 4 for f in small], rtol=1e-12)


def test_count_of_centers_with_given_second_parameters():
    grid = Gaussian(eta=[0.5, 2.0], centers=5).grid(4.0)
    assert [f.eta for f in grid] == [0.5] * 5 + [2.0] * 5
    assert [f.centers for f in grid[:5]] == [f.centers for f in Gaussian(centers=5).grid(4.0)]
    grid = Lorentzian(centers=3, exponents=[2, 6]).grid(4.0)
    assert [f.exponents for f in grid] == [2, 6] * 3
    assert len({f.centers for f in grid}) == 3


BAD = {
    "negative eta": lambda: Gaussian(eta=-1.0, centers=[1.0]),
    "NaN eta": lambda: Gaussian(eta=np.nan, centers=[1.0]),
    "infinite eta": lambda: Gaussian(eta=np.inf, centers=[1.0]),
    "NaN center": lambda: Gaussian(eta=1.0, centers=[1.0, np.nan]),
    "no center": lambda: Gaussian(eta=1.0, centers=[]),
    "zero centers": lambda: Gaussian(centers=0),
    "negative count": lambda: Gaussian(centers=-3),
    "two-dimensional centers": lambda: Gaussian(eta=1.0, centers=[[1.0, 2.0]]),
    "one position without a width": lambda: Gaussian(centers=2.0),
    "negative zeta, Slater": lambda: Slater(powers=1.0, zeta=-0.1),
    "infinite zeta, Slater": lambda: Slater(powers=1.0, zeta=np.inf),
    "NaN power, Slater": lambda: Slater(powers=np.nan, zeta=1.0),
    "negative zeta, GaussianType": lambda: GaussianType(powers=1.0, zeta=-0.1),
    "NaN zeta, GaussianType": lambda: GaussianType(powers=1.0, zeta=np.nan),
    "gamma > 0": lambda: StillingerWeber(gamma=1.0, onset=1.0),
    "gamma = 0": lambda: StillingerWeber(gamma=0.0, onset=1.0),
    "one gamma of two > 0": lambda: StillingerWeber(gamma=[-1.0, 1.0], onset=1.0),
    "NaN onset": lambda: StillingerWeber(gamma=-1.0, onset=np.nan),
    "NaN power": lambda: Power(powers=[1.0, np.nan]),
    "no power": lambda: Power(powers=[]),
    "odd exponent": lambda: Lorentzian(centers=[2.0], exponents=[2, 3]),
    "fractional exponent": lambda: Lorentzian(centers=[2.0], exponents=2.5),
    "exponent zero or less": lambda: Lorentzian(centers=[2.0], exponents=-2),
    "scale zero": lambda: LogNormal(onsets=0.0, scales=0.0),
    "negative scale": lambda: LogNormal(onsets=0.0, scales=-1.0),
    "NaN scale": lambda: LogNormal(onsets=0.0, scales=np.nan),
    "negative sigma": lambda: LennardJones(sigma=-1.0),
    "sigma zero": lambda: LennardJones(sigma=0.0),
    "NaN sigma": lambda: LennardJones(sigma=[1.0, np.nan]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_values_are_refused_in_grid_not_in_the_constructor(case):
    family = BAD[case]()
    with pytest.raises(ValueError, match=type(family).__name__):
        family.grid(5.0)


@pytest.mark.parametrize("name", oracle.FAMILY_NAMES)
def test_parameters(families, name):
    family = families[name]
    parameters = family.get_params()
    assert all(getattr(family, key) is value for key, value in parameters.items())
    twin = clone(family)
    assert twin is not family
    assert twin.get_params() == parameters
    key = list(parameters)[0]
    assert twin.set_params(**{key: [3.0]}) is twin
    assert getattr(twin, key) == [3.0]
    assert family.get_params() == parameters
    with pytest.raises(ValueError, match="nonsense"):
        twin.set_params(nonsense=1.0)


def test_constructors_only_assign():
    centers = [1.0, 2.0]
    assert Gaussian(eta=2.0, centers=centers).centers is centers


@pytest.mark.parametrize("name", oracle.FAMILY_NAMES)
def test_formula_is_text_in_the_variable_and_tells_functions_apart(families, name):
    formulas = [f.formula(variable="r_ij") for f in families[name].grid(5.0)]
    assert all("r_ij" in text for text in formulas)
    assert len(set(formulas)) == len(formulas)
    assert "r" in families[name].grid(5.0)[0].formula()


def test_equality_is_by_parameters():
    assert Gaussian(eta=1.0, centers=2.0) == Gaussian(eta=1.0, centers=2.0)
    assert Gaussian(eta=1.0, centers=2.0) != Gaussian(eta=1.0, centers=2.5)
    assert Slater(powers=1.0, zeta=0.5) != GaussianType(powers=1.0, zeta=0.5)
    assert repr(Gaussian(eta=1.0, centers=2.0)) == "Gaussian(eta=1.0, centers=2.0)"


def test_equal_families_have_equal_hashes(families):
    assert len({*families.values(), *families.values()}) == len(families)
    grids = ([0.5, 1.0], (0.5, 1.0), np.array([0.5, 1.0]))
    same = [Slater(powers=1, zeta=zeta) for zeta in grids] + [Slater(powers=1.0, zeta=grids[0])]
    assert all(one == other and hash(one) == hash(other) for one in same for other in same)
    assert Slater(powers=[1], zeta=0.5) != Slater(powers=1, zeta=0.5)
    assert Slater(powers=1, zeta=0.5) != GaussianType(powers=1, zeta=0.5)
    assert len({Gaussian(centers=4), Gaussian(centers=4, eta=1.0), Gaussian(centers=4)}) == 2


def test_a_frozen_function_is_a_copy_for_good():
    function = Gaussian(eta=1, centers=np.float32(2.0))
    frozen = function.frozen()
    function.eta = 5.0
    assert frozen == Gaussian(eta=1.0, centers=2.0) and frozen.frozen() is frozen
    with pytest.raises(AttributeError, match="make another Gaussian"):
        frozen.eta = 2.0
    free = clone(frozen)
    free.eta = 2.0
    assert frozen.eta == 1.0
    for family in (Gaussian(), Slater(powers=[1, 2], zeta=1.0), LennardJones(sigma="x")):
        with pytest.raises(ValueError, match="not one function"):
            family.frozen()


def test_counts_that_would_fill_the_memory_are_refused():
    assert len(Gaussian(eta=1.0, centers=10_000).grid(4.0)) == 10_000
    for count in (10_001, 10**9, 2**70):
        with pytest.raises(ValueError, match="count and must be from 1 to 10000"):
            Gaussian(eta=1.0, centers=count).grid(4.0)


class Narrow(Gaussian):
    """Gaussians of one width, as a user may write them."""

    def __init__(self, centers=(2.0, 3.0)):
        super().__init__(eta=4.0, centers=centers)


def test_functions_of_a_subclass_are_those_of_its_family():
    assert Narrow().grid(5.0) == Gaussian(eta=4.0, centers=[2.0, 3.0]).grid(5.0)
    assert Narrow(2.5).frozen() == Gaussian(eta=4.0, centers=2.5)
    assert Narrow(2.5)([2.5, 3.5]).tolist() == Gaussian(eta=4.0, centers=2.5)([2.5, 3.5]).tolist()
    assert Narrow(2.5).formula() == "exp(-4 (r - 2.5)^2)"
