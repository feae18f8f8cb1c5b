"""A fitted potential: evaluate it, look into it, save it as readable JSON."""

from plip.potential._potential import Potential, load_potential
from plip.potential._schema import potential_schema
from plip.potential._uncertainty import Uncertainty

__all__ = ["Potential", "Uncertainty", "load_potential", "potential_schema"]
