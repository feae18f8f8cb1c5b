"""The potential of what a user gives where one is expected."""

from typing import Any

from plip.potential._potential import Potential

__all__ = ["as_estimator", "as_potential", "potential_of"]


def potential_of(model: Any) -> Potential | None:
    """The potential that a model is or has, that of the best estimator for a search, or None."""
    model = getattr(model, "best_estimator_", model)
    potential = getattr(model, "potential_", model)
    return potential if isinstance(potential, Potential) else None


def as_potential(model: Any) -> Potential:
    """The same, or an error that says what to give."""
    potential = potential_of(model)
    if potential is None:
        raise TypeError(
            "expected a Potential or an estimator that was fitted to structures, got "
            f"{type(model).__name__}: give load_potential(path), an estimator after fit, or the last step of "
            "a pipeline"
        )
    return potential


def as_estimator(model: Any) -> Any:
    """A fitted estimator, that of a search or the one given."""
    estimator = getattr(model, "best_estimator_", model)
    if not (hasattr(estimator, "potential_") and hasattr(estimator, "path_")):
        raise TypeError(
            "expected a PLIPRegressor or PLIPRegressorCV that was fitted to structures, got "
            f"{type(model).__name__}: give one after fit"
        )
    return estimator
