"""What every operator owes: its shape, its values, its channels and its trip through JSON."""

import dataclasses
import json

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.graph import IMAGE, OPERATORS, Architecture, Block, Node, Scaling
from kgrow.graph import operators as ops
from kgrow.graph.channels import channel_labels
from kgrow.graph.device import device_steps
from kgrow.graph.operators.activation import FUNCTIONS
from kgrow.graph.values import Weighted, constants_of, read_channels
from kgrow.network import GrowingNetwork
from tests.graph import numpy_oracle

MAP, POINT, VECTOR = (6, 5, 3), (1, 1, 3), (3,)
CASES = [
    *((ops.Activation(function), (MAP,)) for function in FUNCTIONS),
    (ops.Add(), (MAP, MAP)),
    (ops.Add(), (MAP, MAP, MAP)),
    (ops.AveragePool((3, 2), (2, 1)), (MAP,)),
    (ops.AveragePool((3, 2), (2, 2), "valid"), (MAP,)),
    (ops.BatchNorm(), (MAP,)),
    (ops.BatchNorm(0.99, 1e-3, has_scale=False), (VECTOR,)),
    (ops.BatchNorm(has_offset=False), (MAP,)),
    (ops.ChannelDropout(0.3), (MAP,)),
    (ops.Concat(), (MAP, (6, 5, 2))),
    (ops.Conv((3, 3), filters=4), (MAP,)),
    (ops.Conv((3, 2), (2, 1), "valid", filters=4, use_bias=True), (MAP,)),
    (ops.Conv((3, 3), filters=4, dilation=2), (MAP,)),
    (ops.Conv((3, 3), (2, 2), filters=4, dilation=2), (MAP,)),
    (ops.Dense(4), (VECTOR,)),
    (ops.Dense(4, use_bias=False), (MAP,)),
    (ops.DepthwiseConv((3, 3)), (MAP,)),
    (ops.DepthwiseConv((2, 3), (2, 2), "valid", multiplier=2, use_bias=True), (MAP,)),
    (ops.Dropout(0.3), (VECTOR,)),
    (ops.Flatten(), (MAP,)),
    (ops.GlobalAveragePool(), (MAP,)),
    (ops.GlobalMaxPool(keeps_sides=True), (MAP,)),
    (ops.LeakyReLU(0.1), (MAP,)),
    (ops.MaxPool((2, 2), (2, 2), "valid"), (MAP,)),
    (ops.MaxPool((3, 3), (1, 1)), (MAP,)),
    (ops.MixedPool((2, 2), (2, 2), "valid"), (MAP,)),
    (ops.Multiply(), (MAP, MAP)),
    (ops.Multiply(), (MAP, POINT)),
    (ops.ReLU(), (MAP,)),
    (ops.ReLU(6.0), (MAP,)),
    (ops.ReLU(3.0, 0.1, 0.5), (MAP,)),
    (ops.ReLU(threshold=1.0), (MAP,)),
    (ops.Rescale((2.0, 0.5, -1.0), (0.1, 0.0, 3.0)), (MAP,)),
    (ops.Resize((2, 3)), (MAP,)),
    (ops.Resize((2, 2), "bilinear"), (MAP,)),
    (ops.Times(0.3), (MAP,)),
    (ops.ZeroPadding((1, 2), (0, 3)), (MAP,)),
]
operators = pytest.mark.parametrize(("operator", "shapes"), CASES, ids=lambda part: str(part)[:60])


def network_around(operator, shapes, seed=0):
    """Returns a network in which a node of the operator reads maps of these shapes, each made by a convolution."""
    generator, nodes, inputs = np.random.default_rng(seed), [], []
    for number, shape in enumerate(shapes):
        name = f"source_{number}"
        nodes.append(Node(name, ops.Conv(filters=shape[-1], use_bias=True), (IMAGE,)))
        if len(shape) == 1 or shape[:2] == (1, 1):
            name = f"pooled_{number}"
            nodes.append(Node(name, ops.GlobalAveragePool(keeps_sides=len(shape) > 1), (f"source_{number}",)))
        inputs.append(name)
    nodes.append(Node("node", operator, tuple(inputs)))
    head = (Node("flat", ops.Flatten(), ("node",)), Node("logits", ops.Dense(2), ("flat",)))
    scaling = Scaling((10.0, 20.0), (2.0, 4.0))
    network = GrowingNetwork(Architecture((6, 5, 2), 2, scaling, (Block(tuple(nodes), head),)), seed=seed)
    for name, variable in network.named_variables().items():
        if name.endswith(("beta", "bias", "moving_mean")):
            variable.assign(generator.normal(0, 0.5, variable.shape))
        elif name.endswith(("gamma", "moving_variance")):
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))
    return network


