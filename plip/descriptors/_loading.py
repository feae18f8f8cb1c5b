"""Fitted descriptors from a file."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

from ase.data import atomic_numbers

import plip
from plip._parameters import is_number
from plip._types import StrPath
from plip.descriptors._transformer import FORMAT, VERSION, PLIPDescriptors, descriptors_from_dict

__all__ = ["checked_descriptors", "load_descriptors"]


def load_descriptors(path: StrPath) -> PLIPDescriptors:
    """Read fitted descriptors that `PLIPDescriptors.save` wrote.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    PLIPDescriptors
        Fitted.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If the file holds something else, is damaged, or was written in a newer format.

    Examples
    --------
    >>> from plip import PLIPDescriptors
    >>> from plip.datasets import load_silicon_carbide
    >>> from plip.descriptors import load_descriptors
    >>> fitted = PLIPDescriptors.preset("fast").fit(load_silicon_carbide()[0])
    >>> fitted.save("descriptors.json")
    >>> load_descriptors("descriptors.json").terms_ == fitted.terms_
    True
    """
    with open(path, encoding="utf-8") as file:
        try:
            data = json.load(file)
            if not isinstance(data, dict) or data.get("format") != FORMAT:
                raise ValueError(f"it has no format {FORMAT!r}")
            if data.get("version") != VERSION:
                raise ValueError(
                    f"it was written in version {data.get('version')!r} of the format by plip "
                    f"{data.get('plip')}; this is plip {plip.__version__}, which reads version {VERSION}: "
                    "upgrade plip-potential"
                )
            return checked_descriptors(data)
        except Exception as error:  # of many kinds
            text = str(error) or type(error).__name__
            raise ValueError(
                f"{os.fspath(path)} does not hold descriptors of plip: {text}; give a file that "
                "PLIPDescriptors.save or `plip descriptors` wrote"
            ) from error


def checked_descriptors(data: Mapping[str, Any]) -> PLIPDescriptors:
    """Fitted descriptors from plain data of a file; an error of any kind if they do not fit together."""
    species = data["species"]
    known = isinstance(species, list) and all(isinstance(s, str) and s in atomic_numbers for s in species)
    if not known or not species or species != sorted(set(species)):
        raise ValueError(f"its species are {species!r}")
    cutoff = data["cutoff"]
    if not is_number(cutoff) or not math.isfinite(cutoff):
        raise ValueError(f"its cutoff is {cutoff!r}, not a finite number")
    descriptors = descriptors_from_dict(data)
    if not descriptors.terms_:
        raise ValueError("it has no terms")
    if len(set(descriptors.terms_)) < len(descriptors.terms_):
        raise ValueError("it has a term twice")
    for term in descriptors.terms_:
        if not 0 < term.cutoff <= cutoff:
            raise ValueError(f"its cutoff of {cutoff} is less than the {term.cutoff} of {term.name}")
        if not set(term.species) - {"*"} <= set(species):
            raise ValueError(f"its term {term.name} has a species that is not among {', '.join(species)}")
    return descriptors
