"""The physics of the rows: derivatives against finite differences, symmetries, continuity.

The rows of one structure are the energy columns X_n (n_terms,), the force columns -dX_n/dr
(3 n_atoms, n_terms) and the virial columns dX_n/d(strain) (6, n_terms), in ASE's Voigt order
xx yy zz yz xz xy.
"""

import numpy as np
import oracle
import pytest
from ase import Atoms
from ase.constraints import FixAtoms
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sample_structures import SAMPLE_NAMES, clear_radius, random_structure, sample, switch_radius
from scipy.spatial.transform import Rotation

from plip import PLIPDescriptors
from plip._core._rows import instruction_sets
from plip._design._rows import Design, StructureDesign
from plip.interactions import FourBody, NBody, ThreeBody, TwoBody
from plip.radial import Gaussian, LogNormal, Power, Slater, StillingerWeber

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
# Seven-point central difference: its error is h^6 / 140 of the seventh derivative, below 1e-9 of the first
# one for every column here (the worst is a Stillinger-Weber function 0.1 A above its onset to the seventh
# power), and 2e-16 |X| / h from rounding. Shorter stencils need steps at which rounding shows.
STENCIL = ((-3, -1 / 60), (-2, 3 / 20), (-1, -3 / 4), (1, 3 / 4), (2, -3 / 20), (3, 1 / 60))
STEP = 2.5e-4  # Angstrom
STRAIN_STEP = 5e-5  # moves a pair 5 A apart as far as STEP does


def fitted(atoms, cutoff, **interactions):
    interactions = {"two_body": None, "three_body": None, "n_body": None, "four_body": None} | interactions
    return PLIPDescriptors(cutoff=cutoff, **interactions).fit([atoms])


def powers_for(radial, *powers):
    """With the root, which does not take functions that change sign."""
    return powers if any(function.changes_sign for function in radial) else (0.5, *powers)


def everything(cutoff, radial=None):
    """All four interactions with a few functions each."""
    radial = [Gaussian(eta=1.0, centers=2.0), Slater(powers=1.0, zeta=1.0)] if radial is None else radial
    return {
        "two_body": TwoBody(radial),
        "three_body": ThreeBody(radial, max_power=5, mixed=True),
        "n_body": NBody(radial, powers=powers_for(radial, 2, 5)),
        "four_body": FourBody(radial[:1]),
    }


# ------------------------------------------------------------------------------
# Finite differences of the energy columns
# ------------------------------------------------------------------------------


def force_difference(descriptors, atoms):
    """-dX_n/dr of the package's energies by finite differences, shape (3 n_atoms, n_terms)."""
    moved = []
    for atom in range(len(atoms)):
        for axis in range(3):
            for step, _ in STENCIL:
                moved.append(atoms.copy())
                moved[-1].positions[atom, axis] += step * STEP
    return -_differences(descriptors, moved, STEP)


def virial_difference(descriptors, atoms):
    """dX_n/d(strain) by finite differences, shape (6, n_terms)."""
    strained = []
    for a, b in VOIGT:
        for step, _ in STENCIL:
            # Half of a shear goes to either off-diagonal element: twice half for a diagonal one.
            strain = np.zeros((3, 3))
            strain[a, b] += 0.5 * step * STRAIN_STEP
            strain[b, a] += 0.5 * step * STRAIN_STEP
            strained.append(atoms.copy())
            strained[-1].set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=False)
            strained[-1].positions = atoms.positions @ (np.eye(3) + strain)
    return _differences(descriptors, strained, STRAIN_STEP)


def _differences(descriptors, structures, step):
    energies = descriptors.transform(structures)
    weights = np.array([weight for _, weight in STENCIL]) / step
    return np.einsum("s,csn->cn", weights, energies.reshape(-1, len(STENCIL), energies.shape[1]))


