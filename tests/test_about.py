"""Authors, license and citation of a potential: in its file, in reports, from the command line."""

import copy
import io
import json
import pickle
from types import SimpleNamespace

import pytest
from ase.io import write

from plip import Potential, load_potential
from plip.cli import main
from plip.interactions import Term
from plip.radial import Gaussian
from plip.report import potential_summary, write_report

ABOUT = {
    "authors": ["Ada Lovelace", "Émilie du Châtelet"],
    "license": "CC-BY-4.0",
    "citation": "A & É (2026)",
}


@pytest.fixture(scope="module")
def potential():
    term = Term("two-body", ("Si", "Si"), (Gaussian(eta=1.0, centers=2.0),))
    descriptors = SimpleNamespace(terms_=[term], species_=("Si",))
    return Potential(descriptors, [-1.0], {"Si": -5.0}).with_fit_record({"note": 1})


def test_the_file_keeps_it(potential, tmp_path):
    assert potential.about is None
    signed = potential.with_about(ABOUT)
    assert signed.about == ABOUT
    assert (signed.terms, signed.fit_record) == (potential.terms, potential.fit_record)
    signed.save(tmp_path / "model.json")
    for found in (
        load_potential(tmp_path / "model.json"),
        pickle.loads(pickle.dumps(signed)),
        copy.copy(signed),
    ):
        assert found.about == ABOUT
    assert signed.with_about(None).about is None
    assert signed.with_fit_record(None).about == ABOUT


def test_potentials_that_differ_in_records_share_what_is_made_of_their_terms(potential, tmp_path):
    """Also what neither has needed so far: tables, and the tables of rows."""
    potential.save(tmp_path / "model.json")
    fresh = load_potential(tmp_path / "model.json")
    signed = fresh.with_about(ABOUT)
    assert signed._core is fresh._core
    assert signed._term_values is fresh._term_values
    assert fresh.select("two-body")._core is not fresh._core


def test_it_cannot_be_changed(potential):
    signed = potential.with_about(ABOUT)
    signed.about["authors"].append("Eve")
    assert signed.about == ABOUT


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ("Ada", "about must be a dict"),
        ({"author": "Ada"}, "some of authors, license, citation"),
        ({"authors": "Ada"}, "authors must be a list of names"),
        ({"authors": []}, "authors must be a list of names"),
        ({"authors": ["Ada", ""]}, "authors must be a list of names"),
        ({"license": 4}, "license must be a text"),
        ({"citation": " "}, "citation must be a text"),
    ],
)
def test_errors(potential, about, message, tmp_path):
    if about != {"authors": "Ada"}:
        with pytest.raises(ValueError, match=message):
            potential.with_about(about)
    # What is wrong in it spoils no potential.
    potential.save(tmp_path / "model.json")
    document = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(document | {"about": about}))
    assert load_potential(tmp_path / "model.json").terms == potential.terms


def test_what_no_file_can_hold_is_refused(potential):
    """Arguments in an encoding that is not the locale's: no reader would take the file."""
    for about in ({"authors": ["J\udcc3\udcb6rg"]}, {"license": "\ud800"}):
        with pytest.raises(ValueError, match="must be text in UTF-8"):
            potential.with_about(about)


def test_it_is_shown(potential, tmp_path):
    signed = potential.with_about(ABOUT | {"citation": "<b>A</b> & É"})
    text = potential_summary(signed)
    assert "authors: Ada Lovelace, Émilie du Châtelet\nlicense: CC-BY-4.0\ncitation: <b>A</b> & É" in text
    write_report(tmp_path / "page.html", signed)
    page = (tmp_path / "page.html").read_text()
    assert "<th>Authors</th><td>Ada Lovelace, Émilie du Châtelet</td>" in page
    assert "<th>License</th><td>CC-BY-4.0</td>" in page
    assert "<th>Cite the potential</th><td>&lt;b&gt;A&lt;/b&gt; &amp; É</td>" in page
    write_report(tmp_path / "bare.html", potential.with_about({"authors": ["Ada"]}))
    page = (tmp_path / "bare.html").read_text()
    assert "<th>License" not in page
    assert "<th>Cite</th>" in page


def test_about_command_changes_what_it_is_told(potential, tmp_path, capsys):
    path = tmp_path / "model.json"
    potential.save(path)
    before = path.read_bytes()
    assert main(["about", str(path)]) == 0
    assert path.read_bytes() == before
    assert capsys.readouterr().out == "authors: unknown\nlicense: unknown\ncitation: unknown\n"
    assert main(["about", str(path), "--author", "Ada", "--author", "Bea", "--license", "CC0-1.0"]) == 0
    assert main(["about", str(path), "--cite", "Ada & Bea (2026)"]) == 0
    expected = {"authors": ["Ada", "Bea"], "license": "CC0-1.0", "citation": "Ada & Bea (2026)"}
    assert load_potential(path).about == expected
    assert "authors: Ada, Bea\n" in capsys.readouterr().out
    for wrong in ("", " ", "J\udcc3\udcb6rg"):
        with pytest.raises(SystemExit, match="2"):
            main(["about", str(path), "--license", wrong])


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_terminals_that_cannot_show_a_name(errors, potential, tmp_path, monkeypatch):
    """Python has the second kind in the locale C."""
    path = tmp_path / "model.json"
    potential.save(path)
    printed = io.BytesIO()
    terminal = io.TextIOWrapper(printed, encoding="ascii", errors=errors, write_through=True)
    monkeypatch.setattr("sys.stdout", terminal)
    assert main(["about", str(path), "--author", "Émilie"]) == 0
    assert load_potential(path).about["authors"] == ["Émilie"]
    assert rb"authors: \xc9milie" in printed.getvalue()


def test_a_fit_signs_its_potential(silicon_carbide, tmp_path, capsys):
    write(tmp_path / "train.xyz", silicon_carbide[0][:20])
    output = tmp_path / "model.json"
    options = ["--terms", "3", "--allow-unsafe", "--no-plot", "-q", "--target", "fast"]
    command = [
        "fit",
        str(tmp_path / "train.xyz"),
        "-o",
        str(output),
        *options,
        "--author",
        "Ada",
        "--cite",
        "A",
    ]
    assert main(command) == 0, capsys.readouterr().err
    found = load_potential(output)
    assert found.about == {"authors": ["Ada"], "citation": "A"}
    assert found.uncertainty is not None
    # The command keeps the uncertainty.
    assert main(["about", str(output), "--license", "CC0-1.0"]) == 0
    assert load_potential(output).uncertainty is not None
