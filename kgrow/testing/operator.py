"""The contract of every operator."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.graph import IMAGE, Architecture, Block, Node, Operator, Scaling
from kgrow.graph.device import device_steps
from kgrow.graph.operators import Conv, Dense, Flatten, GlobalAveragePool, Shape
from kgrow.graph.values import Weighted, constants_of, read_channels
from kgrow.network import GrowingNetwork

SIDES, CHANNELS = (6, 5), 2


def network_around(operator: Operator, shapes: Sequence[Shape]) -> GrowingNetwork:
    """Returns a network in which the node `node` reads maps of these shapes, each made by a convolution `source_N`.

    Args:
        operator: Operator of the node.
        shapes: Shapes that the node reads: (6, 5, channels) of a map, (1, 1, channels) of one position, or (channels,)
            of a vector.
    """
    generator, nodes, inputs = np.random.default_rng(0), [], []
    for number, shape in enumerate(shapes):
        name = f"source_{number}"
        nodes.append(Node(name, Conv(filters=shape[-1], use_bias=True), (IMAGE,)))
        if shape[:2] != SIDES:
            name = f"pooled_{number}"
            nodes.append(Node(name, GlobalAveragePool(keeps_sides=len(shape) > 1), (f"source_{number}",)))
        inputs.append(name)
    nodes.append(Node("node", operator, tuple(inputs)))
    head = (Node("flat", Flatten(), ("node",)), Node("logits", Dense(2), ("flat",)))
    scaling = Scaling((10.0, 20.0), (2.0, 4.0))
    network = GrowingNetwork(Architecture((*SIDES, CHANNELS), 2, scaling, (Block(tuple(nodes), head),)))
    for name, variable in network.named_variables().items():
        if name.endswith(("beta", "bias", "moving_mean")):
            variable.assign(generator.normal(0, 0.5, variable.shape))
        elif name.endswith(("gamma", "moving_variance")):
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))
    return network


def images(number: int = 3) -> np.ndarray:
    """Returns images for such a network."""
    return np.random.default_rng(1).normal(15, 6, (number, *SIDES, CHANNELS)).astype(np.float32)


def outputs(network: GrowingNetwork, pixels: np.ndarray | None = None) -> dict[str, Any]:
    """Returns the output of every node by name."""
    pixels = images() if pixels is None else pixels
    return network.blocks[0].forward({IMAGE: network.scale(pixels)}, training=False)


class OperatorContract:
    """Tests of an operator's contract; a subclass has the operator as `operator`, and its input shapes as `shapes`."""

    operator: ClassVar[Operator]
    shapes: ClassVar[tuple[Shape, ...]]

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls) -> tuple[Operator, tuple[Shape, ...]]:
        """The operator and the shapes."""
        return cls.operator, cls.shapes

    def test_shape_and_counts_are_those_of_the_layer(self, subject: Any) -> None:
        """Everything is counted without building the layer."""
        operator, shapes = subject
        network = network_around(operator, shapes)
        architecture = network.architecture
        made = outputs(network)["node"]
        assert tuple(made.shape[1:]) == architecture.shapes["node"] == operator.output_shape(*shapes)
        built = [v for name, v in network.named_variables().items() if not name.endswith("/mask")]
        assert sum(int(np.prod(variable.shape)) for variable in built) == architecture.params()
        assert [k.weight.shape for k in network.kernels()] == [k.kernel_shape for k in architecture.kernels()]

    def test_device_computes_what_the_layer_does(self, subject: Any) -> None:
        """The exported network computes the same as the trained one."""
        network = network_around(*subject)
        values = {IMAGE: tf.constant(images() - np.array([10.0, 20.0], np.float32))}
        for step in device_steps(network.architecture, network.state()):
            weights = {name: tf.constant(value, tf.float32) for name, value in step.weights.items()}
            values[step.name] = step.compute([values[name] for name in step.inputs], weights)
            assert values[step.name].shape[1:] == step.shape
        np.testing.assert_allclose(values["logits"], network(images(), training=False)[0], rtol=1e-4, atol=1e-4)

    def test_it_survives_json(self, subject: Any) -> None:
        """A run directory stores it as text."""
        operator, shapes = subject
        node = Node("node", operator, tuple(f"source_{number}" for number in range(len(shapes))))
        assert Node.from_json(json.loads(json.dumps(node.to_json())), "node") == node

    def test_a_constant_is_one_and_what_is_no_constant_is_not_called_one(self, subject: Any) -> None:
        """The removal of constant parts depends on it."""
        operator, shapes = subject
        network = network_around(operator, shapes)
        state = network.state()
        for number, value in enumerate((0.0, 1.5, 0.0)[: len(shapes)]):
            state[f"source_{number}/mask"][..., 0] = 0
            state[f"source_{number}/bias"][0] = value
        network.load_state(state)
        network.apply_masks()
        constants = constants_of(Weighted.of(network.architecture, network.state()))["node"]
        made = outputs(network, images(8))["node"].numpy()
        values = made.reshape(-1, made.shape[-1])
        known = ~np.isnan(constants)
        np.testing.assert_allclose(np.ptp(values, axis=0)[known], 0, atol=1e-5)
        np.testing.assert_allclose(values[0][known], constants[known], rtol=1e-5, atol=1e-5)

    def test_what_is_called_non_negative_never_is_negative(self, subject: Any) -> None:
        """A ReLU that reads it is removed."""
        operator, shapes = subject
        network = network_around(operator, shapes)
        for are_non_negative in (False, True):
            if are_non_negative:
                state, made = network.state(), outputs(network, images(8))
                for number in range(len(shapes)):
                    least = made[f"source_{number}"].numpy().min(axis=(0, 1, 2))
                    state[f"source_{number}/bias"] = state[f"source_{number}/bias"] - least
                network.load_state(state)
            if operator.is_non_negative([are_non_negative] * len(shapes)):
                # Zero but for rounding where the least value of a channel is moved to it.
                assert outputs(network, images(8))["node"].numpy().min() >= -1e-5

    def test_channels_that_are_not_read_change_nothing(self, subject: Any) -> None:
        """The removal of unread channels depends on it."""
        operator, shapes = subject
        network = network_around(operator, shapes)
        state = network.state()
        state["logits/mask"] = (np.random.default_rng(3).random(state["logits/mask"].shape) < 0.1).astype(np.float32)
        network.load_state(state)
        network.apply_masks()
        read = read_channels(Weighted.of(network.architecture, network.state()), (0,))
        before = network(images(), training=False)[0].numpy()
        for number in range(len(shapes)):
            changed = network.state()
            changed[f"source_{number}/bias"][~read[f"source_{number}"]] += 7.0
            network.load_state(changed)
            np.testing.assert_allclose(network(images(), training=False)[0], before, rtol=1e-5, atol=1e-5)
