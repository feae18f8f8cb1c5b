"""Facts about a fit that its potential keeps, for people who find the file."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import ArrayLike

from plip._structures._isolated import MOST_ISOLATED, isolated_pairs
from plip._structures._layers import vacuum_of_arrays
from plip._types import FloatArray
from plip.normal_equations import NormalEquations

__all__ = ["fit_record"]

# Of longer paths some sizes are kept, and digits that a plot shows.
_MOST_SIZES = 100
_DIGITS = 5
# Errors are printed after the fit, too: rounding twice could change the last digit.
_ERROR_DIGITS = 8


def fit_record(model: Any, coef: FloatArray, size: int) -> dict[str, Any]:
    """What `Potential.fit_record` tells of a fitted estimator.

    Parameters
    ----------
    model : PLIPRegressor or PLIPRegressorCV
        Fitted to structures.
    coef : ndarray of float64, shape (n_terms,)
        Coefficients of the potential on the path of `model`; terms of analogs, which the data do not touch,
        are not among them.
    size : int
        Place of this model in the results of cross-validation, if there are any.

    Returns
    -------
    dict
        "settings", "data", "errors" and "sizes", of plain values. Errors are root mean squares in eV/atom
        (energy), eV/Angstrom (force) and eV/atom (virial); those of the data count sample weights.
    """
    equations = model.normal_equations_
    n_terms = int(np.count_nonzero(coef))
    references = equations.references(coef[None], model._references)
    errors = {"train": _rounded(equations.mean_squares(coef[None], references), 0)}
    results = getattr(model, "cv_results_", None)
    if results is not None:
        targets = [target for target in equations.n_rows if f"{target}_rmse" in results]
        errors["cross-validation"] = {
            f"{target}_rmse": _round(results[f"{target}_rmse"][size], _ERROR_DIGITS) for target in targets
        }
    return {
        "settings": {
            "estimator": type(model).__name__,
            **{name: _plain(value) for name, value in model._fit_parameters.items()},
        },
        "data": _data(equations, getattr(model, "analogs_", None))
        | _missing_atoms(equations, model._references is not None),
        "errors": errors,
        "sizes": _sizes(model, equations, n_terms),
    }


def _plain(value: Any) -> Any:
    """A value that JSON can hold; objects as they print."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return " ".join(repr(value).split())


def _round(value: float, digits: int = _DIGITS) -> float | None:
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def _rounded(mean_squares: Mapping[str, FloatArray], row: int) -> dict[str, float | None]:
    errors = {target: math.sqrt(values[row]) for target, values in mean_squares.items()}
    return {f"{target}_rmse": _round(error, _ERROR_DIGITS) for target, error in errors.items()}


def _data(equations: NormalEquations, analogs: Mapping[tuple[str, str], Any] | None) -> dict[str, Any]:
    """Sizes, hash and reach of the data."""
    record: dict[str, Any] = {
        "n_structures": equations.n_structures,
        "n_labels": {target: n for target, n in equations.n_rows.items() if n},
        "hash": None if equations.data_hash is None else f"{equations.data_hash:064x}",
    }
    distances = equations.shortest_distances
    if distances is not None:
        record["shortest_distances"] = {
            "-".join(pair): _round(r) for pair, r in distances.items() if math.isfinite(r)
        }
        record["missing_pairs"] = ["-".join(pair) for pair, r in distances.items() if not math.isfinite(r)]
    if equations.sample is not None and equations.sample.sizes.size:
        sample = equations.sample
        record["n_atoms"] = int(sample.sizes.sum())
        whole = sample.periodic.all(axis=1) & (sample.sizes > 0)
        of_whole = np.repeat(whole, sample.sizes)
        # Slabs and molecules in boxes have more volume than their atoms take.
        whole[whole] = ~vacuum_of_arrays(sample.sizes[whole], sample.positions[of_whole], sample.cells[whole])
        if whole.any():
            volumes = np.abs(np.linalg.det(sample.cells[whole])) / sample.sizes[whole]
            record["volume_per_atom"] = [_round(volumes.min()), _round(volumes.max())]
        numbers = np.split(sample.numbers, np.cumsum(sample.sizes)[:-1])
        together = {frozenset(chemical_symbols[z] for z in set(of_one.tolist())) for of_one in numbers}
        alone = isolated_pairs(
            sample.structures(MOST_ISOLATED), max((term.cutoff for term in equations.terms), default=0.0)
        )
        record["isolated_pairs"] = ["-".join(pair) for pair in sorted(alone)]
        record["missing_combinations"] = _missing(equations.species, together)
    if analogs is not None:
        record["analogs"] = {
            "-".join(pair): None if analog is None else "-".join(analog) for pair, analog in analogs.items()
        }
    return record


def _missing_atoms(equations: NormalEquations, are_given: bool) -> dict[str, list[str]]:
    """Species whose energy without neighbors neither the user nor the data tell, if the sums know of it."""
    if are_given:
        return {"missing_atoms": []}
    isolated = equations.isolated_energies
    if isolated is None:
        return {}
    return {"missing_atoms": [symbol for symbol in equations.species if not isolated[symbol]]}


def _missing(species: Sequence[str], together: Iterable[frozenset[str]]) -> list[str]:
    """Smallest sets of two or three species that no structure holds, as ``Mo-Nb``."""
    kinds = list(together)
    found: list[tuple[str, ...]] = []
    for size in (2, 3):
        for combination in itertools.combinations(sorted(species), size):
            held = any(set(combination) <= kind for kind in kinds)
            if not held and not any(set(other) <= set(combination) for other in found):
                found.append(combination)
    return ["-".join(combination) for combination in found]


def _sizes(model: Any, equations: NormalEquations, chosen: int) -> dict[str, Any]:
    """Errors by number of terms, of the data and of cross-validation."""
    path, results = model.path_, getattr(model, "cv_results_", None)
    rows = np.unique(np.linspace(0, len(path) - 1, _MOST_SIZES).round().astype(int))
    coefs = path.coefs[rows]
    squares = equations.mean_squares(coefs, equations.references(coefs, model._references))
    record: dict[str, Any] = {
        "chosen": chosen,
        "offered": len(equations.terms),
        "n_terms": path.n_terms[rows].tolist(),
        "train": {target: _list(np.sqrt(values)) for target, values in squares.items()},
        "cancellation": _list(equations.mean_cancellation(coefs)),
    }
    if results is not None:
        record["cross-validation"] = {
            target: _list(results[f"{target}_rmse"][rows])
            for target in squares
            if f"{target}_rmse" in results
        }
    return record


def _list(values: ArrayLike) -> list[float | None]:
    return [_round(value) for value in np.asarray(values, np.float64).tolist()]
