"""The check of a potential after its fit: what it finds, what it passes, and that passed ones simulate."""

import copy
import itertools
import pickle
from types import MappingProxyType

import numpy as np
import pytest
from ase import Atom, Atoms, units
from ase.build import bulk, fcc111, molecule, mx2
from ase.calculators.singlepoint import SinglePointCalculator
from ase.md.langevin import Langevin
from ase.neighborlist import neighbor_list
from ase.optimize import FIRE
from sample_fits import heated_copper, labeled_by_emt, report_of_one

from plip import PLIPDescriptors, PLIPRegressor, load_potential
from plip.datasets import load_silicon_carbide
from plip.interactions import TwoBody
from plip.potential import Potential
from plip.radial import Gaussian
from plip.report import potential_summary
from plip.report._crystals import _candidates
from plip.safety import Finding, SafetyReport
from plip.safety._check import _Check
from plip.safety._distances import labelable
from plip.safety._hot_runs import HotRuns
from plip.safety._report import kind_of, name_of
from plip.selection import select_structures

SETTINGS = {"solver": "replacement", "alpha": 0.0, "max_terms": 30, "stress_weight": 10.0}


def without_repulsion(potential):
    """The same terms, and nothing where the data end."""
    bare = Potential.__new__(Potential)
    bare.__setstate__(
        potential.__getstate__() | {"repulsion": None, "density_limits": None, "core_forces": None}
    )
    return bare


@pytest.fixture(scope="module")
def copper_structures():
    return heated_copper()


@pytest.fixture(scope="module")
def copper(copper_structures):
    return PLIPRegressor("fast", **SETTINGS).fit(copper_structures).potential_


@pytest.fixture(scope="module")
def silicon_carbide():
    structures, _ = load_silicon_carbide()
    # Without repulsion, terms of species apart let atoms fuse.
    model = PLIPRegressor("fast", **SETTINGS).set_params(descriptors__shared=False)
    return structures, model.fit(structures).potential_


def test_a_good_potential_passes(copper, copper_structures):
    report = copper.check_safety(copper_structures)
    assert report.is_safe and report.findings == () and report.kinds == ()
    assert report.counts["pairs of species"] == 1
    assert report.counts["pushed atoms"] > 20
    assert "nothing found" in str(report) and len(str(report).splitlines()) == 1
    assert copper.check_safety().is_safe


def test_files_keep_the_last_check(copper, copper_structures, tmp_path):
    potential = copper.with_fit_record({"settings": {}})
    assert "Safety: not checked" in potential_summary(potential)
    for structures in (copper_structures, copper_structures[::2]):
        report = potential.check_safety(structures)
        potential.save(tmp_path / "Cu.json")
        loaded = load_potential(tmp_path / "Cu.json")
        assert loaded.fit_record == {"settings": {}, "safety": report.as_record()}
        assert f"pushed atoms: {report.counts['pushed atoms']}" in " ".join(potential_summary(loaded).split())
    bare = without_repulsion(copper).with_fit_record(None)
    assert not bare.check_safety().is_safe
    assert bare.fit_record["safety"]["findings"]


def test_a_potential_without_repulsion_is_found(copper, copper_structures):
    bare = without_repulsion(copper)
    report = bare.check_safety(copper_structures)
    assert not report.is_safe
    (pair,) = [finding for finding in report.findings if finding.kind == "pair"]
    # What it says is so.
    high, low = pair.figures["distances"]
    energies = [bare.energy(Atoms("Cu2", [[0, 0, 0], [r, 0, 0]])) for r in (high, low)]
    if "fall" in pair.figures:
        assert energies[0] - energies[1] == pytest.approx(pair.figures["fall"], rel=1e-9, abs=1e-6)
    else:
        assert energies[1] - energies[0] == pytest.approx(pair.figures["wall"], rel=1e-9, abs=1e-6)
    assert "pair" in bare.check_safety().kinds
    assert len(str(report).splitlines()) == 1 + len(report.findings)


