"""The operators, one per file, and their table, which other packages can extend."""

from kgrow.graph.operators.activation import Activation
from kgrow.graph.operators.add import Add
from kgrow.graph.operators.average_pool import AveragePool
from kgrow.graph.operators.batch_norm import BatchNorm
from kgrow.graph.operators.concat import Concat
from kgrow.graph.operators.conv import Conv
from kgrow.graph.operators.dense import Dense
from kgrow.graph.operators.depthwise import DepthwiseConv
from kgrow.graph.operators.dropout import ChannelDropout, Dropout
from kgrow.graph.operators.flatten import Flatten
from kgrow.graph.operators.global_pool import GlobalAveragePool, GlobalMaxPool
from kgrow.graph.operators.leaky_relu import LeakyReLU
from kgrow.graph.operators.max_pool import MaxPool
from kgrow.graph.operators.mixed_pool import MixedPool
from kgrow.graph.operators.multiply import Multiply
from kgrow.graph.operators.one_position import OnePosition
from kgrow.graph.operators.operator import INPUT_RANGE, OWN_RANGE, Operator, Shape, Weights
from kgrow.graph.operators.relu import ReLU
from kgrow.graph.operators.rescale import Rescale
from kgrow.graph.operators.resize import Resize
from kgrow.graph.operators.times import Times
from kgrow.graph.operators.zero_padding import ZeroPadding
from kgrow.registry import OPERATORS

__all__ = [
    "INPUT_RANGE", "OPERATORS", "OWN_RANGE", "Activation", "Add", "AveragePool", "BatchNorm", "ChannelDropout",
    "Concat", "Conv", "Dense", "DepthwiseConv", "Dropout", "Flatten", "GlobalAveragePool", "GlobalMaxPool", "LeakyReLU",
    "MaxPool", "MixedPool", "Multiply", "OnePosition", "Operator", "ReLU", "Rescale", "Resize", "Shape", "Times",
    "Weights", "ZeroPadding",
]  # fmt: skip