def images(num=3):
    return np.random.default_rng(1).normal(15, 6, (num, 6, 5, 2)).astype(np.float32)


def outputs(network, pixels=None):
    pixels = images() if pixels is None else pixels
    return network.blocks[0].forward({IMAGE: network.scale(pixels)}, training=False)


def test_every_operator_has_a_case():
    assert {type(operator) for operator, _ in CASES} == set(OPERATORS.values())
    assert all(kind == operator.kind for kind, operator in OPERATORS.items())


@operators
def test_shape_and_counts_are_those_of_the_layer(operator, shapes):
    network = network_around(operator, shapes)
    assert outputs(network)["node"].shape[1:] == network.architecture.shapes["node"] == operator.output_shape(*shapes)
    built = {name: v for name, v in network.named_variables().items() if not name.endswith("/mask")}
    assert sum(int(np.prod(v.shape)) for v in built.values()) == network.architecture.params()
    assert [kernel.weight.shape for kernel in network.kernels()] == [
        k.kernel_shape for k in network.architecture.kernels()
    ]


@operators
def test_layer_and_device_compute_what_numpy_does(operator, shapes):
    network = network_around(operator, shapes)
    found = outputs(network)["node"].numpy()
    steps = device_steps(network.architecture, network.state())
    values = {IMAGE: tf.constant(images() - np.array([10.0, 20.0], np.float32))}
    for step in steps:
        weights = {name: tf.constant(value, tf.float32) for name, value in step.weights.items()}
        values[step.name] = step.compute([values[name] for name in step.inputs], weights)
        assert values[step.name].shape[1:] == step.shape
    np.testing.assert_allclose(values["logits"], network(images(), training=False)[0], rtol=1e-4, atol=1e-4)
    try:
        expected = numpy_oracle.values(network.architecture, network.state(), images())["node"]
    except (KeyError, AssertionError):  # functions that NumPy has not are compared with the layer alone
        assert operator.kind in ("activation", "resize")
        return
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@operators
def test_it_survives_json(operator, shapes):
    node = Node("node", operator, tuple(f"source_{n}" for n in range(len(shapes))))
    assert Node.from_json(json.loads(json.dumps(node.to_json())), "node") == node


@operators
def test_a_constant_is_one_and_what_is_no_constant_is_not_called_one(operator, shapes):
    network = network_around(operator, shapes)
    state = network.state()
    for number, value in enumerate((0.0, 1.5, 0.0)[: len(shapes)]):
        state[f"source_{number}/mask"][..., 0] = 0
        state[f"source_{number}/bias"][0] = value
    network.load_state(state)
    network.apply_masks()
    constants = constants_of(Weighted.of(network.architecture, network.state()))["node"]
    made = outputs(network, images(8))["node"].numpy()
    spread = np.ptp(made.reshape(-1, made.shape[-1]), axis=0)
    known = ~np.isnan(constants)
    np.testing.assert_allclose(spread[known], 0, atol=1e-5)
    np.testing.assert_allclose(made.reshape(-1, made.shape[-1])[0][known], constants[known], rtol=1e-5, atol=1e-5)


@operators
def test_unread_channels_change_nothing_and_read_ones_something(operator, shapes):
    network = network_around(operator, shapes)
    state = network.state()
    generator = np.random.default_rng(3)
    state["logits/mask"] = (generator.random(state["logits/mask"].shape) < 0.1).astype(np.float32)
    network.load_state(state)
    network.apply_masks()
    read = read_channels(Weighted.of(network.architecture, network.state()), (0,))
    before = network(images(), training=False)[0].numpy()
    for number in range(len(shapes)):
        changed = network.state()
        unread = ~read[f"source_{number}"]
        changed[f"source_{number}/bias"][unread] += 7.0
        network.load_state(changed)
        np.testing.assert_allclose(network(images(), training=False)[0], before, rtol=1e-5, atol=1e-5)


@operators
def test_channels_of_a_group_are_those_that_are_computed_of_each_other(operator, shapes):
    """Brute force: a channel of the node that is no sum over all of them depends on channels of its own group alone."""
    architecture = network_around(operator, shapes).architecture
    labels = channel_labels(architecture)
    if operator.makes_channels:
        assert not set(labels["node"]) & set(labels["source_0"])
        return
    sources = operator.aligned([np.arange(shape[-1]) for shape in shapes], shapes)
    for source in sources:
        assert len(source) == architecture.shapes["node"][-1]
    for number, channels in enumerate(sources if len(sources) > 1 else []):
        np.testing.assert_array_equal(labels["node"], labels[architecture.by_name["node"].inputs[number]][channels])


