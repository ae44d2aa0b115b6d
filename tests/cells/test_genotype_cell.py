"""A network of cells computes what its genotype says, written out here without the graph."""

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.cells import CellNetwork, Genotype, Stack
from kgrow.graph import IMAGE, Scaling
from kgrow.graph.edge import OPERATIONS, PROJECTION, Edge, steps_of
from kgrow.graph.genotype import KINDS
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
SCALING = Scaling((100.0, 110.0, 120.0), (60.0, 70.0, 80.0))


def with_statistics(network):
    """Gives normalizations scales, offsets and statistics as after some training."""
    generator = np.random.default_rng(0)
    for name, variable in network.named_variables().items():
        if name.endswith(("gamma", "moving_variance")):
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))
        elif name.endswith(("beta", "moving_mean")):
            variable.assign(generator.normal(0, 0.2, variable.shape))
    return network


def normalized(features, state, name):
    gamma, beta = state.get(f"{name}/gamma", 1.0), state.get(f"{name}/beta", 0.0)
    deviation = np.sqrt(state[f"{name}/moving_variance"] + 1e-5)
    return gamma * (features - state[f"{name}/moving_mean"]) / deviation + beta


def spread(kernel, distance):
    """A kernel with zeros between its taps, which needs no dilation."""
    wide = np.zeros((*(distance * (side - 1) + 1 for side in kernel.shape[:2]), *kernel.shape[2:]), np.float32)
    wide[::distance, ::distance] = kernel
    return wide


def along(features, steps, stride, state, name, is_gated=False):
    for index, step in enumerate(steps):
        label, own = f"{name}/{index}", stride if index == 0 else 1
        features = tf.nn.relu(features) if step.starts else features
        if step.kind == "conv":  # at every position, and only then with its stride
            whole = tf.nn.conv2d(features, spread(state[f"{label}/kernel"], step.dilation), 1, "SAME")
            features = whole[:, ::own, ::own] if step.dilation > 1 or step.side == 1 else None
        elif step.kind == "depthwise":
            features = tf.nn.depthwise_conv2d(features, state[f"{label}/kernel"], (1, own, own, 1), "SAME")
        else:
            features = tf.nn.pool(features, (3, 3), {"max": "MAX", "average": "AVG"}[step.kind], (own, own), "SAME")
        is_last = is_gated and index == len(steps) - 1
        features = normalized(features, state, f"{label}/norm") if step.ends and not is_last else features
    return normalized(features, state, f"{name}/norm") if is_gated else features


def cell_output(edges, maps, strides, stride, state, prefix, gates=None):
    """Returns the output of a cell; `gates` holds the factor of each edge, if edges have any."""
    nodes = {}
    for node in sorted({edge.source for edge in edges if edge.source < 2}):
        nodes[node] = along(maps[node], PROJECTION, strides[node], state, f"{prefix}/input_{node}")
    for edge in sorted(edges):
        own = stride if edge.source < 2 else 1
        name = f"{prefix}/{edge.operation}_{edge.source}_{edge.target}"
        made = along(nodes[edge.source], steps_of(edge.operation, own), own, state, name, gates is not None)
        made = made if gates is None else made * gates[edge]
        nodes[edge.target] = nodes[edge.target] + made if edge.target in nodes else made
    return tf.nn.relu(tf.concat([nodes[node] for node in sorted(nodes) if node >= 2], -1))


def logits(stack, genotype, state, images, gates_of=lambda cell: None):
    features = (tf.cast(images, tf.float32) - stack.scaling.mean) / stack.scaling.std
    stem = tf.nn.conv2d(features, state["stem/0/kernel"], stack.stem_stride, "SAME")
    maps = {0: tf.nn.relu(normalized(stem, state, "stem/0/norm"))}
    for cell in stack.used_places(genotype):
        inputs = [maps.get(number) for number in cell.inputs]
        edges = genotype.edges(cell.kind)
        args = (edges, inputs, cell.input_strides, cell.stride, state, f"cell_{cell.number}", gates_of(cell))
        maps[cell.number] = cell_output(*args)
    pooled = tf.reduce_mean(maps[len(stack.cells)], (1, 2))
    return pooled @ state["logits/kernel"] + state.get("logits/bias", 0.0)


