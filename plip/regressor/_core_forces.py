"""The force with which the core repulsion of a pair begins, from its terms where the data end."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from plip._core import core_repulsion
from plip._structures._neighbors import find_all_neighbors
from plip.potential import Potential
from plip.regressor._pushes import FEW, START, Distances, Push, Pushes, find_pushes

__all__ = ["known_forces"]

# The force of the core repulsion is that of the terms of a pair where these come to rest, at this part of the
# distance at which the repulsion begins. So many pushed atoms must feel it; no more are looked at. All but
# the lowest and the highest tenth of them must agree to this part of it. On the way from where the repulsion
# begins, it must not fall by more than this part, and must not grow by more than this factor (Lennard-Jones
# atoms have 1.95) to more than that of a wall. It is this number of eV/Angstrom at least, and that many times
# the force with which all but a few pushed atoms are pulled by their other neighbors.
_REST = 0.95
_LEAST_PUSHES, _MOST_PUSHES = 5, 12
_TENTH, _ALIKE = 0.1, 1.0
_FALLEN, _GROWN = 0.3, 2.0
_LEAST_FORCE, _OF_PULL = 1.0, 1.5


def known_forces(
    wall: Potential, terms: Potential, structures: list[Atoms], pushes: Pushes, shortest_distances: Distances
) -> dict[tuple[str, str], float]:
    """Forces in eV/Angstrom with which the core repulsion of pairs goes on where their terms end.

    Parameters
    ----------
    wall : Potential
        Terms with a core repulsion whose forces are not known, and without limits.
    terms : Potential
        The terms alone.
    structures, shortest_distances
        As in `find_pushes`.
    pushes : dict of (str, str) to list of Push
        From `find_pushes`.

    Returns
    -------
    dict of (str, str) to float
        Without the pairs whose force is not known.
    """
    assert wall.repulsion is not None
    forces: dict[tuple[str, str], float] = {}
    calm: Pushes = {}
    for pair, of_pair in pushes.items():
        if "X" in pair:  # a dummy atom has no nucleus that repels
            continue
        further = START * shortest_distances[pair] - _REST * wall.repulsion[pair][1]
        apart = _with_one_close_neighbor(wall, of_pair, further)
        if len(of_pair) >= _LEAST_PUSHES > len(apart):
            # Rattled atoms of crystals may all have others.
            calm = calm or find_pushes(structures, shortest_distances, wall.cutoff, 0.0)
            apart += _with_one_close_neighbor(wall, calm[pair], further)
        if len(apart) >= _LEAST_PUSHES:
            slope = _slope_of_terms(wall, terms, pair, apart, further)
            force = float(f"{slope / _slope_of_repulsion(wall, pair, 1.0):.4g}")
            # Nuclei of light atoms repel by too little to go on from any slope.
            if _slope_of_repulsion(wall, pair, force) > 0.99 * slope > 0.0:
                forces[pair] = force
    return forces


def _slope_of_terms(
    wall: Potential, terms: Potential, pair: tuple[str, str], pushes: list[Push], further: float
) -> float:
    """How strongly the terms of a pair push where they come to rest, in eV/Angstrom; 0 if it is not known."""
    assert wall.repulsion is not None
    of_wall = _slope_of_repulsion(wall, pair, 0.0)
    before = further - (1.0 - _REST) * wall.repulsion[pair][1]
    # The pair feels the repulsion alone or the terms. All else is the same.
    others = np.array([push.resistance(wall, further) for push in pushes]) - of_wall
    slopes = np.array([push.resistance(terms, further) for push in pushes]) - others
    first = float(np.median([push.resistance(terms, before) for push in pushes] - others))
    low, slope, high = np.quantile(slopes, (_TENTH, 0.5, 1.0 - _TENTH)).tolist()
    pull = -float(np.quantile(others, FEW))
    enough = max(slope, _LEAST_FORCE, _OF_PULL * pull)
    agrees = high - low < _ALIKE * enough and first - slope < _FALLEN * enough
    return enough if agrees and enough < max(_GROWN * first, of_wall) else 0.0


def _with_one_close_neighbor(wall: Potential, pushes: list[Push], further: float) -> list[Push]:
    """Some of the pushes whose atom feels the core repulsion of one neighbor alone."""
    assert wall.repulsion is not None
    starts = {pair: outer for pair, (_, outer) in wall.repulsion.items()}
    found = []
    for k in np.unique(np.linspace(0, len(pushes) - 1, _MOST_PUSHES).astype(int)) if pushes else ():
        atoms, pushed = pushes[k].moved(further), pushes[k].pushed
        near = find_all_neighbors(atoms, max(starts.values()))
        part = slice(near.first_as[pushed], near.first_as[pushed + 1])
        others = [sorted((atoms.symbols[pushed], other)) for other in atoms.symbols[near.neighbor_p[part]]]
        if (near.distance_p[part] < [starts[first, second] for first, second in others]).sum() == 1:
            found.append(pushes[k])
    return found


def _slope_of_repulsion(wall: Potential, pair: tuple[str, str], force: float) -> float:
    """How strongly the core repulsion of a pair pushes where terms come to rest, in eV/Angstrom."""
    assert wall.repulsion is not None
    r = np.array([_REST * wall.repulsion[pair][1]])
    return -float(core_repulsion(pair, wall.repulsion[pair], r, force)[0][0, 1])
