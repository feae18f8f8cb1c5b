"""What commands make of the check of a potential: structures to label, a refusal to write."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from plip.cli._errors import CommandError

if TYPE_CHECKING:
    from plip.regressor import PLIPRegressor, PLIPRegressorCV
    from plip.safety import SafetyReport

__all__ = ["refusal", "write_failing"]

# Structures that are written where a potential fails, at most.
_MOST_FAILING = 10


def write_failing(
    safety: SafetyReport, model: PLIPRegressor | PLIPRegressorCV, arguments: Namespace, output: Path
) -> Path | None:
    """Write the structures of a check that are most worth labeling beside the potential, if there are any.

    Where they cannot be written, the command goes on, since what was found matters more.
    """
    from ase.io import write

    from plip._files import write_whole
    from plip.selection import rank_structures

    structures = safety.structures
    if not structures or not model.n_terms_:
        return None
    places, _ = rank_structures(structures, _MOST_FAILING, model, n_jobs=arguments.n_jobs)
    if not places.size:
        return None
    try:
        path: Path = arguments.outputs.new(output.with_name(f"{output.stem}_failing.xyz"))
        with write_whole(path, "w") as file:
            write(file, [structures[k] for k in places.tolist()], format="extxyz")
    except (CommandError, OSError) as error:
        print(f"Structures to label were not written: {error}")
        return None
    print(f"Structures to label, best first: {path}")
    return path


def refusal(safety: SafetyReport, output: Path, failing: Path | None, n_faults: int = 0) -> str:
    """Why a potential was not written, and what may help.

    Parameters
    ----------
    safety : SafetyReport
    output : Path
        The potential.
    failing : Path or None
        From `write_failing`.
    n_faults : int, default=0
        Findings of the audit of the data.

    Returns
    -------
    str
    """
    kinds = set(safety.kinds)
    lacking = []
    if kinds & {"collapse", "drift"}:
        lacking.append("hot crystals, melts and slabs")
    if kinds & {"pair", "push", "compression", "collapse"}:
        lacking.append("compressed crystals and crystals with interstitial atoms")
    if kinds & {"dimer", "expansion", "evaporation"}:
        lacking.append("expanded crystals, surfaces and isolated atoms")
    remedy = f"Add training structures of the kinds that fail: {', '.join(lacking)}"
    if failing is not None:
        remedy = (
            f"Calculate the structures in {failing}, add them to the training data, and fit again: for "
            f"crystals, a few rounds usually suffice. Or add other {', '.join(lacking)}"
        )
    if n_faults:
        remedy = f"First correct what the audit has found. {remedy}"
    return (
        f"{output} was not written, since simulations with this potential fail: {', '.join(safety.kinds)} "
        f"(see above). {remedy}. Sometimes --target fast, fewer terms (--terms) or stresses in the data also "
        "help. --allow-unsafe writes the potential anyway"
    )
