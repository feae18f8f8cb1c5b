"""The table of terms: what each column of a descriptor means, its name, its formula, its plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from plip._core import ANY, check_power, is_element
from plip._parameters import is_number
from plip.interactions._four_body import FourBody
from plip.interactions._interaction import Interaction, as_integer, as_length
from plip.interactions._n_body import NBody
from plip.interactions._sharing import Block
from plip.interactions._three_body import ThreeBody
from plip.interactions._two_body import TwoBody
from plip.radial import FAMILIES, RadialFamily

__all__ = ["INTERACTIONS", "KINDS", "Power", "Term", "build_terms"]

# None, l, m or (p, q, t); m may be 0.5.
Power: TypeAlias = float | tuple[int, ...] | None

# All interactions by their parameter of PLIPDescriptors, in the order of the columns.
INTERACTIONS: dict[str, type[Interaction]] = {
    "two_body": TwoBody,
    "three_body": ThreeBody,
    "n_body": NBody,
    "four_body": FourBody,
}

# The same by their name in terms and files.
KINDS = {interaction.kind: interaction for interaction in INTERACTIONS.values()}

# What describes a term in a file.
KEYS = {"interaction", "species", "radial", "power", "cutoff", "switch", "coefficient"}


@dataclass(frozen=True, eq=True)
class Term:
    """One term X_n of a potential: the meaning of one column.

    Terms are made by `plip.PLIPDescriptors` and read from files of potentials. They are values: they
    cannot be changed, and terms with the same contents are equal.

    Parameters
    ----------
    interaction : {"two-body", "three-body", "N-body", "four-body"}
        Kind of interaction.
    species : sequence of str
        Chemical symbols. Two-body: sorted pair; three-body: center, then the sorted arms; N-body: center,
        neighbor; four-body: center, then the arms in the order of `radial`. "*" in any place stands for
        atoms of every species, and comes first where species are sorted.
    radial : sequence of RadialFamily
        Scalar instances of `plip.radial`, one for each arm: one for two-body and N-body, two for
        three-body, three for four-body.
    power : None, int, 0.5 or (int, int, int), default=None
        None for two-body, the power l of the cosine for three-body, the power m of the density for N-body
        (0.5 is the root of a density of squares), the powers (p, q, t) of the three cosines for four-body.
    cutoff : float, default=5.0
        Cutoff r_c in Angstrom.
    switch : float or None, default=None
        N-body: shortest distance in Angstrom; the density is turned on between 0.95 and 1.05 times this
        distance. None for no switch.

    Attributes
    ----------
    name : str
        Unique name of the column.

    Raises
    ------
    ValueError
        If there is no such interaction, `species`, `radial` or `power` do not have as many entries as it
        needs, or an entry of `radial` is not a single function.

    Examples
    --------
    >>> from plip.interactions import Term
    >>> from plip.radial import Gaussian
    >>> term = Term("two-body", ("Si", "Si"), (Gaussian(eta=0.5, centers=2.0),), cutoff=5.0)
    >>> term.name
    'two-body Si-Si Gaussian(eta=0.5, centers=2)'
    >>> term.formula()
    'sum over pairs Si-Si of [exp(-0.5 (r - 2)^2)] fc(r; 5)'
    """

    interaction: str
    species: tuple[str, ...]
    radial: tuple[RadialFamily, ...]
    power: Power = None
    cutoff: float = 5.0
    switch: float | None = None

    def __post_init__(self) -> None:
        if self.interaction not in KINDS:
            raise ValueError(f"interaction must be one of {', '.join(KINDS)}, got {self.interaction!r}")
        object.__setattr__(self, "species", tuple(self.species))
        object.__setattr__(self, "radial", tuple(function.frozen() for function in self.radial))
        if isinstance(self.power, list):
            object.__setattr__(self, "power", tuple(self.power))
        kind = KINDS[self.interaction]
        if len(self.species) != kind.n_arms + 1 or len(self.radial) != kind.n_arms:
            raise ValueError(
                f"a {kind.kind} term has {kind.n_arms + 1} species and {kind.n_arms} radial functions, got "
                f"{self.species!r} and {self.radial!r}"
            )
        if not kind.is_power(self.power):
            names = ", ".join(kind.power_names) or "None"
            raise ValueError(f"the power of a {kind.kind} term is {names}, got {self.power!r}")

    @property
    def name(self) -> str:
        """Unique name of the column, such as ``two-body Si-Si Gaussian(eta=0.5, centers=2)``."""
        return KINDS[self.interaction].name_of(self)

    def formula(self) -> str:
        """The term as an equation in text.

        Returns
        -------
        str
            Distances are in Angstrom. ``fc(r; r_c)`` is the cosine cutoff, ``fs(r; r_1, r_2)`` the switch
            of a density, which are in the documentation of the model. Three-body: "neighbors j, k" are pairs
            of different neighbors, each once, "ordered neighbors" each in both orders. Four-body: "all
            neighbors j, k, m" are all ordered triplets, in which neighbors may be the same.
        """
        return KINDS[self.interaction].formula_of(self)

    def latex(self) -> str:
        """The term as LaTeX for mathematics; see `formula`.

        Returns
        -------
        str
            ``f_c^{5}(r)`` is the cosine cutoff at 5 Angstrom, ``f_s^{1.71, 1.89}(r)`` the switch of a density
            between these distances, and ``[r > 0.5]`` 1 where that holds, else 0.
        """
        return KINDS[self.interaction].latex_of(self)

    def to_dict(self) -> dict[str, Any]:
        """The term as plain data for JSON.

        Returns
        -------
        dict
            `from_dict` makes an equal term of it, to the last bit.
        """
        data: dict[str, Any] = {
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
    def from_dict(cls, data: dict[str, Any]) -> Term:
        """Make a term of plain data.

        Parameters
        ----------
        data : dict
            As from `to_dict`; an entry "coefficient" is ignored.

        Returns
        -------
        Term

        Raises
        ------
        ValueError
            If the data do not describe a term.
        """
        try:
            if not data.keys() <= KEYS:
                raise ValueError(f"unknown entries: {', '.join(sorted(data.keys() - KEYS))}")
            species, radial, switch = data["species"], data["radial"], data.get("switch")
            if not isinstance(species, list) or not all(s == ANY or is_element(s) for s in species):
                raise ValueError("species must be a list of chemical symbols, or * for any")
            if not isinstance(radial, list):
                raise ValueError("radial must be a list")
            cutoff = as_length("cutoff", data["cutoff"])
            term = cls(
                data["interaction"],
                tuple(species),
                tuple(_read_function(function, cutoff) for function in radial),
                _read_power(data["interaction"], data.get("power")),
                cutoff,
                None if switch is None else as_length("switch", switch),
            )
            check_power(term.interaction, term.power)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ValueError(f"not the description of a term: {data!r} ({error})") from error
        return term


def _read_function(data: dict[str, Any], cutoff: float) -> RadialFamily:
    family = FAMILIES[data["family"]]
    names = family._parameter_names()
    if set(data) != {"family", *names}:
        raise ValueError(f"{family.__name__} has the parameters {', '.join(names)}")
    for name in names:
        if not is_number(data[name]):
            raise ValueError(f"{family.__name__}: {name} must be a number, got {data[name]!r}")
    (function,) = family(**{name: float(data[name]) for name in names}).grid(cutoff)
    return function


def _read_power(interaction: object, data: object) -> Power:
    if isinstance(data, list):
        return tuple(as_integer("power", value, 0) for value in data)
    if interaction == NBody.kind and is_number(data) and data == NBody.root:
        return NBody.root
    return None if data is None else as_integer("power", data, 0)


def build_terms(
    species: Sequence[str],
    cutoff: float,
    blocks: Mapping[str, Sequence[Block]] | None = None,
    **interactions: Interaction | None,
) -> list[Term]:
    """The columns of a set of interactions, in their fixed order.

    Parameters
    ----------
    species : sequence of str
        Chemical symbols, sorted.
    cutoff : float
        Cutoff of the descriptors in Angstrom.
    blocks : mapping or None, default=None
        By name of `INTERACTIONS`: blocks of columns in place of all combinations of species.
    **interactions
        By name of `INTERACTIONS`; one that is None or missing is left out.

    Returns
    -------
    list of Term
        Two-body, three-body, N-body, four-body; within each by block, species, radial functions and power.

    Raises
    ------
    ValueError
        If a parameter of an interaction is not valid, or no interaction is left.
    """
    cutoff = as_length("cutoff", cutoff)
    terms: list[Term] = []
    for name, kind in INTERACTIONS.items():
        own = interactions.pop(name, None)
        offered = [Block(own)] if own is not None else []
        for block in (blocks or {}).get(name, offered):
            if not isinstance(block.interaction, kind):
                raise ValueError(
                    f"{name} must be a {kind.__name__}, 'auto' or None, got {block.interaction!r}"
                )
            columns = block.interaction.columns(species, cutoff, block.sharing)
            terms += [Term(**column) for column in columns if block.keeps(column["species"])]
    if interactions:
        raise TypeError(f"there is no interaction {', '.join(interactions)}")
    if not terms:
        raise ValueError(f"every interaction is None: give at least one of {', '.join(INTERACTIONS)}")
    return terms
