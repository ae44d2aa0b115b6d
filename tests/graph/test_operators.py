"""What every operator owes: its shape, its values, its channels and its trip through JSON."""

import dataclasses
import json

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.graph import OPERATORS, Architecture
from kgrow.graph import operators as ops
from kgrow.graph.channels import channel_labels
from kgrow.graph.operators.activation import FUNCTIONS
from kgrow.testing import OperatorContract
from kgrow.testing.operator import images, network_around, outputs
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
    (ops.OnePosition(), (VECTOR,)),
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


class TestOperators(OperatorContract):
    @pytest.fixture(scope="class", params=CASES, ids=lambda case: str(case[0]))
    @classmethod
    def subject(cls, request):
        return request.param


def test_every_operator_has_a_case():
    assert {type(operator) for operator, _ in CASES} == {OPERATORS[kind] for kind in OPERATORS.own}
    assert all(OPERATORS[kind].kind == kind for kind in OPERATORS)


@operators
def test_layer_computes_what_numpy_does(operator, shapes):
    network = network_around(operator, shapes)
    try:
        expected = numpy_oracle.values(network.architecture, network.state(), images())["node"]
    except (KeyError, AssertionError):  # functions that NumPy has not are compared with the layer alone
        assert operator.kind in ("activation", "resize")
        return
    np.testing.assert_allclose(outputs(network)["node"], expected, rtol=1e-4, atol=1e-4)


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
        assert operator.with_channels(np.flatnonzero(kept)).output_shape(*shapes)[-1] == (
            kept.sum() if operator.makes_channels else len(kept)
        )
        return
    smaller = [(*shape[:-1], 2) for shape in shapes]
    (own, *_) = operator.aligned([kept] * len(shapes), shapes)
    assert operator.with_channels(np.flatnonzero(own)).output_shape(*smaller)[-1] == own.sum()


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
        (lambda: ops.Conv(padding="full"), "`padding` must be one of 'same', 'valid', but got 'full'"),
        (lambda: ops.DepthwiseConv(strides=(1, 2)), "`strides` must be equal"),
        (lambda: ops.ReLU(-3.0), "`max_value` must be above `threshold`, and neither"),
        (lambda: ops.Dropout(1.0), r"`rate` must be in \[0, 1\), but got 1.0"),
        (lambda: ops.BatchNorm(epsilon=0.0), r"`momentum` must be in \[0, 1\] and `epsilon` positive"),
        (lambda: ops.ZeroPadding((0, -1)), "`height` and `width` must not be negative"),
        (lambda: ops.Resize((0, 2)), "`factors` must be positive"),
        (lambda: ops.Activation("softmax"), "`function` must be one of 'elu', 'gelu', .*but got 'softmax'"),
        (
            lambda: ops.Resize(interpolation="cubic"),
            "`interpolation` must be one of 'nearest', 'bilinear', but got 'cubic'",
        ),
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


def test_map_that_no_memory_holds_is_refused_before_it_is_built(tiny_architecture):
    document = tiny_architecture.to_json()
    last = document["blocks"][0]["nodes"][-1]["name"]
    huge = {"name": "huge", "operator": {"kind": "resize", "factors": [10**6, 10**6]}, "inputs": [last]}
    document["blocks"][0]["nodes"].append(huge)
    with pytest.raises(ValueError, match="Node huge must give 1 to 268435456 values"):
        Architecture.from_json(document)
    height, width, channels = tiny_architecture.input_shape
    with pytest.raises(ValueError, match="`input_shape` must hold at most 268435456 values"):
        Architecture.from_json(document | {"input_shape": [height * 10**5, width * 10**5, channels]})
    head = document["blocks"][0]["head"]
    head.insert(-1, {"name": "wide", "operator": {"kind": "dense", "units": 2**28}, "inputs": head[-1]["inputs"]})
    document["blocks"][0]["nodes"].pop()
    with pytest.raises(ValueError, match="The kernel of wide must have at most 268435456 weights"):
        Architecture.from_json(document)


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
