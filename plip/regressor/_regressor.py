"""PLIPRegressor: the scikit-learn estimator from structures to a potential."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import joblib
import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_array, validate_data

from plip._types import FloatArray, StrPath
from plip.descriptors import PLIPDescriptors
from plip.labels import LabelledStructures
from plip.labels._closeness import warn_of_close_pairs
from plip.labels._values import check_plain
from plip.normal_equations import NormalEquations
from plip.normal_equations._arrays import ArrayEquations
from plip.normal_equations._blas_threads import single_blas_thread
from plip.normal_equations._parts import take_examples
from plip.regressor._checks import WEIGHTS
from plip.regressor._model import PLIPModel
from plip.regressor._support import warn_of_few_labels
from plip.regressor._survey import Survey
from plip.solvers import solve

__all__ = ["PLIPRegressor"]

# What fits to structures have and fits to arrays have not, and the other way round.
_OF_STRUCTURES = ("analogs_", "descriptors_", "potential_", "_references")
_OF_ARRAYS = ("feature_names_in_",)


class PLIPRegressor(PLIPModel):
    """Sparse linear interatomic potential, fitted to energies, forces and stresses.

    The fit minimizes

    ``1/(2n) sum_rows v_row^2 (X w - y)_row^2 + mu f/2 sum_n (x_n w_n)^2 [+ alpha sum_n |s_n w_n|]``

    over the coefficients w and the reference energies of the species. Rows are the energy per atom, the force
    components and the virial per atom. v are their weights times the root of the sample weight, and n is the
    sum of the sample weights over rows. The second sum keeps terms from cancelling each other: x_n is the
    root mean square of what column n adds to the energy per atom, mu is `contribution_penalty`, and f a unit;
    see `NormalEquations.problem`. The last sum is the penalty of "lasso_lars"; the default solver keeps at
    most `max_terms` terms instead. s_n is the weighted root mean square of column n after the composition,
    and with it the reference energies, is projected out.
    (Benoit et al., Mach. Learn.: Sci. Technol. 2, 025003 (2021), extended from forces to all three targets.)

    Parameters
    ----------
    descriptors : PLIPDescriptors, name of a preset, "precomputed" or None, default="accurate"
        The candidate terms; a name means ``PLIPDescriptors.preset(name)``, None ``PLIPDescriptors()``.
        With "precomputed", X is a numeric array (n_samples, n_terms) and y any target.
    solver : {"lasso_lars", "omp", "replacement", "adaptive_lasso", "ridge"}, default="replacement"
        How coefficients are found; see `plip.solvers`.
    alpha : float or "auto", default="auto"
        Penalty of the L1 norm, for "ridge" of the L2 norm, of the scaled coefficients; "omp" and
        "replacement" stop when the relative gain falls below alpha. "auto" is 0 for these two and 1e-5 for
        the others. The L1 penalty is in the unit of the weighted labels: with all weights ten times as
        large, ten times as large an alpha keeps the same terms. A fit that keeps none warns.
    max_terms : int, None or "auto", default="auto"
        Largest number of terms kept; stops any path first. "auto" is 50 for "omp" and "replacement", 100 for
        three species or more, and 300 for the other solvers.
    refit : bool, default=False
        Whether to solve for the kept terms again, without shrinkage.
    energy_weight, force_weight, stress_weight : float, default=40.0, 1.0, 5.0
        Factors of the rows: energy per atom (eV), force components (eV/Angstrom), virial per atom
        (eV). A target of weight 0 is not fitted; one without labels is not either, but a weight that is not
        the default must have labels.
    contribution_penalty : float or "auto", default="auto"
        Strength of a quadratic penalty on what each term contributes to the energy per atom, which keeps
        terms from cancelling each other; see `NormalEquations.problem`. "auto" is, for "omp" and
        "replacement", 2.4 over the number of rows of the data, at least 6e-5 and at most 1e-3. It is a fifth
        of that where terms are shared between species, and less where terms explain all but a thousandth of
        the labels or more; it is 0 for the others.
    repulsion : {"auto", None}, default="auto"
        What happens beyond the data. With "auto", atoms that are closer than any pair of their species in
        the data repel each other, and so do atoms that are more densely surrounded than any in the data,
        while the fitted functions fade out, and no atom is bound much more strongly than those of the data;
        structures within the data keep every bit. With None the fitted functions continue. See `Potential`.
    reference_energies : dict, "isolated" or None, default=None
        Energies of isolated atoms. None fits them; a dict fixes them, in eV by chemical symbol (it may hold
        more species than the data); "isolated" takes them from the structures of one atom without neighbors.
    memory : None, str, path-like or joblib.Memory, default=None
        Where to keep the descriptors of each structure, so that searches over other parameters do not compute
        them again.
    n_jobs : int or None, default=None
        Number of joblib workers. The fit is the same to the last bit for any number of them.
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
    analogs_ : dict of (str, str) to (str, str) or None
        Pairs of species that no structure holds within the cutoff of each other, and the pair of chemical
        twins whose particular terms they have, too. They are not among the `max_terms` that the data decide.
    normal_equations_ : NormalEquations
        Sums over the data that were fitted.
    n_features_in_ : int
        Number of candidate terms.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor().fit(train)
    >>> model.predict(test).shape
    (27,)
    """

    # What cross-validation finds on most data. More would be unsafe where data are few.
    _automatic_sizes = (50, 100)

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
        self.contribution_penalty = contribution_penalty
        self.repulsion = repulsion
        self.reference_energies = reference_energies
        self.memory = memory
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(
        self,
        X: Iterable[Atoms] | ArrayLike,
        y: ArrayLike | Sequence[float | None] | None = None,
        forces: Sequence[ArrayLike | None] | None = None,
        stress: ArrayLike | Sequence[ArrayLike | None] | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit the potential.

        Parameters
        ----------
        X : iterable of ase.Atoms, or LabelledStructures
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
            its energy, forces and stress. Only their ratios matter. Two copies of a structure are not quite a
            weight of 2: they are more data, which lowers the automatic penalty.

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
            If energies and forces of the fitted potential differ from those of the fit by more than 1e-6 for
            one of up to three structures; the message names the structure and says what to do.

        Warns
        -----
        UserWarning
            Labels are probably not what was meant (see `plip.labels.read_labels`); no term was kept, or there
            are fewer than 20 labels per term; the data lack pairs or triplets of species.

        Examples
        --------
        >>> y = [atoms.get_potential_energy() for atoms in train[::4]]
        >>> forces = [atoms.get_forces() for atoms in train[::4]]
        >>> small = PLIPRegressor("fast", max_terms=10)
        >>> small.fit(train[::4], y, forces=forces).n_terms_ <= 10
        True
        """
        self._check_parameters()
        self._begin_fit()
        if self._is_precomputed():
            arrays = self._check_arrays(X, y, forces, stress, sample_weight, reset=True)
            return self._solve(ArrayEquations(*arrays))
        labels = (y, forces, stress, sample_weight)
        equations, data = self._accumulate(X, labels, self._new_descriptors(), self._check_data)
        return self._solve(equations, data, calibrate=not isinstance(X, Iterator))

    def partial_fit(
        self,
        X: Iterable[Atoms] | ArrayLike,
        y: ArrayLike | Sequence[float | None] | None = None,
        forces: Sequence[ArrayLike | None] | None = None,
        stress: ArrayLike | Sequence[ArrayLike | None] | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Add a batch to the normal equations and solve again.

        The first batch fixes species and radial grids, unless the descriptors name them. Parameters
        are as in `fit`.

        Returns
        -------
        self

        Examples
        --------
        >>> stream = PLIPRegressor("fast", max_terms=10)
        >>> for batch in (train[::4], train[1::4]):
        ...     stream = stream.partial_fit(batch)
        >>> stream.normal_equations_.n_structures
        84
        """
        if not hasattr(self, "coef_"):
            return self.fit(X, y, forces, stress, sample_weight)
        self._check_parameters()
        self._begin_fit(descriptors=self._fit_parameters["descriptors"])
        if self._is_precomputed():
            arrays = self._check_arrays(X, y, forces, stress, sample_weight, reset=False)
            self.normal_equations_.add(*arrays)
            return self._solve(self.normal_equations_)
        labels = (y, forces, stress, sample_weight)
        batch, data = self._accumulate(X, labels, self.descriptors_)
        return self._solve(self.normal_equations_ + batch, data)

    def fit_normal_equations(self, normal_equations: NormalEquations) -> Self:
        """Fit to normal equations that were accumulated before, on any day or machine.

        Parameters
        ----------
        normal_equations : NormalEquations

        Returns
        -------
        self

        Examples
        --------
        >>> from plip import NormalEquations
        >>> equations = NormalEquations.from_structures(train[::4], "fast")
        >>> PLIPRegressor("fast", max_terms=10).fit_normal_equations(equations).n_terms_ <= 10
        True
        """
        self._check_parameters()
        if not isinstance(normal_equations, NormalEquations):
            raise TypeError(f"expected NormalEquations, got {type(normal_equations).__name__}")
        self._begin_fit(descriptors=normal_equations.descriptors)
        return self._solve(normal_equations)

    def _check_arrays(
        self, X: Any, y: Any, forces: Any, stress: Any, sample_weight: Any, reset: bool
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        if forces is not None or stress is not None:
            raise ValueError("forces and stress have no rows in precomputed descriptors: leave them out")
        if isinstance(X, Sequence) and any(isinstance(entry, Atoms) for entry in X):
            raise TypeError(
                'descriptors="precomputed" takes an array of numbers, one row per structure, such as '
                "PLIPDescriptors().fit_transform(X); other descriptors take structures"
            )
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

    def _accumulate(
        self,
        X: Any,
        labels: tuple[Any, ...],
        descriptors: PLIPDescriptors,
        check: Callable[[LabelledStructures, PLIPDescriptors], None] | None = None,
    ) -> tuple[NormalEquations, LabelledStructures | None]:
        """Normal equations of structures, and the structures; a few of them if X is a generator.

        `check` is called with the structures and the fitted descriptors before the long work, unless X is a
        generator, whose later batches may hold what the first one lacks.
        """
        kept: LabelledStructures | None = None

        def inspect(data: LabelledStructures, fitted: PLIPDescriptors) -> None:
            nonlocal kept
            is_stream = isinstance(X, Iterator)
            if check is not None and not is_stream:
                check(data, fitted)
            kept = kept or (take_examples(data) if is_stream else data)

        equations = NormalEquations._accumulate(
            X,
            descriptors,
            labels,
            self._reading(),
            inspect,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
            memory=self.memory,
        )
        return equations, kept

    def _solve(
        self,
        equations: NormalEquations | ArrayEquations,
        data: LabelledStructures | None = None,
        calibrate: bool = False,
    ) -> Self:
        """Fit to sums; `data` are structures to check the potential by and, on request, to calibrate it."""
        references, n_species = None, 1
        if isinstance(equations, ArrayEquations):
            problem = equations.problem()
        else:
            n_species = len(equations.species)
            self._check_targets([target for target, n in equations.n_rows.items() if n])
            references = self._fixed_references(equations.species, equations.isolated_energies)
            problem = self._problem(equations, references, self._penalty(equations))
        with single_blas_thread():
            max_terms = self._setting("max_terms", n_species)
            coef, path = solve(problem, self.solver, self._setting("alpha"), max_terms, self.refit)
        examples = None if data is None else take_examples(data)
        survey, scales = None, problem.scales
        if isinstance(equations, NormalEquations):
            if data is not None:
                warn_of_close_pairs(data, equations.shortest_distances or {})
            survey = Survey(equations, np.flatnonzero(coef), self.n_jobs)
            problem = problem.restricted(self._columns_of([coef], equations))  # the whole may take a gigabyte
        self._adopt(coef, path, equations, scales, references, examples, survey=survey)
        for name in _OF_STRUCTURES if isinstance(equations, ArrayEquations) else _OF_ARRAYS:
            self.__dict__.pop(name, None)  # of the fit before
        # Ridge keeps more terms than labels tell apart: its penalty, not their number, limits what they do.
        if isinstance(equations, NormalEquations) and self.solver != "ridge":
            n_labels = sum(n for target, n in equations.n_rows.items() if getattr(self, WEIGHTS[target]) > 0)
            warn_of_few_labels(equations.n_structures, n_labels, self.n_terms_)
        self._keep_record()
        if calibrate and data is not None and survey is not None:
            self._calibrate(data, problem, survey)
        return self
