"""The interactions that a potential may be made of, and their terms."""

from plip.interactions._four_body import FourBody
from plip.interactions._n_body import NBody
from plip.interactions._terms import Term
from plip.interactions._three_body import ThreeBody
from plip.interactions._two_body import TwoBody

__all__ = ["FourBody", "NBody", "Term", "ThreeBody", "TwoBody"]
