"""Files that commands write: none that they read, and each another one."""

import pytest
from ase.io import read
from cli_runs import fails

from plip.cli import main


@pytest.fixture
def folder(cli_fit, tmp_path, monkeypatch):
    """A folder with data, a model, and a link to the data; paths in it are relative."""
    monkeypatch.chdir(tmp_path)
    for name, source in (("train.xyz", "train"), ("test.xyz", "test"), ("model.json", "model")):
        with open(cli_fit[source], "rb") as file:
            (tmp_path / name).write_bytes(file.read())
    (tmp_path / "link.xyz").symlink_to("train.xyz")
    return tmp_path


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("fit train.xyz --terms 5 -o train.xyz", "train.xyz"),
        ("fit train.xyz@:5 --terms 5 -o ./train.xyz", "train.xyz"),
        ("fit train.xyz --terms 5 -o link.xyz", "link.xyz"),
        ("fit train.xyz --test test.xyz --terms 5 --csv test.xyz", "test.xyz"),
        ("fit train.xyz --terms 5 --log train.xyz", "train.xyz"),
        ("fit train.xyz --terms 5 -o new.json --csv new.json", "new.json"),
        ("fit train.xyz --terms 5 -o new.png", "new.png"),
        ("fit train.xyz --terms 5 -o new.json --report new.json", "new.json"),
        ("evaluate model.json test.xyz --csv test.xyz", "test.xyz"),
        ("report model.json train.xyz -o model.json", "model.json"),
        ("learn train.xyz --csv train.xyz", "train.xyz"),
        ("select test.xyz --train train.xyz -o test.xyz", "test.xyz"),
        ("descriptors train.xyz -o train.xyz", "train.xyz"),
        ("accumulate train.xyz --descriptors model.json -o train.xyz", "train.xyz"),
        ("fit --normal-equations sums.npz -o sums.npz", "sums.npz"),
        ("import legacy input.txt Coeff.txt --species Si C -o Coeff.txt", "Coeff.txt"),
    ],
)
def test_no_command_writes_what_it_reads_or_writes_twice(arguments, named, folder, capsys):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    before = contents(folder)
    message = fails(capsys, *arguments.split())
    assert named in message and "this file, too; give another name" in message
    assert contents(folder) == before


def test_chosen_structures_are_written_whole_or_not_at_all(folder, capsys, monkeypatch):
    (folder / "chosen.xyz").write_text("before", encoding="utf-8")

    def broken(file, images, **options):
        file.write("half of")
        raise OSError("no space left")

    select = ["select", "test.xyz", "--train", "train.xyz", "-n", "2", "--terms", "5", "-q"]
    with monkeypatch.context() as patch:
        patch.setattr("ase.io.write", broken)
        assert "no space left" in fails(capsys, *select)
    assert (folder / "chosen.xyz").read_text(encoding="utf-8") == "before"
    for name in ("chosen.xyz", "chosen.traj"):
        assert main([*select, "-o", name]) == 0
        assert len(read(name, ":")) == 2


@pytest.mark.parametrize("name", ["chosen.nonsense", "POSCAR", "chosen.json"])
def test_formats_of_several_structures(name, folder, capsys):
    message = fails(capsys, "select", "test.xyz", "--train", "train.xyz", "-o", name, "-q")
    assert name in message and ".xyz or .traj" in message


@pytest.mark.parametrize(
    "command",
    [
        "select test.xyz --train train.xyz -o chosen.xyz.gz",
        "fit train.xyz -o model.json.xz",
        "fit train.xyz --csv errors.csv.bz2",
    ],
)
def test_names_of_compressed_files(command, folder, capsys):
    assert "not compressed" in fails(capsys, *command.split(), "-q")
