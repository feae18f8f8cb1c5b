"""Checks of the structures a user hands in, done once and before any long work.

Index suffixes: r_ac is atom x Cartesian, s_ad is atom x cell direction.
"""

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from scipy.spatial import cKDTree

__all__ = ["check_structures", "describe", "enclosing_cell", "has_full_cell"]

# Angstrom. Atoms nearer than this are one atom entered twice: no two nuclei come within 0.5 A.
_OVERLAP = 1e-3
# Angstrom (1 mm). Beyond it a double no longer resolves _OVERLAP safely, and the unit is surely another.
_LARGEST_LENGTH = 1e7
# Of one structure. A neighbour list of this length takes about 3 GB: i, j, S, d, D are 60 bytes. Two million
# atoms of silicon have as many at 5 A; what deserves an error mostly has many times more.
_MAX_NEIGHBORS = 50_000_000
# Steps of the neighbour search of one structure, which take seconds. Bulk matter needs some ten times as many
# as it has neighbours, so that only thin or very skewed cells come here.
_MAX_VISITS = 1_000_000_000
# vesin (0.6.2, and its sources before) scales larger numbers of bins down to this one. Where that leaves a
# direction without a bin, it divides by zero and ends the interpreter.
_MAX_BINS = 1e5


def describe(index, atoms):
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


def has_full_cell(atoms):
    """Whether the three cell vectors span a volume, so that a stress is defined.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodicity does not matter.

    Returns
    -------
    bool
    """
    vectors = atoms.cell.array
    lengths = np.linalg.norm(vectors, axis=1)
    # 1e-12 of the volume of a cuboid is rounding: the vectors are coplanar.
    return bool(abs(np.linalg.det(vectors)) > 1e-12 * lengths.prod())


def enclosing_cell(atoms, cutoff):
    """Cell of a structure periodic in three directions that has the same neighbours.

    Vectors along directions without period are replaced by vectors normal to all others, so long that images
    along them are out of reach. vesin (0.6.2) searches neighbours in such a cell in linear time, but in
    quadratic time where only some directions are periodic.

    Parameters
    ----------
    atoms : ase.Atoms
        With a cell that passed `check_structures`.
    cutoff : float
        Angstrom.

    Returns
    -------
    (3, 3) float64
        Cell vectors in rows, Angstrom. Vectors along periodic directions are those of `atoms`.
    """
    cell = atoms.cell.array.copy()
    free = ~atoms.pbc
    if free.any():
        # The rows of vt that belong to no singular value span what is normal to the periodic vectors.
        axes = np.linalg.svd(cell * atoms.pbc[:, None])[2][3 - free.sum() :]
        extent = np.ptp(atoms.positions @ axes.T, axis=0)
        # One per cent keeps images apart whatever the rounding.
        cell[free] = axes * (extent + 1.01 * cutoff)[:, None]
    return cell


def check_structures(X, species=None, cutoff=None, first=0):
    """Check a sequence of structures and return it as a list.

    Parameters
    ----------
    X : iterable of ase.Atoms
        A list, tuple, generator, one-dimensional object array, trajectory, ...
    species : iterable of str, optional
        The chemical symbols that may occur; None allows any element.
    cutoff : float, optional
        Angstrom. When given, structures whose neighbour list would not fit into memory are refused: more than
        fifty million neighbours (estimated, each pair counted from both ends), or a cell so thin or skewed
        that the search alone would take seconds, or a flat or long structure of more than 1e5 cubes of the
        cutoff, which the search cannot handle.
    first : int, default=0
        Place of the first structure in the data, for messages.

    Returns
    -------
    list of ase.Atoms
        The same objects, not copies.

    Raises
    ------
    TypeError
        X is a single Atoms, an array of numbers or of Atom objects, or holds anything else than Atoms.
    ValueError
        X is empty, or a structure is unusable: no atoms, an atomic number that is no element, an element not
        in `species`, positions or cell not finite or longer than 1e7 A (1 mm), a periodic cell without volume
        or thinner than 1e-3 A, two atoms closer than 1e-3 A (periodic images included), too many neighbours
        within `cutoff`. The message names the first such structure.
    """
    structures = _as_list(X, first)
    for index, atoms in enumerate(structures):
        if len(atoms) == 0:
            raise ValueError(f"structure {first + index}: it has no atoms; remove it")
    sizes = np.array([len(atoms) for atoms in structures])
    owner_a = np.repeat(np.arange(len(structures)), sizes)
    _check_elements(structures, owner_a, species, first)

    r_ac = np.concatenate([atoms.positions for atoms in structures])
    cells = np.array([atoms.cell.array for atoms in structures])
    pbc = np.array([atoms.pbc for atoms in structures])
    _check_lengths(structures, owner_a, r_ac, cells, first)
    periodic = cells * pbc[:, :, None]
    inverse, thickness = _invert_periodic(periodic, pbc)
    _check_cells(structures, cells, pbc, thickness, first)
    _check_overlaps(structures, sizes, owner_a, r_ac, periodic, inverse, thickness, first)
    if cutoff is not None:
        _check_search(structures, sizes, pbc, thickness, cutoff, first)
    return structures


