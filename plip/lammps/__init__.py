"""Potentials in LAMMPS: the plugin with ``pair_style plip``, and export to pair styles that LAMMPS has."""

from plip.lammps._exporters import export, export_kim
from plip.lammps._plugin import BuildError, build_plugin, plugin_folder, start

__all__ = ["BuildError", "build_plugin", "export", "export_kim", "plugin_folder", "start"]
