"""Changes on random graphs of every operator: answers stay, and what was added can be taken away again, bit by bit."""

import collections

import numpy as np
import pytest

from kgrow.graph import Architecture, Block, Node, Scaling
from kgrow.graph.channels import NO_CHANNEL, channel_labels
from kgrow.graph.operators import OPERATORS
from kgrow.graph.removal import remove_dead
from kgrow.graph.values import Weighted
from kgrow.network import GrowingNetwork
from kgrow.structure import InsertCell, InsertIdentity, RemoveChannels, Widen

pytestmark = pytest.mark.usefixtures("eagerly")

INPUT, NUM_NODES, MOST_SIDE, MOST_CHANNELS = (6, 5, 2), 10, 14, 20
ACTIVATIONS = ("hard_swish", "swish", "sigmoid", "tanh", "elu")
SEEDS = range(3)
MANY = range(3, 40)


def reading_one(draw, channels):
    """Returns an operator that reads one map of so many channels."""
    size = int(draw.choice([1, 3]))
    make = {
        "conv": lambda kind: kind((size, size), (int(draw.choice([1, 2])),) * 2, filters=int(draw.integers(2, 5))),
        "depthwise": lambda kind: kind((3, 3), use_bias=bool(draw.integers(2))),
        "batch_norm": lambda kind: kind(),
        "relu": lambda kind: kind(draw.choice([None, 6.0])),
        "leaky_relu": lambda kind: kind(0.2),
        "activation": lambda kind: kind(str(draw.choice(ACTIVATIONS))),
        "max_pool": lambda kind: kind((2, 2), (1, 1), "same"),
        "average_pool": lambda kind: kind((2, 2), (1, 1), "same"),
        "zero_padding": lambda kind: kind(),
        "resize": lambda kind: kind((2, 2), str(draw.choice(["nearest", "bilinear"]))),
        "rescale": lambda kind: kind(tuple(draw.uniform(0.5, 1.5, channels)), tuple(draw.normal(0, 0.3, channels))),
        "dropout": lambda kind: kind(0.3),
        "channel_dropout": lambda kind: kind(0.3),
        "mixed_pool": lambda kind: kind(),
        "times": lambda kind: kind(0.7),
    }
    name = str(draw.choice(list(make)))
    return make[name](OPERATORS[name])


class Graph:
    """Nodes that are added one by one, each reading maps that are there."""

    def __init__(self, draw):
        self.draw, self.nodes, self.shapes, self.unread = draw, [], {"image": INPUT}, set()

    def add(self, operator, *inputs):
        shape = operator.output_shape(*(self.shapes[source] for source in inputs))
        name = f"node_{len(self.nodes)}"
        self.nodes.append(Node(name, operator, inputs))
        self.shapes[name] = shape
        self.unread = self.unread - set(inputs) | {name}
        return name

    def maps(self, like=None, sides=None):
        shapes = {name: shape for name, shape in self.shapes.items() if len(shape) == 3 and name != "image"}
        return [name for name, shape in shapes.items() if like in (None, shape) and sides in (None, shape[:2])]

    def add_any(self):
        source = str(self.draw.choice(self.maps()))
        shape, kind = self.shapes[source], self.draw.integers(6)
        if kind == 0:
            other = str(self.draw.choice(self.maps(like=shape)))
            self.add(OPERATORS[str(self.draw.choice(["add", "multiply"]))](), source, other)
        elif kind == 1:
            self.add(OPERATORS["concat"](), source, str(self.draw.choice(self.maps(sides=shape[:2]))))
        elif kind == 2:  # squeeze and excitation
            means = self.add(OPERATORS["global_average_pool"](), source)
            position = self.add(OPERATORS["one_position"](), means)
            self.add(OPERATORS["multiply"](), source, position)
        else:
            operator = reading_one(self.draw, shape[2])
            made = operator.output_shape(shape)
            if min(made[:2]) >= 1 and max(made[:2]) <= MOST_SIDE and made[2] <= MOST_CHANNELS:
                self.add(operator, source)


