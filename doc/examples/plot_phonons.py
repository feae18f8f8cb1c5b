"""
Phonons
=======

Phonon bands by finite displacements, with :mod:`ase.phonons`.
"""

# %%
import tempfile

from ase.build import bulk
from ase.phonons import Phonons


def phonon_bands(atoms, calculator, supercell=(5, 5, 5)):
    """Band structure of a primitive cell."""
    with tempfile.TemporaryDirectory() as folder:
        phonons = Phonons(atoms, calculator, supercell=supercell, delta=0.01, name=f"{folder}/phonons")
        phonons.run()
        phonons.read(acoustic=True)
    return phonons.get_band_structure(atoms.cell.bandpath(npoints=80))


# %%
# Silicon carbide, with 46 terms:
import matplotlib.pyplot as plt

from plip import PLIPRegressorCV
from plip.datasets import load_silicon_carbide

train, _ = load_silicon_carbide()
model = PLIPRegressorCV().fit(train)
bands = phonon_bands(bulk("SiC", "zincblende", a=4.385), model.potential_.calculator())
print(f"highest frequency: {1e3 * bands.energies.max():.1f} meV")

figure, ax = plt.subplots(layout="constrained")
bands.plot(ax=ax, emin=0.0, emax=1.1 * bands.energies.max())
ax.set_ylabel("energy (eV)")

# %%
# Polar crystals have a splitting of longitudinal and transverse modes at long wavelengths, by the electric
# field of the ions. A potential of finite range, which this is, does not have it.
