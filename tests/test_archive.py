"""Archives of normal equations: whatever is wrong with one is a ValueError with its name, when it is read."""

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from plip import NormalEquations, PLIPDescriptors
from plip.interactions import ThreeBody, TwoBody
from plip.radial import Gaussian

# Written by version 0.1.0, which had no digest: only the contents can be checked.
GOLDEN = Path(__file__).parent / "data" / "0.1.0" / "normal_equations.npz"


@pytest.fixture(scope="module")
def equations():
    rng = np.random.default_rng(2)
    structures = []
    for _ in range(4):
        atoms = bulk("SiC", "zincblende", a=4.4, cubic=True)
        atoms.rattle(0.1, rng=rng)
        results = {"forces": rng.normal(size=(8, 3)), "stress": rng.normal(size=6)}
        atoms.calc = SinglePointCalculator(atoms, energy=-40.0 + rng.normal(), **results)
        structures.append(atoms)
    radial = Gaussian(eta=1.0, centers=[2.0, 3.0])
    descriptors = PLIPDescriptors(
        cutoff=3.4, two_body=TwoBody(radial), three_body=ThreeBody(radial, max_power=1), n_body=None
    )
    return NormalEquations.from_structures(structures, descriptors)


@pytest.fixture(scope="module")
def new(equations, tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "new.npz"
    equations.save(path)
    return path


def contents(path):
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return json.loads(str(arrays.pop("header"))), arrays


def write(path, header, arrays):
    np.savez(path, header=json.dumps(header), **arrays)


def assert_refused(path, match=""):
    with pytest.raises(ValueError, match=f"(?s)does not hold normal equations.*{match}") as error:
        NormalEquations.load(path)
    assert str(path) in str(error.value)


def header_change(**values):
    return lambda header, arrays: header.update(values)


def of(name, change):
    """A change of one dict of the header."""
    return lambda header, arrays: change(header[name])


def array_change(name, change):
    def make(header, arrays):
        arrays[name] = change(arrays[name].copy())

    return make


def element(index, value):
    def change(array):
        array[index] = value
        return array

    return change


def not_symmetric(array):
    array[3, 1] += 0.01 * np.sqrt(array[3, 3] * array[1, 1])
    return array


def too_large(array):
    array[3, 1] = array[1, 3] = 1.5 * np.sqrt(array[3, 3] * array[1, 1])
    return array


CHANGES = {
    "no format": lambda header, arrays: header.pop("format"),
    "another format": header_change(format="plip-potential"),
    "no version": lambda header, arrays: header.pop("version"),
    "version as text": header_change(version="1"),
    "version as float": header_change(version=1.0),
    "version is true": header_change(version=True),
    "version 0": header_change(version=0),
    "version -1": header_change(version=-1),
    "newer version": header_change(version=2),
    "much newer version": header_change(version=10**400),
    "no structures": header_change(n_structures=0),
    "negative structures": header_change(n_structures=-2),
    "structures as text": header_change(n_structures="2"),
    "structures as float": header_change(n_structures=2.5),
    "structures are none": header_change(n_structures=None),
    "rows as a list": header_change(n_rows=[2, 27, 6]),
    "rows as text": of("n_rows", lambda rows: rows.update(energy="2")),
    "rows are negative": of("n_rows", lambda rows: rows.update(force=-27)),
    "rows are a fraction": of("n_rows", lambda rows: rows.update(force=27.5)),
    "rows are true": of("n_rows", lambda rows: rows.update(energy=True)),
    "rows are no triples": of("n_rows", lambda rows: rows.update(force=28)),
    "rows are no sextuples": of("n_rows", lambda rows: rows.update(virial=7)),
    "more energies than structures": of("n_rows", lambda rows: rows.update(energy=300)),
    "more virials than structures": of("n_rows", lambda rows: rows.update(virial=600)),
    "no rows, but sums": of("n_rows", lambda rows: rows.update(force=0)),
    "rows of a target are missing": of("n_rows", lambda rows: rows.pop("virial")),
    "weights as a number": header_change(weight_sums=1.0),
    "negative weight": of("weight_sums", lambda weights: weights.update(energy=-1.0)),
    "no weight": of("weight_sums", lambda weights: weights.update(energy=0.0)),
    "weight is NaN": of("weight_sums", lambda weights: weights.update(energy=np.nan)),
    "weight is infinite": of("weight_sums", lambda weights: weights.update(virial=np.inf)),
    "weight is huge": of("weight_sums", lambda weights: weights.update(virial=10**400)),
    "weight as text": of("weight_sums", lambda weights: weights.update(force="1")),
    "weight is missing": of("weight_sums", lambda weights: weights.pop("force")),
    "no descriptors": lambda header, arrays: header.pop("descriptors"),
    "descriptors as a list": header_change(descriptors=[]),
    "no parameters": of("descriptors", lambda data: data.pop("parameters")),
    "unknown parameter": of("descriptors", lambda data: data["parameters"].update(depth=3)),
    "unknown class": of("descriptors", lambda data: data["parameters"]["two_body"].update({"class": "X"})),
    "cutoff as text": of("descriptors", lambda data: data.update(cutoff="5")),
    "cutoff below that of a term": of("descriptors", lambda data: data.update(cutoff=1.0)),
    "cutoff is NaN": of("descriptors", lambda data: data.update(cutoff=np.nan)),
    "no species": of("descriptors", lambda data: data.update(species=[])),
    "another species": of("descriptors", lambda data: data.update(species=["C", "Ge"])),
    "no element": of("descriptors", lambda data: data.update(species=["C", "Xx"])),
    "species twice": of("descriptors", lambda data: data.update(species=["C", "C"])),
    "species in another order": of("descriptors", lambda data: data["species"].reverse()),
    "one species more": of("descriptors", lambda data: data["species"].append("W")),
    "species as text": of("descriptors", lambda data: data.update(species="CSi")),
    "no terms": of("descriptors", lambda data: data.update(terms=[])),
    "one term less": of("descriptors", lambda data: data["terms"].pop()),
    "a term twice": of("descriptors", lambda data: data["terms"].__setitem__(1, data["terms"][0])),
    "a term is text": of("descriptors", lambda data: data["terms"].__setitem__(1, "two-body")),
    "a term without species": of("descriptors", lambda data: data["terms"][0].pop("species")),
    "digest as a list": header_change(digest=[1, 2]),
    "no reference": lambda header, arrays: arrays.pop("reference"),
    "reference too long": array_change("reference", lambda array: np.append(array, 0.0)),
    "reference is a number": array_change("reference", lambda array: array[0]),
    "reference is NaN": array_change("reference", element(0, np.nan)),
    "reference is infinite": array_change("reference", element(1, np.inf)),
    "reference of integers": array_change("reference", lambda array: array.astype(np.int64)),
    "reference as text": array_change("reference", lambda array: array.astype(str)),
    "reference of objects": array_change("reference", lambda array: array.astype(object)),
    "no energy sums": lambda header, arrays: arrays.pop("energy"),
    "no force sums": lambda header, arrays: arrays.pop("force"),
    "one column less": array_change("force", lambda array: array[:-1, :-1]),
    "not square": array_change("force", lambda array: array[:-1]),
    "flat": array_change("virial", lambda array: array.ravel()),
    "empty": array_change("virial", lambda array: array[:0, :0]),
    "single precision": array_change("force", lambda array: array.astype(np.float32)),
    "complex": array_change("force", lambda array: array.astype(complex)),
    "booleans": array_change("force", lambda array: array > 0),
    "objects": array_change("force", lambda array: array.astype(object)),
    "NaN": array_change("force", element((2, 2), np.nan)),
    "infinite": array_change("energy", element((0, 1), -np.inf)),
    "negative": array_change("energy", lambda array: -array),
    "a negative square": array_change("force", lambda array: element((0, 0), -array[0, 0])(array)),
    "not symmetric": array_change("force", not_symmetric),
    "one triangle": array_change("energy", np.tril),
    "too large a product": array_change("energy", too_large),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_does_not_fit_together_is_refused(name, new, tmp_path):
    path = tmp_path / "changed.npz"
    for source in (GOLDEN, new):
        header, arrays = contents(source)
        CHANGES[name](header, arrays)
        if "objects" in name:
            np.savez(path, allow_pickle=True, header=json.dumps(header), **arrays)
        else:
            write(path, header, arrays)
        assert_refused(path)


FACTOR_CHANGES = {
    "of other rows": array_change("energy_factor", lambda array: 1.01 * array),
    "rows are missing": array_change("force_factor", lambda array: array[1:]),
    "too many rows": array_change("virial_factor", lambda array: np.concatenate([array, array])),
    "one column less": array_change("force_factor", lambda array: array[:, 1:]),
    "NaN": array_change("force_factor", element((0, 0), np.nan)),
    "huge": array_change("force_factor", element((0, 0), 1e300)),
    "single precision": array_change("force_factor", lambda array: array.astype(np.float32)),
    "a number": array_change("force_factor", lambda array: array[0, 0]),
    "no such rows": lambda header, arrays: (
        arrays.pop("virial"),
        header["n_rows"].update(virial=0),
        header["weight_sums"].update(virial=0.0),
    ),
}


@pytest.mark.parametrize("name", FACTOR_CHANGES)
def test_rows_that_do_not_fit_to_their_products_are_refused(name, new, tmp_path):
    header, arrays = contents(new)
    header.pop("digest")
    write(tmp_path / "same.npz", header, arrays)
    NormalEquations.load(tmp_path / "same.npz")
    FACTOR_CHANGES[name](header, arrays)
    write(tmp_path / "changed.npz", header, arrays)
    assert_refused(tmp_path / "changed.npz")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("sizes", lambda sizes: sizes + 1),
        ("sizes", lambda sizes: -sizes),
        ("sizes", lambda sizes: sizes[:-1]),
        ("sizes", lambda sizes: sizes * 1.0),
        ("sizes", lambda sizes: sizes * 2**38),
        ("sizes", lambda sizes: sizes[:, None]),
        ("numbers", lambda numbers: numbers[:-1]),
        ("numbers", lambda numbers: numbers + 1),
        ("numbers", lambda numbers: numbers * 1.0),
        ("positions", lambda positions: positions[:, :2]),
        ("positions", lambda positions: np.where(positions > 1.0, np.nan, positions)),
        ("positions", lambda positions: 1e8 * positions),
        ("positions", lambda positions: 0.0 * positions),
        ("cells", lambda cells: 1e200 * cells),
        ("cells", lambda cells: cells[:, 0]),
        ("cells", lambda cells: np.where(cells > 1.0, np.inf, cells)),
        ("periodic", lambda periodic: periodic * 1.0),
    ],
)
def test_geometry_that_does_not_fit_is_refused(name, change, new, tmp_path):
    header, arrays = contents(new)
    header.pop("digest")
    write(tmp_path / "same.npz", header, arrays)
    NormalEquations.load(tmp_path / "same.npz")
    arrays[f"sample_{name}"] = change(arrays[f"sample_{name}"])
    write(tmp_path / "changed.npz", header, arrays)
    assert_refused(tmp_path / "changed.npz")


