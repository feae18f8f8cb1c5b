"""The JSON Schema of potentials takes what plip writes, and refuses what a schema can refuse."""

import json
from types import SimpleNamespace

import pytest
from bad_files import BAD_FILES, GOOD_FILES
from jsonschema import Draft202012Validator
from sample_fits import small_descriptors
from test_golden import FOLDER

from plip import PLIPRegressor, Potential
from plip.interactions import Term
from plip.potential import potential_schema
from plip.radial import Gaussian

# Files that `load_potential` refuses although they fit the schema: it relates no entry to another, and takes
# 2.0 for an integer. What is no JSON, or names an entry twice, is left out before.
BEYOND_SCHEMAS = {
    *("deep where nobody looks", "lone surrogate", "lone surrogate as a key"),
    *("huge integer where nobody looks", "coefficient of 400 digits"),
    *("version is 1.0", "version 2e0", "rank with float"),
    *("power of the cosine is float", "power of a density is float"),
    *("repulsion of a pair is [1.5, 0.4]", "repulsion of 'O-Ge'", "repulsion of 'Si-O'"),
    *("core force of 'O-Ge'", "core force of 'O-O'"),
    *("density limit of another species", "species missing", "term of another species"),
    *("reference energy missing", "reference energy too much"),
    *("rank: too large together", "rank: too many products"),
}


@pytest.fixture(scope="module")
def validator():
    schema = potential_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def parsed(content):
    """The document, or None where it is no JSON or has a name twice."""

    def object_of(pairs):
        if len(dict(pairs)) < len(pairs):
            raise ValueError
        return dict(pairs)

    def number(text):
        if abs(float(text)) == float("inf"):
            raise ValueError
        return float(text)

    def refused(text):
        raise ValueError(text)

    try:
        text = content.decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=object_of, parse_constant=refused, parse_float=number)
    except (ValueError, RecursionError):
        return None


def potential_of(terms, species=("O", "Si"), **options):
    descriptors = SimpleNamespace(terms_=terms, species_=species)
    return Potential(descriptors, [0.5] * len(terms), dict.fromkeys(species, -1.0), **options)


ANY_PAIR = Term("two-body", ("*", "*"), (Gaussian(eta=1.0, centers=2.0),))
ROOT = Term("N-body", ("*", "Si"), (Gaussian(eta=1.0, centers=2.0),), 0.5)


@pytest.mark.parametrize(("terms", "version"), [([ANY_PAIR], 3), ([ANY_PAIR, ROOT], 4), ([], 2)])
def test_files_of_every_version_that_is_written(validator, terms, version, tmp_path):
    potential_of(terms).save(tmp_path / "model.json")
    document = json.loads((tmp_path / "model.json").read_text())
    assert document["version"] == version
    validator.validate(document)
    if terms:
        assert not validator.is_valid(document | {"version": version - 1})


def test_potentials_with_forces_of_the_repulsion_need_a_version(validator, tmp_path):
    repulsion = {("O", "Si"): (0.4, 1.5)}
    for forces, version in (None, 2), ({}, 2), ({("O", "Si"): 7.5}, 5):
        potential_of([], repulsion=repulsion, core_forces=forces).save(tmp_path / "model.json")
        document = json.loads((tmp_path / "model.json").read_text())
        assert document["version"] == version
        validator.validate(document)
    assert not validator.is_valid(document | {"version": 4})


def test_files_of_the_first_version(validator):
    document = json.loads((FOLDER / "potential.json").read_text())
    assert document["version"] == 1
    validator.validate(document)


def test_file_of_a_fit_with_all_that_it_may_hold(validator, silicon_carbide, tmp_path):
    model = PLIPRegressor(small_descriptors(), max_terms=6).fit(silicon_carbide[0])
    about = {"authors": ["Ada"], "license": "CC0-1.0", "citation": "Ada (2026)"}
    model.potential_.with_about(about).save(tmp_path / "model.json", uncertainty=True)
    document = json.loads((tmp_path / "model.json").read_text())
    # Every entry that the schema knows is in this file, and nothing else.
    assert set(document) == set(potential_schema()["properties"])
    assert all(document[name] is not None for name in document)
    validator.validate(document)
    document["about"]["authors"] = "Ada"
    assert not validator.is_valid(document)


@pytest.mark.parametrize("name", GOOD_FILES)
def test_unusual_files_fit(validator, name):
    validator.validate(json.loads(GOOD_FILES[name].decode("utf-8-sig")))


def test_bad_files_do_not_fit(validator):
    documents = {name: parsed(content) for name, content in BAD_FILES.items()}
    documents = {name: document for name, document in documents.items() if document is not None}
    assert len(documents) > 200
    # Python 3.13 and later read it.
    documents.pop("very deep where nobody looks", None)
    assert {name for name, document in documents.items() if validator.is_valid(document)} == BEYOND_SCHEMAS
