"""Fully connected networks with fixed random connections: the search sets their number, not their places."""

from kgrow.density.layout import Layout
from kgrow.density.masks import random_mask
from kgrow.density.network import density_network
from kgrow.density.search import DensityResult, search_density
from kgrow.density.space import DensitySpace
from kgrow.density.training import Training, train

__all__ = [
    "DensityResult",
    "DensitySpace",
    "Layout",
    "Training",
    "density_network",
    "random_mask",
    "search_density",
    "train",
]
