"""A fitted potential: evaluate it, look into it, save it."""

import math

import numpy as np

from plip._core import Core, check_repulsion, check_terms
from plip._files import write_whole
from plip._structures._checks import has_full_cell
from plip._structures._evaluation import check_atoms, find_pairs
from plip.potential._json import LIMIT, contents, errors_of_file, finite_number, read_document, to_text

__all__ = ["Potential", "load_potential"]


class FrozenDict(dict):
    """A dict that cannot be changed; it equals one of the same items and is written to JSON like one."""

    def _refuse(self, *args, **kwargs):
        raise TypeError("a potential cannot be changed: make another one with these values")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self):
        return type(self), (dict(self),)


class Potential:
    """The sum of reference energies and terms, ``E = sum_i e0(Z_i) + sum_n w_n X_n``.

    Parameters
    ----------
    descriptors : PLIPDescriptors
        Fitted descriptors; `terms_` and `species_` are read.
    coef : array_like of float, shape (n_terms,)
        Coefficients w_n; terms whose coefficient is zero are left out.
    intercept : dict of str to float
        Reference energy e0 of each species in eV.
    repulsion : dict of (str, str) to (float, float), or None
        Core repulsion by pair of species: the two distances in Angstrom between which it takes over. None,
        or a pair that is missing: the terms alone, at any distance.
    density_limits : dict of str to (float, float), or None
        By species, the range in Angstrom up to which neighbors count for the density around an atom, and the
        largest density (no unit), beyond which the terms fade out. None, or a species that is missing: no
        limit.

    Attributes
    ----------
    species : tuple of str
        Chemical symbols that the potential knows, in alphabetical order.
    terms : list of (Term, float)
        Terms with their coefficients, in the order of the descriptors.
    coef : ndarray of float64, shape (len(terms),)
        The coefficients alone, read-only.
    intercept : dict of str to float
        Reference energies in eV; a dict that cannot be changed.
    repulsion : dict of (str, str) to (float, float), or None
        Sorted pairs of species, and the distances in Angstrom between which the core repulsion takes over.
    density_limits : dict of str to (float, float), or None
        Ranges in Angstrom and limits of the density by species.
    cutoff : float
        Distance in Angstrom up to which neighbors matter.
    table_error : float
        Estimated bound of the error in a pair force that radial tables cause, eV/Angstrom.

    Raises
    ------
    ValueError
        If lengths do not fit, a number is not finite or out of range, or a species has no reference energy.

    Notes
    -----
    Outside the data the energy is no longer the sum of terms. For a pair that is closer than the outer of
    its two distances (a little below the shortest in the training data), radial functions take the value
    that they have near that distance and fade out towards the inner one, while the screened repulsion of the
    nuclei takes over (Ziegler, Biersack & Littmark, The Stopping and Range of Ions in Solids (1985)). For an
    atom whose density n = sum over neighbors of (1 - r^2/range^2)^3 exceeds its limit, what binds it fades
    out and a repulsion 150 eV log(n / limit)^2.65 takes over; binding ends, too, where neighbors are far
    closer than in the data. All is smooth to second derivatives, and exactly zero within the data.
    `doc/model.rst` has the equations.

    Radial functions are evaluated by quintic splines on a grid that is refined until the error of a
    pair force is about 1e-9 eV/Angstrom, and exactly where a spline is not that good. Forces
    and stress are the exact derivatives of the energy that is returned.

    Nothing of a potential can be changed, so that its energies and the file that it saves agree; a
    copy is the potential itself.
    """

    __slots__ = (
        "__weakref__",
        "_coef",
        "_core",
        "_density_limits",
        "_reference",
        "_repulsion",
        "_species",
        "_terms",
    )

    def __init__(self, descriptors, coef, intercept, repulsion=None, density_limits=None):
        coef = np.asarray(coef, dtype=np.float64)
        if not hasattr(descriptors, "terms_"):
            raise ValueError("the descriptors are not fitted: call their fit with structures first")
        terms = list(descriptors.terms_)
        if coef.shape != (len(terms),):
            raise ValueError(
                f"coef must have one value for each of {len(terms)} terms, got an array of shape {coef.shape}"
            )
        kept = np.flatnonzero(coef)
        self._assign(
            descriptors.species_, [terms[n] for n in kept], coef[kept], intercept, repulsion, density_limits
        )

    def _assign(self, species, terms, coef, intercept, repulsion=None, density_limits=None):
        species = tuple(species)
        if set(intercept) != set(species) or len(set(species)) != len(species) or not species:
            raise ValueError(
                f"intercept must give one reference energy for each of the species {', '.join(species)}, "
                f"got {intercept!r}"
            )
        reference = tuple(float(intercept[symbol]) for symbol in species)
        if not np.isfinite(coef).all() or not np.isfinite(reference).all():
            raise ValueError("coefficients and reference energies must be finite")
        unknown = {symbol for term in terms for symbol in term.species} - set(species)
        if unknown:
            raise ValueError(f"terms have species without a reference energy: {', '.join(sorted(unknown))}")
        # Nobody can make an array of bytes writeable again.
        self._coef = np.frombuffer(np.asarray(coef, dtype=np.float64).tobytes())
        self._species = species
        self._reference = reference
        self._repulsion = _read_repulsion(repulsion, species)
        self._density_limits = _read_limits(density_limits, species)
        check_repulsion(species, self._repulsion, self._density_limits)
        self._terms = tuple(terms)
        self._core = None

    @property
    def species(self):
        return self._species

    @property
    def coef(self):
        return self._coef

    @property
    def intercept(self):
        return FrozenDict(zip(self._species, self._reference, strict=True))

    @property
    def repulsion(self):
        return self._repulsion

    @property
    def density_limits(self):
        return self._density_limits

    @property
    def terms(self):
        return list(zip(self._terms, self._coef.tolist(), strict=True))

    @property
    def cutoff(self):
        lengths = [term.cutoff for term in self._terms]
        lengths += [outer for _, outer in (self.repulsion or {}).values()]
        lengths += [reach for reach, _ in (self.density_limits or {}).values()]
        # Without terms nothing is within reach, but the search for neighbors needs a length.
        return max(lengths, default=1.0)

    @property
    def table_error(self):
        return self.core.table_error

    @property
    def core(self):
        """The potential as the C core has it; made on first use."""
        if self._core is None:
            self._core = Core(
                self.species,
                self.terms,
                np.array(self._reference),
                repulsion=self._repulsion,
                density_limits=self._density_limits,
            )
        return self._core

    def __repr__(self):
        size = f"{len(self._terms)} terms, cutoff {self.cutoff:g} Angstrom"
        return f"<Potential {'-'.join(self.species)}: {size}>"

    def __getstate__(self):
        return {
            "species": self._species,
            "terms": self._terms,
            "coef": self._coef,
            "intercept": dict(self.intercept),
            "repulsion": self._repulsion,
            "density_limits": self._density_limits,
        }

    def __setstate__(self, state):
        self._assign(**state)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def evaluate(self, atoms, forces=True, stress=True):
        """Energy and its derivatives in one pass.

        Parameters
        ----------
        atoms : ase.Atoms
            Structure; it is not changed, and its calculator and constraints do not matter.
        forces, stress : bool
            Whether to compute these.

        Returns
        -------
        dict
            "energy": float, eV; "energies": (n_atoms,) float64, eV; "forces": (n_atoms, 3) float64,
            eV/Angstrom; "stress": (6,) float64, eV/Angstrom^3, order xx yy zz yz xz xy, tension positive,
            NaN without three independent cell vectors.

        Raises
        ------
        TypeError
            If `atoms` is not an Atoms.
        ValueError
            If it has an unknown species, positions or a cell that are not finite, a periodic
            direction without a cell vector, or two atoms closer than 1e-3 Angstrom.
        """
        species, positions, cell = check_atoms(self, atoms)
        neighbors = find_pairs(positions, cell, atoms.pbc, self.cutoff)
        energies, force, strain, _ = self.core.evaluate(neighbors, positions, cell, species, forces, stress)
        results = {"energy": math.fsum(energies), "energies": energies}
        if forces:
            results["forces"] = force
        if stress:
            full = has_full_cell(atoms)
            results["stress"] = strain / atoms.get_volume() if full else np.full(6, np.nan)
        return results

    def energy(self, atoms):
        """Total energy in eV, a float; see `evaluate`."""
        return self.evaluate(atoms, forces=False, stress=False)["energy"]

    def forces(self, atoms):
        """Forces in eV/Angstrom, (n_atoms, 3) float64; see `evaluate`."""
        return self.evaluate(atoms, stress=False)["forces"]

    def stress(self, atoms):
        """Stress in eV/Angstrom^3, (6,) float64, ASE's order and sign; see `evaluate`."""
        return self.evaluate(atoms, forces=False)["stress"]

    def calculator(self, **kwargs):
        """An ASE calculator; see `plip.calculator.PLIPCalculator` for the parameters."""
        from plip.calculator import PLIPCalculator

        return PLIPCalculator(self, **kwargs)

    def check_safety(self, structures=None):
        """Try what a simulation may come to: short distances, compression, expansion, hot atoms.

        Parameters
        ----------
        structures : iterable of ase.Atoms or None, default=None
            Structures of the kind to be simulated, mostly those of the fit. None tries pairs of atoms and
            compressed simple lattices only.

        Returns
        -------
        plip.safety.SafetyReport
            `is_safe` and `findings`; printed, it says what was tried and what failed.

        Raises
        ------
        TypeError, ValueError
            If `structures` are not valid, or have other species than the potential.

        Notes
        -----
        Nothing may fall in energy as it comes closer than in the data: two isolated atoms of each pair of
        species, from 0.95 of the shortest distance in the data to 0.1 Angstrom; atoms in structures, pushed
        onto their nearest neighbors; and the crystals among the structures, from the least volume among those
        of their composition to 0.6 of the length. Expanded to 1.5 of the length, or taken apart into pairs or
        atoms, they must not have 0.5 eV/atom less, and no atom may gain 1 eV when it leaves the crystal. Some
        hundred steps at 5,000 K, of a crystal with interstitial atoms and of a slab, must not make atoms
        fuse, and must conserve the energy.

        The same input gives the same report. It takes about a second for some hundred small structures; of
        more, some are looked at.
        """
        from plip.safety import check_safety

        return check_safety(self, structures)

    def save(self, path):
        """Write the potential as JSON, readable and to the last bit.

        Parameters
        ----------
        path : str or path-like
            File name. An existing file is replaced in one step, or left as it was when writing fails.

        Raises
        ------
        OSError
            If the file cannot be written, or `path` is there and is no regular file.
        """
        with write_whole(path) as file:
            file.write(to_text(self))


