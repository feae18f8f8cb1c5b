"""Checks of a user's structures, done once and before any long work.

Index suffixes: r_ac is atom x Cartesian, s_ad is atom x cell direction.
"""

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from plip._core._close_pairs import first_close_pair
from plip._types import BoolArray, FloatArray, IntArray

__all__ = [
    "CLOSEST_IN_DATA",
    "LARGEST_LENGTH",
    "as_list",
    "check_limits",
    "check_neighbors",
    "check_structures",
    "describe",
    "errors_of",
    "has_full_cell",
    "have_full_cells",
    "no_structures",
    "volumes",
    "volumes_per_atom",
]

# Angstrom. No two nuclei come within 0.5 A: atoms nearer than this are one atom entered twice.
_OVERLAP = 1e-3
# Angstrom. Labels of atoms nearer than this are mistakes: no calculation converges there. Potentials can be
# asked about such atoms, since they are nuclei that repel each other.
CLOSEST_IN_DATA = 0.05
# Angstrom (1 mm). A double barely resolves _OVERLAP beyond it, and the user surely means another unit.
LARGEST_LENGTH = 1e7
# Atoms that are checked at a time: their arrays stay in the cache.
_AT_A_TIME = 5_000
# Of the volume of a cuboid: three vectors that span less are coplanar but for rounding.
_COPLANAR = 1e-12
# In one structure. A neighbor list of this length takes about 2 GB, 40 bytes a pair. Two million atoms of
# silicon have as many at 5 A; mistaken units or cells give many times more.
_MAX_NEIGHBORS = 50_000_000


def describe(index: int, atoms: Atoms) -> str:
    """Name a structure in an error message, e.g. ``structure 3 (Si8)``.

    Parameters
    ----------
    index : int
        Position of the structure in X, counted from 0.
    atoms : ase.Atoms

    Returns
    -------
    str
    """
    return f"structure {index} ({atoms.get_chemical_formula() or 'no atoms'})"


class errors_of:  # noqa: N801 (used like a function, in a "with" statement)
    """Context that names a structure in every ValueError raised inside.

    A class, since it is entered several times for every structure, and a generator takes four times as long.

    Parameters
    ----------
    index : int
        Position of the structure in X, counted from 0.
    atoms : ase.Atoms
    """

    def __init__(self, index: int, atoms: Atoms) -> None:
        self._index = index
        self._atoms = atoms

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ValueError):
            raise ValueError(f"{describe(self._index, self._atoms)}: {error}") from error


def has_full_cell(atoms: Atoms) -> bool:
    """Whether the three cell vectors span a volume, so that a stress is defined.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodicity does not matter.

    Returns
    -------
    bool
    """
    return bool(_span_a_volume(*atoms.cell.array.tolist()))


def have_full_cells(structures: Sequence[Atoms]) -> BoolArray:
    """`has_full_cell` of many structures at once, shape (n,)."""
    return _span_a_volume(*np.moveaxis(_cells(structures), 0, -1))


def _span_a_volume(a: Any, b: Any, c: Any) -> Any:
    """Whether three vectors do, each of three numbers or of three arrays."""
    cross = b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0]
    volume = a[0] * cross[0] + a[1] * cross[1] + a[2] * cross[2]
    squares = [v[0] * v[0] + v[1] * v[1] + v[2] * v[2] for v in (a, b, c)]
    return volume * volume > _COPLANAR**2 * squares[0] * squares[1] * squares[2]


def _cells(structures: Sequence[Atoms]) -> FloatArray:
    return np.array([atoms.cell.array for atoms in structures]).reshape(-1, 3, 3)


def volumes(structures: Sequence[Atoms]) -> FloatArray:
    """Volumes of cells in Angstrom^3, shape (n,); NaN where `has_full_cell` is False."""
    cells = _cells(structures)
    return np.where(_span_a_volume(*np.moveaxis(cells, 0, -1)), np.abs(np.linalg.det(cells)), np.nan)


def volumes_per_atom(structures: Sequence[Atoms]) -> FloatArray:
    """Volumes per atom in Angstrom^3, shape (n,), infinite for structures that are not periodic."""
    are_periodic = [atoms.pbc.all() for atoms in structures]
    per_atom = volumes(structures) / [len(atoms) for atoms in structures]
    return np.where(are_periodic, per_atom, np.inf)


