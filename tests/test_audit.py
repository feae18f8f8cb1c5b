"""The audit finds each fault that is planted, names its structures, and nothing in clean data."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from planted_faults import (
    ALL_LABELS,
    SOME_LABELS,
    Fault,
    copied,
    drop_forces,
    exchange_shear,
    labeled,
    make_copper,
    make_virial,
    plant,
    reorder,
    scale,
    shift_energy,
)

from plip.audit import audit
from plip.audit._foreign import find_foreign_forces
from plip.audit._report import name_places
from plip.cli import main
from plip.datasets import load_silicon_carbide


@pytest.fixture(scope="module")
def copper():
    return make_copper()


def test_clean_data_have_no_findings(copper):
    assert str(audit(copper)) == f"Audit of {len(copper)} structures: nothing found"


def test_one_structure():
    assert str(audit([labeled(bulk("Cu"), "one")])) == "Audit of 1 structure: nothing found"


def test_shipped_data_are_clean():
    assert audit(*load_silicon_carbide()).is_clean


def test_clean_alloys_slabs_and_clusters_have_no_findings():
    structures = make_copper(("Cu", "Au"), seed=1)
    rng = np.random.default_rng(2)
    for _ in range(10):
        cluster = Atoms(bulk("Cu", cubic=True) * (2, 2, 1), pbc=False, cell=None)
        cluster.rattle(0.1, seed=int(rng.integers(1e9)))
        structures.append(labeled(cluster, "cluster"))
    assert audit(structures).kinds == ()


@pytest.mark.parametrize("name", ALL_LABELS)
def test_finds_labels_of_another_unit_sign_or_order(copper, name):
    found, rows = plant(copper, ALL_LABELS[name])
    report = audit(found)
    assert report.kinds == (ALL_LABELS[name].kind,)
    assert report.findings[0].structures == rows
    assert name != "energies per atom" or "by the number of atoms" in report.findings[0].remedy


def reverse(atoms):
    atoms.calc.results["forces"] = atoms.calc.results["forces"][::-1].copy()


def exchange_components(atoms):
    atoms.calc.results["forces"] = atoms.calc.results["forces"][:, [1, 2, 0]].copy()


@pytest.mark.parametrize("change", [reverse, exchange_components])
def test_finds_forces_of_other_atoms_or_directions(copper, change):
    found, _ = plant(copper, Fault("foreign forces", change))
    (finding,) = audit(found, quick=True).findings
    assert finding.kind == "foreign forces"
    assert {copper[k].info["group"] for k in finding.structures} == {"hot", "slab"}
    assert len(finding.structures) >= 20


def test_small_forces_may_be_of_anything():
    """Those on atoms of strained crystals are what calculations have not converged."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(20):
        atoms = bulk("Cu", cubic=True)
        atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(scale=0.02, size=(3, 3))), scale_atoms=True)
        found.append(labeled(atoms, "strained"))
        found[-1].calc.results["forces"] += rng.normal(scale=0.003, size=(4, 3))
    assert "foreign forces" not in audit(found, quick=True).kinds


@pytest.mark.parametrize(("n_species", "is_told"), [(1, True), (4, True), (5, False)])
def test_forces_between_many_species_need_many_structures(n_species, is_told):
    shares = np.full(12, 0.8)
    trial = SimpleNamespace(unexplained_forces=lambda: (np.arange(12), shares), n_species=n_species)
    assert bool(find_foreign_forces(trial, [np.zeros(4, bool)] * 12)) == is_told


def test_slabs_with_frozen_layers_have_no_foreign_forces():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(14):
        atoms = fcc111("Cu", (2, 2, 4), vacuum=6.0)
        atoms.rattle(0.1, rng=rng)
        found.append(labeled(atoms, "slab"))
        found[-1].calc.results["forces"][:12] = 0.0
    assert audit(found, quick=True).kinds == ("constrained",)


def in_bohr(structures):
    found = []
    for atoms in structures:
        other = atoms.copy()
        other.set_cell(atoms.cell / units.Bohr, scale_atoms=True)
        other.calc = SinglePointCalculator(other, **atoms.calc.results)
        found.append(other)
    return found