def assert_derivatives(descriptors, atoms):
    _, forces, virial = descriptors.design_rows(atoms, forces=True, virial=True)
    n_terms = len(descriptors.terms_)
    assert forces.shape == (3 * len(atoms), n_terms)
    assert virial.shape == (6, n_terms)
    magnitudes = oracle.oracle_magnitudes(atoms, descriptors.terms_)
    for rows, expected, step in (
        (forces, force_difference(descriptors, atoms), STEP),
        (virial, virial_difference(descriptors, atoms), STRAIN_STEP),
    ):
        # 1e-8 of the largest derivative of the column; where that vanishes by symmetry, the rounding of the
        # energies of which the stencil takes differences: 20 times the machine precision of their parts.
        allowed = 1e-8 * np.abs(rows).max(axis=0) + 4e-15 * magnitudes / step
        worst = np.abs(rows - expected).max(axis=0) / np.maximum(allowed, 1e-300)
        bad = [f"{descriptors.terms_[n].name}: {worst[n]:.1e}" for n in np.flatnonzero(~(worst <= 1.0))]
        assert not bad, f"times the tolerance: {bad}"


def configuration(kind, atoms, cutoff, functions):
    """One interaction with as many of the radial functions as keep the columns of several species few."""
    n_species = len(set(atoms.symbols))
    if kind == "two-body":
        return {"two_body": TwoBody(functions)}
    if kind == "three-body":
        return {"three_body": ThreeBody(functions, cutoff=clear_radius(atoms, 0.9 * cutoff - 0.1))}
    if kind == "three-body mixed":
        return {
            "three_body": ThreeBody(functions if n_species == 1 else functions[3:6], max_power=3, mixed=True)
        }
    if kind == "N-body":
        return {"n_body": NBody(functions, powers=(2, 3, 4, 7))}
    if kind == "roots":
        functions = [function for function in functions if not function.changes_sign]
        return {"n_body": NBody(functions, powers=(2, 0.5))}
    if kind == "N-body switch":
        closest = oracle.pair_distances(atoms, cutoff).min(initial=cutoff)
        symbols = sorted(set(atoms.symbols))
        return {"n_body": NBody(functions, switch={(symbols[0], symbols[-1]): switch_radius(atoms, closest)})}
    n_functions = {1: 8, 2: 2, 3: 1}[n_species]
    return {"four_body": FourBody(functions[:n_functions], cutoff=clear_radius(atoms, 0.9 * cutoff - 0.1))}


@pytest.mark.parametrize(
    "kind", ["two-body", "three-body", "three-body mixed", "N-body", "N-body switch", "roots", "four-body"]
)
@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_finite_differences(families, one_of_each, name, kind):
    atoms, cutoff = sample(name)
    functions = list((families if kind == "two-body" else one_of_each).values())
    descriptors = fitted(atoms, cutoff, **configuration(kind, atoms, cutoff, functions))
    assert_derivatives(descriptors, atoms)


@pytest.mark.parametrize("family", oracle.FAMILY_NAMES)
def test_finite_differences_of_every_family_with_two_species(families, family):
    atoms, cutoff = sample("chain")
    radial = families[family]
    one = radial.grid(cutoff)[-1]
    descriptors = fitted(
        atoms,
        cutoff,
        two_body=TwoBody(radial),
        three_body=ThreeBody([radial, Slater(powers=3.0, zeta=1.0)], mixed=True),
        n_body=NBody(radial, powers=powers_for([radial], 2, 6)),
        four_body=FourBody(one, ranks=((1, 1, 0), (1, 1, 1), (2, 1, 0), (3, 2, 1))),
    )
    assert_derivatives(descriptors, atoms)


