"""Parts of a file hold, together, what ASE reads of the whole, to the last bit."""

import gzip
import os
import pickle
import warnings
from pathlib import Path

import ase.db
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from ase.io.extxyz import key_val_str_to_dict
from ase.utils import string2index
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plip._reading._extended_xyz import parse_comment
from plip._reading._frames import find_frames
from plip._reading._parts import split_file
from plip.datasets import load_silicon_carbide


def read_parts(path, **options):
    """All structures of a file, by way of parts that went through a pickle, as to another process."""
    parts = pickle.loads(pickle.dumps(split_file(path, **options)))
    found = [part.read() for part in parts]
    for part, some in zip(parts, found, strict=True):
        assert part.n_structures in (None, len(some))
        assert part.n_atoms in (None, tuple(len(atoms) for atoms in some))
    return parts, [atoms for some in found for atoms in some]


def assert_same(value, other):
    """The same types and bits."""
    assert type(value) is type(other)
    if isinstance(value, dict):
        assert list(value) == list(other)
        for key in value:
            assert_same(value[key], other[key])
    elif isinstance(value, list | tuple):
        assert len(value) == len(other)
        for one, another in zip(value, other, strict=True):
            assert_same(one, another)
    elif isinstance(value, np.ndarray | np.generic):
        assert (value.dtype, value.shape) == (other.dtype, other.shape)
        if value.dtype.hasobject:
            assert value.tolist() == other.tolist()
        else:
            assert value.tobytes() == other.tobytes()
    elif isinstance(value, float):
        assert np.float64(value).tobytes() == np.float64(other).tobytes()
    else:
        assert value == other


def assert_same_structures(found, expected):
    assert len(found) == len(expected)
    for atoms, other in zip(found, expected, strict=True):
        assert type(atoms) is type(other)
        assert_same(atoms.arrays, other.arrays)
        assert_same(atoms.info, other.info)
        assert_same(atoms.cell.array, other.cell.array)
        assert_same(atoms.pbc, other.pbc)
        assert [constraint.todict() for constraint in atoms.constraints] == [
            constraint.todict() for constraint in other.constraints
        ]
        assert type(atoms.calc) is type(other.calc)
        if atoms.calc is not None:
            assert atoms.calc.name == other.calc.name
            assert_same(atoms.calc.results, other.calc.results)
            assert_same(atoms.calc.atoms.arrays, other.calc.atoms.arrays)


numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)
COMMENTS = ("", "  ", "a comment", 'note="a = b \\" c"', "label='x y' flag", "{odd=[1 2 3]", 'virial="1 2"')