def test_each_pair_of_species_is_looked_at(silicon_carbide):
    """Without terms, and with the repulsion of all pairs but one, that pair has no wall."""
    _, potential = silicon_carbide
    for pair in itertools.combinations_with_replacement(potential.species, 2):
        kept = {other: fade for other, fade in potential.repulsion.items() if other != pair}
        changed = Potential.__new__(Potential)
        state = potential.__getstate__() | {"terms": (), "coef": np.zeros(0)}
        changed.__setstate__(state | {"repulsion": kept, "core_forces": None, "uncertainty": None})
        findings = [finding for finding in changed.check_safety().findings if finding.kind == "pair"]
        assert [finding.figures["pair"] for finding in findings] == ["-".join(pair)]


def one_pair_term(coefficient, structures):
    """The energy of pairs that a single Gaussian gives, without repulsion."""
    descriptors = PLIPDescriptors(
        cutoff=4.0, two_body=TwoBody(Gaussian(eta=0.3, centers=0.0)), three_body=None, n_body=None
    ).fit(structures)
    return Potential(descriptors, [coefficient], {"Cu": 0.0})


def test_crystals_that_fall_apart_are_found(copper_structures):
    report = one_pair_term(20.0, copper_structures).check_safety(copper_structures)
    assert {"expansion", "evaporation"} <= set(report.kinds)
    assert not {"pair", "compression"} & set(report.kinds)
    (expansion,) = [finding for finding in report.findings if finding.kind == "expansion"]
    assert expansion.figures["length"] == np.inf and "single atoms" in expansion.message
    (evaporation,) = [finding for finding in report.findings if finding.kind == "evaporation"]
    assert evaporation.figures["species"] == "Cu" and evaporation.figures["gain"] > 1.0


def test_crystals_that_fall_together_are_found(copper_structures):
    potential = one_pair_term(-5.0, copper_structures)
    report = potential.check_safety(copper_structures)
    assert {"pair", "push", "compression", "collapse"} <= set(report.kinds)
    (compression,) = [finding for finding in report.findings if finding.kind == "compression"]
    assert compression.figures["fall"] > 1.0 and min(compression.figures["lengths"]) == pytest.approx(0.6)
    (pair,) = [finding for finding in report.findings if finding.kind == "pair"]
    energies = [potential.energy(Atoms("Cu2", [[0, 0, 0], [r, 0, 0]])) for r in pair.figures["distances"]]
    assert energies[0] - energies[1] == pytest.approx(pair.figures["fall"])


def test_fused_atoms_are_found(silicon_carbide):
    structures, potential = silicon_carbide
    report = without_repulsion(potential).check_safety(structures)
    assert {"pair", "push", "collapse"} <= set(report.kinds)
    (push, *_) = [finding for finding in report.findings if finding.kind == "push"]
    assert push.figures["fall"] > 0


def test_atoms_that_fall_together_where_data_are_mistaken_are_found(silicon_carbide):
    structures, _ = silicon_carbide
    train = [atoms.copy() for atoms in structures]
    energies = [atoms.calc.results["energy"] for atoms in structures]
    forces = [atoms.calc.results["forces"] for atoms in structures]
    train[2].positions[1] = train[2].positions[0] + [0.0, 0.2, 0.0]
    with pytest.warns(UserWarning, match="closer than bonds"):
        model = PLIPRegressor("fast").fit(train, energies, forces=forces)
    assert min(first for _, first in model.potential_.repulsion.values()) < 0.25
    findings = model.potential_.check_safety(structures).findings
    assert any(finding.kind == "pair" and "falls by" in finding.message for finding in findings)


@pytest.mark.parametrize("is_known", [True, False])
def test_atoms_that_gain_energy_in_the_data_may_leave(is_known):
    """Helium in a metal does. Without data of the metal alone and of the single atom, nobody knows."""
    rng = np.random.default_rng(0)
    structures = []
    for k in range(24):
        atoms = bulk("Cu", a=3.7, cubic=True) * 2
        if k % 2 or not is_known:
            atoms.append(Atom("Ag", [1.85, 0.0, 0.0]))  # far too large for this place
        atoms.rattle(0.03 + 0.01 * (k % 5), rng=rng)
        structures.append(labeled_by_emt(atoms))
    if is_known:
        structures += [labeled_by_emt(Atoms(symbol, cell=[12.0] * 3, pbc=True)) for symbol in ("Ag", "Cu")]
    potential = PLIPRegressor("fast").fit(structures).potential_
    findings = [f for f in potential.check_safety(structures).findings if "atom of Ag gains" in f.message]
    assert bool(findings) != is_known