def test_finds_lengths_in_bohr(copper):
    (finding,) = audit(in_bohr(copper), quick=True).findings
    assert (finding.kind, finding.structures) == ("length unit", tuple(range(len(copper))))
    assert "Multiply positions and cells by 0.529177" in finding.remedy
    # One structure with distances of bonds is enough to say that lengths are as they should be.
    assert "length unit" not in audit([*in_bohr(copper), copper[0]], quick=True).kinds
    curve = [Atoms("H2", [[0, 0, 0], [0, 0, r]]) for r in (0.6, 0.74, 0.9, 1.2, 1.5)]
    for structures in (curve, [bulk("Ar")]):
        for atoms in structures:
            atoms.calc = SinglePointCalculator(atoms, energy=-1.0 * len(atoms))
        assert audit(structures).is_clean


def test_finds_some_structures_in_bohr(copper):
    mixed = copied(copper)
    mixed[3], mixed[8] = in_bohr([copper[3], copper[8]])
    (finding,) = (finding for finding in audit(mixed).findings if finding.kind == "length unit")
    assert set(finding.structures) <= {3, 8}
    assert finding.structures
    assert "Multiply positions and cells by 0.529177" in finding.remedy
    # Atoms that are really so far from each other have lost their bonds.
    for k in (3, 8):
        mixed[k].calc.results["energy"] += 2.0 * len(mixed[k])
    assert "length unit" not in audit(mixed, quick=True).kinds


@pytest.mark.parametrize("rows", [slice(2, 9, 3), slice(None, None, 2), slice(6, None)])
def test_finds_energies_per_atom_among_total_ones(copper, rows):
    mixed = copied(copper)
    for atoms in mixed:
        atoms.calc.results["energy"] -= 3.5 * len(atoms)  # EMT's zero is the crystal
    assert audit(mixed).is_clean
    for atoms in mixed[rows]:
        atoms.calc.results["energy"] /= len(atoms)
    (finding,) = audit(mixed).findings
    assert finding.kind == "energy unit"
    assert finding.structures == tuple(range(len(mixed)))[rows]
    assert "number of atoms" in finding.remedy


@pytest.mark.parametrize("seed", range(3))
def test_energies_of_molecules_tell_no_unit_where_fits_do_not_explain_forces(seed):
    """The more atoms, the more bonds: energies of any unit seem to follow from the surroundings."""
    rng = np.random.default_rng(seed)
    found = []
    for name in ("CH4", "C2H6", "CH3OH", "H2O", "CO2", "H2CO", "CO", "CH3CH2OH"):
        for _ in range(7):
            atoms = molecule(name)
            atoms.rattle(0.1, rng=rng)
            energy = -4.0 * (len(atoms) - 1) * (1.0 + 0.03 * rng.normal())
            forces = rng.normal(0.0, 5.0, (len(atoms), 3))
            results = {"energy": energy, "forces": forces - forces.mean(axis=0)}
            atoms.calc = SinglePointCalculator(atoms, **results)
            found.append(atoms)
    assert "energy unit" not in audit(found, quick=True).kinds


def test_finds_lengths_in_nm(copper):
    small = copied(copper)
    for atoms in small:
        results = atoms.calc.results
        atoms.set_cell(0.1 * atoms.cell, scale_atoms=True)
        atoms.calc = SinglePointCalculator(atoms, **results)
    findings = {finding.kind: finding for finding in audit(small, quick=True).findings}
    assert findings["length unit"].structures == tuple(range(len(copper)))
    assert "Multiply positions and cells by 10," in findings["length unit"].remedy
    # Symmetry is no excuse for such distances.
    small = [atoms for atoms in copper if len(atoms) > 1][:3]
    primitive = bulk("Cu", a=0.36)
    primitive.calc = SinglePointCalculator(primitive, energy=-3.7, forces=np.zeros((1, 3)))
    (finding,) = (f for f in audit([*small, primitive], quick=True).findings if f.kind == "close atoms")
    assert finding.structures == (3,)