def test_an_archive_of_a_newer_version_says_so(new, tmp_path):
    header, arrays = contents(new)
    header.update(version=header["version"] + 1, plip="9.9.9")
    write(tmp_path / "newer.npz", header, arrays)
    assert_refused(tmp_path / "newer.npz", "plip 9.9.9.*upgrade")


def test_unchanged_contents_are_read(new, tmp_path, equations):
    """The checks above fail for their own reasons."""
    for source in (GOLDEN, new):
        write(tmp_path / "same.npz", *contents(source))
        NormalEquations.load(tmp_path / "same.npz")


def test_parts_of_the_data_can_be_saved(equations, tmp_path):
    """Sums from which others were subtracted are symmetric and positive but for rounding."""
    doubled = equations + equations
    (doubled - equations).save(tmp_path / "part.npz")
    part = NormalEquations.load(tmp_path / "part.npz")
    np.testing.assert_allclose(part.problem().gram, equations.problem().gram, rtol=1e-9, atol=1e-9)
    (equations - equations).save(tmp_path / "nothing.npz")
    assert NormalEquations.load(tmp_path / "nothing.npz").n_structures == 0


def test_any_change_of_a_number_is_noticed(new, tmp_path):
    """Also such that would be possible sums of other data."""

    def twice(header, arrays):
        arrays["force"] *= 2.0

    def weight(header, arrays):
        header["weight_sums"]["energy"] *= 2.0

    def swapped(header, arrays):
        arrays["force"] = arrays["force"][::-1, ::-1]

    def last_bit(header, arrays):
        arrays["reference"].view(np.uint64)[0] ^= np.uint64(1)

    def term(header, arrays):
        header["descriptors"]["terms"][0]["radial"][0]["eta"] += 1e-9

    def distance(header, arrays):
        arrays["extent"] = arrays["extent"] / 2

    def place(header, arrays):
        arrays["sample_positions"] = arrays["sample_positions"] + 1e-9

    for change in (twice, weight, swapped, last_bit, term, distance, place):
        header, arrays = contents(new)
        change(header, arrays)
        write(tmp_path / "changed.npz", header, arrays)
        assert_refused(tmp_path / "changed.npz", "digest")


