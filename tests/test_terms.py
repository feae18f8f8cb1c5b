"""The table of terms: which columns there are, in what order, under which names, and their plain data."""

import copy
import dataclasses
import json
import pickle

import oracle
import pytest

from plip.interactions import FourBody, NBody, ThreeBody, TwoBody
from plip.interactions._terms import Term, build_terms
from plip.radial import Gaussian, GaussianType, LennardJones, Power, Slater

SPECIES = [("Si",), ("O", "Si"), ("H", "O", "Si")]
RANKS = (
    (0, 0, 0),
    (1, 0, 0),
    (0, 1, 0),
    (1, 1, 0),
    (0, 1, 1),
    (1, 1, 1),
    (2, 1, 0),
    (2, 1, 1),
    (1, 2, 1),
    (3, 2, 1),
)


def functions_of(*families, cutoff=5.0):
    return [function for family in families for function in family.grid(cutoff)]


def assert_columns(terms, expected):
    keys = [oracle.column_key(term) for term in terms]
    assert len(set(keys)) == len(keys)
    assert set(keys) == expected


@pytest.mark.parametrize("species", SPECIES)
def test_two_body_columns(species):
    radial = [Gaussian(eta=[0.5, 1.5], centers=[1.0, 2.0]), LennardJones(sigma=1.0)]
    terms = build_terms(species, 5.0, two_body=TwoBody(radial))
    assert_columns(terms, oracle.oracle_columns(species, two_body=functions_of(*radial)))
    n = len(species)
    assert len(terms) == 5 * n * (n + 1) // 2


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("species", SPECIES)
def test_three_body_columns(species, mixed):
    radial = [Gaussian(eta=0.5, centers=[1.0, 2.0]), Slater(powers=1.0, zeta=1.0)]
    terms = build_terms(species, 5.0, three_body=ThreeBody(radial, max_power=2, mixed=mixed))
    assert_columns(terms, oracle.oracle_columns(species, three_body=(functions_of(*radial), 2, mixed)))
    n = len(species)
    if mixed:
        assert len(terms) == 3 * n * (6 * n + 9 * (n * (n - 1) // 2))
    else:
        assert len(terms) == 3 * n * 3 * (n * (n + 1) // 2)


@pytest.mark.parametrize("species", SPECIES)
def test_n_body_columns(species):
    radial = Gaussian(eta=[0.5, 2.0], centers=[1.0, 2.0])
    terms = build_terms(species, 5.0, n_body=NBody(radial, powers=(2, 3, 7)))
    assert_columns(terms, oracle.oracle_columns(species, n_body=(functions_of(radial), (2, 3, 7))))
    assert len(terms) == 12 * len(species) ** 2


@pytest.mark.parametrize("species", SPECIES)
def test_four_body_columns_are_orbits_of_the_arms(species):
    radial = Gaussian(eta=1.0, centers=[1.0, 2.0])
    terms = build_terms(species, 5.0, four_body=FourBody(radial, ranks=RANKS))
    assert_columns(terms, oracle.oracle_columns(species, four_body=(functions_of(radial), RANKS)))
    n, arms = len(species), 2 * len(species)
    count = {rank: sum(term.power == rank for term in terms) for rank in RANKS}
    six = n * arms * (arms + 1) * (arms + 2) // 6
    two = n * arms * arms * (arms + 1) // 2
    assert count[1, 1, 1] == count[0, 0, 0] == six
    for rank in ((1, 1, 0), (0, 1, 1), (1, 0, 0), (0, 1, 0), (2, 1, 1), (1, 2, 1)):
        assert count[rank] == two
    assert count[2, 1, 0] == count[3, 2, 1] == n * arms**3


@pytest.mark.parametrize("species", SPECIES)
def test_count_is_the_number_of_columns(species):
    radial = [Gaussian(centers=3), LennardJones(sigma=1.0)]
    interactions = [
        ("two_body", TwoBody(radial, cutoff=4.0)),
        ("three_body", ThreeBody(radial, max_power=2)),
        ("three_body", ThreeBody(radial, max_power=0, mixed=True)),
        ("n_body", NBody(Gaussian(centers=2), powers=(2, 5))),
        ("n_body", NBody(Gaussian(centers=2), powers=(0.5, 2))),
        ("n_body", NBody(radial, powers=3)),
        *(("four_body", FourBody(radial[0], ranks=(rank,))) for rank in RANKS),
    ]
    for name, interaction in interactions:
        terms = build_terms(species, 5.0, **{name: interaction})
        assert interaction.count(len(species), 5.0) == len(terms)


def all_terms(species=("O", "Si")):
    radial = [Gaussian(eta=[0.5, 1.5], centers=[1.0, 2.0]), Slater(powers=[1.0, 2.0], zeta=0.7)]
    return build_terms(
        species,
        5.0,
        two_body=TwoBody(radial),
        three_body=ThreeBody(radial, max_power=3, mixed=True, cutoff=4.5),
        n_body=NBody(radial, powers=(0.5, 2, 5), switch={("Si", "O"): 1.6}),
        four_body=FourBody(Slater(powers=[1.0, 2.0], zeta=0.7), cutoff=3.5),
    )


def test_attributes():
    size = {"two-body": (2, 1), "three-body": (3, 2), "N-body": (2, 1), "four-body": (4, 3)}
    cutoff = {"two-body": 5.0, "three-body": 4.5, "N-body": 5.0, "four-body": 3.5}
    for term in all_terms():
        assert isinstance(term.species, tuple)
        assert isinstance(term.radial, tuple)
        assert (len(term.species), len(term.radial)) == size[term.interaction]
        assert isinstance(term.cutoff, float)
        assert term.cutoff == cutoff[term.interaction]
        assert all(isinstance(v, float) for f in term.radial for v in f.get_params().values())
        if term.interaction == "two-body":
            assert list(term.species) == sorted(term.species)
            assert term.power is None
        elif term.interaction == "three-body":
            assert list(term.species[1:]) == sorted(term.species[1:])
            assert term.power in range(4)
        elif term.interaction == "N-body":
            assert term.power in (0.5, 2, 5)
        else:
            assert term.power in {(1, 1, 0), (1, 1, 1), (2, 1, 0)}
        switched = term.interaction == "N-body" and set(term.species) == {"O", "Si"}
        assert term.switch == (1.6 if switched else None)


def test_order():
    terms = all_terms()
    kinds = [term.interaction for term in terms]
    assert list(dict.fromkeys(kinds)) == ["two-body", "three-body", "N-body", "four-body"]
    assert kinds == sorted(kinds, key=["two-body", "three-body", "N-body", "four-body"].index)
    assert [term.species for term in terms[:18:6]] == [("O", "O"), ("O", "Si"), ("Si", "Si")]
    # eta is the outer loop, and families follow each other as they were given.
    assert [term.radial[0].get_params() for term in terms[:5]] == [
        {"eta": 0.5, "centers": 1.0},
        {"eta": 0.5, "centers": 2.0},
        {"eta": 1.5, "centers": 1.0},
        {"eta": 1.5, "centers": 2.0},
        {"powers": 1.0, "zeta": 0.7},
    ]
    assert terms == all_terms()


def test_unmixed_arms_share_their_function():
    terms = build_terms(("O", "Si"), 5.0, three_body=ThreeBody(Gaussian(eta=1.0, centers=[1.0, 2.0])))
    assert all(term.radial[0] == term.radial[1] for term in terms)


def test_names_are_unique_and_tell_what_they_are():
    terms = all_terms()
    names = [term.name for term in terms]
    assert len(set(names)) == len(names)
    for term in terms:
        assert term.interaction in term.name
        assert all(symbol in term.name for symbol in term.species)
        assert all(type(f).__name__ in term.name for f in term.radial)


@pytest.mark.parametrize(
    "interactions",
    [
        {"two_body": TwoBody(Gaussian(eta=1.0, centers=[0.3, 0.1 + 0.2]))},
        {"two_body": TwoBody(Gaussian(eta=[1.0, 1.0 + 1e-9], centers=2.0))},
        {"two_body": TwoBody([Gaussian(eta=1.0, centers=2.0), Gaussian(eta=1.0, centers=[2.0, 3.0])])},
        {"n_body": NBody(Gaussian(eta=1.0, centers=2.0), powers=(2, 3, 2))},
        {"four_body": FourBody(Gaussian(eta=1.0, centers=2.0), ranks=((1, 11, 0), (11, 1, 0)))},
        {"four_body": FourBody(Gaussian(eta=1.0, centers=2.0), ranks=((1, 1, 0), (1, 1, 0)))},
    ],
    ids=["last digit", "ninth digit", "two families", "powers", "large ranks", "ranks"],
)
def test_no_two_columns_share_a_name(interactions):
    """Repeated functions may be refused; where they are not, the names must tell them apart."""
    try:
        terms = build_terms(("Si",), 5.0, **interactions)
    except ValueError:
        return
    assert len({term.name for term in terms}) == len(terms)


def test_formula_is_readable_text():
    terms = all_terms()
    formulas = [term.formula() for term in terms]
    assert len(set(formulas)) == len(formulas)
    for term, text in zip(terms, formulas, strict=True):
        assert isinstance(text, str)
        assert text.isprintable()
        assert all(symbol in text for symbol in term.species)
        assert f"{term.cutoff:g}" in text
        assert ("cos" in text) == (term.interaction in ("three-body", "four-body") and term.power != 0)


def test_formulas_leave_out_powers_that_change_nothing():
    decay = Slater(powers=0.0, zeta=2.0)
    assert (decay.formula(), decay.latex()) == ("exp(-2 r)", "e^{-2 r}")
    linear = GaussianType(powers=1.0, zeta=2.0)
    assert (linear.formula("d"), linear.latex("d")) == ("d exp(-2 d^2)", "d e^{-2 d^2}")
    assert (Power(powers=0.0).formula(), Power(powers=0.0).latex()) == ("1", "1")
    assert (Power(powers=-1.0).formula(), Power(powers=-1.0).latex()) == ("r^-1", "r^{-1}")
    term = Term("four-body", ["Si"] * 4, [decay] * 3, (2, 1, 0), 5.0)
    assert term.formula().endswith("fc(r_im; 5) cos(theta_jik)^2 cos(theta_kim)")


def test_terms_are_frozen_values():
    term = all_terms()[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        term.cutoff = 3.0
    for twin in (copy.copy(term), copy.deepcopy(term), pickle.loads(pickle.dumps(term))):
        assert twin == term
        with pytest.raises(AttributeError, match="cannot be changed"):
            twin.radial[0].eta = 3.0


def test_equal_terms_have_equal_hashes():
    terms, again = all_terms(), all_terms()
    assert len(set(terms)) == len(terms)
    assert [hash(term) for term in terms] == [hash(term) for term in again]
    assert {term: n for n, term in enumerate(terms)}[again[5]] == 5
    read = Term.from_dict(json.loads(json.dumps(terms[-1].to_dict())))
    assert {read, terms[-1]} == {read}
    lists = Term("four-body", ["Si"] * 4, [Gaussian(eta=1, centers=2)] * 3, [1, 1, 0], 5.0)
    tuples = Term("four-body", ("Si",) * 4, (Gaussian(eta=1.0, centers=2.0),) * 3, (1, 1, 0), 5.0)
    assert {lists: 1}[tuples] == 1


def test_a_term_has_single_functions():
    with pytest.raises(ValueError, match="not one function"):
        Term("two-body", ("Si", "Si"), (Gaussian(eta=1.0, centers=[1.0, 2.0]),))


def test_a_term_is_of_a_known_interaction():
    with pytest.raises(ValueError, match="interaction must be one of two-body, three-body"):
        Term("five-body", ("Si", "Si"), (Gaussian(eta=1.0, centers=2.0),))


@pytest.mark.parametrize(
    ("interaction", "species", "power"),
    [
        ("two-body", 3, None),
        ("two-body", 2, 1),
        ("three-body", 2, 1),
        ("three-body", 3, None),
        ("three-body", 3, [1]),
        ("N-body", 2, None),
        ("four-body", 4, 1),
        ("four-body", 4, (1, 1)),
    ],
)
def test_a_term_has_what_its_interaction_needs(interaction, species, power):
    functions = (Gaussian(eta=1.0, centers=2.0),) * (species - 1)
    with pytest.raises(ValueError, match=f"{interaction} term"):
        Term(interaction, ("Si",) * species, functions, power)


def test_unknown_interaction_is_refused():
    with pytest.raises(TypeError, match="five_body"):
        build_terms(("Si",), 5.0, five_body=TwoBody(Gaussian()))


def test_json_round_trip_is_exact():
    terms = all_terms() + build_terms(
        ("Cu",), 4.3, two_body=TwoBody(Gaussian(eta=1 / 3, centers=[0.1 + 0.2, 1.7]))
    )
    again = [Term.from_dict(item) for item in json.loads(json.dumps([term.to_dict() for term in terms]))]
    assert again == terms
    assert [t.name for t in again] == [t.name for t in terms]


BAD_DATA = {
    "no interaction": lambda d: d.pop("interaction"),
    "unknown interaction": lambda d: d.update(interaction="five-body"),
    "unknown species": lambda d: d.update(species=["Qq", "Si"]),
    "too many species": lambda d: d.update(species=["Si", "Si", "Si"]),
    "unknown family": lambda d: d["radial"][0].update(family="Yukawa"),
    "unknown parameter": lambda d: d["radial"][0].update(width=1.0),
    "bad parameter": lambda d: d["radial"][0].update(eta=-1.0),
    "no function": lambda d: d.update(radial=[]),
    "cutoff of text": lambda d: d.update(cutoff="far"),
    "negative cutoff": lambda d: d.update(cutoff=-1.0),
    "power in a two-body term": lambda d: d.update(power=3),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_refused(case):
    data = all_terms()[0].to_dict()
    Term.from_dict(data)
    BAD_DATA[case](data)
    with pytest.raises(ValueError):
        Term.from_dict(data)


BAD = {
    "fractional max_power": {"three_body": ThreeBody(Gaussian(), max_power=2.5)},
    "negative max_power": {"three_body": ThreeBody(Gaussian(), max_power=-1)},
    "max_power None": {"three_body": ThreeBody(Gaussian(), max_power=None)},
    "mixed of text": {"three_body": ThreeBody(Gaussian(), mixed="yes")},
    "power one": {"n_body": NBody(Gaussian(), powers=(1, 2))},
    "power zero": {"n_body": NBody(Gaussian(), powers=(0,))},
    "negative power": {"n_body": NBody(Gaussian(), powers=(-2,))},
    "fractional power": {"n_body": NBody(Gaussian(), powers=(2.5,))},
    "root of a function that changes sign": {"n_body": NBody(LennardJones(sigma=2.0), powers=(0.5, 2))},
    "no powers": {"n_body": NBody(Gaussian(), powers=())},
    "NaN power": {"n_body": NBody(Gaussian(), powers=(float("nan"),))},
    "negative switch": {"n_body": NBody(Gaussian(), switch={("Si", "O"): -2.4})},
    "NaN switch": {"n_body": NBody(Gaussian(), switch={("Si", "O"): float("nan")})},
    "switch without pairs": {"n_body": NBody(Gaussian(), switch={"Si": 2.4})},
    "switch of unknown species": {"n_body": NBody(Gaussian(), switch={("Si", "Qq"): 2.4})},
    "switch with two distances": {"n_body": NBody(Gaussian(), switch={("Si", "O"): 2.4, ("O", "Si"): 2.5})},
    "rank of two": {"four_body": FourBody(Gaussian(centers=2), ranks=((1, 1),))},
    "fractional rank": {"four_body": FourBody(Gaussian(centers=2), ranks=((1, 1, 0.5),))},
    "negative rank": {"four_body": FourBody(Gaussian(centers=2), ranks=((1, 1, -1),))},
    "no ranks": {"four_body": FourBody(Gaussian(centers=2), ranks=())},
    "flat ranks": {"four_body": FourBody(Gaussian(centers=2), ranks=(1, 1, 0))},
    "cutoff too large, two-body": {"two_body": TwoBody(Gaussian(), cutoff=5.1)},
    "cutoff too large, three-body": {"three_body": ThreeBody(Gaussian(), cutoff=5.1)},
    "cutoff too large, N-body": {"n_body": NBody(Gaussian(), cutoff=6.0)},
    "cutoff too large, four-body": {"four_body": FourBody(Gaussian(), cutoff=6.0)},
    "cutoff zero": {"two_body": TwoBody(Gaussian(), cutoff=0.0)},
    "cutoff negative": {"three_body": ThreeBody(Gaussian(), cutoff=-4.0)},
    "cutoff NaN": {"n_body": NBody(Gaussian(), cutoff=float("nan"))},
    "no families": {"two_body": TwoBody([])},
    "family of text": {"two_body": TwoBody("Gaussian")},
    "class for a family": {"two_body": TwoBody(Gaussian)},
    "bad grid": {"two_body": TwoBody(Gaussian(eta=-1.0, centers=[1.0]))},
    "bad grid in a list": {"n_body": NBody([Gaussian(), Slater(powers=1.0, zeta=-1.0)])},
    "wrong interaction": {"two_body": ThreeBody(Gaussian())},
    "text for an interaction": {"two_body": "all"},
    "nothing at all": {},
}


@pytest.mark.parametrize("case", BAD)
def test_bad_interactions_are_refused(case):
    with pytest.raises(ValueError):
        build_terms(("O", "Si"), 5.0, **BAD[case])


@pytest.mark.parametrize("cutoff", [0.0, -1.0, float("nan"), float("inf"), None, "5"])
def test_bad_cutoff_is_refused(cutoff):
    with pytest.raises(ValueError, match="cutoff"):
        build_terms(("Si",), cutoff, two_body=TwoBody(Gaussian()))


def test_own_cutoff_may_equal_that_of_the_descriptors():
    (term,) = build_terms(("Si",), 5.0, two_body=TwoBody(Gaussian(eta=1.0, centers=2.0), cutoff=5.0))
    assert term.cutoff == 5.0


def test_counted_centers_follow_the_cutoff_of_their_interaction():
    terms = build_terms(("Si",), 6.0, two_body=TwoBody(Gaussian(centers=4), cutoff=3.0))
    assert [t.radial[0] for t in terms] == Gaussian(centers=4).grid(3.0)


@pytest.mark.parametrize(
    ("interaction", "match"),
    [
        (
            ThreeBody(Gaussian(eta=1.0, centers=2.0), max_power=41),
            "max_power of ThreeBody: .* 0 to 40, got 41",
        ),
        (ThreeBody(Gaussian(eta=1.0, centers=2.0), max_power=10**12), "max_power of ThreeBody"),
        (
            NBody(Gaussian(eta=1.0, centers=2.0), powers=(2, 1001)),
            "powers of NBody: .* 1 to 1000, or 0.5, got 1001",
        ),
        (NBody(Gaussian(eta=1.0, centers=2.0), powers=2**32 + 2), "powers of NBody"),
        (NBody(Gaussian(eta=1.0, centers=2.0), switch={("Cu", "Cu"): 1e-300}), "switch of .* length"),
        (
            FourBody(Gaussian(eta=1.0, centers=2.0), ranks=((1, 1, 0), (21, 21, 0))),
            "ranks of FourBody: .* 40",
        ),
        (FourBody(Gaussian(eta=1.0, centers=2.0), ranks=((20, 20, 20),)), "products of monomials"),
        (FourBody(Gaussian(eta=1.0, centers=2.0), ranks=((0, 0, 2**64),)), "ranks of FourBody"),
        (TwoBody(Gaussian(eta=1.0, centers=2.0), cutoff=1e-300), "cutoff of TwoBody must be a length"),
        (TwoBody(Gaussian(eta=1.0, centers=True)), "centers must be a number"),
        (TwoBody(Gaussian(eta="1.0", centers=2.0)), "eta must be a number"),
    ],
)
def test_what_cannot_be_evaluated_is_no_term(interaction, match):
    kind = {ThreeBody: "three_body", NBody: "n_body", FourBody: "four_body", TwoBody: "two_body"}
    with pytest.raises(ValueError, match=match):
        build_terms(["Cu"], 4.0, **{kind[type(interaction)]: interaction})


def test_cutoffs_of_the_descriptors():
    for cutoff in (0.0, -1.0, 1e-300, 1e-3, 1e4, float("inf"), float("nan"), True, "5"):
        with pytest.raises(ValueError, match="cutoff must be a length"):
            build_terms(["Cu"], cutoff, two_body=TwoBody(Gaussian(eta=1.0, centers=2.0)))
