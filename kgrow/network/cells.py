"""The cells that are made of one or two convolutions, how a cell's inputs become one, and the table of all kinds."""

from collections.abc import Iterator, Sequence
from typing import Any

from kgrow._keras import keras, tf
from kgrow._tfmot import prunable
from kgrow.architecture import Architecture
from kgrow.architecture.operations import pool_sizes
from kgrow.network.conv_norm import ConvNorm, initial_kernel, kernel_seed
from kgrow.network.graph_cell import GraphCell


class Join(keras.layers.Layer):
    """Brings a cell's inputs to one resolution and joins them: see `Cell.join`."""

    def __init__(self, architecture: Architecture, number: int, *, seed: int, prefix: str):
        super().__init__(name="join")
        cell = architecture.cells[number]
        self.kind = cell.join
        self.pools = [
            keras.layers.AveragePooling2D(pool, pool, padding="same", name=f"pool_{index}") if pool != (1, 1) else None
            for index, pool in enumerate(pool_sizes(architecture, number))
        ]
        self.adapters = {}
        if cell.join == "add":
            for source in cell.inputs[:-1]:
                name = f"{prefix}/adapter_{source}"
                filters = architecture.cells[cell.inputs[-1]].filters
                self.adapters[f"adapter_{source}"] = prunable(
                    keras.layers.Conv2D(
                        filters,
                        1,
                        use_bias=False,
                        kernel_initializer=initial_kernel(kernel_seed(seed, name)),
                        name=f"adapter_{source}",
                    )
                )

    def call(self, features: Sequence[Any]) -> Any:
        """Maps the cell's input maps to one (batch, height, width, channels) tensor."""
        pooled = [
            feature if pool is None else pool(feature) for feature, pool in zip(features, self.pools, strict=True)
        ]
        if len(pooled) == 1:
            return pooled[0]
        if self.kind == "concat":
            return tf.concat(pooled, axis=-1)
        adapted = [adapter(f) for adapter, f in zip(self.adapters.values(), pooled[:-1], strict=True)]
        return tf.add_n([*adapted, pooled[-1]])

    def parts(self, prefix: str) -> Iterator[tuple[str, keras.layers.Layer]]:
        """Yields the layers that hold variables, by the name of the kernel they belong to."""
        for name, adapter in self.adapters.items():
            yield f"{prefix}/{name}", adapter


class Apart(keras.layers.Layer):
    """Leaves a cell's inputs as they are: a graph cell reads each by itself. Made like a `Join`."""

    def __init__(self, architecture: Architecture, number: int, *, seed: int, prefix: str):
        super().__init__(name="apart")

    def call(self, features: Sequence[Any]) -> Sequence[Any]:
        """Returns the maps."""
        return features

    def parts(self, prefix: str) -> Iterator[tuple[str, keras.layers.Layer]]:
        """Yields nothing."""
        yield from ()


class ConvCell(keras.layers.Layer):
    """Conv-BN-ReLU."""

    def __init__(self, architecture: Architecture, number: int, *, seed: int, prefix: str):
        super().__init__(name="conv_cell")
        cell = architecture.cells[number]
        self.first = ConvNorm(
            cell.filters, cell.kernel_size, cell.stride, seed=kernel_seed(seed, f"{prefix}/first"), name="first"
        )

    def call(self, features: Any, training: Any = None) -> Any:
        """Maps (batch, height, width, channels) to (batch, ..., filters)."""
        return tf.nn.relu(self.first(features, training=training))

    def parts(self, prefix: str) -> Iterator[tuple[str, keras.layers.Layer]]:
        """Yields the layers that hold variables, by the name of the kernel they belong to."""
        yield from self.first.parts(f"{prefix}/first")


class ResidualCell(keras.layers.Layer):
    """Conv-BN-ReLU-Conv-BN plus shortcut, then ReLU."""

    def __init__(self, architecture: Architecture, number: int, *, seed: int, prefix: str):
        super().__init__(name="residual_cell")
        cell = architecture.cells[number]

        def conv_norm(name: str, filters: int, size: int, stride: int) -> ConvNorm:
            return ConvNorm(filters, size, stride, seed=kernel_seed(seed, f"{prefix}/{name}"), name=name)

        self.first = conv_norm("first", cell.hidden_filters, cell.kernel_size, cell.stride)
        self.second = conv_norm("second", cell.filters, cell.kernel_size, 1)
        self.shortcut = cell.shortcut
        self.pool = keras.layers.AveragePooling2D(cell.stride, padding="same", name="pool") if cell.stride > 1 else None
        self.projection = conv_norm("projection", cell.filters, 1, 1) if cell.shortcut == "projection" else None

    def call(self, features: Any, training: Any = None) -> Any:
        """Maps (batch, height, width, channels) to (batch, ..., filters)."""
        residual = self.second(tf.nn.relu(self.first(features, training=training)), training=training)
        if self.shortcut == "none":
            return tf.nn.relu(residual)
        shortcut = features if self.pool is None else self.pool(features)
        if self.projection is not None:
            shortcut = self.projection(shortcut, training=training)
        return tf.nn.relu(residual + shortcut)

    def parts(self, prefix: str) -> Iterator[tuple[str, keras.layers.Layer]]:
        """Yields the layers that hold variables, by the name of the kernel they belong to."""
        yield from self.first.parts(f"{prefix}/first")
        yield from self.second.parts(f"{prefix}/second")
        if self.projection is not None:
            yield from self.projection.parts(f"{prefix}/projection")


# Per kind of cell what brings its inputs together, and the cell itself.
CELLS = {"conv": (Join, ConvCell), "residual": (Join, ResidualCell), "graph": (Apart, GraphCell)}
