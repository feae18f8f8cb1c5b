"""The pair interaction."""

import itertools

from plip.interactions._interaction import Interaction

__all__ = ["TwoBody"]


class TwoBody(Interaction):
    """Pair interaction: the sum over pairs of atoms of ``g(r_ij)``.

    Parameters
    ----------
    radial : RadialFamily or list of RadialFamily
        Radial functions.
    cutoff : float or None, default=None
        Cutoff in Angstrom, at most that of the descriptors; None takes that one.
    """

    kind = "two-body"
    has_center = False

    def __init__(self, radial, cutoff=None):
        self.radial = radial
        self.cutoff = cutoff

    def _columns(self, species, functions):
        for pair in itertools.combinations_with_replacement(species, 2):
            for function in functions:
                yield {"species": pair, "radial": (function,)}

    def _count(self, n_species, n_functions):
        return n_species * (n_species + 1) // 2 * n_functions

    @classmethod
    def formula_of(cls, term):
        return f"sum over pairs {'-'.join(term.species)} of {cls._arm(term, 0, 'r')}"
