"""What PLIPRegressor and PLIPRegressorCV share: parameters, predictions, the potential."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from plip import metrics
from plip._core import ANY
from plip._html import DOCUMENTATION
from plip._parameters import is_integer
from plip._structures._checks import check_structures
from plip._types import FloatArray, IntArray
from plip.descriptors import PLIPDescriptors
from plip.descriptors._transformer import as_descriptors
from plip.interactions._presets import PRESETS
from plip.labels import LabelledStructures
from plip.labels._values import check_plain
from plip.normal_equations import NormalEquations
from plip.normal_equations._arrays import ArrayEquations
from plip.normal_equations._blas_threads import single_blas_thread
from plip.normal_equations._references import (
    check_isolated_energies,
    find_isolated_energies,
    mean_isolated_energies,
)
from plip.potential import Potential
from plip.potential._prediction import Results, evaluate_many, predict_labels
from plip.regressor._analogs import find_analogs, with_analogs
from plip.regressor._checks import WEIGHTS, check_labels, check_parameters
from plip.regressor._penalty import automatic_penalty
from plip.regressor._precision import coefficient_precision
from plip.regressor._record import fit_record
from plip.regressor._repulsion import repulsive_potential
from plip.regressor._self_check import check_examples
from plip.regressor._support import (
    warn_of_absent,
    warn_of_no_energies,
    warn_of_no_terms,
    warn_of_pairs,
    warn_of_triplets,
)
from plip.regressor._survey import Survey
from plip.regressor._uncertainty import columns_of, find_uncertainty
from plip.regressor._unseen import Fold
from plip.solvers import LinearProblem, Path
from plip.solvers._paths import SHRINKING

__all__ = ["PLIPModel"]

# Parameters that change nothing of a fit.
_OF_THE_RUN = {"memory", "n_jobs", "verbose"}
# What "auto" means for solvers that shrink coefficients, as in the published method: they stop at an alpha.
_SHRINKING = {"alpha": 1e-5, "max_terms": 300}


class PLIPModel(RegressorMixin, BaseEstimator):
    """What the estimators share: checks of parameters, the potential, predictions."""

    # Links of scikit-learn's diagrams.
    _doc_link_module = "plip"
    _doc_link_template = DOCUMENTATION + "api/plip.{estimator_name}.html"

    # Largest numbers of terms of one or two species, and of more, where max_terms is "auto" and the solver
    # selects terms.
    _automatic_sizes: tuple[int, int]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = self._is_precomputed()
        tags.target_tags.required = self._is_precomputed()
        return tags

    def _is_precomputed(self) -> bool:
        return isinstance(self.descriptors, str) and self.descriptors == "precomputed"

    def _check_parameters(self) -> None:
        check_parameters(self.get_params(deep=False), self._is_precomputed())

    def _begin_fit(self, **known: Any) -> None:
        """Keep the parameters for `_adopt`; `known` are those that the data decide."""
        # Nested parameters are set in the descriptors themselves.
        known = {"descriptors": clone(self.descriptors, safe=False), **known}
        parameters = {**self.get_params(deep=False), **known}
        self._begun_parameters = {name: parameters[name] for name in parameters if name not in _OF_THE_RUN}

    def _setting(self, name: str, n_species: int = 1) -> Any:
        """The value of a parameter, with "auto" replaced."""
        value = getattr(self, name)
        if not isinstance(value, str):
            return value
        # Solvers that select terms stop at a size.
        few, many = self._automatic_sizes
        selecting = {"alpha": 0.0, "max_terms": few if n_species <= 2 else many}
        return (selecting if self._selects() else _SHRINKING)[name]

    def _selects(self) -> bool:
        """Whether the solver selects terms, rather than shrinks coefficients."""
        return self.solver not in SHRINKING

    def _penalty(self, equations: NormalEquations) -> float | Callable[[LinearProblem], float]:
        """Strength of the penalty on contributions for these data, or what finds it from the problem."""
        if not isinstance(self.contribution_penalty, str):
            return self.contribution_penalty
        if not self._selects():
            return 0.0
        n_rows = sum(n for target, n in equations.n_rows.items() if getattr(self, WEIGHTS[target]) > 0)
        is_shared = any(ANY in term.species for term in equations.terms)
        return functools.partial(automatic_penalty, n_rows=n_rows, is_shared=is_shared)

    def _strength(self, equations: NormalEquations, references: Mapping[str, float] | None) -> float:
        """The strength where several problems have the same."""
        penalty = self._penalty(equations)
        return penalty(self._problem(equations, references, 0.0)) if callable(penalty) else penalty

    def _problem(
        self,
        equations: NormalEquations,
        references: Mapping[str, float] | None,
        penalty: float | Callable[[LinearProblem], float],
        energy_weight: float | None = None,
    ) -> LinearProblem:
        weight = self.energy_weight if energy_weight is None else energy_weight
        return equations.problem(weight, self.force_weight, self.stress_weight, references, penalty)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters of this estimator.

        Parameters
        ----------
        deep : bool, default=True
            Whether to add the parameters of the descriptors as ``descriptors__cutoff``, even if a name or
            None stands for them.

        Returns
        -------
        dict
            Values by name.
        """
        params = super().get_params(deep=deep)
        if deep and self._descriptors_have_default():
            nested = as_descriptors(self.descriptors).get_params()
            params.update({f"descriptors__{name}": value for name, value in nested.items()})
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters, nested ones as ``descriptors__cutoff``.

        A nested parameter turns the name of a preset or None into ``PLIPDescriptors``.

        Parameters
        ----------
        **params
            Values by name.

        Returns
        -------
        self
        """
        if "descriptors" in params:
            self.descriptors = params.pop("descriptors")
        if any(name.startswith("descriptors__") for name in params) and self._descriptors_have_default():
            self.descriptors = as_descriptors(self.descriptors)
        return super().set_params(**params)

    def _descriptors_have_default(self) -> bool:
        """Whether `descriptors` is None or the name of a preset, which stand for PLIPDescriptors."""
        value = self.descriptors
        return value is None or (isinstance(value, str) and value in PRESETS)

    def _new_descriptors(self) -> PLIPDescriptors:
        return clone(as_descriptors(self.descriptors))

    def _reading(self) -> dict[str, Any]:
        """Options of `read_labels`: which labels to read, and of which to point out other names."""
        targets = [target for target, name in WEIGHTS.items() if getattr(self, name) > 0]
        if isinstance(self.reference_energies, str) and "energy" not in targets:
            # Energies of isolated atoms are needed whatever their weight.
            targets = ["energy", *targets]
        # Users may expect that a target without weight by default is fitted.
        by_default = [
            target for target, name in WEIGHTS.items() if getattr(self, name) == self._default(name)
        ]
        return {"targets": targets, "hinted": [*targets, *by_default]}

    def _default(self, name: str) -> Any:
        return inspect.signature(type(self)).parameters[name].default

    def _check_targets(self, present: Collection[str]) -> None:
        """Raise unless the targets of all weights that the user has set are present."""
        weights = {name: getattr(self, name) for name in WEIGHTS.values()}
        set_by_user = {name: value for name, value in weights.items() if value != self._default(name)}
        check_labels(set_by_user, present)

    def _check_data(self, data: LabelledStructures, descriptors: PLIPDescriptors) -> None:
        """Raise for whatever can be found wrong with the data before the long work."""
        self._check_targets(data.labels.targets())
        if isinstance(self.reference_energies, str):
            found = find_isolated_energies(data, descriptors.species_, descriptors.cutoff_)
            check_isolated_energies(found)
        else:
            self._fixed_references(descriptors.species_, None)

    def _fixed_references(
        self, species: Sequence[str], isolated: Mapping[str, Sequence[float]] | None
    ) -> dict[str, float] | None:
        """Reference energies by symbol if they are not fitted, else None."""
        given = self.reference_energies
        if given is None:
            return None
        if isinstance(given, str):
            return mean_isolated_energies(isolated)
        missing = [symbol for symbol in species if symbol not in given]
        if missing:
            raise ValueError(
                f"reference_energies has no energy of {', '.join(missing)}: add it, or fit all of them "
                "(None, the default)"
            )
        return {symbol: float(given[symbol]) for symbol in species}

    def _adopt(
        self,
        coef: FloatArray,
        path: Path,
        equations: NormalEquations | ArrayEquations,
        scales: FloatArray,
        references: dict[str, float] | None,
        examples: LabelledStructures | None = None,
        potential: Potential | None = None,
        survey: Survey | None = None,
    ) -> Self:
        """Take the coefficients of a model on the path, make its potential, and check it by examples.

        `scales` are those of the problem that was solved. `potential` is that of the coefficients, and
        `survey` is that of the equations, if they are at hand.
        """
        # For what is asked after the fit. One that fails before leaves those of the last.
        self._fit_parameters = self.__dict__.pop("_begun_parameters")
        self.path_ = path
        self.normal_equations_: Any = equations  # of structures or of an array
        self.column_scale_ = scales
        if not isinstance(equations, ArrayEquations):
            self.analogs_ = find_analogs(equations.shortest_distances or {})
            coef = with_analogs(coef, equations.terms, self.analogs_)
            warn_of_pairs(self.analogs_, equations.terms, equations.absent_species)
            warn_of_triplets(equations.terms, scales)
        self.coef_ = coef
        self.n_terms_ = int(np.count_nonzero(coef))
        if isinstance(equations, ArrayEquations):
            self.intercept_: float | dict[str, float] = equations.intercept(coef)
        else:
            self.descriptors_ = equations.descriptors
            self.n_features_in_ = len(coef)
            self._references = references
            self.potential_ = potential or self._make_potential(coef, equations, references, survey)[0]
            self.intercept_ = dict(self.potential_.intercept)
            warn_of_absent(equations.absent_species, self.potential_.intercept)
            if self.energy_weight > 0 and not equations.n_rows["energy"]:
                warn_of_no_energies(self.stress_weight > 0 and equations.n_rows["virial"] > 0)
            if not self.n_terms_:
                warn_of_no_terms(len(coef), self._setting("alpha"))
            if examples is not None:
                check_examples(self.potential_, self.descriptors_._design(), coef, examples)
        return self

    def _columns_of(self, coefs: Iterable[FloatArray], equations: NormalEquations) -> IntArray:
        """Columns that models have as terms once `_adopt` has taken one of them."""
        analogs = find_analogs(equations.shortest_distances or {})
        return columns_of([with_analogs(coef, equations.terms, analogs) for coef in coefs])

    def discard_sums(self) -> Self:
        """Forget the normal equations, so that the pickled estimator is small.

        Predictions, the potential, its uncertainty and its file stay as they are. What needs the sums raises
        an error: `partial_fit`, `calibrate`, `potential_at` for other sizes, `plip.selection`, curves of the
        path, and standard deviations with precomputed descriptors.

        Returns
        -------
        self

        Examples
        --------
        >>> import pickle
        >>> from plip import PLIPRegressor
        >>> from plip.datasets import load_silicon_carbide
        >>> train, test = load_silicon_carbide()
        >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
        >>> energies = model.predict(test)
        >>> small = pickle.loads(pickle.dumps(model.discard_sums()))
        >>> bool((small.predict(test) == energies).all())
        True
        """
        check_is_fitted(self)
        self.__dict__.pop("normal_equations_", None)
        return self

    if not TYPE_CHECKING:  # for type checkers there would be no unknown attributes

        def __getattr__(self, name):
            if name == "normal_equations_" and "coef_" in self.__dict__:
                raise AttributeError("the sums of this fit were discarded (discard_sums): fit it again")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def calibrate(
        self,
        X: Iterable[Atoms],
        y: ArrayLike | Sequence[float | None] | None = None,
        forces: Sequence[ArrayLike | None] | None = None,
        stress: ArrayLike | Sequence[ArrayLike | None] | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Let the potential know how uncertain it is, from the structures that it was fitted to.

        `fit` does so by itself. It is needed where a fit did not have all structures at once: after
        `PLIPRegressor.partial_fit`, `PLIPRegressor.fit_normal_equations`, or a fit to a generator.

        Parameters
        ----------
        X : sequence of ase.Atoms
            All structures of the fit, or as many of them as there are.
        y, forces, stress, sample_weight
            As in `fit`.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a structure or a label is not valid; the message names the structure. Also if the model is not
            fitted to structures.
        """
        check_is_fitted(self)
        if self._is_precomputed():
            raise ValueError("precomputed descriptors make no potential: fit structures instead")
        fitted = self._as_fitted()
        limits = self.descriptors_._limits(is_fitted=True)
        data = LabelledStructures.read(X, y, forces, stress, sample_weight, **limits, **fitted._reading())
        survey = Survey(self.normal_equations_, np.flatnonzero(self.coef_), self.n_jobs)
        fitted._calibrate(data, fitted._solved_problem(), survey)
        self.potential_ = fitted.potential_
        return self

    def _as_fitted(self) -> Self:
        """This model with the parameters of its fit, whatever was set since."""
        fitted = copy.copy(self)
        fitted.__dict__.update(self._fit_parameters)
        return fitted

    def _solved_problem(self) -> LinearProblem:
        """The least-squares problem of the fit, with the columns that were kept."""
        equations, references = self.normal_equations_, self._references
        with single_blas_thread():
            penalty = self._strength(equations, references)
            problem = self._problem(equations, references, penalty, getattr(self, "energy_weight_", None))
            return problem.restricted(np.flatnonzero(self.coef_))

    def _weights_of_targets(self) -> dict[str, float]:
        """The weight of each target in the fit, by the name of the target."""
        weights = {target: float(getattr(self, name)) for target, name in WEIGHTS.items()}
        return weights | {"energy": float(getattr(self, "energy_weight_", weights["energy"]))}

    def _calibrate(
        self,
        data: LabelledStructures,
        problem: LinearProblem,
        survey: Survey,
        folds: Sequence[Fold] | None = None,
    ) -> None:
        """Let the potential know its errors on the data; `problem` was solved and has the kept columns."""
        uncertainty = None
        if self.n_terms_:
            precision = coefficient_precision(
                self.normal_equations_,
                self.coef_,
                problem,
                self._weights_of_targets(),
                self._references is None,
            )
            uncertainty = find_uncertainty(
                self.potential_,
                self.coef_,
                self.normal_equations_,
                precision,
                self._weights_of_targets(),
                data,
                survey,
                folds,
                self.n_jobs,
            )
        self.potential_ = self.potential_.with_uncertainty(uncertainty)

    def _keep_record(self) -> Self:
        """Let the potential know of the fit."""
        if not self._is_precomputed():
            size = getattr(self, "selected_size_", len(self.path_) - 1)
            record = fit_record(self, self.path_.coefs[size], size)
            self.potential_ = self.potential_.with_fit_record(record)
        return self

    def _make_potential(
        self,
        coef: FloatArray,
        equations: NormalEquations,
        references: Mapping[str, float] | None,
        survey: Survey | None = None,
    ) -> tuple[Potential, bool]:
        """The potential of some coefficients, and whether it resists compression; see `repulsive_potential`.

        Without `references` it has the reference energies that belong to the coefficients.
        """
        coef = with_analogs(coef, equations.terms, find_analogs(equations.shortest_distances or {}))
        if references is None:
            references = equations.reference_energies(coef)
        if self.repulsion is None:
            return Potential(equations.descriptors, coef, references), True
        survey = survey or Survey(equations, np.flatnonzero(coef), self.n_jobs)
        return repulsive_potential(equations.descriptors, coef, references, equations, survey)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the columns that `coef_` belongs to.

        Parameters
        ----------
        input_features : ignored
            For the interface of scikit-learn.

        Returns
        -------
        ndarray of object, shape (n_terms,)
            Names of terms; with "precomputed" those of the columns in fit, or x0, x1, ...
        """
        check_is_fitted(self)
        if not self._is_precomputed():
            return self.descriptors_.get_feature_names_out()
        names = getattr(self, "feature_names_in_", [f"x{n}" for n in range(self.n_features_in_)])
        return np.array(names, dtype=object)

    def potential_at(self, n_terms: int) -> Potential:
        """The potential of another size on the path, with the reference energies of its own coefficients.

        Parameters
        ----------
        n_terms : int
            Number of terms. ``n_terms_`` gives `potential_` itself. If `path_` has several models of another
            size, the last one is taken, which is the least penalized.

        Returns
        -------
        Potential

        Raises
        ------
        ValueError
            If no model on the path has that many terms, or the descriptors are precomputed.

        Examples
        --------
        >>> from plip import PLIPRegressor
        >>> from plip.datasets import load_silicon_carbide
        >>> train, test = load_silicon_carbide()
        >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
        >>> len(model.potential_at(10).terms)
        10
        """
        check_is_fitted(self)
        if self._is_precomputed():
            raise ValueError("precomputed descriptors make no potential: fit structures instead")
        if not is_integer(n_terms) or n_terms < 0:
            raise ValueError(f"n_terms must be an integer of at least 0, got {n_terms!r}")
        if n_terms == self.n_terms_:
            return self.potential_
        rows = np.flatnonzero(self.path_.n_terms == n_terms)
        if not rows.size:
            raise ValueError(
                f"no model on the path has {n_terms} terms; there are those of {_ranges(self.path_.n_terms)}"
            )
        coef = self.path_.coefs[rows[-1]]
        potential, _ = self._as_fitted()._make_potential(coef, self.normal_equations_, self._references)
        return potential.with_fit_record(fit_record(self, coef, n_terms))

    @overload
    def predict(self, X: Iterable[Atoms] | ArrayLike, return_std: Literal[False] = False) -> FloatArray: ...
    @overload
    def predict(
        self, X: Iterable[Atoms] | ArrayLike, return_std: Literal[True]
    ) -> tuple[FloatArray, FloatArray]: ...
    def predict(
        self, X: Iterable[Atoms] | ArrayLike, return_std: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Predict total energies.

        Parameters
        ----------
        X : sequence of ase.Atoms
            Structures of the species seen in fit. With "precomputed", an array.
        return_std : bool, default=False
            Whether to return standard deviations, too: 90 % of all errors are within 1.645 of them, on data
            like those of the fit.

        Returns
        -------
        energies : ndarray of float64, shape (n_structures,)
            Total energies in eV.
        standard_deviations : ndarray of float64, shape (n_structures,)
            eV, if asked for.

        Raises
        ------
        ValueError
            If a structure is not valid, or standard deviations are asked for after a fit that did not have
            all structures at once; see `calibrate`.
        """
        check_is_fitted(self)
        if self._is_precomputed():
            check_plain(X, "X")
            array: FloatArray = validate_data(self, X, reset=False, dtype=np.float64)
            energies: FloatArray = array @ self.coef_ + np.asarray(self.intercept_, np.float64)
            if return_std:
                return energies, self.normal_equations_.standard_deviations(self.coef_, array)
            return energies
        if return_std:
            found = self._uncertain(X, forces=False)
            return np.array([one["energy"] for one in found]), np.array([one["energy_std"] for one in found])
        return self._predict(X, forces=False, stress=False).energy

    @overload
    def predict_forces(self, X: Iterable[Atoms], return_std: Literal[False] = False) -> list[FloatArray]: ...
    @overload
    def predict_forces(
        self, X: Iterable[Atoms], return_std: Literal[True]
    ) -> tuple[list[FloatArray], list[FloatArray]]: ...
    def predict_forces(
        self, X: Iterable[Atoms], return_std: bool = False
    ) -> list[FloatArray] | tuple[list[FloatArray], list[FloatArray]]:
        """Predict forces.

        Parameters
        ----------
        X : sequence of ase.Atoms
        return_std : bool, default=False
            Whether to return standard deviations, too, as in `predict`.

        Returns
        -------
        forces : list of ndarray of float64, shape (n_atoms, 3)
            Forces in eV/Angstrom.
        standard_deviations : list of ndarray of float64, shape (n_atoms, 3)
            eV/Angstrom, if asked for; the same for the three components of an atom.

        Raises
        ------
        ValueError
            As in `predict`.
        """
        if return_std:
            found = self._uncertain(X, forces=True)
            return [one["forces"] for one in found], [one["forces_std"] for one in found]
        return self._predict(X, forces=True, stress=False).forces

    def predict_stress(self, X: Iterable[Atoms]) -> FloatArray:
        """Predict stresses.

        Parameters
        ----------
        X : sequence of ase.Atoms

        Returns
        -------
        ndarray of float64, shape (n_structures, 6)
            Stress in eV/Angstrom^3 in ASE's Voigt order and sign; NaN without a full cell.
        """
        return self._predict(X, forces=False, stress=True).stress

    def _uncertain(self, X: Any, forces: bool) -> list[Results]:
        """Results of `Potential.evaluate` with uncertainty."""
        check_is_fitted(self)
        if self._is_precomputed():
            raise ValueError("precomputed descriptors have no forces and no stress: fit structures instead")
        self.potential_.check_uncertainty()
        structures = check_structures(X, species=self.potential_.species, cutoff=self.potential_.cutoff)
        return evaluate_many(self.potential_, structures, self.n_jobs, forces, uncertainty=True)

    def _predict(self, X: Any, forces: bool, stress: bool) -> Any:
        check_is_fitted(self)
        if self._is_precomputed():
            raise ValueError("precomputed descriptors have no forces and no stress: fit structures instead")
        return self.potential_.predict(X, self.n_jobs, forces, stress)

    def score(
        self,
        X: Any,
        y: ArrayLike | None = None,
        forces: Sequence[ArrayLike | None] | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Mean coefficient of determination of energies and forces.

        Parameters
        ----------
        X : sequence of ase.Atoms
        y : array_like of float64, shape (n_structures,), or None
            Total energies in eV; None takes the attached ones.
        forces : sequence of array_like, shapes (n_atoms, 3), or None
            Forces in eV/Angstrom; None takes the attached ones.
        sample_weight : array_like, shape (n_structures,), or None

        Returns
        -------
        float
            Mean, over the targets present, of R^2 of the energy per atom (about the reference by
            composition) and R^2 of the force components (about zero). It depends on no parameter of
            the constructor. With "precomputed", the R^2 of y.
        """
        if self._is_precomputed():
            check_plain(y, "y")
            check_plain(sample_weight, "sample_weight")
            return super().score(X, y, sample_weight=sample_weight)
        check_is_fitted(self)
        data = LabelledStructures.read(
            X,
            y,
            forces,
            None,
            sample_weight,
            species=self.potential_.species,
            cutoff=self.potential_.cutoff,
            targets=("energy", "force"),
            purpose="to score against",
        )
        has_forces = data.labels.forces is not None
        predicted = predict_labels(
            self.potential_, data.structures, self.n_jobs, has_forces, stress=False, places=data.places
        )
        return metrics.score(data.structures, data.labels, predicted)


def _ranges(sizes: IntArray) -> str:
    """Sizes as text, such as ``0 to 7, 9, 11 to 20``."""
    sizes = np.unique(sizes)
    parts = np.split(sizes, np.flatnonzero(np.diff(sizes) > 1) + 1)
    return ", ".join(f"{part[0]} to {part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts)
