"""The C files as compilers of other platforms see them; `.ci/portable` compiles and runs them there."""

import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[1]
SOURCES = [*sorted((ROOT / "plip" / "_core").glob("plip_*.c")), ROOT / "tests" / "portable" / "driver.c"]


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_sources_are_iso_c(source):
    options = ["-std=c11", "-DPLIP_ISO_C", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
    command = ["cc", *options, f"-I{ROOT / 'plip' / '_core'}", "-fsyntax-only", source]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
