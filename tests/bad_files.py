"""Files of potentials that every reader must refuse, and unusual ones that every reader must take.

`plip.load_potential` and the LAMMPS plugin are both tested with all of them.
"""

import copy
import json

RADIAL = {
    "Gaussian": {"eta": 1.5, "centers": 2.0},
    "Slater": {"powers": 1.0, "zeta": 0.7},
    "GaussianType": {"powers": 1.0, "zeta": 0.3},
    "StillingerWeber": {"gamma": -1.0, "onset": 1.0},
    "Power": {"powers": -2.0},
    "Lorentzian": {"centers": 2.0, "exponents": 4.0},
    "LogNormal": {"onsets": 1.0, "scales": 1.2},
    "LennardJones": {"sigma": 1.7},
}


def _radial(family, **changes):
    return {"family": family, **RADIAL[family], **changes}


def _term(interaction, species, families, **others):
    radial = [_radial(family) for family in families]
    return {"coefficient": 0.5, "interaction": interaction, "species": species, "radial": radial} | others


def document():
    """A potential with every interaction and every family, as plain data."""
    return {
        "format": "plip-potential",
        "version": 2,
        "plip": "0.1.0",
        "units": {"energy": "eV", "length": "Angstrom"},
        "species": ["O", "Si"],
        "reference_energies": {"O": -1.0, "Si": -2.0},
        "repulsion": {"O-Si": [0.4, 1.5], "Si-Si": [0.5, 2.0]},
        "density_limits": {"Si": {"range": 3.2, "limit": 5.0}},
        "terms": [
            *(_term("two-body", ["O", "Si"], [family], cutoff=4.0) for family in RADIAL),
            _term("three-body", ["Si", "O", "Si"], ["Gaussian", "Slater"], cutoff=3.5, power=2),
            _term("N-body", ["O", "Si"], ["Gaussian"], cutoff=4.0, power=4, switch=1.6),
            _term("four-body", ["Si", "O", "O", "Si"], ["Gaussian"] * 3, cutoff=3.0, power=[1, 1, 0]),
        ],
    }


def _any(n, species, version=3):
    """The document in a newer version of the format, with other species of a term."""
    result = _changed(["terms", n, "species"], species)
    return result | {"version": version}


FAMILY = {family: n for n, family in enumerate(RADIAL)}
TWO_BODY, THREE_BODY, N_BODY, FOUR_BODY = 0, len(RADIAL), len(RADIAL) + 1, len(RADIAL) + 2


def _changed(path, value):
    """The document with one value replaced; `path` ends in the key."""
    result = document()
    target = result
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return result


def _species(symbol):
    """The document with one species more."""
    return document() | {"species": ["O", "Si", symbol], "reference_energies": {"O": 0, "Si": 0, symbol: 0}}


def _without(*path):
    result = document()
    target = result
    for key in path[:-1]:
        target = target[key]
    del target[path[-1]]
    return result


def _replaced(old, new):
    text = json.dumps(document())
    assert text.count(old) >= 1
    return text.replace(old, new, 1)


NO_NUMBERS = {"true": True, "null": None, "text": "1.0", "list": [1.0], "object": {}}
NO_INTEGERS = NO_NUMBERS | {"fraction": 2.7, "float": 2.0, "2^32 + 1": 2**32 + 1, "2^64 + 2": 2**64 + 2}
NO_LENGTHS = {"zero": 0.0, "negative": -4.0, "denormal": 5e-324, "tiny": 1e-9, "huge": 1e300, "far": 1e5}


