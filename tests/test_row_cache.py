"""The cache of rows: what its key holds, entries that are damaged, folders that cannot be written to."""

import errno
import pickle
import shutil
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from test_architecture import import_graph

import plip
import plip.normal_equations._row_cache as row_cache
from plip import NormalEquations, PLIPDescriptors
from plip.interactions import ThreeBody, TwoBody
from plip.radial import Gaussian


@pytest.fixture
def structures():
    """Small ones, whose force rows are kept, and large ones, whose products are."""
    rng = np.random.default_rng(3)
    made = []
    for size in (1, 2, 1, 2):
        atoms = bulk("SiC", "zincblende", a=4.4) * (size, size, 1)
        atoms.rattle(0.1, rng=rng)
        results = {"forces": rng.normal(size=(len(atoms), 3)), "stress": rng.normal(size=6)}
        atoms.calc = SinglePointCalculator(atoms, energy=-5.0 * len(atoms) + rng.normal(), **results)
        made.append(atoms)
    return made


def make_descriptors(structures, eta=1.0):
    two_body = TwoBody(Gaussian(eta=eta, centers=[2.0, 3.0]))
    three_body = ThreeBody(Gaussian(eta=eta, centers=2.0), max_power=1)
    return PLIPDescriptors(cutoff=3.4, two_body=two_body, three_body=three_body, n_body=None).fit(structures)


@pytest.fixture
def descriptors(structures):
    return make_descriptors(structures)


@pytest.fixture
def computed(monkeypatch):
    """Positions of the structures whose rows were computed for the cache."""
    calls = []
    original = row_cache.StructureDesign

    def counted(design, atoms, has_virials):
        calls.append(atoms.positions.copy())
        return original(design, atoms, has_virials)

    monkeypatch.setattr(row_cache, "StructureDesign", counted)
    return calls


def equations(structures, descriptors, memory, **options):
    return NormalEquations.from_structures(structures, descriptors, memory=memory, **options)


def assert_same(a, b):
    """The same sums but for rounding; every target alone, so that none hides behind another."""
    for weights in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)):
        one, two = a.problem(*weights), b.problem(*weights)
        scale = np.abs(two.gram).max()
        np.testing.assert_allclose(one.gram, two.gram, rtol=0, atol=1e-9 * scale)
        np.testing.assert_allclose(
            one.moment, two.moment, rtol=0, atol=1e-9 * np.sqrt(scale * two.target_square)
        )
        assert one.target_square == pytest.approx(two.target_square, rel=1e-9)
        assert one.weight_sum == pytest.approx(two.weight_sum, rel=1e-12)


def entries(folder):
    return sorted(Path(folder).rglob("output.pkl"))


# The key


def test_a_second_fit_computes_nothing(structures, descriptors, tmp_path, computed):
    for memory in (str(tmp_path), tmp_path, joblib.Memory(str(tmp_path), verbose=0)):
        found = equations(structures, descriptors, memory)
        assert len(computed) == len(structures)
        assert_same(found, NormalEquations.from_structures(structures, descriptors))


def test_all_that_the_rows_depend_on_is_in_the_key(structures, descriptors, tmp_path, computed):
    """The cell, the periodic directions and so on: another structure is computed, not taken for the first."""
    first = structures[:1]

    def cell(atoms):
        atoms.cell[0] *= 1.02

    def pbc(atoms):
        atoms.pbc = (True, True, False)

    def positions(atoms):
        atoms.positions[0, 1] += 1e-9

    def numbers(atoms):
        atoms.numbers = atoms.numbers[::-1]

    equations(first, descriptors, tmp_path)
    assert len(computed) == 1
    for n, change in enumerate((cell, pbc, positions, numbers)):
        atoms = first[0].copy()
        change(atoms)
        atoms.calc = SinglePointCalculator(atoms, **first[0].calc.results)
        found = equations([atoms], descriptors, tmp_path)
        assert len(computed) == n + 2, change.__name__
        assert_same(found, NormalEquations.from_structures([atoms], descriptors))


def test_forces_and_stress_are_in_the_key(structures, descriptors, tmp_path):
    """Products hold the forces; rows of the virial are kept only where there is a stress."""
    for name in ("with", "other forces", "no stress", "no forces"):
        for atoms in structures:
            if name == "other forces":
                atoms.calc.results["forces"] = atoms.calc.results["forces"] + 1.0
            elif name != "with":
                atoms.calc.results.pop(name.removeprefix("no "), None)
        plain = NormalEquations.from_structures(structures, descriptors)
        found = equations(structures, descriptors, tmp_path)
        assert found.n_rows == plain.n_rows
        for target, used in (("energy", (1, 0, 0)), ("force", (0, 1, 0)), ("virial", (0, 0, 1))):
            if plain.n_rows[target]:
                one, two = found.problem(*used), plain.problem(*used)
                np.testing.assert_allclose(one.gram, two.gram, rtol=1e-9, atol=1e-9)
                np.testing.assert_allclose(one.moment, two.moment, rtol=1e-9, atol=1e-9)