def random_architecture(draw):
    """Returns a network in which every node is read."""
    graph = Graph(draw)
    graph.add(OPERATORS["conv"]((3, 3), filters=3, use_bias=True), "image")
    while len(graph.nodes) < NUM_NODES:
        graph.add_any()
    ends = ("global_average_pool", "global_max_pool", "flatten")
    vectors = [graph.add(OPERATORS[str(draw.choice(ends))](), name) for name in sorted(graph.unread)]
    last = graph.add(OPERATORS["concat"](), *vectors) if len(vectors) > 1 else vectors[0]
    last = graph.add(OPERATORS["dense"](4, True), last)
    head = Node("logits", OPERATORS["dense"](3, True), (last,))
    blocks = (Block(tuple(graph.nodes), (head,)),)
    return Architecture(INPUT, 3, Scaling((10.0, 20.0), (2.0, 4.0)), blocks)


def random_network(seed):
    """Returns a network with weights as after some training."""
    draw = np.random.default_rng(seed)
    network = GrowingNetwork(random_architecture(draw), seed=seed)
    for name, variable in network.named_variables().items():
        if name.endswith(("beta", "bias", "moving_mean")):
            variable.assign(draw.normal(0, 0.5, variable.shape))
        elif name.endswith(("gamma", "moving_variance")):
            variable.assign(draw.uniform(0.5, 1.5, variable.shape))
    return network


def images():
    return np.random.default_rng(1).normal(15, 6, (3, *INPUT)).astype(np.float32)


def changed(network, change):
    architecture, weight_map = change.apply(network.architecture)
    after = GrowingNetwork(architecture, seed=99)
    after.load_state(weight_map.values(network.state(), after.state()))
    return after


def assert_same(network, other):
    expected = network.logits(images())
    np.testing.assert_allclose(other.logits(images()), expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))


def check_widening(seed, outgoing):
    network, draw = random_network(seed), np.random.default_rng(seed + 10**6)
    labels = channel_labels(network.architecture)
    names = [name for name, own in labels.items() if name != "image" and (own != NO_CHANNEL).all()]
    name = str(draw.choice(names))
    per_group = {int(label): int(draw.integers(1, 4)) for label in np.unique(labels[name])}
    copies = tuple(per_group[int(label)] for label in labels[name])
    wider = changed(network, Widen(name, copies, outgoing))
    assert_same(network, wider)
    if outgoing == "zero":
        first = tuple(rank == 0 for count in copies for rank in range(count))
        back = changed(wider, RemoveChannels({name: first}))
        assert back.architecture == network.architecture
        state = network.state()
        assert all(np.array_equal(back.state()[name], value) for name, value in state.items())
        weighted = [Weighted.of(each.architecture, each.state()) for each in (network, wider)]
        before, after = (remove_dead(each, range(1)) for each in weighted)
        assert after.architecture == before.architecture


def check_insertion(seed):
    network, draw = random_network(seed), np.random.default_rng(seed + 10**6)
    shapes = network.architecture.shapes
    after = str(draw.choice([name for name, shape in shapes.items() if len(shape) == 3 and name != "image"]))
    assert_same(network, changed(network, InsertIdentity(after, "inserted", int(draw.choice([1, 3])))))
    deeper = changed(network, InsertCell(after, "inserted", int(draw.integers(1, 6)), int(draw.choice([1, 3]))))
    assert_same(network, deeper)
    assert deeper.architecture.shapes["inserted/sum"] == shapes[after]


@pytest.mark.parametrize("outgoing", ["split", "zero"])
@pytest.mark.parametrize("seed", SEEDS)
def test_wider_networks_answer_the_same_and_become_narrow_again(seed, outgoing):
    check_widening(seed, outgoing)


@pytest.mark.parametrize("seed", SEEDS)
def test_deeper_networks_answer_the_same(seed):
    check_insertion(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", MANY)
def test_many_networks_answer_the_same(seed):
    check_widening(seed, "split")
    check_widening(seed, "zero")
    check_insertion(seed)


def test_random_networks_have_every_operator():
    kinds = collections.Counter(
        node.operator.kind
        for seed in (*SEEDS, *MANY)
        for node in random_architecture(np.random.default_rng(seed)).nodes
    )
    assert kinds.keys() >= set(OPERATORS.own)
