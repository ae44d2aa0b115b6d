"""Channel groups of a graph, by hand."""

import numpy as np
import pytest

from kgrow.compressing.pruning import layer_groups
from kgrow.compressing.reading import network_of, read
from kgrow.graph.channels import channel_labels
from kgrow.pruning import CHANNEL_CRITERIA


@pytest.fixture(scope="module")
def given(branched, tiny_task):
    return read(branched, tiny_task)


@pytest.fixture(scope="module")
def made(given):
    return channel_labels(given.weighted.architecture)


@pytest.fixture(scope="module")
def groups(given):
    return layer_groups(given.weighted.architecture)


def test_addition_and_depthwise_tie_and_concatenation_joins(groups, made):
    # stem 4, tied to depthwise and pointwise; strided 6, sigmoid 5, hidden 7
    assert len(groups) == 4 + 6 + 5 + 7
    for name in ("depthwise", "pointwise", "sum", "pool"):
        np.testing.assert_array_equal(made[name], made["stem"])
    np.testing.assert_array_equal(made["both"], np.concatenate([made["strided"], made["sigmoid"]]))
    rows, columns = groups.kernels["depthwise"]
    np.testing.assert_array_equal(rows, made["stem"])
    np.testing.assert_array_equal(columns, [-2])


def test_each_layer_is_a_block_with_those_that_are_tied_to_it(groups, made):
    blocks = [set(groups.blocks[made[name]].tolist()) for name in ("stem", "strided", "sigmoid", "hidden")]
    assert all(len(block) == 1 for block in blocks)
    assert len(set.union(*blocks)) == 4


def test_image_and_classes_are_in_no_group(groups, made):
    assert set(groups.kernels["stem"][0]) == {-1}
    assert set(groups.kernels["classes"][1]) == {-1}


def test_flatten_gives_every_channel_a_row_per_position(groups, made):
    rows, _ = groups.kernels["hidden"]
    np.testing.assert_array_equal(rows, np.tile(made["both"], 3 * 3))


def test_cost_is_that_of_all_kernels_that_make_or_read(groups, made):
    # the first of `strided`: 3 x 3 positions, made by 3 x 3 x 4 weights; read at 9 positions by 7 hidden units
    assert groups.macs[made["strided"][0]] == 9 * 9 * 4 + 9 * 7
    # the first of the stem: itself, the depthwise kernel, the pointwise one on both sides, and two readers
    stem = 64 * 27 + 64 * 9 + 64 * (4 + 4) + 9 * 9 * 6 + 9 * 4 * 5
    assert groups.macs[made["stem"][0]] == stem


def test_gates_are_scales_where_there_are_any_and_else_kernels(groups, made):
    gates = groups.gates
    assert {"stem_norm/gamma", "stem_norm/beta", "strided/kernel", "strided/bias", "hidden/kernel"} <= set(gates)
    # the stem's channels have a scale, and with them the pointwise kernel's
    assert not {"stem/kernel", "pointwise/kernel", "classes/kernel"} & set(gates)


def test_gate_without_normalization_is_the_derivative_of_the_loss(given, groups, made, tiny_task, cross_entropy):
    network = network_of(given)
    images, labels = tiny_task.train.images, tiny_task.train.labels
    scores = CHANNEL_CRITERIA["taylor"](0).saliency(network, groups, [(images, labels)], cross_entropy)
    kernel, bias = (network.named_variables()[f"strided/{kind}"] for kind in ("kernel", "bias"))
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
        assert scores[made["strided"][channel]] == pytest.approx(abs(derivative), rel=0.05, abs=1e-4)


@pytest.mark.parametrize("name", CHANNEL_CRITERIA)
def test_every_channel_criterion_scores_a_users_model(name, given, groups, tiny_task, cross_entropy):
    network = network_of(given)
    before = network.state()
    batches = [(tiny_task.train.images, tiny_task.train.labels)]
    scores = CHANNEL_CRITERIA[name](0).saliency(network, groups, batches, cross_entropy)
    assert scores.shape == (len(groups),)
    assert np.isfinite(scores).all()
    assert scores.min() >= 0
    assert all(np.array_equal(value, before[key]) for key, value in network.state().items())


def test_what_is_added_to_the_image_stays(layers, tiny_task, scrambled):
    from kgrow._keras import keras

    image = keras.Input((8, 8, 3))
    x = layers.Add()([image, layers.Conv2D(3, 3, padding="same", name="conv")(image)])
    model = scrambled(keras.Model(image, layers.Dense(3)(layers.GlobalMaxPooling2D()(layers.Conv2D(4, 3)(x)))))
    architecture = read(model, tiny_task).weighted.architecture
    assert set(channel_labels(architecture)["conv"]) == {-1}
    assert len(layer_groups(architecture)) == 4
