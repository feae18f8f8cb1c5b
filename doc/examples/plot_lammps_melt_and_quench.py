"""
Melt and quench in LAMMPS
=========================

``pair_style plip`` runs in an unmodified LAMMPS. Here a crystal of silicon carbide melts, cools within a
few picoseconds, and ends as a glass.
"""

# %%
# Fit, save, and make the plugin ready. ``plip lammps build`` does that once for each version of LAMMPS and
# plip.
import tempfile
from pathlib import Path

from plip import PLIPRegressorCV
from plip.datasets import load_silicon_carbide
from plip.lammps import build_plugin, plugin_folder

train, _ = load_silicon_carbide()
potential = PLIPRegressorCV().fit(train).potential_
folder = Path(tempfile.mkdtemp())
potential.save(folder / "SiC.json")
if not Path(plugin_folder()).is_dir():
    build_plugin()

# %%
# The input is like any other. The radial distribution is averaged over the last picosecond of each stage.
INPUT = """
units metal
lattice diamond 4.385
region box block 0 3 0 3 0 3
create_box 2 box
create_atoms 1 box basis 5 2 basis 6 2 basis 7 2 basis 8 2
mass 1 28.0855
mass 2 12.011
pair_style plip
pair_coeff * * SiC.json Si C

timestep 0.001
velocity all create 600 1
compute rdf all rdf 100 1 1 1 2 2 2
thermo 500
thermo_style custom step temp pe press density
"""
STAGE = """
fix run all {ensemble}
run {steps}
unfix run
fix run all nvt temp {end} {end} 0.1
fix rdf all ave/time 10 100 1000 c_rdf[*] mode vector file {name}.rdf
run 1000
unfix rdf
unfix run
"""
stages = [
    ("crystal", "nvt temp 300 300 0.1", 1000, 300),
    ("melt", "nvt temp 6000 6000 0.1", 2000, 6000),
    ("glass", "nvt temp 6000 300 0.1", 3000, 300),
]
text = INPUT
for name, ensemble, steps, end in stages:
    text += STAGE.format(name=name, ensemble=ensemble, steps=steps, end=end)
(folder / "in.quench").write_text(text)

# %%
import subprocess

subprocess.run(["lmp", "-in", "in.quench", "-screen", "none"], cwd=folder, check=True)
rows = [line.split() for line in (folder / "log.lammps").read_text().splitlines()]
thermo = [[float(x) for x in row] for row in rows if len(row) == 5 and row[0].isdigit()]
for step, temperature, energy, pressure, _ in thermo[::3]:
    print(f"{step:6.0f} fs {temperature:7.0f} K {energy / 216:9.4f} eV/atom {pressure / 1e4:6.1f} GPa")

# %%
# The melt has lost the shells of the crystal. The glass has the first one again, four neighbors of the
# other species, and hardly any order beyond it.
import matplotlib.pyplot as plt
import numpy as np

figure, axes = plt.subplots(1, 3, figsize=(11.0, 3.6), layout="constrained", sharex=True)
for name in ("crystal", "melt", "glass"):
    lines = (folder / f"{name}.rdf").read_text().splitlines()
    table = np.array([line.split() for line in lines if not line.startswith("#")][1:], dtype=float)
    for k, (ax, pair) in enumerate(zip(axes, ("Si-Si", "Si-C", "C-C"), strict=True)):
        ax.plot(table[:, 1], table[:, 2 + 2 * k], label=name)
        ax.set(title=pair, xlabel="r (Å)")
axes[0].set_ylabel("g(r)")
axes[0].legend(frameon=False)

# %%
# The training data hold no melts and no glass: the picture shows how to run a simulation, and not what
# silicon carbide does.
# Ask for :ref:`grades <lammps-extrapolation>` and label what is beyond the data before you believe it.
