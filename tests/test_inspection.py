"""Figures show what the potential and the fit say, and follow the convention of Displays."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from sample_fits import small_descriptors
from scipy.spatial import cKDTree
from sklearn.model_selection import KFold

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor, PLIPRegressorCV, Potential
from plip.interactions import TwoBody
from plip.metrics import Evaluation
from plip.plotting import parity_plot
from plip.radial import Gaussian

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402, after the choice of the backend

from plip.inspection import (  # noqa: E402
    AngleDisplay,
    DensityDisplay,
    EquationOfStateDisplay,
    PairDisplay,
    ParityDisplay,
    PartitionDisplay,
    PathDisplay,
    StabilityDisplay,
    UncertaintyDisplay,
)
from plip.inspection._data import TrainingData  # noqa: E402

PENALTY = 1e-4


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def fitted(silicon_carbide):
    train, _ = silicon_carbide
    return PLIPRegressorCV(small_descriptors(), max_terms=15, cv=3, contribution_penalty=PENALTY).fit(train)


@pytest.fixture(scope="module")
def potential(fitted):
    return fitted.potential_


DISPLAYS = {
    "parity": lambda model, train, test, ax: ParityDisplay.from_estimator(model, test, ax=ax),
    "path": lambda model, train, test, ax: PathDisplay.from_estimator(model, test, ax=ax),
    "stability": lambda model, train, test, ax: StabilityDisplay.from_estimator(model, ax=ax),
    "pair": lambda model, train, test, ax: PairDisplay.from_estimator(model, ax=ax),
    "pair of a potential": lambda model, train, test, ax: PairDisplay.from_potential(
        model.potential_, train, ax=ax
    ),
    "angle": lambda model, train, test, ax: AngleDisplay.from_estimator(model, ax=ax),
    "map": lambda model, train, test, ax: AngleDisplay.from_potential(model.potential_, kind="map", ax=ax),
    "density": lambda model, train, test, ax: DensityDisplay.from_estimator(model, ax=ax),
    "partition": lambda model, train, test, ax: PartitionDisplay.from_potential(
        model.potential_, {"crystal": train[0], "all": train}, ax=ax
    ),
    "equation of state": lambda model, train, test, ax: EquationOfStateDisplay.from_estimator(
        model, train[0], ax=ax
    ),
    "uncertainty": lambda model, train, test, ax: UncertaintyDisplay.from_estimator(model, test, ax=ax),
}


@pytest.mark.parametrize("name", DISPLAYS)
def test_displays_follow_the_convention_of_scikit_learn(name, fitted, silicon_carbide, tmp_path):
    display = DISPLAYS[name](fitted, *silicon_carbide, None)
    assert display.ax_ in display.figure_.axes
    assert display.ax_.get_xlabel() or name == "partition"
    display.figure_.savefig(tmp_path / "figure.png")
    figure, (left, right) = plt.subplots(1, 2)
    assert DISPLAYS[name](fitted, *silicon_carbide, right).ax_ is right
    assert display.plot(ax=left) is display
    assert (display.ax_, display.figure_) == (left, figure)
    assert left.has_data() and right.has_data()


def test_a_potential_stands_for_an_estimator_without_data(potential, silicon_carbide):
    assert PairDisplay.from_estimator(potential).data is None
    from_model = PairDisplay.from_potential(potential)
    for pair, energies in from_model.energies.items():
        assert np.array_equal(energies, potential.pair_energy(from_model.r, pair))
    with pytest.raises(TypeError, match="expected a Potential or an estimator"):
        PairDisplay.from_estimator(silicon_carbide)


def test_matplotlib_is_imported_only_when_it_is_used():
    code = "import sys, plip.inspection, plip.plotting; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


def test_without_matplotlib_displays_say_how_to_get_it(potential, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"PairDisplay needs matplotlib: pip install matplotlib"):
        PairDisplay.from_potential(potential)


# What figures say


def test_parity_has_the_errors_of_each_group(fitted, silicon_carbide):
    _, test = silicon_carbide
    evaluation = Evaluation(fitted.potential_, test)
    for target, factor in (("energy", 1.0), ("force", 1.0), ("stress", 1.0)):
        display = ParityDisplay.from_estimator(fitted, test, target=target)
        assert set(display.series) == set(evaluation.groups)
        for group, rmse in display.rmse.items():
            assert rmse == pytest.approx(factor * evaluation.errors(group)[f"{target}_rmse"])
        legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
        assert len(legend) == len(display.series)
        assert target != "force" or all(text.endswith("eV/Å") for text in legend)
        assert all(text.startswith(group) for text, group in zip(legend, display.series, strict=True))
    named = ParityDisplay.from_estimator(fitted, test, groups=["a"] + ["b"] * (len(test) - 1))
    assert set(named.series) == {"a", "b"}
    with pytest.raises(ValueError, match="target must be one of energy, force, stress, got 'forces'"):
        ParityDisplay.from_estimator(fitted, test, target="forces")
    with pytest.raises(ValueError, match="target must be one of energy, force, stress"):
        ParityDisplay({}, "virial")


def test_parity_plot_is_made_of_the_same_panels(fitted, silicon_carbide):
    evaluations = {"test": Evaluation(fitted.potential_, silicon_carbide[1])}
    panels = parity_plot(evaluations).axes
    for panel, target in zip(panels, ("energy", "force", "stress"), strict=True):
        alone = ParityDisplay.from_evaluations(evaluations, target=target).ax_
        assert panel.get_xlabel() == alone.get_xlabel()
        assert np.array_equal(panel.lines[0].get_xydata(), alone.lines[0].get_xydata())


def test_parity_of_many_values_draws_those_that_can_be_told_apart():
    rng = np.random.default_rng(0)
    reference = rng.normal(size=200_000)
    predicted = reference + 0.02 * rng.normal(size=200_000)
    predicted[777] = 9.0
    display = ParityDisplay({"train": (reference, predicted)}, "force").plot()
    drawn = display.ax_.lines[0].get_xydata()
    assert 1_000 < len(drawn) < 100_000
    assert display.rmse["train"] == pytest.approx(np.sqrt(np.mean((reference - predicted) ** 2)), rel=1e-12)
    # Each value is drawn, or another so near that markers hide it.
    low, high = min(reference.min(), predicted.min()), 9.0
    nearest, _ = cKDTree(drawn).query(np.column_stack([reference, predicted]))
    assert nearest.max() <= 1.5e-3 * (high - low)
    assert [reference[777], 9.0] in drawn.tolist()
    assert np.all(display.ax_.get_xlim() == display.ax_.get_ylim())


def test_uncertainty_is_on_the_diagonal_where_intervals_hold():
    rng = np.random.default_rng(0)
    deviations = np.exp(rng.uniform(-4.0, 1.0, 24_000))
    errors = deviations * rng.normal(size=24_000)
    errors[::100] = np.nan
    display = UncertaintyDisplay({"right": (errors, deviations), "small": (2 * errors, deviations)}, "force")
    assert display.coverage["right"] == pytest.approx(0.9, abs=0.01)
    for name, factor in (("right", 1.0), ("small", 2.0)):
        widths, found = display.bins[name]
        assert len(widths) == 12 and (np.diff(widths) > 0).all()
        np.testing.assert_allclose(found, factor * widths, rtol=0.12)
    unknown = np.full(10, np.nan)
    assert UncertaintyDisplay({"forces never fitted": (unknown, unknown)}, "force").plot().coverage == {}
    with pytest.raises(ValueError, match="target"):
        UncertaintyDisplay({}, "stress")


def test_names_of_groups_are_drawn_as_they_are(potential, silicon_carbide):
    names = ["a$b$c", "$\\bad{$", "_hidden", "100 % {x}^2"]
    structures = silicon_carbide[1][:8]
    evaluation = Evaluation(potential, structures, groups=[names[k % 4] for k in range(8)])
    parity = ParityDisplay.from_evaluations({name: evaluation for name in names}, target="force")
    bars = PartitionDisplay.from_potential(potential, dict(zip(names, structures, strict=False)))
    found = [text.get_text().split(":")[0] for text in parity.ax_.get_legend().get_texts()]
    assert [text.replace("\\$", "$").strip() for text in found] == names
    ticks = [text.get_text() for text in bars.ax_.get_xticklabels()]
    assert [text.replace("\\$", "$").strip() for text in ticks] == names
    for display in (parity, bars):
        display.figure_.canvas.draw()


def test_errors_of_rounding_draw_no_line_to_nowhere():
    rng = np.random.default_rng(0)
    deviations = np.exp(rng.uniform(-4.0, 1.0, 2_000))
    errors = deviations * rng.normal(size=2_000)
    # Zeros by symmetry, of atoms whose deviations are zero but for rounding, too.
    few = {"rounding": (1e-12 * errors[:30], 1e-9 * deviations[:30])}
    display = UncertaintyDisplay({"all": (errors, deviations), **few}, "force").plot()
    curves = {line.get_label().split(":")[0]: line for line in display.ax_.lines}
    assert len(curves["all"].get_xdata()) == len(display.bins["all"][0])
    assert len(curves["rounding"].get_xdata()) == 0 < len(display.bins["rounding"][0])


def test_uncertainty_has_the_coverage_of_each_group(fitted, silicon_carbide):
    _, test = silicon_carbide
    evaluation = Evaluation(fitted.potential_, test)
    for target in ("force", "energy"):
        display = UncertaintyDisplay.from_estimator(fitted, test, target=target)
        assert set(display.coverage) == set(np.unique(evaluation.groups))
        for group, share in display.coverage.items():
            assert share == evaluation.uncertainty(group)[f"{target}_coverage"]
        labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
        assert f"wurtzite: {100 * display.coverage['wurtzite']:.1f} % inside" in labels
    whole = UncertaintyDisplay.from_evaluations({"test": evaluation}, level=0.5)
    assert whole.coverage["test"] == evaluation.uncertainty(level=0.5)["force_coverage"]
    bare = fitted.potential_.with_uncertainty(None)
    with pytest.raises(ValueError, match="uncertainty=True"):
        UncertaintyDisplay.from_potential(bare, test)


def test_path_has_the_errors_of_the_potentials_on_it(fitted, silicon_carbide):
    train, test = silicon_carbide
    display = PathDisplay.from_estimator(fitted, test, cost_of=train[0])
    assert display.chosen == fitted.selected_size_
    for size in (3, fitted.n_terms_):
        row = np.flatnonzero(fitted.path_.n_terms == size)[-1]
        for name, structures in (("train", train), ("test", test)):
            expected = Evaluation(fitted.potential_at(size), structures).errors()
            for target, factor in (("energy", 1e3), ("force", 1.0)):
                found = display.curves[target][name][1][row]
                assert factor * found == pytest.approx(expected[f"{target}_rmse"], rel=1e-5)
    for target in ("energy", "force", "virial"):
        folds = display.curves[target]["cross-validation"][1]
        assert np.array_equal(folds, fitted.cv_results_[f"{target}_rmse"])
    assert (display.curves["cost"]["8 atoms"][1] > 0).all()
    for quantity in ("energy", "virial", "cancellation", "cost"):
        assert display.plot(quantity=quantity).ax_.get_ylabel()
    with pytest.raises(ValueError, match="quantity must be one of"):
        display.plot(quantity="time")


def test_path_of_a_fit_without_folds(silicon_carbide):
    model = PLIPRegressor(small_descriptors(), max_terms=6).fit(silicon_carbide[0])
    display = PathDisplay.from_estimator(model)
    assert set(display.curves["force"]) == {"train"}
    with pytest.raises(TypeError, match="PLIPRegressorCV"):
        StabilityDisplay.from_estimator(model)


def test_stability_is_the_share_of_folds_that_keep_a_term(fitted, silicon_carbide):
    train, _ = silicon_carbide
    splits = [np.sort(test) for _, test in KFold(3, shuffle=True, random_state=0).split(train)]
    expected = np.zeros(len(fitted.coef_))
    for test in splits:
        rest = fitted.normal_equations_ - NormalEquations.from_structures(
            [train[row] for row in test], fitted.descriptors_
        )
        settings = {"max_terms": 15, "contribution_penalty": PENALTY}
        fold = PLIPRegressor(fitted.descriptors_, **settings).fit_normal_equations(rest)
        expected += fold.path_.at_sizes([fitted.selected_size_]).coefs[0] != 0
    assert fitted.stability_ == pytest.approx(expected / 3)
    display = StabilityDisplay.from_estimator(fitted, max_terms=8)
    assert len(display.names) == 8
    assert (np.diff(display.shares) <= 0).all()
    names = [term.name for term in fitted.descriptors_.terms_]
    for name, share, is_kept in zip(display.names, display.shares, display.is_kept, strict=True):
        n = names.index(name)
        assert (share, is_kept) == (fitted.stability_[n], fitted.coef_[n] != 0)


def test_distances_of_the_data_are_counted_once_per_pair(fitted, silicon_carbide):
    from ase.neighborlist import neighbor_list

    train, _ = silicon_carbide
    data = PairDisplay.from_estimator(fitted).data
    assert len(data.structures) == len(train)
    total = sum(len(neighbor_list("i", atoms, fitted.potential_.cutoff)) for atoms in train)
    assert sum(counts.sum() for counts in data.distances.values()) == total / 2
    shortest = fitted.normal_equations_.shortest_distances
    for pair, counts in data.distances.items():
        first = np.flatnonzero(counts)[0]
        assert data.edges[first] <= shortest[pair] <= data.edges[first + 1]


def test_thick_pair_curves_end_where_the_data_end(fitted):
    display = PairDisplay.from_estimator(fitted)
    lines = {line.get_label().rstrip("*"): line for line in display.ax_.lines}
    for pair, shortest in fitted.normal_equations_.shortest_distances.items():
        r, energy = lines["-".join(pair)].get_data()
        known = r[np.isfinite(energy)]
        step = display.data.edges[1]
        assert abs(known[0] - shortest) <= step
        assert known[0] >= fitted.potential_.repulsion[pair][1]


def test_pairs_without_isolated_ones_are_marked(potential, silicon_carbide):
    def marks(structures):
        display = PairDisplay.from_potential(potential, structures)
        legend = display.ax_.get_legend()
        labels = {text.get_text() for text in legend.get_texts()} & {
            pair + star for pair in ("C-C", "C-Si", "Si-Si") for star in ("", "*")
        }
        return labels, legend.get_title().get_text()

    crystals = silicon_carbide[0][:4]
    labels, title = marks(crystals)
    assert labels == {"C-C*", "C-Si*", "Si-Si*"} and "no isolated pairs in the data" in title
    dimer = Atoms("SiC", [[0, 0, 0], [0, 0, 1.8]])
    trimer = Atoms("Si3", [[0, 0, 0], [0, 0, 2.3], [0, 2.0, 1.1]], cell=[20, 20, 20], pbc=True)
    # A chain through the cell is no isolated pair.
    chain = Atoms("C2", [[0, 0, 0], [0, 0, 1.5]], cell=[20, 20, 3.0], pbc=True)
    assert marks([*crystals, dimer, trimer, chain])[0] == {"C-C*", "C-Si", "Si-Si"}
    labels, title = marks([dimer, trimer, Atoms("C2", [[0, 0, 0], [0, 0, 1.5]])])
    assert labels == {"C-C", "C-Si", "Si-Si"} and not title
    assert "*" not in "".join(line.get_label() for line in PairDisplay.from_potential(potential).ax_.lines)


def test_angles_are_those_of_ase(fitted, silicon_carbide):
    train, _ = silicon_carbide
    data = AngleDisplay.from_estimator(fitted).data
    edges = np.array([0.0, 80.0, 100.0, 115.0, 180.0])
    reach = 2.1
    expected = np.zeros(4)
    for atoms in train:
        large = atoms.repeat((3, 3, 3))
        middle = 13 * len(atoms)
        for i in range(middle, middle + len(atoms)):
            if large.symbols[i] != "Si":
                continue
            d = large.get_distances(i, range(len(large)))
            near = [j for j in np.flatnonzero(d < reach) if large.symbols[j] == "C"]
            angles = [large.get_angle(j, i, k) for n, j in enumerate(near) for k in near[:n]]
            expected += np.histogram(angles, edges)[0]
    assert data.angles(("Si", "C", "C"), (reach, reach), edges).tolist() == expected.tolist()


def test_angle_curves_are_triplet_energies(potential):
    display = AngleDisplay.from_potential(potential, species=("Si", "C", "C"), r=(1.9, 2.0))
    assert list(display.energies) == [("Si", "C", "C")]
    expected = potential.triplet_energy(1.9, 2.0, display.angles, ("Si", "C", "C"))
    assert display.energies["Si", "C", "C"] == pytest.approx(expected, abs=1e-9)
    expected = potential.triplet_energy(1.9 * 0.85, 2.0 * 0.85, 90.0, ("Si", "C", "C"))
    assert display.surface[0, list(display.angles).index(90.0)] == pytest.approx(expected, abs=1e-9)
    with pytest.raises(ValueError, match="kind must be"):
        display.plot(kind="surface")


def test_density_is_one_in_the_crystal(fitted, silicon_carbide):
    potential = fitted.potential_
    crystal = silicon_carbide[0][0]
    display = DensityDisplay.from_potential(potential, crystals={"C": crystal}, density=[0.0, 1.0])
    of_c = potential.partition(crystal)["N-body"]["energies"][crystal.symbols == "C"].mean()
    assert display.energies["C"] == pytest.approx([0.0, of_c], abs=1e-9)
    assert set(display.energies) == {"C"}
    with pytest.raises(ValueError, match="give crystals"):
        DensityDisplay.from_potential(potential)
    with pytest.raises(TypeError, match="crystals must be a dict"):
        DensityDisplay.from_estimator(fitted, crystal)
    of_data = DensityDisplay.from_estimator(fitted)
    for symbol, sample in of_data.samples.items():
        largest = fitted.normal_equations_.largest_densities[symbol]
        _, limit = potential.density_limits[symbol]
        assert sample.max() / of_data.limits[symbol] == pytest.approx(largest / limit)


def test_the_crystal_of_an_element_is_the_element():
    function = TwoBody(Gaussian(eta=1.0, centers=[2.5]))
    structures = [
        bulk("Cu", a=4.1),
        bulk("CuNi", "rocksalt", a=4.6),
        bulk("Cu", a=3.6),
        bulk("Cu", "hcp", a=2.9),
    ]
    descriptors = PLIPDescriptors(4.0, function, three_body=None, n_body=None, shared=False).fit(structures)
    # Pairs of copper and nickel bind most strongly.
    coef = [-0.1 if len(set(term.species)) == 1 else -10.0 for term in descriptors.terms_]
    potential = Potential(descriptors, np.array(coef), {"Cu": 0.0, "Ni": 0.0})
    energies = np.array([potential.energy(atoms) / len(atoms) for atoms in structures])
    assert energies.argmin() == 1 and energies[[0, 2, 3]].argmin() == 1
    data = TrainingData(structures, potential)
    assert data.crystal(potential, "Cu") is structures[2]
    assert data.crystal(potential, "Ni") is structures[1]


def test_bars_and_curves_add_up_to_the_energy(potential, silicon_carbide):
    crystal = silicon_carbide[0][0]
    reference = sum(potential.intercept[symbol] for symbol in crystal.symbols)
    for by in ("interaction", "species"):
        bars = PartitionDisplay.from_potential(potential, {"crystal": crystal}, by=by)
        total = sum(energy[0] for energy in bars.energies.values())
        assert total == pytest.approx((potential.energy(crystal) - reference) / len(crystal), abs=1e-9)
    curves = EquationOfStateDisplay.from_potential(potential, crystal, lengths=[0.8, 1.0, 1.1])
    total = sum(curves.energies.values())
    assert total[1] == pytest.approx((potential.energy(crystal) - reference) / len(crystal), abs=1e-9)
    assert curves.volumes[1] == pytest.approx(crystal.get_volume() / len(crystal))
    shown = [text.get_text() for text in bars.ax_.get_legend().get_texts()]
    assert len(shown) <= 10
    with pytest.raises(TypeError, match="by name"):
        PartitionDisplay.from_potential(potential, [crystal])
    with pytest.raises(ValueError, match="periodic"):
        EquationOfStateDisplay.from_potential(potential, _free(crystal))


def _free(crystal):
    atoms = crystal.copy()
    atoms.pbc = False
    return atoms


def test_series_differ_without_color(potential):
    display = PairDisplay.from_potential(potential)
    drawn = [line for line in display.ax_.lines if "-" in line.get_label()]
    assert len(drawn) == 3
    assert len({line.get_linestyle() for line in drawn}) == 3
    assert len({line.get_color() for line in drawn}) == 3


def _long(*names):
    return [f"{name}, as the name of a group of structures that tells all of their history" for name in names]


@pytest.mark.parametrize("kind", ["parity", "uncertainty", "pair", "partition", "term"])
def test_legends_have_room_for_long_names_and_many_series(kind):
    values = np.linspace(0.1, 1.0, 20)
    if kind == "parity":
        display = ParityDisplay({name: (values, values) for name in _long("a", "b")}, "force").plot()
    elif kind == "uncertainty":
        display = UncertaintyDisplay({name: (values, values) for name in _long("a", "b")}, "force").plot()
    elif kind == "pair":
        symbols = ("Ag", "Au", "Cu", "Ni", "Pd", "Pt")
        pairs = itertools.combinations_with_replacement(symbols, 2)
        display = PairDisplay(1.0 + values, dict.fromkeys(pairs, -values), {}).plot()
    else:
        terms = [
            f"three-body C(C,Si) Gaussian(eta=0.95, centers={n}) Gaussian(eta=0.9, centers=3.575) l=2"
            for n in range(1 if kind == "term" else 9)
        ]
        display = PartitionDisplay(["crystal", "melt"], dict.fromkeys(terms, np.array([-1.0, 2.0]))).plot()
    display.figure_.canvas.draw()
    legend, panel = display.ax_.get_legend().get_window_extent(), display.ax_.get_window_extent()
    assert legend.x0 >= panel.x1
    assert legend.y0 >= 0 and legend.y1 <= display.figure_.bbox.y1 and legend.x1 <= display.figure_.bbox.x1
    assert panel.height >= 0.5 * display.figure_.bbox.y1
    assert panel.width >= 0.7 * panel.height


def test_rounding_is_no_curve(potential):
    pairs = potential.select(interaction="two-body")
    for kind in ("curve", "map"):
        display = AngleDisplay.from_potential(pairs, kind=kind)
        low, high = display.ax_.get_ylim() if kind == "curve" else display.ax_.collections[0].get_clim()
        assert high - low > 1e-4


def test_numbers_of_terms_are_integers():
    display = PathDisplay({"energy": {"train": (np.array([0, 1, 2]), np.array([3.0, 2.0, 1.0]))}}, 1)
    ticks = display.plot(quantity="energy").ax_.get_xticks()
    assert np.array_equal(ticks, np.round(ticks))
    assert "chosen: 1 term" in [line.get_label() for line in display.ax_.lines]


def test_volumes_of_slabs_are_no_volumes_of_the_data(potential, silicon_carbide):
    crystals = [atoms for atoms in silicon_carbide[0] if atoms.info["group"] == "zincblende-eos"]
    slab = crystals[0] * (1, 1, 2)
    slab.center(vacuum=6.0, axis=2)
    of_crystals = EquationOfStateDisplay.from_potential(potential, crystals[0], crystals).known
    assert (
        of_crystals == EquationOfStateDisplay.from_potential(potential, crystals[0], [*crystals, slab]).known
    )
    volumes = [atoms.get_volume() / len(atoms) for atoms in crystals]
    assert of_crystals == pytest.approx((min(volumes), max(volumes)))
    assert EquationOfStateDisplay.from_potential(potential, crystals[0], [slab]).known is None


def test_the_only_curve_of_a_path_has_a_name(silicon_carbide):
    model = PLIPRegressor(small_descriptors(), max_terms=5).fit(silicon_carbide[0][::8])
    display = PathDisplay.from_estimator(model, quantity="energy")
    assert "train" in [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_least_energy_of_a_crystal_is_shown():
    volumes = np.linspace(8.0, 22.0, 50)
    energy = 0.05 * (volumes - 12.0) ** 2 - 2.0
    display = EquationOfStateDisplay(volumes, {"two-body": energy}, known=(18.0, 19.0)).plot()
    assert display.ax_.get_ylim()[0] < energy.min()