def test_terms_are_in_the_key(structures, tmp_path, computed):
    for n, eta in enumerate((1.0, 1.5)):
        equations(structures, make_descriptors(structures, eta), tmp_path)
        assert len(computed) == (n + 1) * len(structures)


def test_the_version_is_in_the_key(structures, descriptors, tmp_path, computed, monkeypatch):
    equations(structures, descriptors, tmp_path)
    monkeypatch.setattr(plip, "__version__", "0.0.1")
    equations(structures, descriptors, tmp_path)
    assert len(computed) == 2 * len(structures)


def test_the_build_of_the_kernels_is_in_the_key(structures, descriptors, tmp_path, computed, monkeypatch):
    equations(structures, descriptors, tmp_path)
    monkeypatch.setattr(row_cache, "_build", lambda name: (name, "another digest"))
    equations(structures, descriptors, tmp_path)
    assert len(computed) == 2 * len(structures)


def test_builds_differ_by_instruction_set_and_by_source(monkeypatch, tmp_path):
    from plip._core._rows import instruction_sets

    names, _ = instruction_sets()
    assert len({row_cache._build(name) for name in names}) == len(names)
    before = row_cache._build.__wrapped__(names[0])
    assert before == row_cache._build.__wrapped__(names[0])
    import plip._structures._neighbors as neighbors

    changed = tmp_path / "changed.py"
    changed.write_bytes(Path(neighbors.__file__).read_bytes() + b"\n")
    monkeypatch.setattr(neighbors, "__file__", str(changed))
    assert row_cache._build.__wrapped__(names[0]) != before


def test_every_module_that_computes_rows_is_a_source():
    graph, found, left = import_graph(), set(), ["plip._design._rows"]
    while left:
        name = left.pop()
        if name not in found and name.split(".")[1] == "_design":
            found.add(name)
            left += graph[name]
    assert found <= {f"plip.{name}" for name in row_cache._SOURCES}
    assert len(found) >= 8


def test_sample_weights_multiply_what_is_kept(structures, descriptors, tmp_path, computed):
    """Weights are no part of the rows, whether these are kept as they are or as their products."""
    weights = [0.5, 3.0, 2.0, 0.25]
    equations(structures, descriptors, tmp_path)
    found = equations(structures, descriptors, tmp_path, sample_weight=weights)
    assert len(computed) == len(structures)
    assert_same(found, NormalEquations.from_structures(structures, descriptors, sample_weight=weights))
    large = equations(structures[1:2], descriptors, tmp_path, sample_weight=[3.0]).problem(0.0, 1.0, 0.0)
    plain = equations(structures[1:2], descriptors, tmp_path).problem(0.0, 1.0, 0.0)
    np.testing.assert_allclose(large.gram, 3.0 * plain.gram, rtol=1e-12)


# Damaged entries


def other_structure(entry, others):
    entry.write_bytes(others[0].read_bytes())


def flipped(share):
    def flip(entry, others):
        data = bytearray(entry.read_bytes())
        data[int(share * (len(data) - 1))] ^= 0x10
        entry.write_bytes(data)

    return flip


def truncated(share):
    def cut(entry, others):
        data = entry.read_bytes()
        entry.write_bytes(data[: int(share * len(data))])

    return cut


def replaced(value):
    def replace(entry, others):
        joblib.dump(value, entry)

    return replace


def changed(change):
    def make(entry, others):
        content = joblib.load(entry)
        joblib.dump(change(content), entry)

    return make


def with_arrays(change):
    def make(content):
        arrays = list(content["arrays"])
        change(arrays)
        return {**content, "arrays": tuple(arrays)}

    return changed(make)


def scale(arrays):
    arrays[0] = arrays[0] * 1.001


def one_bit(arrays):
    values = arrays[0].copy()
    values.view(np.uint64)[0] ^= np.uint64(1)
    arrays[0] = values


def transposed(arrays):
    arrays[5] = arrays[5].reshape(arrays[5].shape[::-1])


def single(arrays):
    arrays[0] = arrays[0].astype(np.float32)


def swap_rows(arrays):
    arrays[5] = arrays[5][[1, 0, 2, 3, 4, 5]]


def no_forces(arrays):
    arrays[3] = arrays[4] = None


