"""Channel groups of a graph, by hand."""

import numpy as np
import pytest

from kgrow.compressing.graph import variables
from kgrow.compressing.groups import at_least_one, graph_groups
from kgrow.compressing.masked import MaskedModel
from kgrow.compressing.reading import read
from kgrow.pruning import CHANNEL_CRITERIA


@pytest.fixture(scope="module")
def graph(branched, tiny_task):
    graph, values = read(branched, tiny_task)
    return graph.to_logits(), values


@pytest.fixture(scope="module")
def found(graph):
    return graph_groups(*graph)


def test_addition_and_depthwise_tie_and_concatenation_joins(found):
    made, kernels = found.made, found.groups.kernels
    # stem 4, tied to depthwise and pointwise; strided 6, sigmoid 5, hidden 7
    assert len(found.groups) == 4 + 6 + 5 + 7
    for name in ("depthwise", "pointwise", "sum", "pool"):
        np.testing.assert_array_equal(made[name], made["stem"])
    np.testing.assert_array_equal(made["both"], np.concatenate([made["strided"], made["sigmoid"]]))
    rows, columns = kernels["depthwise/depthwise_kernel"]
    np.testing.assert_array_equal(rows, made["stem"])
    np.testing.assert_array_equal(columns, [-1])


def test_image_and_classes_are_in_no_group(found):
    assert set(found.groups.kernels["stem/kernel"][0]) == {-1}
    assert set(found.groups.kernels["classes/kernel"][1]) == {-1}


def test_flatten_gives_every_channel_a_row_per_position(found):
    rows, _ = found.groups.kernels["hidden/kernel"]
    np.testing.assert_array_equal(rows, np.tile(found.made["both"], 3 * 3))


def test_cost_is_that_of_all_kernels_that_make_or_read(found):
    # the first of `strided`: 3 x 3 positions, made by 3 x 3 x 4 weights; read at 9 positions by 7 hidden units
    assert found.groups.macs[found.made["strided"][0]] == 9 * 9 * 4 + 9 * 7
    # the first of the stem: itself, the depthwise kernel, the pointwise one on both sides, and two readers
    stem = 64 * 27 + 64 * 9 + 64 * (4 + 4) + 9 * 9 * 6 + 9 * 4 * 5
    assert found.groups.macs[found.made["stem"][0]] == stem


def test_gates_are_scales_where_there_are_any_and_else_kernels(found):
    gates = found.groups.gates
    assert {"stem_norm/gamma", "stem_norm/beta", "strided/kernel", "strided/bias", "hidden/kernel"} <= set(gates)
    # the stem's channels have a scale, and with them the pointwise kernel's
    assert not {"stem/kernel", "pointwise/kernel", "classes/kernel"} & set(gates)


def test_gate_without_normalisation_is_the_derivative_of_the_loss(graph, found, tiny_task, cross_entropy):
    network = MaskedModel(*graph, found)
    images, labels = tiny_task.train.images, tiny_task.train.labels
    scores = CHANNEL_CRITERIA["gate"](0).saliency(network, found.groups, [(images, labels)], cross_entropy)
    kernel, bias = (variables(network.model)[f"strided/{kind}"] for kind in ("kernel", "bias"))
    before = kernel.numpy(), bias.numpy()
    for channel in (0, 4):
        losses = []
        for gate in (1 + 1e-2, 1 - 1e-2):
            factor = np.where(np.arange(6) == channel, gate, 1.0)
            kernel.assign(before[0] * factor)
            bias.assign(before[1] * factor)
            losses.append(float(cross_entropy(network(images), labels)))
        derivative = (losses[0] - losses[1]) / 2e-2
        kernel.assign(before[0])
        bias.assign(before[1])
        assert scores[found.made["strided"][channel]] == pytest.approx(abs(derivative), rel=0.05, abs=1e-4)


@pytest.mark.parametrize("name", [name for name in CHANNEL_CRITERIA if name != "bayes"])  # which says that it cannot
def test_every_channel_criterion_scores_a_users_model(name, graph, found, tiny_task, cross_entropy):
    network = MaskedModel(*graph, found)
    before = network.state()
    batches = [(tiny_task.train.images, tiny_task.train.labels)]
    scores = CHANNEL_CRITERIA[name](0).saliency(network, found.groups, batches, cross_entropy)
    assert scores.shape == (len(found.groups),)
    assert np.isfinite(scores).all()
    assert scores.min() >= 0
    assert all(np.array_equal(value, before[key]) for key, value in network.state().items())


def test_what_is_added_to_the_image_stays(layers, tiny_task, scrambled):
    from kgrow._keras import keras

    image = keras.Input((8, 8, 3))
    x = layers.Add()([image, layers.Conv2D(3, 3, padding="same", name="conv")(image)])
    model = scrambled(keras.Model(image, layers.Dense(3)(layers.GlobalMaxPooling2D()(layers.Conv2D(4, 3)(x)))))
    graph, values = read(model, tiny_task)
    found = graph_groups(graph, values)
    assert set(found.made["conv"]) == {-1}
    assert len(found.groups) == 4


def test_every_layer_keeps_a_channel(found):
    kept = at_least_one(found.groups, np.zeros(len(found.groups), bool))
    assert all(kept[layer].any() for layer in found.groups.layers)
