"""PLIPDescriptors as scikit-learn and ASE users meet it."""

import copy
import pickle

import numpy as np
import oracle
import pandas as pd
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from sample_structures import SAMPLE_NAMES, sample
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from plip import PLIPDescriptors
from plip.descriptors import load_descriptors
from plip.descriptors._automatic import automatic_cutoff
from plip.interactions import FourBody, NBody, ThreeBody, TwoBody
from plip.normal_equations import NormalEquations
from plip.radial import Gaussian, Lorentzian, Slater, StillingerWeber


def small(**parameters):
    """Descriptors with few columns."""
    parameters = {
        "cutoff": 3.5,
        "two_body": TwoBody(Gaussian(centers=3)),
        "three_body": ThreeBody(Gaussian(centers=2), max_power=2),
        "n_body": NBody(Gaussian(centers=2), powers=(2,)),
    } | parameters
    return PLIPDescriptors(**parameters)


@pytest.fixture
def structures():
    return [sample(name)[0] for name in ("two species", "three species", "molecule", "triclinic", "chain")]


# ------------------------------------------------------------------------------
# fit
# ------------------------------------------------------------------------------


def test_constructor_only_assigns():
    cutoff, two_body, species = np.array(-1.0), object(), ["Si"]
    descriptors = PLIPDescriptors(cutoff=cutoff, two_body=two_body, species=species)
    assert descriptors.cutoff is cutoff
    assert descriptors.two_body is two_body
    assert descriptors.species is species


def test_defaults():
    parameters = PLIPDescriptors().get_params(deep=False)
    assert parameters == {
        "cutoff": "auto",
        "two_body": "auto",
        "three_body": "auto",
        "n_body": "auto",
        "four_body": None,
        "species": None,
        "atom_counts": False,
        "shared": "auto",
    }


def test_fit_learns_species_and_terms(structures):
    descriptors = small()
    assert descriptors.fit(structures) is descriptors
    symbols = sorted({symbol for atoms in structures for symbol in atoms.get_chemical_symbols()})
    assert tuple(descriptors.species_) == tuple(symbols)
    rc = 3.5
    expected = oracle.oracle_columns(
        symbols,
        two_body=Gaussian(centers=3).grid(rc),
        three_body=(Gaussian(centers=2).grid(rc), 2, False),
        n_body=(Gaussian(centers=2).grid(rc), (2,)),
    )
    keys = [oracle.column_key(term) for term in descriptors.terms_]
    assert len(keys) == len(set(keys))
    assert set(keys) == expected


def test_fit_does_not_touch_parameters(structures):
    descriptors = small()
    before = copy.deepcopy(descriptors.get_params())
    descriptors.fit(structures)
    assert descriptors.get_params() == before


def test_columns_do_not_depend_on_the_order_of_structures(structures):
    names = [t.name for t in small().fit(structures).terms_]
    assert [t.name for t in small().fit(structures[::-1]).terms_] == names
    assert PLIPDescriptors().fit(structures).terms_ == PLIPDescriptors().fit(structures[::-1]).terms_


def test_what_is_ready_for_the_kernels_serves_until_the_next_fit(structures):
    descriptors = small().fit(structures[:1])
    size = len(pickle.dumps(descriptors))
    ready = descriptors._design()
    descriptors.design_rows(structures[0])
    assert descriptors._design() is ready
    assert len(pickle.dumps(descriptors)) == size
    descriptors.fit(structures[:2])
    assert descriptors.design_rows(structures[1])[0].shape == (len(descriptors.terms_),)
    assert descriptors._design() is not ready


def test_given_species_are_columns_even_if_absent():
    water = Atoms("OHH", [[0, 0, 0], [0.96, 0, 0], [-0.2, 0.93, 0]])
    descriptors = small(species=("Si", "O", "H")).fit([water])
    assert tuple(descriptors.species_) == ("H", "O", "Si")
    columns = descriptors.transform([water])[0]
    assert all(
        value == 0.0 for value, t in zip(columns, descriptors.terms_, strict=True) if "Si" in t.species
    )
    assert columns.any()