@st.composite
def frames(draw):
    """Lines of one structure of extended XYZ, regular or odd."""
    n = draw(st.integers(0, 4))
    rows = [[draw(st.sampled_from(["Si", "C", "Au", "si"]))] for _ in range(n)]
    columns = "species:S:1:pos:R:3"
    width = 3
    comment = draw(st.sampled_from(COMMENTS[:-2]))
    if draw(st.booleans()):
        columns += draw(st.sampled_from([":forces:R:3", ":velo:R:3", ":force:R:3"]))
        width += 3
    for row in rows:
        row += [
            draw(st.sampled_from([repr, "{:.8f}".format, "{:+.3e}".format]))(draw(numbers))
            for _ in range(width)
        ]
    if draw(st.booleans()):
        columns += ":tag:I:1:moving:L:1"
        for row in rows:
            row += [str(draw(st.integers(-9, 9))), draw(st.sampled_from("TF"))]
    if "forces" in columns or draw(st.booleans()):
        comment += f" Properties={columns}"
    else:
        rows = [row[:4] for row in rows]
    if draw(st.booleans()):
        lattice = " ".join(repr(draw(numbers)) for _ in range(9))
        comment += f' Lattice="{lattice}" energy={draw(numbers)!r}'
    gap = draw(st.sampled_from([" ", "   ", "\t"]))
    vectors = (
        draw(st.sampled_from([0, 0, 0, 1, 3])) if "Lattice" not in comment and "Prop" not in comment else 0
    )
    return [
        draw(st.sampled_from(["{}", "  {} ", "{}\t"])).format(n),
        comment,
        *(gap.join(row) for row in rows),
        *(f"VEC{k + 1} {k} 1.5 2" for k in range(vectors)),
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(frames(), min_size=1, max_size=7),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["", "end", "blank", "blanks"]),
    st.integers(1, 12),
    st.sampled_from(["", "@:", "@2:", "@1::2", "@-3:", "@:4", "@::-1", "@0", "@-1"]),
)
def test_parts_hold_what_ase_reads(tmp_path, lines, line_end, tail, size, part):
    text = line_end.join(line for frame in lines for line in frame)
    text += {"": "", "end": line_end, "blank": 2 * line_end, "blanks": 3 * line_end + "  " + line_end}[tail]
    path = tmp_path / "some.xyz"
    path.write_bytes(text.encode())
    try:
        expected = read(path, part[1:] or ":")
    except Exception:  # ASE raises errors of many kinds
        with pytest.raises(ValueError, match=r"some\.xyz"):
            read_parts(f"{path}{part}", atoms_per_part=size)
        return
    expected = [expected] if isinstance(expected, Atoms) else expected
    if not expected:
        with pytest.raises(ValueError, match="no structure"):
            read_parts(f"{path}{part}", atoms_per_part=size)
        return
    parts, found = read_parts(f"{path}{part}", atoms_per_part=size)
    assert_same_structures(found, expected)
    if part != "@::-1" and line_end != "\r":
        assert all(one.offset is not None for one in parts)


def test_parts_are_small_and_tell_places(tmp_path):
    train, _ = load_silicon_carbide()
    path = tmp_path / "many.xyz"
    write(path, train)
    parts, found = read_parts(path, atoms_per_part=100)
    assert len(parts) >= sum(map(len, train)) // 100
    assert max(sum(part.n_atoms) for part in parts) <= 100 + max(map(len, train))
    assert sum(part.length for part in parts) == path.stat().st_size
    assert_same_structures(found, read(path, ":"))
    assert [part.place(k) for part in parts for k in range(part.n_structures)] == [
        f"{path}, structure {k}" for k in range(len(train))
    ]
    places = [part.place(k) for part in split_file(f"{path}@3:40:4", 50) for k in range(part.n_structures)]
    assert places == [f"{path}, structure {k}" for k in range(3, 40, 4)]


@pytest.mark.parametrize("name", ["many.traj", "many.db", "many.xyz.gz", "many.json", "many.cif"])
@pytest.mark.parametrize("part", ["", "@:3", "@1::2", "@-1", "@-4:"])
def test_other_formats(name, part, tmp_path):
    structures = [atoms for atoms in load_silicon_carbide()[0][::20]]
    for k, atoms in enumerate(structures):
        atoms.info.clear()
        atoms.calc = SinglePointCalculator(atoms, energy=-1.1 * k, forces=np.full((len(atoms), 3), 0.1 * k))
    path = tmp_path / name
    if name.endswith(".db") or name.endswith(".json"):
        with ase.db.connect(path) as database:
            for atoms in structures:
                database.write(atoms)
    else:
        write(path, structures)
    # ASE reads no steps of a database.
    expected = read(path, ":")[string2index(part[1:] or ":")]
    _, found = read_parts(f"{path}{part}")
    assert_same_structures(found, [expected] if isinstance(expected, Atoms) else expected)


def test_trajectories_are_read_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("plip._reading._parts._STRUCTURES", 4)
    structures = [Atoms("Si", positions=[[0, 0, k]]) for k in range(11)]
    write(tmp_path / "a.traj", structures)
    parts, found = read_parts(tmp_path / "a.traj")
    assert [part.n_structures for part in parts] == [4, 4, 3]
    assert [atoms.positions[0, 2] for atoms in found] == list(range(11))
    parts, found = read_parts(f"{tmp_path / 'a.traj'}@1::2")
    assert [atoms.positions[0, 2] for atoms in found] == [1, 3, 5, 7, 9]
    assert [part.place(0)[-1] for part in parts] == ["1", "9"]