def bad_files():
    """Name: bytes of the file."""
    d = document
    files = {
        # No JSON
        "empty": b"",
        "blank": b" \n",
        "binary": b"\x80\x04\xff\x00",
        "cut off": json.dumps(d()).encode()[:-40],
        "more behind": json.dumps(d()).encode() + b"{}",
        "byte zero behind": json.dumps(d()).encode() + b"\x00 anything",
        "Latin-1": json.dumps(d()).encode().replace(b"0.1.0", b"0.1.\xe9"),
        "UTF-16": json.dumps(d()).encode("utf-16"),
        "UTF-32": json.dumps(d()).encode("utf-32"),
        "lone surrogate": _replaced('"0.1.0"', '"\\ud800"'),
        "lone surrogate as a key": _replaced('"plip"', '"\\udc00"'),
        "comment": "// a potential\n" + json.dumps(d()),
        "comma at the end": _replaced('"O": -1.0', '"O": -1.0,').replace("-2.0}", "-2.0,}"),
        "single quotes": json.dumps(d()).replace('"', "'"),
        "control character": _replaced('"0.1.0"', '"0.1\t0"'),
        "deep": "[" * 100_000 + "]" * 100_000,
        "deep in a term": _changed(["terms", 0, "radial"], json.loads("[" * 40 + "]" * 40)),
        "deep where nobody looks": _changed(["comment"], json.loads("[" * 40 + "]" * 40)),
        "very deep where nobody looks": _replaced('"0.1.0"', "[" * 5000 + "]" * 5000),
        "huge integer where nobody looks": _replaced('"0.1.0"', "1" + "0" * 400),
        "huge number where nobody looks": _replaced('"0.1.0"', "1e999"),
        "NaN where nobody looks": _replaced('"0.1.0"', "NaN"),
        # No potential
        "a number": "1",
        "null": "null",
        "a list": "[1, 2]",
        "a list of potentials": json.dumps([d()]),
        "no format": _without("format"),
        "another format": _changed(["format"], "plip-normal-equations"),
        "format is a list": _changed(["format"], ["plip-potential"]),
        "no version": _without("version"),
        **{f"version is {v!r}": _changed(["version"], v) for v in (0, -1, 2.5, 1.0, True, None, "1", 99)},
        "version 2^64 + 1": _changed(["version"], 2**64 + 1),
        "version -2^64": _changed(["version"], -(2**64)),
        "version 2e0": _replaced('"version": 2', '"version": 2e0'),
        # Outside the data
        **{f"repulsion is {v!r}": _changed(["repulsion"], v) for v in (True, [], "auto", 1)},
        **{
            f"repulsion of a pair is {v!r}": _changed(["repulsion", "O-Si"], v)
            for v in (1.5, [1.5], [1, 2, 3], [1.5, 0.4], [0, 1.5], [0.4, 1e5], [True, 1.5], ["a", 1.5], {})
        },
        **{
            f"repulsion of {pair!r}": _changed(["repulsion", pair], [0.4, 1.5])
            for pair in ("O", "O-Ge", "O-Si-O", "-", "", "O-", "Si-O")
        },
        **{f"core forces are {v!r}": _changed(["core_forces"], v) | {"version": 5} for v in (True, [], 1)},
        **{
            f"core force is {v!r}": _changed(["core_forces"], {"O-Si": v}) | {"version": 5}
            for v in (0, -1.5, True, "a", None, [7.5], {})
        },
        **{
            f"core force of {pair!r}": _changed(["core_forces"], {pair: 7.5}) | {"version": 5}
            for pair in ("O", "O-Ge", "O-Si-O", "-", "", "O-", "O-O")
        },
        "core force in version 4": _changed(["core_forces"], {"O-Si": 7.5}) | {"version": 4},
        **{f"density limits are {v!r}": _changed(["density_limits"], v) for v in (True, [], 1)},
        **{
            f"density limit is {v!r}": _changed(["density_limits", "Si"], v)
            for v in (
                5.0,
                [3.2, 5.0],
                {"range": 3.2},
                {"range": 3.2, "limit": 5.0, "width": 1.0},
                {"range": 0.0, "limit": 5.0},
                {"range": 3.2, "limit": 0.0},
                {"range": 3.2, "limit": -5.0},
                {"range": 3.2, "limit": True},
                {"range": 1e5, "limit": 5.0},
            )
        },
        "density limit of another species": _changed(["density_limits", "Ge"], {"range": 3.2, "limit": 5.0}),
        "no units": _without("units"),
        "no unit of length": _without("units", "length"),
        "other units": _changed(["units", "energy"], "Ry"),
        "one unit more": _changed(["units", "mass"], "u"),
        "units is text": _changed(["units"], "eV, Angstrom"),
        # Species
        "no species": _without("species"),
        "species is empty": d() | {"species": [], "reference_energies": {}, "terms": []},
        "species is text": _changed(["species"], "OSi"),
        "species is an object": _changed(["species"], {"0": "O", "1": "Si"}),
        "species twice": _changed(["species"], ["O", "Si", "O"]),
        "species unknown": _species("Xx"),
        "species with a blank": _species(" "),
        "species in small letters": _species("al"),
        "species with a zero": _species("C\0"),
        "species without name": _species(""),
        "species is a number": _changed(["species"], ["O", 14]),
        "species missing": _changed(["species"], ["Si"]),
        "no reference energies": _without("reference_energies"),
        "reference energies are a list": _changed(["reference_energies"], [-1.0, -2.0]),
        "reference energy missing": _without("reference_energies", "Si"),
        "reference energy too much": _changed(["reference_energies", "C"], 0.0),
        "reference energy twice": _replaced('"O": -1.0', '"O": -1.0, "O": -1.0'),
        # Terms
        "no terms": _without("terms"),
        "terms are an object": _changed(["terms"], {"0": d()["terms"][0]}),
        "terms are null": _changed(["terms"], None),
        "term is text": _changed(["terms", 0], "x"),
        "term is a list": _changed(["terms", 0], list(d()["terms"][0].items())),
        "term with a name twice": _replaced('"cutoff": 4.0', '"cutoff": 4.0, "cutoff": 4.0'),
        "term with an unknown key": _changed(["terms", 0, "swich"], 2.0),
        "format twice": _replaced('{"format"', '{"format": "plip-potential", "format"'),
        "interaction unknown": _changed(["terms", 0, "interaction"], "five-body"),
        "interaction is a list": _changed(["terms", 0, "interaction"], ["two-body"]),
        "interaction by number": _changed(["terms", 0, "interaction"], 0),
        "term of another species": _changed(["terms", 0, "species"], ["O", "C"]),
        "term of too few species": _changed(["terms", 0, "species"], ["O"]),
        "term of too many species": _changed(["terms", 0, "species"], ["O", "O", "O"]),
        "term's species is text": _changed(["terms", 0, "species"], "OO"),
        "term's species is a number": _changed(["terms", 0, "species"], ["O", 1]),
        "any species in version 2": _any(TWO_BODY, ["*", "*"], version=2),
        "any species in version 1": _any(N_BODY, ["O", "*"], version=1),
        "any species twice in one place": _any(TWO_BODY, ["**", "*"]),
        "any species with a blank": _any(TWO_BODY, ["* ", "*"]),
        "any species with a zero": _any(TWO_BODY, ["*\0", "*"]),
        "any species as a number": _any(TWO_BODY, [-2, "*"]),
        "too many of any species": _any(TWO_BODY, ["*", "*", "*"]),
        "any as a species": _changed(["species"], ["O", "Si", "*"])
        | {"version": 3, "reference_energies": {"O": 0, "Si": 0, "*": 0}},
        "reference energy of any species": _any(TWO_BODY, ["*", "*"])
        | {"reference_energies": {"O": -1.0, "Si": -2.0, "*": 0.0}},
        "repulsion of any species": _changed(["repulsion", "*-Si"], [0.4, 1.5]) | {"version": 3},
        "density limit of any species": _changed(["density_limits", "*"], {"range": 3.2, "limit": 5.0})
        | {"version": 3},
        "radial is an object": _changed(["terms", 0, "radial"], _radial("Gaussian")),
        "radial is empty": _changed(["terms", 0, "radial"], []),
        "radial twice": _changed(["terms", 0, "radial"], [_radial("Gaussian")] * 2),
        "radial is text": _changed(["terms", 0, "radial"], ["Gaussian"]),
        "three-body with one function": _changed(["terms", THREE_BODY, "radial"], [_radial("Gaussian")]),
        "no family": _changed(["terms", 0, "radial"], [RADIAL["Gaussian"]]),
        "family unknown": _changed(["terms", 0, "radial", 0, "family"], "Gauss"),
        "family is a number": _changed(["terms", 0, "radial", 0, "family"], 0),
        "family is a list": _changed(["terms", 0, "radial", 0, "family"], ["Gaussian"]),
        "parameter of another family": _changed(["terms", 0, "radial", 0, "zeta"], 1.0),
        "second parameter of Power": _changed(["terms", FAMILY["Power"], "radial", 0, "q"], 1.0),
        "power of a pair": _changed(["terms", 0, "power"], 1),
        "power missing": _without("terms", THREE_BODY, "power"),
        "power of a density missing": _without("terms", N_BODY, "power"),
        "four powers missing": _without("terms", FOUR_BODY, "power"),
        "power is negative": _changed(["terms", THREE_BODY, "power"], -1),
        "power of the cosine is 41": _changed(["terms", THREE_BODY, "power"], 41),
        "power of a density is 0": _changed(["terms", N_BODY, "power"], 0),
        "power of a density is 1001": _changed(["terms", N_BODY, "power"], 1001),
        "power of a cosine in a list": _changed(["terms", THREE_BODY, "power"], [2]),
        "root of a function that changes sign": document()
        | {"version": 4, "terms": [_term("N-body", ["O", "Si"], ["LennardJones"], cutoff=4.0, power=0.5)]},
        "switch of a pair": _changed(["terms", 0, "switch"], 2.0),
        "switch is false": _changed(["terms", N_BODY, "switch"], False),
    }
    for name, rank in {
        "two": [1, 1],
        "four": [1, 1, 0, 5],
        "an integer": 1,
        "negative": [1, -1, 0],
        "too large together": [21, 21, 0],
        "too large alone": [0, 41, 0],
        "too many products": [20, 20, 20],
        "nested": [[1, 1, 0]],
    }.items():
        files[f"rank: {name}"] = _changed(["terms", FOUR_BODY, "power"], rank)
    for name, value in NO_INTEGERS.items():
        files[f"power of the cosine is {name}"] = _changed(["terms", THREE_BODY, "power"], value)
        files[f"power of a density is {name}"] = _changed(["terms", N_BODY, "power"], value)
        files[f"rank with {name}"] = _changed(["terms", FOUR_BODY, "power"], [1, value, 0])
    for name, value in NO_NUMBERS.items():
        files[f"coefficient is {name}"] = _changed(["terms", 0, "coefficient"], value)
        files[f"reference energy is {name}"] = _changed(["reference_energies", "O"], value)
        files[f"cutoff is {name}"] = _changed(["terms", 0, "cutoff"], value)
        if value is not None:
            files[f"switch is {name}"] = _changed(["terms", N_BODY, "switch"], value)
        for family, parameters in RADIAL.items():
            for key in parameters:
                path = ["terms", FAMILY[family], "radial", 0, key]
                files[f"{key} of {family} is {name}"] = _changed(path, value)
    for name, text in {"NaN": "NaN", "inf": "Infinity", "1e999": "1e999", "-inf": "-Infinity"}.items():
        for key in ("coefficient", "cutoff"):
            files[f"{key} is {name}"] = json.dumps(_changed(["terms", 0, key], 77.5)).replace("77.5", text)
        files[f"eta is {name}"] = _replaced('"eta": 1.5', f'"eta": {text}')
        files[f"reference energy is {name}"] = _replaced('"O": -1.0', f'"O": {text}')
    for name, text in {"400 digits": "1" * 400, "5000 digits": "1" * 5000}.items():
        files[f"coefficient of {name}"] = _replaced('"coefficient": 0.5', f'"coefficient": {text}')
        files[f"power of {name}"] = _replaced('"power": 2', f'"power": {text}')
        files[f"version of {name}"] = _replaced('"version": 2', f'"version": {text}')
    for name, value in NO_LENGTHS.items():
        files[f"cutoff is {name}"] = _changed(["terms", 0, "cutoff"], value)
        files[f"switch is {name}"] = _changed(["terms", N_BODY, "switch"], value)
    for key in ("coefficient", "interaction", "species", "radial", "cutoff"):
        files[f"term without {key}"] = _without("terms", 0, key)
    for family, key, value in (
        ("Gaussian", "eta", 0.0),
        ("Gaussian", "eta", -1000.0),
        ("Slater", "zeta", 0.0),
        ("Slater", "zeta", -1.0),
        ("GaussianType", "zeta", -1.0),
        ("StillingerWeber", "gamma", 0.0),
        ("StillingerWeber", "gamma", 1.0),
        ("Lorentzian", "exponents", 3.0),
        ("Lorentzian", "exponents", 0.0),
        ("Lorentzian", "exponents", -2.0),
        ("Lorentzian", "exponents", 2.5),
        ("LogNormal", "scales", 0.0),
        ("LogNormal", "scales", -1.0),
        ("LennardJones", "sigma", 0.0),
        ("LennardJones", "sigma", -1.0),
    ):
        path = ["terms", FAMILY[family], "radial", 0, key]
        files[f"{key} of {family} is {value:g}"] = _changed(path, value)
    for family, parameters in RADIAL.items():
        for key in parameters:
            files[f"{family} without {key}"] = _without("terms", FAMILY[family], "radial", 0, key)
    return {name: _bytes(content) for name, content in files.items()}


