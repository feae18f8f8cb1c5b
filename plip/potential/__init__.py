"""A fitted potential: evaluate it, look into it, save it as readable JSON."""

from plip.potential._potential import Potential, load_potential

__all__ = ["Potential", "load_potential"]
