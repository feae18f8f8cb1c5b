"""PLIPRegressor and PLIPRegressorCV: the scikit-learn estimators from structures to a potential."""

import functools
import inspect
import math
import numbers
import operator
import warnings
from collections.abc import Mapping

import joblib
import numpy as np
from ase.data import atomic_numbers
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.model_selection import KFold, check_cv
from sklearn.utils.validation import check_array, check_is_fitted, validate_data
from tqdm.auto import tqdm

from plip import metrics
from plip._design import Design, StructureDesign
from plip._offer import PRESETS
from plip._parameters import check_n_jobs
from plip._repulsion import repulsive_potential
from plip._structures import check_structures, describe, errors_of
from plip._sums import single_blas_thread
from plip.descriptors import as_descriptors
from plip.labels import TARGETS, Labels, check_plain, read_labels
from plip.normal_equations import (
    ArrayEquations,
    NormalEquations,
    check_isolated_energies,
    find_isolated_energies,
    least_squares_reference,
    mean_isolated_energies,
    take_examples,
)
from plip.potential import Potential
from plip.solvers import SOLVERS, refit_path, solve

__all__ = ["FitError", "PLIPRegressor", "PLIPRegressorCV"]

# Relative difference between fit and potential at which a fit is refused; and what the radial tables of the
# potential may be off, in eV and eV/Angstrom, with many terms and neighbors.
_AGREEMENT = 1e-6
_TABLES = 1e-6

_WEIGHTS = dict(zip(TARGETS, ("energy_weight", "force_weight", "stress_weight"), strict=True))


class FitError(RuntimeError):
    """Energies and forces of a fitted potential differ from those of its fit."""


# What "auto" stands for. Solvers that select terms end at a size, and their coefficients need the penalty on
# contributions; those that shrink coefficients end at an alpha, and are the published method as they are.
# 60 terms and the strength of the penalty: see doc/accuracy.rst.
_SELECTING = {"alpha": 0.0, "max_terms": 60, "contribution_penalty": 1.7e-5}
_SHRINKING = {"alpha": 1e-5, "max_terms": 300, "contribution_penalty": 0.0}


