"""Which structures have others like them, so that something can be expected of them."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree
from sklearn.decomposition import PCA

from plip._design._rows import StructureDesign
from plip._types import BoolArray, FloatArray
from plip.audit._rows import fit_descriptors
from plip.labels import LabelledStructures

__all__ = ["find_support"]

# Principal components of the mean descriptors, and how many similar structures there must be.
_COMPONENTS = 10
_SIMILAR = 3
# So far from them are at most this share of the structures that fit; others may be so many times as far.
_QUANTILE, _FARTHER = 0.9, 1.5


def find_support(data: LabelledStructures, fits: BoolArray) -> tuple[BoolArray, FloatArray]:
    """Whether each structure has several others like it among those that fit, and how far these are.

    Parameters
    ----------
    data : LabelledStructures
    fits : (n,) bool
        Structures whose labels are as expected.

    Returns
    -------
    similar : (n,) bool
    distance : (n,) float64
        Over the median of structures that fit.
    """
    known = np.flatnonzero(fits)
    if len(known) <= _SIMILAR + 1:
        return np.zeros(len(data), bool), np.ones(len(data))
    features = _features(data)
    # Each counts itself.
    near = cKDTree(features[known]).query(features, k=_SIMILAR + 1)[0]
    distance = np.where(fits, near[:, -1], near[:, -2])
    usual, median = np.quantile(distance[known], [_QUANTILE, 0.5])
    return distance <= _FARTHER * usual, distance / max(median, 1e-12)


def _features(data: LabelledStructures) -> FloatArray:
    """Principal components of the mean descriptors and the composition of each structure."""
    descriptors = fit_descriptors(data, data, "fast")
    design = descriptors._design()
    rows = []
    for atoms in data.structures:
        structure = StructureDesign(design, atoms)
        rows.append(np.concatenate([structure.values, structure.counts]) / len(atoms))
    features = np.array(rows)
    size = features.std(axis=0)
    features = (features - features.mean(axis=0))[:, size > 0] / size[size > 0]
    n = min(_COMPONENTS, *features.shape)
    found: FloatArray = PCA(n, random_state=0).fit_transform(features)
    return found