@operators
def test_sliced_channels_leave_the_others_as_they_are(operator, shapes):
    kept = np.array([True, False, True])
    if operator.makes_channels or len({shape[-1] for shape in shapes}) > 1:
        kept = np.arange(operator.output_shape(*shapes)[-1]) != 1
        assert operator.narrowed(kept).output_shape(*shapes)[-1] == (
            kept.sum() if operator.makes_channels else len(kept)
        )
        return
    smaller = [(*shape[:-1], 2) for shape in shapes]
    (own, *_) = operator.aligned([kept] * len(shapes), shapes)
    assert operator.narrowed(own).output_shape(*smaller)[-1] == own.sum()


def test_squares_of_a_kernel_are_those_of_single_examples():
    for operator, shapes in CASES:
        if not operator.kernel_shape(*shapes):
            continue
        inputs = tf.random.stateless_normal((3, *shapes[0]), (1, 2))
        layer = operator.layer("layer", 0)
        layer(inputs)
        ((kernel, _, _),) = layer.pruning_vars
        expected = np.zeros(kernel.shape)
        weights = tf.random.stateless_normal((3, *operator.output_shape(*shapes)), (3, 4))
        for example in range(3):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(layer(inputs[example : example + 1]) * weights[example : example + 1])
            expected += tape.gradient(loss, kernel).numpy() ** 2
        np.testing.assert_allclose(operator.kernel_squares(inputs, weights), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ops.Conv((0, 1)), r"`window\[0\]` must be a positive integer, but got 0"),
        (lambda: ops.Conv(filters=True), "`filters` must be a positive integer, but got True"),
        (lambda: ops.Conv((3, 3), (3, 3), dilation=2), "`dilation` must be 1 or equal the strides"),
        (lambda: ops.Conv(padding="full"), "`padding` must be 'same' or 'valid', but got 'full'"),
        (lambda: ops.DepthwiseConv(strides=(1, 2)), "`strides` must be equal"),
        (lambda: ops.ReLU(-3.0), "`max_value` must be above `threshold`, and neither"),
        (lambda: ops.Activation("softmax"), "`function` must be one of elu, gelu"),
        (lambda: ops.Resize(interpolation="cubic"), "`interpolation` must be 'nearest' or 'bilinear'"),
        (lambda: ops.Add().output_shape((2, 2, 3), (2, 2, 4)), "`add` must read maps of one shape"),
        (lambda: ops.Concat().output_shape((2, 2, 3), (2, 1, 3)), "`concat` must read maps of one size"),
        (
            lambda: ops.Multiply().output_shape((2, 2, 3), (2, 1, 2)),
            "`multiply` must read two maps of as many channels",
        ),
        (
            lambda: ops.Conv((3, 3), padding="valid").output_shape((2, 2, 1)),
            "a window of 3 does not fit into a side of 2",
        ),
        (lambda: ops.MaxPool().output_shape((4,)), r"`max_pool` must read a map \(height, width, channels\)"),
        (lambda: ops.Rescale((1.0,), (0.0,)).output_shape((2, 2, 3)), "must hold a number for each of 3 channels"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_wrong_documents_name_the_field(tiny_architecture):
    document = tiny_architecture.to_json()
    node = document["blocks"][1]["nodes"][0]

    def refused(changed, message):
        broken = json.loads(json.dumps(document))
        broken["blocks"][1]["nodes"][0] = node | changed
        with pytest.raises(ValueError, match=message):
            Architecture.from_json(broken)

    refused({"operator": {"kind": "convolution"}}, r"`blocks\[1\].nodes\[0\].operator.kind` must be one of")
    refused({"operator": node["operator"] | {"filters": "six"}}, r"`blocks\[1\].nodes\[0\].operator.filters` must be")
    refused({"operator": node["operator"] | {"groups": 2}}, r"operator.groups` must be left out")
    refused({"inputs": ["nowhere"]}, "must be nodes before it, and its name must be new, but it reads")
    refused({"inputs": "image"}, r"`blocks\[1\].nodes\[0\].inputs` must be a list")
    refused({"name": document["blocks"][0]["nodes"][0]["name"]}, "its name must be new")
    with pytest.raises(ValueError, match=r"`blocks\[0\].head` must end in 4 logits, one per class, but ends in"):
        dataclasses.replace(tiny_architecture, num_classes=4)
