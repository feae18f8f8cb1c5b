"""The scikit-learn estimators from structures to a potential."""

from plip.regressor._committee import fit_committee
from plip.regressor._cross_validation import PLIPRegressorCV
from plip.regressor._regressor import PLIPRegressor
from plip.regressor._self_check import FitError

__all__ = ["FitError", "PLIPRegressor", "PLIPRegressorCV", "fit_committee"]
