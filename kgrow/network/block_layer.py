"""One block of the network as a layer: its cells, its internal classifier, and names for its variables."""

from collections.abc import Iterator, Sequence
from typing import Any

from kgrow._keras import keras, tf
from kgrow._tfmot import Kernel, MaskedLayer
from kgrow.architecture import Architecture
from kgrow.network.cells import CELLS
from kgrow.network.internal_classifier import InternalClassifier


class BlockLayer(keras.layers.Layer):
    """The cells of one block and its internal classifier.

    Args:
        architecture: The network up to and including this block.
        block_index: Which block.
        seed: Of the initial values.
    """

    def __init__(self, architecture: Architecture, block_index: int, *, seed: int):
        super().__init__(name=f"block_{block_index}")
        block = architecture.blocks[block_index]
        first = architecture.first_cell(block_index)
        self.block_index = block_index
        self.cell_inputs = [cell.inputs for cell in block.cells]
        self.prefixes = [f"block_{block_index}/cell_{first + i}" for i in range(len(block.cells))]
        self.joins: list[Any] = []
        self.cells: list[Any] = []
        for number, (cell, prefix) in enumerate(zip(block.cells, self.prefixes, strict=True), start=first):
            for parts, make in zip((self.joins, self.cells), CELLS[cell.kind], strict=True):
                parts.append(make(architecture, number, seed=seed, prefix=prefix))
        height, width, _ = architecture.feature_shape(first + len(block.cells) - 1)
        self.head = InternalClassifier(
            block.head, architecture.num_classes, (height, width), seed=seed, prefix=f"block_{block_index}/head"
        )
        shapes = [architecture.feature_shape(i) for i in range(first)]
        self._build_variables([tf.zeros((1, *shape)) for shape in shapes or [architecture.input_shape]])
        # Each block is traced by itself: a block grown later leaves the traces of the earlier ones valid. Early exit
        # calls with a batch of any size.
        self.run = tf.function(self._run, autograph=False, reduce_retracing=True)

    def _build_variables(self, features: Sequence[Any]) -> None:
        self.head(self(features, training=False)[-1])

    def _run(self, features: tuple[Any, ...], training: bool) -> tuple[tuple[Any, ...], Any]:
        maps = self(features, training=training)
        return maps, self.head(maps[-1])

    def call(self, features: Sequence[Any], training: Any = None) -> tuple[Any, ...]:
        """Maps all earlier feature maps (for the first block: the scaled image) to the maps of this block."""
        maps = list(features)
        outputs = []
        for inputs, join, cell in zip(self.cell_inputs, self.joins, self.cells, strict=True):
            if not inputs:
                maps = []  # the stem: its input, the image, is no feature map
                joined = features[0]
            else:
                joined = join([maps[i] for i in inputs])
            maps.append(cell(joined, training=training))
            outputs.append(maps[-1])
        return tuple(outputs)

    def parts(self) -> Iterator[tuple[str, keras.layers.Layer]]:
        """Yields the layers that hold variables, by the name of the kernel they belong to."""
        for prefix, join, cell in zip(self.prefixes, self.joins, self.cells, strict=True):
            yield from join.parts(prefix)
            yield from cell.parts(prefix)
        yield from self.head.parts(f"block_{self.block_index}/head")

    def kernels(self) -> list[Kernel]:
        """Returns the prunable kernels, named and ordered as in `Architecture.kernels`."""
        return [Kernel(name, part) for name, part in self.parts() if isinstance(part, MaskedLayer)]

    def named_variables(self) -> dict[str, Any]:
        """Returns weights, masks and BN statistics by names that do not depend on the process."""
        named: dict[str, Any] = {}
        for name, part in self.parts():
            if isinstance(part, MaskedLayer):
                ((named[f"{name}/kernel"], named[f"{name}/mask"], _),) = part.pruning_vars
                if part.layer.use_bias:
                    named[f"{name}/bias"] = part.layer.bias
            else:
                for variable in ("gamma", "beta", "moving_mean", "moving_variance"):
                    named[f"{name}/{variable}"] = getattr(part, variable)
        if self.head.mixing is not None:
            named[f"block_{self.block_index}/head/mixing"] = self.head.mixing
        return named
