"""A slow oracle for the columns of plip, written from the equations of the model alone.

It shares no code with the package: its own radial functions and cutoff, its own loop over periodic images,
and plain sums over pairs, triplets and quadruplets of atoms with the cosines of their angles. Of a term it
reads the public attributes only (`interaction`, `species`, `radial`, `power`, `cutoff`, `switch`), of a
radial function its class name and its parameters.

The model, with g_a(r) = phi_a(r) f_c(r) and f_c(r) = (1 + cos(pi r / r_c)) / 2 below r_c, 0 above:

two-body    sum over atoms i in s and their neighbors j in s' of g_a(r_ij), halved if s = s', so that each
            pair counts once
three-body  sum over centers i and pairs of neighbors j != k of g_a(r_ij) g_b(r_ik) cos^l(theta_jik); the
            pairs are unordered where the arms are alike (same function, same species), ordered elsewhere
N-body      sum over centers i of (sum_j g_a(r_ij) f_s(r_ij))^m, and for m = 1/2 of the squares,
            (sum_j (g_a(r_ij) f_s(r_ij))^2)^m
four-body   sum over centers i and all ordered j, k, m, coincidences included, of
            g_a(r_ij) g_b(r_ik) g_c(r_im) cos^p(theta_jik) cos^q(theta_kim) cos^t(theta_mij)

A species "*" stands for all of them. Labels decide what is alike: a pair of two Mo atoms counts twice for
(*, Mo), since each of them is in Mo.
"""

import itertools
import math

import numpy as np

# ------------------------------------------------------------------------------
# Radial functions. They take complex r too, so that a complex step gives their exact derivative; where a
# function ends (onsets, cutoff) the real part decides.
# ------------------------------------------------------------------------------


def _gaussian(r, eta, centers):
    return np.exp(-eta * (r - centers) ** 2)


def _slater(r, powers, zeta):
    return r**powers * np.exp(-zeta * r)


def _gaussian_type(r, powers, zeta):
    return r**powers * np.exp(-zeta * r**2)


def _stillinger_weber(r, gamma, onset):
    beyond = r.real > onset
    return np.where(beyond, np.exp(gamma / np.where(beyond, r - onset, 1.0)), 0.0)


def _power(r, powers):
    return r**powers


def _lorentzian(r, centers, exponents):
    return 1.0 / ((r - centers) ** int(exponents) + 1.0)


def _log_normal(r, onsets, scales):
    beyond = r.real > onsets
    return np.where(beyond, np.exp(-(np.log(np.where(beyond, r - onsets, scales) / scales) ** 2)), 0.0)


def _lennard_jones(r, sigma):
    return 4.0 * ((sigma / r) ** 12 - (sigma / r) ** 6)


PHI = {
    "Gaussian": _gaussian,
    "Slater": _slater,
    "GaussianType": _gaussian_type,
    "StillingerWeber": _stillinger_weber,
    "Power": _power,
    "Lorentzian": _lorentzian,
    "LogNormal": _log_normal,
    "LennardJones": _lennard_jones,
}
FAMILY_NAMES = tuple(PHI)


def phi(function, r):
    """phi_a(r) of one radial function of plip (scalar parameters), for real or complex r of any shape."""
    parameters = {name: float(value) for name, value in function.get_params().items()}
    return PHI[type(function).__name__](np.asarray(r), **parameters)


def smooth_cutoff(r, cutoff):
    """f_c(r) for real or complex r of any shape."""
    r = np.asarray(r)
    return np.where(r.real < cutoff, 0.5 * (1.0 + np.cos(np.pi * r / cutoff)), 0.0)


def switch_on(r, r_short):
    """f_s(r): the quintic step from 0 at 0.95 r_short to 1 at 1.05 r_short; 1 where there is no switch."""
    if r_short is None:
        return 1.0
    u = (r - 0.95 * r_short) / (0.10 * r_short)
    return np.where(u <= 0.0, 0.0, np.where(u >= 1.0, 1.0, 6.0 * u**5 - 15.0 * u**4 + 10.0 * u**3))


# ------------------------------------------------------------------------------
# Neighbors
# ------------------------------------------------------------------------------