GOOD = "2\nProperties=species:S:1:pos:R:3 energy=-1.5\nSi 0 0 0\nC 0 0 2\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (2 * GOOD + "Si 0 0 0\n" + GOOD, "structure 2 should begin in line 9.*'Si 0 0 0'.*structure 1 are"),
        (2 * GOOD + "-\n" + GOOD, "structure 2 should begin"),
        ("Si 0 0 0\n", "structure 0 should begin in line 1.*delete the damaged structure$"),
        (2 * GOOD + GOOD[:-8], "structure 2 should have 2 atoms, but the file ends after 1"),
        (3 * GOOD + GOOD.replace("0 0 2", "0 0"), "structure 3: ASE cannot read it"),
        (GOOD + GOOD.replace("0 0 2", "0 0 x"), "structure 1: ASE cannot read it.*'x'"),
        (GOOD + GOOD.replace("energy", "stress"), "structure 1: ASE cannot read it.*stress"),
        (2 * GOOD + "2", "structure 2 should have 2 atoms, but the file ends after 0"),
        (GOOD + "".join(f"VEC{k} 1 1 1\n" for k in range(4)), "structure 0 has 4 lines VEC"),
        ("", "some.xyz"),
    ],
)
def test_damaged_files_name_the_structure(text, message, tmp_path):
    path = tmp_path / "some.xyz"
    path.write_bytes(text.encode())
    with pytest.raises(Exception):  # noqa: B017, PT011 - ASE raises errors of many kinds
        read(path, ":")
    with pytest.raises(ValueError, match=message):
        read_parts(path, atoms_per_part=3)


@pytest.mark.parametrize("n_atoms", [3, 10**12, 10**30])
def test_wrong_numbers_of_atoms(n_atoms, tmp_path):
    """ASE counts up to them."""
    (tmp_path / "a.xyz").write_text(GOOD + f"{n_atoms}{GOOD[1:]}", encoding="utf-8")
    with pytest.raises(
        ValueError, match=f"structure 1 should have {n_atoms} atoms, but the file ends after 2"
    ):
        read_parts(tmp_path / "a.xyz")
    (part,) = split_file(f"{tmp_path}/a.xyz@0")
    assert len(part.read()) == 1


@pytest.mark.parametrize("part", ["", "@5:", "@::3"])
def test_bytes_that_are_no_text_name_the_structure(part, tmp_path):
    structures = load_silicon_carbide()[0][:40]
    write(tmp_path / "a.xyz", structures)
    data = (tmp_path / "a.xyz").read_bytes()
    place = data.index(b"Properties", find_frames(tmp_path / "a.xyz")["offset"][21])
    (tmp_path / "a.xyz").write_bytes(data[:place] + b'who="M\xfcller" ' + data[place:])
    with pytest.raises(ValueError, match=r"a\.xyz, structure 21: byte 0xfc is no text in utf-8"):
        read_parts(f"{tmp_path}/a.xyz{part}")