def test_finite_differences_of_the_defaults():
    atoms, _ = sample("two species")
    atoms = atoms[:5]  # holes, so that nothing is near a crystal
    distances = oracle.pair_distances(atoms, 5.5)
    for cutoff in np.arange(
        4.2, 5.0, 0.0025
    ):  # until every cutoff that "auto" derives from it is clear of pairs
        descriptors = PLIPDescriptors(cutoff=float(cutoff)).fit([atoms])
        if all(np.abs(distances - term.cutoff).min() > 2e-3 for term in descriptors.terms_):
            return assert_derivatives(descriptors, atoms)
    pytest.fail("no cutoff is clear of the distances of this structure")


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    n_atoms=st.integers(1, 4),
    periodic=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    seed=st.integers(0, 2**20),
)
def test_random_structures(n_atoms, periodic, seed):
    atoms = random_structure(n_atoms, periodic, seed)
    assume(atoms is not None)
    cutoff = clear_radius(atoms, 3.6)
    assume(oracle.pair_distances(atoms, cutoff).size)
    descriptors = fitted(atoms, cutoff, **everything(cutoff))
    expected = oracle.oracle_energies(atoms, descriptors.terms_)
    np.testing.assert_allclose(
        descriptors.transform([atoms])[0],
        expected,
        rtol=1e-10,
        atol=1e-12 * oracle.oracle_magnitudes(atoms, descriptors.terms_).max(),
    )
    assert_derivatives(descriptors, atoms)


# ------------------------------------------------------------------------------
# The compiled loops
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("instruction_set", instruction_sets()[0])
@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_every_build_of_the_kernels(name, instruction_set):
    """Builds for other processors give the same rows; the one that is used is tested by everything else."""
    atoms, descriptors, expected, magnitudes = rows_of(name)
    structure = StructureDesign(
        Design(descriptors.terms_, descriptors.species_, instruction_set), atoms, True
    )
    forces = np.zeros_like(expected[1])
    structure.write_rows(0, forces)
    for rows, wanted in zip((structure.values, forces, structure.virials), expected, strict=True):
        assert_same(rows, wanted, magnitudes)


@pytest.mark.parametrize("name", ["two species", "slab", "chain"])
def test_rows_of_some_atoms_are_those_of_all(name):
    """Rows come in blocks of atoms, into wider arrays; nothing outside of the block is touched."""
    atoms, descriptors, (_, forces, _), _ = rows_of(name)
    n_terms = len(descriptors.terms_)
    structure = StructureDesign(Design(descriptors.terms_, descriptors.species_), atoms)
    for first, last in ((0, 1), (1, len(atoms))):
        block = np.full((3 * (last - first), n_terms + 2), 7.0)
        block[:, :n_terms] = 0.0
        structure.write_rows(first, block)
        np.testing.assert_array_equal(block[:, :n_terms], forces[3 * first : 3 * last])
        np.testing.assert_array_equal(block[:, n_terms:], 7.0)


@pytest.mark.parametrize("n_functions", range(1, 10))
def test_any_number_of_functions(n_functions):
    """Loops over functions run in lanes of four or eight; what is left over must be right too."""
    atoms, cutoff = sample("triclinic")
    radial = Gaussian(eta=1.5, centers=np.linspace(1.5, 3.5, n_functions))
    interactions = everything(cutoff, [radial]) | {
        "three_body": ThreeBody(radial, max_power=2),
        "four_body": FourBody(radial.grid(cutoff)[:2]),
    }
    descriptors = fitted(atoms, cutoff, **interactions)
    expected = oracle.oracle_energies(atoms, descriptors.terms_)
    assert_same(
        descriptors.transform([atoms])[0], expected, oracle.oracle_magnitudes(atoms, descriptors.terms_)
    )
    if n_functions in (3, 9):
        assert_derivatives(descriptors, atoms)


def test_many_neighbors():
    atoms, _ = sample("one-atom cell")
    radial = Gaussian(eta=[0.1, 1.0], centers=3.0)
    descriptors = fitted(
        atoms, 8.0, two_body=TwoBody(radial), three_body=ThreeBody(radial, max_power=3), n_body=NBody(radial)
    )
    assert oracle.pair_distances(atoms, 8.0).size > 150
    expected = oracle.oracle_energies(atoms, descriptors.terms_)
    assert_same(
        descriptors.transform([atoms])[0], expected, oracle.oracle_magnitudes(atoms, descriptors.terms_)
    )


