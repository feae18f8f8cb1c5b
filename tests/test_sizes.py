"""Sizes of columns: columns of rounding, and columns that the data hardly touch."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.morse import MorsePotential
from ase.calculators.singlepoint import SinglePointCalculator
from ase.neighborlist import neighbor_list

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor, PLIPRegressorCV
from plip._design import _rows_of_each
from plip.interactions import NBody, ThreeBody, TwoBody
from plip.normal_equations._problem import linear_problem
from plip.normal_equations._sizes import natural_sizes
from plip.radial import Gaussian, Power
from plip.regressor import FitError, _self_check
from plip.solvers import SOLVERS, residual_squares

SOLVER_OPTIONS = {
    "lasso_lars": {"alpha": 1e-5},
    "adaptive_lasso": {"alpha": 1e-5},
    "omp": {"alpha": 0.0, "max_terms": 40, "contribution_penalty": 0.0},
    "replacement": {"alpha": 0.0, "max_terms": 20, "contribution_penalty": 0.0},
    "ridge": {"alpha": 1e-6, "max_terms": 60},
}


def labeled(atoms, calculator):
    atoms.calc = calculator
    results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def waters(n=30):
    rng = np.random.default_rng(0)
    shape = molecule("H2O").positions
    return [labeled(Atoms("OH2", shape + rng.normal(0, 0.06, (3, 3))), EMT()) for _ in range(n)]


def trimers(n=30):
    rng = np.random.default_rng(0)
    shape = np.array([[0, 0, 0], [2.4, 0, 0], [1.2, 2.0, 0]])
    return [labeled(Atoms("Cu3", shape + rng.normal(0, 0.1, (3, 3))), EMT()) for _ in range(n)]


def gold_pairs(n=4):
    rng = np.random.default_rng(1)
    made = []
    for _ in range(n):
        atoms = bulk("Cu", cubic=True) * (3, 3, 2)
        atoms.symbols[[0, rng.integers(1, 4)]] = "Au"
        atoms.positions += rng.normal(0, 0.08, atoms.positions.shape)
        made.append(labeled(atoms, EMT()))
    return made


def crystals(symbol, n=6, amplitude=0.1, strain=0.03):
    rng = np.random.default_rng(2)
    nearest = neighbor_list("d", bulk(symbol), 8.0).min()
    calculator = MorsePotential(epsilon=0.3, r0=nearest, rho0=5.0, rcut1=1.6 * nearest, rcut2=1.8 * nearest)
    made = []
    for _ in range(n):
        atoms = bulk(symbol, cubic=True) * 2
        atoms.set_cell(atoms.cell * rng.uniform(1 - strain, 1 + strain), scale_atoms=True)
        atoms.positions += rng.normal(0, amplitude, atoms.positions.shape)
        made.append(labeled(atoms, calculator))
    return made


def stretched(atoms, factor):
    atoms = atoms.copy()
    atoms.set_cell(atoms.cell * factor)
    atoms.positions *= factor
    return atoms


def energies_per_atom(potential, structures):
    return np.array([potential.energy(atoms) / len(atoms) for atoms in structures])


def labels_per_atom(structures):
    return np.array([atoms.get_potential_energy() / len(atoms) for atoms in structures])


def force_errors(model, structures):
    """Root mean square error of the forces by the normal equations and by the potential."""
    equations = model.normal_equations_
    references = equations.references(model.coef_[None])
    by_equations = equations.mean_squares(model.coef_[None], references)["force"][0] ** 0.5
    labels = np.concatenate([atoms.get_forces() for atoms in structures])
    error = np.concatenate(model.predict_forces(structures)) - labels
    return by_equations, np.sqrt(np.mean(error**2))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("data", [waters, gold_pairs])
def test_columns_of_rounding_are_left_out(data, solver):
    structures = data()
    descriptors = PLIPDescriptors(
        cutoff=4.0,
        two_body=TwoBody(Gaussian(centers=6)),
        three_body=ThreeBody(Gaussian(centers=3), max_power=3, mixed=True),
        n_body=NBody(Gaussian(centers=3), powers=(2, 3)),
    )
    model = PLIPRegressor(descriptors, solver=solver, **SOLVER_OPTIONS[solver]).fit(structures)
    by_equations, by_potential = force_errors(model, structures)
    assert by_potential == pytest.approx(by_equations, rel=1e-6)
    # No H has two H neighbors, and no Au has two Au neighbors.
    symbol = "H" if data is waters else "Au"
    empty = [term.species == (symbol,) * 3 for term in model.descriptors_.terms_]
    assert any(empty)
    assert not model.column_scale_[empty].any()
    assert not model.coef_[empty].any()


@pytest.mark.parametrize("rattled", [1e-2, 1e-4])
def test_sums_that_vanish_by_symmetry_are_rounding(rattled):
    """Forces of perfect crystals are sums that cancel; those of nearly perfect ones are small but real."""
    descriptors = PLIPDescriptors(
        cutoff=4.0,
        two_body=None,
        n_body=None,
        three_body=ThreeBody(Gaussian(centers=[2.0, 3.0]), max_power=1),
    )
    perfect = crystals("Cu", amplitude=0.0, strain=0.0)
    for atoms in perfect:
        atoms.calc.results = {"forces": np.random.default_rng(0).normal(size=(len(atoms), 3))}
    assert not NormalEquations.from_structures(perfect, descriptors).problem().scales.any()
    nearly = crystals("Cu", amplitude=rattled, strain=0.0)
    assert (NormalEquations.from_structures(nearly, descriptors).problem().scales > 0).all()


@pytest.mark.parametrize("solver", SOLVERS)
def test_trimers_promise_nothing_outside_the_data(solver):
    structures = trimers()
    model = PLIPRegressor(PLIPDescriptors(cutoff=5.0), solver=solver, **SOLVER_OPTIONS[solver])
    model.fit(structures)
    labels = labels_per_atom(structures)
    assert np.abs(energies_per_atom(model.potential_, structures) - labels).max() < 0.02
    for factor in (1.1, 1.2, 1.3):
        energies = energies_per_atom(model.potential_, [stretched(atoms, factor) for atoms in structures])
        # The labels rise by 1.2 eV/atom from 1 to 1.2 times the length.
        assert np.abs(energies - labels.mean()).max() < 5.0
    tetramers = []
    for atoms in structures:
        atoms = atoms.copy()
        center = atoms.positions.mean(axis=0)
        atoms.append("Cu")
        atoms.positions[-1] = center + [0.0, 0.0, 2.0]
        tetramers.append(atoms)
    assert np.abs(energies_per_atom(model.potential_, tetramers) - labels.mean()).max() < 20.0


@pytest.mark.parametrize("symbol", ["K", "Rb", "Ca", "Ba", "Kr", "Xe"])
def test_neighbors_near_the_cutoff(symbol):
    """Functions that reach up to 5 Angstrom, and neighbors from 4 to 5: the data have only their tails."""
    structures = crystals(symbol)
    model = PLIPRegressor(PLIPDescriptors(cutoff=5.0), repulsion=None).fit(structures)
    labels = labels_per_atom(structures)
    rng = np.random.default_rng(0)
    outside = [stretched(atoms, factor) for atoms in structures for factor in (1.05, 1.1, 1.2)]
    for atoms in structures:
        rattled = atoms.copy()
        rattled.positions += rng.normal(0, 0.15, rattled.positions.shape)
        outside.append(rattled)
    assert np.abs(energies_per_atom(model.potential_, outside) - labels.mean()).max() < 3.0


@pytest.mark.parametrize("symbol", ["Na", "Sr"])
def test_cutoff_within_the_first_shell(symbol):
    """The data have few neighbors at a time; compressed by a tenth, the whole shell is within the cutoff."""
    structures = crystals(symbol, n=12, amplitude=0.05, strain=0.0)
    cutoff = neighbor_list("d", bulk(symbol), 8.0).min() - 0.05
    model = PLIPRegressor(PLIPDescriptors(cutoff=cutoff)).fit(structures)
    outside = [stretched(atoms, factor) for atoms in structures for factor in (0.9, 0.95, 1.05, 1.2)]
    labels = labels_per_atom(structures).mean()
    assert np.abs(energies_per_atom(model.potential_, outside) - labels).max() < 40.0


def test_cross_validation_promises_nothing_outside_the_data():
    structures = trimers(20)
    model = PLIPRegressorCV(PLIPDescriptors(cutoff=5.0), cv=2, max_terms=60, refit=True).fit(structures)
    labels = labels_per_atom(structures)
    energies = energies_per_atom(model.potential_, [stretched(atoms, 1.2) for atoms in structures])
    assert np.abs(energies - labels.mean()).max() < 5.0


def test_natural_sizes_are_those_of_random_neighbors():
    """Against sums over neighbors at random places, as many as in the data."""
    structures = crystals("Cu", n=2, amplitude=0.05)
    descriptors = PLIPDescriptors(
        cutoff=4.0,
        two_body=TwoBody(Gaussian(eta=2.0, centers=[2.5])),
        three_body=ThreeBody(Gaussian(eta=2.0, centers=[2.5, 3.0]), max_power=0, mixed=True),
        n_body=NBody(Gaussian(eta=2.0, centers=[3.0]), powers=(2,)),
    ).fit(structures)
    equations = NormalEquations.from_structures(structures, descriptors)
    shortest = equations._extent.shortest
    energy, force, seen = natural_sizes(descriptors.terms_, ("Cu",), 4.0, equations._counts, shortest, [0])
    distances = np.concatenate([neighbor_list("d", atoms, 4.0) for atoms in structures])
    number = len(distances) / sum(map(len, structures))
    first = 0.8 * distances.min()
    rng = np.random.default_rng(0)
    sums, slopes = [], []
    for _ in range(4000):
        r = np.cbrt(rng.uniform(first**3, 4.0**3, rng.poisson(number)))
        u = rng.normal(size=(len(r), 3))
        u /= np.linalg.norm(u, axis=1, keepdims=True)
        f, df = 0.5 + 0.5 * np.cos(np.pi * r / 4.0), -0.5 * np.pi / 4.0 * np.sin(np.pi * r / 4.0)
        g = np.exp(-2.0 * (r - np.array([2.5, 3.0])[:, None]) ** 2)
        slope = g * (df - 4.0 * (r - np.array([2.5, 3.0])[:, None]) * f)
        sums.append((g * f).sum(axis=1))
        slopes.append(slope @ u)
    total = np.sqrt(np.mean(np.square(sums), axis=0))
    gradient = np.sqrt((np.array(slopes) ** 2).sum(axis=2).mean(axis=0))
    of_arms = [(0, 0), (0, 1), (1, 1)]
    expected = [0.5 * total[0], *(total[a] * total[b] for a, b in of_arms), total[1] ** 2]
    np.testing.assert_allclose(energy, np.maximum(expected, seen), rtol=0.05)
    expected = [
        gradient[0],
        *(np.hypot(gradient[a] * total[b], gradient[b] * total[a]) for a, b in of_arms),
        2 * total[1] * gradient[1],
    ]
    np.testing.assert_allclose(force, np.maximum(expected, seen), rtol=0.05)
    values = [descriptors.design_rows(atoms)[0] / len(atoms) for atoms in structures]
    np.testing.assert_allclose(seen, np.sqrt(np.mean(np.square(values), axis=0)), rtol=1e-10)


def test_weights_are_repeated_structures():
    structures = trimers(4)
    descriptors = PLIPDescriptors(cutoff=4.0).fit(structures)
    once = NormalEquations.from_structures(structures, descriptors, sample_weight=[1.0, 2.0, 1.0, 3.0])
    repeated = [structures[k] for k in (0, 1, 1, 2, 3, 3, 3)]
    twice = NormalEquations.from_structures(repeated, descriptors)
    for name, values in once._counts.arrays().items():
        np.testing.assert_allclose(values, twice._counts.arrays()[name], rtol=1e-12)


def test_unit_of_a_column_does_not_matter():
    """r^p in other units is another multiple of it."""
    structures = trimers(12)
    scales = []
    for power in (-12.0, 6.0):
        descriptors = PLIPDescriptors(
            cutoff=4.0, two_body=TwoBody(Power(power)), three_body=None, n_body=None
        )
        model = PLIPRegressor(descriptors, alpha=0.0).fit(structures)
        scales.append(model.column_scale_[0])
        assert model.n_terms_ == 1
    assert scales[1] > 1e5 * scales[0]


@pytest.mark.parametrize("as_stream", [False, True])
def test_fit_refuses_rows_that_its_potential_does_not_have(monkeypatch, as_stream):
    """What is fitted must be what the potential gives, whatever parts them."""
    original = _rows_of_each.rows_of_each

    def scaled(*arguments):
        found = original(*arguments)
        if (force_rows := arguments[-1]) is not None:
            force_rows[:, : found[1].shape[1]] *= 1.0 + 1e-5
        return found

    structures = waters(20)
    model = PLIPRegressor(PLIPDescriptors(cutoff=4.0), max_terms=10)
    model.fit(iter(structures) if as_stream else structures)
    monkeypatch.setattr(_rows_of_each, "rows_of_each", scaled)
    with pytest.raises(FitError, match=r"structure \d+ \(H2O\).* differ"):
        model.fit(iter(structures) if as_stream else structures)


@pytest.mark.filterwarnings("ignore:no term was kept")
def test_fit_checks_itself_on_few_structures(monkeypatch):
    seen = []
    original = _self_check.evaluate_checked

    def counted(potential, place, atoms, **kwargs):
        seen.append(atoms)
        return original(potential, place, atoms, **kwargs)

    monkeypatch.setattr(_self_check, "evaluate_checked", counted)
    structures = trimers(10)
    weights = [0.0] + [1.0] * 9
    PLIPRegressor(PLIPDescriptors(cutoff=4.0), repulsion=None).fit(structures, sample_weight=weights)
    assert [len(atoms) for atoms in seen] == [3, 3, 3]
    assert not any(np.array_equal(atoms.positions, structures[0].positions) for atoms in seen)
    seen.clear()
    PLIPRegressorCV(PLIPDescriptors(cutoff=4.0), max_terms=5, cv=2, repulsion=None).fit(structures)
    assert [len(atoms) for atoms in seen] == [3, 3, 3]
    seen.clear()
    large = [labeled(bulk("Cu", cubic=True) * (3, 3, n), EMT()) for n in (4, 3)]
    for atoms in large:
        atoms.calc.results["forces"] = np.random.default_rng(0).normal(size=(len(atoms), 3))
    PLIPRegressor(PLIPDescriptors(cutoff=3.0), repulsion=None).fit(large)
    assert [len(atoms) for atoms in seen] == [108]


@pytest.mark.parametrize("solver", SOLVERS)
def test_nearly_perfect_crystals(solver):
    structures = crystals("Cu", amplitude=1e-4, strain=0.0)
    model = PLIPRegressor(PLIPDescriptors(cutoff=4.0), solver=solver, alpha=1e-9, max_terms=30).fit(
        structures
    )
    _, error = force_errors(model, structures)
    assert error < 1e-2 * np.sqrt(np.mean(np.concatenate([a.get_forces() for a in structures]) ** 2))


def test_replacement_is_never_worse_than_greed_on_nearly_perfect_crystals():
    structures = crystals("Cu", amplitude=1e-4, strain=0.0)
    problem = NormalEquations.from_structures(structures, PLIPDescriptors(cutoff=4.0)).problem()
    greedy, exchanged = (SOLVERS[name](problem, 0.0, 20) for name in ("omp", "replacement"))
    assert len(exchanged) == len(greedy) == 21

    def objectives(path):
        ridge = (problem.ridge + 1e-8 * problem.scales**2) * path.coefs**2
        return residual_squares(path.coefs, problem) / problem.weight_sum + ridge.sum(axis=1)

    rounding = 1e-13 * problem.target_square / problem.weight_sum
    assert (objectives(exchanged) <= objectives(greedy) + rounding).all()


def test_weights_that_keep_no_term_warn():
    with pytest.warns(UserWarning, match="no term was kept"):
        model = PLIPRegressor(
            PLIPDescriptors(cutoff=4.0), solver="lasso_lars", energy_weight=1e-8, force_weight=1e-8
        ).fit(trimers(4))
    assert model.n_terms_ == 0


def test_squares_that_overflow_are_an_error():
    """Without a warning of NumPy before it, which says nothing to the user."""
    atoms = Atoms("Cu2", [[0, 0, 0], [0, 0, 0.05]])
    atoms.calc = SinglePointCalculator(atoms, energy=1.0)
    descriptors = PLIPDescriptors(
        cutoff=3.0, two_body=None, three_body=None, n_body=NBody(Power(-30.0), powers=(5,))
    )
    with pytest.raises(ValueError, match="overflow"):
        PLIPRegressor(descriptors).fit([atoms])
    # Or where the divisor is next to nothing.
    with pytest.raises(ValueError, match="overflow.*weights"):
        linear_problem(np.eye(3), 1, 1e-320)


def copper_gold():
    """Atoms that have neighbors of the other species within 3 Angstrom, and none of their own."""
    atoms = bulk("CuAu", "cesiumchloride", a=3.3, cubic=True) * 3
    atoms.positions += np.random.default_rng(0).normal(0, 0.03, atoms.positions.shape)
    return labeled(atoms, EMT())


def sizes_of_pairs(structures, radial, pairs):
    """Of terms with these species: sizes as energy and as force, and those in the data."""
    species = tuple(sorted({symbol for atoms in structures for symbol in atoms.symbols}))
    descriptors = PLIPDescriptors(3.0, two_body=TwoBody(radial), three_body=None, n_body=None, shared=True)
    equations = NormalEquations.from_structures(structures, descriptors.fit(structures))
    sizes = natural_sizes(
        descriptors.terms_, species, 3.0, equations._counts, equations._extent.shortest, [0]
    )
    chosen = [[term.species for term in descriptors.terms_].index(pair) for pair in pairs]
    return [size[chosen] for size in sizes]


# A function that hardly reaches the shortest distance: its size in the data does not decide.
BEFORE_THE_DATA = Gaussian(eta=40.0, centers=[2.05])


def test_natural_size_of_any_pair_with_a_species_is_that_of_the_pairs_it_has():
    """Gold has no neighbors of gold here: its pairs with any species are its pairs with copper."""
    pairs = [("*", "Au"), ("*", "Cu"), ("Au", "Cu")]
    any_, other, resolved = np.transpose(sizes_of_pairs([copper_gold()], BEFORE_THE_DATA, pairs))
    np.testing.assert_allclose(other, resolved, rtol=1e-12)
    np.testing.assert_allclose(any_, resolved, rtol=1e-12)
    assert np.all(any_[:2] > 3 * any_[2])


def test_natural_size_of_any_pair_does_not_depend_on_the_names_of_the_others():
    atoms = copper_gold()
    renamed = atoms.copy()
    renamed.symbols[np.flatnonzero(atoms.symbols == "Cu")[::3]] = "Ag"
    renamed = labeled(renamed, EMT())
    for pair in (("*", "Au"), ("*", "*")):
        expected = sizes_of_pairs([atoms], BEFORE_THE_DATA, [pair])
        np.testing.assert_allclose(sizes_of_pairs([renamed], BEFORE_THE_DATA, [pair]), expected, rtol=1e-12)