def _as_list(X, first):
    if isinstance(X, Atoms):
        raise TypeError("X is a single Atoms; pass a sequence of structures, such as [atoms]")
    if isinstance(X, np.ndarray) and (X.dtype != object or X.ndim != 1):
        raise TypeError(
            f"X is an array of shape {X.shape} and dtype {X.dtype}; pass a list of ase.Atoms (numpy.array "
            "turns such a list into an array of single Atom objects)"
        )
    try:
        structures = list(X)
    except TypeError:
        raise TypeError(f"X must be a sequence of ase.Atoms, got {type(X).__name__}") from None
    if not structures:
        raise ValueError("X holds no structures; at least one is needed")
    for index, atoms in enumerate(structures):
        if not isinstance(atoms, Atoms):
            raise TypeError(f"structure {first + index}: expected an ase.Atoms, got {type(atoms).__name__}")
    return structures


def _check_elements(structures, owner_a, species, first):
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
    species = sorted(species)
    unknown = ~np.isin(np.array(chemical_symbols)[numbers_a], species)
    if unknown.any():
        a = unknown.argmax()
        index, symbol = owner_a[a], chemical_symbols[numbers_a[a]]
        raise ValueError(
            f"{describe(first + index, structures[index])}: element {symbol} is not among the known species "
            f"({', '.join(species)}); leave the structure out or fit with that element"
        )


def _check_lengths(structures, owner_a, r_ac, cells, first):
    # The comparison is False for NaN.
    bad_cells = ~(np.abs(cells) <= _LARGEST_LENGTH).all(axis=(1, 2))
    bad_atoms = ~(np.abs(r_ac) <= _LARGEST_LENGTH).all(axis=1)
    bad = bad_cells.copy()
    bad[owner_a[bad_atoms]] = True
    if bad.any():
        index = bad.argmax()
        what = "cell" if bad_cells[index] else "positions"
        raise ValueError(
            f"{describe(first + index, structures[index])}: its {what} hold values that are NaN, infinite or "
            f"beyond {_LARGEST_LENGTH:g} A; correct them (lengths are in Angstrom)"
        )


