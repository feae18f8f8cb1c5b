"""Rows of several small structures in one call: those of each structure alone, to the last bit."""

import functools
import threading

import numpy as np
import pytest
from ase import Atoms
from sample_structures import random_structure, sample

from plip import NormalEquations, PLIPDescriptors
from plip._core._rows_each import rows_of_each
from plip._design._extent import density_range
from plip._design._rows import Design, StructureDesign, empty_on_lines
from plip._design._rows_of_each import LARGEST, RowsOfEach
from plip.interactions import FourBody, NBody, ThreeBody, TwoBody
from plip.radial import Gaussian

SPECIES = ["O", "Si", "Ti"]


@functools.cache
def design():
    radial = Gaussian(eta=1.0, centers=[1.5, 2.5, 3.0])
    descriptors = PLIPDescriptors(
        cutoff=4.0,
        species=SPECIES,
        two_body=TwoBody(radial),
        three_body=ThreeBody(radial, max_power=3, mixed=True, cutoff=3.5),
        n_body=NBody(radial, powers=(2, 3)),
        four_body=FourBody(radial.grid(4.0)[:1]),
    ).fit([Atoms("OSiTi", np.diag([0.0, 1.9, 3.5]))])
    return Design(descriptors.terms_, descriptors.species_)


def structures_of(symbols):
    """Crystals, an isolated atom and a molecule, the largest neither first nor last."""
    sizes = ((3, True), (1, False), (9, True), (4, False), (2, True))
    return [random_structure(n, periodic, 7 + n, symbols) for n, periodic in sizes]


@pytest.mark.parametrize("symbols", [("Si",), ("O", "Ti"), tuple(SPECIES)])
@pytest.mark.parametrize("has_virials", [False, True])
@pytest.mark.parametrize("has_forces", [False, True])
def test_rows_are_those_of_each_structure(symbols, has_virials, has_forces):
    part = design().part(Atoms(symbols))
    structures = structures_of(symbols)
    n_terms = part.kernel.n_terms
    rows = np.full((3 * sum(map(len, structures)), n_terms + 2), 7.0) if has_forces else None
    virials = np.full((6 * len(structures), n_terms + 1), 7.0) if has_virials else None
    found = RowsOfEach.compute(part, structures, virials, rows)
    extent = None
    first = 0
    for k, atoms in enumerate(structures):
        alone = StructureDesign(part, atoms, has_virials)
        extent = alone.extent if extent is None else extent.merged(alone.extent)
        np.testing.assert_array_equal(found.values[k], alone.values)
        np.testing.assert_array_equal(found.counts[k], alone.counts)
        np.testing.assert_array_equal(found.pairs[k], alone.pairs)
        if has_virials:
            np.testing.assert_array_equal(virials[6 * k : 6 * k + 6, :n_terms], alone.virials)
        if has_forces:
            expected = np.empty((3 * len(atoms), n_terms))
            alone.write_rows(0, expected)
            np.testing.assert_array_equal(rows[first : first + 3 * len(atoms), :n_terms], expected)
        first += 3 * len(atoms)
    np.testing.assert_array_equal(found.extent.to_array(), extent.to_array())
    assert virials is None or (virials[:, n_terms:] == 7.0).all()
    assert rows is None or (rows[:, n_terms:] == 7.0).all()


def test_a_structure_that_cannot_be_done_is_left_to_be_computed_alone():
    far = Atoms("H2", [[0, 0, 0], [1e7 - 0.005, 0, 0]], cell=[0.01, 0, 0], pbc=(True, False, False))
    near = Atoms("H2", [[0, 0, 0], [1.0, 0, 0]])
    hydrogen = Design(PLIPDescriptors(cutoff=5.0, three_body=None, n_body=None).fit([near]).terms_, ["H"])
    assert RowsOfEach.compute(hydrogen, [near, far, near], None, None) is None
    assert RowsOfEach.compute(hydrogen, [near, near], None, None).values.shape == (2, len(hydrogen.terms))


