"""The report: it stands alone, parses, and says what the API says."""

import csv
import inspect
import re
import subprocess
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from ase.build import bulk, fcc111
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from sample_fits import small_descriptors

from plip import PLIPRegressor, PLIPRegressorCV, Potential, load_potential
from plip.cli import main
from plip.datasets import load_silicon_carbide
from plip.interactions import NBody
from plip.interactions._terms import build_terms
from plip.metrics import Evaluation, cancellation
from plip.radial import Gaussian
from plip.solvers import SOLVERS

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from sample_potentials import interactions  # noqa: E402

from plip.report import evaluation_report, fit_report, potential_summary, write_report  # noqa: E402
from plip.report._crystals import find_crystals  # noqa: E402
from plip.report._mathml import to_mathml  # noqa: E402
from plip.report._uncertainty import farthest, known  # noqa: E402
from plip.report._worst import largest_errors, worst_structures  # noqa: E402

PENALTY = 1e-4
VOID = {"meta", "link", "img", "input", "br", "wbr"}


class Page(HTMLParser):
    """Text by section and what the page refers to; every element must be closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.references, self.sections, self.section = [], [], {}, ""
        self.rows = 0

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.references += [attrs[name] for name in ("src", "href", "action") if name in attrs]
        if tag == "section":
            self.section = attrs["id"]
        self.rows += tag == "tr" and "data-kind" in attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.sections[self.section] = self.sections.get(self.section, "") + data


def parsed(path):
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert page.open == []
    return page


@pytest.fixture(scope="module")
def model(silicon_carbide):
    return PLIPRegressorCV(small_descriptors(), max_terms=15, cv=3, contribution_penalty=PENALTY).fit(
        silicon_carbide[0]
    )


@pytest.fixture(scope="module")
def evaluations(model, silicon_carbide):
    train, test = silicon_carbide
    return {
        "train": Evaluation(model.potential_, train),
        "cross-validation": Evaluation.of_folds(model, train),
        "test": Evaluation(model.potential_, test),
    }


def test_each_structure_is_predicted_by_the_model_without_it(model, evaluations, silicon_carbide):
    train, _ = silicon_carbide
    predicted = evaluations["cross-validation"].predicted
    seen = 0
    for rows, potential in model.folds_:
        for row in rows[:3]:
            found = potential.evaluate(train[row])
            assert predicted.energy[row] == found["energy"]
            np.testing.assert_array_equal(predicted.forces[row], found["forces"])
            np.testing.assert_array_equal(predicted.stress[row], found["stress"])
            seen += 1
    assert seen == 9


def test_workers_change_no_bit_of_an_evaluation(model, evaluations, silicon_carbide):
    train, _ = silicon_carbide
    parallel = Evaluation(model.potential_, train, n_jobs=2)
    for name in ("energy", "stress"):
        one, other = getattr(parallel.predicted, name), getattr(evaluations["train"].predicted, name)
        np.testing.assert_array_equal(one, other)
    for one, other in zip(parallel.predicted.forces, evaluations["train"].predicted.forces, strict=True):
        np.testing.assert_array_equal(one, other)
    deviations = parallel.deviations, evaluations["train"].deviations
    np.testing.assert_array_equal(*(one.energy for one in deviations))


@pytest.fixture(scope="module")
def path(model, evaluations, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    findings = [SimpleNamespace(kind="duplicate", structures=(0,), message="a <b> & c")]
    write_report(path, model.potential_, evaluations, findings=findings)
    return path


@pytest.fixture(scope="module")
def page(path):
    return parsed(path)


def test_report_stands_alone(path, page):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text.replace("data:image", ""))
    assert all(reference.startswith(("#", "data:")) for reference in page.references)
    assert len(text) < 5e6
    anchors = {reference[1:] for reference in page.references if reference.startswith("#")}
    assert anchors == set(page.sections) - {""}


def test_numbers_are_those_of_the_api(model, evaluations, page):
    errors, potential = page.sections["errors"], model.potential_
    for evaluation in evaluations.values():
        summary = evaluation.summary()
        assert f"{summary['force_rmse']:.4f}" in errors and f"{summary['energy_rmse']:.2f}" in errors
        reference, predicted = evaluation.parity("force", "wurtzite")
        assert f"{np.abs(predicted - reference).max():.4f}" in errors
    assert page.rows == len(potential.terms)
    for _, coefficient in potential.terms:
        assert f"{coefficient:.4e}" in page.sections["terms"]
    record = potential.fit_record
    assert record["data"]["hash"] in page.sections["card"]
    for pair, r in record["data"]["shortest_distances"].items():
        assert pair in page.sections["ends"] and f"{r:.3f}" in page.sections["ends"]
    assert "a <b> & c" in page.sections["audit"]
    assert f"{evaluations['test'].summary()['force_rmse']:.4f}" in page.sections["summary"]


def test_uncertainty_is_that_of_the_api(evaluations, page):
    # Without anything between cells.
    shown = page.sections["uncertainty"]
    for name in ("cross-validation", "test"):
        found = evaluations[name].uncertainty()
        shares = [f"{100 * found[f'{target}_coverage']:.1f}" for target in ("force", "energy")]
        largest = f"{found['largest_extrapolation']:.2f}"
        cells = [*shares, f"{found['n_atoms']:,}", f"{found['n_extrapolated']:,}", largest]
        assert f"{name}{''.join(cells)}" in shown
    # Errors of the fit itself say less than those of the folds.
    assert "train" not in shown
    for group in np.unique(evaluations["test"].groups).tolist():
        share = evaluations["test"].uncertainty(group)["force_coverage"]
        assert f"test, {group}{100 * share:.1f}" in shown


def test_structures_whose_atoms_are_closer_than_those_of_the_fit_are_named(model, silicon_carbide):
    """Their errors are those of the core repulsion, and may hide all others."""
    test = [atoms.copy() for atoms in silicon_carbide[1][:4]]
    (begins,) = (outer for pair, (_, outer) in model.potential_.repulsion.items() if pair == ("C", "Si"))
    carbon = int(np.flatnonzero(test[2].symbols == "C")[0])
    nearest = min(
        (k for k in range(len(test[2])) if test[2].symbols[k] == "Si"),
        key=lambda k: test[2].get_distance(carbon, k, mic=True),
    )
    test[2].set_distance(carbon, nearest, 0.9 * begins, fix=0, mic=True)
    for atoms, source in zip(test, silicon_carbide[1], strict=False):
        atoms.calc = SinglePointCalculator(atoms, **source.calc.results)
    evaluation = Evaluation(model.potential_, test)
    text = " ".join(evaluation_report({"test": evaluation}).split())
    others = evaluation.take(np.array([0, 1, 3])).errors()["force_rmse"]
    assert f"in 1 of 4 structures atoms are closer than any of the fit, down to {0.9 * begins:.2f} A" in text
    assert "(C-Si, structure 2)" in text
    assert "RMSE without these: energy" in text and f"force {others:.4f} eV/A" in text
    assert "closer than any" not in evaluation_report({"test": evaluation.take(np.array([0, 1, 3]))})


def test_structures_beyond_the_data_are_listed(model, silicon_carbide, tmp_path):
    test = [atoms.copy() for atoms in silicon_carbide[1][:4]]
    # The second one is squeezed far beyond the data.
    test[1].set_cell(0.75 * test[1].cell, scale_atoms=True)
    for atoms, source in zip(test, silicon_carbide[1], strict=False):
        atoms.calc = SinglePointCalculator(atoms, **source.calc.results)
    evaluation = Evaluation(model.potential_, test)
    (row, symbol, grade, count), *_ = found = farthest(evaluation)
    grades = model.potential_.evaluate(test[1], uncertainty=True)["extrapolation"]
    assert (row, grade, count) == (1, grades.max(), (grades > 1).sum())
    assert symbol == test[1].symbols[grades.argmax()]
    assert all(grade > 1 for _, _, grade, _ in found)
    write_report(tmp_path / "far.html", model.potential_, {"test": evaluation})
    text = parsed(tmp_path / "far.html").sections["ends"]
    assert "structure 1" in text and f"{grade:.2f}" in text


def test_potentials_without_uncertainty_have_reports(model, silicon_carbide, tmp_path):
    bare = model.potential_.with_uncertainty(None)
    evaluations = {"test": Evaluation(bare, silicon_carbide[1][:3])}
    assert known(evaluations) == {} and evaluations["test"].deviations is None
    write_report(tmp_path / "bare.html", bare, evaluations)
    assert "uncertainty" not in parsed(tmp_path / "bare.html").sections
    assert "uncertainty" not in evaluation_report(evaluations)
    assert "uncertainty: not in the file" in potential_summary(bare)
    limits = model.potential_.uncertainty.leverage_limits
    assert all(
        f"{symbol} {limit:.3g}" in potential_summary(model.potential_) for symbol, limit in limits.items()
    )
    for ask in (evaluations["test"].uncertainty, lambda: evaluations["test"].std("force")):
        with pytest.raises(ValueError, match="uncertainty=True"):
            ask()


def test_a_fit_to_energies_says_nothing_of_forces(silicon_carbide, tmp_path):
    train, test = silicon_carbide
    energies = [atoms.calc.results["energy"] for atoms in train]
    model = PLIPRegressor(small_descriptors(), max_terms=5).fit(train, energies, forces=[None] * len(train))
    evaluation = Evaluation(model.potential_, test)
    found = evaluation.uncertainty()
    assert np.isnan(evaluation.std("force")).all() and np.isnan(found["force_coverage"])
    assert 0.0 < found["energy_coverage"] <= 1.0
    cells = re.search(
        r"^test +(.*)$", evaluation_report({"test": evaluation}).split("\nuncertainty")[1], re.M
    )
    assert cells.group(1).split()[:2] == ["-", f"{100 * found['energy_coverage']:.1f}"]
    write_report(tmp_path / "energies.html", model.potential_, {"test": evaluation})
    text = (tmp_path / "energies.html").read_text(encoding="utf-8")
    assert "Errors that 90 % of the energies" in text and "Errors that 90 % of the force" not in text


def test_a_part_of_an_evaluation_is_that_of_its_structures(evaluations):
    rows = np.array([5, 2, 11])
    whole, part = evaluations["test"], evaluations["test"].take(rows)
    expected = Evaluation(whole.potential, [whole.structures[row] for row in rows])
    assert part.errors() == expected.errors() and part.uncertainty() == expected.uncertainty()
    assert part.groups.tolist() == whole.groups[rows].tolist()
    for target in ("energy", "force"):
        np.testing.assert_array_equal(part.parity(target), expected.parity(target))
        np.testing.assert_array_equal(part.std(target), expected.std(target))


def test_largest_cancellation_of_a_sample_says_so():
    train, test = load_silicon_carbide()
    model = PLIPRegressor("fast", max_terms=5).fit(train)
    found = {
        name: Evaluation(model.potential_, data) for name, data in (("train", train[:60]), ("test", test))
    }
    text = " ".join(fit_report(model, found).split())
    some, rest = (cancellation(model.potential_, data) for data in (train[:60:2], test))
    assert f"train {np.median(some):.1f}, {some.max():.1f} (30 of 60 structures); " in text
    assert f"test {np.median(rest):.1f}, {rest.max():.1f}" in text


def test_the_same_potential_gives_the_same_page(model, evaluations, path, tmp_path):
    findings = [SimpleNamespace(kind="duplicate", structures=(0,), message="a <b> & c")]
    write_report(tmp_path / "again.html", model.potential_, evaluations, findings=findings)
    assert (tmp_path / "again.html").read_bytes() == path.read_bytes()


def test_report_without_data(model, tmp_path):
    write_report(tmp_path / "bare.html", model.potential_.with_fit_record(None))
    page = parsed(tmp_path / "bare.html")
    assert page.rows == len(model.potential_.terms) and "errors" not in page.sections
    assert "not audited" in page.sections["audit"]
    # Nothing that was not tried is said to have been found.
    assert "none were given" in page.sections["checks"] and "relaxes to" not in page.sections["checks"]
    assert "and pushed onto others." in page.sections["summary"]
    assert "heated" not in page.sections["summary"]


def test_report_with_data_tells_of_hot_runs(page):
    assert "heated to 5,000 K." in page.sections["summary"]


def test_a_potential_without_terms_has_no_crystals(model, silicon_carbide):
    nothing = Potential(model.descriptors_, np.zeros(len(model.coef_)), model.intercept_)
    assert find_crystals(nothing, silicon_carbide[0][:10]) == []


def test_a_single_structure_is_not_odd(model, silicon_carbide):
    evaluation = Evaluation(model.potential_, silicon_carbide[1][:1])
    assert [found.oddities for found in worst_structures(model.potential_, evaluation)] == [()]


def test_missing_package_is_named(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"needs jinja2: pip install jinja2 matplotlib"):
        write_report(tmp_path / "none.html", model.potential_)


def test_findings_of_the_audit_are_beside_the_worst_structures(model, evaluations, tmp_path):
    worst = worst_structures(model.potential_, evaluations["train"])[2].index
    findings = [SimpleNamespace(kind="net force", structures=(worst,), message="forces do not add up")]
    write_report(
        tmp_path / "audited.html",
        model.potential_,
        {"train": evaluations["train"]},
        findings=findings,
        remarks=[SimpleNamespace(kind="stress order", structures=(0,), message="shear is exchanged")],
    )
    page = parsed(tmp_path / "audited.html")
    assert page.sections["worst"].count("audit: net force") == 1
    assert "forces do not add up" in page.sections["audit"]
    assert "Remark: stress order: shear is exchanged" in page.sections["audit"]


# Worst structures


def test_largest_errors_are_those_of_each_structure(evaluations):
    evaluation = evaluations["test"]
    found = largest_errors(evaluation)
    for row in (0, len(evaluation.structures) - 1):
        difference = evaluation.predicted.forces[row] - evaluation.reference.forces[row]
        assert found["force"][row] == pytest.approx(np.abs(difference).max(), rel=1e-12)
        energy = evaluation.predicted.energy[row] - evaluation.reference.energy[row]
        assert found["energy"][row] == pytest.approx(1e3 * abs(energy) / evaluation.n_atoms[row], rel=1e-9)


def test_a_spoiled_structure_is_the_worst_and_what_is_odd_is_said(model, silicon_carbide):
    structures = []
    for atoms in silicon_carbide[0][:20]:
        structures.append(atoms.copy())
        structures[-1].calc = SinglePointCalculator(structures[-1], **atoms.calc.results)
    spoiled = structures[7]
    spoiled.calc.results["energy"] += 30.0
    (worst, *_) = worst_structures(model.potential_, Evaluation(model.potential_, structures))
    assert worst.index == 7 and worst.errors["energy"] > 1e3
    assert any("energy less reference" in words and "more than" in words for words in worst.oddities)


# Crystals


@pytest.fixture(scope="module")
def copper():
    """A potential fitted to the effective-medium energies of copper, and its data."""
    from ase.calculators.emt import EMT

    rng = np.random.default_rng(0)
    structures = []
    for a in np.linspace(3.3, 3.95, 14):
        atoms = bulk("Cu", a=a, cubic=True) * (2, 1, 1)
        atoms.positions += rng.normal(scale=0.06 * (a > 3.5), size=atoms.positions.shape)
        atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(scale=0.02, size=(3, 3))), scale_atoms=True)
        structures.append(atoms)
    structures.append(bulk("Cu", a=3.6, cubic=True) * (2, 1, 1))
    for atoms in structures:
        atoms.calc = EMT()
        results = {
            "energy": atoms.get_potential_energy(),
            "forces": atoms.get_forces(),
            "stress": atoms.get_stress(),
        }
        atoms.calc = SinglePointCalculator(atoms, **results)
    return PLIPRegressor("fast", max_terms=30).fit(structures).potential_, structures


def test_crystals_are_reduced_and_have_elastic_constants_that_fit_to_the_energy(copper):
    potential, structures = copper
    slab = fcc111("Cu", (2, 2, 4), vacuum=8.0)
    slab.pbc = True
    (crystal,) = find_crystals(potential, [slab, *structures], ["surface", *["bulk"] * len(structures)])
    assert len(crystal.atoms) == 1 and crystal.bravais == "FCC"
    a = crystal.lattice["a"]
    assert crystal.volume == pytest.approx(a**3 / 4, rel=1e-3)
    # The bulk modulus is the curvature of the energy.
    volumes = crystal.volume * np.linspace(0.985, 1.015, 7)
    energies = [potential.energy(bulk("Cu", a=(4 * volume) ** (1 / 3))) for volume in volumes]
    second = np.polyfit(volumes - crystal.volume, energies, 3)[1]
    assert crystal.moduli[0] == pytest.approx(2 * second * crystal.volume * 160.21766, rel=0.02)
    assert crystal.cubic is not None
    c11, c12, _ = crystal.cubic
    assert (c11 + 2 * c12) / 3 == pytest.approx(crystal.moduli[0], rel=1e-2)


def test_phonons_are_those_of_the_elastic_crystal(copper):
    potential, structures = copper
    (crystal,) = find_crystals(potential, structures)
    bands = crystal.bands
    assert bands.is_stable and bands.frequencies.shape[1] == 3
    assert bands.ticks[0][1] == "Γ" and np.abs(bands.frequencies[0]).max() < 0.05
    # The mass of copper and a spring of the elastic constants set the scale: 5 to 10 THz.
    assert 4 < bands.frequencies.max() < 12


# Formulas


def test_every_formula_becomes_mathml(families):
    species = ("C", "Si")
    terms = build_terms(species, 4.0, **interactions(4.0, mixed=True, switch={("C", "Si"): 1.8}))
    terms += build_terms(species, 4.0, n_body=NBody(Gaussian(eta=1.0, centers=2.0), powers=0.5))
    latex = {term.latex() for term in terms} | {
        function.latex("r_{ij}") for family in families.values() for function in family.grid(4.0)
    }
    assert len(latex) > 100
    for formula in latex:
        mathml = to_mathml(formula)
        page = Page()
        page.feed(mathml)
        assert page.open == [] and "\\" not in page.sections[""] and mathml.startswith("<math")
    assert "<mn>2.5</mn>" in to_mathml("e^{-2.5 r}") and "<msup>" in to_mathml("r^2")


@pytest.mark.parametrize("latex", ["\\unknown x", "{x", "x}", "\\frac{1}"])
def test_formulas_that_terms_do_not_have_are_refused(latex):
    with pytest.raises(ValueError):
        to_mathml(latex)


# Command line


@pytest.fixture(scope="module")
def files(silicon_carbide, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    train, test = silicon_carbide
    write(folder / "train.xyz", train[:24], format="extxyz")
    write(folder / "test.xyz", test[:6], format="extxyz")
    return folder


def test_fit_writes_report_and_table(files, capsys):
    names = {name: str(files / name) for name in ("train.xyz", "test.xyz", "m.json", "fit.html", "m.csv")}
    small = ["--cutoff", "3.0", "--max-terms", "12", "--allow-unsafe", "--quiet", "--no-plot"]
    fit = ["fit", names["train.xyz"], "--test", names["test.xyz"], "-o", names["m.json"], *small]
    assert main([*fit, "--report", names["fit.html"], "--csv", names["m.csv"]]) == 0
    printed = capsys.readouterr().out
    assert f"Report: {names['fit.html']}" in printed and "\ncross-validation" in printed
    page = parsed(files / "fit.html")
    assert "test.xyz, structure" in page.sections["worst"]
    potential = load_potential(names["m.json"])
    assert set(potential.fit_record["errors"]) == {"train", "cross-validation", "test"}
    with open(names["m.csv"], newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["set"] for row in rows].count("cross-validation") == 24 and len(rows) == 24 + 24 + 6
    of_test = [row for row in rows if row["set"] == "test"]
    errors = [1e3 * float(row["energy_error_per_atom"]) for row in of_test]
    stated = 1e3 * potential.fit_record["errors"]["test"]["energy_rmse"]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(stated, rel=1e-3)
    for row, atoms in zip(of_test, read(names["test.xyz"], ":"), strict=True):
        found = potential.evaluate(atoms, uncertainty=True)
        assert float(row["energy_std"]) == pytest.approx(found["energy_std"], rel=1e-4)
        assert float(row["force_std"]) == pytest.approx(np.sqrt(np.mean(found["forces_std"] ** 2)), rel=1e-4)
        assert float(row["extrapolation"]) == pytest.approx(found["extrapolation"].max(), rel=1e-4)
    # The same page for a file as for a fit, but for the folds.
    assert main(["report", names["m.json"], names["train.xyz"], "--test", names["test.xyz"], "-q"]) == 0
    again = parsed(files / "m.html")
    assert "not audited" not in again.sections["audit"] + page.sections["audit"]
    assert again.sections["ends"] == page.sections["ends"] and again.rows == page.rows


def test_log_has_the_steps_and_the_error(model, files):
    log, path = str(files / "log.txt"), str(files / "logged.json")
    model.potential_.save(path)
    assert main(["evaluate", path, str(files / "test.xyz"), "-q", "--log", log]) == 0
    assert main(["evaluate", path, str(files / "none.xyz"), "-q", "--log", log]) == 2
    lines = (files / "log.txt").read_text().splitlines()
    assert f"evaluate {path}" in lines[0]
    assert lines[1].endswith(" INFO done") and " ERROR ReadingError: " in lines[3] and "none.xyz" in lines[3]
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ (INFO|ERROR|WARNING) ", line) for line in lines)


def test_help_has_the_defaults_and_solvers_of_the_estimator():
    from plip.cli import _parser

    assert set(_parser.SOLVERS) == set(SOLVERS)
    parameters = inspect.signature(PLIPRegressorCV).parameters
    assert {name: parameters[name].default for name in _parser.DEFAULTS} == _parser.DEFAULTS


def test_version_and_help_import_nothing_heavy():
    for option in ("--version", "--help"):
        code = (
            "import sys\nfrom plip.cli import main\n"
            f"try:\n    main(['fit', '--help'] if '{option}' == '--help' else ['{option}'])\n"
            "except SystemExit:\n    pass\n"
            "heavy = {'ase', 'numpy', 'scipy', 'sklearn', 'matplotlib', 'joblib'} & set(sys.modules)\n"
            "print('heavy:', sorted(heavy))"
        )
        run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
        assert run.stdout.splitlines()[-1] == "heavy: []"