def test_few_structures_of_many_species_do_not_tell_the_unit_of_energies():
    rng = np.random.default_rng(4)
    found = []
    for _ in range(12):
        atoms = bulk("Cu", a=4.0, cubic=True)
        atoms.numbers = rng.choice([13, 28, 29, 46, 47, 78, 79], len(atoms))
        atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(0, 0.03, (3, 3))), scale_atoms=True)
        atoms.rattle(0.1, rng=rng)
        atoms.calc = EMT()
        energy = atoms.get_potential_energy() + 0.1 * atoms.numbers.sum()
        results = {"energy": energy, "forces": atoms.get_forces(), "stress": atoms.get_stress()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        found.append(atoms)
    assert audit(found, quick=True).is_clean


@pytest.mark.parametrize("types", ["H", "HHe", "HHeLi"])
def test_finds_atom_types_of_lammps(copper, types):
    symbols = [symbol for symbol in ("H", "He", "Li") if symbol in types]
    found = copied(copper[:12])
    for atoms in found:
        atoms.symbols[:] = [symbols[k % len(symbols)] for k in range(len(atoms))]
        atoms.calc.atoms.symbols[:] = atoms.symbols
    (finding,) = (finding for finding in audit(found, quick=True).findings if finding.kind == "species")
    assert finding.structures == tuple(range(12))
    assert f"the species are {', '.join(symbols)}, " in finding.evidence


def test_hydrogen_is_no_atom_type():
    hydrogen = [Atoms("H2", [[0, 0, 0], [0, 0, r]]) for r in (0.72, 0.74, 0.76)] + [Atoms("H")]
    mixture = [Atoms("H2He", [[0, 0, 0], [0, 0, r], [2.5, 0, 0]]) for r in (0.72, 0.74, 0.76)]
    for structures in (hydrogen, mixture, [Atoms("H")]):
        for atoms in structures:
            atoms.calc = SinglePointCalculator(atoms, energy=-1.0 * len(atoms))
        assert "species" not in audit(structures).kinds


def test_data_of_all_elements_have_no_atom_types():
    structures = []
    for number in range(1, 84):
        atoms = Atoms(numbers=[number, number], positions=[[0, 0, 0], [0, 0, 2.5]])
        atoms.calc = SinglePointCalculator(atoms, energy=-2.0)
        structures.append(atoms)
    assert "species" not in audit(structures, quick=True).kinds


def test_finds_unit_and_sign_together(copper):
    found, _ = plant(copper, Fault("", scale("stress", -10 / units.GPa)))
    assert set(audit(found).kinds) == {"stress unit", "stress sign"}


@pytest.mark.parametrize("name", SOME_LABELS)
def test_finds_the_structures_with_a_fault(copper, name):
    fault = SOME_LABELS[name]
    found, rows = plant(copper, fault)
    report = audit(found)
    named = [finding for finding in report.findings if finding.kind == fault.kind]
    assert [finding.structures for finding in named] == [rows]


def of_group(structures, name):
    return [k for k, atoms in enumerate(structures) if atoms.info["group"] == name]


@pytest.mark.parametrize("name", ["hot", "elastic", "slab"])
def test_finds_a_group_with_another_reference(copper, name):
    found, rows = plant(copper, Fault("group energies", shift_energy(0.3), of_group(copper, name)))
    report = audit(found)
    assert report.kinds == ("group energies",)
    assert report.findings[0].structures == rows
    assert "+0.3" in report.findings[0].evidence or "+0.29" in report.findings[0].evidence
    assert f"{name}: energy 0" in report.findings[0].remedy
    assert report.findings[0].option == "--weights FILE"


def test_finds_one_energy_of_few_structures(copper):
    rows = of_group(copper, "hot")[:20]
    found, _ = plant([copper[k] for k in rows], Fault("energy", shift_energy(0.3), [8]))
    report = audit(found)
    assert report.kinds == ("energy",)
    assert report.findings[0].structures == (8,)


def test_shear_of_some_groups_in_another_order_is_a_remark(copper):
    found, rows = plant(copper, Fault("stress order", exchange_shear, of_group(copper, "elastic")))
    report = audit(found)
    assert report.is_clean
    (remark,) = report.remarks
    assert (remark.kind, remark.structures) == ("stress order", rows)
    assert "xx yy zz xz yz xy" in remark.evidence
    assert "elastic: stress 0" in remark.remedy
    assert str(report).splitlines()[1].startswith("Remark: stress order: structures 24, 25,")


def test_shear_of_all_groups_in_another_order_is_a_finding(copper):
    found, rows = plant(copper, Fault("stress order", exchange_shear))
    report = audit(found)
    assert (report.kinds, report.remarks) == (("stress order",), ())
    assert report.findings[0].structures == rows


@pytest.mark.parametrize(
    ("kind", "name", "factor"),
    [("force sign", "forces", -1.0), ("stress unit", "stress", 10 / units.GPa)],
)
def test_finds_a_group_with_other_units_or_signs(copper, kind, name, factor):
    found, rows = plant(copper, Fault(kind, scale(name, factor), of_group(copper, "hot")))
    report = audit(found)
    assert report.kinds == (kind,)
    assert report.findings[0].structures == rows


# Forces on the atoms of elastic crystals are zero.
@pytest.mark.parametrize(
    ("name", "label"), [("hot", "forces"), ("slab", "forces"), ("elastic", "stress"), ("slab", "stress")]
)
def test_finds_a_group_of_the_opposite_sign(copper, name, label):
    kind = {"forces": "force sign", "stress": "stress sign"}[label]
    found, rows = plant(copper, Fault(kind, scale(label, -1.0), of_group(copper, name)))
    report = audit(found, quick=True)
    assert report.kinds == (kind,)
    assert report.findings[0].structures == rows


def test_finds_a_small_group_whose_energies_are_far_off(copper):
    """So far that no fit counts them: only their unit brings them back."""
    few = [*of_group(copper, "hot"), *of_group(copper, "elastic"), *of_group(copper, "slab")[:4]]
    found, _ = plant([copper[k] for k in few], Fault("", shift_energy(-10.0)))
    assert audit(found).is_clean
    found, rows = plant(found, Fault("", scale("energy", 1 / units.Ry), of_group(found, "slab")))
    (finding,) = audit(found).findings
    assert (finding.kind, finding.structures) == ("energy unit", rows)
    assert "energies in Ry" in finding.evidence


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("kcal/mol", units.mol / units.kcal), ("kJ/mol", units.mol / units.kJ), ("Ry", 1 / units.Ry)],
)
def test_finds_a_group_whose_energies_no_fit_counts(unit, factor):
    """Energies of all electrons, of which one group has another unit: a constant cannot mend them."""
    found = copied(load_silicon_carbide()[0])
    for atoms in found:
        atoms.calc.results["energy"] -= 790.0 * atoms.symbols.count("Si") + 100.0 * atoms.symbols.count("C")
    found, rows = plant(found, Fault("", scale("energy", factor), of_group(found, "zincblende-eos")))
    units_found = [finding for finding in audit(found).findings if finding.kind == "energy unit"]
    assert [finding.structures for finding in units_found] == [rows]
    assert f"energies in {unit}" in units_found[0].evidence and "as well as those" in units_found[0].evidence