def _invert_periodic(periodic, pbc):
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
        Angstrom; distance of the two faces of the cell that a direction crosses, infinite where not periodic,
        zero where the vectors depend on each other.
    """
    u, s, vt = np.linalg.svd(periodic)
    # Singular values come sorted; the last ones belong to directions without period.
    kept = np.arange(3) < pbc.sum(axis=1)[:, None]
    # 1e-12 is rounding; cells that are merely skewed (1e7 A by 1e-3 A) stay above it.
    degenerate = (kept & (s <= 1e-12 * s[:, :1])).any(axis=1)
    kept &= ~degenerate[:, None]
    inverse = np.einsum("ndc,nd,ned->nce", vt, np.divide(1.0, s, out=np.zeros_like(s), where=kept), u)
    norms = np.linalg.norm(inverse, axis=1)
    thickness = np.divide(1.0, norms, out=np.zeros_like(norms), where=~degenerate[:, None] & pbc)
    thickness[~pbc] = np.inf
    return inverse, thickness


def _check_cells(structures, cells, pbc, thickness, first):
    # Every lattice vector is at least as long as the cell is thin: an atom on its own image is caught here
    # too.
    thin = (thickness < _OVERLAP).any(axis=1)
    if not thin.any():
        return
    index = thin.argmax()
    missing = pbc[index] & ~cells[index].any(axis=1)
    if missing.any():
        reason = f"it is periodic along cell vector {'abc'[missing.argmax()]}, which is zero"
    else:
        reason = f"its periodic cell has no volume (thickness {thickness[index].min():.2g} A)"
    raise ValueError(
        f"{describe(first + index, structures[index])}: {reason}; correct the cell or set pbc to False"
    )


def _check_overlaps(structures, sizes, owner_a, r_ac, periodic, inverse, thickness, first):
    """Raise for the first pair closer than _OVERLAP.

    Atoms are wrapped into the cell and those next to its lower faces repeated at the upper ones, so that
    every close pair is met in plain space; of some pairs both partners are repeated ones. One tree serves all
    structures: the fourth coordinate keeps them apart.
    """
    s_ad = np.einsum("ac,acd->ad", r_ac, inverse[owner_a])
    shift_ad = np.floor(s_ad)
    points = r_ac - np.einsum("ad,adc->ac", shift_ad, periodic[owner_a])
    s_ad -= shift_ad
    atom = np.arange(len(r_ac))
    for direction in range(3):
        near = s_ad[:, direction] < (_OVERLAP / thickness[:, direction])[owner_a[atom]]
        images = points[near] + periodic[owner_a[atom[near]], direction]
        points = np.concatenate([points, images])
        s_ad = np.concatenate([s_ad, s_ad[near]])
        atom = np.concatenate([atom, atom[near]])

    order = np.argsort(atom, kind="stable")
    points, atom = points[order], atom[order]
    points = np.column_stack([points, owner_a[atom]])
    # An unbalanced tree is built faster, and searched four times faster where many atoms are at one place.
    tree = cKDTree(points, balanced_tree=False)
    # In portions, for the search is slow exactly where it finds something.
    for start in range(0, len(points), 256):
        distances, nearest = tree.query(points[start : start + 256], k=2, distance_upper_bound=_OVERLAP)
        close = np.isfinite(distances[:, 1])
        if close.any():
            k = close.argmax()
            # Of three and more atoms at one place, the two nearest may both be others than the one asked for.
            other = nearest[k, 0] if nearest[k, 0] != start + k else nearest[k, 1]
            index = owner_a[atom[other]]
            lower, upper = sorted(np.array([atom[start + k], atom[other]]) - sizes[:index].sum())
            raise ValueError(
                f"{describe(first + index, structures[index])}: atoms {lower} and {upper} are closer "
                f"than {_OVERLAP:g} A (periodic images included); remove one of them"
            )


def _check_search(structures, sizes, pbc, thickness, cutoff, first):
    """Raise where the neighbour search would exhaust memory or time, or end the interpreter."""
    # No more neighbours than these: every pair of atoms, through every image in reach.
    reach = np.where(thickness < 2 * cutoff, 2 * cutoff / thickness + 1, 1)
    upper = sizes.astype(float) ** 2 * reach.prod(axis=1)

    # The bins of the cell list, which is made for the enclosing cell.
    side = thickness.copy()
    for index in np.flatnonzero(~pbc.all(axis=1)):
        free = ~pbc[index]
        side[index, free] = np.linalg.norm(enclosing_cell(structures[index], cutoff)[free], axis=1)
    bins = np.maximum(1, np.trunc(side / cutoff))
    scale = np.minimum(1, np.cbrt(_MAX_BINS / bins.prod(axis=1)))[:, None]
    # vesin rounds down in each of three steps: three bins are enough to keep one.
    lost = (scale[:, 0] < 1) & (bins * scale < 3).any(axis=1)

    # Every bin is visited with all bins in reach, and there every pair of atoms.
    scaled = bins * scale
    n_bins = scaled.prod(axis=1)
    reached = (2 * np.ceil(cutoff * scaled / side) + 1).prod(axis=1)
    visits = reached * (n_bins + sizes.astype(float) ** 2 / n_bins)

    for index in np.flatnonzero((upper > _MAX_NEIGHBORS) | lost | (visits > _MAX_VISITS)):
        where = describe(first + index, structures[index])
        neighbors = _estimate_neighbors(structures[index], cutoff)
        if neighbors > _MAX_NEIGHBORS:
            raise ValueError(
                f"{where}: about {neighbors:.1g} neighbours within the cutoff of {cutoff:g} A, more than the "
                f"{_MAX_NEIGHBORS:,} that fit into memory; check cell and positions (in Angstrom), or use a "
                "shorter cutoff or a smaller structure"
            )
        if lost[index]:
            shape = " x ".join(f"{n:.0f}" for n in bins[index])
            raise ValueError(
                f"{where}: it is too flat or long for its size, {shape} cubes of the cutoff of {cutoff:g} A; "
                "reduce the empty space in its cell or cut it into parts"
            )
        if visits[index] > _MAX_VISITS:
            raise ValueError(
                f"{where}: its cell is so thin or skewed (thickness {thickness[index].min():.2g} A) that the "
                f"search for neighbours within {cutoff:g} A would not end soon; reduce the cell "
                "(ase.geometry.minkowski_reduce), or use a shorter cutoff"
            )


def _estimate_neighbors(atoms, cutoff):
    """Estimate the length of a neighbour list from the surroundings of a few atoms.

    Exact on average where the density varies slowly over the cutoff, within a factor of two elsewhere: the
    sphere is replaced by the parallelepiped around it, times the ratio of their volumes.

    Parameters
    ----------
    atoms : ase.Atoms
        With a cell that passed the checks.
    cutoff : float
        Angstrom.

    Returns
    -------
    float
        Each pair counted from both ends.
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
        inside += np.count_nonzero(near)
    images = np.maximum(1.0, 2 * cutoff / h).prod()
    sphere = np.pi / 6 * h.prod() / s[:n_periodic].prod()
    return len(atoms) * inside / len(centers) * images * sphere