def test_fit_twice_forgets_the_first_time(structures):
    descriptors = small().fit(structures)
    descriptors.set_params(cutoff=3.0).fit(structures[:1])
    assert tuple(descriptors.species_) == ("C", "Si")
    assert {t.cutoff for t in descriptors.terms_} == {3.0}


BAD = {
    "cutoff zero": {"cutoff": 0.0},
    "cutoff negative": {"cutoff": -2.0},
    "cutoff NaN": {"cutoff": np.nan},
    "cutoff infinite": {"cutoff": np.inf},
    "interaction cutoff beyond": {"two_body": TwoBody(Gaussian(centers=3), cutoff=3.6)},
    "three-body cutoff NaN": {"three_body": ThreeBody(Gaussian(centers=3), cutoff=np.nan)},
    "odd Lorentzian": {"two_body": TwoBody(Lorentzian(centers=[2.0], exponents=3))},
    "negative eta": {"n_body": NBody(Gaussian(eta=-1.0, centers=[2.0]))},
    "SW gamma": {"three_body": ThreeBody(StillingerWeber(gamma=0.5, onset=1.0))},
    "Slater zeta": {"two_body": TwoBody(Slater(powers=1.0, zeta=-0.5))},
    "N-body power 1": {"n_body": NBody(Gaussian(centers=3), powers=(1,))},
    "N-body power 2.5": {"n_body": NBody(Gaussian(centers=3), powers=(2.5,))},
    "three-body max_power": {"three_body": ThreeBody(Gaussian(centers=3), max_power=-1)},
    "four-body rank": {"four_body": FourBody(Gaussian(centers=1), ranks=((1, 0),))},
    "unknown word": {"two_body": "automatic"},
    "family in place of an interaction": {"two_body": Gaussian(centers=3)},
    "unknown species": {"species": ("Si", "C", "Qq")},
    "no species": {"species": ()},
    "nothing": {"two_body": None, "three_body": None, "n_body": None},
}


@pytest.mark.parametrize("case", BAD)
def test_bad_parameters_are_refused_in_fit(case):
    descriptors = small(**BAD[case])
    with pytest.raises(ValueError):
        descriptors.fit([sample("two species")[0]])


def test_species_outside_the_given_ones_are_refused():
    with pytest.raises(ValueError, match="structure 1.*C"):
        small(species=("Si",)).fit([sample("bulk")[0], sample("two species")[0]])


# ------------------------------------------------------------------------------
# transform
# ------------------------------------------------------------------------------


def test_transform_shape_and_rows(structures):
    descriptors = small().fit(structures)
    columns = descriptors.transform(structures)
    assert columns.shape == (len(structures), len(descriptors.terms_))
    assert columns.dtype == np.float64
    for row, atoms in zip(columns, structures, strict=True):
        np.testing.assert_array_equal(descriptors.transform([atoms])[0], row)
    np.testing.assert_array_equal(small().fit_transform(structures), columns)
    np.testing.assert_array_equal(descriptors.transform(tuple(structures)), columns)
    np.testing.assert_array_equal(descriptors.transform(structures[::-1]), columns[::-1])


def test_transform_before_fit():
    with pytest.raises(NotFittedError):
        small().transform([sample("bulk")[0]])


def test_transform_refuses_unknown_species():
    descriptors = small().fit([sample("bulk")[0]])
    with pytest.raises(ValueError, match="structure 1"):
        descriptors.transform([sample("bulk")[0], sample("slab")[0]])