def check_structures(
    X: Iterable[Atoms],
    species: Iterable[str] | None = None,
    cutoff: float | None = None,
    first: int = 0,
    closest: float = _OVERLAP,
) -> list[Atoms]:
    """Check a sequence of structures and return it as a list.

    Parameters
    ----------
    X : iterable of ase.Atoms
        A list, tuple, generator, trajectory, object array of one dimension or one column, ...
    species : iterable of str, optional
        The chemical symbols that may occur; None allows any element.
    cutoff : float, optional
        Angstrom. If given, a structure whose neighbor list would not fit into memory is an error: more than
        fifty million neighbors (estimated, each pair counted from both ends).
    first : int, default=0
        Position of the first structure in the data, for messages.
    closest : float, default=1e-3
        Angstrom. Atoms within it, and periodic cells that are thinner, are errors.

    Returns
    -------
    list of ase.Atoms
        The same objects, not copies.

    Raises
    ------
    TypeError
        X is a single Atoms, an array of numbers or of Atom objects, or holds anything but Atoms.
    ValueError
        X is empty, or a structure is unusable: no atoms, an atomic number that is no element, an element not
        in `species`, positions or cell not finite or longer than 1e7 A (1 mm), a periodic cell without volume
        or thinner than `closest`, two atoms within `closest` (periodic images included), too many neighbors
        within `cutoff`. The message names the first such structure.
    """
    structures = as_list(X, first)
    for index, atoms in enumerate(structures):
        if len(atoms) == 0:
            raise ValueError(f"structure {first + index}: it has no atoms; remove it")
    known = None if species is None else sorted(species)
    parts = np.cumsum([len(atoms) for atoms in structures]) // _AT_A_TIME
    borders = [0, *(np.flatnonzero(np.diff(parts)) + 1).tolist(), len(structures)]
    thickness = [
        _check_part(structures[start:end], known, first + start, closest)
        for start, end in itertools.pairwise(borders)
    ]
    if cutoff is not None:
        _check_lists(structures, np.concatenate(thickness), cutoff, first)
    return structures


def _check_part(structures: list[Atoms], species: list[str] | None, first: int, closest: float) -> FloatArray:
    """The checks that look at all atoms of some structures at a time; returns the thickness of the cells."""
    sizes = np.array([len(atoms) for atoms in structures])
    owner_a = np.repeat(np.arange(len(structures)), sizes)
    _check_elements(structures, owner_a, species, first)
    r_ac = np.concatenate([atoms.positions for atoms in structures], dtype=np.float64)
    cells = np.array([atoms.cell.array for atoms in structures], np.float64)
    pbc = np.array([atoms.pbc for atoms in structures])
    _check_lengths(structures, owner_a, r_ac, cells, first)
    periodic = cells * pbc[:, :, None]
    inverse, thickness = _invert_periodic(periodic, pbc)
    _check_cells(structures, cells, pbc, thickness, first, closest)
    _check_overlaps(structures, sizes, r_ac, periodic, inverse, thickness, first, closest)
    return thickness


def no_structures(X: Iterable[Atoms]) -> ValueError:
    """The error for X without any structure."""
    used = "; a generator can be read once only: pass a list" if isinstance(X, Iterator) else ""
    return ValueError(f"X holds no structures; at least one is needed{used}")


def as_list(X: Iterable[Atoms], first: int = 0) -> list[Atoms]:
    """What a user gives as structures in a list, in which each is an Atoms and nothing else is checked."""
    if isinstance(X, Atoms):
        raise TypeError("X is a single Atoms; pass a sequence of structures, such as [atoms]")
    # As `plip.model_selection.as_column` makes it for meta-estimators, and tables of one column give it.
    if hasattr(X, "columns") and getattr(X, "shape", ())[1:] == (1,):
        X = np.asarray(X)
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 2 and X.shape[1] == 1:
        X = X[:, 0]
    if isinstance(X, np.ndarray) and X.dtype != object:
        raise TypeError(
            f"X is an array of shape {X.shape} and dtype {X.dtype}; pass a list of ase.Atoms (numbers, such "
            'as those of PLIPDescriptors, are for PLIPRegressor("precomputed"))'
        )
    if isinstance(X, np.ndarray) and X.ndim != 1:
        raise TypeError(
            f"X is an array of shape {X.shape} and dtype {X.dtype}; pass a list of ase.Atoms (numpy.array "
            "turns such a list into an array of single Atom objects), and to meta-estimators of scikit-learn "
            "plip.model_selection.as_column(X)"
        )
    if hasattr(X, "columns"):
        raise TypeError("X is a table; pass the column that holds its structures, such as table['atoms']")
    if isinstance(X, (str, os.PathLike)):
        raise TypeError(f"X is the name of a file; read its structures first: ase.io.read({str(X)!r}, ':')")
    if hasattr(X, "select"):
        raise TypeError("X is a database; pass its structures, such as [row.toatoms() for row in X.select()]")
    try:
        structures = list(X)
    except TypeError:
        raise TypeError(f"X must be a sequence of ase.Atoms, got {type(X).__name__}") from None
    if not structures:
        raise no_structures(X)
    for index, atoms in enumerate(structures):
        if not isinstance(atoms, Atoms):
            remedy = "; pass row.toatoms()" if hasattr(atoms, "toatoms") else ""
            kind = type(atoms).__name__
            raise TypeError(f"structure {first + index}: expected an ase.Atoms, got {kind}{remedy}")
    return structures