class _PLIPModel(RegressorMixin, BaseEstimator):
    """What the estimators share: checks of the parameters, and predictions of the fitted potential."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = self._is_precomputed()
        tags.target_tags.required = self._is_precomputed()
        return tags

    def _is_precomputed(self):
        return isinstance(self.descriptors, str) and self.descriptors == "precomputed"

    def _check_parameters(self):
        for name in ("alpha", "energy_weight", "force_weight", "stress_weight", "contribution_penalty"):
            value = getattr(self, name)
            if name in _SELECTING and isinstance(value, str) and value == "auto":
                continue
            if not isinstance(value, numbers.Real) or isinstance(value, bool) or not 0 <= value < math.inf:
                raise ValueError(f"{name} must be a number of at least 0, got {value!r}")
        if not isinstance(self.solver, str) or self.solver not in SOLVERS:
            raise ValueError(f"solver must be one of {', '.join(SOLVERS)}, got {self.solver!r}")
        value = self.max_terms
        is_count = isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= 1
        if not (value is None or is_count or isinstance(value, str) and value == "auto"):
            raise ValueError(f"max_terms must be a positive integer, 'auto' or None, got {value!r}")
        if not (self.repulsion is None or isinstance(self.repulsion, str) and self.repulsion == "auto"):
            raise ValueError(f"repulsion must be 'auto' or None, got {self.repulsion!r}")
        if not isinstance(self.refit, (bool, np.bool_)):
            raise ValueError(f"refit must be True or False, got {self.refit!r}")
        check_n_jobs(self.n_jobs)
        if not self._is_precomputed():
            as_descriptors(self.descriptors)
        self._check_reference_energies()

    def _setting(self, name):
        """Value of a parameter that may be "auto"."""
        value = getattr(self, name)
        if not isinstance(value, str):
            return value
        return (_SELECTING if self.solver in ("omp", "replacement") else _SHRINKING)[name]

    def _problem(self, equations, references, energy_weight=None):
        weight = self.energy_weight if energy_weight is None else energy_weight
        return equations.problem(
            weight,
            self.force_weight,
            self.stress_weight,
            references,
            self._setting("contribution_penalty"),
        )

    def _check_reference_energies(self):
        value = self.reference_energies
        if value is None:
            return
        if self._is_precomputed():
            raise ValueError("reference_energies are of species, which precomputed descriptors do not know")
        if isinstance(value, str) and value == "isolated":
            return
        if not isinstance(value, Mapping):
            raise ValueError(f'reference_energies must be a dict, "isolated" or None, got {value!r}')
        for symbol, energy in value.items():
            if not isinstance(symbol, str) or symbol not in atomic_numbers:
                raise ValueError(f"reference_energies: {symbol!r} is not a chemical symbol")
            if not isinstance(energy, numbers.Real) or isinstance(energy, bool) or not math.isfinite(energy):
                raise ValueError(
                    f"reference_energies: that of {symbol} must be a number in eV, got {energy!r}"
                )

    def get_params(self, deep=True):
        """Parameters of this estimator.

        Parameters
        ----------
        deep : bool, default=True
            Whether to add those of the descriptors as ``descriptors__cutoff``, also where a name or None
            stands for the descriptors.

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

    def set_params(self, **params):
        """Set parameters, nested ones as ``descriptors__cutoff``.

        Nested ones make ``PLIPDescriptors`` of a preset's name and of None.

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

    def _descriptors_have_default(self):
        """Whether `descriptors` is None or a preset's name, which stand for PLIPDescriptors."""
        value = self.descriptors
        return value is None or (isinstance(value, str) and value in PRESETS)

    def _new_descriptors(self):
        return clone(as_descriptors(self.descriptors))

    def _reading(self):
        """Which labels to read, and of which to point out other names."""
        targets = [target for target, name in _WEIGHTS.items() if getattr(self, name) > 0]
        if isinstance(self.reference_energies, str) and "energy" not in targets:
            # Isolated atoms need no weight to say what they are.
            targets = ["energy", *targets]
        # Of a target that has no weight by default a user may well expect that it is fitted.
        by_default = [
            target for target, name in _WEIGHTS.items() if getattr(self, name) == self._default(name)
        ]
        return {"targets": targets, "hinted": [*targets, *by_default]}

    def _default(self, name):
        return inspect.signature(type(self)).parameters[name].default

    def _check_targets(self, present):
        """A weight that the user has set needs a label."""
        for target, name in _WEIGHTS.items():
            value = getattr(self, name)
            if value > 0 and value != self._default(name) and target not in present:
                what = {"energy": "energy", "force": "forces", "virial": "stress"}[target]
                raise ValueError(
                    f"{name} is {value:g}, but no structure has {what}: attach or pass such labels, or leave "
                    f"{name} out"
                )

    def _check_data(self, structures, labels, descriptors):
        """What can be said of the data before the long work."""
        self._check_targets(labels.targets())
        if isinstance(self.reference_energies, str):
            check_isolated_energies(find_isolated_energies(structures, labels, descriptors))
        else:
            self._fixed_references(descriptors.species_, None)

    def _fixed_references(self, species, isolated):
        """Reference energies that are not fitted, by symbol, or None."""
        given = self.reference_energies
        if given is None:
            return None
        if isinstance(given, str):
            return mean_isolated_energies(isolated)
        missing = [symbol for symbol in species if symbol not in given]
        if missing:
            raise ValueError(
                f"reference_energies has no energy of {', '.join(missing)}: add it, or take None to fit them"
            )
        return {symbol: float(given[symbol]) for symbol in species}

    def _adopt(self, coef, path, equations, problem, references, examples=()):
        """Take the coefficients of a model on the path, make its potential, and check it on examples."""
        self.coef_, self.path_ = coef, path
        self.normal_equations_ = equations
        self.n_terms_ = int(np.count_nonzero(coef))
        self.column_scale_ = problem.scales
        if self._is_precomputed():
            self.intercept_ = equations.intercept(coef)
        else:
            self.descriptors_ = equations.descriptors
            self.n_features_in_ = len(coef)
            self._references = references
            self.potential_ = self._make_potential(coef)
            self.intercept_ = dict(self.potential_.intercept)
            if not self.n_terms_:
                warnings.warn(
                    f"no term was kept of {len(coef)}: the potential is the sum of its reference energies. "
                    f"alpha={self._setting('alpha'):g}, in the unit of the weighted labels, is above what "
                    "any term explains, or the data touch no term: use a smaller alpha or larger weights",
                    UserWarning,
                    stacklevel=4,
                )
            _check_examples(self.potential_, self.descriptors_, coef, examples)
        return self

    def _make_potential(self, coef):
        """The potential of any coefficients, with the reference energies that go with them."""
        references = self._references
        if references is None:
            references = self.normal_equations_.reference_energies(coef)
        if self.repulsion is None:
            return Potential(self.descriptors_, coef, references)
        return repulsive_potential(self.descriptors_, coef, references, self.normal_equations_)

    def potential_at(self, n_terms):
        """The potential of another size on the path, with the reference energies of its own coefficients.

        Parameters
        ----------
        n_terms : int
            Number of terms. ``n_terms_`` gives `potential_` itself; of several models of another size on
            `path_` it is the last, which is the least penalised.

        Returns
        -------
        Potential

        Raises
        ------
        ValueError
            If no model on the path has that many terms, or the descriptors are precomputed.
        """
        check_is_fitted(self)
        if self._is_precomputed():
            raise ValueError("precomputed descriptors make no potential: fit structures instead")
        if not isinstance(n_terms, numbers.Integral) or isinstance(n_terms, bool) or n_terms < 0:
            raise ValueError(f"n_terms must be an integer of at least 0, got {n_terms!r}")
        if n_terms == self.n_terms_:
            return self.potential_
        rows = np.flatnonzero(self.path_.n_terms == n_terms)
        if not rows.size:
            raise ValueError(
                f"no model on the path has {n_terms} terms; there are those of {_ranges(self.path_.n_terms)}"
            )
        return self._make_potential(self.path_.coefs[rows[-1]])

    def predict(self, X):
        """Predict total energies.

        Parameters
        ----------
        X : sequence of ase.Atoms
            Structures of the species seen in fit. With "precomputed", an array.

        Returns
        -------
        ndarray of float64, shape (n_structures,)
            Total energies in eV.
        """
        check_is_fitted(self)
        if self._is_precomputed():
            check_plain(X, "X")
            X = validate_data(self, X, reset=False, dtype=np.float64)
            return X @ self.coef_ + self.intercept_
        return self._predict(X, forces=False, stress=False).energy

    def predict_forces(self, X):
        """Predict forces.

        Parameters
        ----------
        X : sequence of ase.Atoms

        Returns
        -------
        list of ndarray of float64, shape (n_atoms, 3)
            Forces in eV/Angstrom.
        """
        return self._predict(X, forces=True, stress=False).forces

    def predict_stress(self, X):
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

    def _predict(self, X, forces, stress):
        check_is_fitted(self)
        if self._is_precomputed():
            raise ValueError("precomputed descriptors have no forces and no stress: fit structures instead")
        potential = self.potential_
        structures = check_structures(X, species=potential.species, cutoff=potential.cutoff)
        return self._predict_checked(structures, forces, stress)

    def _predict_checked(self, structures, forces, stress):
        check_n_jobs(self.n_jobs)
        jobs = (
            joblib.delayed(_evaluate)(self.potential_, index, atoms, forces, stress)
            for index, atoms in enumerate(structures)
        )
        results = joblib.Parallel(n_jobs=self.n_jobs, prefer="threads")(jobs)
        return Labels(
            energy=np.array([result["energy"] for result in results]),
            forces=[result["forces"] for result in results] if forces else None,
            stress=np.array([result["stress"] for result in results]) if stress else None,
            sample_weight=np.ones(len(structures)),
        )

    def score(self, X, y=None, forces=None, sample_weight=None):
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
        structures = check_structures(X, species=self.potential_.species, cutoff=self.potential_.cutoff)
        reference = read_labels(
            structures,
            y,
            forces,
            None,
            sample_weight,
            targets=("energy", "force"),
            purpose="to score against",
        )
        predicted = self._predict_checked(structures, forces=reference.forces is not None, stress=False)
        return metrics.score(structures, reference, predicted)


