"""PLIPRegressorCV: choose the size, the penalty or the weights by cross-validation."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Self

import joblib
import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike
from sklearn.model_selection import (
    KFold,
    RepeatedStratifiedKFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
    check_cv,
)
from tqdm.auto import tqdm

from plip._parameters import is_integer, is_number
from plip._types import FloatArray, IntArray, StrPath
from plip._warnings import warn
from plip._workers import new_workers
from plip.descriptors import PLIPDescriptors
from plip.labels import LabelledStructures
from plip.labels._closeness import warn_of_close_pairs
from plip.normal_equations import NormalEquations
from plip.normal_equations._blas_threads import single_blas_thread
from plip.normal_equations._parts import file_for_sums, sums_of_parts, take_examples, total_of
from plip.potential import Potential
from plip.regressor._model import PLIPModel
from plip.regressor._survey import Survey
from plip.regressor._uncertainty import columns_of
from plip.regressor._unseen import Fold
from plip.solvers import SOLVERS, LinearProblem, Path, refit_path

__all__ = ["PLIPRegressorCV", "fold_means"]

# Relative errors below this are rounding, and alike.
_EXACT = 1e-12

# Threads solve the problems of folds at the same time from so many columns on; with fewer, they would wait
# for each other's Python code. Those that are solved at a time, two square matrices each, take so many bytes.
_MANY_COLUMNS = 1000
_SOLVED_AT_A_TIME = 1e8

# Splitters by classes, which energies are not.
_BY_CLASS = (StratifiedKFold, RepeatedStratifiedKFold, StratifiedGroupKFold, StratifiedShuffleSplit)

# Sizes beyond the chosen one that are tried where crystals would fall in energy when compressed.
_FURTHER = 10


class PLIPRegressorCV(PLIPModel):
    """PLIPRegressor whose number of terms, and energy weight, are chosen by cross-validation.

    The descriptors of each structure are computed once, whatever the number of folds: the training data
    of a fold are the normal equations of all structures minus those of the fold. The error that is
    compared is the mean over the targets of their relative mean square error, ``1 - R^2`` as in
    `score`, which does not depend on the weights. Over targets and folds the geometric mean is taken: each
    target counts by what it improves, and a single fold with a structure unlike all others does not decide.

    Parameters
    ----------
    descriptors : PLIPDescriptors, name of a preset or None, default="accurate"
        The candidate terms, as in `PLIPRegressor`.
    solver : {"replacement", "omp", "lasso_lars", "adaptive_lasso", "ridge"}, default="replacement"
        Whose path is searched.
    alpha : float or "auto", default="auto"
        Where the path ends; see `PLIPRegressor`.
    max_terms : int, None or "auto", default="auto"
        Largest number of terms tried. "auto" is 80 for "omp" and "replacement", 120 for three species or
        more, and 300 for the other solvers.
    refit : bool, default=False
        Whether to solve for the kept terms again, without shrinkage.
    energy_weight, force_weight, stress_weight : float, default=40.0, 1.0, 5.0
        Factors of the rows; see `PLIPRegressor`.
    energy_weights : sequence of float or None, default=None
        Energy weights to choose from; None keeps `energy_weight`.
    cv : int, splitter, iterable or None, default=None
        As in scikit-learn: an int is that many folds of shuffled structures; None is 10, or 5 for fewer
        than 50 structures. A fold is fitted to all structures outside its test.
    selection : float, "min" or "one_standard_error", default=0.07
        How the number of terms is chosen. "min" takes the one with the smallest error. A number takes the
        fewest terms with which the root mean square error of no target is larger than there by more than this
        part (geometric mean over folds). "one_standard_error" takes the fewest terms with which the error is
        at most one standard error above the smallest. If the energy of a crystal of the data
        would fall when it is compressed, whatever the core repulsion, the first of the ten next larger sizes
        with which it does not is taken.
    contribution_penalty : float or "auto", default="auto"
        See `PLIPRegressor`.
    repulsion : {"auto", None}, default="auto"
        What happens beyond the data; see `PLIPRegressor`.
    reference_energies : dict, "isolated" or None, default=None
        Energies of isolated atoms; see `PLIPRegressor`.
    memory : None, str, path-like or joblib.Memory, default=None
        Where the descriptors of each structure are kept for fits to come.
    n_jobs : int or None, default=None
        Number of joblib workers. The fit is the same to the last bit for any number.
    verbose : int, default=0
        Whether to show progress bars.

    Attributes
    ----------
    cv_results_ : dict of ndarray
        By number of terms allowed ("n_terms"), for the chosen energy weight: "mean_error" and "std_error",
        geometric mean and standard deviation (that of the logarithm times the mean) over folds; the root mean
        square errors "energy_rmse" (eV/atom), "force_rmse" (eV/Angstrom), "virial_rmse" (eV/atom) of the
        targets present, over all folds; and "cancellation", ``sum_n |w_n x_n| / |sum_n w_n x_n|`` in the mean
        structure, of the fit to all structures.
    energy_weight_ : float
        The chosen energy weight.
    selected_size_ : int
        The chosen number of terms; `n_terms_` are those that are not zero.
    alpha_ : float
        Penalty of the chosen model.
    stability_ : ndarray of float64, shape (n_terms,)
        Share of the folds whose model of the chosen size keeps the term.
    n_splits_ : int
        Number of folds.
    folds_ : list of (ndarray of int, Potential)
        The structures of each fold, and the potential of the chosen size that was fitted without them. It has
        no core repulsion: its errors are those of `cv_results_`.
    coef_, intercept_, descriptors_, potential_, path_, column_scale_, n_terms_, analogs_, n_features_in_ :
        As in `PLIPRegressor`, of the fit to all structures; so is ``normal_equations_``.

    Examples
    --------
    >>> from plip import PLIPRegressorCV
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressorCV("fast", cv=5, max_terms=40).fit(train[::2])
    >>> model.n_terms_ <= 40
    True
    >>> sorted(model.cv_results_)[:3]
    ['cancellation', 'energy_rmse', 'force_rmse']
    >>> model.potential_at(10).species
    ('C', 'Si')
    """

    # Cross-validation seldom takes so many.
    _automatic_sizes = (80, 120)

    def __init__(
        self,
        descriptors: PLIPDescriptors | str | None = "accurate",
        solver: str = "replacement",
        alpha: float | str = "auto",
        max_terms: int | str | None = "auto",
        refit: bool = False,
        energy_weight: float = 40.0,
        force_weight: float = 1.0,
        stress_weight: float = 5.0,
        energy_weights: Sequence[float] | None = None,
        cv: Any = None,
        selection: float | str = 0.07,
        contribution_penalty: float | str = "auto",
        repulsion: str | None = "auto",
        reference_energies: Mapping[str, float] | str | None = None,
        memory: joblib.Memory | StrPath | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.descriptors = descriptors
        self.solver = solver
        self.alpha = alpha
        self.max_terms = max_terms
        self.refit = refit
        self.energy_weight = energy_weight
        self.force_weight = force_weight
        self.stress_weight = stress_weight
        self.energy_weights = energy_weights
        self.cv = cv
        self.selection = selection
        self.contribution_penalty = contribution_penalty
        self.repulsion = repulsion
        self.reference_energies = reference_energies
        self.memory = memory
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(
        self,
        X: Sequence[Atoms] | LabelledStructures,
        y: ArrayLike | Sequence[float | None] | None = None,
        forces: Sequence[ArrayLike | None] | None = None,
        stress: ArrayLike | Sequence[ArrayLike | None] | None = None,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Choose the number of terms by cross-validation and fit the potential to all structures.

        Parameters
        ----------
        X : sequence of ase.Atoms, or LabelledStructures
            Structures.
        y, forces, stress, sample_weight
            As in `PLIPRegressor.fit`.
        groups : array_like, shape (n_structures,), or None
            Groups for a splitter that uses them, such as `sklearn.model_selection.GroupKFold`.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a parameter, a structure or a label is not valid; the message names the structure.
        FitError
            If energies and forces of the fitted potential do not agree with those of the fit to 1e-6 on up to
            three of the structures; the message names the structure and by how much.

        Examples
        --------
        >>> from sklearn.model_selection import GroupKFold
        >>> groups = [atoms.info["group"] for atoms in train[::4]]
        >>> by_group = PLIPRegressorCV("fast", cv=GroupKFold(3), max_terms=10).fit(train[::4], groups=groups)
        >>> len(by_group.folds_)
        3
        """
        self._check_parameters()
        self._begin_fit()
        weights = self._check_choices()
        descriptors = self._new_descriptors()
        limits = descriptors._limits(is_fitted=False)
        data = LabelledStructures.read(X, y, forces, stress, sample_weight, **limits, **self._reading())
        if self.energy_weights is not None and data.labels.energy is None:
            raise ValueError("energy_weights are given, but no structure has an energy: leave them out")
        tests = self._test_sets(data, groups)
        descriptors._fit_checked(data.structures, forces=data.labels.forces)
        self._check_data(data, descriptors)
        # Sums of the folds that are large wait in a file until the total is merged.
        with file_for_sums() as file:
            total, parts = self._accumulate(data, descriptors, tests, file)
            warn_of_close_pairs(data, total.shortest_distances or {})
            self.n_splits_ = len(tests)
            references = self._fixed_references(total.species, total.isolated_energies)
            null = self._null_mean_squares(total)
            with (
                single_blas_thread(),
                tqdm(total=len(weights) * len(parts), desc="paths", disable=not self.verbose) as bar,
            ):
                penalty = self._strength(total, references)
                validated = {
                    weight: self._cross_validate(total, parts, null, weight, references, penalty, bar)
                    for weight in weights
                }
                total = total._merged()
        del parts
        best = min(weights, key=lambda weight: validated[weight].means[0].min())
        found = validated[best]
        mean, spread, _ = found.means
        with single_blas_thread():
            problem = self._problem(total, references, penalty, best)
            path = self._path(problem, len(total.species))
        index = self._choose_size(len(found.errors), *found.means)
        # The whole problem may take a gigabyte.
        scales, columns = problem.scales, self._columns_of(path.coefs[index : index + 1 + _FURTHER], total)
        problem = problem.restricted(columns)
        shown = columns_of([path.coefs[index], *(fold.coef for fold in found.held_out(tests, index))])
        survey = Survey(total, shown, self.n_jobs)
        index, potential = self._resisting(index, path, total, references, survey)
        self.energy_weight_ = best
        self.selected_size_ = index
        self.stability_ = np.mean([coefs[index] != 0 for coefs, _ in found.models], axis=0)
        self.alpha_ = float(path.alphas[index])
        self.cv_results_ = {
            "n_terms": np.arange(len(mean)),
            "mean_error": mean,
            "std_error": spread,
            **{f"{target}_rmse": np.sqrt(values) for target, values in found.mean_squares.items()},
            "cancellation": total.mean_cancellation(path.coefs),
        }
        coef = path.coefs[index].copy()
        examples = take_examples(data)
        self._adopt(coef, path, total, scales, references, examples, potential)
        folds = found.held_out(tests, index)
        energies = (dict(zip(total.species, fold.references, strict=True)) for fold in folds)
        self.folds_ = [
            (fold.test, Potential(self.descriptors_, fold.coef, own))
            for fold, own in zip(folds, energies, strict=True)
        ]
        self._keep_record()
        problem = problem.restricted(np.searchsorted(columns, np.flatnonzero(self.coef_)))
        self._calibrate(data, problem, survey, folds)
        return self

    def _check_choices(self) -> list[float]:
        if self._is_precomputed():
            raise ValueError(
                "PLIPRegressorCV takes folds over structures; for arrays use sklearn.linear_model.LassoLarsCV"
            )
        value = self.selection
        is_part = is_number(value) and 0 <= value < math.inf
        if not (is_part or isinstance(value, str) and value in ("min", "one_standard_error")):
            raise ValueError(
                f"selection must be 'min', 'one_standard_error' or a number of at least 0, got {value!r}"
            )
        if self.energy_weights is None:
            return [float(self.energy_weight)]
        weights = np.asarray(self.energy_weights, np.float64)
        if weights.ndim != 1 or weights.size == 0 or not (np.isfinite(weights) & (weights > 0)).all():
            raise ValueError(
                f"energy_weights must be a list of positive numbers, got {self.energy_weights!r}"
            )
        return weights.tolist()

    def _choose_size(self, n_folds: int, mean: FloatArray, spread: FloatArray, by_target: FloatArray) -> int:
        """Number of terms by `selection`, from what `fold_means` gives."""
        best = int(np.argmin(mean))
        if best == 0 or self.selection == "min":
            return best
        if isinstance(self.selection, str):
            is_near = mean <= mean[best] + spread[best] / np.sqrt(max(1, n_folds - 1))
        else:
            is_near = (by_target <= (1.0 + self.selection) ** 2 * by_target[:, [best]]).all(axis=0)
        # Folds of few structures may not tell one term from none.
        return 1 + int(np.argmax(is_near[1:]))

    def _resisting(
        self,
        size: int,
        path: Path,
        total: NormalEquations,
        references: Mapping[str, float] | None,
        survey: Survey,
    ) -> tuple[int, Potential]:
        """The chosen size, or the next one whose potential resists compression, and this potential."""
        first, resists = self._make_potential(path.coefs[size], total, references, survey)
        if resists:
            return size, first
        for larger in range(size + 1, min(size + 1 + _FURTHER, len(path))):
            potential, resists = self._make_potential(path.coefs[larger], total, references, survey)
            if resists:
                return larger, potential
        return size, first

    def _test_sets(self, data: LabelledStructures, groups: ArrayLike | None) -> list[IntArray]:
        cv = self.cv
        if cv is None:
            cv = 10 if len(data) >= 50 else 5
        if is_integer(cv):
            if cv < 2:
                raise ValueError(f"cv must be at least 2 folds, got {cv}; PLIPRegressor fits without any")
            if cv > len(data):
                raise ValueError(
                    f"cross-validation of {cv} folds needs as many structures, got {len(data)}: add "
                    "structures, use a smaller cv (at least 2), or PLIPRegressor"
                )
            cv = KFold(int(cv), shuffle=True, random_state=0)
        if isinstance(cv, _BY_CLASS):
            raise ValueError(
                f"{type(cv).__name__} stratifies by classes, which energies are not: take "
                "plip.model_selection.StratifiedByGroup"
            )
        splits = list(check_cv(cv).split(data.structures, data.labels.energy, groups))
        if len(splits) < 2:
            raise ValueError("cv must make at least two splits")
        for number, (train, test) in enumerate(splits):
            if not np.array_equal(np.sort(train), np.setdiff1d(np.arange(len(data)), test)):
                raise ValueError(
                    f"split {number} of cv does not train on all structures outside its test set, like "
                    "splits with a train_size and TimeSeriesSplit. For these use "
                    "sklearn.model_selection.GridSearchCV over max_terms of PLIPRegressor"
                )
        return [np.sort(np.asarray(test)) for _, test in splits]

    def _accumulate(
        self,
        data: LabelledStructures,
        descriptors: PLIPDescriptors,
        tests: list[IntArray],
        file: IO[bytes],
    ) -> tuple[NormalEquations, list[NormalEquations]]:
        """Normal equations of all structures and of each test set, whose sums are in the file."""
        distinct = {test.tobytes(): test for test in tests}
        counts = np.bincount(np.concatenate(list(distinct.values())), minlength=len(data))
        # The sums of overlapping test sets are not the whole.
        rest = np.arange(len(data)) if counts.max() > 1 else np.flatnonzero(counts == 0)
        parts = [*distinct.values(), *([rest] if len(rest) else [])]
        found = sums_of_parts(data, descriptors, parts, file, self.memory, self.n_jobs, self.verbose)
        total = found[-1]
        if counts.max() <= 1:
            total = total_of(found)
        sums = dict(zip(distinct, found, strict=False))
        return total, [sums[test.tobytes()] for test in tests]

    def _path(self, problem: LinearProblem, n_species: int) -> Path:
        """One model for each number of terms allowed, from none on."""
        max_terms = self._setting("max_terms", n_species)
        most = len(problem.moment) if max_terms is None else min(max_terms, len(problem.moment))
        path = SOLVERS[self.solver](problem, self._setting("alpha"), max_terms).at_sizes(np.arange(most + 1))
        return refit_path(problem, path) if self.refit else path

    def _null_mean_squares(self, total: NormalEquations) -> dict[str, float]:
        """What the errors of each target are relative to, of the targets that vary."""
        null = total.null_mean_squares()
        constant = [target for target, value in null.items() if value == 0]
        if len(constant) == len(null):
            raise ValueError(
                "cross-validation has nothing to choose a number of terms by: energies follow from the "
                "composition alone, and forces and stresses are zero. Check the labels, or use PLIPRegressor"
            )
        if constant:
            warn(
                f"the labels of {' and '.join(constant)} do not vary: cross-validation ignores their error",
            )
        return {target: value for target, value in null.items() if value > 0}

    def _cross_validate(
        self,
        total: NormalEquations,
        parts: list[NormalEquations],
        null: Mapping[str, float],
        weight: float,
        references: Mapping[str, float] | None,
        penalty: float,
        bar: Any,
    ) -> _Validation:
        """Fit to all but each part, and look at the errors there."""
        n_terms = len(total.terms)
        most = max(int(_SOLVED_AT_A_TIME / (16 * n_terms**2)), 1) if n_terms >= _MANY_COLUMNS else 1

        def of_fold(part: NormalEquations) -> tuple[tuple[FloatArray, FloatArray], dict[str, FloatArray]]:
            train = total._combined(part, -1)
            models = self._models(train, references, penalty, weight)
            found = part.mean_squares(*models)
            bar.update()
            # Where all labels of a target are in this fold, the others say nothing of it.
            return models, {target: values for target, values in found.items() if train.n_rows[target]}

        workers = new_workers(min(joblib.effective_n_jobs(self.n_jobs), most), is_local=True)
        found = workers(joblib.delayed(of_fold)(part) for part in parts)
        errors: list[FloatArray] = []
        squares: dict[str, Any] = {}
        weight_sums: dict[str, float] = {}
        for part, (models, of_targets) in zip(parts, found, strict=True):
            if of_targets.keys() & null.keys():
                nothing = np.full(len(models[0]), np.nan)
                relative = [of_targets.get(target, nothing) / value for target, value in null.items()]
                errors.append(np.array(relative))
            for target, values in of_targets.items():
                n = part.weight_sums[target]
                squares[target] = squares.get(target, 0.0) + n * values
                weight_sums[target] = weight_sums.get(target, 0.0) + n
        if not errors:
            raise ValueError(
                "no split of cv has labels of one kind in both its training and its test set: use other "
                "folds, or add labels"
            )
        mean_squares = {target: squares[target] / weight_sums[target] for target in squares}
        return _Validation(np.array(errors), mean_squares, [models for models, _ in found])

    def _models(
        self, train: NormalEquations, references: Mapping[str, float] | None, penalty: float, weight: float
    ) -> tuple[FloatArray, FloatArray]:
        """Coefficients and reference energies of the models of all sizes."""
        path = self._path(self._problem(train, references, penalty, weight), len(train.species))
        return path.coefs, train.references(path.coefs, references)