@pytest.mark.parametrize("method", ["fit", "transform"])
def test_a_single_structure_is_not_a_sequence(method):
    atoms = sample("bulk")[0]
    with pytest.raises(TypeError):
        getattr(small().fit([atoms]), method)(atoms)


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_input_is_not_modified(name):
    atoms, _ = sample(name)
    atoms.positions += 2.7 * np.array(atoms.cell).sum(axis=0)  # out of the cell: nobody may wrap it back
    atoms.info["tag"], atoms.arrays["mark"] = "mine", np.arange(len(atoms))
    atoms.calc = EMT()
    twin = atoms.copy()
    descriptors = small().fit([atoms])
    descriptors.transform([atoms])
    descriptors.design_rows(atoms, forces=True, virial=True)
    assert atoms == twin
    assert atoms.info == twin.info
    assert set(atoms.arrays) == set(twin.arrays)
    assert all(np.array_equal(atoms.arrays[key], twin.arrays[key]) for key in twin.arrays)
    assert isinstance(atoms.calc, EMT)
    assert atoms.calc.results == {}


def test_isolated_atoms_alone_can_be_described():
    atoms = [Atoms("H"), Atoms("He")]
    columns = PLIPDescriptors().fit_transform(atoms)
    assert columns.shape[1] > 0
    np.testing.assert_array_equal(columns, 0.0)


def test_read_only_and_strided_positions():
    atoms, _ = sample("bulk")
    expected = small().fit_transform([atoms])
    twin = atoms.copy()
    twin.arrays["positions"] = np.asfortranarray(atoms.positions)
    twin.arrays["positions"].flags.writeable = False
    np.testing.assert_array_equal(small().fit_transform([twin]), expected)


# ------------------------------------------------------------------------------
# "auto"
# ------------------------------------------------------------------------------


