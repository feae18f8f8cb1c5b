"""Export of a potential as a simulator model of OpenKIM, made of pair styles that every LAMMPS has.

The files are those of the KIM API 2.2: specifications of the model (smspec.edn) and of the item
(kimspec.edn), a CMake project that makes a library of them, and parameter files.
"""

import itertools
import json
import re
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import plip
from plip._files import write_whole
from plip.interactions._three_body import ThreeBody
from plip.lammps._export import WRITERS, Style, input_lines, resolved_terms
from plip.potential import Potential

__all__ = ["write_simulator_model"]

# Oldest LAMMPS that the tests ran, in the words of LAMMPS.
SIMULATOR_VERSION = "29 Sep 2021"
# Since this version lists of neighbors of hybrid styles are trimmed, and have to be told not to be.
TRIMMING_VERSION = 20220623
# Three-body terms have files for every order of every set of species: 15 for three, 64 for four.
MOST_SPECIES = 3
# A KIM ID has at most 100 characters before its code.
MAX_NAME = 100
MAX_AUTHORS = 40
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
# Names in the input of LAMMPS.
PREFIX = "plip"

CMAKE = """cmake_minimum_required(VERSION 3.10)

list(APPEND CMAKE_PREFIX_PATH $ENV{{KIM_API_CMAKE_PREFIX_DIR}})
find_package(KIM-API-ITEMS 2.2 REQUIRED CONFIG)

kim_api_items_setup_before_project(ITEM_TYPE "simulatorModel")
project({name})
kim_api_items_setup_after_project(ITEM_TYPE "simulatorModel")

add_kim_api_model_library(
  NAME "${{PROJECT_NAME}}"
  SM_SPEC_FILE "smspec.edn"
  PARAMETER_FILES
    {files}
)
"""


def write_simulator_model(
    potential: Potential, folder: Path, name: str | None, species: Sequence[str] | None
) -> Path:
    """Write the files; see `plip.lammps.export_kim`."""
    symbols = sorted(potential.species) if species is None else list(species)
    if len(symbols) > MOST_SPECIES:
        raise ValueError(
            f"a simulator model has at most {MOST_SPECIES} species: name some, got {len(symbols)}"
        )
    name = _default_name(potential, symbols) if name is None else name
    if not NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise ValueError(
            f"the name of a model has at most {MAX_NAME} letters, digits and underscores and begins with a "
            f"letter, got {name!r}"
        )
    resolved_terms(potential, symbols)  # errors come before files
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    files, lines = _write_parameters(potential, target, symbols)
    _write(target / "plip.in", "\n".join(lines) + "\n")
    _write(
        target / "CMakeLists.txt", CMAKE.format(name=name, files="\n    ".join(f'"{file}"' for file in files))
    )
    _write(target / "smspec.edn", _edn(_model_specification(name, symbols, files)))
    _write(target / "kimspec.edn", _edn(_item_specification(potential, name, symbols)))
    _write(target / "LICENSE", _license(potential))
    return target


def _write(path: Path, text: str) -> None:
    with write_whole(path) as file:
        file.write(text)


def _default_name(potential: Potential, species: list[str]) -> str:
    authors = (potential.about or {}).get("authors", [])
    # Accents are characters of their own in this form.
    names = (unicodedata.normalize("NFKD", author.split()[-1]) for author in authors)
    known = re.sub(r"[^A-Za-z0-9]", "", "".join(names))[:MAX_AUTHORS]
    return "_".join(["Sim_LAMMPS_PLIP", *([known] if known else []), "".join(species)])


def _write_parameters(potential: Potential, folder: Path, species: list[str]) -> tuple[list[str], list[str]]:
    """Write tables and splines; returns the names of all parameter files, and the lines of the first one.

    This is ``plip.in``, which joins the symbols of the atom types to a label and goes there.
    """
    files = ["plip.in"]
    lines = [
        f"# Written by plip {plip.__version__} for LAMMPS, units metal",
        f'variable {PREFIX}_label string "{PREFIX}"',
        f"label {PREFIX}_next",
        f'variable {PREFIX}_label string "${{{PREFIX}_label}}_${{{PREFIX}_symbol}}"',
        f"next {PREFIX}_symbol",
        f"jump SELF {PREFIX}_next",
        f"jump SELF ${{{PREFIX}_label}}",
    ]
    kinds = [kind for kind in WRITERS if kind != ThreeBody.kind]
    shared = _write_styles(potential, folder, species, kinds, files)
    for size in range(len(species), 0, -1):
        for order in itertools.permutations(species, size):
            # meam/spline takes the first atom type for the first element of its file, whatever their names.
            splines = _write_styles(potential, folder, list(order), [ThreeBody.kind], files)
            pairs = [style for style in shared if style.pair is None or set(style.pair) <= set(order)]
            lines += ["", f"label {'_'.join([PREFIX, *order])}"]
            lines += _commands([*pairs, *splines], list(order))
    return files, [*lines, "", f"label {PREFIX}_end"]


