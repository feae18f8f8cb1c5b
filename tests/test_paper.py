"""The paper says what was measured, in the form that the Journal of Open Source Software asks for."""

import csv
import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "doc" / "paper"
SECTIONS = (
    "Summary",
    "Statement of need",
    "State of the field",
    "Software design",
    "Research impact statement",
    "AI usage disclosure",
    "References",
)


@pytest.fixture(scope="module")
def measure():
    """The script that measures the numbers, as a module."""
    kept = list(sys.path)
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("measure")
    finally:
        sys.path[:] = kept


def _text(name):
    return (FOLDER / name).read_text(encoding="utf-8")


def _body():
    """The text of the paper without its metadata."""
    return _text("paper.md").split("---\n", 2)[2]


def test_numbers_are_those_that_were_measured(measure):
    numbers = json.loads(_text("numbers.json"))
    assert measure.render(_text("paper.md.in"), numbers) == _text("paper.md")
    # Those of the benchmark are its results, not a copy of former ones.
    assert numbers["accuracy"] == measure.rounded(measure.accuracy())
    assert numbers["published"] == measure.published()


def test_tables_and_pictures_of_the_benchmark_are_its_results(measure, tmp_path):
    results = json.loads(measure.protocol.RESULTS.read_text())
    measure.protocol.write_table(tmp_path / "accuracy.csv", measure.protocol.table(results))
    assert (tmp_path / "accuracy.csv").read_text(encoding="utf-8") == (
        ROOT / "doc" / "data" / "accuracy.csv"
    ).read_text(encoding="utf-8")
    with (tmp_path / "accuracy.csv").open(encoding="utf-8") as file:
        assert {row["data"] for row in csv.DictReader(file)} - {""} == set(measure.protocol.DATA)


def test_no_number_is_typed_by_hand():
    text = _text("paper.md.in").split("---\n", 2)[2]
    for without in (r"<<[^>]*>>", r"@[\w-]+", r"\$\$?[^$]+\$\$?", r"`[^`]*`", r"SiO~2~"):
        text = re.sub(without, "", text)
    # "UF3" is a name.
    assert re.findall(r"\S*\d\S*", text.replace("UF3", "")) == []


def test_references_are_cited_and_found():
    entries = dict(re.findall(r"^@\w+\{(\w+),(.*?)^\}", _text("paper.bib"), re.MULTILINE | re.DOTALL))
    assert set(re.findall(r"@(\w+)", _body())) == set(entries)
    for key, entry in entries.items():
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},?$", entry, re.MULTILINE))
        assert {"author", "title", "journal", "volume", "pages", "year"} <= set(fields), key
        assert re.fullmatch(r"10\.\d{4,}/\S+", fields.get("doi", "")) or fields["url"].startswith(
            "https://"
        ), key


def test_sections_length_and_figures():
    body = _body()
    assert tuple(re.findall(r"^# (.*)$", body, re.MULTILINE)) == SECTIONS
    prose = re.sub(r"^\|.*$", "", body, flags=re.MULTILINE)
    assert 750 <= len(prose.split()) <= 1750
    figures = re.findall(r"\]\((\S+\.png)\)", body)
    assert len(figures) == 2
    assert all((FOLDER / figure).is_file() for figure in figures)


@pytest.mark.skipif(shutil.which("pandoc") is None, reason="needs pandoc")
def test_pandoc_makes_a_page_with_all_references(tmp_path):
    command = [
        "pandoc",
        "--fail-if-warnings",
        "--citeproc",
        "--standalone",
        "paper.md",
        "-o",
        tmp_path / "paper.html",
    ]
    subprocess.run(command, cwd=FOLDER, check=True)
    page = (tmp_path / "paper.html").read_text(encoding="utf-8")
    assert page.count('class="csl-entry"') == len(re.findall(r"^@", _text("paper.bib"), re.MULTILINE))