# ------------------------------------------------------------------------------
# Symmetries
# ------------------------------------------------------------------------------


def rows_of(name):
    """A sample with all interactions, its rows, and what rounding of its columns scales with."""
    atoms, cutoff = sample(name)
    descriptors = fitted(atoms, cutoff, **everything(cutoff))
    rows = descriptors.design_rows(atoms, forces=True, virial=True)
    return atoms, descriptors, rows, oracle.oracle_magnitudes(atoms, descriptors.terms_)


def assert_same(rows, expected, magnitudes):
    """Equal to 1e-11 of the largest element of the column, for the coordinates were rounded anew.

    Where a column vanishes by symmetry, 1e-12 of what cancels in it.
    """
    rows, expected = np.atleast_2d(rows), np.atleast_2d(expected)
    assert rows.shape == expected.shape
    allowed = 1e-11 * np.abs(expected).max(axis=0) + 1e-12 * magnitudes + 1e-300
    np.testing.assert_array_less(np.abs(rows - expected).max(axis=0), allowed)


def voigt_to_matrix(virial):
    matrix = np.empty((3, 3, virial.shape[1]))
    for row, (a, b) in zip(virial, VOIGT, strict=True):
        matrix[a, b] = matrix[b, a] = row
    return matrix


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_energy_rows_are_the_transform(name):
    atoms, descriptors, (energy, _, _), _ = rows_of(name)
    assert energy.shape == (len(descriptors.terms_),)
    # The two may add up in another order, no more.
    np.testing.assert_allclose(descriptors.transform([atoms])[0], energy, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_translation_and_wrapping(name):
    atoms, descriptors, (energy, forces, virial), magnitudes = rows_of(name)
    moved = atoms.copy()
    moved.positions += [1.37, -20.11, 3.3]
    rng = np.random.default_rng(0)
    moved.positions += (rng.integers(-3, 4, size=(len(atoms), 3)) * atoms.pbc) @ atoms.cell
    for other in (moved, atoms.copy()):
        if other is not moved:
            other.wrap()
        for rows, expected in zip(
            descriptors.design_rows(other, forces=True, virial=True), (energy, forces, virial), strict=True
        ):
            assert_same(rows, expected, magnitudes)


@pytest.mark.parametrize("improper", [False, True])
@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_rotation_and_reflection(name, improper):
    atoms, descriptors, (energy, forces, virial), magnitudes = rows_of(name)
    rotation = Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix() * (-1.0 if improper else 1.0)
    turned = Atoms(atoms.numbers, atoms.positions @ rotation.T, cell=atoms.cell @ rotation.T, pbc=atoms.pbc)
    new_energy, new_forces, new_virial = descriptors.design_rows(turned, forces=True, virial=True)
    assert_same(new_energy, energy, magnitudes)
    vectors = forces.reshape(len(atoms), 3, -1)
    assert_same(new_forces, np.einsum("ab,ibn->ian", rotation, vectors).reshape(forces.shape), magnitudes)
    tensor = np.einsum("ab,bcn,dc->adn", rotation, voigt_to_matrix(virial), rotation)
    assert_same(new_virial, np.array([tensor[a, b] for a, b in VOIGT]), magnitudes)


@pytest.mark.parametrize("name", [name for name in SAMPLE_NAMES if "atom" not in name])
def test_permutation(name):
    atoms, descriptors, (energy, forces, virial), magnitudes = rows_of(name)
    order = np.random.default_rng(1).permutation(len(atoms))
    new_energy, new_forces, new_virial = descriptors.design_rows(atoms[order], forces=True, virial=True)
    assert_same(new_energy, energy, magnitudes)
    assert_same(new_virial, virial, magnitudes)
    assert_same(new_forces, forces.reshape(len(atoms), 3, -1)[order].reshape(forces.shape), magnitudes)


@pytest.mark.parametrize("name", [name for name in SAMPLE_NAMES if name not in ("molecule", "isolated atom")])
def test_supercell(name):
    atoms, descriptors, (energy, forces, virial), magnitudes = rows_of(name)
    repeats = np.where(atoms.pbc, 2, 1)
    n = repeats.prod()
    new_energy, new_forces, new_virial = descriptors.design_rows(
        atoms.repeat(repeats), forces=True, virial=True
    )
    assert_same(new_energy, n * energy, magnitudes)
    assert_same(new_virial, n * virial, magnitudes)
    assert_same(new_forces, np.tile(forces, (n, 1)), magnitudes)


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_another_cell_of_the_same_crystal(name):
    atoms, descriptors, (energy, forces, virial), magnitudes = rows_of(name)
    mixing = np.array([[1, 2, 0], [0, 1, -1], [0, 0, 1]]) if atoms.pbc.all() else np.eye(3)
    other = Atoms(atoms.numbers, atoms.positions, cell=-(mixing @ atoms.cell), pbc=atoms.pbc)
    for rows, expected in zip(
        descriptors.design_rows(other, forces=True, virial=True), (energy, forces, virial), strict=True
    ):
        assert_same(rows, expected, magnitudes)


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_no_net_force(name):
    atoms, _, (_, forces, _), magnitudes = rows_of(name)
    net = forces.reshape(len(atoms), 3, -1).sum(axis=0)
    assert_same(net, np.zeros_like(net), magnitudes)


@pytest.mark.parametrize("name", ["molecule", "isolated atom"])
def test_no_torque_and_virial_of_a_molecule(name):
    atoms, _, (_, forces, virial), magnitudes = rows_of(name)
    moments = np.einsum("ia,ibn->abn", atoms.positions, forces.reshape(len(atoms), 3, -1))
    # sum_i r_i F_i is symmetric without a net torque, and minus dX/d(strain).
    assert_same(virial, np.array([-moments[a, b] for a, b in VOIGT]), magnitudes)
    assert_same(virial, np.array([-moments[b, a] for a, b in VOIGT]), magnitudes)


def test_far_molecules_add_up():
    atoms, descriptors, (energy, _, virial), magnitudes = rows_of("molecule")
    far = atoms.copy()
    far.positions += [0.0, 50.0, 0.0]
    both = atoms + far
    new_energy, _, new_virial = descriptors.design_rows(both, forces=True, virial=True)
    assert_same(new_energy, 2 * energy, magnitudes)
    assert_same(new_virial, 2 * virial, magnitudes)


def test_isolated_atom_is_exactly_nothing():
    for atoms in (Atoms("Ne"), Atoms("Ne", cell=[30, 30, 30], pbc=True)):
        descriptors = fitted(atoms, 4.0, **everything(4.0))
        for rows in descriptors.design_rows(atoms, forces=True, virial=True):
            np.testing.assert_array_equal(rows, 0.0)


def test_constraints_do_not_hide_forces():
    atoms, descriptors, (_, forces, _), _ = rows_of("slab")
    fixed = atoms.copy()
    fixed.set_constraint(FixAtoms(range(len(atoms))))
    np.testing.assert_array_equal(descriptors.design_rows(fixed, forces=True, virial=True)[1], forces)


# ------------------------------------------------------------------------------
# Smooth ends
# ------------------------------------------------------------------------------


def cluster_with_probe(distance):
    """Three atoms, and a fourth at `distance` from the first and further from the others."""
    return Atoms("Si4", [[0, 0, 0], [-1.9, 0.3, 0.1], [-0.4, -2.0, 0.5], [distance, 0.0, 0.0]])


def assert_rows_meet(descriptors, below, above, energy_step, force_step):
    """Rows of two structures a hair apart, on either side of an end, differ by what smoothness allows."""
    rows = descriptors.design_rows(below, forces=True, virial=True)
    other = descriptors.design_rows(above, forces=True, virial=True)
    magnitudes = np.maximum(oracle.oracle_magnitudes(below, descriptors.terms_), 1.0)
    for a, b, step in zip(rows, other, (energy_step, force_step, force_step), strict=True):
        np.testing.assert_array_less(np.abs(np.atleast_2d(a - b)).max(axis=0), step * magnitudes)


def test_value_and_slope_are_continuous_at_the_cutoff(one_of_each):
    cutoff, hair = 3.7, 1e-6
    for function in one_of_each.values():
        descriptors = fitted(
            cluster_with_probe(3.0), cutoff, **everything(cutoff, [function, Power(powers=0.0)])
        )
        # f_c is (pi x / 2 r_c)^2 a distance x below the cutoff: 2e-13 at a hair, its slope 4e-7. A function
        # that ended with a slope would differ by 1e-6, one that jumped by its value.
        below, above = cluster_with_probe(cutoff - hair), cluster_with_probe(cutoff + hair)
        # The rest of the cluster does not move, so that all difference comes from the end.
        assert_rows_meet(descriptors, below, above, 1e-10, 1e-4)
        for rows, wanted in zip(
            descriptors.design_rows(above, forces=True, virial=True),
            descriptors.design_rows(cluster_with_probe(20.0), forces=True, virial=True),
            strict=True,
        ):
            np.testing.assert_allclose(rows, wanted, rtol=1e-12, atol=1e-13)


def test_a_neighbor_at_the_cutoff_is_exactly_nothing():
    descriptors = fitted(Atoms("Si2", [[0, 0, 0], [0, 0, 2.0]]), 3.0, **everything(3.0))
    for distance in (3.0, np.nextafter(3.0, 4.0)):
        for rows in descriptors.design_rows(
            Atoms("Si2", [[0, 0, 0], [0, 0, distance]]), forces=True, virial=True
        ):
            np.testing.assert_array_equal(rows, 0.0)
    # A chain whose first image is exactly at the cutoff.
    chain = Atoms("Si", cell=[0, 0, 3.0], pbc=(False, False, True))
    for rows in descriptors.design_rows(chain, forces=True, virial=True):
        np.testing.assert_array_equal(rows, 0.0)


@pytest.mark.parametrize(
    "function",
    [StillingerWeber(gamma=-1.2, onset=3.0), LogNormal(onsets=3.0, scales=0.5)],
    ids=["SW", "LogNormal"],
)
def test_value_and_slope_are_continuous_at_the_onset(function):
    descriptors = fitted(cluster_with_probe(3.4), 5.0, **everything(5.0, [function]))
    assert np.abs(descriptors.transform([cluster_with_probe(3.4)])).max() > 1e-3
    hair = 1e-4
    below, at, above = (cluster_with_probe(3.0 + x) for x in (-hair, 0.0, hair))
    # The other two neighbors of the probe are beyond the onset and move by a hair too; only the first atom
    # is compared, as a center without them: remove them.
    below, at, above = (structure[[0, 3]] for structure in (below, at, above))
    for structure in (below, at):
        for rows in descriptors.design_rows(structure, forces=True, virial=True):
            np.testing.assert_array_equal(rows, 0.0)
    # exp(-ln^2(2e-4)) = 3e-32, its slope 5e-27.
    assert_rows_meet(descriptors, below, above, 1e-25, 1e-24)


def test_slope_is_continuous_at_the_ends_of_the_switch():
    r_short, hair = 2.4, 1e-6
    n_body = NBody(
        [Gaussian(eta=1.0, centers=2.0), Power(powers=0.0)], powers=(2, 3), switch={("Si", "Si"): r_short}
    )
    descriptors = fitted(cluster_with_probe(2.4), 5.0, n_body=n_body)
    for end in (0.95 * r_short, 1.05 * r_short):
        below, above = (cluster_with_probe(end + x)[[0, 3]] for x in (-hair, hair))
        # Slopes of order one times two hairs; the switch itself has value, slope and curvature zero at its
        # ends, a linear ramp in its place would have a slope of 4 / A on one side.
        assert_rows_meet(descriptors, below, above, 1e-5, 1e-4)