@dataclass(frozen=True, eq=False)
class _Validation:
    """What folds say of the models of all sizes with one energy weight.

    Attributes
    ----------
    errors : ndarray of float64, shape (n_folds, n_targets, n_sizes)
        Relative errors. Folds without any label are missing, and NaN stands for targets without a label in
        a fold.
    mean_squares : dict of str to ndarray of float64, shape (n_sizes,)
        By target, over all folds.
    models : list of (ndarray, ndarray), shapes (n_sizes, n_terms) and (n_sizes, n_species)
        Coefficients and reference energies by fold.
    """

    errors: FloatArray
    mean_squares: dict[str, FloatArray]
    models: list[tuple[FloatArray, FloatArray]]

    @functools.cached_property
    def means(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        return fold_means(self.errors)

    def held_out(self, tests: Sequence[IntArray], size: int) -> list[Fold]:
        """The models of one size, and what they were not fitted to."""
        pairs = zip(tests, self.models, strict=True)
        return [Fold(test, coefs[size], energies[size]) for test, (coefs, energies) in pairs]


def fold_means(errors: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Geometric means of relative errors, shape (n_folds, n_targets, n_sizes).

    Returns
    -------
    mean, spread : ndarray of float64, shape (n_sizes,)
        Mean over targets and folds; standard deviation over folds.
    by_target : ndarray of float64, shape (m, n_sizes)
        Mean over folds for each target that has labels.
    """
    logs = np.log(np.maximum(errors, _EXACT))
    logs = logs[:, ~np.isnan(logs).all(axis=(0, 2))]
    of_fold = np.nanmean(logs, axis=1)
    mean = np.exp(of_fold.mean(axis=0))
    return mean, mean * of_fold.std(axis=0), np.exp(np.nanmean(logs, axis=0))