def _check_examples(potential, descriptors, coef, examples):
    """Raise unless the potential gives energies and forces of the fit to the structures."""
    if not examples:
        return
    design = Design(descriptors.terms_, descriptors.species_)
    reference = np.array([potential.intercept[symbol] for symbol in descriptors.species_])
    for index, atoms in examples:
        structure = StructureDesign(design, atoms)
        rows = np.empty((3 * len(atoms), len(coef)))
        structure.write_rows(0, rows, None)
        found = potential.evaluate(atoms, stress=False)
        forces = (rows @ coef).reshape(-1, 3)
        interaction = structure.values @ coef
        energy_error = abs(found["energy"] - structure.counts @ reference - interaction) / len(atoms)
        force_error = np.abs(found["forces"] - forces).max()
        if (
            not energy_error <= _AGREEMENT * abs(interaction) / len(atoms) + _TABLES
            or not force_error <= _AGREEMENT * np.abs(forces).max() + _TABLES
        ):
            raise FitError(
                f"{describe(index, atoms)}: energy and forces of the fitted potential differ from those of "
                f"the fit by {energy_error:.1e} eV/atom and {force_error:.1e} eV/A. Coefficients of up to "
                f"{np.abs(coef).max():.0e} lose digits: offer fewer or less steep radial functions"
            )


