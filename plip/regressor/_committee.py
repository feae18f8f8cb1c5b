"""A committee of potentials from bootstrapped sums of the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import KFold
from sklearn.utils import check_random_state

from plip._parameters import is_integer
from plip.labels import LabelledStructures
from plip.normal_equations._parts import file_for_sums, sums_of_parts, total_of
from plip.potential import Potential
from plip.regressor._regressor import PLIPRegressor

__all__ = ["fit_committee"]


def fit_committee(
    model: PLIPRegressor,
    X: Sequence[Any],
    y: Any = None,
    forces: Any = None,
    stress: Any = None,
    sample_weight: Any = None,
    *,
    n_members: int = 10,
    n_blocks: int = 20,
    random_state: Any = 0,
) -> list[Potential]:
    """Fit potentials to bootstrapped data: their spread says how far the choice of the data matters.

    The data are cut into blocks at random, and each block is summed once. A member is fitted to as many
    blocks, drawn with replacement (B. Efron, Ann. Statist. 7, 1 (1979)): adding sums takes milliseconds, so a
    committee costs little more than its paths.

    Parameters
    ----------
    model : PLIPRegressor
        Settings; it is neither fitted nor changed. If it is fitted, its descriptors are those of the members.
    X, y, forces, stress, sample_weight
        As in `PLIPRegressor.fit`.
    n_members : int, default=10
        Number of potentials.
    n_blocks : int, default=20
        Number of blocks, at most the number of structures.
    random_state : int, RandomState or None, default=0

    Returns
    -------
    list of Potential

    Raises
    ------
    TypeError, ValueError
        If a number, a structure or a label is not valid, or the descriptors are precomputed.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> from plip.regressor import fit_committee
    >>> members = fit_committee(PLIPRegressor("fast", max_terms=10), train[::4], n_members=3, n_blocks=5)
    >>> len(members), members[0].species
    (3, ('C', 'Si'))
    """
    if not isinstance(model, PLIPRegressor):
        raise TypeError(f"model must be a PLIPRegressor, got {type(model).__name__}")
    if model._is_precomputed():
        raise ValueError(
            "a committee is one of potentials: fit structures instead of precomputed descriptors"
        )
    for name, value, least in (("n_members", n_members, 1), ("n_blocks", n_blocks, 2)):
        if not is_integer(value) or value < least:
            raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
    model._check_parameters()
    is_fitted = hasattr(model, "descriptors_")
    descriptors = model.descriptors_ if is_fitted else model._new_descriptors()
    limits = descriptors._limits(is_fitted)
    data = LabelledStructures.read(X, y, forces, stress, sample_weight, **limits, **model._reading())
    if not is_fitted:
        descriptors._fit_checked(data.structures, forces=data.labels.forces)
    rng = check_random_state(random_state)
    n_blocks = min(int(n_blocks), len(data))
    if n_blocks < 2:
        raise ValueError("a bootstrap needs at least two structures")
    splits = KFold(n_blocks, shuffle=True, random_state=rng).split(np.arange(len(data)))
    parts = [rows for _, rows in splits]
    members = []
    with file_for_sums() as file:
        blocks = sums_of_parts(data, descriptors, parts, file, model.memory, model.n_jobs)
        for _ in range(n_members):
            drawn = total_of([blocks[k] for k in rng.randint(n_blocks, size=n_blocks)])
            members.append(clone(model).fit_normal_equations(drawn).potential_)
    return members