def test_damaged_files_are_refused(new, tmp_path):
    data = new.read_bytes()
    path = tmp_path / "damaged.npz"
    for share in (0.0, 0.001, 0.1, 0.5, 0.9, 0.999):
        path.write_bytes(data[: int(share * len(data))])
        assert_refused(path)
    for place in np.linspace(0, len(data) - 1, 150).astype(int):
        broken = bytearray(data)
        broken[place] ^= 0x41
        path.write_bytes(broken)
        try:
            same = NormalEquations.load(path)
        except ValueError as error:
            assert "damaged.npz" in str(error)
        else:  # unused bytes, such as times of the members
            again = io.BytesIO()
            same.save(tmp_path / "again.npz")
            again.write((tmp_path / "again.npz").read_bytes())
            assert contents(tmp_path / "again.npz")[0]["digest"] == contents(new)[0]["digest"]


def zip_of(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


class Harmful:
    def __reduce__(self):
        return Path.touch, (Path("touched"),)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK",
        b"PK\x03\x04" + b"\0" * 100,
        b"\x93NUMPY\x01\x00v\x00",
        b"{}",
        pickle.dumps(Harmful()),
        zip_of({}),
        zip_of({"header.npy": b"no array"}),
        zip_of({"header": b"text"}),
        zip_of({"header.npy": pickle.dumps(Harmful())}),
    ],
)
def test_other_files_are_refused(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    assert_refused(path)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("header", ["[" * 100_000, "[]", "null", "1" * 10_000, "{", '{"format": NaN}'])
def test_other_headers_are_refused(header, tmp_path):
    np.savez(tmp_path / "header.npz", header=header)
    assert_refused(tmp_path / "header.npz")


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.npz"):
        NormalEquations.load(tmp_path / "nothing.npz")
    with pytest.raises(OSError, match=tmp_path.name):
        NormalEquations.load(tmp_path)
