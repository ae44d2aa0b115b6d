"""What the tests share: a task that is learned in seconds, and networks that are built in less.

TensorFlow is imported inside the fixtures, so that tests which do not need it start at once.
"""

from types import SimpleNamespace

import hypothesis
import numpy as np
import pytest

from kgrow.graph import Cell, CellBlock, Head, Scaling, of_cells
from kgrow.graph.edge import Edge
from kgrow.task import Augmentation, Split, Task

hypothesis.settings.register_profile("kgrow", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("kgrow")

VARIED_EDGES = (
    Edge(2, 0, "sep3"),
    Edge(2, 1, "max3"),
    Edge(3, 2, "identity"),
    Edge(3, 0, "avg3"),
    Edge(3, 1, "dil3"),
)
SCALING = Scaling((128.0, 128.0, 128.0), (64.0, 64.0, 64.0))


def bright_channels(num_images, seed):
    """Noise whose brightest colour channel is the class."""
    generator = np.random.default_rng(seed)
    labels = (np.arange(num_images) % 3).astype(np.int32)
    images = generator.integers(0, 150, (num_images, 8, 8, 3))
    images[np.arange(num_images), :, :, labels] += 100
    return Split(images.astype(np.uint8), labels)


def images_for(network, num_images=32, dtype=np.uint8):
    """Noise that a network can read."""
    shape = (num_images, *network.architecture.input_shape)
    return np.random.default_rng(7).integers(0, 256, shape).astype(dtype)


@pytest.fixture(scope="session")
def noise():
    return images_for


@pytest.fixture(scope="session")
def tiny_task():
    """48 + 24 + 24 images of 8x8x3 in three classes."""
    return Task(
        "tiny", bright_channels(48, 1), bright_channels(24, 2), bright_channels(24, 3), ("red", "green", "blue")
    )


@pytest.fixture(scope="session")
def digits():
    return Task.of("digits")


@pytest.fixture(scope="session")
def tiny_architecture():
    """Two blocks of one small convolution each: for what trains."""
    return of_cells(
        (8, 8, 3),
        3,
        SCALING,
        (CellBlock((Cell("conv", 4, stride=2),), Head(2)), CellBlock((Cell("conv", 6, inputs=(0,)),), Head(1))),
    )


@pytest.fixture(scope="session")
def tiny_space(tiny_architecture):
    """A space of that one architecture: what is searched are its keep ratios."""
    from kgrow.searching import SearchSpace

    class Tiny(SearchSpace):
        def build(self, input_shape, num_classes, scaling=None, *, width=1.0, links=None):
            return tiny_architecture

    return Tiny()


@pytest.fixture(scope="session")
def varied_architecture():
    """Three blocks with every kind of cell, join and shortcut: for what only looks."""

    def residual(filters, **options):
        return Cell("residual", filters, hidden_filters=3, **options)

    return of_cells(
        (8, 8, 3),
        3,
        SCALING,
        (
            CellBlock((Cell("conv", 4), residual(4, inputs=(0,), shortcut="identity")), Head(4)),
            CellBlock((residual(6, inputs=(0, 1), join="concat", stride=2, shortcut="projection"),), Head(2)),
            CellBlock(
                (
                    Cell("conv", 5, inputs=(0, 1, 2), join="add", kernel_size=1),
                    residual(4, inputs=(3,), stride=2, shortcut="none"),
                    Cell("graph", 6, inputs=(3, 4), hidden_filters=3, edges=VARIED_EDGES),
                ),
                Head(4),
            ),
        ),
    )


@pytest.fixture(scope="session")
def tiny_network(tiny_architecture):
    """Shared by all tests: look at it, change a copy."""
    from kgrow.network import GrowingNetwork

    return GrowingNetwork(tiny_architecture, seed=3)


@pytest.fixture(scope="session")
def varied_network(varied_architecture):
    """Shared by all tests, with scales, offsets and statistics as after some training; change a copy."""
    from kgrow.network import GrowingNetwork

    network = GrowingNetwork(varied_architecture, seed=3)
    generator = np.random.default_rng(0)
    for name, variable in network.named_variables().items():
        if name.endswith(("gamma", "moving_variance")):
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))
        elif name.endswith(("beta", "bias", "moving_mean")):
            variable.assign(generator.normal(0, 0.2, variable.shape))
    spreads = (0.6, 3.0, 2.0)  # of the logits over images: each head leads on some
    for block, logits, spread in zip(network.blocks, network.logits(images_for(network)), spreads, strict=True):
        kernel = block.kernels()[-1].weight
        kernel.assign(spread / np.std(logits, axis=0).mean() * kernel)
    return network


