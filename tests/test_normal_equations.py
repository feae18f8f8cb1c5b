"""Normal equations: the sums themselves, their merging and their files."""

import inspect

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.constraints import FixAtoms
from sample_fits import small_descriptors
from sample_sums import (
    assert_same,
    carbide_descriptors,
    dense_rows,
    labeled,
    labeled_carbides,
    take_labels_away,
)

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor
from plip._design._rows import Design, StructureDesign
from plip.interactions import NBody, ThreeBody, TwoBody
from plip.labels import TARGETS
from plip.radial import Gaussian
from plip.solvers import solve


@pytest.fixture
def structures():
    return labeled_carbides()


@pytest.fixture
def descriptors(structures):
    return carbide_descriptors(structures)


def test_defaults_are_those_of_the_estimators():
    estimator = PLIPRegressor().get_params()
    for function, names in (
        (NormalEquations.problem, ("energy_weight", "force_weight", "stress_weight")),
        (solve, ("solver", "refit")),
    ):
        parameters = inspect.signature(function).parameters
        assert {name: parameters[name].default for name in names} == {name: estimator[name] for name in names}
    assert inspect.signature(solve).parameters["alpha"].default == PLIPRegressor()._setting("alpha")


@pytest.mark.parametrize("missing", [False, True])
def test_problem_is_that_of_the_dense_rows(structures, descriptors, missing):
    sample_weight = np.linspace(0.5, 2.0, len(structures))
    if missing:
        take_labels_away(structures)
    equations = NormalEquations.from_structures(structures, descriptors, sample_weight=sample_weight)
    problem = equations.problem(energy_weight=3.0, force_weight=0.7, stress_weight=0.2)
    X, C, y = dense_rows(structures, descriptors, 3.0, 0.7, 0.2, sample_weight)
    projected = np.column_stack([X, y]) - C @ np.linalg.lstsq(C, np.column_stack([X, y]), rcond=None)[0]
    expected = projected.T @ projected
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    # 1e-10: the products before projection are up to 1e5 times those after it.
    np.testing.assert_allclose(
        problem.gram / scale[:-1, :-1], expected[:-1, :-1] / scale[:-1, :-1], atol=1e-10
    )
    np.testing.assert_allclose(
        problem.moment / scale[:-1, -1], expected[:-1, -1] / scale[:-1, -1], atol=1e-10
    )
    assert problem.target_square == pytest.approx(expected[-1, -1], rel=1e-10)
    n = sum(
        weight * sum(np.size(label) for label in atoms.calc.results.values())
        for weight, atoms in zip(sample_weight, structures, strict=True)
    )
    assert problem.weight_sum == pytest.approx(n, rel=1e-14)


def test_reference_energies_are_those_of_least_squares(structures, descriptors):
    equations = NormalEquations.from_structures(structures, descriptors)
    coef = np.random.default_rng(0).normal(size=len(descriptors.terms_))
    X, C, y = dense_rows(structures, descriptors, 1.0, 0.0, 0.0, np.ones(len(structures)))
    expected = np.linalg.lstsq(C, y - X @ coef, rcond=None)[0]
    found = equations.reference_energies(coef)
    assert list(found) == ["C", "Si"]
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-8)


def test_reference_energies_have_least_norm_for_one_composition(structures, descriptors):
    same = [atoms for atoms in structures if (atoms.symbols == "C").sum() == len(atoms) / 2]
    equations = NormalEquations.from_structures(same, descriptors)
    found = equations.reference_energies(np.zeros(len(descriptors.terms_)))
    assert found["C"] == pytest.approx(found["Si"], rel=1e-10)
    mean = np.mean([atoms.calc.results["energy"] / len(atoms) for atoms in same])
    assert found["C"] == pytest.approx(mean, rel=1e-10)


def test_parts_add_up_and_can_be_taken_out(structures, descriptors):
    whole = NormalEquations.from_structures(structures, descriptors)
    first = NormalEquations.from_structures(structures[:3], descriptors)
    rest = NormalEquations.from_structures(structures[3:], descriptors)
    assert_same(whole, first + rest)
    assert_same(rest, whole - first, rtol=1e-8)
    assert (first + rest).n_structures == len(structures)
    assert_same(whole, sum([first, rest]))
    coef = np.random.default_rng(1).normal(size=len(descriptors.terms_))
    a, b = whole.reference_energies(coef), (first + rest).reference_energies(coef)
    np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-8)