def test_what_is_read_as_a_whole_is_damaged_as_a_whole(tmp_path):
    write(tmp_path / "a.xyz", load_silicon_carbide()[0][:40])
    packed = gzip.compress((tmp_path / "a.xyz").read_bytes())
    (tmp_path / "a.xyz.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ValueError, match=r"a\.xyz\.gz: ASE cannot read it: EOFError"):
        read_parts(tmp_path / "a.xyz.gz")


def test_files_of_other_formats_than_ase_takes_them_for(tmp_path):
    """ASE tells some formats by the name alone."""
    (tmp_path / "md.out").write_text("  Invoking another program\n")
    with pytest.raises(
        ValueError, match=r"md\.out: it has no structure\. ASE takes it for 'espresso-out': if"
    ):
        read_parts(tmp_path / "md.out")
    (tmp_path / "POSCAR").write_text("a comment\n1.0\n")
    with pytest.raises(ValueError, match=r"POSCAR: ASE cannot read it: .*ASE takes it for 'vasp': if"):
        read_parts(tmp_path / "POSCAR")
    (tmp_path / "model.json").write_text('{"format": "plip-potential"}')
    with pytest.raises(
        ValueError, match=r"model\.json: ASE cannot read it: .*\. Correct it or leave it out$"
    ):
        read_parts(tmp_path / "model.json")


def test_steps_of_zero(tmp_path):
    write(tmp_path / "a.xyz", load_silicon_carbide()[0][:2])
    with pytest.raises(ValueError, match=r"a\.xyz@0:2:0: the step of a slice must not be zero"):
        split_file(f"{tmp_path}/a.xyz@0:2:0")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_pipes(tmp_path):
    os.mkfifo(tmp_path / "pipe.xyz")
    with pytest.raises(ValueError, match=r"pipe\.xyz: a pipe cannot be read twice"):
        split_file(tmp_path / "pipe.xyz")


def test_damage_beyond_what_is_read_does_not_matter(tmp_path):
    path = tmp_path / "some.xyz"
    path.write_text(3 * GOOD + "nonsense\n")
    _, found = read_parts(f"{path}@:2")
    assert_same_structures(found, read(path, ":2"))


def test_a_file_that_has_changed(tmp_path):
    path = tmp_path / "some.xyz"
    path.write_text(3 * GOOD)
    (part,) = split_file(path)
    path.write_text(2 * GOOD)
    with pytest.raises(ValueError, match="the file has changed"):
        part.read()


@pytest.mark.parametrize("text", [(3 * GOOD).replace("\n", "\r"), 2 * GOOD + GOOD.replace("0\n", "0\r")])
def test_carriage_returns_alone(text, tmp_path, monkeypatch):
    monkeypatch.setattr("plip._reading._frames._BLOCK", 7)
    path = tmp_path / "some.xyz"
    path.write_bytes((3 * GOOD).replace("\n", "\r\n").encode())
    assert len(find_frames(path)) == 3
    path.write_bytes(text.encode())
    assert find_frames(path) is None
    _, found = read_parts(path)
    assert_same_structures(found, read(path, ":"))
    assert len(found) == 3


def test_what_a_blank_line_hides(tmp_path):
    path = tmp_path / "some.xyz"
    path.write_text(GOOD + "\n\n" + GOOD)
    with pytest.warns(UserWarning, match="line 5 is blank where structure 1 should begin.* from line 7 on"):
        _, found = read_parts(path)
    assert_same_structures(found, read(path, ":"))
    path.write_text(GOOD + "\n\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        read_parts(path)


def test_files_that_are_no_files(tmp_path):
    with pytest.raises(ValueError, match="none.xyz: no such file"):
        split_file(tmp_path / "none.xyz")
    with pytest.raises(ValueError, match="it is a folder; give the files in it"):
        split_file(tmp_path)
    path = tmp_path / "a@b.xyz"
    path.write_text(GOOD)
    assert len(split_file(path)[0].read()) == len(split_file(f"{path}@0")[0].read()) == 1
    with pytest.raises(ValueError, match="'c' is neither an index nor a slice"):
        split_file(f"{path}@c")
    with gzip.open(tmp_path / "b.xyz.gz", "wt") as file:
        file.write(GOOD + "x\n")
    with pytest.raises(ValueError, match="ASE cannot read it"):
        read_parts(tmp_path / "b.xyz.gz")
    assert Path(path).exists()


words = st.one_of(
    st.sampled_from(
        ["T", "F", "true", "FALSE", "nan", "inf", "-Infinity", "1_0", "007", "1e5", "1e", ".5", "5."]
    ),
    st.sampled_from(
        ["abc", "a:b:c", "NaNo", "12345678901", "123456789", "0x10", "1d5", "+3", "-0", "-0.0", "é", "٣"]
    ),
    st.integers(-(10**20), 10**20).map(str),
    numbers.map(repr),
)
entries = st.builds(
    lambda key, equals, quotes, gap, some: f"{key}{equals}{quotes[0]}{gap.join(some)}{quotes[1]}",
    st.sampled_from(["a", "energy", "uid", "UID", "Lattice", "stress", "virial", "pbc", "a-b", "2d", "ünit"]),
    st.sampled_from(["=", "=", "=", "=", " = ", "", "=="]),
    st.sampled_from(['""', '""', '""', "''", "{}", "[]", ("", ""), ('"', "")]),
    st.sampled_from([" ", " ", "  ", ",", ", ", "\\", "\t", "\xa0", "\x1c", "="]),
    st.lists(words, min_size=1, max_size=3) | st.lists(words, min_size=9, max_size=9),
)


def result_of(function, *arguments):
    try:
        return function(*arguments)
    except Exception as error:  # ASE raises errors of many kinds
        return type(error), str(error)


@settings(max_examples=1000, deadline=None)
@given(st.lists(entries, max_size=4), st.sampled_from([" ", "  ", "\t", "\u2003", ""]))
def test_comments_are_read_as_ase_reads_them(found, gap):
    line = gap.join(found).strip()
    expected = result_of(key_val_str_to_dict, line) if line else {}
    assert_same(result_of(parse_comment, line), expected)


def test_usual_files_are_not_left_to_ase(tmp_path, monkeypatch):
    train, _ = load_silicon_carbide()
    for atoms in train:
        atoms.info.update(config_type="bulk", n=3, is_good=True, weights=np.array([1.5, 2]))
        atoms.set_initial_magnetic_moments(np.arange(len(atoms)))
        atoms.arrays["tag"] = np.arange(len(atoms))
        atoms.arrays["is_free"] = np.arange(len(atoms)) > 2
    write(tmp_path / "a.xyz", train)
    expected = read(tmp_path / "a.xyz", ":")

    def unwanted(*arguments, **options):
        raise AssertionError(arguments)

    for name in ("iread", "key_val_str_to_dict"):
        monkeypatch.setattr(f"plip._reading._extended_xyz.{name}", unwanted)
    _, found = read_parts(tmp_path / "a.xyz")
    assert_same_structures(found, expected)
    # Sums over the arrays have the same bits, too.
    forces = [[atoms.calc.results["forces"].strides for atoms in some] for some in (found, expected)]
    assert forces[0] == forces[1]


@pytest.mark.parametrize(
    "columns",
    [
        "species:S:1:pos:R:3:move_mask:L:1",
        "species:S:1:pos:R:3:move_mask:L:3",
        "Z:I:1:pos:R:3",
        "species:S:1:Z:I:1:pos:R:3:charge:R:1",
        "species:S:1:pos:R:3:initial_charges:R:1",
        "species:S:1:pos:R:3:magmoms:R:3",
        "species:S:1:pos:R:3:names:S:2",
        "species:S:1:pos:R:3:pos:R:3",
        "species:S:1:pos:R:3:positions:R:3",
        "species:S:1:pos:R:2",
        "species:S:1:pos:R:3:a:R:0",
        "species:S:1:pos:R:3:a:X:1",
        "species:S:1:pos:R:3:a",
        "pos:R:3",
    ],
)
@pytest.mark.parametrize("extra", ["", " 7", " x"])
def test_odd_columns(columns, extra, tmp_path):
    types = columns.split(":")[1::3]
    widths = [int(width) for width in columns.split(":")[2::3]]
    words = {"S": "{}C", "R": "{}.25e1", "I": "{}", "L": "T"}
    names = [kind for kind, width in zip(types, widths, strict=False) for _ in range(width)]
    row = " ".join(words.get(kind, "{}").format(k % 3 or "") or "6" for k, kind in enumerate(names)) + extra
    row = row.replace("1C", "C").replace("2C", "C")
    path = tmp_path / "a.xyz"
    path.write_text(f'2\nProperties="{columns}" energy=1\n{row}\n{row}\n')
    try:
        expected = read(path, ":")
    except Exception:  # ASE raises errors of many kinds
        with pytest.raises(ValueError, match="structure 0: ASE cannot read it"):
            read_parts(path)
    else:
        assert_same_structures(read_parts(path)[1], expected)
