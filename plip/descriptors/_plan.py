"""From interactions to the flat arrays that the compiled kernels read.

Every column is a polynomial in moments of the neighbourhood of an atom i,

    M_a^alpha(i) = sum_j g_a(r_ij) B_alpha(u_ij),   u_ij the unit vector from i to j,

with one of two angular bases B. *Solid harmonics* R_lm, normalised so that

    P_l(cos(theta_jik)) = sum_m R_lm(u_ij) R_lm(u_ik),

serve the three-body interaction: 2 l + 1 numbers of each degree. Its columns in powers of the cosine follow
from those in Legendre polynomials by a fixed combination, taken when all sums over neighbours are
done. *Monomials* u^alpha = u_x^alpha_x u_y^alpha_y u_z^alpha_z serve the four-body interaction, whose
contractions are simple in them: cos^l(theta_jik) = sum_{|alpha| = l} l!/alpha! u_ij^alpha u_ik^alpha.

The derivative of a column with respect to one neighbour n of a centre is a sum of products
``g_a(r) p(u)``, one for each arm that n can be, where the *field* p is a homogeneous
polynomial whose coefficients depend on the centre alone:

| interaction | field of an arm | degree | arms k |
| --- | --- | --- | --- |
| two-body | 1/2 | 0 | 1 |
| three-body | sum_m M_b^lm R_lm(u), less the neighbour itself | l | 2 |
| N-body | m M_a^(m - 1) | 0 | m |
| four-body | the tensors of the other two arms contracted with u | p + t, p + q, q + t | 3 |

Since a column is homogeneous of degree k in its arms, its value is 1/k times the sum
over arms and neighbours of ``g_a(r) p(u)``: the same tables serve values and derivatives.

The *state* of an atom holds its moments and the coefficients of its fields. Blocks of the
state have the function index last, padded to a multiple of the vector length of the kernels,
so that they run over whole vectors.
"""

import itertools

import numpy as np

from plip.descriptors._angular import (
    HARMONICS,
    MONOMIALS,
    angular_tables,
    first_component,
    legendre_of_powers,
    monomials,
    multinomial,
)
from plip.interactions._terms import SWITCH_RANGE, arm_permutations
from plip.radial import Gaussian

__all__ = ["CACHE_LINE", "build_plan"]

# Numbers in a line of the cache.
CACHE_LINE = 8
# Of the four-body interaction: 400 MB, and some ten milliseconds for each atom.
MAX_PRODUCTS = 20_000_000

# Columns of the integer table of groups; the kernel names them in the same order.
GROUP_FIELDS = (
    "function_set",
    "lowest",  # first degree of the fields
    "highest",  # last degree; fields of several degrees are those of powers of the cosine
    "state",  # offset of the coefficients of the fields in the state of the centre
    "count",  # number of fields of each degree
    "outer",  # 1: every field with every function; 0: field b with function b
    "own",  # 1: the field contains the neighbour itself, to be taken out
    "moment",  # offset of the moments of the functions, from the lowest degree on
    "scatter_begin",
    "scatter_end",
)


def arm_degrees(rank):
    """Degrees of the moments of the three arms of a four-body term."""
    p, q, t = rank
    return p + t, p + q, q + t