def _commands(styles: list[Style], order: list[str]) -> Iterator[str]:
    for line in input_lines(styles, order):
        if line.startswith("pair_modify"):
            line = f'if "${{{PREFIX}_version}} >= {TRIMMING_VERSION}" then "{line}"'
        if not line.startswith("#"):
            # LAMMPS replaces no variable between quotes.
            yield line if line.startswith("if") else line.replace('"', "")
    yield f"jump SELF {PREFIX}_end"


def _write_styles(
    potential: Potential, folder: Path, species: list[str], kinds: list[str], files: list[str]
) -> list[Style]:
    """Write the files of some interactions for these species, and append their names to `files`.

    The paths of the styles are variables of LAMMPS, since the KIM API chooses the folder.
    """
    terms = resolved_terms(potential, species)
    styles: list[Style] = []
    # The names of files say nothing of their species.
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for kind in kinds:
            write, _ = WRITERS[kind]
            styles += write(potential, terms[kind], Path(scratch), species)
        numbers: dict[Path, int] = {}
        for style in styles:
            if style.path not in numbers:
                files.append(f"{''.join(species)}_{style.path.name}")
                numbers[style.path] = len(files)
                style.path.replace(folder / files[-1])
    return [style._replace(path=Path(f"${{{PREFIX}_{numbers[style.path]}}}")) for style in styles]


def _model_specification(name: str, species: list[str], files: list[str]) -> dict[str, object]:
    """What the KIM API and ``kim init`` of LAMMPS read."""
    paths = [f"variable {PREFIX}_{n} string @<parameter-file-{n}>@" for n in range(1, len(files) + 1)]
    return {
        "kim-api-sm-schema-version": 1,
        "model-name": name,
        "simulator-name": "LAMMPS",
        "simulator-version": SIMULATOR_VERSION,
        "supported-species": " ".join(species),
        "units": "metal",
        "model-defn": [
            *paths,
            f"variable {PREFIX}_version equal version",
            f"variable {PREFIX}_symbol index @<atom-type-sym-list>@",
            "include @<parameter-file-1>@",
        ],
    }


def _item_specification(potential: Potential, name: str, species: list[str]) -> dict[str, object]:
    """What the OpenKIM repository reads."""
    about = potential.about or {}
    parts = [
        f"Sparse linear potential of {len(potential.terms)} readable terms, made by plip {plip.__version__}"
    ]
    if "authors" in about:
        parts.append(f"Authors: {', '.join(about['authors'])}")
    parts += [
        f"{title}: {about[key]}"
        for title, key in (("License", "license"), ("Cite", "citation"))
        if key in about
    ]
    return {
        "domain": "openkim.org",
        "extended-id": name,
        "title": f"LAMMPS PLIP potential for {'-'.join(species)}",
        "description": ". ".join(parts),
        "content-origin": "Original content, made by plip",
        "kim-api-version": "2.2",
        "potential-type": "plip",
        "run-compatibility": "portable-models",
        "simulator-name": "LAMMPS",
        "simulator-potential": "hybrid/overlay",
        "species": species,
    }


def _license(potential: Potential) -> str:
    about = potential.about or {}
    authors = f"Copyright (c) {', '.join(about['authors'])}\n" if "authors" in about else ""
    return authors + about.get("license", "No license was given: plip about model.json --license NAME") + "\n"


def _edn(entries: dict[str, object]) -> str:
    """A map of EDN; its strings, numbers and vectors of strings are those of JSON but for commas."""
    lines = []
    for key, value in entries.items():
        items = [
            json.dumps(item, ensure_ascii=False) for item in (value if isinstance(value, list) else [value])
        ]
        text = "[\n    " + "\n    ".join(items) + "\n  ]" if isinstance(value, list) else items[0]
        lines.append(f"  {json.dumps(key)} {text}")
    return "{\n" + "\n".join(lines) + "\n}\n"
