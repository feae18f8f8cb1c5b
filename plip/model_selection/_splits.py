"""Splits by group or composition, and structures in the shape that meta-estimators of scikit-learn need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import check_random_state

from plip._parameters import is_integer
from plip._structures._checks import check_structures
from plip._types import IntArray
from plip.metrics import read_groups

__all__ = ["StratifiedByGroup", "as_column", "composition_groups"]


class StratifiedByGroup(BaseCrossValidator):
    """Folds that have the same share of every group of structures, such as "bulk" and "surface".

    scikit-learn's ``StratifiedKFold`` stratifies by `y`, which are energies here, and its
    ``StratifiedGroupKFold`` keeps groups apart.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds.
    key : str or None, default=None
        Key of the group in ``atoms.info``; for None see `plip.metrics.read_groups`.
    random_state : int or None, default=0
        Of the shuffle.

    Examples
    --------
    >>> from plip import PLIPRegressorCV
    >>> from plip.datasets import load_silicon_carbide
    >>> from plip.model_selection import StratifiedByGroup
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressorCV("fast", cv=StratifiedByGroup(5)).fit(train[::2])
    """

    def __init__(self, n_splits: int = 5, key: str | None = None, random_state: int | None = 0) -> None:
        self.n_splits = n_splits
        self.key = key
        self.random_state = random_state

    def __repr__(self) -> str:
        values = f"n_splits={self.n_splits!r}, key={self.key!r}, random_state={self.random_state!r}"
        return f"StratifiedByGroup({values})"

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of folds."""
        return self.n_splits

    def split(
        self, X: Sequence[Any], y: Any = None, groups: ArrayLike | None = None
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """Places of the structures to train and to test, fold by fold.

        Parameters
        ----------
        X : sequence of n ase.Atoms
            With `groups` only their number counts.
        y : ignored
        groups : (n,) array_like, or None
            Group of each structure; None reads those of the structures.

        Yields
        ------
        train, test : ndarray of int

        Raises
        ------
        ValueError
            If `n_splits` is not an integer from 2 to n, no structure has a group, or `groups` has another
            length.
        """
        names = read_groups(X, self.key) if groups is None else np.asarray(groups)
        if names is None:
            raise ValueError("no structure names a group: give `key`, the key in atoms.info, or take KFold")
        if groups is not None and len(names) != len(X):
            raise ValueError(f"groups has {len(names)} entries for {len(X)} structures; give one for each")
        if not is_integer(self.n_splits) or not 2 <= self.n_splits <= len(names):
            raise ValueError(
                f"n_splits must be an integer from 2 to the number of structures ({len(names)}), got "
                f"{self.n_splits!r}"
            )
        order = check_random_state(self.random_state).permutation(len(names))
        # Group after group, in turn: folds differ by at most one structure, of a group and of all.
        order = order[np.argsort(names[order], kind="stable")]
        fold = np.empty(len(names), dtype=int)
        fold[order] = np.arange(len(names)) % self.n_splits
        for k in range(self.n_splits):
            yield np.flatnonzero(fold != k), np.flatnonzero(fold == k)


def composition_groups(X: Sequence[Atoms]) -> NDArray[np.str_]:
    """The elements of each structure, as groups for cross-validation.

    Scikit-learn's splitters ``LeaveOneGroupOut()`` and ``GroupKFold()`` with these groups leave out all
    structures of a set of elements at a time, such as all that hold niobium and tantalum and nothing else.
    The errors of such folds say what a potential knows of mixtures that were never computed.

    Parameters
    ----------
    X : sequence of n ase.Atoms

    Returns
    -------
    (n,) ndarray of str
        Chemical symbols in the order of the alphabet, such as ``"Nb"`` or ``"Nb-Ta"``.

    Raises
    ------
    TypeError, ValueError
        If X is no sequence of structures, or one of them has no atoms or atoms at the same place.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from plip.model_selection import composition_groups
    >>> composition_groups([bulk("Ta"), bulk("TaNb", "cesiumchloride", a=3.3), bulk("Nb")]).tolist()
    ['Ta', 'Nb-Ta', 'Nb']
    """
    return np.array(["-".join(sorted(set(atoms.symbols))) for atoms in check_structures(X)])


def as_column(X: Sequence[Atoms]) -> NDArray[np.object_]:
    """Structures as an array of one column, which scikit-learn's meta-estimators take.

    ``BaggingRegressor`` and ``permutation_importance`` make an array of what they get, and NumPy would take
    a list of Atoms apart into its atoms. The estimators of plip take such a column wherever they take a list.
    With ``permutation_importance`` use ``scoring=plip.metrics.neg_energy_rmse``: attached forces contradict
    energies that were permuted.

    Parameters
    ----------
    X : sequence of n ase.Atoms

    Returns
    -------
    ndarray of object, shape (n, 1)

    Examples
    --------
    >>> from sklearn.ensemble import BaggingRegressor
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> from plip.model_selection import as_column
    >>> train, test = load_silicon_carbide()
    >>> energies = [atoms.get_potential_energy() for atoms in train[::4]]
    >>> model = BaggingRegressor(PLIPRegressor("fast"), n_estimators=2).fit(as_column(train[::4]), energies)
    >>> model.predict(as_column(test)).shape
    (27,)
    """
    structures = list(X)
    column = np.empty((len(structures), 1), dtype=object)
    for row, atoms in enumerate(structures):
        if not isinstance(atoms, Atoms):
            raise TypeError(f"structure {row}: expected ase.Atoms, got {type(atoms).__name__}")
        column[row, 0] = atoms
    return column