def test_shear_of_all_groups_in_several_orders_is_found(copper):
    found, elastic = plant(copper, Fault("", exchange_shear, of_group(copper, "elastic")))
    others = [k for k in range(len(copper)) if k not in elastic]
    found, _ = plant(found, Fault("", reorder, others))
    report = audit(found, quick=True)
    assert [finding.kind for finding in report.findings] == ["stress order"] * 2 and not report.remarks
    assert {finding.structures for finding in report.findings} == {elastic, tuple(others)}


def test_finds_duplicates_in_another_order_and_place(copper):
    found = copied(copper)
    order = np.random.default_rng(0).permutation(len(found[0]))
    twin = found[0][order]
    twin.translate([0.3, 0.1, -0.2])
    twin.wrap()
    twin.info["group"] = "hot"
    results = found[0].calc.results
    twin.calc = SinglePointCalculator(
        twin, energy=results["energy"], forces=results["forces"][order], stress=results["stress"]
    )
    report = audit([*found, twin], quick=True)
    assert report.kinds == ("duplicate",)
    assert report.findings[0].structures == (0, len(found))


def test_finds_near_duplicates(copper):
    near = copper[3].copy()
    near.rattle(0.004, seed=1)
    report = audit([*copper, labeled(near, "hot")], quick=True)
    assert report.kinds == ("near duplicate",)
    assert report.findings[0].structures == (3, len(copper))


def test_steps_of_stiff_molecules_are_no_near_duplicates():
    """Bonds of 1.10 and 1.13 A have very different energies, as their forces say."""
    found = []
    for r in (1.0, 1.04, 1.07, 1.10, 1.13, 1.17, 1.21, 1.26, 1.31, 1.36, 1.41, 1.46):
        atoms = Atoms("N2", [[0, 0, 0], [0, 0, r]])
        pull = 140.0 * (r - 1.0)
        forces = [[0, 0, pull], [0, 0, -pull]]
        atoms.calc = SinglePointCalculator(atoms, energy=70.0 * (r - 1.0) ** 2 - 10.0, forces=forces)
        found.append(atoms)
    assert "near duplicate" not in audit(found, quick=True).kinds
    # Forces do not explain this.
    found[4].calc.results["energy"] += 3.0
    (finding,) = (f for f in audit(found, quick=True).findings if f.kind == "near duplicate")
    assert {3, 4} <= set(finding.structures) and "energies differ" in str(finding)


