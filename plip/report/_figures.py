"""Figures of a report, as pictures inside of the page."""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from plip._structures._isolated import isolated_pairs
from plip.inspection import (
    AngleDisplay,
    DensityDisplay,
    EquationOfStateDisplay,
    PairDisplay,
    ParityDisplay,
    PartitionDisplay,
    PathDisplay,
    UncertaintyDisplay,
)
from plip.metrics import Evaluation
from plip.potential import Potential
from plip.report._crystals import Bands
from plip.report._uncertainty import LEVEL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["bands", "draw", "equation_of_state", "functions", "parity", "partition", "path", "uncertainty"]

# Panels in inches.
_WIDTH, _HEIGHT = 6.4, 4.0
_MOST_GROUPS = 6
# For angles.
_MOST_ATOMS = 3000


def draw(plot: Callable[[Axes], Any], width: float = _WIDTH, height: float = _HEIGHT) -> str:
    """The address of a picture: an SVG that is itself its address.

    Parameters
    ----------
    plot : callable
        Called with axes to draw into.
    width, height : float
        Inches.

    Returns
    -------
    str
        For the attribute `src` of an image.
    """
    import matplotlib
    from matplotlib.figure import Figure

    # The same figure is the same file.
    with matplotlib.rc_context({"svg.hashsalt": "plip", "font.size": 10.0}):
        figure = Figure(figsize=(width, height), layout="constrained")
        plot(figure.subplots())
        file = io.BytesIO()
        figure.savefig(file, format="svg", dpi=150, metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode()


def parity(evaluations: Mapping[str, Evaluation]) -> list[tuple[str, str]]:
    """Caption and picture of each target."""
    targets = dict.fromkeys(target for evaluation in evaluations.values() for target in evaluation.n_labels)

    def plot(target: str) -> str:
        return draw(lambda ax: ParityDisplay.from_evaluations(evaluations, target=target, ax=ax), 5.0, 5.0)

    return [(f"Predicted against reference: {target}", plot(target)) for target in targets]


def uncertainty(evaluations: Mapping[str, Evaluation]) -> list[tuple[str, str]]:
    """Caption and picture of energies and forces."""
    targets = [
        target
        for target in ("force", "energy")
        if any(
            np.isfinite(evaluation.std(target)).any()
            for evaluation in evaluations.values()
            if target in evaluation.n_labels
        )
    ]

    def plot(target: str) -> str:
        return draw(
            lambda ax: UncertaintyDisplay.from_evaluations(evaluations, target=target, level=LEVEL, ax=ax),
            5.0,
            5.0,
        )

    words = {"force": "force components", "energy": "energies"}
    share = f"{100 * LEVEL:.0f} %"
    return [
        (
            f"Errors that {share} of the {words[target]} do not exceed, against predicted ones.",
            plot(target),
        )
        for target in targets
    ]


def functions(potential: Potential, structures: Sequence[Atoms] | None) -> list[tuple[str, str]]:
    """Caption and picture of pairs, angles and densities."""
    caption = "Energy of two isolated atoms, above the distances in the data; thick where data are."
    if structures:
        alone = isolated_pairs(structures, potential.cutoff)
        pairs = itertools.combinations_with_replacement(sorted(potential.species), 2)
        if missing := ["-".join(pair) for pair in pairs if pair not in alone]:
            caption += (
                f" The data hold no isolated pairs {', '.join(missing)} (*): these curves are extrapolated"
                " from crystals and other dense structures. Read them together with angles and densities."
            )
    found = [
        (
            caption,
            draw(lambda ax: PairDisplay.from_potential(potential, structures, ax=ax), 7.4),
        )
    ]
    kinds = {term.interaction for term, _ in potential.terms}
    if kinds & {"three-body", "four-body", "N-body"}:
        caption = "Energy of three isolated atoms minus that of their pairs, against the angle."
        few = _few(structures)
        found.append((caption, draw(lambda ax: AngleDisplay.from_potential(potential, few, ax=ax), 7.4)))
    if "N-body" in kinds and structures and any(atoms.pbc.all() for atoms in structures):
        caption = (
            "N-body energy of an atom as its surroundings grow denser; 1 is its crystal of lowest energy."
        )
        found.append(
            (caption, draw(lambda ax: DensityDisplay.from_potential(potential, structures, ax=ax), 7.4))
        )
    return found


def _few(structures: Sequence[Atoms] | None) -> list[Atoms] | None:
    """Enough of the structures for a histogram of angles, of which each atom has very many."""
    if structures is None:
        return None
    step = -(-sum(map(len, structures)) // _MOST_ATOMS) or 1
    return list(structures[::step])


def partition(potential: Potential, groups: Mapping[str, Atoms]) -> str:
    """Energy by interaction of one structure of each of the largest groups."""
    chosen = dict(list(groups.items())[:_MOST_GROUPS])
    return draw(lambda ax: PartitionDisplay.from_potential(potential, chosen, ax=ax), 8.4)


def equation_of_state(potential: Potential, crystal: Atoms, structures: Sequence[Atoms]) -> str:
    """Energy by interaction against volume."""
    return draw(lambda ax: EquationOfStateDisplay.from_potential(potential, crystal, structures, ax=ax), 7.4)


def bands(found: Bands) -> str:
    """Phonon bands."""

    def plot(ax: Axes) -> None:
        # Where the path jumps, lines end.
        jumps = np.flatnonzero(np.diff(found.x) == 0) + 1
        x, lines = np.insert(found.x, jumps, np.nan), np.insert(found.frequencies, jumps, np.nan, axis=0)
        ax.plot(x, lines, color="#0072B2", linewidth=1.4)
        ax.axhline(0.0, color="0.4", linewidth=0.8)
        names: dict[float, str] = {}
        for place, name in found.ticks:
            names[place] = f"{names[place]}|{name}" if place in names else name
        places = list(names)
        ax.set_xticks(places, list(names.values()))
        for place in places:
            ax.axvline(place, color="0.85", linewidth=0.8, zorder=0)
        ax.set(xlim=(found.x[0], found.x[-1]), ylabel="frequency (THz), imaginary below 0")

    return draw(plot)


def path(sizes: Mapping[str, Any], test: Mapping[str, float]) -> list[tuple[str, str]]:
    """Caption and picture of errors and cancellation by number of terms, from the record of a fit."""
    n_terms = np.array(sizes["n_terms"])
    curves: dict[str, dict[str, tuple[Any, Any]]] = {}
    for name in ("train", "cross-validation"):
        for target, values in sizes.get(name, {}).items():
            curves.setdefault(target, {})[name] = n_terms, np.array(values, np.float64)
    for target, value in test.items():
        curves.setdefault(target, {})["test"] = np.array([sizes["chosen"]]), np.array([value])
    curves["cancellation"] = {"mean structure": (n_terms, np.array(sizes["cancellation"], np.float64))}
    display = PathDisplay(curves, sizes["chosen"])

    def plot(quantity: str) -> str:
        return draw(lambda ax: display.plot(ax, quantity))

    return [(f"{quantity.capitalize()} by number of terms", plot(quantity)) for quantity in curves]
