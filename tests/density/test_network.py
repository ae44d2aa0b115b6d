"""Tests of sparse fully connected networks: their masks, their first weights, their training."""

import numpy as np
import pytest

from kgrow.density import Layout, Training, density_network, train
from kgrow.graph import Scaling
from kgrow.graph.keras_models import to_keras
from kgrow.graph.values import Weighted
from kgrow.training import TrainingDivergedError

TRAINING = Training(epochs=3, batch_size=16)


def masks_of(network):
    return {kernel.name: kernel.mask.numpy() for kernel in network.kernels()}


def test_every_layer_has_exactly_its_connections(network_of):
    network = network_of()
    layout = Layout((192, 24, 16, 3), (0.2, 0.25, 0.5))
    assert tuple(kernel.kept for kernel in network.kernels()) == layout.connections == (922, 96, 24)
    assert network.kept_params() == layout.active_params == 1042


def test_every_hidden_unit_reads_and_is_read(network_of):
    first, *others = masks_of(network_of(densities=(0.01, 0.0625, 0.34))).values()
    assert first.any(axis=0).all()
    assert all(mask.any(axis=0).all() and mask.any(axis=1).all() for mask in others)


def test_masks_do_not_change_in_training_and_hold_the_weights_at_zero(network_of, tiny_task):
    network = network_of()
    before, weights = masks_of(network), network.state()
    train(network, tiny_task.train, TRAINING, seed=0)
    for kernel in network.kernels():
        assert np.array_equal(kernel.mask.numpy(), before[kernel.name])
        assert np.array_equal(kernel.weight.numpy() != 0, before[kernel.name] > 0)
        assert not np.array_equal(kernel.weight.numpy(), weights[f"{kernel.name}/kernel"])


def test_initial_spread_grows_as_one_over_the_root_of_the_density():
    scaling = Scaling((0.0,), (1.0,))
    spreads = {}
    for density in (1.0, 0.25, 0.04):
        layout = Layout((1600, 400, 10), (density, 1.0))
        network = density_network(layout, (40, 40, 1), scaling, seed=0, mask_seed=0)
        kernel = network.kernels()[0]
        spreads[density] = kernel.weight.numpy()[kernel.mask.numpy() > 0].std()
    assert spreads[1.0] == pytest.approx(np.sqrt(2 / 1600), rel=0.01)
    assert spreads[0.25] == pytest.approx(2 * spreads[1.0], rel=0.02)
    assert spreads[0.04] == pytest.approx(5 * spreads[1.0], rel=0.02)


def test_signals_neither_vanish_nor_grow_with_depth():
    layout = Layout((256, *[256] * 16, 256), (0.05,) * 17)
    network = density_network(layout, (16, 16, 1), Scaling((0.0,), (1.0,)), seed=0, mask_seed=0)
    images = np.random.default_rng(0).normal(size=(64, 16, 16, 1)).astype(np.float32)
    assert 0.2 < network(images)[0].numpy().std() / np.sqrt(2) < 5


def test_same_seeds_give_the_same_network_and_training(network_of, tiny_task):
    states = []
    for _ in range(2):
        network = network_of(seed=3, mask_seed=5)
        train(network, tiny_task.train, TRAINING, seed=3)
        states.append(network.state())
    assert states[0].keys() == states[1].keys()
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])


def test_mask_seed_moves_connections_and_no_weight(network_of):
    first, second = network_of(mask_seed=0), network_of(mask_seed=1)
    kernels = list(zip(first.kernels(), second.kernels(), strict=True))
    assert all(not np.array_equal(a.mask.numpy(), b.mask.numpy()) for a, b in kernels)
    for a, b in kernels:
        both = (a.mask.numpy() * b.mask.numpy()) > 0
        assert np.array_equal(a.weight.numpy()[both], b.weight.numpy()[both])


def test_network_learns(network_of, tiny_task):
    network = network_of()
    train(network, tiny_task.train, Training(epochs=20, batch_size=16), seed=0)
    assert np.mean(network.logits(tiny_task.test.images)[0].argmax(axis=-1) == tiny_task.test.labels) > 0.8


def test_plain_model_answers_the_same(network_of, tiny_task):
    network = network_of()
    plain = to_keras(Weighted.of(network.architecture, network.state()), softmax=False, name="plain")
    assert {type(layer).__name__ for layer in plain.layers} == {"InputLayer", "Rescaling", "Flatten", "Dense", "ReLU"}
    images = tiny_task.test.images
    np.testing.assert_allclose(plain(images.astype(np.float32)), network.logits(images)[0], atol=1e-5)


def test_state_is_what_is_loaded(network_of):
    first, second = network_of(seed=1), network_of(seed=2)
    second.load_state(first.state())
    assert all(np.array_equal(second.state()[name], value) for name, value in first.state().items())


# What goes wrong


def test_layout_of_other_images_is_refused():
    with pytest.raises(ValueError, match=r"must read the 64 values of an image of \(8, 8, 1\), but reads 60"):
        density_network(Layout((60, 10), (1.0,)), (8, 8, 1), Scaling((0.0,), (1.0,)), seed=0, mask_seed=0)


def test_training_that_diverges_says_so(network_of, tiny_task):
    with pytest.raises(TrainingDivergedError, match="A lower `learning_rate`"):
        train(network_of(), tiny_task.train, Training(epochs=30, batch_size=16, learning_rate=1e30), seed=0)


@pytest.mark.parametrize(("name", "value"), [("epochs", 0), ("batch_size", 1.5), ("learning_rate", -1.0)])
def test_training_checks_its_numbers(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        Training(**{name: value})
