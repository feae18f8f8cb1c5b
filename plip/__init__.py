"""plip: readable machine-learning interatomic potentials by sparse linear regression.

The energy of a set of atoms is written as a short sum of physical interactions, whose
coefficients are found by sparse linear regression on energies, forces and stresses.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # What type checkers see; at run time `__getattr__` imports these on first use.
    from plip import audit as audit
    from plip import calculator as calculator
    from plip import cli as cli
    from plip import datasets as datasets
    from plip import descriptors as descriptors
    from plip import inspection as inspection
    from plip import interactions as interactions
    from plip import labels as labels
    from plip import lammps as lammps
    from plip import legacy as legacy
    from plip import metrics as metrics
    from plip import model_selection as model_selection
    from plip import normal_equations as normal_equations
    from plip import parallel as parallel
    from plip import plotting as plotting
    from plip import potential as potential
    from plip import radial as radial
    from plip import regressor as regressor
    from plip import report as report
    from plip import safety as safety
    from plip import selection as selection
    from plip import solvers as solvers
    from plip._config import show_config
    from plip.descriptors import PLIPDescriptors
    from plip.normal_equations import NormalEquations
    from plip.potential import Potential, load_potential
    from plip.regressor import PLIPRegressor, PLIPRegressorCV

__version__ = "0.1.0"

# Public names and their modules. Names and submodules are imported on first use, so that a saved potential
# is loaded and evaluated without scikit-learn.
_ORIGIN = {
    "NormalEquations": "plip.normal_equations",
    "PLIPDescriptors": "plip.descriptors",
    "PLIPRegressor": "plip.regressor",
    "PLIPRegressorCV": "plip.regressor",
    "Potential": "plip.potential",
    "load_potential": "plip.potential",
    "show_config": "plip._config",
}

__all__ = [
    "NormalEquations",
    "PLIPDescriptors",
    "PLIPRegressor",
    "PLIPRegressorCV",
    "Potential",
    "__version__",
    "load_potential",
    "show_config",
]


def _submodules() -> set[str]:
    return {module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")}


# A type checker that saw it would believe that plip has every name.
if not TYPE_CHECKING:

    def __getattr__(name):
        if name in _ORIGIN:
            value = getattr(importlib.import_module(_ORIGIN[name]), name)
            globals()[name] = value
            return value
        if name in _submodules():
            return importlib.import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    helpers = {"TYPE_CHECKING", "annotations", "importlib", "pkgutil"}
    return sorted({*globals(), *_ORIGIN, *_submodules()} - helpers)