def test_atoms_of_compounds_are_pushed_onto_each_other():
    """A platinum atom that comes to an oxygen atom meets the other platinum neighbors of this one."""
    rng = np.random.default_rng(0)
    structures = []
    for _ in range(12):
        atoms = mx2("PtO2", a=3.1, thickness=2.6, size=(2, 2, 1), vacuum=8.0)
        atoms.rattle(0.02, rng=rng)
        structures.append(labeled_by_emt(atoms))
    potential = PLIPRegressor("fast").fit(structures).potential_
    assert potential.repulsion["Pt", "Pt"][1] > 2.8 > potential.repulsion["O", "Pt"][1]
    assert potential.check_safety(structures).counts["pushed atoms"] > 20


def test_crystals_under_tension_may_shrink():
    """Data of stretched copper alone: its energy falls first when it is compressed, as it should."""
    rng = np.random.default_rng(3)
    structures = []
    for length in np.linspace(3.85, 4.6, 16):
        atoms = bulk("Cu", a=length, cubic=True)
        atoms.rattle(0.08, rng=rng)
        structures.append(labeled_by_emt(atoms))
    potential = PLIPRegressor("fast", **SETTINGS | {"max_terms": 10}).fit(structures).potential_
    assert "compression" not in potential.check_safety(structures).kinds


