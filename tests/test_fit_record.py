"""What the file of a potential tells of its fit, and how `plip show` and notebooks show it."""

import copy
import json
import pickle
from html.parser import HTMLParser

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from sample_fits import small_descriptors

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor, PLIPRegressorCV, Potential, load_potential
from plip.cli import main
from plip.metrics import Evaluation
from plip.report import potential_summary, write_report
from plip.report._tables import with_errors
from plip.safety import SafetyReport

PENALTY = 1e-4


@pytest.fixture(scope="module")
def model(silicon_carbide):
    return PLIPRegressorCV(small_descriptors(), max_terms=12, cv=3, contribution_penalty=PENALTY).fit(
        silicon_carbide[0]
    )


@pytest.fixture(scope="module")
def record(model):
    return model.potential_.fit_record


def _rms(pairs):
    return np.sqrt(np.mean(np.square([a - b for a, b in pairs])))


def test_errors_are_those_of_the_potential_and_of_cross_validation(model, record, silicon_carbide):
    train, _ = silicon_carbide
    found = Evaluation(model.potential_, train).summary()
    assert record["errors"]["train"]["energy_rmse"] == pytest.approx(1e-3 * found["energy_rmse"], rel=2e-6)
    assert record["errors"]["train"]["force_rmse"] == pytest.approx(found["force_rmse"], rel=2e-6)
    for target in ("energy", "force", "virial"):
        expected = model.cv_results_[f"{target}_rmse"]
        assert record["errors"]["cross-validation"][f"{target}_rmse"] == pytest.approx(
            expected[model.selected_size_], rel=1e-7
        )
        np.testing.assert_allclose(record["sizes"]["cross-validation"][target], expected, rtol=1e-4)


def test_errors_of_other_data_are_measured_in_the_same_way(model, record, silicon_carbide):
    evaluation = Evaluation(model.potential_, silicon_carbide[0])
    errors = with_errors(model.potential_, {"again": evaluation}).fit_record["errors"]
    assert errors["again"] == pytest.approx(record["errors"]["train"], rel=2e-6)


def test_potentials_of_folds_have_the_errors_of_cross_validation(model, silicon_carbide):
    train, _ = silicon_carbide
    rows = np.concatenate([test for test, _ in model.folds_])
    assert sorted(rows) == list(range(len(train)))
    pairs = [
        (potential.energy(train[row]) / len(train[row]), train[row].get_potential_energy() / len(train[row]))
        for test, potential in model.folds_
        for row in test
    ]
    expected = model.cv_results_["energy_rmse"][model.selected_size_]
    assert _rms(pairs) == pytest.approx(expected, rel=1e-6)


def test_data_are_named_whatever_their_order(model, record, silicon_carbide):
    train, _ = silicon_carbide
    descriptors = model.descriptors_
    parts = [NormalEquations.from_structures(part, descriptors) for part in (train[5:], train[:5])]
    assert f"{(parts[0] + parts[1]).data_hash:064x}" == record["data"]["hash"]
    assert (model.normal_equations_ - parts[1]).data_hash == parts[0].data_hash
    moved = [atoms.copy() for atoms in train]
    for atoms, source in zip(moved, train, strict=True):
        atoms.calc = source.calc
    energy = train[0].get_potential_energy()
    other = NormalEquations.from_structures(
        moved,
        descriptors,
        y=[np.nextafter(energy, 0.0), *(atoms.get_potential_energy() for atoms in train[1:])],
        forces=[atoms.get_forces() for atoms in train],
        stress=[atoms.get_stress() for atoms in train],
    )
    assert other.data_hash != model.normal_equations_.data_hash


def test_archives_keep_the_hash(model, tmp_path):
    model.normal_equations_.save(tmp_path / "sums.npz")
    assert NormalEquations.load(tmp_path / "sums.npz").data_hash == model.normal_equations_.data_hash


