"""The interactions that a potential may be made of, and their terms."""

from plip.interactions._parameters import FourBody, NBody, ThreeBody, TwoBody
from plip.interactions._terms import Term

__all__ = ["FourBody", "NBody", "Term", "ThreeBody", "TwoBody"]