def load_potential(path):
    """Read a potential written by `Potential.save`.

    Parameters
    ----------
    path : str or path-like
        JSON file.

    Returns
    -------
    Potential

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not a potential, is damaged, or was written in a newer format.
    """
    document = read_document(path)
    with errors_of_file(path):
        potential = Potential.__new__(Potential)
        potential._assign(**contents(document))
        check_terms(potential.species, potential.terms)
    return potential


def _read_repulsion(repulsion, species):
    """Distances by sorted pair; the core checks their ranges."""
    if repulsion is None:
        return None
    checked = {}
    for pair, fade in repulsion.items():
        if not isinstance(pair, tuple) or len(pair) != 2 or not set(pair) <= set(species):
            raise ValueError(f"repulsion must name pairs of {', '.join(species)}, got {pair!r}")
        if not isinstance(fade, (list, tuple)) or len(fade) != 2 or tuple(sorted(pair)) in checked:
            raise ValueError(f"the repulsion of {'-'.join(pair)} must be two distances, given once")
        inner, outer = (finite_number(f"repulsion of {'-'.join(pair)}", distance) for distance in fade)
        checked[tuple(sorted(pair))] = inner, outer
    return FrozenDict(checked)


def _read_limits(limits, species):
    if limits is None:
        return None
    unknown = sorted(set(limits) - set(species))
    if unknown:
        raise ValueError(f"density_limits has species without a reference energy: {', '.join(unknown)}")
    checked = {}
    for symbol, limit in limits.items():
        named = zip(LIMIT, limit, strict=True)
        checked[symbol] = tuple(finite_number(f"density {name} of {symbol}", value) for name, value in named)
    return FrozenDict(checked)