def _evaluate(potential, index, atoms, forces, stress):
    with errors_of(index, atoms):
        return potential.evaluate(atoms, forces=forces, stress=stress)


def _ranges(sizes):
    """Sizes as text, such as ``0 to 7, 9, 11 to 20``."""
    sizes = np.unique(sizes)
    parts = np.split(sizes, np.flatnonzero(np.diff(sizes) > 1) + 1)
    return ", ".join(f"{part[0]} to {part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts)


class PLIPRegressor(_PLIPModel):
    """Sparse linear interatomic potential, fitted to energies, forces and stresses.

    The fit minimises

    ``1/(2n) sum_rows v_row^2 (X w - y)_row^2 + mu f/2 sum_n (x_n w_n)^2 [+ alpha sum_n |s_n w_n|]``

    (the last term by "lasso_lars" alone, the others have at most `max_terms` terms) over the coefficients w
    and the reference energies of the species. Rows are the energy per atom, the force components and the
    virial per atom, v their weights times the root of the sample weight, n the sum of the sample weights
    over rows, s_n the weighted root mean square of column n once the composition, which takes the reference
    energies, is projected out, and x_n that of what it gives to the energy per atom (mu is
    `contribution_penalty`, f a unit, see `NormalEquations.problem`).
    (Benoit et al., Mach. Learn.: Sci. Technol. 2, 025003 (2020), extended from forces to all three targets.)

    Parameters
    ----------
    descriptors : PLIPDescriptors, name of a preset, "precomputed" or None, default="accurate"
        The interactions on offer; a name means ``PLIPDescriptors.preset(name)``, None ``PLIPDescriptors()``.
        With "precomputed", X is a numeric array (n_samples, n_terms) and y any target.
    solver : {"lasso_lars", "omp", "replacement", "adaptive_lasso", "ridge"}, default="lasso_lars"
        How coefficients are found; see `plip.solvers`.
    alpha : float, default=1e-5
        Penalty: of the L1 norm, for "ridge" of the L2 norm of the scaled coefficients; "omp" stops
        when the relative gain falls below alpha. The L1 penalty is in the unit of the weighted labels:
        with all weights ten times as large, ten times as large an alpha keeps the same terms. A fit that
        keeps none warns.
    max_terms : int or None, default=300
        Largest number of terms kept; stops any path first.
    refit : bool, default=False
        Whether to solve for the kept terms again, without shrinkage.
    energy_weight, force_weight, stress_weight : float, default=40.0, 1.0, 10.0
        Factors of the rows: energy per atom (eV), force components (eV/Angstrom), virial per atom
        (eV). A target of weight 0 is not fitted; one without labels is not either, but a weight that is not
        the default must have labels.
    contribution_penalty : float or "auto", default="auto"
        Strength of a quadratic penalty on what each term contributes to the energy per atom, which keeps
        terms from cancelling each other; see `NormalEquations.problem`. "auto" is 1.7e-5 for "omp" and
        "replacement" and 0 for the others.
    repulsion : {"auto", None}, default="auto"
        What follows where the data end. With "auto", atoms that are closer than any pair of their species in
        the data repel each other, and so do atoms that are more densely surrounded than any in the data,
        while the fitted functions fade out; structures within the data keep every bit. With None the fitted
        functions go on. See `Potential`.
    reference_energies : dict, "isolated" or None, default=None
        Energies of isolated atoms. None fits them; a dict fixes them, in eV by chemical symbol (it may hold
        more species than the data); "isolated" takes them from the structures of one atom without neighbors.
    memory : None, str, path-like or joblib.Memory, default=None
        Where the descriptors of each structure are kept, so that searches over other parameters do
        not compute them again.
    n_jobs : int or None, default=None
        Number of joblib workers. The fit is the same to the last bit for any number.
    verbose : int, default=0
        Whether to show a progress bar.

    Attributes
    ----------
    coef_ : ndarray of float64, shape (n_terms,)
        Coefficients in eV per unit of their column; zeros are kept.
    intercept_ : dict, or float with "precomputed"
        Reference energies in eV by chemical symbol.
    descriptors_ : PLIPDescriptors
        Fitted clone of the descriptors.
    potential_ : Potential
        The fitted potential.
    path_ : Path
        All models on the way to the chosen one.
    column_scale_ : ndarray of float64, shape (n_terms,)
        Weighted root mean square s_n of each column, composition projected out; the products
        ``coef_ * column_scale_`` compare terms. It is 0 for columns that are left out because the data say
        nothing of them (see "The model" in the documentation).
    n_terms_ : int
        Number of terms kept.
    normal_equations_ : NormalEquations
        Sums over the data that were fitted.
    n_features_in_ : int
        Number of terms on offer.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor(max_terms=100).fit(train)
    >>> model.predict(test).shape
    (27,)
    """

    def __init__(
        self,
        descriptors="accurate",
        solver="replacement",
        alpha="auto",
        max_terms="auto",
        refit=False,
        energy_weight=40.0,
        force_weight=1.0,
        stress_weight=10.0,
        contribution_penalty="auto",
        repulsion="auto",
        reference_energies=None,
        memory=None,
        n_jobs=None,
        verbose=0,
    ):
        self.descriptors = descriptors
        self.solver = solver
        self.alpha = alpha
        self.max_terms = max_terms
        self.refit = refit
        self.energy_weight = energy_weight
        self.force_weight = force_weight
        self.stress_weight = stress_weight
        self.contribution_penalty = contribution_penalty
        self.repulsion = repulsion
        self.reference_energies = reference_energies
        self.memory = memory
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X, y=None, forces=None, stress=None, sample_weight=None):
        """Fit the potential.

        Parameters
        ----------
        X : iterable of ase.Atoms
            Structures. A generator is read in batches and never held as a whole (its labels
            must be attached). With "precomputed", an array (n_samples, n_terms).
        y : array_like of float64, shape (n_structures,), or None
            Total energies in eV; None takes those attached to the structures. An entry None, here and in
            `forces` and `stress`, is a structure without this label.
        forces : sequence of array_like, shapes (n_atoms, 3), or None
            Forces in eV/Angstrom; None takes the attached ones.
        stress : array_like, shape (n_structures, 6), or None
            Stress in eV/Angstrom^3 in ASE's Voigt order and sign, NaN where absent; None takes the
            attached ones.
        sample_weight : array_like, shape (n_structures,) or (n_structures, 3), or None
            Weight of each structure, which multiplies its squared residuals; three columns are the weights of
            its energy, forces and stress.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a parameter, a structure or a label is not valid; the message names the structure. Also if a
            weight is not the default and no structure has a label of its target.
        PathError
            If the path cannot be followed.
        FitError
            If energies and forces of the fitted potential do not agree with those of the fit to 1e-6 on up to
            three of the structures; the message names the structure and says what to do.

        Warns
        -----
        UserWarning
            Labels that are probably not what was meant (see `plip.labels.read_labels`), or no term that was
            kept.
        """
        self._check_parameters()
        if self._is_precomputed():
            arrays = self._check_arrays(X, y, forces, stress, sample_weight, reset=True)
            return self._solve(ArrayEquations(*arrays))
        labels = (y, forces, stress, sample_weight)
        examples = []
        equations = self._accumulate(X, labels, self._new_descriptors(), examples, self._check_data)
        return self._solve(equations, examples)

    def partial_fit(self, X, y=None, forces=None, stress=None, sample_weight=None):
        """Add a batch to the normal equations and solve again.

        The first batch fixes species and radial grids, unless the descriptors name them. Parameters
        are as in `fit`.

        Returns
        -------
        self
        """
        if not hasattr(self, "normal_equations_"):
            return self.fit(X, y, forces, stress, sample_weight)
        self._check_parameters()
        if self._is_precomputed():
            arrays = self._check_arrays(X, y, forces, stress, sample_weight, reset=False)
            self.normal_equations_.add(*arrays)
            return self._solve(self.normal_equations_)
        examples = []
        batch = self._accumulate(X, (y, forces, stress, sample_weight), self.descriptors_, examples)
        return self._solve(self.normal_equations_ + batch, examples)

    def fit_normal_equations(self, normal_equations):
        """Fit to normal equations that were accumulated before, on any day or machine.

        Parameters
        ----------
        normal_equations : NormalEquations

        Returns
        -------
        self
        """
        self._check_parameters()
        if not isinstance(normal_equations, NormalEquations):
            raise TypeError(f"expected NormalEquations, got {type(normal_equations).__name__}")
        return self._solve(normal_equations)

    def _check_arrays(self, X, y, forces, stress, sample_weight, reset):
        if forces is not None or stress is not None:
            raise ValueError("forces and stress have no rows in precomputed descriptors: leave them out")
        for values, name in ((X, "X"), (y, "y"), (sample_weight, "sample_weight")):
            check_plain(values, name)
        X, y = validate_data(self, X, y, reset=reset, dtype=np.float64, y_numeric=True)
        if sample_weight is None:
            weight = np.ones(len(y))
        else:
            weight = check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
            if weight.ndim == 0:
                weight = np.full(len(y), float(weight))
        if weight.shape != y.shape or (weight < 0).any() or not weight.any():
            raise ValueError("sample_weight must have one weight per sample, none negative and not all zero")
        return X, y.astype(np.float64), weight

    def _accumulate(self, X, labels, descriptors, examples, check=None):
        return NormalEquations._accumulate(
            X,
            descriptors,
            labels,
            self._reading(),
            check,
            examples,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
            memory=self.memory,
        )

    def _solve(self, equations, examples=()):
        if self._is_precomputed():
            references, problem = None, equations.problem()
        else:
            self._check_targets([target for target, n in equations.n_rows.items() if n])
            references = self._fixed_references(equations.species, equations.isolated_energies)
            problem = self._problem(equations, references)
        with single_blas_thread():
            coef, path = solve(
                problem, self.solver, self._setting("alpha"), self._setting("max_terms"), self.refit
            )
        return self._adopt(coef, path, equations, problem, references, examples)


