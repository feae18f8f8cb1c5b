"""The table of terms: what each column of a descriptor means, its name and its formula."""

import itertools
import numbers
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers

from plip._core import check_length, check_power, is_element
from plip.interactions._parameters import FourBody, NBody, ThreeBody, TwoBody
from plip.radial import FAMILIES, RadialFamily, number_text

__all__ = ["Term", "build_terms"]

# The switch of a density runs between these multiples of the shortest distance
# (Benoit et al., Mach. Learn.: Sci. Technol. 2, 025003 (2020)).
SWITCH_RANGE = (0.95, 1.05)
# What describes a term in a file.
KEYS = {"interaction", "species", "radial", "power", "cutoff", "switch", "coefficient"}


@dataclass(frozen=True, eq=True)
class Term:
    """One interaction X_n of the model, the meaning of one column.

    Attributes
    ----------
    interaction : {"two-body", "three-body", "N-body", "four-body"}
        Kind of interaction.
    species : tuple of str
        Chemical symbols. Two-body: sorted pair; three-body: centre, then the sorted
        arms; N-body: centre, neighbour; four-body: centre, then the arms in the order of `radial`.
    radial : tuple of RadialFamily
        Scalar instances: one function for two-body and N-body, one per arm for
        three-body (2) and four-body (3).
    power : None, int or tuple of int
        None (two-body), l (three-body), m (N-body) or (p, q, t) (four-body).
    cutoff : float
        Cutoff r_c in Angstrom.
    switch : float or None
        Shortest distance in Angstrom of the switch of an N-body density, None for no switch.
    """

    interaction: str
    species: tuple
    radial: tuple
    power: object = None
    cutoff: float = 5.0
    switch: float | None = None

    def __post_init__(self):
        object.__setattr__(self, "species", tuple(self.species))
        object.__setattr__(self, "radial", tuple(function.frozen() for function in self.radial))
        if isinstance(self.power, list):
            object.__setattr__(self, "power", tuple(self.power))

    @property
    def name(self):
        """Unique name of the column, such as ``two-body Si-Si Gaussian(eta=0.5, centers=2)``."""
        species = "-".join(self.species)
        if self.interaction == "three-body":
            species = f"{self.species[0]}({self.species[1]},{self.species[2]})"
        elif self.interaction == "four-body":
            species = f"{self.species[0]}({','.join(self.species[1:])})"
        elif self.interaction == "N-body":
            species = f"{self.species[0]}({self.species[1]})"
        same = all(function == self.radial[0] for function in self.radial)
        functions = [function.label() for function in (self.radial[:1] if same else self.radial)]
        text = f"{self.interaction} {species} {' '.join(functions)}"
        if self.interaction == "three-body":
            text += f" l={self.power}"
        elif self.interaction == "N-body":
            text += f" m={self.power}"
        elif self.interaction == "four-body":
            text += " p={} q={} t={}".format(*self.power)
        return text

    def formula(self):
        """The term as an equation in text; distances are in Angstrom, fc is the cosine cutoff."""
        cutoff = number_text(self.cutoff)

        def g(index, distance):
            return f"[{self.radial[index].formula(distance)}] fc({distance}; {cutoff})"

        if self.interaction == "two-body":
            return f"sum over pairs {'-'.join(self.species)} of {g(0, 'r')}"
        centre, arms = self.species[0], self.species[1:]
        if self.interaction == "N-body":
            density = g(0, "r")
            if self.switch is not None:
                low, high = (number_text(factor * self.switch) for factor in SWITCH_RANGE)
                density += f" fs(r; {low}, {high})"
            return f"sum over {centre} of (sum over neighbours {arms[0]} of {density})^{self.power}"
        if self.interaction == "three-body":
            kind = "ordered " if arms[0] == arms[1] and self.radial[0] != self.radial[1] else ""
            angle = "" if self.power == 0 else f" cos(theta_jik)^{self.power}"
            return (
                f"sum over {centre} i and {kind}neighbours {arms[0]} j, {arms[1]} k of "
                f"{g(0, 'r_ij')} {g(1, 'r_ik')}{angle}"
            )
        angles = "".join(
            f" cos(theta_{angle})^{power}"
            for angle, power in zip(("jik", "kim", "mij"), self.power, strict=True)
            if power
        )
        return (
            f"sum over {centre} i and all neighbours {arms[0]} j, {arms[1]} k, {arms[2]} m of "
            f"{g(0, 'r_ij')} {g(1, 'r_ik')} {g(2, 'r_im')}{angles}"
        )

    def to_dict(self):
        """Plain data for JSON; `from_dict` is its inverse, to the last bit."""
        data = {
            "interaction": self.interaction,
            "species": list(self.species),
            "radial": [
                {"family": type(function).__name__, **function.get_params()} for function in self.radial
            ],
            "cutoff": self.cutoff,
        }
        if self.power is not None:
            data["power"] = list(self.power) if isinstance(self.power, tuple) else self.power
        if self.switch is not None:
            data["switch"] = self.switch
        return data

    @classmethod
    def from_dict(cls, data):
        """Term of plain data.

        Raises
        ------
        ValueError
            If the data do not describe a term.
        """
        try:
            interaction, species, radial = data["interaction"], data["species"], data["radial"]
            n_functions = {"two-body": 1, "N-body": 1, "three-body": 2, "four-body": 3}[interaction]
            n_species = {"two-body": 2, "N-body": 2, "three-body": 3, "four-body": 4}[interaction]
            power, switch = data.get("power"), data.get("switch")
            if isinstance(power, list):
                power = tuple(_integer("power", value, 0) for value in power)
            elif power is not None:
                power = _integer("power", power, 0)
            expected = {"two-body": type(None), "four-body": tuple}.get(interaction, int)
            valid = (
                data.keys() <= KEYS
                and isinstance(radial, list)
                and len(radial) == n_functions
                and isinstance(species, list)
                and len(species) == n_species
                and all(is_element(symbol) for symbol in species)
                and isinstance(power, expected)
                and (interaction != "four-body" or len(power) == 3)
            )
            if not valid:
                raise ValueError("its parts do not fit together")
            check_power(interaction, power)
            return cls(
                interaction,
                tuple(species),
                tuple(_function_from_dict(item) for item in radial),
                power,
                _length("cutoff", data["cutoff"]),
                None if switch is None else _length("switch", switch),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ValueError(f"not the description of a term: {data!r} ({error})") from error


def _function_from_dict(data):
    family = FAMILIES[data["family"]]
    names = family._parameter_names()
    if set(data) != {"family", *names}:
        raise ValueError(f"{family.__name__} has the parameters {', '.join(names)}")
    for name in names:
        if not isinstance(data[name], numbers.Real) or isinstance(data[name], bool):
            raise ValueError(f"{family.__name__}: {name} must be a number, got {data[name]!r}")
    (function,) = family(**{name: float(data[name]) for name in names}).grid(None)
    return function


def _integer(name, value, least):
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
    return int(value)


def _length(name, value):
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise ValueError(f"{name} must be a length in Angstrom, got {value!r}")
    check_length(name, value)
    return float(value)


def _check_power(name, interaction, power):
    try:
        check_power(interaction, power)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _cutoff(interaction, cutoff):
    """Cutoff of an interaction: its own or that of the descriptors."""
    if interaction.cutoff is None:
        return cutoff
    own = _length(f"cutoff of {type(interaction).__name__}", interaction.cutoff)
    if own > cutoff:
        raise ValueError(
            f"cutoff of {type(interaction).__name__} is {own}, beyond the cutoff {cutoff} of the "
            "descriptors: raise the latter"
        )
    return own


def _functions(interaction, cutoff):
    """The radial functions of an interaction as scalar instances."""
    radial = interaction.radial
    families = list(radial) if isinstance(radial, (list, tuple)) else [radial]
    name = type(interaction).__name__
    if not families or not all(isinstance(family, RadialFamily) for family in families):
        raise ValueError(f"radial of {name} must be a radial family or a list of them, got {radial!r}")
    functions = [function for family in families for function in family.grid(cutoff)]
    seen = set()
    for function in functions:
        if function in seen or seen.add(function):
            raise ValueError(f"radial of {name} has {function.label()} twice: leave one out")
    return functions


def _two_body(interaction, species, cutoff):
    functions = _functions(interaction, cutoff)
    for pair in itertools.combinations_with_replacement(species, 2):
        for function in functions:
            yield Term("two-body", pair, (function,), None, cutoff)


def _three_body(interaction, species, cutoff):
    functions = _functions(interaction, cutoff)
    max_power = _integer("max_power of ThreeBody", interaction.max_power, 0)
    _check_power("max_power of ThreeBody", "three-body", max_power)
    powers = range(max_power + 1)
    if not isinstance(interaction.mixed, (bool, np.bool_)):
        raise ValueError(f"mixed of ThreeBody must be True or False, got {interaction.mixed!r}")
    for centre in species:
        for arms in itertools.combinations_with_replacement(species, 2):
            if not interaction.mixed:
                pairs = [(function, function) for function in functions]
            elif arms[0] == arms[1]:
                pairs = itertools.combinations_with_replacement(functions, 2)
            else:
                pairs = itertools.product(functions, repeat=2)
            for pair in pairs:
                for power in powers:
                    yield Term("three-body", (centre, *arms), pair, power, cutoff)


def _switches(switch, species):
    """Shortest distance by unordered pair of species, checked."""
    if switch is None:
        return {}
    if not isinstance(switch, dict):
        raise ValueError(f"switch of NBody must be a dict such as {{('Si', 'O'): 2.4}}, got {switch!r}")
    distances = {}
    for pair, value in switch.items():
        if not isinstance(pair, tuple) or len(pair) != 2 or not all(s in atomic_numbers for s in pair):
            raise ValueError(f"keys of switch must be pairs of chemical symbols, got {pair!r}")
        distance = _length(f"switch of {pair}", value)
        if distances.setdefault(tuple(sorted(pair)), distance) != distance:
            raise ValueError(f"switch gives two distances for the pair {pair}: leave one out")
    return distances


def _n_body(interaction, species, cutoff):
    functions = _functions(interaction, cutoff)
    powers = interaction.powers
    powers = list(powers) if np.iterable(powers) else [powers]
    powers = [_integer("powers of NBody", power, 2) for power in powers]
    if not powers or len(set(powers)) < len(powers):
        raise ValueError(f"powers of NBody must be different integers from 2 on, got {interaction.powers!r}")
    for power in powers:
        _check_power("powers of NBody", "N-body", power)
    switches = _switches(interaction.switch, species)
    for centre, neighbour in itertools.product(species, repeat=2):
        switch = switches.get(tuple(sorted((centre, neighbour))))
        for function in functions:
            for power in powers:
                yield Term("N-body", (centre, neighbour), (function,), power, cutoff, switch)


def arm_permutations(rank):
    """Permutations of the three arms that leave the powers (p, q, t) unchanged.

    The cosines belong to the pairs of arms (0, 1), (1, 2) and (2, 0).
    """
    pairs = (frozenset((0, 1)), frozenset((1, 2)), frozenset((2, 0)))
    powers = dict(zip(pairs, rank, strict=True))
    return [
        order
        for order in itertools.permutations(range(3))
        if all(powers[frozenset(order[arm] for arm in pair)] == powers[pair] for pair in pairs)
    ]


def _four_body(interaction, species, cutoff):
    functions = _functions(interaction, cutoff)
    try:
        ranks = [
            tuple(_integer("ranks of FourBody", power, 0) for power in rank) for rank in interaction.ranks
        ]
    except TypeError:
        ranks = []
    if not ranks or any(len(rank) != 3 for rank in ranks) or len(set(ranks)) < len(ranks):
        raise ValueError(
            f"ranks of FourBody must be different triples of powers (p, q, t), got {interaction.ranks!r}"
        )
    for rank in ranks:
        _check_power("ranks of FourBody", "four-body", rank)
    arms = list(itertools.product(range(len(species)), range(len(functions))))
    for centre in species:
        for rank in ranks:
            orders = arm_permutations(rank)
            for triple in itertools.product(arms, repeat=3):
                if all(triple <= tuple(triple[arm] for arm in order) for order in orders):
                    symbols = tuple(species[s] for s, _ in triple)
                    radial = tuple(functions[f] for _, f in triple)
                    yield Term("four-body", (centre, *symbols), radial, rank, cutoff)


def build_terms(species, cutoff, two_body=None, three_body=None, n_body=None, four_body=None):
    """The columns of a set of interactions, in their fixed order.

    Parameters
    ----------
    species : sequence of str
        Chemical symbols, sorted.
    cutoff : float
        Cutoff of the descriptors in Angstrom.
    two_body, three_body, n_body, four_body : interaction or None
        Interactions of `plip.interactions`; None leaves one out.

    Returns
    -------
    list of Term
        Two-body, three-body, N-body, four-body; within each by species, radial
        functions and power.

    Raises
    ------
    ValueError
        If a parameter of an interaction is not valid, or no interaction is left.
    """
    cutoff = _length("cutoff", cutoff)
    terms = []
    for name, kind, interaction, columns in (
        ("two_body", TwoBody, two_body, _two_body),
        ("three_body", ThreeBody, three_body, _three_body),
        ("n_body", NBody, n_body, _n_body),
        ("four_body", FourBody, four_body, _four_body),
    ):
        if interaction is None:
            continue
        if not isinstance(interaction, kind):
            raise ValueError(f"{name} must be a {kind.__name__}, 'auto' or None, got {interaction!r}")
        terms += columns(interaction, species, _cutoff(interaction, cutoff))
    if not terms:
        raise ValueError(
            "every interaction is None: give at least one of two_body, three_body, n_body, four_body"
        )
    return terms