def test_generator_gives_the_same_sums(structures, descriptors, monkeypatch):
    monkeypatch.setattr("plip.normal_equations._batches._BATCH", 3)
    whole = NormalEquations.from_structures(structures, descriptors)
    assert_same(whole, NormalEquations.from_structures((atoms for atoms in structures), descriptors))
    with pytest.raises(TypeError, match="generator"):
        NormalEquations.from_structures((atoms for atoms in structures), descriptors, y=[0.0])
    with pytest.raises(ValueError, match="no structures"):
        NormalEquations.from_structures(iter([]), descriptors)


@pytest.mark.parametrize("first_batch", [2, 3])
def test_generator_of_structures_of_which_some_lack_labels(structures, descriptors, monkeypatch, first_batch):
    """The first two structures have no energy, so that the first batch may know no reference."""
    take_labels_away(structures)
    del structures[0].calc.results["energy"]
    monkeypatch.setattr("plip.normal_equations._batches._BATCH", first_batch)
    whole = NormalEquations.from_structures(structures, descriptors)
    assert whole.n_rows["energy"] == 4
    assert_same(whole, NormalEquations.from_structures(iter(structures), descriptors))


def test_generator_with_a_batch_without_labels(structures, descriptors, monkeypatch):
    monkeypatch.setattr("plip.normal_equations._batches._BATCH", 3)
    for atoms in structures[3:6]:
        atoms.calc = None
    with pytest.warns(UserWarning, match=r"structure 3 .* and 2 others: no label"):
        found = NormalEquations.from_structures(iter(structures), descriptors)
    assert_same(found, NormalEquations.from_structures(structures[:3] + structures[6:], descriptors))
    for atoms in structures:
        atoms.calc = None
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="no energies, forces or stresses to fit"):
        NormalEquations.from_structures(iter(structures), descriptors)


def spoil_label(atoms):
    atoms.calc.results["forces"] = np.full((len(atoms), 3), np.nan)


def spoil_position(atoms):
    atoms.positions[0] = np.nan


def empty(atoms):
    del atoms[:]


def meet(atoms):
    atoms.positions[1] = atoms.positions[0]


@pytest.mark.parametrize("spoil", [spoil_label, spoil_position, empty, meet])
def test_errors_count_within_the_whole_generator(structures, descriptors, monkeypatch, spoil):
    monkeypatch.setattr("plip.normal_equations._batches._BATCH", 3)
    spoil(structures[7])
    for X in (structures, iter(structures)):
        with pytest.raises(ValueError, match="^structure 7"):
            NormalEquations.from_structures(X, descriptors)


def test_nothing_is_left_when_all_is_taken_out(structures, descriptors):
    weights = [0.1, 0.2, 0.3, 0.7, 0.9, 1.1, 1.3, 1.7]
    equations = [
        NormalEquations.from_structures([atoms], descriptors, sample_weight=[weight])
        for atoms, weight in zip(structures, weights, strict=True)
    ]
    rest = sum(equations)
    for part in equations:
        rest = rest - part
    # The sum of the weights in another order is not exactly zero.
    assert rest.weight_sums == {"energy": 0.0, "force": 0.0, "virial": 0.0}
    assert rest.mean_squares(np.zeros((1, len(descriptors.terms_))), np.zeros((1, 2))) == {}
    with pytest.raises(ValueError, match="no target has both rows"):
        rest.problem()


def test_what_was_not_added_cannot_be_taken_out(silicon_carbide):
    train = silicon_carbide[0]
    fitted = small_descriptors().fit(train)
    some = NormalEquations.from_structures(train[::2], fitted)
    others = NormalEquations.from_structures(train[1::4], fitted)
    with pytest.raises(ValueError, match="rows to take out are not among those that were added"):
        some - others
    with pytest.raises(ValueError, match="more rows than there are"):
        others - some
    both = some + others
    assert (both - others).n_structures == some.n_structures


def test_different_terms_do_not_merge(structures, descriptors):
    other = PLIPDescriptors(cutoff=3.0, three_body=None, n_body=None).fit(structures)
    with pytest.raises(ValueError, match="same fitted descriptors"):
        NormalEquations.from_structures(structures, descriptors) + NormalEquations.from_structures(
            structures, other
        )


def test_file_holds_every_bit(structures, descriptors, tmp_path):
    equations = NormalEquations.from_structures(structures, descriptors)
    equations.save(tmp_path / "equations.npz")
    loaded = NormalEquations.load(tmp_path / "equations.npz")
    assert loaded.terms == equations.terms
    assert loaded.n_rows == equations.n_rows
    assert loaded.descriptors.get_params(deep=False).keys() == descriptors.get_params(deep=False).keys()
    assert loaded.descriptors.fit(structures).terms_ == descriptors.terms_
    assert np.array_equal(loaded.problem(1, 2, 3).gram, equations.problem(1, 2, 3).gram)
    coef = np.ones(len(descriptors.terms_))
    assert loaded.reference_energies(coef) == equations.reference_energies(coef)
    assert [path.name for path in tmp_path.iterdir()] == ["equations.npz"]


