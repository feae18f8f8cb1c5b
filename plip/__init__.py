"""plip: readable machine-learning interatomic potentials by sparse linear regression.

The energy of a set of atoms is written as a short sum of physical interactions, whose
coefficients are found by a LassoLars fit to energies, forces and stresses.
"""

import importlib
import pkgutil

__version__ = "0.1.0"

# Public names and the modules they come from. They are imported on first use, as the submodules are,
# so that a saved potential is loaded and evaluated without scikit-learn.
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


def _submodules():
    return {module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")}


def __getattr__(name):
    if name in _ORIGIN:
        value = getattr(importlib.import_module(_ORIGIN[name]), name)
        globals()[name] = value
        return value
    if name in _submodules():
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_ORIGIN, *_submodules()} - {"importlib", "pkgutil"})