@pytest.mark.parametrize("genotype", GENOTYPES.values(), ids=GENOTYPES)
@pytest.mark.parametrize("size", [(8, 8, 3), (9, 7, 3)], ids=str)
def test_a_stack_computes_what_its_genotype_says(genotype, size):
    stack = Stack(size, 3, SCALING, "NRN", filters=4, stem_stride=1)
    network = CellNetwork(stack, genotype, seed=1)
    state = with_statistics(network.body).state()
    images = np.random.default_rng(1).uniform(0, 255, (4, *size)).astype(np.float32)
    found = network(images, training=False)
    np.testing.assert_allclose(found, logits(stack, genotype, state, images), rtol=1e-3, atol=1e-3)


def test_a_gate_multiplies_what_its_edge_makes():
    """Gates of each image and each cell, of edges in any order of which the genotype has lost some."""
    stack = Stack((8, 8, 3), 3, SCALING, "NRN", filters=4, stem_stride=1)
    genotype = GENOTYPES["every operation"]
    columns = {kind: (*reversed(genotype.edges(kind)), Edge(5, 0, "max3")) for kind in KINDS.values()}
    network = CellNetwork(stack, genotype, seed=1, columns=columns)
    state = with_statistics(network.body).state()
    generator = np.random.default_rng(1)
    images = generator.uniform(0, 255, (4, 8, 8, 3)).astype(np.float32)
    gates = [
        generator.uniform(0.2, 2.0, (4, stack.repeats(kind), len(edges))).astype(np.float32)
        for kind, edges in columns.items()
    ]

    def gates_of(cell):
        own = gates[list(columns).index(cell.kind)][:, cell.repeat]
        return {edge: own[:, index, None, None, None] for index, edge in enumerate(columns[cell.kind])}

    expected = logits(stack, genotype, state, images, gates_of)
    np.testing.assert_allclose(network([images, *gates], training=False), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("genotype", GENOTYPES.values(), ids=GENOTYPES)
def test_a_grown_network_has_the_cells_of_the_stack(genotype):
    network = with_statistics(GrowingNetwork(Cells(genotype, ("NRN",), filters=4).build((8, 8, 3), 3)))
    architecture = network.architecture
    stack = Stack((8, 8, 3), 3, architecture.scaling, "NRN", filters=4, stem_stride=1)
    numbers = {cell.number: number for number, cell in enumerate(stack.used_places(genotype), start=1)}
    state = {}
    for name, value in network.state().items():
        name = name.removeprefix("block_0/").replace("cell_0/first", "stem/0")
        state[name] = value
    renamed = {}
    for cell, number in numbers.items():
        own = {name: value for name, value in state.items() if name.startswith(f"cell_{number}/")}
        for name, value in own.items():
            inner = name.removeprefix(f"cell_{number}/")
            renamed[f"cell_{cell}/{inner}"] = value
            # A cell that reads one map alone knows it as node 0, whichever it is in the genotype.
            older = inner.replace("input_0/", "input_1/").replace("_0_", "_1_", 1)
            renamed.setdefault(f"cell_{cell}/{older}", value)
    renamed |= {name: value for name, value in state.items() if name.startswith("stem/")}
    kernel = np.random.default_rng(2).normal(size=(100, 3)).astype(np.float32)
    images = np.random.default_rng(1).uniform(0, 255, (4, 8, 8, 3)).astype(np.float32)
    made = network.blocks[0].forward({IMAGE: network.scale(images)}, training=False)
    last = made[architecture.blocks[0].nodes[-1].name]
    kernel = kernel[: last.shape[-1]]
    expected = logits(stack, genotype, {**renamed, "logits/kernel": kernel}, images)
    np.testing.assert_allclose(tf.reduce_mean(last, (1, 2)) @ kernel, expected, rtol=1e-3, atol=1e-3)
