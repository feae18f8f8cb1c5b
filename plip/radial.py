"""Radial families phi(r), the cutoff function, and the grids of parameters that users give.

Every radial function of a descriptor is ``g(r) = phi(r) f_c(r)``. A family gives phi alone; the
cutoff function f_c multiplies all of them.

References
----------
Radial families: M. Benoit et al., Mach. Learn.: Sci. Technol. 2, 025003 (2021);
cutoff function: J. Behler and M. Parrinello, Phys. Rev. Lett. 98, 146401 (2007).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from plip import _core
from plip._parameters import Parameters, is_integer, is_number
from plip._types import FloatArray

__all__ = [
    "FAMILIES",
    "Gaussian",
    "GaussianType",
    "LennardJones",
    "LogNormal",
    "Lorentzian",
    "Power",
    "RadialFamily",
    "Slater",
    "StillingerWeber",
    "cutoff_function",
]


def cutoff_function(r: ArrayLike, cutoff: float) -> tuple[FloatArray, FloatArray]:
    """Cosine cutoff ``f_c(r) = (1 + cos(pi r / r_c)) / 2`` for ``r < r_c``, else 0.

    Parameters
    ----------
    r : array_like, float64
        Distances in Angstrom, any shape.
    cutoff : float
        Cutoff r_c in Angstrom.

    Returns
    -------
    value, derivative : ndarray, float64
        f_c and d f_c / d r (1/Angstrom), of the shape of `r`.

    Examples
    --------
    >>> from plip.radial import cutoff_function
    >>> value, derivative = cutoff_function([0.0, 2.5, 5.0], cutoff=5.0)
    >>> value.round(4)
    array([1. , 0.5, 0. ])
    """
    value, derivative, _ = _core.cutoff_function(cutoff, r)
    return value, derivative


# Counted centers begin at this share of the cutoff. No atoms come closer (1 Angstrom for a cutoff of 5), and
# functions that hardly ever meet one spoil a fit.
_COUNT_START = 0.2
# Normal equations of more columns than this do not fit into memory.
_MOST_CENTERS = 10_000


def number_text(x: float) -> str:
    """The shortest decimal that is exactly `x`: ``2`` for 2.0, ``0.1`` for 0.1."""
    return repr(float(x)).removesuffix(".0")


def number_latex(x: float) -> str:
    """A number as LaTeX: ``2``, ``0.1``, ``1.5 \\times 10^{-7}``."""
    digits, _, exponent = number_text(x).partition("e")
    return f"{digits} \\times 10^{{{int(exponent)}}}" if exponent else digits


def _values(family: str, name: str, value: ArrayLike) -> FloatArray:
    """One-dimensional finite float64 array of a grid parameter."""
    try:
        plain = np.asarray(value, dtype=object)
        if not all(map(is_number, plain.flat)):
            raise TypeError
        array = np.atleast_1d(plain.astype(np.float64))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{family}: {name} must be a number or a list of numbers, got {value!r}") from None
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{family}: {name} must be a number or a non-empty list of numbers, got {value!r}")
    if not np.isfinite(array).all():
        raise ValueError(f"{family}: {name} must be finite, got {value!r}")
    return array


class RadialFamily(Parameters):
    """Base of the radial families.

    A family holds a grid of parameters as the user gave it; `grid` turns it into
    *scalar instances*, families whose parameters are plain floats, each of them one
    radial function. Only scalar instances can be evaluated. A subclass of a user, with other parameters for
    instance, gives those of the family that it is made of, which files and other processes know.

    Attributes
    ----------
    code : int
        Number by which the compiled kernels know the family.
    changes_sign : bool
        Whether phi is negative at some distances, so that it has no root.

    Examples
    --------
    >>> from plip.radial import Gaussian
    >>> family = Gaussian(eta=1.0, centers=[1.5, 2.0])
    >>> function = family.grid(cutoff=5.0)[0]
    >>> function
    Gaussian(eta=1.0, centers=1.5)
    >>> function.formula()
    'exp(-1 (r - 1.5)^2)'
    """

    code = -1
    changes_sign = False

    def __setattr__(self, name: str, value: object) -> None:
        self._refuse_frozen()
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        self._refuse_frozen()
        super().__delattr__(name)

    def _refuse_frozen(self) -> None:
        if "_is_frozen" in self.__dict__:
            raise AttributeError(
                f"{self!r} belongs to a term, which cannot be changed: make another {type(self).__name__}"
            )

    def frozen(self) -> RadialFamily:
        """A scalar instance that cannot be changed: this one if it is frozen already, or else a frozen copy.

        Returns
        -------
        RadialFamily

        Raises
        ------
        ValueError
            If this is not a scalar instance.
        """
        if "_is_frozen" in self.__dict__:
            return self
        family = self._family()
        try:
            function = family(**{key: float(getattr(self, key)) for key in family._parameter_names()})
        except (TypeError, ValueError):
            raise ValueError(f"{self!r} is not one function: its parameters must be numbers") from None
        function.__dict__["_is_frozen"] = True
        return function

    def grid(self, cutoff: float) -> list[RadialFamily]:
        """All combinations of the parameters, the first parameter outermost.

        Parameters
        ----------
        cutoff : float
            Cutoff in Angstrom of the interaction that uses the family; counts are
            spaced up to it.

        Returns
        -------
        list of RadialFamily
            Scalar instances.

        Raises
        ------
        ValueError
            If a parameter is not finite or outside its range.
        """
        family = self._family()
        names = family._parameter_names()
        functions = [
            family(**dict(zip(names, map(float, values), strict=True)))
            for values in itertools.product(*self._grid_values(cutoff))
        ]
        for function in functions:
            _core.check_radial(self.code, *function.kernel_parameters())
        return functions

    def _grid_values(self, cutoff: float) -> Sequence[FloatArray]:
        name = type(self).__name__
        return [_values(name, key, getattr(self, key)) for key in self._family()._parameter_names()]

    @classmethod
    def _family(cls) -> type[RadialFamily]:
        """The family of plip that a class is or is made of."""
        return next((family for family in FAMILIES.values() if family.code == cls.code), cls)

    def kernel_parameters(self) -> tuple[float, float]:
        """The parameters (p, q) of a scalar instance as the kernels take them; q is 0 for families of one."""
        p, *q = (float(getattr(self, key)) for key in self._family()._parameter_names())
        return p, q[0] if q else 0.0

    def __call__(self, r: ArrayLike) -> FloatArray:
        """phi(r) for a scalar instance and without the cutoff function.

        Parameters
        ----------
        r : array_like, float64
            Distances in Angstrom, positive, any shape.

        Returns
        -------
        ndarray, float64
            Of the shape of `r`.

        Raises
        ------
        ValueError
            If this is a grid of several functions.
        """
        return self.frozen().evaluate(r)[0]

    def evaluate(self, r: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """phi(r) and its derivative, for a scalar instance and without the cutoff function.

        Parameters
        ----------
        r : array_like, float64
            Distances in Angstrom, positive, any shape.

        Returns
        -------
        value, derivative : ndarray, float64
            phi and d phi / d r, of the shape of `r`.

        Examples
        --------
        >>> value, derivative = function.evaluate([2.0, 2.5])
        >>> derivative.round(4)
        array([-0.7788, -0.7358])
        """
        value, derivative, _ = _core.phi(self, r)
        return value, derivative

    def formula(self, variable: str = "r") -> str:
        """The function of a scalar instance as text, in Angstrom.

        Parameters
        ----------
        variable : str
            Name of the distance.

        Returns
        -------
        str
        """
        return self._formula(variable, *map(number_text, self.kernel_parameters()))

    def latex(self, variable: str = "r") -> str:
        """The function of a scalar instance as LaTeX for mathematics, in Angstrom.

        Parameters
        ----------
        variable : str
            Distance, as LaTeX.

        Returns
        -------
        str
        """
        return self._latex(variable, *map(number_latex, self.kernel_parameters()))

    def label(self) -> str:
        """Short text that names a scalar instance, such as ``Gaussian(eta=0.5, centers=2)``."""
        values = (f"{key}={number_text(getattr(self, key))}" for key in self._parameter_names())
        return f"{type(self).__name__}({', '.join(values)})"

    @staticmethod
    def _formula(r: str, p: str, q: str) -> str:
        raise NotImplementedError

    @staticmethod
    def _latex(r: str, p: str, q: str) -> str:
        raise NotImplementedError


def _difference(r: str, p: str) -> str:
    """``r - p``, whatever the sign of the number p."""
    return f"{r} + {p[1:]}" if p.startswith("-") else f"{r} - {p}"


def _power(r: str, p: str, latex: bool = False) -> str:
    """``r^p``, or r for a power of 1 and nothing for one of 0."""
    return {"0": "", "-0": "", "1": r}.get(p, f"{r}^{{{p}}}" if latex else f"{r}^{p}")


class Gaussian(RadialFamily):
    """Gaussian ``phi(r) = exp(-eta (r - center)^2)``.

    Parameters
    ----------
    eta : float, array_like or None, default=None
        Inverse squared widths in 1/Angstrom^2, positive. None takes
        ``1 / (2 spacing^2)`` with the spacing of the centers.
    centers : int, float or array_like, default=16
        Positions in Angstrom; an int n is a count, which puts the centers at
        ``(0.2 + 0.8 k / n) cutoff``, k = 1 ... n.

    Examples
    --------
    >>> from plip.radial import Gaussian
    >>> round(float(Gaussian(eta=2.0, centers=1.5)(2.0)), 4)
    0.6065
    >>> len(Gaussian(eta=[1.0, 2.0], centers=[1.5, 2.0, 2.5]).grid(cutoff=5.0))
    6
    >>> [function.centers for function in Gaussian(centers=4).grid(cutoff=5.0)]
    [2.0, 3.0, 4.0, 5.0]
    """

    code = 0

    def __init__(self, eta: ArrayLike | None = None, centers: ArrayLike = 16) -> None:
        self.eta = eta
        self.centers = centers

    def _grid_values(self, cutoff: float) -> Sequence[FloatArray]:
        centers = _center_values("Gaussian", self.centers, cutoff)
        if self.eta is not None:
            eta = _values("Gaussian", "eta", self.eta)
        elif is_integer(self.centers):
            eta = np.array([0.5 / _count_spacing(self.centers, cutoff) ** 2])
        elif centers.size > 1 and np.ptp(centers) > 0:
            eta = np.array([0.5 / (np.ptp(centers) / (centers.size - 1)) ** 2])
        else:
            raise ValueError("Gaussian: one center has no spacing to take the width from; give eta as well")
        return eta, centers

    @staticmethod
    def _formula(r: str, p: str, q: str) -> str:
        return f"exp(-{p} ({_difference(r, q)})^2)"

    @staticmethod
    def _latex(r: str, p: str, q: str) -> str:
        return f"e^{{-{p} ({_difference(r, q)})^2}}"


class Slater(RadialFamily):
    """Slater orbital ``phi(r) = r^power exp(-zeta r)``.

    Parameters
    ----------
    powers : float or array_like
        Exponents of r.
    zeta : float or array_like
        Decay constants in 1/Angstrom, positive.

    Examples
    --------
    >>> from plip.radial import Slater
    >>> round(float(Slater(powers=1.0, zeta=1.5)(2.0)), 4)
    0.0996
    """

    code = 1

    def __init__(self, powers: ArrayLike, zeta: ArrayLike) -> None:
        self.powers = powers
        self.zeta = zeta

    @staticmethod
    def _formula(r: str, p: str, q: str) -> str:
        return f"{_power(r, p)} exp(-{q} {r})".lstrip()

    @staticmethod
    def _latex(r: str, p: str, q: str) -> str:
        return f"{_power(r, p, latex=True)} e^{{-{q} {r}}}".lstrip()


class GaussianType(RadialFamily):
    """Gaussian-type orbital ``phi(r) = r^power exp(-zeta r^2)``.

    Parameters
    ----------
    powers : float or array_like
        Exponents of r.
    zeta : float or array_like
        Decay constants in 1/Angstrom^2, positive.

    Examples
    --------
    >>> from plip.radial import GaussianType
    >>> round(float(GaussianType(powers=2.0, zeta=0.5)(2.0)), 4)
    0.5413
    """

    code = 2

    def __init__(self, powers: ArrayLike, zeta: ArrayLike) -> None:
        self.powers = powers
        self.zeta = zeta

    @staticmethod
    def _formula(r: str, p: str, q: str) -> str:
        return f"{_power(r, p)} exp(-{q} {r}^2)".lstrip()

    @staticmethod
    def _latex(r: str, p: str, q: str) -> str:
        return f"{_power(r, p, latex=True)} e^{{-{q} {r}^2}}".lstrip()


class StillingerWeber(RadialFamily):
    """Stillinger-Weber form ``phi(r) = exp(gamma / (r - onset))`` for ``r > onset``, else 0.

    Parameters
    ----------
    gamma : float or array_like
        Strengths in Angstrom, negative, so that phi vanishes smoothly at the onset.
    onset : float or array_like
        Distances in Angstrom at and below which phi is zero.

    Examples
    --------
    >>> from plip.radial import StillingerWeber
    >>> function = StillingerWeber(gamma=-1.0, onset=1.5)
    >>> function([1.4, 2.5]).round(4)
    array([0.    , 0.3679])
    """

    code = 3

    def __init__(self, gamma: ArrayLike, onset: ArrayLike) -> None:
        self.gamma = gamma
        self.onset = onset

    @staticmethod
    def _formula(r: str, p: str, q: str) -> str:
        return f"exp({p} / ({_difference(r, q)})) for {r} > {q}"

    @staticmethod
    def _latex(r: str, p: str, q: str) -> str:
        return f"e^{{{p} / ({_difference(r, q)})}} [{r} > {q}]"


class Power(RadialFamily):
    """Power ``phi(r) = r^power``.

    Parameters
    ----------
    powers : float or array_like
        Exponents of r.

    Examples
    --------
    >>> from plip.radial import Power
    >>> Power(powers=-2.0)([1.0, 2.0])
    array([1.  , 0.25])
    """

    code = 4

    def __init__(self, powers: ArrayLike) -> None:
        self.powers = powers

    @staticmethod
    def _formula(r: str, p: str, q: str) -> str:
        return _power(r, p) or "1"

    @staticmethod
    def _latex(r: str, p: str, q: str) -> str:
        return _power(r, p, latex=True) or "1"


class Lorentzian(RadialFamily):
    """Lorentzian ``phi(r) = 1 / ((r - center)^exponent + 1)``.

    Parameters
    ----------
    centers : int, float or array_like
        Positions in Angstrom; an int n is a count, which puts the centers at
        ``(0.2 + 0.8 k / n) cutoff``, k = 1 ... n.
    exponents : float or array_like
        Even integers from 2 on (an odd exponent has a pole).

    Examples
    --------
    >>> from plip.radial import Lorentzian
    >>> Lorentzian(centers=2.0, exponents=2)([2.0, 3.0])
    array([1. , 0.5])
    """

    code = 5

    def __init__(self, centers: ArrayLike, exponents: ArrayLike) -> None:
        self.centers = centers
        self.exponents = exponents

    def _grid_values(self, cutoff: float) -> Sequence[FloatArray]:
        exponents = _values("Lorentzian", "exponents", self.exponents)
        return _center_values("Lorentzian", self.centers, cutoff), exponents

    @staticmethod
    def _formula(r: str, p: str, q: str) -> str:
        return f"1 / (({_difference(r, p)})^{q} + 1)"

    @staticmethod
    def _latex(r: str, p: str, q: str) -> str:
        return f"\\frac{{1}}{{({_difference(r, p)})^{{{q}}} + 1}}"


class LogNormal(RadialFamily):
    """Asymmetric log-normal ``phi(r) = exp(-ln^2((r - onset) / scale))`` for ``r > onset``, else 0.

    Parameters
    ----------
    onsets : float or array_like
        Distances in Angstrom at and below which phi is zero.
    scales : float or array_like
        Distances in Angstrom from the onset to the maximum, positive.

    Examples
    --------
    >>> from plip.radial import LogNormal
    >>> LogNormal(onsets=0.5, scales=1.5)([0.4, 2.0]).round(4)
    array([0., 1.])
    """

    code = 6

    def __init__(self, onsets: ArrayLike, scales: ArrayLike) -> None:
        self.onsets = onsets
        self.scales = scales

    @staticmethod
    def _formula(r: str, p: str, q: str) -> str:
        return f"exp(-ln(({_difference(r, p)}) / {q})^2) for {r} > {p}"

    @staticmethod
    def _latex(r: str, p: str, q: str) -> str:
        return f"e^{{-\\ln^2 (({_difference(r, p)}) / {q})}} [{r} > {p}]"


class LennardJones(RadialFamily):
    """Lennard-Jones form ``phi(r) = 4 ((sigma / r)^12 - (sigma / r)^6)``.

    Parameters
    ----------
    sigma : float or array_like
        Distances in Angstrom at which phi is zero, positive.

    Examples
    --------
    >>> from plip.radial import LennardJones
    >>> LennardJones(sigma=2.0)([2.0, 2.5]).round(4)
    array([ 0.    , -0.7737])
    """

    code = 7
    changes_sign = True

    def __init__(self, sigma: ArrayLike) -> None:
        self.sigma = sigma

    @staticmethod
    def _formula(r: str, p: str, q: str) -> str:
        return f"4 (({p} / {r})^12 - ({p} / {r})^6)"

    @staticmethod
    def _latex(r: str, p: str, q: str) -> str:
        return f"4 [({p} / {r})^{{12}} - ({p} / {r})^{{6}}]"


def _center_values(family: str, centers: ArrayLike, cutoff: float) -> FloatArray:
    """Positions of the centers: those given, or a count spaced up to the cutoff."""
    if not is_integer(centers):
        return _values(family, "centers", centers)
    if not 1 <= centers <= _MOST_CENTERS:
        raise ValueError(
            f"{family}: an int for centers is a count and must be from 1 to {_MOST_CENTERS}, got {centers!r}"
        )
    return np.linspace(cutoff, _COUNT_START * cutoff, centers, endpoint=False)[::-1]


def _count_spacing(count: int, cutoff: float) -> float:
    return (1.0 - _COUNT_START) * cutoff / count


FAMILIES: dict[str, type[RadialFamily]] = {
    family.__name__: family
    for family in (
        Gaussian,
        Slater,
        GaussianType,
        StillingerWeber,
        Power,
        Lorentzian,
        LogNormal,
        LennardJones,
    )
}
