"""Splits by group or composition, structures in the shape of meta-estimators, learning curves."""

from plip.model_selection._learning import LearningCurve, learning_curve
from plip.model_selection._splits import StratifiedByGroup, as_column, composition_groups

__all__ = ["LearningCurve", "StratifiedByGroup", "as_column", "composition_groups", "learning_curve"]