DAMAGES = {
    "entry of another structure": other_structure,
    **{f"bit at {share}": flipped(share) for share in np.linspace(0, 1, 21).round(2)},
    **{f"cut at {share}": truncated(share) for share in (0.0, 0.1, 0.5, 0.9, 0.999)},
    "None": replaced(None),
    "text": replaced("entry"),
    "arrays alone": replaced((np.ones(3), None, None, None, None, None)),
    "empty": replaced({}),
    "scaled": with_arrays(scale),
    "one bit": with_arrays(one_bit),
    "transposed": with_arrays(transposed),
    "single precision": with_arrays(single),
    "rows swapped": with_arrays(swap_rows),
    "no forces": with_arrays(no_forces),
    "array missing": with_arrays(lambda arrays: arrays.pop()),
    "no digest": changed(lambda content: {**content, "digest": None}),
    "other key": changed(lambda content: {**content, "key": "0"}),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_entries_are_computed_anew_with_a_warning(structures, descriptors, tmp_path, computed, name):
    """An entry that cannot be told from a whole one would be used; what is left is one that is whole."""
    plain = NormalEquations.from_structures(structures, descriptors)
    equations(structures, descriptors, tmp_path)
    files = entries(tmp_path)
    before = files[1].read_bytes()
    DAMAGES[name](files[1], files[:1])
    assert files[1].read_bytes() != before
    computed.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = equations(structures, descriptors, tmp_path)
    assert_same(found, plain)
    # A bit may fall on bytes of the file that carry nothing.
    unharmed = name.startswith("bit") and not computed
    assert unharmed or any("damaged" in str(warning.message) for warning in caught)
    computed.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert_same(equations(structures, descriptors, tmp_path), plain)
    assert computed == []


def test_swapped_entries_are_noticed(structures, descriptors, tmp_path, computed):
    plain = NormalEquations.from_structures(structures, descriptors)
    equations(structures, descriptors, tmp_path)
    files = entries(tmp_path)
    contents = [file.read_bytes() for file in files]
    for file, content in zip(files, contents[1:] + contents[:1], strict=True):
        file.write_bytes(content)
    computed.clear()
    with pytest.warns(UserWarning, match="damaged"):
        assert_same(equations(structures, descriptors, tmp_path), plain)
    assert len(computed) == len(structures)


# Folders that cannot be written to


def assert_only_warns(structures, descriptors, memory, match="nothing|cannot be written"):
    plain = NormalEquations.from_structures(structures, descriptors)
    with pytest.warns(UserWarning, match=match):
        found = equations(structures, descriptors, memory)
    assert_same(found, plain)


def test_a_folder_that_cannot_be_made(structures, descriptors, tmp_path):
    (tmp_path / "file").write_text("a file, not a folder")
    assert_only_warns(structures, descriptors, str(tmp_path / "file" / "cache"))
    assert_only_warns(structures, descriptors, tmp_path / "file")


@pytest.mark.filterwarnings("ignore:Unable to cache")
@pytest.mark.parametrize("n_kept", [0, 2])
def test_a_read_only_folder(structures, descriptors, tmp_path, computed, monkeypatch, n_kept):
    """What is in it is used, the rest is computed and not kept."""
    folder = tmp_path / "cache"
    equations(structures[:n_kept] or structures[:1], descriptors, folder)
    if not n_kept:
        shutil.rmtree(folder)
        folder.mkdir()
    computed.clear()

    def refuse(*args, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    # The superuser may write everywhere, so that permissions alone would not do.
    import joblib._store_backends as backends

    monkeypatch.setattr(backends.FileSystemStoreBackend, "_open_item", staticmethod(opened_for_reading))
    monkeypatch.setattr(backends.FileSystemStoreBackend, "create_location", staticmethod(refuse))
    assert_only_warns(structures, descriptors, folder)
    assert len(computed) == len(structures) - n_kept
    assert len(entries(folder)) == n_kept


def opened_for_reading(name, mode):
    if "r" not in mode:
        raise PermissionError(errno.EACCES, "Permission denied", name)
    return open(name, mode)


@pytest.mark.filterwarnings("ignore:Unable to cache")
def test_a_full_disk(structures, descriptors, tmp_path, monkeypatch):
    def full(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("joblib.numpy_pickle.dump", full)
    assert_only_warns(structures, descriptors, tmp_path)
    assert entries(tmp_path) == []


def test_errors_of_a_structure_stay_what_they_are(structures, tmp_path):
    from plip.radial import Power

    steep = PLIPDescriptors(two_body=TwoBody(Power(powers=-2000.0)), three_body=None, n_body=None)
    for memory in (None, tmp_path):
        with pytest.raises(ValueError, match="structure 0"):
            close = structures[0].copy()
            close.set_cell(close.cell * 0.3, scale_atoms=True)
            close.calc = SinglePointCalculator(close, energy=0.0)
            equations([close], steep, memory)


def test_it_goes_to_other_processes(structures, descriptors, tmp_path):
    from plip._design._rows import Design

    stored = row_cache.Storage(tmp_path, Design(descriptors.terms_, descriptors.species_))
    again = pickle.loads(pickle.dumps(stored))
    assert again._setting == stored._setting
