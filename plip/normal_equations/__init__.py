"""Normal equations: all that a linear fit needs to know of the data, in memory that does not grow."""

from plip.normal_equations._equations import NormalEquations

__all__ = ["NormalEquations"]
