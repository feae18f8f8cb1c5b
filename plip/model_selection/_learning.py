"""What more data would bring: errors against the number of training structures."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.model_selection import KFold
from tqdm.auto import tqdm

from plip._files import write_whole
from plip._parameters import is_integer
from plip._types import FloatArray, IntArray, StrPath
from plip.labels import TARGETS, LabelledStructures
from plip.metrics import UNITS, errors, read_groups
from plip.model_selection._splits import StratifiedByGroup
from plip.normal_equations import NormalEquations
from plip.normal_equations._blas_threads import single_blas_thread
from plip.normal_equations._parts import file_for_sums, sums_of_parts, total_of
from plip.potential import Potential
from plip.potential._prediction import predict_labels
from plip.regressor import PLIPRegressor, PLIPRegressorCV
from plip.regressor._cross_validation import fold_means
from plip.solvers import solve

__all__ = ["LearningCurve", "learning_curve"]

# Each size has at least so many times the structures of the one before.
_STEP = 1.5
# More data help if an error falls by this part when data double, and by more than chance makes it fall.
_WORTH = 0.05
_CHANCE = 2.0
# Groups that a summary names.
_MOST_NAMED = 3


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Errors of structures that were left out, against the number of structures that were fitted.

    Printed, it is a table and a line that says whether more data would help.

    Attributes
    ----------
    sizes : ndarray of float64, shape (m,)
        Numbers of training structures, means over folds.
    n_terms : ndarray of float64, shape (m,)
        Numbers of terms of the fits, means over folds.
    errors : dict of str to ndarray of float64, shape (m, n_folds)
        Root mean square errors of each fold by target: "energy" (meV/atom), "force" (eV/Angstrom) and
        "stress" (GPa). NaN for a fold without such labels.
    by_group : dict of str to dict
        The same by group of structures; empty without groups.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> from plip.model_selection import learning_curve
    >>> train, _ = load_silicon_carbide()
    >>> curve = learning_curve(PLIPRegressor("fast", max_terms=10), train[::4], n_folds=3)
    >>> sorted(curve.errors)
    ['energy', 'force', 'stress']
    >>> curve.save("learning.csv")
    """

    sizes: FloatArray
    n_terms: FloatArray
    errors: dict[str, FloatArray]
    by_group: dict[str, dict[str, FloatArray]]

    def __str__(self) -> str:
        targets = list(self.errors)
        lines = ["structures  terms" + "".join(f"{f'{name} ({UNITS[name]})':>22}" for name in targets)]
        for k, size in enumerate(self.sizes):
            cells = (_cell(self.errors[target][k]) for target in targets)
            lines.append(
                f"{size:>10.0f}  {self.n_terms[k]:>5.0f}" + "".join(f"  {cell:>20}" for cell in cells)
            )
        if self.by_group:
            width = max(map(len, self.by_group)) + 2
            lines += ["", "by group, at the last size, and the change if the data double"]
            for group, curves in self.by_group.items():
                gains = self.gains(group)
                cells = (
                    f"{_cell(curves[target][-1], gains.get(target))}" if target in curves else ""
                    for target in targets
                )
                lines.append(f"{group:<{width}}" + "".join(f"  {cell:>24}" for cell in cells))
        return "\n".join([*lines, "", self.summary()])

    def gains(self, group: str | None = None) -> dict[str, tuple[float, float]]:
        """By which part errors fall when data double, near the present number of structures.

        Parameters
        ----------
        group : str or None, default=None
            Group of the structures; None takes all.

        Returns
        -------
        dict of str to (float, float)
            For each target 1 - 2^-a, where errors follow n^-a between the last two sizes, and its standard
            error over folds, which have training data in common.
        """
        found = {}
        for target, values in (self.errors if group is None else self.by_group[group]).items():
            with np.errstate(divide="ignore", invalid="ignore"):
                logs = np.log(values[-2] / values[-1]) / np.log(self.sizes[-1] / self.sizes[-2])
            logs = logs[np.isfinite(logs)]
            if len(logs) >= 2:
                gain = 1.0 - 2.0 ** -logs.mean()
                spread = logs.std(ddof=1) / np.sqrt(len(logs))
                found[target] = float(gain), float((1.0 - gain) * np.log(2.0) * spread)
        return found

    def summary(self) -> str:
        """One line: whether more data would help, and which groups need them."""
        gains = self.gains()
        if not gains:
            return "Too few structures to say whether more would help."
        worth = {name: gain for name, gain in gains.items() if _is_worth(*gain)}
        shown = ", ".join(
            f"{name} {-100 * gain:+.0f} ± {100 * error:.0f} %" for name, (gain, error) in gains.items()
        )
        if not worth:
            return (
                f"More data of these kinds would hardly help: twice as many change errors by {shown}. More "
                "terms or interactions may help, and other kinds of structures where they matter."
            )
        line = f"More data would help: twice as many change errors by {shown}."
        needy: dict[str, tuple[str, float]] = {}
        for group in self.by_group:
            best = [
                (gain, name) for name, (gain, error) in self.gains(group).items() if _is_worth(gain, error)
            ]
            if best:
                gain, name = max(best)
                needy[group] = name, gain
        if needy:
            first = sorted(needy, key=lambda group: -needy[group][1])[:_MOST_NAMED]
            named = ", ".join(f"{group} ({needy[group][0]} {100 * needy[group][1]:.0f} %)" for group in first)
            line += f" They would help most in {named}."
        return line

    def rows(self) -> list[dict[str, Any]]:
        """One dict for each group, target and size, with mean and standard deviation over folds."""
        found = []
        for group, curves in {"": self.errors, **self.by_group}.items():
            for target, values in curves.items():
                for k, size in enumerate(self.sizes.tolist()):
                    present = values[k][np.isfinite(values[k])]
                    if present.size:
                        found.append(
                            {
                                "group": group,
                                "target": target,
                                "unit": UNITS[target],
                                "n_structures": round(size, 1),
                                "n_terms": round(float(self.n_terms[k]), 1),
                                "rmse": float(f"{_root_mean_square(present):.6g}"),
                                "rmse_std": float(f"{present.std():.6g}"),
                                "n_folds": len(present),
                            }
                        )
        return found

    def save(self, path: StrPath) -> None:
        """Write `rows` as comma-separated values."""
        rows = self.rows()
        with write_whole(path) as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def _cell(values: FloatArray, gain: tuple[float, float] | None = None) -> str:
    """Mean and standard deviation over folds, and how far the error falls where data double."""
    present = values[np.isfinite(values)]
    if not present.size:
        return ""
    fall = "" if gain is None else f" ({-100 * gain[0]:+.0f} %)"
    return f"{_root_mean_square(present):.3g} ± {present.std():.2g}{fall}"


