"""The Python code on the pages of the documentation runs, block after block, in an empty folder."""

import re
import textwrap
from pathlib import Path

import pytest
from ase.io import write

from plip import PLIPRegressor

PAGES = Path(__file__).resolve().parents[1] / "doc"
BLOCK = re.compile(r"^( *)\.\. code-block:: python\n((?:\1 +\S.*\n|\s*\n)+)", re.MULTILINE)
# The data set of the tests has one composition.
NEEDS_OTHER_DATA = "composition_groups"


def blocks(page):
    """Number of the first line, and code."""
    text = (PAGES / f"{page}.rst").read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        yield text.count("\n", 0, found.start()) + 1, textwrap.dedent(found[2])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "page",
    ["index", "more_data", "published", "publishing", "reading", "simulation", "uncertainty", "user_guide"],
)
def test_code_of_a_page_runs(page, silicon_carbide, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib").use("Agg")
    import matplotlib.pyplot as plt

    pytest.importorskip("pandas")
    pytest.importorskip("jsonschema")
    if not PAGES.is_dir():
        pytest.skip("the documentation is not here")
    if page == "simulation":
        pytest.importorskip("ase.md.nose_hoover_chain", reason="an older ASE")
    monkeypatch.chdir(tmp_path)
    train, test = silicon_carbide
    for name, structures in {"train": train[::8], "huge": train[::8], "test": test, "md": test}.items():
        write(f"{name}.xyz", structures)
    PLIPRegressor("fast", max_terms=20).fit(train[::8]).potential_.save("model.json")
    names = {}
    for line, code in blocks(page):
        if NEEDS_OTHER_DATA not in code:
            exec(compile("\n" * line + code, f"{page}.rst", "exec"), names)
    plt.close("all")
    assert names