def alloy(symbols, seed=0):
    """A rattled cell with two atoms of each species."""
    rng = np.random.default_rng(seed)
    atoms = Atoms(list(symbols) * 2, cell=[2.8 * len(symbols), 5.6, 2.8], pbc=True)
    atoms.positions = [[2.8 * (i % len(symbols)), 2.8 * (i // len(symbols)), 0] for i in range(len(atoms))]
    atoms.positions += rng.normal(scale=0.1, size=(len(atoms), 3))
    return atoms


@pytest.mark.parametrize("cutoff", [3.5, 5.0, 7.0])
@pytest.mark.parametrize("n_species", [1, 2, 3, 4, 5])
def test_auto_size(n_species, cutoff):
    symbols = ("Al", "Cu", "Fe", "Ni", "Ti")[:n_species]
    descriptors = PLIPDescriptors(cutoff=cutoff).fit([alloy(symbols)])
    terms = descriptors.terms_
    # "At most about 800": five percent is about.
    assert 50 <= len(terms) <= 840
    assert {t.interaction for t in terms} == {"two-body", "three-body", "N-body"}
    assert max(t.cutoff for t in terms) == cutoff
    shared = [t for t in terms if "*" in t.species]
    assert bool(shared) == (n_species > 1)
    # The structure holds all species, so that every combination is on offer beside what is shared.
    particular = [t for t in terms if "*" not in t.species]
    pairs = {t.species for t in particular if t.interaction == "two-body"}
    assert len(pairs) == n_species * (n_species + 1) // 2
    assert {t.species for t in particular if t.interaction == "N-body"} == {
        (a, b) for a in symbols for b in symbols
    }
    assert len({t.species for t in particular if t.interaction == "three-body"}) == n_species * len(pairs)
    columns = descriptors.transform([alloy(symbols)])
    assert np.isfinite(columns).all()
    assert len({t.name for t in terms}) == len(terms)


def test_auto_with_many_species():
    symbols = ("Al", "Co", "Cr", "Cu", "Fe", "Mo", "Ni", "Ti")
    terms = PLIPDescriptors().fit([alloy(symbols)]).terms_
    assert len(terms) <= 840
    assert {s for t in terms for s in t.species} == {*symbols, "*"}


def test_auto_can_be_mixed_with_given_interactions():
    atoms = alloy(("Al", "Cu"))
    two_body = TwoBody(Gaussian(eta=1.0, centers=[1.0, 2.0]))
    terms = PLIPDescriptors(two_body=two_body, three_body=None).fit([atoms]).terms_
    assert sum(t.interaction == "two-body" for t in terms) == 6
    assert {t.interaction for t in terms} == {"two-body", "N-body"}


# ------------------------------------------------------------------------------
# Names, counts, and the manners of scikit-learn
# ------------------------------------------------------------------------------


def test_feature_names(structures):
    descriptors = small().fit(structures)
    names = descriptors.get_feature_names_out()
    assert list(names) == [t.name for t in descriptors.terms_]
    assert len(set(names)) == len(names)
    with pytest.raises(NotFittedError):
        small().get_feature_names_out()


def test_atom_counts_come_in_front(structures):
    plain = small().fit(structures)
    counting = small(atom_counts=True).fit(structures)
    columns = counting.transform(structures)
    n_species = len(counting.species_)
    counts = [[list(atoms.symbols).count(symbol) for symbol in counting.species_] for atoms in structures]
    np.testing.assert_array_equal(columns[:, :n_species], counts)
    np.testing.assert_array_equal(columns[:, n_species:], plain.transform(structures))
    assert counting.terms_ == plain.terms_
    names = list(counting.get_feature_names_out())
    assert len(names) == len(set(names)) == columns.shape[1]
    assert names[n_species:] == [t.name for t in counting.terms_]
    assert all(symbol in name for symbol, name in zip(counting.species_, names, strict=False))


@pytest.mark.parametrize("atom_counts", [False, True])
def test_set_output_pandas(structures, atom_counts):
    descriptors = small(atom_counts=atom_counts)
    expected = descriptors.fit_transform(structures)
    frame = descriptors.set_output(transform="pandas").fit(structures).transform(structures)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == list(descriptors.get_feature_names_out())
    np.testing.assert_array_equal(frame.to_numpy(), expected)
    assert isinstance(descriptors.fit_transform(structures), pd.DataFrame)


def test_nested_parameters(structures):
    descriptors = PLIPDescriptors(three_body=ThreeBody(Gaussian(centers=4)), n_body=None)
    parameters = descriptors.get_params()
    assert parameters["three_body__max_power"] == 5
    assert parameters["three_body__radial__centers"] == 4
    descriptors.set_params(cutoff=4.0, three_body__max_power=1, three_body__radial__centers=2, two_body=None)
    assert descriptors.get_params()["three_body__radial__centers"] == 2
    n_species = len(descriptors.fit(structures).species_)
    assert len(descriptors.terms_) == n_species * n_species * (n_species + 1) // 2 * 2 * 2
    with pytest.raises(ValueError, match="nonsense"):
        descriptors.set_params(three_body__nonsense=1)


def test_clone_is_independent_and_unfitted(structures):
    descriptors = small().fit(structures)
    twin = clone(descriptors)
    assert not hasattr(twin, "terms_")
    assert twin.three_body is not descriptors.three_body
    assert twin.three_body == descriptors.three_body
    twin.set_params(three_body__radial__centers=7)
    assert descriptors.three_body.radial.centers == 2


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))], ids=["copy", "pickle"]
)
def test_copies_work(structures, duplicate):
    structures = structures[:1]
    descriptors = small(four_body=FourBody(Gaussian(centers=2))).fit(structures)
    twin = duplicate(descriptors)
    np.testing.assert_array_equal(twin.transform(structures), descriptors.transform(structures))
    assert twin.terms_ == descriptors.terms_