class Center:
    """An atom, `symbol`, and its n neighbors: `symbols` (n,), `r` (n,) in A and `cosine` (n, n)."""

    def __init__(self, symbol, symbols, vectors):
        self.symbol = symbol
        self.symbols = np.array(symbols, dtype=object)
        self.r = np.sqrt(np.sum(vectors * vectors, axis=1))
        units = vectors / self.r[:, None]
        self.cosine = np.sum(units[:, None, :] * units[None, :, :], axis=2)


def centers(atoms, cutoff, positions=None, cell=None):
    """All atoms with all their neighbors closer than `cutoff` (A): every image is tried.

    Positions and cell in place of those of the atoms may be complex: real parts decide who is a neighbor.
    """
    symbols, periodic = atoms.get_chemical_symbols(), list(atoms.pbc)
    positions = atoms.positions if positions is None else positions
    cell = np.array(atoms.cell) if cell is None else cell
    ranges = _image_ranges(np.array(atoms.cell), periodic, atoms.positions, cutoff)
    images = np.array(list(itertools.product(*ranges)), dtype=float)
    shifts = images @ cell
    found = []
    for i in range(len(atoms)):
        neighbor_symbols, vectors = [], [np.empty((0, 3), positions.dtype)]
        for j in range(len(atoms)):
            image_vectors = positions[j] - positions[i] + shifts
            near = np.sum(image_vectors.real**2, axis=1) < cutoff * cutoff
            if i == j:
                near &= images.any(axis=1)
            neighbor_symbols += [symbols[j]] * np.count_nonzero(near)
            vectors.append(image_vectors[near])
        found.append(Center(symbols[i], neighbor_symbols, np.concatenate(vectors)))
    return found


def _image_ranges(cell, periodic, positions, cutoff):
    """Image numbers that can reach: |S_d| <= (r_c + largest separation) / (height of the cell along d)."""
    vectors = [cell[d] for d in range(3) if periodic[d]]
    if not vectors:
        return [range(1)] * 3
    # Rows of the pseudo-inverse are dual to the lattice vectors, within the space that they span.
    dual = np.linalg.pinv(np.array(vectors)).T
    reach = cutoff + max(np.linalg.norm(a - b) for a in positions for b in positions)
    counts = iter([int(math.ceil(reach * np.linalg.norm(row))) for row in dual])
    return [range(-n, n + 1) if p else range(1) for p, n in ((p, next(counts) if p else 0) for p in periodic)]


def pair_distances(atoms, cutoff):
    """Sorted distances (A) of all ordered pairs closer than `cutoff`."""
    return np.sort(np.concatenate([center.r for center in centers(atoms, cutoff)]))


# ------------------------------------------------------------------------------
# Columns
# ------------------------------------------------------------------------------


def oracle_energy(atoms, term):
    """X_n of one structure for one term."""
    return oracle_energies(atoms, [term])[0]


def oracle_energies(atoms, terms):
    """X_n of one structure for many terms, shape (n_terms,)."""
    return _evaluate(atoms, terms, RULES)


def oracle_derivatives(atoms, terms):
    """X_n (n_terms,), forces (n, 3, n_terms) and strain derivatives (6, n_terms), xx yy zz yz xz xy.

    All in extended precision. Each derivative is the imaginary part that a tiny imaginary displacement gives:
    there is no difference that rounds.
    """
    tiny = np.longdouble(1e-100)
    positions, cell = atoms.positions.astype(np.clongdouble), np.array(atoms.cell).astype(np.clongdouble)
    forces = np.empty((*positions.shape, len(terms)), np.longdouble)
    for place in np.ndindex(positions.shape):
        moved = positions.copy()
        moved[place] += 1j * tiny
        forces[place] = -_evaluate(atoms, terms, RULES, moved, cell).imag / tiny
    strain = np.empty((6, len(terms)), np.longdouble)
    for n, (x, y) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        deformation = np.eye(3, dtype=np.clongdouble)
        deformation[x, y] += 0.5j * tiny
        deformation[y, x] += 0.5j * tiny
        strained = _evaluate(atoms, terms, RULES, positions @ deformation, cell @ deformation)
        strain[n] = strained.imag / tiny
    return _evaluate(atoms, terms, RULES, positions, cell).real, forces, strain