def test_file_of_something_else_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(ValueError, match="does not hold normal equations"):
        NormalEquations.load(tmp_path / "other.npz")


def test_large_structure_is_split_into_blocks(structures, descriptors, monkeypatch):
    whole = NormalEquations.from_structures(structures, descriptors)
    monkeypatch.setattr("plip.normal_equations._chunk_sums._BLOCK_ROWS", 7)
    assert_same(whole, NormalEquations.from_structures(structures, descriptors))


def test_weight_counts_like_repetition(structures, descriptors):
    weights = [1, 2, 0, 3, 1, 1, 2, 1]
    weighted = NormalEquations.from_structures(structures, descriptors, sample_weight=weights)
    repeated = [atoms for atoms, weight in zip(structures, weights, strict=True) for _ in range(weight)]
    assert_same(weighted, NormalEquations.from_structures(repeated, descriptors))


@pytest.mark.parametrize("products", [False, True])
def test_weights_of_the_targets(structures, descriptors, tmp_path, products):
    weights = np.random.default_rng(0).uniform(0.5, 2.0, (len(structures), 3))
    weights[1] = weights[2, 0] = weights[3, 1] = weights[4, 2] = 0.0
    options = {}
    if products:  # structures with more force rows than terms, kept as products of rows
        structures = [labeled(atoms * (2, 2, 1), np.random.default_rng(1)) for atoms in structures]
        options["memory"] = str(tmp_path)
    weighted = NormalEquations.from_structures(structures, descriptors, sample_weight=weights, **options)
    parts = [
        NormalEquations.from_structures(structures, descriptors, sample_weight=column, targets=(target,))
        for target, column in zip(("energy", "force", "virial"), weights.T, strict=True)
    ]
    assert_same(weighted, sum(parts))
    assert weighted.n_rows["energy"] == parts[0].n_rows["energy"] < len(structures)


@pytest.mark.parametrize("products", [False, True])
def test_memory_computes_each_structure_once(structures, descriptors, tmp_path, monkeypatch, products):
    import plip.normal_equations._row_cache as storage

    calls = []
    original = storage.StructureDesign

    def counted(design, atoms, has_virials):
        calls.append(len(atoms))
        return original(design, atoms, has_virials)

    monkeypatch.setattr(storage, "StructureDesign", counted)
    if products:  # structures with more force rows than terms
        structures = [labeled(atoms * (2, 2, 1), np.random.default_rng(1)) for atoms in structures[:3]]
    plain = NormalEquations.from_structures(structures, descriptors)
    calls.clear()
    first = NormalEquations.from_structures(structures, descriptors, memory=str(tmp_path))
    assert len(calls) == len(structures)
    second = NormalEquations.from_structures(structures[1:], descriptors, memory=str(tmp_path))
    assert len(calls) == len(structures)
    assert_same(plain, first)
    assert_same(NormalEquations.from_structures(structures[1:], descriptors), second)