@pytest.mark.filterwarnings("ignore:no structure holds")
def test_missing_pairs_and_combinations_are_named(silicon_carbide):
    train, _ = silicon_carbide
    pure = []
    for atoms in train[:12]:
        for symbol in ("C", "Si"):
            pure.append(atoms.copy())
            pure[-1].symbols[:] = symbol
            pure[-1].calc = atoms.calc.__class__(pure[-1], **atoms.calc.results)
    data = PLIPRegressor(small_descriptors(), max_terms=4).fit(pure).potential_.fit_record["data"]
    assert data["missing_pairs"] == ["C-Si"] and data["missing_combinations"] == ["C-Si"]
    assert "C-Si" not in data["shortest_distances"]
    assert data["isolated_pairs"] == []


def test_atoms_whose_energy_the_data_do_not_tell_are_named(silicon_carbide, tmp_path):
    train, _ = silicon_carbide
    silicon = Atoms("Si", cell=[12.0] * 3, pbc=True)
    silicon.calc = SinglePointCalculator(silicon, energy=-0.8)
    alone = {
        "none": (PLIPRegressor(small_descriptors(), max_terms=4), train, ["C", "Si"]),
        "one": (PLIPRegressor(small_descriptors(), max_terms=4), [*train, silicon], ["C"]),
        "given": (
            PLIPRegressor(small_descriptors(), max_terms=4, reference_energies={"C": -1.2, "Si": -0.8}),
            train,
            [],
        ),
    }
    for model, data, missing in alone.values():
        potential = model.fit(data).potential_
        assert potential.fit_record["data"]["missing_atoms"] == missing
        write_report(tmp_path / "page.html", potential, safety=SafetyReport((), {}))
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        texts = {"no isolated atoms of ": " ".join(potential_summary(potential).split())}
        texts["hold no isolated atom of "] = page
        for start, text in texts.items():
            assert (start in text) == bool(missing)
            assert not missing or start + ", ".join(missing) in text