def _check_elements(
    structures: Sequence[Atoms], owner_a: IntArray, species: list[str] | None, first: int
) -> None:
    numbers_a = np.concatenate([atoms.numbers for atoms in structures])
    outside = (numbers_a < 0) | (numbers_a >= len(chemical_symbols))
    if outside.any():
        a = outside.argmax()
        raise ValueError(
            f"structure {first + owner_a[a]}: {numbers_a[a]} is not the atomic number of an element; "
            "correct it"
        )
    if species is None:
        return
    unknown = ~np.isin(np.array(chemical_symbols)[numbers_a], species)
    if unknown.any():
        a = unknown.argmax()
        index, symbol = owner_a[a], chemical_symbols[numbers_a[a]]
        raise ValueError(
            f"{describe(first + index, structures[index])}: element {symbol} is not among the known species "
            f"({', '.join(species)}); leave the structure out or fit with that element"
        )


def _check_lengths(
    structures: list[Atoms], owner_a: IntArray, r_ac: FloatArray, cells: FloatArray, first: int
) -> None:
    # The comparison is False for NaN.
    bad_cells = np.logical_not((np.abs(cells) <= LARGEST_LENGTH).all(axis=(1, 2)))
    bad_atoms = np.logical_not((np.abs(r_ac) <= LARGEST_LENGTH).all(axis=1))
    bad = bad_cells.copy()
    bad[owner_a[bad_atoms]] = True
    if bad.any():
        index = int(bad.argmax())
        what = "cell" if bad_cells[index] else "positions"
        raise ValueError(
            f"{describe(first + index, structures[index])}: its {what} hold values that are NaN, infinite or "
            f"beyond {LARGEST_LENGTH:g} A; correct them (lengths are in Angstrom)"
        )