def test_same_input_same_report(copper, copper_structures):
    bare = without_repulsion(copper)
    first, second = (str(bare.check_safety(iter(copper_structures[::6]))) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("kind", ["molecules", "one atom", "slabs", "wires"])
def test_structures_of_every_kind(copper, kind):
    structures = {
        "molecules": [Atoms("Cu2", [[0, 0, 0], [2.3 + 0.1 * k, 0, 0]]) for k in range(4)],
        "one atom": [Atoms("Cu")],
        "slabs": [fcc111("Cu", (2, 2, 3), vacuum=6.0, periodic=False)],
        "wires": [Atoms("Cu2", [[0, 0, 0], [0.3, 0, 2.4]], cell=[0, 0, 5.0], pbc=(False, False, True))],
    }[kind]
    report = copper.check_safety(structures)
    assert "collapse" not in report.kinds
    n_steps = next(count for name, count in report.counts.items() if name.startswith("steps"))
    assert (n_steps > 0) == (kind != "one atom")


def test_structures_of_other_species_are_refused(copper):
    with pytest.raises(ValueError, match="Ag"):
        copper.check_safety([bulk("Ag")])
    with pytest.raises(TypeError, match="sequence"):
        copper.check_safety(bulk("Cu"))


def test_molecules():
    """Molecules alone: pairs that no structure holds, and no crystal."""
    rng = np.random.default_rng(1)
    water = [molecule("H2O") for _ in range(8)]
    for atoms in water:
        atoms.rattle(0.1, rng=rng)
        labeled_by_emt(atoms)
    report = PLIPRegressor(max_terms=10).fit(water).potential_.check_safety(water)
    assert report.counts["pairs of species"] == 3
    assert report.counts["pushed atoms"] > 10


def test_atoms_alone_are_no_crystals_below_which_molecules_lie():
    """Nothing is found of two atoms because the data hold each atom by itself, in a periodic box or not."""
    train = load_silicon_carbide()[0]
    potential = PLIPRegressor().fit(train).potential_
    alone = [Atoms("Si", cell=[12.0] * 3, pbc=True), Atoms("Si"), Atoms("C")]
    two = Atoms("Si2", [[0, 0, 0], [2.2, 0, 0]])
    assert potential.energy(two) < 2 * potential.energy(alone[1]) - 1.0  # a molecule
    plain, report = potential.check_safety(train), potential.check_safety([*train, *alone])
    assert report.is_safe and plain.is_safe
    assert report.counts["crystals or lattices"] == plain.counts["crystals or lattices"]
    assert potential.check_safety(alone).counts["crystals or lattices"] == 0


def test_each_kind_of_molecule_and_one_crystal_run_hot(silicon_carbide, monkeypatch):
    ran = []
    monkeypatch.setattr(HotRuns, "run", lambda self, atoms: ran.append(name_of(atoms)))
    structures, potential = silicon_carbide
    molecules = [Atoms(f"Si{n}C2", [[1.9 * k, 0, 0] for k in range(n + 2)]) for n in (1, 4, 4, 4)]
    potential.check_safety([*structures[:5], *molecules, *[Atoms("Si")] * 9])
    assert ran == ["CSi", "C2Si4", "C2Si"]
    assert kind_of(molecules[0]) == "molecule" and kind_of(structures[0]) == "crystal"


def test_report_is_text():
    report = report_of_one()
    assert not report.is_safe and report.kinds == ("pair",)
    assert str(report) == repr(report) == "Safety: 1 finding (pushed atoms: 3)\n  pair: A-B: falls"


def test_reports_are_copied_and_sent_to_other_processes():
    finding = Finding("pair", "A-B: falls", {"pair": "A-B", "distances": (2.0, 1.0)})
    report = SafetyReport((finding,), {"pushed atoms": 3})
    for twin in (pickle.loads(pickle.dumps(report)), copy.deepcopy(report)):
        assert twin == report
        with pytest.raises(TypeError):
            twin.findings[0].figures["pair"] = "A-C"


@pytest.mark.parametrize("placeholder", [0.0, None])
def test_ground_states_are_those_of_the_labels(placeholder):
    structures = []
    for energy in (-3.0, -3.5, -3.2):
        structures.append(bulk("Cu", cubic=True))
        results = {"energy": 4 * energy, "free_energy": placeholder}
        structures[-1].calc = SinglePointCalculator(structures[-1])
        structures[-1].calc.results = results
    pairs = TwoBody(Gaussian(eta=1.0, centers=2.5))
    descriptors = PLIPDescriptors(4.0, two_body=pairs, three_body=None, n_body=None).fit(structures)
    potential = Potential(descriptors, [-0.1], {"Cu": 0.0})
    ((crystal, _),) = _Check(potential, structures).samples
    assert crystal is structures[1]
    assert _candidates(potential, structures, None)[0][0] is structures[1]


class Springs:
    """Atoms on springs to where they are first, and noise that no force explains, in eV/atom."""

    species = ("Cu",)
    intercept = MappingProxyType({"Cu": 0.0})

    def __init__(self, period, noise):
        self.constant = 63.5 * (2 * np.pi / (period * units.fs)) ** 2
        self.noise = noise
        self.sites = {}

    def evaluate(self, atoms, stress):
        sites = self.sites.setdefault((len(atoms), *atoms.pbc), atoms.positions.copy())
        away = atoms.positions - sites
        noise = self.noise * len(atoms) * np.cos(1e6 * away.sum())
        return {"energy": 0.5 * self.constant * (away**2).sum() + noise, "forces": -self.constant * away}


@pytest.mark.parametrize(
    ("period", "noise", "kinds"),
    [
        (20.0, 0.0, []),  # periods of twenty steps
        (7.0, 0.0, []),  # of six steps, which move the total energy by more than 0.02 eV/atom
        (20.0, 0.03, ["drift"]),
        (2.0, 0.0, ["collapse"] * 3),  # no step of use is short enough
    ],
)
def test_drift_is_of_the_potential_and_not_of_the_integrator(period, noise, kinds):
    runs = HotRuns(Springs(period, noise), {("Cu", "Cu"): 0.5})
    runs.run(bulk("Cu", cubic=True))
    assert [finding.kind for finding in runs.findings] == kinds


class Holes(Springs):
    """Weak springs, and a hole of the given depth in eV at 1 Angstrom from where each atom is first."""

    def __init__(self, depth):
        super().__init__(period=750.0, noise=0.0)
        self.depth = depth

    def evaluate(self, atoms, stress):
        results = super().evaluate(atoms, stress)
        away = atoms.positions - self.sites[(len(atoms), *atoms.pbc)]
        u = np.maximum(np.linalg.norm(away, axis=1), 1e-9)
        hole = self.depth * np.exp(-(((u - 1.0) / 0.2) ** 2))
        results["forces"] -= (hole * 2.0 * (u - 1.0) / 0.2**2 / u)[:, None] * away
        return results | {"energy": results["energy"] - hole.sum()}


@pytest.mark.parametrize(("depth", "kinds"), [(0.0, []), (0.5, ["collapse"] * 3), (0.7, ["collapse"] * 3)])
def test_holes_that_only_hot_atoms_reach_are_found(depth, kinds):
    """Their kinetic energy hides how deep these are until they cool."""
    runs = HotRuns(Holes(depth), {("Cu", "Cu"): 0.01})  # these atoms do not know of each other
    runs.run(bulk("Cu", cubic=True))
    assert [finding.kind for finding in runs.findings] == kinds
    assert all("cooled" in finding.message for finding in runs.findings)
    assert all(0.1 < finding.figures["depth"] < depth for finding in runs.findings)


# ------------------------------------------------------------------ structures that show it


def test_structures_show_what_the_figures_say(copper_structures):
    apart = one_pair_term(20.0, copper_structures)
    findings = {finding.kind: finding for finding in apart.check_safety(copper_structures).findings}
    (atom,) = findings["expansion"].structures  # it falls apart into single atoms
    assert len(atom) == 1 and not atom.pbc.any()
    left, alone = findings["evaporation"].structures
    assert alone == atom and left.pbc.all()
    crowded = one_pair_term(-5.0, copper_structures)
    findings = {finding.kind: finding for finding in crowded.check_safety(copper_structures).findings}
    first, last = findings["compression"].structures
    high, low = findings["compression"].figures["lengths"]
    assert last.cell.lengths() / first.cell.lengths() == pytest.approx(low / high)
    fall = (crowded.energy(first) - crowded.energy(last)) / len(first)
    assert fall == pytest.approx(findings["compression"].figures["fall"])
    assert findings["collapse"].structures
    assert "np." not in str([dict(finding.figures) for finding in findings.values()])


@pytest.mark.parametrize("kind", ["fall", "dimer"])
def test_structures_of_pairs(kind):
    """A hole outside the core, and one that ends inside."""
    train = [labeled_by_emt(bulk("Cu", a=a, cubic=True)) for a in (3.4, 3.6, 3.8)]
    potential = one_pair_term(-5.0, train)
    findings = potential.check_safety(train).findings
    (found,) = [finding for finding in findings if finding.kind == {"fall": "pair", "dimer": "dimer"}[kind]]
    reach = 0.8 * 0.96 * 3.4 / np.sqrt(2)
    told = found.figures["distances"] if kind == "fall" else [found.figures["distance"]]
    assert [atoms.get_distance(0, 1) for atoms in found.structures] == pytest.approx(
        [r for r in told if r >= reach]
    )


def test_the_way_into_a_hole_is_told():
    """As far as its atoms keep apart, and without what belongs to other structures."""
    crystal = bulk("Cu", cubic=True)
    crystal.info["energy"] = -3.0
    crystal.set_array("forces", np.zeros((4, 3)))
    crystal.calc = SinglePointCalculator(crystal, energy=-3.0)
    truth = Holes(0.7)
    runs = HotRuns(truth, {("Cu", "Cu"): 0.01})
    runs.run(crystal)
    for finding in runs.findings:
        energies = [
            truth.evaluate(atoms, stress=False)["energy"] / len(atoms) for atoms in finding.structures
        ]
        assert len(energies) > 10 and max(energies) > 0.0
        if finding.structures[-1].pbc.all():  # slabs are no longer where the truth has its sites
            assert -energies[-1] == pytest.approx(finding.figures["depth"], rel=1e-9)
        for atoms in finding.structures:
            assert atoms.calc is None and not atoms.info and set(atoms.arrays) == {"numbers", "positions"}
    # Now they know of each other.
    near = HotRuns(Holes(0.7), {("Cu", "Cu"): 2.5})
    near.run(crystal)
    ways = [finding.structures for finding in near.findings]
    assert sum(map(len, ways)) < sum(len(finding.structures) for finding in runs.findings)
    assert all(neighbor_list("d", atoms, 2.0).size == 0 for way in ways for atoms in way)


@pytest.mark.parametrize("pbc", [(True, True, False), (False, True, False), (False, False, False)])
@pytest.mark.parametrize("has_cell", [True, False])
def test_structures_suit_programs_that_are_periodic(pbc, has_cell):
    """Images of what is not periodic are 10 Angstrom apart, however far atoms have flown."""
    atoms = bulk("Cu", cubic=True)
    atoms.pbc = pbc
    atoms.positions[0] -= 0.1 + 20.0 * ~np.array(pbc)  # beyond its cell
    if not has_cell:
        atoms.cell[~np.array(pbc)] = 0.0
    (shown,) = labelable([atoms], {("Cu", "Cu"): 1.0})
    assert shown.pbc.tolist() == list(pbc) and shown.cell.rank == 3
    shifts = shown.positions - atoms.positions
    np.testing.assert_allclose(shifts, np.broadcast_to(shifts[0], shifts.shape), atol=1e-12)
    for axis in range(3):
        length = shown.cell.lengths()[axis]
        if pbc[axis]:
            assert shown.cell[axis] == pytest.approx(atoms.cell[axis])
        else:
            assert length - np.ptp(shown.positions[:, axis]) == pytest.approx(10.0)
            assert shown.positions[:, axis].min() == pytest.approx(5.0)


def test_near_duplicates_are_named_once():
    """Several runs begin at the same place, and rest there."""
    crystal = bulk("Cu", cubic=True)
    near, moved, strained, other = (crystal.copy() for _ in range(4))
    near.positions += 0.02 / np.sqrt(3)
    moved.positions[0, 0] += 0.2
    strained.set_cell(1.05 * crystal.cell, scale_atoms=True)
    other.symbols[0] = "Ni"
    open_ = crystal.copy()
    open_.pbc = False
    different = (crystal, moved, strained, other, open_, crystal[:3])
    first, second = (
        Finding("push", "", structures=different),
        Finding("drift", "", structures=(near, *different)),
    )
    report = SafetyReport((first, second), {})
    assert len(report.structures) == 6
    assert all(found is atoms for found, atoms in zip(report.structures, different, strict=True))


def test_labels_of_these_structures_mend_the_fit():
    rng = np.random.default_rng(0)
    compound = bulk("Al", a=3.75, cubic=True)
    compound.symbols = "Al2Ni2"
    train = []
    for k in range(12):
        atoms = compound.copy()
        strain = np.eye(3) * (1.0 + 0.02 * (k % 5 - 2)) + rng.normal(scale=0.01, size=(3, 3))
        atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        atoms.rattle(0.05, rng=rng)
        train.append(labeled_by_emt(atoms))
    n_failed = 0
    while not (report := (model := PLIPRegressor().fit(train)).potential_.check_safety(train)).is_safe:
        assert (n_failed := n_failed + 1) < 4
        pool = report.structures
        chosen = select_structures(pool, min(8, len(pool)), model)
        train += [labeled_by_emt(pool[k].copy()) for k in chosen]
    assert n_failed > 0  # else there is nothing to mend


def test_the_zero_of_energy_does_not_matter(silicon_carbide):
    """Interstitial atoms change the composition, and with all electrons an atom has many thousand eV."""
    structures, potential = silicon_carbide
    rich = [atoms.copy() for atoms in structures[:20]]
    for atoms in rich:
        atoms.symbols[int(np.flatnonzero(atoms.symbols == "C")[0])] = "Si"
    shifted = Potential.__new__(Potential)
    references = {symbol: energy - 1e4 * (symbol == "C") for symbol, energy in potential.intercept.items()}
    shifted.__setstate__(potential.__getstate__() | {"intercept": references})
    assert str(shifted.check_safety(rich)) == str(potential.check_safety(rich))


# ------------------------------------------------------------------ what passes simulates


def test_hot_copper_stays_matter(copper):
    atoms = bulk("Cu", a=3.6, cubic=True) * 2
    atoms.calc = copper.calculator()
    rng = np.random.default_rng(2)
    friction = 0.02 / units.fs
    dynamics = Langevin(atoms, 2 * units.fs, temperature_K=4000, friction=friction, rng=rng, fixcm=False)
    crystal = atoms.get_potential_energy()
    for _ in range(12):
        dynamics.run(50)  # 1.2 ps in all
        assert neighbor_list("d", atoms, 3.0).min() > 1.3
        assert atoms.get_potential_energy() > crystal


def test_carbon_interstitial_relaxes_to_a_bond(silicon_carbide):
    structures, potential = silicon_carbide
    atoms = bulk("SiC", "zincblende", a=4.38, cubic=True) * 2
    atoms.append(Atom("C", [2.19] * 3))
    atoms.rattle(0.01, seed=3)
    atoms.calc = potential.calculator()
    FIRE(atoms, logfile=None).run(fmax=0.1, steps=300)
    # The bond of a dumbbell of carbon has 1.3 A.
    assert neighbor_list("d", atoms, 3.0).min() > 1.1