def test_duplicates_that_differ_in_energy_say_so(copper):
    twin = copied(copper[:1])
    twin[0].calc.results["energy"] += 1.0
    report = audit([*copper, *twin], quick=True)
    assert "energies differ, by up to 31" in report.findings[0].evidence


def test_strains_along_x_y_and_z_are_no_duplicates():
    found = []
    for axis in range(3):
        atoms = bulk("Cu", cubic=True)
        atoms.set_cell(atoms.cell.array @ np.diag(1 + 0.02 * (np.arange(3) == axis)), scale_atoms=True)
        found.append(labeled(atoms, "elastic"))
    assert audit(found, quick=True).is_clean


def test_finds_leaks(copper):
    report = audit(copper[:40], [*copied(copper[40:45]), *copied(copper[5:7])], quick=True)
    (finding,) = report.findings
    assert (finding.kind, finding.structures, finding.test_structures) == ("leak", (5, 6), (5, 6))


def test_doubts_of_the_reader_are_findings(copper):
    found, _ = plant(copper, Fault("", scale("forces", 0.0), [1, 2]))
    report = audit(found, quick=True)
    (finding,) = [finding for finding in report.findings if finding.kind == "labels"]
    assert finding.structures == (1, 2)
    assert "forces of exactly 0" in finding.evidence


def test_atoms_beyond_the_end_of_a_potential_are_not_held(copper):
    found = copied(copper)
    for atoms in found[-2:]:
        forces = atoms.calc.results["forces"]
        top = atoms.positions[:, 2].max()
        atoms.append(Atoms("Cu", [[0.3, 0.2, top + 4.0]])[0])
        atoms.calc = SinglePointCalculator(
            atoms, **{**atoms.calc.results, "forces": np.vstack([forces, np.zeros(3)])}
        )
    assert audit(found, quick=True).is_clean


def test_messages_name_files(copper):
    found, _ = plant(copper, Fault("", drop_forces, [1, 8]))
    places = [f"a.xyz, structure {k}" for k in range(len(found))]
    message = audit(found, places=places, quick=True).findings[0].message
    assert message.startswith("a.xyz, structures 1 and 8: no forces")


def test_a_stress_of_nan_is_none():
    train, _ = load_silicon_carbide()
    alone = Atoms("Si")
    alone.calc = SinglePointCalculator(alone, energy=-0.9, forces=np.zeros((1, 3)), stress=np.full(6, np.nan))
    assert "missing cell" not in audit([*train[:20], alone], quick=True).kinds


def test_places_in_errors_and_evidence():
    train, _ = load_silicon_carbide()
    places = [f"a.xyz, structure {k}" for k in range(20)]
    for atoms in train[:20]:
        atoms.calc.results["forces"] = atoms.calc.results["forces"] + [0.0, 0.0, 0.2]
    (found,) = [f for f in audit(train[:20], places=places, quick=True).findings if f.kind == "net force"]
    assert re.search(r"per atom in a\.xyz, structure \d+\)", found.evidence)
    bad = Atoms("Si2", positions=np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"^b\.xyz, structure 0 \(Si2\): atoms 0 and 1 are closer"):
        audit(train[:20], test=[bad], places=places, test_places=["b.xyz, structure 0"])
    with pytest.raises(ValueError, match=r"^c\.xyz, structure 1 \(Si2\): atoms 0 and 1 are closer"):
        audit([train[0], bad], places=["c.xyz, structure 0", "c.xyz, structure 1"])


def test_sets_of_duplicates_and_leaks_name_files(copper):
    second, _ = plant(copper[10:], Fault("", scale("forces", 0.0), [4, 5]))
    found = [*copper[:10], copper[20], *second]
    places = [f"a.xyz, structure {k}" for k in range(10)]
    places += [f"b.xyz, structure {k}" for k in range(len(second) + 1)]
    places[1] = "c.xyz, structure 0"
    report = audit(found, [copper[1]], places=places, test_places=["d.xyz, structure 7"], quick=True)
    messages = {finding.kind: finding.message for finding in report.findings}
    assert "translation: b.xyz, structures 0 and 11." in messages["duplicate"]
    assert "(d.xyz, structure 7 of the test is c.xyz, structure 0);" in messages["leak"]
    assert messages["labels"].startswith("b.xyz, structures 5 and 6: forces of exactly 0")
    (finding,) = audit([copper[0], copper[1], copper[0]], places=places[:3], quick=True).findings
    assert finding.evidence.endswith("translation: a.xyz, structures 0 and 2")
    (finding,) = audit([copper[0], copper[1], copper[1]], places=places[:3], quick=True).findings
    assert finding.evidence.endswith("translation: c.xyz, structure 0 and a.xyz, structure 2")
    numbered = {finding.kind: finding.message for finding in audit(found, [copper[1]], quick=True).findings}
    assert "translation: structures 10 and 21." in numbered["duplicate"]
    assert "(structure 0 of the test is structure 1);" in numbered["leak"]