def _root_mean_square(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _is_worth(gain: float, error: float) -> bool:
    return gain > _WORTH and gain > _CHANCE * error


def learning_curve(
    estimator: PLIPRegressor | PLIPRegressorCV,
    X: Sequence[Atoms],
    y: ArrayLike | None = None,
    forces: Sequence[ArrayLike | None] | None = None,
    stress: Any = None,
    sample_weight: ArrayLike | None = None,
    *,
    groups: ArrayLike | None = None,
    n_folds: int | None = None,
) -> LearningCurve:
    """Errors against the number of structures, from sums alone.

    The data are cut into parts with the same share of every group, and each part is summed once. Every part
    is the test of fits to one, two, four, six ... of the others, whose sums are added: descriptors are
    computed once, as in a single fit.

    Parameters
    ----------
    estimator : PLIPRegressor or PLIPRegressorCV
        Settings; it is neither fitted nor changed. `PLIPRegressorCV` chooses a number of terms for each
        number of structures, by the rule `selection` and the energy weight `energy_weight`.
    X : sequence of ase.Atoms
        Structures.
    y, forces, stress, sample_weight
        As in `PLIPRegressor.fit`.
    groups : array_like of str, shape (n_structures,), or None
        Group of each structure; None reads those of `plip.metrics.read_groups`, if there are any.
    n_folds : int or None, default=None
        Number of parts, from 3 on; None is 10, or 5 for fewer than 50 structures.

    Returns
    -------
    LearningCurve

    Raises
    ------
    TypeError, ValueError
        If a parameter, a structure or a label is not valid; the message names the structure.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> from plip.model_selection import learning_curve
    >>> train, _ = load_silicon_carbide()
    >>> curve = learning_curve(PLIPRegressor("fast", max_terms=10), train[::4], n_folds=3)
    >>> curve.errors["force"].shape == (len(curve.sizes), 3)
    True
    """
    if not isinstance(estimator, (PLIPRegressor, PLIPRegressorCV)):
        raise TypeError(
            f"estimator must be a PLIPRegressor or a PLIPRegressorCV, got {type(estimator).__name__}"
        )
    model = clone(estimator)
    model._check_parameters()
    if model._is_precomputed():
        raise ValueError("a learning curve needs structures instead of precomputed descriptors")
    descriptors = model._new_descriptors()
    limits = descriptors._limits(is_fitted=False)
    data = LabelledStructures.read(X, y, forces, stress, sample_weight, **limits, **model._reading())
    names = read_groups(data.structures) if groups is None else np.asarray(groups)
    tests = _tests(len(data), names, n_folds)
    descriptors._fit_checked(data.structures, forces=data.labels.forces)
    model._check_data(data, descriptors)
    counts = _numbers(len(tests) - 1)
    with file_for_sums() as file:
        parts = sums_of_parts(data, descriptors, tests, file, model.memory, model.n_jobs, model.verbose)
        curve = _Curve(model, data, parts, tests, names)
        with single_blas_thread(), tqdm(total=len(counts), desc="sizes", disable=not model.verbose) as bar:
            for count in counts:
                curve.add(count)
                bar.update()
        return curve.finished()


def _tests(n: int, names: NDArray[np.str_] | None, n_folds: int | None) -> list[IntArray]:
    """Places of the structures of each part."""
    n_folds = (10 if n >= 50 else 5) if n_folds is None else n_folds
    if not is_integer(n_folds) or not 3 <= n_folds <= n:
        raise ValueError(
            f"a learning curve needs at least 3 parts (n_folds) and a structure for each, got {n_folds!r} "
            f"parts and {n} structures"
        )
    if names is not None and len(names) != n:
        raise ValueError(f"groups must have one name for each of {n} structures, got {len(names)}")
    if names is None:
        splits = KFold(n_folds, shuffle=True, random_state=0).split(np.arange(n))
    else:
        splits = StratifiedByGroup(n_folds).split(range(n), groups=names)
    return [np.sort(test) for _, test in splits]


def _numbers(most: int) -> list[int]:
    """One, two, four, six, nine: up to the largest number of parts."""
    numbers = [most]
    while numbers[-1] > 1:
        numbers.append(max(1, int(numbers[-1] / _STEP)))
    return numbers[::-1]


# Coefficients and reference energies of one model, or of each size that may be chosen.
Models: TypeAlias = tuple[FloatArray, FloatArray]
# Errors by target, of all structures (None) and by group.
Errors: TypeAlias = dict[str | None, dict[str, float]]


class _Curve:
    """A learning curve in the making."""

    def __init__(
        self,
        model: Any,
        data: LabelledStructures,
        parts: list[NormalEquations],
        tests: list[IntArray],
        names: NDArray[np.str_] | None,
    ) -> None:
        self._model, self._data, self._parts, self._tests, self._names = model, data, parts, tests, names
        self._total = total_of(parts)
        self._references = model._fixed_references(self._total.species, self._total.isolated_energies)
        self._sizes: list[float] = []
        self._n_terms: list[float] = []
        self._found: list[list[Errors]] = []

    def add(self, count: int) -> None:
        """Fit to so many parts, each of the others in turn being the test."""
        places = range(len(self._parts))
        trains = [total_of([self._parts[(k + 1 + j) % len(places)] for j in range(count)]) for k in places]
        models = [self._fit(train) for train in trains]
        row = self._choose(models)
        self._sizes.append(float(np.mean([train.n_structures for train in trains])))
        self._n_terms.append(float(np.mean([np.count_nonzero(coefs[row]) for coefs, _ in models])))
        self._found.append(
            [self._errors(models[k][0][row], models[k][1][row], self._tests[k]) for k in places]
        )

    def _fit(self, train: NormalEquations) -> Models:
        model, n_species = self._model, len(train.species)
        problem = model._problem(train, self._references, model._penalty(train))
        if isinstance(model, PLIPRegressorCV):
            coefs = model._path(problem, n_species).coefs
        else:
            max_terms = model._setting("max_terms", n_species)
            coef, _ = solve(problem, model.solver, model._setting("alpha"), max_terms, model.refit)
            coefs = coef[None]
        return coefs, train.references(coefs, self._references)

    def _choose(self, models: list[Models]) -> int:
        """Which of the sizes counts."""
        if not isinstance(self._model, PLIPRegressorCV):
            return 0
        null = self._model._null_mean_squares(self._total)
        relative = []
        for of_fold, part in zip(models, self._parts, strict=True):
            squares = part.mean_squares(*of_fold)
            nothing = np.full(len(of_fold[0]), np.nan)
            relative.append([squares.get(target, nothing) / value for target, value in null.items()])
        return self._model._choose_size(len(models), *fold_means(np.array(relative)))

    def _errors(self, coef: FloatArray, references: FloatArray, test: IntArray) -> Errors:
        """Errors of the structures that were left out."""
        energies = dict(zip(self._total.species, references.tolist(), strict=True))
        potential = Potential(self._total.descriptors, coef, energies)
        data = self._data.take(test)
        has = {target: bool(data.labels.present(target).any()) for target in TARGETS}
        predicted = predict_labels(
            potential, data.structures, self._model.n_jobs, has["force"], has["virial"], data.places
        )
        names = None if self._names is None else self._names[test]
        groups = [] if names is None else sorted(set(names.tolist()))
        found: Errors = {}
        for group in (None, *groups):
            rows = np.arange(len(test))
            if names is not None and group is not None:
                rows = np.flatnonzero(names == group)
            summary = errors(predicted.take(rows), data.labels.take(rows), data.n_atoms[rows])
            found[group] = {
                target: summary[f"{target}_rmse"] for target in UNITS if f"{target}_rmse" in summary
            }
        return found

    def finished(self) -> LearningCurve:
        """The curve of all sizes that were added."""
        groups = sorted({group for found in self._found[-1] for group in found if group is not None})
        by_group = {group: self._table(group) for group in groups}
        return LearningCurve(np.array(self._sizes), np.array(self._n_terms), self._table(None), by_group)

    def _table(self, group: str | None) -> dict[str, FloatArray]:
        """Errors by target of sizes (rows) and folds (columns)."""
        tables = {
            target: np.array(
                [[errors.get(group, {}).get(target, np.nan) for errors in found] for found in self._found]
            )
            for target in UNITS
        }
        return {target: values for target, values in tables.items() if np.isfinite(values).any()}
