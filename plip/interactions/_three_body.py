"""The angular interaction of two arms."""

import itertools

import numpy as np

from plip.interactions._interaction import Interaction, as_integer

__all__ = ["ThreeBody"]


class ThreeBody(Interaction):
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

    kind = "three-body"
    n_arms = 2
    power_names = ("l",)

    def __init__(self, radial, max_power=5, mixed=False, cutoff=None):
        self.radial = radial
        self.max_power = max_power
        self.mixed = mixed
        self.cutoff = cutoff

    def _columns(self, species, functions):
        powers = self._powers()
        if not isinstance(self.mixed, (bool, np.bool_)):
            raise ValueError(f"mixed of ThreeBody must be True or False, got {self.mixed!r}")
        for center in species:
            for arms in itertools.combinations_with_replacement(species, 2):
                for pair in self._function_pairs(functions, same_species=arms[0] == arms[1]):
                    for power in powers:
                        yield {"species": (center, *arms), "radial": pair, "power": power}

    def _powers(self):
        max_power = as_integer("max_power of ThreeBody", self.max_power, 0)
        self._check_power("max_power", max_power)
        return range(max_power + 1)

    def _function_pairs(self, functions, same_species):
        """Radial functions of both arms; arms of the same species may be exchanged."""
        if not self.mixed:
            return ((function, function) for function in functions)
        if same_species:
            return itertools.combinations_with_replacement(functions, 2)
        return itertools.product(functions, repeat=2)

    def _count(self, n_species, n_functions):
        if self.mixed:
            arms = n_species * n_functions
            pairs = arms * (arms + 1) // 2
        else:
            pairs = n_species * (n_species + 1) // 2 * n_functions
        return n_species * pairs * len(self._powers())

    @classmethod
    def formula_of(cls, term):
        center, first, second = term.species
        order = "ordered " if first == second and term.radial[0] != term.radial[1] else ""
        angle = "" if term.power == 0 else f" cos(theta_jik)^{term.power}"
        return (
            f"sum over {center} i and {order}neighbours {first} j, {second} k of "
            f"{cls._arm(term, 0, 'r_ij')} {cls._arm(term, 1, 'r_ik')}{angle}"
        )