def arrays_of(structures):
    """Arguments of `rows_of_each`."""
    part = design().part(structures[0])
    sizes = [len(atoms) for atoms in structures]
    return {
        "kernel": part.kernel,
        "states": empty_on_lines(2 * max(sizes), part.kernel.state_size).reshape(2, max(sizes), -1),
        "positions": np.concatenate([atoms.positions for atoms in structures]),
        "cells": np.array([atoms.cell.array for atoms in structures]),
        "periodic": np.array([atoms.pbc for atoms in structures], np.int32),
        "species": np.zeros(sum(sizes), np.int32),
        "borders": np.cumsum([0, *sizes]),
        "cutoff": 4.0,
        "reach": density_range(4.0),
        "virial_rows": np.zeros((6 * len(sizes), part.kernel.n_terms)),
        "force_rows": np.zeros((3 * sum(sizes), part.kernel.n_terms)),
    }


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("states", lambda states: states[:, 1:].copy()),
        ("states", lambda states: states[..., 1:].copy()),
        ("positions", lambda positions: positions[:, :2].copy()),
        ("positions", lambda positions: positions[1:].copy()),
        ("cells", lambda cells: cells[1:].copy()),
        ("cells", lambda cells: cells[:0]),
        ("periodic", lambda periodic: periodic[:, 1:].copy()),
        ("species", lambda species: species + np.int32(1)),
        ("species", lambda species: species - np.int32(1)),
        ("species", lambda species: species[1:].copy()),
        ("borders", lambda borders: borders + 1),
        ("borders", lambda borders: borders[::-1].copy()),
        ("borders", lambda borders: np.concatenate([borders[:1], borders[:1], borders[2:]])),
        ("virial_rows", lambda rows: rows[1:]),
        ("virial_rows", lambda rows: rows[:, 1:]),
        ("force_rows", lambda rows: rows[1:]),
        ("force_rows", lambda rows: rows[:, 1:]),
        ("force_rows", lambda rows: rows[:, ::2]),
        ("force_rows", lambda rows: np.broadcast_to(rows[:1], rows.shape).copy(order="F")),
    ],
)
def test_arrays_that_do_not_fit_are_errors(name, change):
    arguments = arrays_of(structures_of(("Si",)))
    rows_of_each(**arguments)
    with pytest.raises(ValueError, match=r"shape|borders|species|one cell|force_rows|virial_rows"):
        rows_of_each(**{**arguments, name: change(arguments[name])})


def test_the_kernel_must_be_one():
    with pytest.raises(TypeError, match="Kernel"):
        rows_of_each(**{**arrays_of(structures_of(("Si",))), "kernel": object()})


def test_sums_are_those_of_structures_alone(monkeypatch):
    """Several species, some structures without forces or a stress, one large: small ones together or not."""
    rng = np.random.default_rng(3)
    structures = [
        atoms for symbols in (("Si",), ("O", "Si"), tuple(SPECIES)) for atoms in structures_of(symbols)
    ]
    structures.append(sample("bulk")[0] * (4, 4, 5))
    assert len(structures[-1]) > LARGEST
    labels = {
        "y": rng.normal(size=len(structures)),
        "forces": [None if k % 4 == 1 else rng.normal(size=(len(a), 3)) for k, a in enumerate(structures)],
        "stress": [
            None if k % 3 == 1 or not a.pbc.all() else rng.normal(size=6) for k, a in enumerate(structures)
        ],
        "sample_weight": rng.uniform(0.5, 2.0, (len(structures), 3)),
    }
    descriptors = PLIPDescriptors.preset("fast").set_params(cutoff=4.0).fit(structures)
    together = NormalEquations.from_structures(structures, descriptors, **labels)
    monkeypatch.setattr("plip.normal_equations._chunk_sums.LARGEST", 0)
    alone = NormalEquations.from_structures(structures, descriptors, **labels)
    for weights in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)):
        a, b = together.problem(*weights), alone.problem(*weights)
        np.testing.assert_allclose(a.gram, b.gram, rtol=0, atol=1e-13 * np.abs(b.gram).max())
        np.testing.assert_allclose(a.moment, b.moment, rtol=0, atol=1e-13 * np.abs(b.moment).max())
        assert a.weight_sum == pytest.approx(b.weight_sum, rel=1e-13)
    assert together.shortest_distances == alone.shortest_distances
    assert together.n_rows == alone.n_rows


def test_threads_compute_values_at_the_same_time(monkeypatch):
    """Each waits for the other in the middle of its work."""
    both = threading.Barrier(2, timeout=20)
    original = StructureDesign._sums_of_range

    def waiting(self, number):
        both.wait()
        return original(self, number)

    monkeypatch.setattr(StructureDesign, "_sums_of_range", waiting)
    structures = [StructureDesign(design(), atoms) for atoms in structures_of(tuple(SPECIES))[:2]]
    found = []
    threads = [threading.Thread(target=lambda s=s: found.append(s.values)) for s in structures]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