class PLIPRegressorCV(_PLIPModel):
    """PLIPRegressor whose number of terms, and energy weight, are chosen by cross-validation.

    The descriptors of each structure are computed once, whatever the number of folds: the training data
    of a fold are the normal equations of all structures minus those of the fold. The error that is
    compared is the mean over the targets of their relative mean square error, ``1 - R^2`` as in
    `score`, which does not depend on the weights.

    Parameters
    ----------
    descriptors : PLIPDescriptors, name of a preset or None, default="accurate"
        The interactions on offer, as in `PLIPRegressor`.
    solver : {"replacement", "omp", "lasso_lars", "adaptive_lasso", "ridge"}, default="replacement"
        Whose path is searched.
    alpha : float or "auto", default="auto"
        Where the path ends; see `PLIPRegressor`.
    max_terms : int, None or "auto", default="auto"
        Largest number of terms tried; see `PLIPRegressor`.
    refit : bool, default=False
        Whether to solve for the kept terms again, without shrinkage.
    energy_weight, force_weight, stress_weight : float, default=40.0, 1.0, 10.0
        Factors of the rows; see `PLIPRegressor`.
    contribution_penalty : float or "auto", default="auto"
        See `PLIPRegressor`.
    energy_weights : sequence of float or None, default=None
        Energy weights to choose from; None keeps `energy_weight`.
    cv : int, splitter, iterable or None, default=None
        As in scikit-learn: None is 5 folds of shuffled structures, an int that many.
    selection : {"min", "one_standard_error"}, default="one_standard_error"
        The size with the smallest error, or the smallest size whose error is within one standard error of it.
    repulsion : {"auto", None}, default="auto"
        What follows where the data end. With "auto", atoms that are closer than any pair of their species in
        the data repel each other, and so do atoms that are more densely surrounded than any in the data,
        while the fitted functions fade out; structures within the data keep every bit. With None the fitted
        functions go on. See `Potential`.
    reference_energies : dict, "isolated" or None, default=None
        Energies of isolated atoms. None fits them; a dict fixes them, in eV by chemical symbol (it may hold
        more species than the data); "isolated" takes them from the structures of one atom without neighbors.
    memory : None, str, path-like or joblib.Memory, default=None
        Where the descriptors of each structure are kept for fits to come.
    n_jobs : int or None, default=None
        Number of joblib workers. The fit is the same to the last bit for any number.
    verbose : int, default=0
        Whether to show progress bars.

    Attributes
    ----------
    cv_results_ : dict of ndarray
        By number of terms allowed ("n_terms"), for the chosen energy weight: "mean_error" and "std_error"
        over folds, and the root mean square errors "energy_rmse" (eV/atom), "force_rmse"
        (eV/Angstrom), "virial_rmse" (eV/atom) of the targets present, over all folds; and "cancellation",
        sum_n |w_n x_n| / |sum_n w_n x_n| in the mean structure, of the fit to all structures.
    energy_weight_ : float
        The chosen energy weight.
    selected_size_ : int
        The chosen number of terms; `n_terms_` are those that are not zero.
    alpha_ : float
        Penalty of the chosen model.
    n_splits_ : int
        Number of folds.
    coef_, intercept_, descriptors_, potential_, path_, column_scale_, n_terms_, n_features_in_ :
        As in `PLIPRegressor`, of the fit to all structures; so is ``normal_equations_``.
    """

    def __init__(
        self,
        descriptors="accurate",
        solver="replacement",
        alpha="auto",
        max_terms="auto",
        refit=False,
        energy_weight=40.0,
        force_weight=1.0,
        stress_weight=10.0,
        energy_weights=None,
        cv=None,
        selection="one_standard_error",
        contribution_penalty="auto",
        repulsion="auto",
        reference_energies=None,
        memory=None,
        n_jobs=None,
        verbose=0,
    ):
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

    def fit(self, X, y=None, forces=None, stress=None, sample_weight=None, groups=None):
        """Choose the number of terms by cross-validation and fit the potential to all structures.

        Parameters
        ----------
        X : sequence of ase.Atoms
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
        """
        self._check_parameters()
        weights = self._check_choices()
        descriptors = self._new_descriptors()
        structures = descriptors._checked(X, fitted=False)
        labels = read_labels(structures, y, forces, stress, sample_weight, **self._reading())
        if self.energy_weights is not None and labels.energy is None:
            raise ValueError("energy_weights are given, but no structure has an energy: leave them out")
        tests = self._test_sets(structures, labels, groups)
        descriptors._fit_checked(structures)
        self._check_data(structures, labels, descriptors)
        total, parts = self._accumulate(structures, labels, descriptors, tests)
        self.n_splits_ = len(tests)
        references = self._fixed_references(total.species, total.isolated_energies)
        problems = {weight: self._problem(total, references, weight) for weight in weights}
        null = self._null_mean_squares(total)
        with (
            single_blas_thread(),
            tqdm(total=len(weights) * (len(parts) + 1), desc="paths", disable=not self.verbose) as bar,
        ):
            errors, mean_squares, paths = {}, {}, {}
            for weight in weights:
                errors[weight], mean_squares[weight] = self._cross_validate(
                    total, parts, null, weight, references, bar
                )
                paths[weight] = self._path(problems[weight])
                bar.update()
        best = min(weights, key=lambda weight: errors[weight].mean(axis=0).min())
        mean, spread = errors[best].mean(axis=0), errors[best].std(axis=0)
        index = int(np.argmin(mean))
        if self.selection == "one_standard_error":
            bound = mean[index] + spread[index] / np.sqrt(max(1, len(errors[best]) - 1))
            # Folds of few structures may not tell one term from none.
            index = min(index, 1 + int(np.argmax(mean[1:] <= bound))) if index else 0
        self.energy_weight_ = best
        self.selected_size_ = index
        self.alpha_ = float(paths[best].alphas[index])
        self.cv_results_ = {
            "n_terms": np.arange(len(mean)),
            "mean_error": mean,
            "std_error": spread,
            **{f"{target}_rmse": np.sqrt(values) for target, values in mean_squares[best].items()},
            "cancellation": total.mean_cancellation(paths[best].coefs),
        }
        path = paths[best]
        examples = take_examples(structures, labels, np.arange(len(structures)))
        coef = path.coefs[index].copy()
        return self._adopt(coef, path, total, problems[best], references, examples)

    def _check_choices(self):
        if self._is_precomputed():
            raise ValueError(
                "PLIPRegressorCV takes folds over structures; for arrays use sklearn.linear_model.LassoLarsCV"
            )
        if self.selection not in ("min", "one_standard_error"):
            raise ValueError(f"selection must be 'min' or 'one_standard_error', got {self.selection!r}")
        if self.energy_weights is None:
            return [float(self.energy_weight)]
        weights = np.asarray(self.energy_weights, np.float64)
        if weights.ndim != 1 or weights.size == 0 or not (np.isfinite(weights) & (weights > 0)).all():
            raise ValueError(
                f"energy_weights must be a list of positive numbers, got {self.energy_weights!r}"
            )
        return weights.tolist()

    def _test_sets(self, structures, labels, groups):
        cv = 5 if self.cv is None else self.cv
        if isinstance(cv, numbers.Integral) and not isinstance(cv, bool):
            if cv > len(structures):
                raise ValueError(
                    f"cross-validation of {cv} folds needs as many structures, got {len(structures)}: add "
                    "structures, use a smaller cv (at least 2), or PLIPRegressor"
                )
            cv = KFold(int(cv), shuffle=True, random_state=0)
        splits = list(check_cv(cv).split(structures, labels.energy, groups))
        if len(splits) < 2:
            raise ValueError("cv must make at least two splits")
        return [np.sort(np.asarray(test)) for _, test in splits]

    def _accumulate(self, structures, labels, descriptors, tests):
        """Normal equations of all structures and of each test set."""
        reference = least_squares_reference(structures, descriptors.species_, labels)
        options = {
            "reference": reference,
            "design": Design(descriptors.terms_, descriptors.species_),
            "memory": self.memory,
            "n_jobs": self.n_jobs,
            "verbose": self.verbose,
        }

        def equations(rows):
            chosen = [structures[row] for row in rows]
            return NormalEquations.from_labels(chosen, descriptors, labels.take(rows), places=rows, **options)

        distinct = {test.tobytes(): test for test in tests}
        sums = {key: equations(test) for key, test in distinct.items()}
        counts = np.bincount(np.concatenate(list(distinct.values())), minlength=len(structures))
        if counts.max() > 1:  # overlapping test sets: their sum is not the whole
            total = equations(np.arange(len(structures)))
        else:
            rest = np.flatnonzero(counts == 0)
            total = functools.reduce(operator.add, sums.values())
            total = total + equations(rest) if len(rest) else total
        return total, [sums[test.tobytes()] for test in tests]

    def _path(self, problem):
        """One model for each number of terms allowed, from none on."""
        max_terms = self._setting("max_terms")
        most = len(problem.moment) if max_terms is None else min(max_terms, len(problem.moment))
        path = SOLVERS[self.solver](problem, self._setting("alpha"), max_terms).at_sizes(np.arange(most + 1))
        return refit_path(problem, path) if self.refit else path

    def _null_mean_squares(self, total):
        """What the errors of each target are relative to, of the targets that vary."""
        null = total.null_mean_squares()
        constant = [target for target, value in null.items() if value == 0]
        if len(constant) == len(null):
            raise ValueError(
                "energies that follow the composition alone and forces and stresses of zero leave nothing to "
                "choose a number of terms by: check the labels, or use PLIPRegressor"
            )
        if constant:
            warnings.warn(
                f"labels that do not vary: the error of {' and '.join(constant)} is not cross-validated",
                UserWarning,
                stacklevel=3,
            )
        return {target: value for target, value in null.items() if value > 0}

    def _cross_validate(self, total, parts, null, weight, references, bar):
        """Errors of every size in every fold that has labels, and mean squares by target over all folds."""
        errors, squares, weight_sums = [], {}, {}
        for part in parts:
            train = total - part
            problem = self._problem(train, references, weight)
            coefs = self._path(problem).coefs
            found = part.mean_squares(coefs, train.references(coefs, references))
            # Where all labels of a target are in this fold, the others say nothing of it.
            found = {target: values for target, values in found.items() if train.n_rows[target]}
            compared = [found[target] / null[target] for target in found if target in null]
            if compared:
                errors.append(np.mean(compared, axis=0))
            for target, values in found.items():
                n = part.weight_sums[target]
                squares[target] = squares.get(target, 0.0) + n * values
                weight_sums[target] = weight_sums.get(target, 0.0) + n
            bar.update()
        if not errors:
            raise ValueError("cv: no target has labels both in a test set and in its training set")
        return np.array(errors), {target: squares[target] / weight_sums[target] for target in squares}
