"""Warnings where data do not carry a model: absent species or pairs of them, no energies, few labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from plip._core import ANY
from plip._types import FloatArray
from plip._warnings import warn
from plip.interactions import Term

__all__ = [
    "warn_of_absent",
    "warn_of_few_labels",
    "warn_of_no_energies",
    "warn_of_no_terms",
    "warn_of_pairs",
    "warn_of_triplets",
]

# Labels per term below which fits to parts of the data of Si, Mo, Ta, Mo-Nb-Ta and SiC have errors of forces
# on new structures that are 1.4 to 3.4 times those of the fit, and fits to a few molecules or to one or two
# crystals 1.5 to 180 times. Fewer terms seldom help: with one for 100 labels, 12 of 15 such fits were worse.
_FEW = 20
# Combinations that a warning names.
_MOST_NAMED = 6


def warn_of_absent(species: Sequence[str], references: Mapping[str, float]) -> None:
    """Name the species that no structure holds.

    Parameters
    ----------
    species : sequence of str
        Those without an atom in the data.
    references : dict of str to float
        Reference energies of all species in eV.
    """
    for symbol in species:
        warn(
            f"no structure holds {symbol}: its reference energy is {references[symbol]:g} eV, and energies "
            f"of structures with {symbol} mean nothing. Add such structures, or leave it out of the species",
        )


def warn_of_pairs(
    analogs: Mapping[tuple[str, str], tuple[str, str] | None], terms: Sequence[Term], absent: Sequence[str]
) -> None:
    """Name the pairs of species that no structure holds, while each of both is in some.

    Parameters
    ----------
    analogs : dict
        As from `plip.regressor._analogs.find_analogs`.
    terms : sequence of Term
        On offer.
    absent : sequence of str
        Species without an atom in the data.
    """
    shares = any(ANY in term.species for term in terms)
    for pair, analog in analogs.items():
        if not set(pair).isdisjoint(absent):
            continue
        known = "what terms of any species say of them"
        if not shares:
            known = "nothing: use descriptors with shared=True"
        elif analog is not None:
            known += f", and what the data say of {'-'.join(analog)}"
        warn(
            f"no structure holds {' and '.join(pair)} within the cutoff of each other. The potential "
            f"knows {known}; add such structures if they matter",
        )


def warn_of_triplets(terms: Sequence[Term], scales: FloatArray) -> None:
    """Name the sets of three species that no structure holds, unless terms of any species tell of them.

    Parameters
    ----------
    terms : sequence of n Term
        On offer.
    scales : ndarray of float64, shape (n,)
        Root mean square of each column; 0 where the data do not touch it.
    """
    if any(ANY in term.species for term in terms):
        return
    touched: dict[frozenset[str], bool] = defaultdict(bool)
    for term, scale in zip(terms, scales.tolist(), strict=True):
        species = frozenset(term.species)
        if len(species) == 3:
            touched[species] |= scale > 0
    missing = ["-".join(sorted(species)) for species, is_touched in touched.items() if not is_touched]
    if missing:
        named = ", ".join(sorted(missing)[:_MOST_NAMED]) + (", ..." if len(missing) > _MOST_NAMED else "")
        warn(
            f"no structure holds these species within the cutoff of one atom: {named}. The potential knows "
            "nothing of what these three do together: use descriptors with shared=True, or add such "
            "structures",
        )


def warn_of_no_energies(has_stresses: bool) -> None:
    """Say what a fit without energies does not know.

    Parameters
    ----------
    has_stresses : bool
        Whether stresses were fitted.
    """
    unknown, same = ("composition", "composition") if has_stresses else ("volume or composition", "cell")
    warn(
        "no energy was fitted: forces tell how the energy changes as atoms move, but hardly how it changes "
        f"with {unknown}. Compare its energies between structures of the same {same} alone. Add energies to "
        "the data, or set energy_weight=0 if this is meant",
    )


def warn_of_no_terms(n_offered: int, alpha: float) -> None:
    """Say what may be the reason that a fit has kept no term.

    Parameters
    ----------
    n_offered : int
        Terms on offer.
    alpha : float
        Penalty of the fit.
    """
    reason = (
        "Atoms have no neighbors within the cutoff, or no term explains their labels: look at lengths and "
        "labels (plip.audit.audit)"
    )
    if alpha > 0:
        reason = (
            f"alpha={alpha:g}, in the unit of the weighted labels, is above what any term explains, or the "
            "data touch no term: use a smaller alpha or larger weights"
        )
    warn(
        f"no term was kept of {n_offered} candidates: the potential is the sum of its reference energies. "
        f"{reason}"
    )


def warn_of_few_labels(n_structures: int, n_labels: int, n_terms: int) -> None:
    """Warn if a fit has hardly more labels than terms.

    Parameters
    ----------
    n_structures : int
    n_labels : int
        Energies and components of forces and stresses that were fitted.
    n_terms : int
        Terms that were kept.
    """
    if n_labels < _FEW * n_terms:
        warn(
            f"{n_terms} terms from {n_structures} structures with {n_labels:,} labels, "
            f"{n_labels / n_terms:.2g} labels per term: errors on new structures will be above those of the "
            "fit, often many times, and only structures that were left out tell them (a test set, or "
            "PLIPRegressorCV). More structures help; fewer terms (max_terms) seldom do",
        )
