"""Compiled descriptor kernels; the fastest build that this processor can run is picked at import."""

from importlib import import_module
from importlib.util import find_spec

from plip._kernels._cpu import supported

__all__ = ["INSTRUCTION_SETS", "Kernel"]

# Fastest first; builds that the platform does not have are left out.
INSTRUCTION_SETS = [name for name in supported() if find_spec(f"plip._kernels._{name}")]

Kernel = import_module(f"plip._kernels._{INSTRUCTION_SETS[0]}").Kernel
