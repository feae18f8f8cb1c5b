"""Labels that are beyond what matter has, such as the placeholders of calculations that failed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from plip._structures._checks import volumes
from plip._structures._composition import composition_of
from plip._types import FloatArray
from plip.labels._closeness import SHORT, closest_shares
from plip.labels._labels import Labels
from plip.labels._plausibility import name_structures, warn
from plip.labels._values import have_larger

__all__ = ["warn_of_outliers"]

# Where no atoms are closer than bonds: eV/atom, from the energies of the others at the same composition;
# eV/A; and eV/atom, the volume times the stress. Many times what the hottest liquids have, and mostly what
# other units make of it.
_LARGEST = {"energy": 100.0, "force": 1000.0, "virial": 1e5}
_NAMES = {"energy": "energies", "force": "forces", "virial": "stresses"}
_UNITS = {"energy": "eV/atom from those of the others", "force": "eV/A", "virial": "eV/atom times the volume"}
# Where more of the labels are so large, they are in another unit.
_MOST = 0.1
# Of the search for the energies that most structures agree on.
_STEPS = 30


def warn_of_outliers(X: Sequence[Atoms], labels: Labels, first: int) -> None:
    """Warn of a few labels that spoil a fit.

    Parameters
    ----------
    X : list of n ase.Atoms
    labels : Labels
    first : int
        Place of the first structure in the data, for messages.
    """
    n_atoms = np.array([len(atoms) for atoms in X])
    sizes = {}
    if labels.energy is not None:
        sizes["energy"] = np.abs(_deviations(X, labels.energy / n_atoms))
    if labels.forces is not None:
        sizes["force"] = np.zeros(len(X))
        for k in np.flatnonzero(have_larger(labels.forces, _LARGEST["force"])).tolist():
            sizes["force"][k] = np.abs(np.asarray(labels.forces[k])).max()
    if labels.stress is not None:
        sizes["virial"] = np.abs(labels.stress).max(axis=1) * volumes(X) / n_atoms
    for target, values in sizes.items():
        # NaN is not larger.
        chosen = values > _LARGEST[target]
        if not 0 < chosen.sum() <= max(_MOST * labels.present(target).sum(), 1):
            continue
        rows = np.flatnonzero(chosen)
        # Nuclei that nearly touch have such labels.
        chosen[rows] = closest_shares([X[row] for row in rows.tolist()], SHORT) >= SHORT
        if chosen.any():
            warn(
                f"{name_structures(X, chosen, first)}: {_NAMES[target]} of {values[chosen].max():.2g} "
                f"{_UNITS[target]}, though no atoms are closer than bonds are; they spoil the fit to all "
                "structures. Look for a placeholder or a calculation that failed: correct them, or give None",
                chosen,
                first,
                kind="stress" if target == "virial" else "forces" if target == "force" else target,
            )


def _deviations(X: Sequence[Atoms], per_atom: FloatArray) -> FloatArray:
    """How far energies per atom, (n,), are from those that most structures of their composition have."""
    known = np.flatnonzero(np.isfinite(per_atom))
    beside = np.zeros(len(X))
    if len(known) < 2 or np.ptp(per_atom[known]) < _LARGEST["energy"]:
        return beside
    counts = composition_of([X[k] for k in known.tolist()])
    shares, values = counts / counts.sum(axis=1, keepdims=True), per_atom[known]
    weights = np.ones(len(known))
    # Least absolute deviations, by squares whose weights follow the deviations: outliers have no say. The
    # linear program of sklearn's QuantileRegressor takes 1.9 s for 10,000 structures, this 7 ms.
    for _ in range(_STEPS):
        references = np.linalg.lstsq(weights[:, None] * shares, weights * values, rcond=None)[0]
        deviations = values - shares @ references
        weights = 1.0 / np.sqrt(np.maximum(np.abs(deviations), 1e-3 * _LARGEST["energy"]))
    beside[known] = deviations
    return beside