def oracle_magnitudes(atoms, terms):
    """The sum of the absolute values of what X_n is made of, coincidences included, shape (n_terms,).

    Rounding errors of X_n are a small multiple of the machine precision times this number, however much of it
    cancels in X_n itself.
    """
    magnitude = dict.fromkeys(RULES, _magnitude)
    return _evaluate(atoms, terms, magnitude)


def _evaluate(atoms, terms, rules, positions=None, cell=None):
    neighborhoods, values, known = {}, [], {}
    for term in terms:
        if term.cutoff not in neighborhoods:
            neighborhoods[term.cutoff] = centers(atoms, term.cutoff, positions, cell)
        value = 0.0
        for index, center in enumerate(neighborhoods[term.cutoff]):
            arms = []
            for function in term.radial:
                key = (index, function_key(function), term.cutoff, term.switch)
                if key not in known:
                    known[key] = _g(function, center.r, term)
                arms.append(known[key])
            value += rules[term.interaction](center, arms, term)
        values.append(value)
    return np.array(values)


def _g(function, r, term):
    return phi(function, r) * smooth_cutoff(r, term.cutoff) * switch_on(r, term.switch)


def _holds(label, symbol):
    """Whether an atom may stand at a place of a term; "*" is any species."""
    return label in ("*", symbol)


def _members(center, label):
    """Numbers of the neighbors that may stand at a place of a term."""
    return np.array([j for j, symbol in enumerate(center.symbols) if _holds(label, symbol)], dtype=int)


def _two_body(center, arms, term):
    # A pair is met once for each of its atoms that is in s: twice if both labels are the same.
    (g,) = arms
    s, s_j = term.species
    if not _holds(s, center.symbol):
        return 0.0
    return (0.5 if s == s_j else 1.0) * g[_members(center, s_j)].sum()


def _three_body(center, arms, term):
    s, s_a, s_b = term.species
    if not _holds(s, center.symbol):
        return 0.0
    g_a, g_b = arms
    alike = s_a == s_b and function_key(term.radial[0]) == function_key(term.radial[1])
    j, k = (_members(center, s) for s in (s_a, s_b))
    counted = j[:, None] < k[None, :] if alike else j[:, None] != k[None, :]
    triplets = g_a[j][:, None] * g_b[k][None, :] * center.cosine[np.ix_(j, k)] ** term.power
    return triplets[counted].sum()


def _n_body(center, arms, term):
    s, s_j = term.species
    if not _holds(s, center.symbol):
        return 0.0
    (g,) = arms
    density = 0.0
    for j in _members(center, s_j):
        density += g[j] ** 2 if term.power == 0.5 else g[j]
    return density**term.power


def _four_body(center, arms, term):
    if not _holds(term.species[0], center.symbol):
        return 0.0
    p, q, t = term.power
    j, k, m = (_members(center, s) for s in term.species[1:])
    g_a, g_b, g_c = arms
    product = g_a[j][:, None, None] * g_b[k][None, :, None] * g_c[m][None, None, :]
    product = product * center.cosine[np.ix_(j, k)][:, :, None] ** p
    product = product * center.cosine[np.ix_(k, m)][None, :, :] ** q
    product = product * center.cosine[np.ix_(j, m)][:, None, :] ** t
    return product.sum()


RULES = {"two-body": _two_body, "three-body": _three_body, "N-body": _n_body, "four-body": _four_body}


def _magnitude(center, arms, term):
    if term.interaction == "two-body":
        return np.abs(arms[0]).sum()
    if not _holds(term.species[0], center.symbol):
        return 0.0
    value = 1.0
    for g, s in zip(arms, term.species[1:], strict=True):
        value *= np.abs(g[_members(center, s)]).sum()
    # The root of a sum of squares is at most the sum.
    return value ** max(term.power, 1) if term.interaction == "N-body" else value


# ------------------------------------------------------------------------------
# Which columns there are
# ------------------------------------------------------------------------------


def function_key(function):
    """A radial function as plain data: class name and sorted parameters."""
    return type(function).__name__, tuple(sorted((k, float(v)) for k, v in function.get_params().items()))


