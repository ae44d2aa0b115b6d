"""Cell search: cells with gated edges, the pruning of their gates, and networks of stacked cells."""

from kgrow.cells.drawing import genotype_svg
from kgrow.cells.epochs import SearchRecord
from kgrow.cells.gradient_search import GradientSearch, GradientSearchSettings
from kgrow.cells.network import CellNetwork
from kgrow.cells.proxy import ProxySpace
from kgrow.cells.proxyless import TreeSpace
from kgrow.cells.random_cells import random_genotype
from kgrow.cells.search import CellSearch, CellSearchSettings
from kgrow.cells.stack import Stack
from kgrow.cells.training import CellTraining, SGDConfig, correct_answers
from kgrow.cells.tree import TreeGenotype, TreeStack
from kgrow.cells.tree_network import tree_network
from kgrow.graph.edge import Edge
from kgrow.graph.genotype import Genotype

__all__ = [
    "CellNetwork",
    "CellSearch",
    "CellSearchSettings",
    "CellTraining",
    "Edge",
    "Genotype",
    "GradientSearch",
    "GradientSearchSettings",
    "ProxySpace",
    "SGDConfig",
    "SearchRecord",
    "Stack",
    "TreeGenotype",
    "TreeSpace",
    "TreeStack",
    "correct_answers",
    "genotype_svg",
    "random_genotype",
    "tree_network",
]
