"""The interactions that a potential may be made of: their parameters, and nothing else.

What the columns of each interaction are is said in `plip.interactions._terms`; parameters are
checked when descriptors are fitted.
"""

from plip._parameters import Parameters

__all__ = ["FourBody", "NBody", "ThreeBody", "TwoBody"]


class TwoBody(Parameters):
    """Pair interaction: the sum over pairs of atoms of ``g(r_ij)``.

    Parameters
    ----------
    radial : RadialFamily or list of RadialFamily
        Radial functions.
    cutoff : float or None, default=None
        Cutoff in Angstrom, at most that of the descriptors; None takes that one.
    """

    def __init__(self, radial, cutoff=None):
        self.radial = radial
        self.cutoff = cutoff


class ThreeBody(Parameters):
    """Angular interaction: the sum over triplets of ``g_a(r_ij) g_b(r_ik) cos^l(theta_jik)``.

    Parameters
    ----------
    radial : RadialFamily or list of RadialFamily
        Radial functions of the arms.
    max_power : int, default=5
        Largest power l of the cosine; all from 0 on are offered.
    mixed : bool, default=False
        Whether the two arms may have different radial functions.
    cutoff : float or None, default=None
        Cutoff in Angstrom, at most that of the descriptors; None takes that one.
    """

    def __init__(self, radial, max_power=5, mixed=False, cutoff=None):
        self.radial = radial
        self.max_power = max_power
        self.mixed = mixed
        self.cutoff = cutoff


class NBody(Parameters):
    """Embedding interaction: the sum over atoms of ``(sum_j g(r_ij) f_s(r_ij))^m``.

    Parameters
    ----------
    radial : RadialFamily or list of RadialFamily
        Radial functions of the density.
    powers : sequence of int, default=(4, 5, 6, 7)
        Powers m of the density, from 2 on.
    switch : dict or None, default=None
        Shortest distances in Angstrom by unordered pair of chemical symbols, such as
        ``{("Si", "O"): 2.4}``. The density of such a pair is turned on between 0.95
        and 1.05 times that distance. None means no switch.
    cutoff : float or None, default=None
        Cutoff in Angstrom, at most that of the descriptors; None takes that one.
    """

    def __init__(self, radial, powers=(4, 5, 6, 7), switch=None, cutoff=None):
        self.radial = radial
        self.powers = powers
        self.switch = switch
        self.cutoff = cutoff


class FourBody(Parameters):
    """Interaction of three arms: the sum over ordered neighbours j, k, m of
    ``g_a(r_ij) g_b(r_ik) g_c(r_im) cos^p(theta_jik) cos^q(theta_kim) cos^t(theta_mij)``.

    Neighbours that coincide are included; those parts are two- and three-body functions.

    Parameters
    ----------
    radial : RadialFamily or list of RadialFamily
        Radial functions of the arms.
    ranks : sequence of (int, int, int), default=((1, 1, 0), (1, 1, 1), (2, 1, 0))
        Powers (p, q, t) of the three cosines.
    cutoff : float or None, default=None
        Cutoff in Angstrom, at most that of the descriptors; None takes that one.
    """

    def __init__(self, radial, ranks=((1, 1, 0), (1, 1, 1), (2, 1, 0)), cutoff=None):
        self.radial = radial
        self.ranks = ranks
        self.cutoff = cutoff
