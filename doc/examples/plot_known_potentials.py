"""
Does a fit find the functions that made its data?
=================================================

Structures labeled by a potential whose functions are known. The fit sees energies and forces alone, and is
compared with the functions.
"""

# %%
# The potentials are those of ``known_potentials.py`` beside this file: an embedded-atom potential of copper
# by ASE and, if LAMMPS is installed, the Stillinger-Weber potential of silicon. The data have pairs,
# triplets and clusters beside crystals: crystals alone determine a pair curve only together with all
# neighbors.
from importlib.util import find_spec

import known_potentials
import matplotlib.pyplot as plt
import numpy as np

from plip import PLIPRegressorCV
from plip.inspection import AngleDisplay, PairDisplay

known = {"embedded atom, Cu": known_potentials.embedded_atom("logarithm")}
if find_spec("lammps"):
    known["Stillinger-Weber, Si"] = known_potentials.stillinger_weber()

# %%
# Pairs and triplets are small structures with few labels, so they get more weight.
models = {}
for name, truth in known.items():
    data = known_potentials.make_data(truth)
    models[name] = PLIPRegressorCV(cv=5).fit(data, sample_weight=known_potentials.weights(data))
    print(f"{name}: {len(data)} structures, {models[name].n_terms_} terms")

# %%
# Lines are the fit, dots the truth.
figure, axes = plt.subplots(
    2, len(known), figsize=(4.6 * len(known), 7.0), layout="constrained", squeeze=False
)
angles = np.linspace(55.0, 180.0, 51)
for (pairs, triplets), (name, truth) in zip(axes.T, known.items(), strict=True):
    PairDisplay.from_estimator(models[name], ax=pairs)
    r = np.linspace(0.84 * truth.bond, truth.reach, 40)
    pairs.plot(r, truth.pair_energy(r), "o", color="#D55E00", markersize=3)
    AngleDisplay.from_estimator(models[name], r=truth.bond, ax=triplets)
    energies = truth.triplet_energy(truth.bond, truth.bond, angles)
    triplets.plot(angles, energies, "o", color="#D55E00", markersize=3)
    pairs.set_title(name)

# %%
# The largest errors, relative to the depth of each curve:
for name, truth in known.items():
    potential, symbol = models[name].potential_, truth.symbol
    r = np.linspace(0.86 * truth.bond, 0.98 * truth.reach, 60)
    curve = truth.pair_energy(r)
    pair = np.abs(potential.pair_energy(r, (symbol, symbol)) - curve).max() / -curve.min()
    curve = truth.triplet_energy(truth.bond, truth.bond, angles)
    found = potential.triplet_energy(truth.bond, truth.bond, angles, (symbol,) * 3)
    triplet = np.abs(found - curve).max() / np.ptp(curve)
    print(f"{name}: pairs {100 * pair:.2f} %, triplets {100 * triplet:.2f} %")

# %%
# :doc:`/reading` has more potentials, and tells what is needed to find their functions.