@pytest.fixture(scope="session")
def _workbench(varied_network):
    return varied_network.copy()


@pytest.fixture
def varied_copy(_workbench, varied_network):
    """A copy of `varied_network` to change in any way but growing; it is put back for the next test."""
    _workbench.load_state(varied_network.state())
    return _workbench


@pytest.fixture(scope="module")
def eagerly():
    """Runs traced functions as plain Python: for tests that build many networks and call each once or twice."""
    from kgrow._keras import tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="session")
def cross_entropy():
    """The loss of `Criterion.saliency` with all heads weighted alike."""
    from kgrow._keras import tf

    def loss(logits, labels):
        losses = [tf.nn.sparse_softmax_cross_entropy_with_logits(labels, head) for head in logits]
        return tf.add_n([tf.reduce_mean(values) for values in losses])

    return loss


@pytest.fixture(scope="session")
def tiny_settings():
    """Six epochs: block 0 pruned before epoch 1, block 1 grown before epoch 2 and pruned before epoch 3."""
    from kgrow.lifecycle import Preset, Settings
    from kgrow.pruning import SNIP

    preset = Preset(
        epochs=6, batch_size=16, learning_rate=0.1, grow_epochs=(2,), prune_epochs=(1, 3), saliency_examples=40
    )
    return Settings(preset, SNIP(), augmentation=Augmentation(shift=1), seed=7)


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory, tiny_task, tiny_architecture, tiny_settings):
    """A life from beginning to end at keep ratios 0.5 and 0.3: its run directory, and a snapshot before each epoch."""
    from kgrow.lifecycle import Lifecycle, Observer
    from kgrow.run import Run

    with Run.open(tmp_path_factory.mktemp("unbroken") / "0000", {}) as run:
        snapshots = {}
        hooks = {epoch: lambda snapshot: snapshots.update({snapshot.epoch: snapshot}) for epoch in range(6)}
        Lifecycle(tiny_task, tiny_architecture, (0.5, 0.3), tiny_settings, run, Observer()).train(None, hooks)
        yield SimpleNamespace(run=run, keep_ratios=(0.5, 0.3), snapshots=snapshots)


def _timeless(events):
    return [{key: value for key, value in event.items() if key != "seconds"} for event in events]


@pytest.fixture(scope="session")
def outcome_of():
    """Returns a run's events without their times, and every array of its best checkpoint and of the last if kept."""

    def outcome(run):
        files = {name: run.load_arrays(name) for name in ("best.npz", "last.npz") if run.has(name)}
        arrays = {f"{name}:{key}": value for name, (values, _) in files.items() for key, value in values.items()}
        logs = [_timeless(metadata.pop("events")) for _, metadata in files.values()]
        return _timeless(run.events()), logs, [metadata for _, metadata in files.values()], arrays

    return outcome


@pytest.fixture(scope="session")
def same_arrays():
    """Returns whether two mappings hold bitwise equal arrays under the same names."""

    def same(first, second):
        return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)

    return same


@pytest.fixture(scope="session")
def float_model(varied_network):
    """All heads of `varied_network` in float32."""
    from kgrow.exporting import EXPORTERS

    return EXPORTERS["float32"].convert(varied_network, (0, 1, 2))


@pytest.fixture(scope="session")
def make_empty_model():
    """Makes a model that runs nothing, yet needs an operation of some version to be known."""
    from kgrow.exporting.assembly import Assembly, schema

    def make(name, version):
        source = schema.ModelT()
        source.version = 3
        assembly = Assembly(source)
        assembly.subgraph()
        assembly.opcode(name, version)
        return assembly.to_bytes()

    return make


@pytest.fixture(scope="session")
def int8_model(varied_network):
    """All heads of `varied_network` in int8."""
    from kgrow.exporting import EXPORTERS

    return EXPORTERS["int8"].convert(varied_network, (0, 1, 2), "uint8", images_for(varied_network, 256))