def test_volumes_of_slabs_are_not_recorded(silicon_carbide):
    train, _ = silicon_carbide
    slab = train[0].copy()
    slab.center(vacuum=6.0, axis=2)
    slab.calc = SinglePointCalculator(slab, energy=train[0].get_potential_energy())
    data = PLIPRegressor(small_descriptors(), max_terms=4).fit([*train, slab]).potential_.fit_record["data"]
    volumes = [atoms.get_volume() / len(atoms) for atoms in train]
    assert data["volume_per_atom"] == pytest.approx([min(volumes), max(volumes)], rel=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_isolated_pairs_are_known(silicon_carbide):
    dimers = []
    for r in (1.7, 1.9, 2.1):
        atoms = Atoms("SiC", [[0, 0, 0], [0, 0, r]])
        atoms.calc = SinglePointCalculator(atoms, energy=-10.0 - r, forces=np.zeros((2, 3)))
        dimers.append(atoms)
    potential = (
        PLIPRegressor(small_descriptors(), max_terms=4).fit([*silicon_carbide[0][:12], *dimers]).potential_
    )
    assert potential.fit_record["data"]["isolated_pairs"] == ["C-Si"]
    text = potential_summary(potential)
    assert "no isolated pairs in the data: the energies of C-C, Si-Si below are extrapolated" in text


def test_every_way_to_copy_keeps_the_record(model, record, tmp_path):
    potential = model.potential_
    path = tmp_path / "model.json"
    potential.save(path)
    copies = [load_potential(path), pickle.loads(pickle.dumps(potential)), copy.deepcopy(potential)]
    for found in copies:
        assert found.fit_record == record
        found.save(tmp_path / "again.json")
        assert (tmp_path / "again.json").read_text() == path.read_text()
    document = json.loads(path.read_text())
    assert document["version"] == (5 if "core_forces" in document else 2)


def test_record_cannot_be_changed(model, record):
    model.potential_.fit_record["data"]["n_structures"] = 0
    assert model.potential_.fit_record == record
    with pytest.raises(AttributeError):
        model.potential_.fit_record = None


def test_record_is_no_part_of_the_physics(model, silicon_carbide):
    atoms = silicon_carbide[1][0]
    other = model.potential_.with_fit_record({"note": "none"})
    assert other.fit_record == {"note": "none"}
    assert other.energy(atoms) == model.potential_.energy(atoms)
    assert other.with_fit_record(None).fit_record is None


@pytest.mark.parametrize("record", [{"x": np.nan}, {"x": object()}, {"x": "\ud800"}, [1], "text"])
def test_records_that_json_cannot_hold_are_refused(model, record):
    with pytest.raises(ValueError, match="what JSON can hold"):
        model.potential_.with_fit_record(record)


def test_other_sizes_have_their_own_errors(model):
    small = model.potential_at(3).fit_record
    assert small["sizes"]["chosen"] == 3
    assert small["errors"]["cross-validation"]["force_rmse"] == pytest.approx(
        model.cv_results_["force_rmse"][3], rel=1e-4
    )


# Text


def test_summary_says_what_the_api_says(model, record):
    text = potential_summary(model.potential_)
    assert text.isascii() and max(map(len, text.splitlines())) <= 100
    assert f"{len(model.potential_.terms)} terms" in text and record["data"]["hash"] in text
    assert f"{1e3 * record['errors']['train']['energy_rmse']:.2f}" in text
    for pair, r in record["data"]["shortest_distances"].items():
        assert f"\n{pair} " in text and f"{r:.3f}" in text
    assert "pair C-Si" in text


def test_angles_of_shared_terms_are_plotted(silicon_carbide):
    shared = PLIPDescriptors(three_body="fast", two_body=None, n_body=None, shared=True)
    shared.fit(silicon_carbide[0])
    coef = [float(term.species == ("*", "*", "*")) for term in shared.terms_]
    assert any(coef)
    potential = Potential(shared, coef, {"C": 0.0, "Si": 0.0})
    text = potential_summary(potential)
    assert text.count("\nangle ") == 3 and "\n3 more angles are not shown" in text


def test_summary_of_a_potential_without_a_record(model):
    text = potential_summary(model.potential_.with_fit_record(None), n_terms=3)
    assert "says nothing of the data" in text and "terms (3 of" in text


def _edited(potential, place, value, path):
    """The potential of a file with another value, or without one, at a place of the record."""
    potential.save(path)
    document = json.loads(path.read_text())
    *outer, name = place.split(".")
    entry = document["fit"]
    for part in outer:
        entry = entry[part]
    if value is _ABSENT:
        del entry[name]
    else:
        entry[name] = value
    path.write_text(json.dumps(document))
    return load_potential(path)


_ABSENT = object()
_PLACES = [
    *("settings", "data", "errors", "sizes"),
    *("data.n_structures", "data.n_labels", "data.hash", "data.shortest_distances", "data.volume_per_atom"),
    *(
        "data.missing_atoms",
        "data.missing_pairs",
        "data.missing_combinations",
        "data.isolated_pairs",
        "data.analogs",
    ),
    *("errors.train", "sizes.chosen", "sizes.offered", "sizes.n_terms", "sizes.train", "sizes.cancellation"),
]


@pytest.mark.parametrize("place", _PLACES)
@pytest.mark.parametrize("value", [None, 5, "text", [1, None], {"a": [1]}, {"a": {}}, _ABSENT])
def test_summaries_of_edited_files_show_the_rest(model, place, value, tmp_path):
    text = potential_summary(_edited(model.potential_, place, value, tmp_path / "model.json"))
    assert "pair C-Si" in text and text.isascii() and "fitted to 0" not in text
    assert place.startswith("errors") or "errors, RMSE" in text
    assert place.startswith("data") or model.potential_.fit_record["data"]["hash"] in text


@pytest.mark.parametrize("place", _PLACES)
def test_what_is_damaged_in_edited_files_is_named(model, place, tmp_path):
    wrong = 5 if place == "data.hash" else "text"
    text = potential_summary(_edited(model.potential_, place, wrong, tmp_path / "model.json"))
    named = "sizes" if place.startswith("sizes") else place
    assert f"\ndamaged in the file, and left out: {named}\n" in text


def test_pages_of_edited_files_show_the_rest(model, tmp_path):
    pytest.importorskip("jinja2")
    potential = model.potential_
    for place in (
        "settings",
        "errors.train",
        "sizes",
        "data.n_labels",
        "data.volume_per_atom",
        "data.analogs",
    ):
        potential = _edited(potential, place, "text", tmp_path / "model.json")
    potential = _edited(potential, "data.n_structures", _ABSENT, tmp_path / "model.json")
    write_report(tmp_path / "page.html", potential, safety=SafetyReport((), {}))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert (
        "settings, sizes, data.n_labels, data.volume_per_atom, data.analogs, errors.train: left out" in page
    )
    assert model.potential_.fit_record["data"]["hash"] in page


def test_edited_authors_keep_the_license(model, tmp_path):
    path = tmp_path / "model.json"
    model.potential_.with_about({"authors": ["A. Author"], "license": "CC0-1.0"}).save(path)
    document = json.loads(path.read_text())
    document["about"] |= {"authors": [5], "year": 2026}
    path.write_text(json.dumps(document))
    assert load_potential(path).about == {"license": "CC0-1.0"}


def test_show_prints_the_summary(model, tmp_path, capsys):
    path = tmp_path / "model.json"
    model.potential_.save(path, uncertainty=True)
    assert main(["show", str(path), "--terms", "2"]) == 0
    assert potential_summary(model.potential_, 2) in capsys.readouterr().out


# Notebooks


class _Tables(HTMLParser):
    def __init__(self):
        super().__init__()
        self.rows, self.text = 0, ""

    def handle_starttag(self, tag, attrs):
        self.rows += tag == "tr"

    def handle_data(self, data):
        self.text += data


def _parsed(thing):
    parser = _Tables()
    parser.feed(thing._repr_html_())
    return parser


def test_notebooks_show_tables(model, silicon_carbide):
    potential = _parsed(model.potential_)
    assert potential.rows == 1 + len(model.potential_.terms)
    assert model.potential_.terms[0][0].formula() in potential.text
    evaluation = Evaluation(model.potential_, silicon_carbide[0])
    shown = _parsed(evaluation)
    assert (
        shown.rows == 2 + len(set(evaluation.groups))
        and f"{evaluation.errors()['force_rmse']:.4g}" in shown.text
    )
    assert f"{model.normal_equations_.n_structures:,}" in _parsed(model.normal_equations_).text
    assert _parsed(model.path_).rows > 5


def test_what_prints_says_what_it_is(model, silicon_carbide):
    evaluation = Evaluation(model.potential_, silicon_carbide[0])
    error = f"force {evaluation.errors()['force_rmse']:.4g} eV/A"
    assert f"{len(silicon_carbide[0])} structures" in repr(evaluation) and error in repr(evaluation)
    size = f"{len(model.coef_)} terms, {len(silicon_carbide[0])} structures"
    assert repr(model.normal_equations_) == f"<NormalEquations C-Si: {size}>"


@pytest.mark.parametrize("estimator", [PLIPRegressor(), PLIPRegressorCV(), PLIPDescriptors()])
def test_documentation_links_lead_to_plip(estimator):
    name = type(estimator).__name__
    link = estimator._get_doc_link()
    assert link.endswith(f"api/plip.{name}.html") and "scikit-learn" not in link
    assert link in estimator._repr_html_()


def interrupted(*args, **kwargs):
    raise KeyboardInterrupt


def test_what_is_set_after_a_fit_changes_nothing_of_it(silicon_carbide, monkeypatch):
    train = silicon_carbide[0][::8]
    model = PLIPRegressor(small_descriptors(), max_terms=10).fit(train)
    other = PLIPRegressor(small_descriptors(), max_terms=10).fit(train)
    other.set_params(energy_weight=1000.0, contribution_penalty=1.0, repulsion=None, solver="ridge")
    for name in ("descriptors__cutoff", "alpha"):
        other.set_params(**{name: 2.5})
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(NormalEquations, "_accumulate", interrupted)
        other.fit(train)
    assert other.potential_at(5).repulsion == model.potential_at(5).repulsion is not None
    assert other.potential_at(5).fit_record == model.potential_at(5).fit_record
    expected = model.calibrate(train).predict(train, return_std=True)
    for found, value in zip(other.calibrate(train).predict(train, return_std=True), expected, strict=True):
        np.testing.assert_array_equal(found, value)


def test_the_record_has_the_descriptors_of_the_sums(silicon_carbide):
    equations = NormalEquations.from_structures(silicon_carbide[0][::8], small_descriptors())
    model = PLIPRegressor("accurate", max_terms=10).fit_normal_equations(equations)
    settings = model.potential_.fit_record["settings"]
    assert settings["descriptors"] == " ".join(repr(equations.descriptors).split()) != "accurate"