def good_files():
    """Name: bytes of the file. Unusual, but right."""
    text = json.dumps(document())
    shuffled = copy.deepcopy(document())
    files = {
        "plain": text,
        "byte order mark": b"\xef\xbb\xbf" + text.encode(),
        "other order of keys": dict(reversed(shuffled.items())),
        "comment": _changed(["comment"], {"by": ["anyone", None, True, "\u00e9\U0001f600"]}),
        "a record of the fit": document() | {"fit": {"data": {"n_structures": 3}, "errors": None}},
        "a record of the fit that is none": document() | {"fit": [1, "x"]},
        "escaped": text.replace("plip-potential", "\\u0070lip-potential"),
        "no terms": _changed(["terms"], []),
        "a term twice": _changed(["terms"], document()["terms"] * 2),
        "switch is null": _changed(["terms", N_BODY, "switch"], None),
        "power of a pair is null": _changed(["terms", 0, "power"], None),
        "integers": _changed(["terms", 0, "coefficient"], 1),
        "a large integer": _changed(["terms", 0, "coefficient"], 10**25),
        "minus zero": _replaced('"coefficient": 0.5', '"coefficient": -0'),
        "tiny": _replaced('"coefficient": 0.5', '"coefficient": 1e-999'),
        "any species in a pair": _any(TWO_BODY, ["*", "*"]),
        "any species at one place of a pair": _any(TWO_BODY, ["*", "Si"]),
        "any species out of order": _any(TWO_BODY, ["Si", "*"]),
        "any species of a center": _any(THREE_BODY, ["*", "O", "Si"]),
        "any species of an arm": _any(THREE_BODY, ["O", "*", "Si"]),
        "any species of both arms": _any(THREE_BODY, ["O", "*", "*"]),
        "any species in a density": _any(N_BODY, ["*", "*"]),
        "any species in four places": _any(FOUR_BODY, ["*"] * 4),
        "any species of one arm of three": _any(FOUR_BODY, ["O", "Si", "*", "O"]),
        "a newer version without need": document() | {"version": 3},
        "an older version": document() | {"version": 1},
        "core force": _changed(["core_forces"], {"O-Si": 7.5}) | {"version": 5},
        "no core forces": _changed(["core_forces"], {}) | {"version": 5},
        "null core forces": document() | {"core_forces": None},
        "power of the cosine is 40": _changed(["terms", THREE_BODY, "power"], 40),
        "rank (20, 20, 0)": _changed(["terms", FOUR_BODY, "power"], [20, 20, 0]),
        "rank (7, 7, 7)": _changed(["terms", FOUR_BODY, "power"], [7, 7, 7]),
    }
    return {name: _bytes(content) for name, content in files.items()}


def _bytes(content):
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else json.dumps(content)).encode()


BAD_FILES = bad_files()
GOOD_FILES = good_files()