def test_subclasses_of_users_reach_files_and_other_processes(structures, tmp_path):
    class Narrow(Gaussian):
        def __init__(self, centers=(2.0, 3.0)):
            super().__init__(eta=4.0, centers=centers)

    class Angles(ThreeBody):
        pass

    structures = structures[:1]
    plain = small(two_body=TwoBody(Gaussian(eta=4.0, centers=[2.0, 3.0]))).fit(structures)
    descriptors = small(two_body=TwoBody(Narrow()), three_body=Angles(Gaussian(centers=2), max_power=2))
    assert descriptors.fit(structures).terms_ == plain.terms_
    # Other processes do not have the class.
    assert pickle.loads(pickle.dumps(descriptors._design())).terms == tuple(plain.terms_)
    descriptors.save(tmp_path / "descriptors.json")
    loaded = load_descriptors(tmp_path / "descriptors.json")
    assert loaded.terms_ == plain.terms_ and loaded.two_body == plain.two_body


def test_terms_of_fitted_descriptors_survive_set_params(structures):
    """What was fitted stays as it was until the next fit."""
    descriptors = small().fit(structures)
    expected = descriptors.transform(structures)
    descriptors.set_params(two_body__radial__centers=9, cutoff=2.0)
    np.testing.assert_array_equal(descriptors.transform(structures), expected)


def test_pipeline(structures):
    pipeline = make_pipeline(small(atom_counts=True), StandardScaler())
    scaled = pipeline.fit_transform(structures)
    assert scaled.shape == (len(structures), len(pipeline.get_feature_names_out()))
    assert np.isfinite(scaled).all()


def test_repr_names_the_parameters():
    assert "three_body" in repr(small()) or "ThreeBody" in repr(small())


def curve_of_pairs(distances, force):
    """Isolated pairs that attract each other with a force (eV/Angstrom) of their distance."""
    pairs = [Atoms("Cu2", [[0, 0, 0], [0, 0, r]]) for r in distances]
    for atoms, r in zip(pairs, distances, strict=True):
        forces = [[0, 0, force(r)], [0, 0, -force(r)]]
        atoms.calc = SinglePointCalculator(atoms, forces=forces)
    return pairs


def test_automatic_cutoff_of_many_structures(monkeypatch):
    crystals = [bulk("Cu", a=3.6 + 0.002 * k) for k in range(50)]
    whole = automatic_cutoff(crystals)
    monkeypatch.setattr("plip.descriptors._automatic._STRUCTURES", 20)
    monkeypatch.setattr("plip.descriptors._automatic._OF_SPECIES", 3)
    assert automatic_cutoff(crystals) == pytest.approx(whole, abs=0.11)
    # Cesium is far from its neighbors, wherever in the data it is.
    for place in (1, 24, 48):
        data = [*crystals[:place], bulk("Cs"), *crystals[place:]]
        assert automatic_cutoff(data) == automatic_cutoff([bulk("Cs"), *crystals]) > whole + 2.0


def test_automatic_cutoff_follows_pairs_in_a_fit():
    crystal = bulk("Cu", cubic=True)
    crystal.calc = SinglePointCalculator(crystal, energy=-14.0, forces=np.zeros((4, 3)))
    without = PLIPDescriptors().fit([crystal]).cutoff_
    distances = np.linspace(2.0, 6.5, 46)
    for force, wanted in (
        (lambda r: max(5.2 - r, 0.0) ** 2 + 1e-9, 5.2),  # it ends
        (lambda r: max(3.0 - r, 0.0) ** 2 + 1e-9, 3.0),
        (lambda r: np.exp(2.0 - r), 6.5),  # still seven percent at 4.6
        (lambda r: np.exp(3.0 * (2.0 - r)), without),
    ):
        data = [crystal, *curve_of_pairs(distances, force)]
        found = NormalEquations.from_structures(data, PLIPDescriptors()).descriptors.cutoff_
        assert found == pytest.approx(wanted, abs=0.11), wanted
    few = [crystal, *curve_of_pairs(distances[::8], lambda r: max(5.2 - r, 0.0) ** 2 + 1e-9)]
    assert NormalEquations.from_structures(few, PLIPDescriptors()).descriptors.cutoff_ == without