@pytest.mark.parametrize(("stored", "keep"), [(False, False), (False, True), (True, False)])
def test_structures_of_some_of_the_species_update_their_columns_alone(tmp_path, monkeypatch, stored, keep):
    """Four species, of which most structures have one or two: the sums are those of whole rows.

    So they are where force rows are updated by the columns that the species of their atoms touch, which
    happens to those that are not kept.
    """
    if not keep:
        monkeypatch.setattr("plip.normal_equations._accumulation.Accumulator._kept_targets", lambda self: [])
    rng = np.random.default_rng(5)
    structures = []
    for symbols in (["Mo"], ["Nb", "W"], ["Mo", "Ta"], ["Mo"], ["Mo", "Nb", "Ta", "W"], ["W", "Nb"]):
        atoms = bulk("Mo", "bcc", a=3.2, cubic=True) * (2, 2, 2)
        atoms.symbols[:] = [symbols[k % len(symbols)] for k in range(len(atoms))]
        atoms.rattle(0.1, rng=rng)
        structures.append(labeled(atoms, rng))
    descriptors = PLIPDescriptors(
        cutoff=4.0,
        two_body=TwoBody(Gaussian(eta=1.0, centers=[2.2, 2.8, 3.4])),
        three_body=ThreeBody(Gaussian(eta=1.0, centers=[2.4, 3.2]), max_power=2, mixed=True),
        n_body=NBody(Gaussian(eta=0.5, centers=[2.6]), powers=(2, 3)),
        shared=True,
    ).fit(structures)
    memory = str(tmp_path) if stored else None
    equations = NormalEquations.from_structures(structures, descriptors, memory=memory)
    design = Design(descriptors.terms_, descriptors.species_)
    widths = [design.part(atoms).kernel.n_terms for atoms in structures]
    assert widths[0] == widths[3] < widths[1] == widths[5] < widths[4] == len(descriptors.terms_)
    assert all(len(touched) < 0.8 * widths[4] for touched in design.touched.values())
    for structure in (StructureDesign(design, structures[4]), StructureDesign(design, structures[1])):
        rows = np.empty((3 * len(structure.atoms), len(descriptors.terms_)))
        structure.write_rows(0, rows)
        for a, s in enumerate(design.species_of(structure.atoms)):
            assert not np.delete(rows[3 * a : 3 * a + 3], design.touched[s], axis=1).any()
    monkeypatch.setattr(Design, "part", lambda self, atoms: self)
    whole = NormalEquations.from_structures(structures, descriptors)
    for target, weights in zip(TARGETS, np.eye(3), strict=True):
        rows, compositions, targets = dense_rows(structures, descriptors, *weights, np.ones(6))
        if target == "energy":
            targets = targets - compositions @ equations._reference
        rows = np.column_stack([rows, compositions, targets])
        expected = rows.T @ rows
        for each in (equations, whole):
            products = each._sums[target].products
            np.testing.assert_allclose(products, expected, atol=1e-12 * np.abs(expected).max())


def test_constraints_do_not_change_the_labels(structures, descriptors):
    plain = NormalEquations.from_structures(structures, descriptors).problem()
    for atoms in structures:
        atoms.set_constraint(FixAtoms([0]))
    constrained = NormalEquations.from_structures(structures, descriptors).problem()
    assert np.array_equal(plain.moment, constrained.moment)


def test_stress_may_be_given_for_a_part(structures, descriptors):
    molecule = labeled(Atoms("SiC", [[0, 0, 0], [1.9, 0, 0]]), np.random.default_rng(0), stress=False)
    equations = NormalEquations.from_structures([*structures[:2], molecule], descriptors)
    assert equations.n_rows["virial"] == 12
    assert equations.n_rows["energy"] == 3


def test_many_columns_warn_of_memory(structures, descriptors, monkeypatch):
    monkeypatch.setattr("plip.normal_equations._batches._MANY_COLUMNS", 10)
    with pytest.warns(UserWarning, match="GB"):
        NormalEquations.from_structures(structures, descriptors)


def test_descriptors_that_are_not_finite_name_the_structure(structures):
    from plip.radial import Power

    steep = PLIPDescriptors(two_body=TwoBody(Power(powers=-2000.0)), three_body=None, n_body=None)
    close = structures[:1] + [labeled(Atoms("SiC", [[0, 0, 0], [0.5, 0, 0]]), np.random.default_rng(0))]
    with pytest.raises(ValueError, match="structure 1"):
        NormalEquations.from_structures(close, steep, stress=[None, None])


def test_fixed_reference_energies_are_taken_off(structures, descriptors):
    """Not projected out: the rows are those of the interactions and of y less the reference."""
    fixed = {"Si": -4.0, "C": -7.5, "O": 1.0}
    equations = NormalEquations.from_structures(structures, descriptors)
    equations -= NormalEquations.from_structures(structures[:2], descriptors)
    problem = equations.problem(3.0, 0.7, 0.2, reference_energies=fixed)
    X, C, y = dense_rows(structures[2:], descriptors, 3.0, 0.7, 0.2, np.ones(6))
    rows = np.column_stack([X, y - C @ [fixed["C"], fixed["Si"]]])
    expected = rows.T @ rows
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    found = np.block([[problem.gram, problem.moment[:, None]], [problem.moment, problem.target_square]])
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-10)
    coefs = np.random.default_rng(0).normal(size=(2, len(descriptors.terms_)))
    references = equations.references(coefs, fixed)
    np.testing.assert_array_equal(references, [[-7.5, -4.0]] * 2)
    X, C, y = dense_rows(structures[2:], descriptors, 1.0, 0.0, 0.0, np.ones(6))
    energies = [np.mean((X @ coef + C @ [-7.5, -4.0] - y)[: len(y)] ** 2) for coef in coefs]
    errors = equations.mean_squares(coefs, references)["energy"]
    np.testing.assert_allclose(errors, np.array(energies) * len(y) / 6, rtol=1e-9)