def column_key(term):
    """A term as plain data, the same for all ways to write one column."""
    functions = tuple(function_key(f) for f in term.radial)
    if term.interaction == "two-body":
        return "two-body", tuple(sorted(term.species)), functions, None
    if term.interaction == "three-body":
        return _three_body_key(term.species, functions, term.power)
    if term.interaction == "four-body":
        return _four_body_key(term.species, functions, tuple(term.power))
    return term.interaction, tuple(term.species), functions, term.power


def _three_body_key(species, functions, power):
    arms = sorted(zip(species[1:], functions, strict=True))
    return "three-body", (species[0], *(s for s, _ in arms)), tuple(f for _, f in arms), power


def _four_body_key(species, functions, rank):
    arms = list(zip(species[1:], functions, strict=True))
    arms = min([arms[x] for x in permutation] for permutation in rank_symmetry(rank))
    return "four-body", (species[0], *(s for s, _ in arms)), tuple(f for _, f in arms), rank


def rank_symmetry(rank):
    """Permutations of the three arms that leave (p, q, t) unchanged; p joins arms 0-1, q 1-2, t 2-0."""
    power = {frozenset((0, 1)): rank[0], frozenset((1, 2)): rank[1], frozenset((2, 0)): rank[2]}
    return [
        permutation
        for permutation in itertools.permutations(range(3))
        if all(power[frozenset(permutation[x] for x in bond)] == value for bond, value in power.items())
    ]


def two_body_columns(species, functions):
    """Keys of the two-body columns, one per unordered pair of species and function."""
    return {
        ("two-body", pair, (function_key(f),), None)
        for pair in itertools.combinations_with_replacement(sorted(species), 2)
        for f in functions
    }


def three_body_columns(species, functions, max_power, mixed):
    """Keys of the three-body columns: all arms, then what counts as the same column falls together."""
    keys = set()
    for center, s_a, s_b in itertools.product(species, repeat=3):
        for f_a, f_b in itertools.product(functions, repeat=2):
            if not mixed and function_key(f_a) != function_key(f_b):
                continue
            for power in range(max_power + 1):
                keys.add(_three_body_key((center, s_a, s_b), (function_key(f_a), function_key(f_b)), power))
    return keys


def n_body_columns(species, functions, powers):
    """Keys of the N-body columns: center and neighbor are an ordered pair."""
    return {
        ("N-body", (s, s_j), (function_key(f),), m)
        for s in species
        for s_j in species
        for f in functions
        for m in powers
    }


def four_body_columns(species, functions, ranks):
    """Keys of the four-body columns: one per orbit of the three (species, function) arms."""
    arms = [(s, function_key(f)) for s in species for f in functions]
    return {
        _four_body_key((center, a[0], b[0], c[0]), (a[1], b[1], c[1]), tuple(rank))
        for center in species
        for a, b, c in itertools.product(arms, repeat=3)
        for rank in ranks
    }


def oracle_columns(species, two_body=None, three_body=None, n_body=None, four_body=None):
    """Keys of all columns of given species.

    `two_body`: functions; `three_body`: (functions, max_power, mixed); `n_body`: (functions, powers);
    `four_body`: (functions, ranks); None leaves one out. Compare with `column_key` of the package's terms.
    """
    keys = set()
    if two_body is not None:
        keys |= two_body_columns(species, two_body)
    if three_body is not None:
        keys |= three_body_columns(species, *three_body)
    if n_body is not None:
        keys |= n_body_columns(species, *n_body)
    if four_body is not None:
        keys |= four_body_columns(species, *four_body)
    return keys


def nuclear(first, second, r):
    """Repulsion of two nuclei in eV, from charges and Angstrom (Ziegler, Biersack & Littmark, 1985)."""
    x = r / (0.46850 / (first**0.23 + second**0.23))
    weights, rates = (0.18175, 0.50986, 0.28022, 0.02817), (3.1998, 0.94229, 0.4029, 0.20162)
    screening = sum(weight * np.exp(-rate * x) for weight, rate in zip(weights, rates, strict=True))
    return 14.399645 * first * second / r * screening
