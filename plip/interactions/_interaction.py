"""What every interaction says of itself.

Each interaction is one module beside this one: a subclass of `Interaction` that holds the parameters
which a user gives and knows the columns that follow from them, their number, their names and formulas.
It is listed in `plip.interactions._terms.INTERACTIONS`. How its columns are computed is written for fits
in `plip._design._plan` and for potentials in `plip._core`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from plip._core import ANY, check_length, check_power
from plip._parameters import Parameters, is_integer, is_number
from plip.radial import RadialFamily, number_latex, number_text

if TYPE_CHECKING:
    from plip.interactions._terms import Power, Term

__all__ = [
    "Functions",
    "Interaction",
    "Places",
    "Sharing",
    "as_integer",
    "as_length",
    "latex_cosine",
    "latex_symbol",
    "text_cosine",
]

# What users give for radial functions.
Functions: TypeAlias = RadialFamily | Sequence[RadialFamily]

# Which places of a term are "*": one for each of its species, in their order. () stands for none.
Sharing: TypeAlias = tuple[bool, ...]

# What may stand at each place of a term: all species, or "*" alone.
Places: TypeAlias = Sequence[Sequence[str]]


def as_integer(name: str, value: object, least: int) -> int:
    """The value as an int; a ValueError with its name if it is no integer of at least `least`."""
    if not is_integer(value) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
    return int(value)


def as_length(name: str, value: object) -> float:
    """The value as a float; a ValueError with its name if it is no cutoff or switch distance."""
    if not is_number(value):
        raise ValueError(f"{name} must be a length in Angstrom, got {value!r}")
    check_length(name, value)
    return float(value)


class Interaction(Parameters):
    """Base of the interactions.

    A subclass sets the attributes below and has the methods `_columns`, `_count`, `formula_of` and
    `latex_of`, and `exponent` if its terms are powers. Its parameters are checked when the columns are made.

    Attributes
    ----------
    kind : str
        Name of the interaction, as in `Term.interaction`.
    n_arms : int
        Number of radial functions of a term; it has one species more.
    has_center : bool
        True if a term is a sum over centers, whose species comes first, and their neighbors; False if it
        is a sum over pairs of atoms, each counted once.
    power_names : tuple of str
        Names of the numbers in `Term.power`, which is None without names, an int for one, a tuple for more.
    """

    kind: ClassVar[str] = ""
    n_arms: ClassVar[int] = 1
    has_center: ClassVar[bool] = True
    power_names: ClassVar[tuple[str, ...]] = ()

    radial: Functions
    cutoff: float | None

    def columns(
        self, species: Sequence[str], cutoff: float, sharing: Sharing = ()
    ) -> Iterator[dict[str, Any]]:
        """All terms of this interaction, in their order.

        Parameters
        ----------
        species : sequence of str
            Chemical symbols, sorted.
        cutoff : float
            Cutoff of the descriptors in Angstrom.
        sharing : tuple of bool, default=()
            Which places of the terms are for atoms of any species.

        Yields
        ------
        dict
            Parameters of a `Term`.

        Raises
        ------
        ValueError
            If a parameter of the interaction is not valid.
        """
        own = self._own_cutoff(cutoff)
        places = [(ANY,) if shared else tuple(species) for shared in self._checked_sharing(sharing)]
        # Frozen once, so that terms share them.
        functions = [function.frozen() for function in self._functions(own)]
        for column in self._columns(places, functions):
            yield {"interaction": self.kind, "cutoff": own, **column}

    def count(self, n_species: int, cutoff: float, sharing: Sharing = ()) -> int:
        """Number of terms, without making them.

        Parameters
        ----------
        n_species : int
            Number of species.
        cutoff : float
            Cutoff of the descriptors in Angstrom.
        sharing : tuple of bool, default=()
            Which places of the terms are for atoms of any species.

        Returns
        -------
        int
        """
        numbers = [1 if shared else n_species for shared in self._checked_sharing(sharing)]
        return self._count(numbers, len(self._functions(self._own_cutoff(cutoff))))

    def _checked_sharing(self, sharing: Sharing) -> Sharing:
        """A value for each place; of neighbors that may change places, those of any species come first."""
        if not sharing:
            return (False,) * (self.n_arms + 1)
        assert len(sharing) == self.n_arms + 1
        center = sharing[:1] if self.has_center else ()
        return *center, *sorted(sharing[len(center) :], reverse=True)

    def _columns(self, places: Places, functions: list[RadialFamily]) -> Iterator[dict[str, Any]]:
        """The terms without what all of them share: dicts with species, radial, and power if there is one."""
        raise NotImplementedError

    def _count(self, numbers: Sequence[int], n_functions: int) -> int:
        """Number of terms for so many species at each place, and radial functions."""
        raise NotImplementedError

    @classmethod
    def formula_of(cls, term: Term) -> str:
        """See `Term.formula`."""
        raise NotImplementedError

    @classmethod
    def latex_of(cls, term: Term) -> str:
        """See `Term.latex`."""
        raise NotImplementedError

    @classmethod
    def name_of(cls, term: Term) -> str:
        """See `Term.name`."""
        center, *arms = term.species
        species = f"{center}({','.join(arms)})" if cls.has_center else "-".join(term.species)
        functions = term.radial[:1] if len(set(term.radial)) == 1 else term.radial
        labels = [function.label() for function in functions]
        powers = [f"{name}={power}" for name, power in zip(cls.power_names, cls._powers(term), strict=True)]
        return " ".join([cls.kind, species, *labels, *powers])

    @classmethod
    def is_power(cls, power: object) -> bool:
        """Whether this can be the power of a term: None, a number or a tuple, see `power_names`."""
        if len(cls.power_names) > 1:
            return isinstance(power, tuple) and len(power) == len(cls.power_names)
        return not isinstance(power, tuple) and (power is not None) == bool(cls.power_names)

    @staticmethod
    def _powers(term: Term) -> tuple[float, ...]:
        """The numbers in `Term.power`."""
        if term.power is None:
            return ()
        return term.power if isinstance(term.power, tuple) else (term.power,)

    @classmethod
    def exponent(cls, power: Any) -> int:
        """Exponent that the product of the sums over neighbors has in a term of this power."""
        return 1

    def _own_cutoff(self, cutoff: float) -> float:
        """Cutoff of the interaction: its own, or that of the descriptors."""
        if self.cutoff is None:
            return cutoff
        name = type(self).__name__
        own = as_length(f"cutoff of {name}", self.cutoff)
        if own > cutoff:
            raise ValueError(
                f"cutoff of {name} is {own}, beyond the cutoff {cutoff} of the descriptors: raise the latter"
            )
        return own

    def _functions(self, cutoff: float) -> list[RadialFamily]:
        """The radial functions as scalar instances."""
        radial: Any = self.radial
        families = list(radial) if isinstance(radial, (list, tuple)) else [radial]
        name = type(self).__name__
        if not families or not all(isinstance(family, RadialFamily) for family in families):
            raise ValueError(f"radial of {name} must be a radial family or a list of them, got {radial!r}")
        functions = [function for family in families for function in family.grid(cutoff)]
        seen: set[RadialFamily] = set()
        for function in functions:
            if function in seen:
                raise ValueError(f"radial of {name} has {function.label()} twice: leave one out")
            seen.add(function)
        return functions

    def _check_power(self, parameter: str, power: Power) -> None:
        """Raise a ValueError that names the parameter if a power cannot be evaluated."""
        try:
            check_power(self.kind, power)
        except ValueError as error:
            raise ValueError(f"{parameter} of {type(self).__name__}: {error}") from None

    @staticmethod
    def _atoms(symbol: str, letter: str = "") -> str:
        """A place of a term in its formula."""
        return f"{'any' if symbol == ANY else symbol} {letter}".rstrip()

    @staticmethod
    def _arm(term: Term, number: int, distance: str) -> str:
        """One radial function of a term in its formula."""
        return f"[{term.radial[number].formula(distance)}] fc({distance}; {number_text(term.cutoff)})"

    @staticmethod
    def _latex_arm(term: Term, number: int, distance: str) -> str:
        """One radial function of a term as LaTeX."""
        function = term.radial[number].latex(distance)
        return f"{function}\\, f_c^{{{number_latex(term.cutoff)}}}({distance})"


def latex_symbol(symbol: str) -> str:
    """The species of an atom as LaTeX; ``*`` is any species."""
    return "\\ast" if symbol == "*" else f"\\mathrm{{{symbol}}}"


def text_cosine(angle: str, power: float) -> str:
    """A power of the cosine of an angle between three atoms; nothing for the power 0."""
    if power == 0:
        return ""
    return f" cos(theta_{angle})" + (f"^{power}" if power > 1 else "")


def latex_cosine(angle: str, power: float) -> str:
    """A power of the cosine of an angle between three atoms as LaTeX; nothing for the power 0."""
    if power == 0:
        return ""
    return f" \\cos{f'^{{{power}}}' if power > 1 else ''} \\theta_{{{angle}}}"
