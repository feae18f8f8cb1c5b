"""Potentials in LAMMPS: the plugin with ``pair_style plip``, and export to pair styles that LAMMPS has."""

from plip.lammps._plugin import BuildError, build_plugin, export, plugin_folder, start

__all__ = ["BuildError", "build_plugin", "export", "plugin_folder", "start"]
