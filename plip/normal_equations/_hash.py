"""A number that names labeled structures, whatever their order."""

from __future__ import annotations

import hashlib

import numpy as np

from plip.labels import TARGETS, LabelledStructures

__all__ = ["HASHES", "data_hash"]

# Hashes are numbers below this one.
HASHES = 1 << 256


def data_hash(data: LabelledStructures) -> int:
    """The sum of the SHA-256 digests of structures with their labels.

    As sums over the data do, it adds up over parts of the data. Weights do not count.

    Parameters
    ----------
    data : LabelledStructures

    Returns
    -------
    int
        From 0 to 2^256 - 1.
    """
    present = {target: data.labels.present(target) for target in TARGETS}
    total = 0
    for row, atoms in enumerate(data.structures):
        digest = hashlib.sha256(np.asarray(atoms.numbers, "<i8").tobytes())
        digest.update(bytes(atoms.pbc.tolist()))
        labels = {target: data.labels.values(target)[row] for target in TARGETS if present[target][row]}
        for name, values in {"positions": atoms.positions, "cell": atoms.cell.array, **labels}.items():
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(values, "<f8").tobytes())
        total += int.from_bytes(digest.digest(), "big")
    return total % HASHES
