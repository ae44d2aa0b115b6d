"""Bayesian pruning: curvature estimates, and a prior that switches off parts the data do not support."""

from kgrow.bayes.compressible import Compressible
from kgrow.bayes.compression import Compression, CompressionSettings
from kgrow.bayes.compression_loop import CompressionLoop
from kgrow.bayes.counting import LayerSize, executed_flops, layer_sizes, published_flops, widths
from kgrow.bayes.curvature import Curvature, ForwardPass, Model, Probe, tiled_probe
from kgrow.bayes.empirical_fisher import EmpiricalFisher
from kgrow.bayes.exact import ExactDiagonal
from kgrow.bayes.gates import GateGraph
from kgrow.bayes.gauss_newton import GaussNewton
from kgrow.bayes.graph import Graph
from kgrow.bayes.groups import Category, GroupPrior, keep_mask
from kgrow.bayes.hutchinson import Hutchinson
from kgrow.bayes.likelihood import CrossEntropy, Likelihood, SquaredError
from kgrow.bayes.linear_nodes import Bias, Conv, Dense, FrozenNorm, Gate
from kgrow.bayes.monte_carlo_fisher import MonteCarloFisher
from kgrow.bayes.nodes import Activation, AveragePool, Node, Route
from kgrow.bayes.prior import (
    DEPENDENCIES,
    GAMMA_THRESHOLD,
    Decision,
    decide,
    dependent_gamma,
    settled,
    settled_gates,
    share_of_price,
    switch,
)
from kgrow.bayes.proximal import shrunk
from kgrow.bayes.recursion import DiagonalRecursion
from kgrow.registry import CURVATURES

__all__ = [
    "CURVATURES",
    "DEPENDENCIES",
    "GAMMA_THRESHOLD",
    "Activation",
    "AveragePool",
    "Bias",
    "Category",
    "Compressible",
    "Compression",
    "CompressionLoop",
    "CompressionSettings",
    "Conv",
    "CrossEntropy",
    "Curvature",
    "Decision",
    "Dense",
    "DiagonalRecursion",
    "EmpiricalFisher",
    "ExactDiagonal",
    "ForwardPass",
    "FrozenNorm",
    "Gate",
    "GateGraph",
    "GaussNewton",
    "Graph",
    "GroupPrior",
    "Hutchinson",
    "LayerSize",
    "Likelihood",
    "Model",
    "MonteCarloFisher",
    "Node",
    "Probe",
    "Route",
    "SquaredError",
    "decide",
    "dependent_gamma",
    "executed_flops",
    "keep_mask",
    "layer_sizes",
    "published_flops",
    "settled",
    "settled_gates",
    "share_of_price",
    "shrunk",
    "switch",
    "tiled_probe",
    "widths",
]
