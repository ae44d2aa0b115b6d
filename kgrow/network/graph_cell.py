"""The graph cell: the operations of a genotype between the nodes of a cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kgrow._keras import keras
from kgrow._tfmot import PrunableDepthwise, prunable
from kgrow.architecture import Architecture, Operation
from kgrow.architecture.graph_cell import input_name
from kgrow.network.conv_norm import ConvNorm, initial_kernel, kernel_seed
from kgrow.network.weightless import grid, on_grid, weightless


class GraphCell(keras.layers.Layer):
    """Runs the operations of its cell one by one.

    Args:
        architecture: The network up to and including this cell.
        number: Of the cell.
        seed: Of the initial values.
        prefix: What the names of its operations start with.
    """

    def __init__(self, architecture: Architecture, number: int, *, seed: int, prefix: str):
        super().__init__(name="graph_cell")
        self.operations = architecture.cell_operations(number)
        # Which of the maps that the cell reads an operation reads: those that do not read another operation of it.
        nodes = architecture.cells[number].graph_inputs()
        self.reads = {f"{input_name(prefix, node)}/0": -1 - node for node in nodes}
        self.weighted = {op.name: _layer(op, seed) for op in self.operations if op.kernel_shape}

    def call(self, features: Sequence[Any], training: Any = None) -> Any:
        """Maps the maps that it reads, each (batch, height, width, channels), to (batch, ..., filters)."""
        made: dict[str, Any] = {}
        for op in self.operations:
            inputs = [features[self.reads[op.name]]] if op.name in self.reads else [made[name] for name in op.inputs]
            made[op.name] = self._run(op, inputs, training)
        return made[self.operations[-1].name]

    def _run(self, op: Operation, inputs: Sequence[Any], training: Any) -> Any:
        if not op.kernel_shape:
            return weightless(op, inputs)
        layer = self.weighted[op.name]
        if isinstance(layer, ConvNorm):
            return layer(grid(op, inputs[0]) if on_grid(op) else inputs[0], training=training)
        return layer(inputs[0])

    def parts(self, prefix: str) -> Iterator[tuple[str, keras.layers.Layer]]:
        """Yields the layers that hold variables, by the name of the kernel they belong to."""
        for name, layer in self.weighted.items():
            if isinstance(layer, ConvNorm):
                yield from layer.parts(name)
            else:
                yield name, layer


def _layer(op: Operation, seed: int) -> keras.layers.Layer:
    name, own_seed = op.name.replace("/", "_"), kernel_seed(seed, op.name)
    if op.kind == "conv":
        strides, dilation = ((1, 1), 1) if on_grid(op) else (op.strides, op.dilation)
        side = op.kernel_shape[0]
        return ConvNorm(op.norm_channels, side, strides, dilation=dilation, seed=own_seed, name=name)
    return prunable(
        PrunableDepthwise(
            op.window,
            op.strides,
            padding="same",
            use_bias=False,
            depthwise_initializer=initial_kernel(own_seed),
            name=name,
        )
    )
