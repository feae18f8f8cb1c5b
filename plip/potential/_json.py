"""The JSON format of a potential: write it, read it, refuse what is damaged."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import plip
from plip._core import ANY, is_element
from plip._parameters import is_number
from plip._types import StrPath
from plip.interactions._n_body import NBody
from plip.interactions._terms import Term

if TYPE_CHECKING:
    from plip.potential import Potential

__all__ = [
    "ABOUT",
    "LIMIT",
    "check_about",
    "check_fit_record",
    "contents",
    "errors_of_file",
    "finite_number",
    "read_document",
    "to_text",
]

FORMAT = "plip-potential"

# Newest version of the JSON format that this module reads and writes; it reads older ones too.
VERSION = 5
# A file has the oldest version that holds what is in it, at least the first one here, so that older releases
# read it. The others are the first with terms of any species, roots of densities, and forces of the core
# repulsion.
LEAST_WRITTEN = 2
FIRST_WITH_ANY = 3
FIRST_WITH_ROOTS = 4
FIRST_WITH_FORCES = 5

UNITS = {"energy": "eV", "length": "Angstrom"}

# Levels of nested arrays and objects; a potential has six.
MAX_DEPTH = 32

# Who made a potential, under which license others may use it, and what they shall cite.
ABOUT = ("authors", "license", "citation")

# Names of the parts of a density limit in JSON.
LIMIT = ("range", "limit")


def to_text(potential: Potential, uncertainty: bool = False) -> str:
    """The JSON document of a potential, with its uncertainty on request."""
    repulsion, limits, forces = potential.repulsion, potential.density_limits, potential.core_forces
    terms = [term for term, _ in potential.terms]
    document = {
        "format": FORMAT,
        "version": max(LEAST_WRITTEN, _version_of(terms), FIRST_WITH_FORCES if forces else 1),
        "plip": plip.__version__,
        "units": UNITS,
        "species": list(potential.species),
        "reference_energies": potential.intercept,
        "repulsion": None if repulsion is None else {"-".join(pair): repulsion[pair] for pair in repulsion},
        "density_limits": None
        if limits is None
        else {symbol: dict(zip(LIMIT, limit, strict=True)) for symbol, limit in limits.items()},
        "energy_floors": potential.energy_floors,
    }
    if forces:
        document["core_forces"] = {"-".join(pair): force for pair, force in forces.items()}
    if potential.about is not None:
        document["about"] = potential.about
    # One line per term, the coefficient first; json.dumps alone writes one line in all, or one per number.
    lines = [
        "  " + json.dumps({"coefficient": coefficient, **term.to_dict()}, allow_nan=False)
        for term, coefficient in potential.terms
    ]
    head = json.dumps(document, indent=1, allow_nan=False).removesuffix("\n}")
    record = potential.fit_record
    if record is not None:
        # Other readers than this module leave it aside.
        parts = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in record.items()]
        head += ',\n "fit": {\n' + ",\n".join(parts) + "\n }"
    text = head + ',\n "terms": [\n' + ",\n".join(lines) + "\n ]"
    if uncertainty and potential.uncertainty is not None:
        # Last, since nobody reads it.
        text += ',\n "uncertainty": ' + json.dumps(potential.uncertainty.to_dict(), allow_nan=False)
    return text + "\n}\n"


def _version_of(terms: Sequence[Term]) -> int:
    """The oldest version of the format that has these terms."""
    if any(term.interaction == NBody.kind and term.power == NBody.root for term in terms):
        return FIRST_WITH_ROOTS
    return FIRST_WITH_ANY if any(ANY in term.species for term in terms) else 1


def read_document(path: StrPath) -> dict[str, Any]:
    """Read the JSON object of a file and check its format and version."""
    with open(path, "rb") as file:
        data = file.read()
    name = os.fspath(path)
    try:
        document = _parse(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{name}: not a readable JSON file ({error}); give one that Potential.save or 'plip fit' wrote"
        ) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"{name}: not a plip potential; give a file that Potential.save or 'plip fit' wrote")
    version = document.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(
            f"{name}: damaged potential: the version of its format is {version!r}, not a positive integer; "
            "save it again from the fitted model"
        )
    if version > VERSION:
        raise ValueError(
            f"{name}: written in version {version} of the format by plip {document.get('plip')}; this is "
            f"plip {plip.__version__}, which reads up to version {VERSION}: upgrade plip-potential"
        )
    return document


@contextlib.contextmanager
def errors_of_file(path: StrPath) -> Iterator[None]:
    """Name the file in every ValueError raised inside the context, and say what to do."""
    try:
        yield
    except ValueError as error:
        raise ValueError(
            f"{os.fspath(path)}: damaged potential: {error}; save it again from the fitted model"
        ) from error


def _parse(data: bytes) -> object:
    """Read JSON as the LAMMPS plugin does, without the extensions of Python's reader."""
    document: object = json.loads(
        data.decode("utf-8-sig"),
        object_pairs_hook=_object,
        parse_constant=_no_number,
        parse_float=_finite,
        parse_int=_integer,
    )
    level = [document]
    for _ in range(MAX_DEPTH):
        values: list[object] = []
        for item in level:
            if isinstance(item, dict):
                values += [*item, *item.values()]
            elif isinstance(item, list):
                values += item
        for value in values:
            if isinstance(value, str):
                value.encode()  # refuses lone surrogates
        level = values
    if any(isinstance(item, (dict, list)) for item in level):
        raise ValueError("too deeply nested")
    return document


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} occurs twice in one object")
    return result


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def _integer(text: str) -> int:
    _finite(text)
    return int(text)


