"""Compression on a problem whose useful inputs are known."""

import itertools

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.bayes import GaussNewton
from kgrow.bayes.chain import Chain
from kgrow.bayes.compression import Compression, CompressionSettings, error_rate

NUM_IMAGES = 512


@pytest.fixture(scope="module")
def data():
    """Of 4x4 values two decide the class; the others are noise."""
    generator = np.random.default_rng(0)
    images = generator.normal(size=(NUM_IMAGES, 4, 4, 1)).astype(np.float32)
    score = 2 * images[:, 0, 1, 0] - 2 * images[:, 2, 3, 0] + 0.3 * generator.normal(size=NUM_IMAGES)
    return images, (score > 0).astype(np.int32)


def compression(categories, price, **options):
    chain = Chain.fresh((4, 4, 1), [], [8, 2] if len(categories) > 1 else [2], seed=1)
    settings = CompressionSettings(categories, (price,) * len(categories), batch_size=128, **options)
    return Compression(chain, settings, seed=0)


def test_the_inputs_that_decide_are_found(data):
    # What has no effect has an evidence around 1 / NUM_IMAGES by chance, and above four times that once in twenty.
    work = compression((("in_neuron", "out_neuron"), ("in_neuron",)), 4 / NUM_IMAGES, learning_rate=0.2)
    kept = []
    for _ in range(10):
        for _ in range(15):
            work.train(*data)
        work.update(*data)
        kept.append([mask.copy() for mask in work.masks])
    for _ in range(10):
        work.train(*data, penalised=False)
    for before, after in itertools.pairwise(kept):
        assert not any(np.any(new & ~old) for old, new in zip(before, after, strict=True))
    small = work.network.narrowed(work.masks)
    assert small.layers[0].reads.tolist() == [1, 11]
    assert small.widths() == [2, 1]  # one unit tells the sign of a difference
    assert error_rate(small, *data) == error_rate(work.network, *data) < 0.1
    assert all(
        not layer.kernel.numpy()[~mask].any() for layer, mask in zip(work.network.layers, work.masks, strict=True)
    )


def test_fewer_images_than_a_batch_are_refused(data):
    images, labels = (values[:100] for values in data)
    with pytest.raises(ValueError, match="`batch_size` must not exceed the 100 images, but got 128"):
        compression((("in_neuron",),), 0.02).train(images, labels)


@pytest.mark.parametrize(("momentum", "rate", "l2"), [(0.0, 1.0, 0.0), (0.9, 0.1, 0.0), (0.9, 0.1, 0.01)])
def test_training_ends_where_gradient_penalty_and_decay_cancel(data, momentum, rate, l2):
    price = 0.02
    work = compression((("in_neuron",),), price, learning_rate=rate, momentum=momentum, l2=l2)
    images, labels = (values[:128] for values in data)  # one step an epoch: no noise
    for _ in range(500):
        work.train(images, labels)
    (layer,) = work.network.layers
    with tf.GradientTape() as tape:
        logits = work.network(tf.constant(images))
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
    kernel = layer.kernel.numpy()
    gradient = tape.gradient(loss, layer.kernel).numpy() + l2 * kernel
    norms = np.linalg.norm(kernel, axis=1)
    alive = norms > 0
    assert 0 < alive.sum() < 16
    np.testing.assert_allclose(gradient[alive], -price * kernel[alive] / norms[alive, None], atol=0.05 * price)
    assert (np.linalg.norm(gradient[~alive], axis=1) <= price * 1.05).all()


def test_a_higher_price_leaves_less(data):
    left = []
    for price in (1e-4, 1e-2):
        work = compression((("element",), ("element",)), price, curvature=GaussNewton(), learning_rate=0.2)
        for _ in range(3):
            for _ in range(5):
                work.train(*data)
            work.update(*data)
        left.append(sum(mask.sum() for mask in work.masks))
    assert left[1] < left[0]


def test_filters_and_patches_of_convolutions_go_too(data):
    images, labels = np.tile(data[0], (1, 2, 2, 1)), data[1]
    chain = Chain.fresh((8, 8, 1), [(6, 3, 2), (4, 2, 1)], [5, 2], seed=0)
    categories = (("shape", "filter"), ("stack_row", "stack_column", "channel"), ("element", "in_neuron"), ("layer",))
    work = Compression(chain, CompressionSettings(categories, (1 / NUM_IMAGES,) * 4, learning_rate=0.05), seed=0)
    for _ in range(4):
        for _ in range(5):
            work.train(images, labels)
        work.update(images, labels)
    small = work.network.narrowed(work.masks)
    assert small.sizes() != chain.sizes()
    logits = chain(tf.constant(images))
    np.testing.assert_allclose(small(tf.constant(images)), logits, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(small.to_keras(0.5, -1)(2 * images + 2), logits, rtol=1e-3, atol=1e-4)


def test_what_cannot_be_is_refused(data):
    with pytest.raises(ValueError, match="`prices` must hold one per kernel"):
        CompressionSettings((("element",),), (0.1, 0.1))
    with pytest.raises(ValueError, match=r"`prices` must be positive, but got \(0.0,\)"):
        CompressionSettings((("element",),), (0.0,))
    with pytest.raises(ValueError, match="`l2` must not be negative, but got -1"):
        CompressionSettings((("element",),), (0.1,), l2=-1)
    chain = Chain.fresh((4, 4, 1), [], [2], seed=1)
    with pytest.raises(ValueError, match="`categories` must hold those of 1 kernels"):
        Compression(chain, CompressionSettings(((), ()), (0.1, 0.1)))
    work = compression((("layer",),), 100.0)
    work.train(*data)
    before = work.priors
    with pytest.raises(ValueError, match="`masks` must leave every layer a connected weight"):
        work.update(*data)
    assert work.priors is before
    with pytest.raises(ArithmeticError, match=r"The loss became .* Lower `learning_rate`"):
        work.train(data[0] * np.nan, data[1])


def loops(work, data, count):
    for _ in range(count):
        work.train(*data)
        work.set_learning_rate(0.1)
        work.train(*data)
        work.update(*data)


def test_a_run_goes_on_from_its_state(data, tmp_path):
    categories = (("in_neuron", "out_neuron"), ("in_neuron",))
    unbroken, broken, resumed = (compression(categories, 4 / NUM_IMAGES, learning_rate=0.2) for _ in range(3))
    loops(unbroken, data, 4)
    loops(broken, data, 2)
    np.savez(tmp_path / "state.npz", **broken.state())
    with np.load(tmp_path / "state.npz") as state:
        resumed.load_state(state)
    loops(resumed, data, 2)
    expected, found = unbroken.state(), resumed.state()
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert not unbroken.masks[0].all()


def test_a_state_of_another_network_is_refused(data):
    work, other = compression((("in_neuron",),), 0.02), compression((("in_neuron",), ()), 0.02)
    before = work.state()
    for name in ("generator", "learning_rate", "masks/0"):
        with pytest.raises(ValueError, match=f"{name} has the shape None instead of"):
            work.load_state({key: value for key, value in before.items() if key != name})
    with pytest.raises(ValueError, match="Expecting value"):
        work.load_state(before | {"network/0": before["network/0"] + 1, "generator": np.array("")})
    with pytest.raises(ValueError, match="`state` must be that of a run with the same layers and categories, but"):
        work.load_state(other.state())
    for name, value in work.state().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
