"""Targets of structures (energies, forces, stresses), given or attached, and their weights."""

from plip.labels._labelled import LabelledStructures
from plip.labels._labels import TARGETS, Labels
from plip.labels._plausibility import LabelWarning
from plip.labels._reading import read_labels
from plip.labels._stress import STRESS_UNITS, convert_stress, stress_from_virial

__all__ = [
    "STRESS_UNITS",
    "TARGETS",
    "LabelWarning",
    "LabelledStructures",
    "Labels",
    "convert_stress",
    "read_labels",
    "stress_from_virial",
]
