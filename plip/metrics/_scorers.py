"""Errors as scorers for the model selection of scikit-learn."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import sklearn
from ase import Atoms
from ase.units import GPa
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import root_mean_squared_error
from sklearn.utils.metadata_routing import MetadataRequest

from plip.labels import LabelledStructures
from plip.labels._reading import NoLabels
from plip.metrics._errors import OF_LABELS, UNITS, values_of
from plip.metrics._evaluation import limits_of, predicted_labels, read_groups

__all__ = ["RMSEScorer", "group_scorers", "neg_energy_rmse", "neg_force_rmse", "neg_stress_rmse"]

# Names under which reference values are handed on.
_KEYWORDS = {"energy": "y", "force": "forces", "stress": "stress"}


class RMSEScorer:
    """Negative root mean square error of energies per atom, forces or stresses, a scikit-learn scorer.

    Reference values are passed, or else attached to the structures. ``GridSearchCV`` and ``cross_validate``
    pass `y`. They pass `forces`, `stress` and `sample_weight` only if metadata routing is enabled and the
    scorer asks for them: ``scoring=neg_force_rmse.set_score_request(forces=True)``.

    Parameters
    ----------
    target : {"energy", "force", "stress"}
        "energy": eV/atom, structures weighted by `sample_weight`; "force": eV/A, and "stress": eV/A^3,
        components weighted by the `sample_weight` of their structure.
    group : str or None, default=None
        Group of the structures that count; None counts all.
    key : str or None, default=None
        Key of the group in ``atoms.info``; for None see `read_groups`.

    Examples
    --------
    >>> from plip import PLIPRegressor
    >>> from plip.datasets import load_silicon_carbide
    >>> train, test = load_silicon_carbide()
    >>> model = PLIPRegressor("fast", max_terms=20).fit(train[::8])
    >>> from plip.metrics import RMSEScorer
    >>> scorer = RMSEScorer("force", group="vacancy")
    >>> -1.0 < scorer(model, test) < 0.0
    True
    """

    def __init__(self, target: str, group: str | None = None, key: str | None = None) -> None:
        if target not in UNITS:
            raise ValueError(f"target must be one of {', '.join(UNITS)}, got {target!r}")
        self.target = target
        self.group = group
        self.key = key
        self._requests: dict[str, bool | str | None] = {
            "forces": None,
            "stress": None,
            "sample_weight": None,
        }

    def __repr__(self) -> str:
        return f"neg_{self.target}_rmse" + (f" of {self.group}" if self.group is not None else "")

    def __call__(
        self,
        estimator: Any,
        X: Sequence[Atoms],
        y: ArrayLike | None = None,
        *,
        forces: Sequence[ArrayLike] | None = None,
        stress: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Score a fitted estimator.

        Parameters
        ----------
        estimator : PLIPRegressor
            Or anything with ``predict`` (energy), ``predict_forces`` or ``predict_stress``.
        X : sequence of n ase.Atoms
        y : (n,) array-like, optional
            Total energies, eV.
        forces : sequence of n array-likes of shape (n_atoms, 3), optional
            eV/A.
        stress : (n, 6) array-like, optional
            eV/A^3.
        sample_weight : (n,) array-like, optional

        Returns
        -------
        float
            Not positive; larger is better.

        Raises
        ------
        ValueError
            No reference values of the target, given or attached, or unusable ones (see
            `plip.labels.read_labels`), or no such value in the group.
        """
        of_labels = OF_LABELS[self.target]
        reading: dict[str, Any] = {"targets": (of_labels,), "purpose": "to score against"}
        try:
            data = LabelledStructures.read(
                X, y, forces, stress, sample_weight, **limits_of(estimator), **reading
            )
        except NoLabels as error:
            if self.target == "energy":
                raise
            raise ValueError(
                f"{error}. To hand {_KEYWORDS[self.target]} to a scorer, enable metadata routing and use "
                f"neg_{self.target}_rmse.set_score_request({_KEYWORDS[self.target]}=True)"
            ) from None
        data = data.take(np.flatnonzero(data.labels.present(of_labels) & self._counts(data)))
        if not len(data):
            raise ValueError(
                f"no structure of the group {self.group!r} has a label to score against: split the data so "
                "that every part has each group, as plip.model_selection.StratifiedByGroup does"
            )
        predicted, rows, n_atoms = predicted_labels(estimator, data), range(len(data)), data.n_atoms
        true, found = (values_of(labels, self.target, rows, n_atoms) for labels in (data.labels, predicted))
        weight = data.labels.weight(of_labels)
        if self.target != "energy":
            weight = np.repeat(weight, 3 * n_atoms if self.target == "force" else 6)
        unit = GPa if self.target == "stress" else 1.0
        return -unit * float(root_mean_squared_error(true, found, sample_weight=weight))

    def _counts(self, data: LabelledStructures) -> NDArray[np.bool_]:
        """Which structures are of the group."""
        if self.group is None:
            return np.ones(len(data), bool)
        names = read_groups(data.structures, self.key)
        return np.zeros(len(data), bool) if names is None else names == self.group

    def set_score_request(self, **requests: bool | str | None) -> RMSEScorer:
        """Return a copy of the scorer that asks for metadata.

        Parameters
        ----------
        **requests : {True, False, None, str}
            Whether `forces`, `stress` and `sample_weight` are to be passed on, or the name under which they
            come.

        Returns
        -------
        RMSEScorer

        Raises
        ------
        RuntimeError
            Metadata routing is not enabled.
        TypeError
            Metadata of another name.
        """
        if not sklearn.get_config()["enable_metadata_routing"]:
            raise RuntimeError("enable metadata routing: sklearn.set_config(enable_metadata_routing=True)")
        unknown = requests.keys() - self._requests.keys()
        if unknown:
            raise TypeError(
                f"{self} takes forces, stress and sample_weight, not {', '.join(sorted(unknown))}"
            )
        scorer = copy.copy(self)
        scorer._requests = self._requests | requests
        return scorer

    def get_metadata_routing(self) -> MetadataRequest:
        """Return what the scorer asks for, as ``sklearn.utils.metadata_routing.MetadataRequest``."""
        request = MetadataRequest(owner=repr(self))
        for name, alias in self._requests.items():
            request.score.add_request(param=name, alias=alias)
        return request


neg_energy_rmse = RMSEScorer("energy")
neg_force_rmse = RMSEScorer("force")
neg_stress_rmse = RMSEScorer("stress")


def group_scorers(X: Sequence[Atoms], target: str = "force", key: str | None = None) -> dict[str, RMSEScorer]:
    """Scorers of the groups of structures, for ``scoring=`` of ``cross_validate`` and ``GridSearchCV``.

    Parameters
    ----------
    X : sequence of n ase.Atoms
        Structures with groups.
    target : {"energy", "force", "stress"}, default="force"
    key : str or None, default=None
        Key of the group in ``atoms.info``; for None see `read_groups`.

    Returns
    -------
    dict of str to RMSEScorer
        By name of the group.

    Raises
    ------
    ValueError
        If no structure has a group.

    Examples
    --------
    >>> from plip.datasets import load_silicon_carbide
    >>> from plip.metrics import group_scorers
    >>> train, _ = load_silicon_carbide()
    >>> sorted(group_scorers(train, target="energy"))[:2]
    ['rocksalt', 'vacancy']
    """
    names = read_groups(X, key)
    if names is None:
        raise ValueError("no structure names a group: give `key`, the key in atoms.info")
    return {name: RMSEScorer(target, name, key) for name in sorted(set(names.tolist()))}
