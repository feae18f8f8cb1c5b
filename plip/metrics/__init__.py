"""Errors of predicted energies, forces and stresses, and scorers for scikit-learn's model selection.

The scorers `neg_energy_rmse`, `neg_force_rmse`, `neg_stress_rmse` and those of `group_scorers` go into
``scoring=`` of ``GridSearchCV``, ``cross_validate`` and their kin.
"""

from plip.metrics._errors import UNITS, cancellation, coverage, energy_r2, errors, force_r2, score
from plip.metrics._evaluation import Deviations, Evaluation, error_summary, read_groups
from plip.metrics._scorers import RMSEScorer, group_scorers, neg_energy_rmse, neg_force_rmse, neg_stress_rmse

__all__ = [
    "Deviations",
    "Evaluation",
    "RMSEScorer",
    "UNITS",
    "cancellation",
    "coverage",
    "energy_r2",
    "error_summary",
    "errors",
    "force_r2",
    "group_scorers",
    "neg_energy_rmse",
    "neg_force_rmse",
    "neg_stress_rmse",
    "read_groups",
    "score",
]
