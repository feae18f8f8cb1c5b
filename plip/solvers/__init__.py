"""Paths of sparse linear models, computed from normal equations alone."""

from plip.solvers._paths import (
    SOLVERS,
    adaptive_lasso_path,
    lasso_lars_path,
    omp_path,
    refit,
    refit_path,
    replacement_path,
    ridge_elimination_path,
    ridge_path,
    solve,
)
from plip.solvers._problem import LinearProblem, Path, PathError, residual_squares

__all__ = [
    "LinearProblem",
    "Path",
    "PathError",
    "SOLVERS",
    "adaptive_lasso_path",
    "lasso_lars_path",
    "omp_path",
    "refit",
    "refit_path",
    "replacement_path",
    "residual_squares",
    "ridge_elimination_path",
    "ridge_path",
    "solve",
]
