"""Archives of normal equations: written with a digest, checked from end to end when they are read."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

import plip
from plip._design._extent import Extent
from plip._files import digest_arrays, write_whole
from plip._parameters import is_number
from plip._structures._checks import check_structures
from plip._types import FloatArray, StrPath
from plip.descriptors._loading import checked_descriptors
from plip.descriptors._transformer import descriptors_to_dict
from plip.labels import TARGETS
from plip.normal_equations._packed import Packed
from plip.normal_equations._products import Products
from plip.normal_equations._sample import Sample
from plip.normal_equations._sizes import Counts
from plip.normal_equations._sums import Sums, are_products, bounds_of_products

if TYPE_CHECKING:
    from plip.normal_equations import NormalEquations

__all__ = ["read_archive", "write_archive"]

Arrays: TypeAlias = Mapping[str, NDArray[Any]]

FORMAT = "plip-normal-equations"
# Version of the format that this module writes, and the newest that it reads.
VERSION = 1
# Rows of each structure; for forces, of each atom.
_ROWS = {"energy": 1, "force": 3, "virial": 6}


def write_archive(
    path: StrPath,
    equations: NormalEquations,
    sums: Mapping[str, Sums],
    reference: FloatArray,
    extent: Extent | None,
    counts: Counts | None,
) -> None:
    """Write normal equations; parameters as in `plip.normal_equations.NormalEquations`."""
    header = {
        "format": FORMAT,
        "version": VERSION,
        "plip": plip.__version__,
        "descriptors": descriptors_to_dict(equations.descriptors),
        "n_structures": equations.n_structures,
        "n_rows": equations.n_rows,
        "weight_sums": equations.weight_sums,
        "isolated_energies": equations.isolated_energies,
        "data_hash": None if equations.data_hash is None else f"{equations.data_hash:064x}",
    }
    arrays: dict[str, NDArray[Any]] = {
        target: sums[target].products for target in TARGETS if sums[target].n_rows
    }
    # Older versions leave them aside.
    factors = {f"{target}_factor": sums[target].factor for target in TARGETS}
    arrays |= {name: factor for name, factor in factors.items() if factor is not None}
    arrays["reference"] = np.asarray(reference, np.float64)
    if extent is not None:
        arrays["extent"] = extent.to_array()
    if counts is not None:
        arrays |= {f"count_{name}": values for name, values in counts.arrays().items()}
    if equations.sample is not None:
        arrays |= {f"sample_{name}": values for name, values in equations.sample.arrays().items()}
    header["digest"] = _digest(header, arrays)
    with write_whole(path, "wb") as file:
        contents: dict[str, Any] = {"header": json.dumps(header), **arrays}
        np.savez(file, **contents)


def read_archive(path: StrPath) -> tuple[Any, ...]:
    """Arguments of `plip.normal_equations.NormalEquations` from a file.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it holds something else, is damaged, or was written in a newer format; with the file's name.
    """
    with open(path, "rb") as file:
        # From a damaged archive zipfile, NumPy and json raise errors of many types.
        try:
            # NumPy takes any other file for a pickle.
            if file.read(2) != b"PK":
                raise ValueError("it is no NumPy archive")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                return _read(archive)
        except Exception as error:
            text = str(error) or type(error).__name__
            raise ValueError(
                f"{os.fspath(path)} does not hold normal equations of plip: {text}; give a file that "
                "NormalEquations.save wrote"
            ) from error


def _read(archive: Any) -> tuple[Any, ...]:
    header = json.loads(str(archive["header"]))
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError("its header is not that of normal equations")
    version = _integer(header, "version")
    if version < 1:
        raise ValueError(f"its version is {version}")
    if version > VERSION:
        raise ValueError(
            f"it was written in version {version} of the format by plip {header.get('plip')}; this is plip "
            f"{plip.__version__}, which reads up to version {VERSION}: upgrade plip-potential"
        )
    arrays = {name: archive[name] for name in archive.files if name != "header"}
    # Older archives have none.
    if "digest" in header and header["digest"] != _digest(header, arrays):
        raise ValueError("it is damaged: its digest does not match")
    descriptors = checked_descriptors(header["descriptors"])
    species = descriptors.species_
    n_structures = _integer(header, "n_structures")
    sums = {
        target: _sums(target, header, arrays, len(descriptors.terms_) + len(species) + 1, n_structures)
        for target in TARGETS
    }
    reference = _array(arrays, "reference", (len(species),))
    # Older archives lack some of the others.
    extent = _extent(arrays, len(species)) if "extent" in arrays else None
    has_counts = extent is not None and "count_atoms" in arrays
    counts = _counts(arrays, len(species), len(descriptors.terms_)) if has_counts else None
    isolated = _isolated(header, species) if header.get("isolated_energies") is not None else None
    sample = _sample(arrays, species) if "sample_sizes" in arrays else None
    data_hash = _data_hash(header["data_hash"]) if header.get("data_hash") is not None else None
    return descriptors, sums, reference, n_structures, extent, counts, isolated, sample, data_hash


def _extent(arrays: Arrays, n_species: int) -> Extent:
    extent = Extent.from_array(_array(arrays, "extent", (n_species, n_species + 1), is_finite=False))
    shortest = extent.shortest
    if not ((shortest > 0) & ((shortest <= 1e3) | (shortest == np.inf))).all():
        raise ValueError("its shortest distances are not lengths of at most 1000 Angstrom")
    if not np.array_equal(shortest, shortest.T):
        raise ValueError("its shortest distances are not symmetric")
    if not ((extent.densest >= 0) & np.isfinite(extent.densest)).all():
        raise ValueError("its largest densities are negative, NaN or infinite")
    return extent


def _counts(arrays: Arrays, n_species: int, n_terms: int) -> Counts:
    shapes = Counts.shapes(n_species, n_terms)
    counts = Counts(**{name: _array(arrays, f"count_{name}", shape) for name, shape in shapes.items()})
    if any((array < 0).any() for array in counts.arrays().values()):
        raise ValueError("its counts are negative")
    return counts


def _isolated(header: Mapping[str, Any], species: tuple[str, ...]) -> dict[str, list[float]]:
    isolated = header["isolated_energies"]
    if set(isolated) != set(species):
        raise ValueError("its isolated_energies are not those of its species")
    return {
        symbol: [_number(f"isolated energy of {symbol}", value) for value in isolated[symbol]]
        for symbol in species
    }


def _data_hash(text: object) -> int:
    if not isinstance(text, str) or not re.fullmatch("[0-9a-f]{64}", text):
        raise ValueError(f"its data_hash is {text!r}, not 64 hexadecimal digits")
    return int(text, 16)


def _sample(arrays: Arrays, species: tuple[str, ...]) -> Sample:
    sizes = arrays["sample_sizes"]
    if sizes.dtype != np.int64 or sizes.ndim != 1 or not ((sizes >= 0) & (sizes < 2**40)).all():
        raise ValueError("its sizes of structures are not numbers of atoms")
    shapes = Sample.shapes(len(sizes), int(sizes.sum()))
    sample = Sample(
        **{name: _array(arrays, f"sample_{name}", shape, dtype) for name, (shape, dtype) in shapes.items()}
    )
    if len(sizes):
        check_structures(sample.structures(), species)
    return sample


def _sums(target: str, header: Mapping[str, Any], arrays: Arrays, width: int, n_structures: int) -> Sums:
    """Sums of one target, which fit together."""
    n_rows = _integer(header["n_rows"], target)
    weight = _number(f"weight of the {target} rows", header["weight_sums"][target])
    most = n_structures * _ROWS[target] if target != "force" else math.inf
    if n_rows % _ROWS[target] or n_rows > most or (n_rows and not n_structures):
        raise ValueError(f"{n_rows} {target} rows do not fit to {n_structures} structures")
    if not n_rows:
        if weight != 0 or target in arrays or f"{target}_factor" in arrays:
            raise ValueError(f"it has sums of {target} rows, but no such rows")
        return Sums(width)
    if not weight > 0:
        raise ValueError(f"the weight of its {target} rows is {weight}, not positive")
    products = _array(arrays, target, (width, width))
    if not are_products(products):
        raise ValueError(f"its {target} products are no sums of squares and products")
    bound, rounding = bounds_of_products(products)
    if (np.abs(products - products.T) > 1e-8 * bound + 1e-3 * rounding).any():
        raise ValueError(f"its {target} products are not symmetric")
    factor = None
    if f"{target}_factor" in arrays:
        n_kept = min(arrays[f"{target}_factor"].shape[:1] + (n_rows,))
        factor = _array(arrays, f"{target}_factor", (n_kept, width))
        with np.errstate(over="ignore", invalid="ignore"):
            deviation = np.abs(factor.T @ factor - products)
        if not (deviation <= 1e-8 * bound + 1e-3 * rounding).all():
            raise ValueError(f"its {target} rows do not have its {target} products")
    packed = Packed.of(products) if factor is None or len(factor) < n_rows else None
    return Sums(width, weight, n_rows, [(1, Products(width, factor, packed))])


def _array(
    arrays: Arrays, name: str, shape: tuple[int, ...], dtype: DTypeLike = np.float64, is_finite: bool = True
) -> NDArray[Any]:
    array = arrays[name]
    dtype = np.dtype(dtype)
    if (array.dtype.kind, array.dtype.itemsize) != (dtype.kind, dtype.itemsize) or array.shape != shape:
        raise ValueError(
            f"its array {name} is {array.dtype} of shape {array.shape}, not {dtype} of shape {shape}"
        )
    if is_finite and not np.isfinite(array).all():
        raise ValueError(f"its array {name} has values that are NaN or infinite")
    return np.ascontiguousarray(array, dtype)


def _integer(data: Mapping[str, Any], name: str) -> int:
    value = data[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ValueError(f"its {name} is {value!r}, not a number of at least 0")
    return value


def _number(name: str, value: object) -> float:
    if not is_number(value) or not math.isfinite(value):
        raise ValueError(f"its {name} is {value!r}, not a finite number")
    return float(value)


def _digest(header: Mapping[str, Any], arrays: Arrays) -> str:
    """Digest of the header, itself left out, and of the arrays."""
    text = json.dumps({name: value for name, value in header.items() if name != "digest"}, sort_keys=True)
    return digest_arrays(text, arrays)