def contraction(rank):
    """The angular factor of a four-body term as a sum over monomials of its three arms.

    Each product of a monomial of cos(jik), of cos(kim) and of cos(mij) gives other exponents of the arms, so
    that no two summands are alike.

    Parameters
    ----------
    rank : tuple of int
        Powers (p, q, t) of cos(jik), cos(kim), cos(mij).

    Returns
    -------
    components : ndarray of int64, shape (3, n)
        Numbers of the monomials of the arms j, k, m among those of their degrees p + t, p + q, q + t.
    weights : ndarray of float64, shape (n,)
    """
    exponents = [np.array(monomials(power)) for power in rank]
    p, q, t = (x.ravel() for x in np.meshgrid(*(np.arange(len(x)) for x in exponents), indexing="ij"))
    alpha, beta, gamma = (x[number] for x, number in zip(exponents, (p, q, t), strict=True))
    components = []
    for _, y, z in ((alpha + gamma).T, (alpha + beta).T, (beta + gamma).T):
        components.append((y + z) * (y + z + 1) // 2 + z)  # the order of `monomials`
    weights = np.ones(len(p))
    for power, number in zip(rank, (p, q, t), strict=True):
        weights *= np.array([float(multinomial(x)) for x in monomials(power)])[number]
    return np.array(components), weights


class _Builder:
    """Collects the tables while interactions are added one after the other."""

    def __init__(self, species, columns, vector_length):
        self.species = species
        self.columns = columns
        self.vector_length = vector_length
        self.sets = []
        self.groups = {(s, t): [] for s in range(len(species)) for t in range(len(species))}
        self.scatter = []
        self.power_operations = [[] for _ in species]
        self.product_operations = [[] for _ in species]
        self.moments = [[] for _ in species]  # per centre: (neighbour species, function set, offset)
        self.state_size = [0] * len(species)
        self.halves = []  # per centre: offset of the constant field of the two-body interaction
        self.n_halves = 0

    def padded(self, count):
        """The smallest number of whole vectors that holds `count`."""
        return -(-count // self.vector_length) * self.vector_length

    def allocate(self, centre, length):
        offset = self.state_size[centre]
        self.state_size[centre] += length
        return offset

    def add_set(self, functions, cutoff, max_degree, switches=None, basis=HARMONICS):
        """A function set: radial functions that share a cutoff; one that is there already is taken again."""
        n_species = len(self.species)
        switch = np.zeros((n_species, n_species))
        for (s, t), value in (switches or {}).items():
            switch[s, t] = switch[t, s] = value
        identity = [(type(function), function.kernel_parameters()) for function in functions]
        for index, known in enumerate(self.sets):
            if (
                (known["identity"], known["cutoff"], known["basis"]) == (identity, cutoff, basis)
                and known["max_degree"] >= max_degree
                and np.array_equal(known["switch"], switch)
            ):
                return index
        self.sets.append(
            {
                "identity": identity,
                "functions": functions,
                "cutoff": cutoff,
                "max_degree": max_degree,
                "switch": switch,
                "basis": basis,
            }
        )
        return len(self.sets) - 1

    def add_moments(self, centre, neighbour, index):
        """Offset of the moments of a function set in the state of a centre."""
        for known_neighbour, known, offset in self.moments[centre]:
            if (known_neighbour, known) == (neighbour, index):
                return offset
        chosen = self.sets[index]
        n_components = first_component(chosen["basis"], chosen["max_degree"] + 1)
        offset = self.allocate(centre, n_components * self.padded(len(chosen["functions"])))
        self.moments[centre].append((neighbour, index, offset))
        return offset

    def add_group(self, centre, neighbour, index, degrees, state, count, outer, own, moment, entries, arms):
        """A group of fields; `entries` are (column, degree, field, function, coefficient)."""
        begin = len(self.scatter)
        lowest, highest = degrees
        n_functions = self.padded(len(self.sets[index]["functions"]))
        width = self.padded(count)
        for column, degree, field, function, coefficient in entries:
            if outer:
                place = ((degree - lowest) * width + field) * n_functions + function
            else:
                place = (degree - lowest) * width + field
            self.scatter.append((column, place, coefficient, coefficient / arms))
        self.groups[centre, neighbour].append(
            (index, lowest, highest, state, count, int(outer), int(own), moment, begin, len(self.scatter))
        )

    def add_two_body(self, functions, cutoff):
        index = self.add_set(functions, cutoff, 0)
        count = len(functions)
        self.n_halves = self.padded(count)
        self.halves = [self.allocate(s, self.n_halves) for s in range(len(self.species))]
        for s, t in self.groups:
            moment = self.add_moments(s, t, index)
            pair = tuple(sorted((s, t)))
            entries = [(self.columns["two-body", pair, (a,), None], 0, a, a, 1.0) for a in range(count)]
            self.add_group(s, t, index, (0, 0), self.halves[s], count, False, False, moment, entries, 1)

    def add_three_body(self, functions, cutoff, max_power, mixed):
        index = self.add_set(functions, cutoff, max_power)
        count = len(functions)
        n_species = range(len(self.species))
        for s in n_species:
            moments = [self.add_moments(s, t, index) for t in n_species]
            for t, other in itertools.product(n_species, repeat=2):
                entries = []
                for power in range(max_power + 1):
                    for a, b in itertools.product(range(count), repeat=2):
                        if not mixed and a != b:
                            continue
                        if t != other:
                            arms = (a, b) if t < other else (b, a)
                        else:
                            arms = tuple(sorted((a, b)))
                        key = "three-body", (s, *sorted((t, other))), arms, power
                        entries.append((self.columns[key], power, b, a, 1.0))
                degrees = (0, max_power)
                self.add_group(
                    s, t, index, degrees, moments[other], count, mixed, t == other, moments[t], entries, 2
                )

    def add_n_body(self, functions, cutoff, powers, switches):
        index = self.add_set(functions, cutoff, 0, switches)
        count = len(functions)
        for s, t in self.groups:
            moment = self.add_moments(s, t, index)
            for power in powers:
                state = self.allocate(s, self.padded(count))
                self.power_operations[s].append((moment, state, self.padded(count), power))
                entries = [(self.columns["N-body", (s, t), (a,), power], 0, a, a, 1.0) for a in range(count)]
                self.add_group(s, t, index, (0, 0), state, count, False, False, moment, entries, power)

    def add_four_body(self, functions, cutoff, ranks):
        max_degree = max(max(arm_degrees(rank)) for rank in ranks)
        index = self.add_set(functions, cutoff, max_degree, basis=MONOMIALS)
        n_species = range(len(self.species))
        terms = [key for key in self.columns if key[0] == "four-body"]
        products, n_products = {rank: contraction(rank) for rank in ranks}, 0
        for s in n_species:
            moments = [self.add_moments(s, t, index) for t in n_species]
            fields = {}  # (rank, arms with a hole) -> number of the field within its degree
            by_degree = {}
            entries = {}  # (degree, species of the arm) -> {(column, field, function): coefficient}
            for key in terms:
                _, (centre, *symbols), radial, rank = key
                if centre != s:
                    continue
                arms = tuple(zip(symbols, radial, strict=True))
                for hole in range(3):
                    rest = tuple(None if k == hole else arm for k, arm in enumerate(arms))
                    rest = min(
                        (tuple(rest[k] for k in order) for order in arm_permutations(rank)),
                        key=lambda arms: tuple((-1, -1) if arm is None else arm for arm in arms),
                    )
                    place = rest.index(None)
                    degree = arm_degrees(rank)[place]
                    members = by_degree.setdefault(degree, [])
                    if (rank, rest) not in fields:
                        fields[rank, rest] = len(members)
                        members.append((rank, rest, place))
                    t, a = arms[hole]
                    table = entries.setdefault((degree, t), {})
                    entry = self.columns[key], fields[rank, rest], a
                    table[entry] = table.get(entry, 0.0) + 1.0
            stride = self.padded(len(functions))
            n_products += sum(
                len(products[rank][1]) for members in by_degree.values() for rank, *_ in members
            )
            if n_products > MAX_PRODUCTS:
                raise ValueError(
                    f"the four-body interaction takes more than {MAX_PRODUCTS:,} products of moments per "
                    "atom: give lower ranks, fewer radial functions or fewer species"
                )
            for degree, members in sorted(by_degree.items()):
                width = self.padded(len(members))
                own_weights = np.array([float(multinomial(alpha)) for alpha in monomials(degree)])
                state = self.allocate(s, len(own_weights) * width)
                for number, (rank, rest, place) in enumerate(members):
                    components, weights = products[rank]
                    operations = [state + components[place] * width + number]
                    for k in range(3):
                        if k != place:
                            t, a = rest[k]
                            first = first_component(MONOMIALS, arm_degrees(rank)[k])
                            operations.append(moments[t] + (first + components[k]) * stride + a)
                    weights = weights / own_weights[components[place]]
                    self.product_operations[s].append((np.column_stack(operations), weights))
                for t in n_species:
                    listed = [
                        (column, degree, field, function, value)
                        for (column, field, function), value in entries.get((degree, t), {}).items()
                    ]
                    if listed:
                        moment = moments[t] + first_component(MONOMIALS, degree) * stride
                        self.add_group(
                            s, t, index, (degree, degree), state, len(members), True, False, moment, listed, 3
                        )

    def arrays(self, n_terms):
        """The tables as the kernels take them."""
        n_species = len(self.species)
        set_first, parameters, codes = [0], [], []
        for chosen in self.sets:
            functions = chosen["functions"]
            for function in functions:
                codes.append(function.code)
                parameters.append(function.kernel_parameters())
            for _ in range(self.padded(len(functions)) - len(functions)):
                codes.append(-1)
                parameters.append((0.0, 0.0))
            set_first.append(len(codes))
        groups, group_first = [], [0]
        value_first, n_own = [0], 0
        own_first = np.full((n_species, n_species, len(self.sets)), -1, np.int64)
        for s, t in itertools.product(range(n_species), repeat=2):
            for group in self.groups[s, t]:
                named = dict(zip(GROUP_FIELDS, group, strict=True))
                width = self.padded(len(self.sets[named["function_set"]]["functions"]))
                n_degrees = named["highest"] - named["lowest"] + 1
                value_first.append(
                    value_first[-1]
                    + n_degrees * self.padded(named["count"]) * (width if named["outer"] else 1)
                )
                if named["own"] and own_first[s, t, named["function_set"]] < 0:
                    own_first[s, t, named["function_set"]] = n_own
                    n_own += width * width
            groups += self.groups[s, t]
            group_first.append(len(groups))
        cutoffs = sorted({chosen["cutoff"] for chosen in self.sets})
        moments, moment_first = [], [0]
        powers, power_first = [], [0]
        products, product_first = [], [0]
        for s in range(n_species):
            for rows, first, mine in (
                (moments, moment_first, self.moments[s]),
                (powers, power_first, self.power_operations[s]),
            ):
                rows += mine
                first.append(len(rows))
            products += self.product_operations[s]
            product_first.append(sum(len(weights) for _, weights in products))
        max_degrees = [
            max((chosen["max_degree"] for chosen in self.sets if chosen["basis"] == basis), default=-1)
            for basis in (MONOMIALS, HARMONICS)
        ]

        def table(rows, width):
            return np.array(rows, np.int32).reshape(len(rows), width)

        return {
            "n_terms": n_terms,
            "n_species": n_species,
            "state_size": -(-max(self.state_size) // CACHE_LINE) * CACHE_LINE,
            "set_first": np.array(set_first, np.int32),
            "set_count": np.array([len(chosen["functions"]) for chosen in self.sets], np.int32),
            "class_cutoff": np.array(cutoffs, np.float64),
            "set_class": np.array([cutoffs.index(chosen["cutoff"]) for chosen in self.sets], np.int32),
            "set_gaussian": np.array(
                [
                    all(function.code == Gaussian.code for function in chosen["functions"])
                    for chosen in self.sets
                ],
                np.int32,
            ),
            "set_degree": np.array([chosen["max_degree"] for chosen in self.sets], np.int32),
            "set_basis": np.array([chosen["basis"] for chosen in self.sets], np.int32),
            "set_switch": np.array([chosen["switch"] for chosen in self.sets], np.float64),
            "switch_range": np.array(SWITCH_RANGE, np.float64),
            "function_code": np.array(codes, np.int32),
            "function_p": np.array([p for p, _ in parameters], np.float64),
            "function_q": np.array([q for _, q in parameters], np.float64),
            "groups": table(groups, len(GROUP_FIELDS)),
            "group_first": np.array(group_first, np.int32),
            "value_first": np.array(value_first, np.int64),
            "own_first": own_first.ravel(),
            "n_own": n_own,
            "scatter_column": np.array([entry[0] for entry in self.scatter], np.int32),
            "scatter_place": np.array([entry[1] for entry in self.scatter], np.int32),
            "derivative_coefficient": np.array([entry[2] for entry in self.scatter], np.float64),
            "value_coefficient": np.array([entry[3] for entry in self.scatter], np.float64),
            "moments": table(moments, 3),
            "moment_first": np.array(moment_first, np.int32),
            "powers": table(powers, 4),
            "power_first": np.array(power_first, np.int32),
            "products": np.concatenate([table([], 3), *(rows for rows, _ in products)]).astype(np.int32),
            "product_weight": np.concatenate([np.empty(0), *(weights for _, weights in products)]),
            "product_first": np.array(product_first, np.int32),
            "halves": np.array(self.halves or [0] * n_species, np.int32),
            "n_halves": self.n_halves,
            "legendre_of_powers": legendre_of_powers(max(max_degrees)),
            **angular_tables(max_degrees),
        }


def _kinds(terms, species):
    """What the terms of each interaction share: functions, cutoff, powers, switches; and the columns."""
    kinds, columns = {}, {}
    identity = {}
    for column, term in enumerate(terms):
        kind = kinds.setdefault(
            term.interaction,
            {"functions": [], "numbers": {}, "cutoff": term.cutoff, "powers": [], "switches": {}},
        )
        indices = []
        for function in term.radial:
            if id(function) not in identity:
                identity[id(function)] = type(function), function.kernel_parameters()
            key = identity[id(function)]
            if key not in kind["numbers"]:
                kind["numbers"][key] = len(kind["functions"])
                kind["functions"].append(function)
            indices.append(kind["numbers"][key])
        if term.power not in kind["powers"]:
            kind["powers"].append(term.power)
        numbers = tuple(species.index(symbol) for symbol in term.species)
        if term.switch is not None:
            kind["switches"][numbers] = term.switch
        columns[term.interaction, numbers, tuple(indices), term.power] = column
    return kinds, columns


def build_plan(terms, species, vector_length):
    """Tables of the kernels for the full table of terms of `plip.interactions._terms.build_terms`.

    Parameters
    ----------
    terms : sequence of Term
        All columns, in order.
    species : sequence of str
        Chemical symbols, sorted.
    vector_length : int
        What the kernels pad blocks of functions and fields to.

    Returns
    -------
    dict
        Arrays and numbers by name, as the class `Kernel` of `plip._kernels` takes them.
    """
    species = list(species)
    kinds, columns = _kinds(terms, species)
    builder = _Builder(species, columns, vector_length)
    if "two-body" in kinds:
        kind = kinds["two-body"]
        builder.add_two_body(kind["functions"], kind["cutoff"])
    if "three-body" in kinds:
        kind = kinds["three-body"]
        mixed = any(len(set(key[2])) > 1 for key in columns if key[0] == "three-body")
        builder.add_three_body(kind["functions"], kind["cutoff"], max(kind["powers"]), mixed)
    if "N-body" in kinds:
        kind = kinds["N-body"]
        builder.add_n_body(kind["functions"], kind["cutoff"], kind["powers"], kind["switches"])
    if "four-body" in kinds:
        kind = kinds["four-body"]
        builder.add_four_body(kind["functions"], kind["cutoff"], kind["powers"])
    return builder.arrays(len(terms))