def contents(document: dict[str, Any]) -> dict[str, Any]:
    """The state of a `Potential` from a JSON object; a ValueError says what is wrong with it."""
    if document.get("units") != UNITS:
        raise ValueError(f"units must be {UNITS}, got {document.get('units')!r}")
    species, items = document.get("species"), document.get("terms")
    if not isinstance(species, list) or not all(isinstance(s, str) and is_element(s) for s in species):
        raise ValueError(f"species must be a list of chemical symbols, got {species!r}")
    reference = _entry(document, "reference_energies")
    if reference is None:
        raise ValueError("reference_energies must be an object, got None")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError("terms must be a list of objects")
    terms = [Term.from_dict(item) for item in items]
    if document["version"] < _version_of(terms):
        raise ValueError(f"its terms need version {_version_of(terms)} of the format")
    if document["version"] < FIRST_WITH_FORCES and document.get("core_forces") is not None:
        raise ValueError(f"its core_forces need version {FIRST_WITH_FORCES} of the format")
    return {
        "species": species,
        "terms": terms,
        "coef": [
            finite_number(f"coefficient of term {n}", item.get("coefficient")) for n, item in enumerate(items)
        ],
        "intercept": {
            symbol: finite_number(f"reference energy of {symbol}", value)
            for symbol, value in reference.items()
        },
        "repulsion": _read_pairs(document, "repulsion"),
        "density_limits": _read_limits(document),
        "energy_floors": _entry(document, "energy_floors"),
        "core_forces": _read_pairs(document, "core_forces"),
        # No part of the physics: what it may be wrong in spoils no potential, in LAMMPS neither.
        "fit_record": document["fit"] if isinstance(document.get("fit"), dict) else None,
        "about": _read_about(document.get("about")),
    }


def _read_about(about: object) -> dict[str, Any] | None:
    """As the record of a fit: what is wrong in it spoils no potential."""
    if not isinstance(about, dict):
        return None
    found: dict[str, Any] = {}
    for name in ABOUT:
        with contextlib.suppress(ValueError):
            found |= check_about({name: about.get(name)}) or {}
    return found or None


def check_about(about: object) -> dict[str, Any] | None:
    """Authors, license and citation as a file has them, or None; a ValueError says what is wrong."""
    if about is None:
        return None
    if not isinstance(about, Mapping) or not about.keys() <= set(ABOUT):
        raise ValueError(f"about must be a dict with some of {', '.join(ABOUT)}, got {about!r}")
    checked: dict[str, Any] = {}
    for name in ABOUT:
        value = about.get(name)
        if value is None:
            continue
        texts = list(value) if name == "authors" and isinstance(value, (list, tuple)) else [value]
        if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
            kind = "a list of names" if name == "authors" else "a text"
            raise ValueError(f"{name} must be {kind}, got {value!r}")
        if any("\ud800" <= letter <= "\udfff" for text in texts for letter in text):
            # What Python makes of bytes that are no UTF-8. No reader of files would take it.
            raise ValueError(f"{name} must be text in UTF-8, got {value!r}")
        checked[name] = texts if name == "authors" else value
    return checked or None


def check_fit_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record as JSON has it; a ValueError says why JSON cannot hold it."""
    try:
        if not isinstance(record, Mapping):
            raise ValueError(f"expected a dict, got {record!r}")
        document = _parse(json.dumps({"fit": dict(record)}, allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the record of a fit must be what JSON can hold: {error}") from error
    assert isinstance(document, dict)
    checked: dict[str, Any] = document["fit"]
    return checked


def _entry(document: dict[str, Any], name: str) -> dict[str, Any] | None:
    """An entry that is an object, or None if it is null or missing."""
    value = document.get(name)
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{name} must be an object or null, got {value!r}")
    return value


def _read_pairs(document: dict[str, Any], name: str) -> dict[tuple[str, ...], Any] | None:
    entry = _entry(document, name)
    return None if entry is None else {tuple(pair.split("-")): value for pair, value in entry.items()}


def _read_limits(document: dict[str, Any]) -> dict[str, tuple[Any, ...]] | None:
    limits = _entry(document, "density_limits")
    if limits is None:
        return None
    if not all(isinstance(limit, dict) and set(limit) == set(LIMIT) for limit in limits.values()):
        raise ValueError(f"density_limits must be null or give range and limit by species, got {limits!r}")
    return {symbol: tuple(limit[name] for name in LIMIT) for symbol, limit in limits.items()}


def finite_number(name: str, value: object) -> float:
    if not is_number(value) or not math.isfinite(value):
        raise ValueError(f"the {name} must be a finite number, got {value!r}")
    return float(value)
