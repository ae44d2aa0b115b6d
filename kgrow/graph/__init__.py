"""A network as data: nodes of operators in blocks, and everything that can be derived from it without building it."""

from kgrow.graph.architecture import Architecture, Block
from kgrow.graph.cells import Cell, CellBlock, Head, of_cells
from kgrow.graph.node import IMAGE, KernelNode, Node
from kgrow.graph.operators import OPERATORS, Operator
from kgrow.graph.scaling import Scaling

__all__ = [
    "IMAGE", "OPERATORS", "Architecture", "Block", "Cell", "CellBlock", "Head", "KernelNode", "Node", "Operator",
    "Scaling", "of_cells",
]  # fmt: skip