def _invert_periodic(periodic: FloatArray, pbc: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Pseudo-inverses of the periodic cell vectors, and the thickness of the cells.

    Parameters
    ----------
    periodic : (n, 3, 3) float64
        Cell vectors in rows, Angstrom; rows of directions that are not periodic are zero.
    pbc : (n, 3) bool

    Returns
    -------
    inverse : (n, 3, 3) float64
        1/Angstrom; positions @ inverse are scaled coordinates, zero where not periodic.
    thickness : (n, 3) float64
        Angstrom; distance between the two faces of the cell that a direction crosses: infinite where not
        periodic, zero where the vectors depend on each other.
    """
    u, s, vt = np.linalg.svd(periodic)
    # Singular values are sorted; the last ones belong to directions that are not periodic.
    kept = np.arange(3) < pbc.sum(axis=1)[:, None]
    # 1e-12 is rounding; cells that are only long and thin (1e7 A by 1e-3 A) stay above it.
    degenerate = (kept & (s <= 1e-12 * s[:, :1])).any(axis=1)
    kept &= ~degenerate[:, None]
    inverse = np.einsum("ndc,nd,ned->nce", vt, np.divide(1.0, s, out=np.zeros_like(s), where=kept), u)
    norms = np.linalg.norm(inverse, axis=1)
    thickness = np.divide(1.0, norms, out=np.zeros_like(norms), where=~degenerate[:, None] & pbc)
    thickness[~pbc] = np.inf
    return inverse, thickness


def _check_cells(
    structures: list[Atoms],
    cells: FloatArray,
    pbc: BoolArray,
    thickness: FloatArray,
    first: int,
    closest: float,
) -> None:
    # No lattice vector is shorter than the thickness of the cell: this check also finds atoms that lie on
    # their own images.
    thin = (thickness < closest).any(axis=1)
    if not thin.any():
        return
    index = int(thin.argmax())
    missing = pbc[index] & ~cells[index].any(axis=1)
    if missing.any():
        reason = f"it is periodic along cell vector {'abc'[missing.argmax()]}, which is zero"
    else:
        flaw = "has no volume" if thickness[index].min() < _OVERLAP else "is thinner than any atom"
        reason = f"its periodic cell {flaw} (thickness {thickness[index].min():.2g} A)"
    raise ValueError(
        f"{describe(first + index, structures[index])}: {reason}; correct the cell or set pbc to False"
    )


def _check_overlaps(
    structures: list[Atoms],
    sizes: IntArray,
    r_ac: FloatArray,
    periodic: FloatArray,
    inverse: FloatArray,
    thickness: FloatArray,
    first: int,
    closest: float,
) -> None:
    """Raise for the first structure with two atoms closer than `closest`, which no cell is thinner than."""
    found = first_close_pair(
        np.ascontiguousarray(r_ac),
        periodic,
        np.ascontiguousarray(inverse),
        thickness,
        np.cumsum([0, *sizes]),
        closest,
    )
    if found is None:
        return
    index, lower, upper, distance = found
    remedy = "remove one of them"
    if distance >= _OVERLAP:
        remedy += (
            ", or correct positions or cell (lengths are in Angstrom); the audit names all structures of "
            "close atoms (plip.audit.audit)"
        )
    raise ValueError(
        f"{describe(first + index, structures[index])}: atoms {lower} and {upper} are closer than "
        f"{closest:g} A ({distance:.2g} A, periodic images included); {remedy}"
    )


def check_limits(
    structures: Sequence[Atoms], species: Iterable[str] | None, cutoff: float | None, first: int = 0
) -> None:
    """Raise for what a model cannot take of structures that were checked; parameters as there."""
    if species is not None:
        owner_a = np.repeat(np.arange(len(structures)), [len(atoms) for atoms in structures])
        _check_elements(structures, owner_a, sorted(species), first)
    if cutoff is not None:
        check_neighbors(structures, cutoff, first)


def check_neighbors(structures: Sequence[Atoms], cutoff: float, first: int = 0) -> None:
    """Raise if a neighbor list would not fit into memory.

    Parameters
    ----------
    structures : list of ase.Atoms
        From `check_structures`.
    cutoff : float
        Angstrom.
    first : int, default=0
        Position of the first structure in the data, for messages.

    Raises
    ------
    ValueError
        A structure has more than fifty million neighbors (estimated); the message names it.
    """
    pbc = np.array([atoms.pbc for atoms in structures])
    periodic = np.array([atoms.cell.array for atoms in structures]) * pbc[:, :, None]
    _check_lists(structures, _invert_periodic(periodic, pbc)[1], cutoff, first)


def _check_lists(structures: Sequence[Atoms], thickness: FloatArray, cutoff: float, first: int) -> None:
    """As `check_neighbors`, for cells whose thickness, (n, 3), is known."""
    sizes = np.array([len(atoms) for atoms in structures], float)
    # An upper bound: every pair of atoms, through every image within reach.
    reach = np.where(thickness < 2 * cutoff, 2 * cutoff / thickness + 1, 1)
    upper = sizes**2 * reach.prod(axis=1)
    for index in np.flatnonzero(upper > _MAX_NEIGHBORS).tolist():
        neighbors = _estimate_neighbors(structures[index], cutoff)
        if neighbors > _MAX_NEIGHBORS:
            raise ValueError(
                f"{describe(first + index, structures[index])}: about {neighbors:.1g} neighbors within the "
                f"cutoff of {cutoff:g} A, more than the {_MAX_NEIGHBORS:,} that fit into memory; check cell "
                "and positions (in Angstrom), or use a shorter cutoff or a smaller structure"
            )


def _estimate_neighbors(atoms: Atoms, cutoff: float) -> float:
    """Estimate the length of a neighbor list from the surroundings of a few atoms.

    The estimate counts atoms in the parallelepiped around the sphere and scales by the ratio of the volumes.
    It is exact on average where the density varies slowly over the cutoff, and right within a factor of two
    elsewhere. Each pair counts from both ends.
    """
    pbc = atoms.pbc
    n_periodic = pbc.sum()
    periodic = atoms.cell.array * pbc[:, None]
    inverse, thickness = _invert_periodic(periodic[None], pbc[None])
    h = thickness[0, pbc]
    _, s, vt = np.linalg.svd(periodic)
    s_ad = atoms.positions @ inverse[0][:, pbc]
    free_ad = atoms.positions @ vt[n_periodic:].T

    centers = np.unique(np.linspace(0, len(atoms) - 1, 16).astype(int))
    inside = 0
    for center in centers:
        ds = s_ad - s_ad[center]
        ds -= np.rint(ds)
        near = (np.abs(ds) * h < cutoff).all(axis=1)
        near &= (np.abs(free_ad - free_ad[center]) < cutoff).all(axis=1)
        inside += int(np.count_nonzero(near))
    images = np.maximum(1.0, 2 * cutoff / h).prod()
    sphere = np.pi / 6 * h.prod() / s[:n_periodic].prod()
    return len(atoms) * inside / len(centers) * images * sphere
