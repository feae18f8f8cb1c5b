"""show_config: what runs and what it is built on."""

import ast
import importlib
import os
import subprocess
import sys

import numpy as np
import pytest
from ase.build import bulk

import plip
from plip._design._rows import Design, StructureDesign
from plip.interactions import ThreeBody
from plip.interactions._terms import build_terms
from plip.radial import Gaussian


@pytest.fixture(scope="module")
def config():
    return plip.show_config("dict")


def test_fastest_set_that_is_built_and_supported_runs(config):
    sets = config["instruction_sets"]
    assert set(sets["processor"]) <= set(sets["built"])
    assert sets["kernels"] == sets["core"] == sets["processor"][0]
    assert "baseline" in sets["processor"]


def test_named_kernels_are_those_that_compute(config):
    # A structure design takes its kernel from the same place as every fit.
    design = Design(build_terms(["Si"], 4.0, three_body=ThreeBody(Gaussian(centers=2))), ["Si"])
    assert design.kernel.instruction_set == config["instruction_sets"]["kernels"]
    assert np.isfinite(StructureDesign(design, bulk("Si")).values).all()


def test_versions_are_those_imported(config):
    assert config["plip"] == plip.__version__
    for name, module in (("numpy", "numpy"), ("scipy", "scipy"), ("scikit-learn", "sklearn"), ("ase", "ase")):
        assert config["versions"][name] == importlib.import_module(module).__version__


def test_blas_and_its_threads_are_listed(config):
    blas = [library for library in config["threadpools"] if library["user_api"] == "blas"]
    assert blas
    assert all(library["num_threads"] >= 1 and library["internal_api"] for library in blas)


def test_thread_settings_are_reported():
    one_thread = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "MKL", "OMP")}
    code = "import plip; print([pool['num_threads'] for pool in plip.show_config('dict')['threadpools']])"
    environment = {**os.environ, **one_thread}
    run = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert set(ast.literal_eval(run.stdout)) == {1}


def test_text_holds_what_the_dict_holds(config, capsys):
    assert plip.show_config() is None
    text = capsys.readouterr().out
    assert text.endswith("\n")
    for words in (
        f"plip {plip.__version__}",
        config["instruction_sets"]["kernels"],
        f"numpy {np.__version__}",
        f"scipy {config['versions']['scipy']}",
        "blas: ",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("processor", "architecture", "chosen", "told"),
    [
        (
            ["avx512", "avx2", "baseline"],
            "Haswell",
            None,
            "with the environment variable OPENBLAS_CORETYPE=SkylakeX",
        ),
        (
            ["avx512", "avx2", "baseline"],
            "Haswell",
            "Zen",
            "without the environment variable OPENBLAS_CORETYPE=Zen",
        ),
        (["avx512", "avx2", "baseline"], "SkylakeX", None, ""),
        (["avx2", "baseline"], "Haswell", None, ""),
    ],
)
def test_openblas_that_leaves_vectors_unused_is_told(
    monkeypatch, capsys, config, processor, architecture, chosen, told
):
    from plip import _config

    library = {"user_api": "blas", "internal_api": "openblas", "version": "0.3.30", "num_threads": 2}
    sets = {**config["instruction_sets"], "processor": processor}
    shown = {**config, "instruction_sets": sets, "threadpools": [{**library, "architecture": architecture}]}
    monkeypatch.setattr(_config, "_collect", lambda: shown)
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    if chosen:
        monkeypatch.setenv("OPENBLAS_CORETYPE", chosen)
    plip.show_config()
    text = capsys.readouterr().out
    assert ("OPENBLAS_CORETYPE" in text) == bool(told) and told in text


def test_missing_dependency_is_none(monkeypatch):
    from plip import _config

    monkeypatch.setattr(_config, "_DEPENDENCIES", ("numpy", "a-package-that-does-not-exist"))
    assert _config.show_config("dict")["versions"] == {
        "numpy": np.__version__,
        "a-package-that-does-not-exist": None,
    }


def test_needs_no_scikit_learn():
    code = "import sys, plip; plip.show_config(); print('sklearn' in sys.modules)"
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("mode", ["print", None, "DICT"])
def test_unknown_mode(mode):
    with pytest.raises(ValueError, match="mode must be 'stdout' or 'dict'"):
        plip.show_config(mode)
