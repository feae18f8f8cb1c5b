"""Figures of a potential and of a fit; they need matplotlib (``pip install matplotlib``).

They follow the convention of scikit-learn's Displays: a class method such as ``from_estimator`` computes and
draws, ``plot(ax=None)`` draws again, ``ax_`` and ``figure_`` are what was drawn.
"""

from plip.inspection._angle import AngleDisplay
from plip.inspection._density import DensityDisplay
from plip.inspection._learning import LearningDisplay
from plip.inspection._pair import PairDisplay
from plip.inspection._parity import ParityDisplay
from plip.inspection._partition import EquationOfStateDisplay, PartitionDisplay
from plip.inspection._path import PathDisplay, StabilityDisplay
from plip.inspection._uncertainty import UncertaintyDisplay

__all__ = [
    "AngleDisplay",
    "DensityDisplay",
    "EquationOfStateDisplay",
    "LearningDisplay",
    "PairDisplay",
    "ParityDisplay",
    "PartitionDisplay",
    "PathDisplay",
    "StabilityDisplay",
    "UncertaintyDisplay",
]
