"""PLIPDescriptors: the transformer from structures to columns."""

from plip.descriptors._loading import load_descriptors
from plip.descriptors._transformer import PLIPDescriptors

__all__ = ["PLIPDescriptors", "load_descriptors"]