def test_names_of_many_places():
    assert name_places(["a, structure 1", "b, structure 2"]) == "a, structure 1; b, structure 2"
    many = name_places([f"structure {k}" for k in range(20)])
    assert many == "structures 0, 1, 2, 3, 4, 5, 6, 7, ... (20 in all)"


def test_command(copper, tmp_path, capsys):
    clean, faulty = tmp_path / "clean.xyz", tmp_path / "faulty.xyz"
    write(clean, copper)
    write(faulty, plant(copper, ALL_LABELS["gradients"])[0])
    assert main(["audit", str(clean), "-q"]) == 0
    assert "nothing found" in capsys.readouterr().out
    assert main(["audit", str(faulty), "-q"]) == 1
    assert f"force sign: {faulty}, structures 0, 1" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["stress in GPa", "stress in kbar", "pressure", "virials"])
def test_options_mend_what_was_found(copper, tmp_path, capsys, name):
    path = tmp_path / "faulty.xyz"
    found, _ = plant(copper, ALL_LABELS[name])
    write(path, found)
    (finding,) = audit(found).findings
    assert main(["audit", str(path), "-q"]) == 1
    assert f"(option: {finding.option})" in capsys.readouterr().out
    assert main(["audit", str(path), "-q", *finding.option.split()]) == 0


def test_no_option_reads_one_group_in_another_way(copper):
    rows = of_group(copper, "hot")
    found, _ = plant(copper, Fault("stress unit", scale("stress", 10 / units.GPa), rows))
    assert audit(found).findings[0].option is None


def test_command_prints_remarks_and_succeeds(copper, tmp_path, capsys):
    path = tmp_path / "some.xyz"
    write(path, plant(copper, Fault("", exchange_shear, of_group(copper, "elastic")))[0])
    assert main(["audit", str(path), "-q"]) == 0
    assert f"Remark: stress order: {path}, structures 24, 25" in capsys.readouterr().out


def test_fit_prints_findings(copper, tmp_path, capsys):
    path = tmp_path / "faulty.xyz"
    write(path, plant(copper, ALL_LABELS["gradients"])[0])
    output = tmp_path / "model.json"
    options = ["--terms", "10", "--preset", "fast", "--allow-unsafe", "--no-plot", "-q", "-o", str(output)]
    assert main(["fit", str(path), *options]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Audit: ")]
    assert len(lines) == 1
    assert "force sign" in lines[0]


@pytest.mark.parametrize("name", ["Si_train", "Mo_train"])
def test_published_data_are_clean(shared_datasets, name):
    assert audit(read(shared_datasets / f"{name}.xyz", ":")).kinds == ()


def test_published_silicon_has_shear_in_two_orders(shared_datasets):
    """Other silicon potentials agree, and in surfaces the component that symmetry forbids is not zero."""
    structures = read(shared_datasets / "Si_train.xyz", ":")
    (remark,) = audit(structures, quick=True).remarks
    elastic = of_group(structures, "Elastic")
    assert remark.structures == tuple(k for k in range(len(structures)) if k not in elastic)


PUBLISHED = {
    "stress in kbar": ("Si_train", None, "stress unit", scale("stress", 10 / units.GPa)),
    "virials": ("Si_train", None, "stress unit", make_virial),
    "forces of elastic structures": ("Si_train", "Elastic", "force sign", scale("forces", -1.0)),
    "stress of slabs in kbar": ("Si_train", "Surface", "stress unit", scale("stress", 10 / units.GPa)),
    "stress of slabs in GPa": ("Mo_train", "Surface", "stress unit", scale("stress", 1 / units.GPa)),
    "stress of elastic structures": ("Mo_train", "Elastic", "stress sign", scale("stress", -1.0)),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_finds_faults_in_published_data(shared_datasets, name):
    file, group, kind, change = PUBLISHED[name]
    structures = read(shared_datasets / f"{file}.xyz", ":")
    rows = None if group is None else of_group(structures, group)
    found, planted = plant(structures, Fault(kind, change, rows))
    (finding,) = audit(found, quick=True).findings
    assert (finding.kind, finding.structures) == (kind, planted)
