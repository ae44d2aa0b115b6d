"""A graph cell computes what its genotype computes where cells are searched."""

import numpy as np
import pytest

from kgrow._keras import keras
from kgrow.cells import Genotype, Stack, cell_network
from kgrow.graph import IMAGE
from kgrow.graph.edge import OPERATIONS, Edge
from kgrow.network import GrowingNetwork
from kgrow.searching.cells import Cells

FIRST = tuple(Edge(2, index % 2, name) for index, name in enumerate(OPERATIONS))
EVERY = (*FIRST, Edge(3, 2, "sep3"), Edge(3, 0, "dil3"))
GENOTYPES = {
    "every operation": Genotype(EVERY, EVERY),
    "one before in reductions": Genotype((Edge(2, 0, "sep3"), Edge(2, 1, "max3")), (Edge(2, 1, "dil5"),)),
    "one before only": Genotype((Edge(2, 1, "sep5"), Edge(3, 2, "identity")), (Edge(2, 1, "avg3"),)),
    "before only": Genotype((Edge(2, 0, "identity"),), (Edge(2, 0, "identity"), Edge(4, 2, "dil3"))),
}


def with_statistics(network):
    """Gives normalizations scales, offsets and statistics as after some training."""
    generator = np.random.default_rng(0)
    for name, variable in network.named_variables().items():
        if name.endswith(("gamma", "moving_variance")):
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))
        elif name.endswith(("beta", "moving_mean")):
            variable.assign(generator.normal(0, 0.2, variable.shape))
    return network


def searched_twin(network, genotype, stack):
    """Returns the maps of the cells of the plain network with the weights of the grown one."""
    twin = cell_network(stack, genotype, seed=1)
    state = {name.partition("/")[2]: value for name, value in network.state().items()}
    numbers = {placed.number: number for number, placed in enumerate(stack.used_places(genotype), start=1)}
    for layer in twin.layers:
        name = layer.name.removesuffix("/norm").replace("stem/0", "cell_0/first")
        if name.startswith("cell_") and layer.name != "cell_0/first":
            cell, _, rest = name.removeprefix("cell_").partition("/")
            name = f"cell_{numbers.get(int(cell), 0)}/{rest}"  # cells that nothing reads have no number
        if layer.weights and layer.name != "logits" and f"{name}/kernel" not in state:
            # A cell that reads one map alone knows it as node 0, whichever it is in the genotype.
            name = name.replace("/input_1/", "/input_0/").replace("_1_", "_0_")
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights(
                [state[f"{name}/norm/{kind}"] for kind in ("gamma", "beta", "moving_mean", "moving_variance")]
            )
        elif layer.weights and layer.name != "logits":
            layer.set_weights([state[f"{name}/kernel"]])
    return keras.Model(twin.input, twin.layers[-3].output)


@pytest.mark.slow
@pytest.mark.parametrize("genotype", GENOTYPES.values(), ids=GENOTYPES)
@pytest.mark.parametrize("size", [(8, 8, 3), (9, 7, 3)], ids=str)
def test_it_is_the_cell_that_was_searched(genotype, size):
    space = Cells(genotype, ("NRN",), filters=4)
    network = with_statistics(GrowingNetwork(space.build(size, 3)))
    stack = Stack(size, 3, network.architecture.scaling, "NRN", filters=4, stem_stride=1)
    images = np.random.default_rng(1).uniform(0, 255, (4, *size)).astype(np.float32)
    maps = network.blocks[0].forward({IMAGE: network.scale(images)}, training=False)
    expected = searched_twin(network, genotype, stack)(images, training=False)
    np.testing.assert_allclose(maps[network.architecture.blocks[0].nodes[-1].name], expected, rtol=1e-4, atol=1e-4)
