"""Compression on a problem whose useful inputs are known."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgrow._keras import tf
from kgrow.bayes import CompressionLoop, GaussNewton
from kgrow.bayes.compression import Compression, CompressionSettings
from kgrow.bayes.counting import layer_sizes, widths
from kgrow.exporting.compact import compact
from kgrow.graph import Scaling
from kgrow.graph.chain import chain, glorot_normal
from kgrow.graph.values import Weighted
from kgrow.network import GrowingNetwork
from kgrow.pruning import CompressibleNetwork
from kgrow.pruning.channels import channel_groups, connected
from kgrow.run import Run
from kgrow.training import Observer

NUM_IMAGES = 512


@pytest.fixture(scope="module")
def data():
    """Of 4x4 values two decide the class; the others are noise."""
    generator = np.random.default_rng(0)
    images = generator.normal(size=(NUM_IMAGES, 4, 4, 1)).astype(np.float32)
    score = 2 * images[:, 0, 1, 0] - 2 * images[:, 2, 3, 0] + 0.3 * generator.normal(size=NUM_IMAGES)
    return images, (score > 0).astype(np.int32)


def fresh(input_shape, convolutions, dense, seed):
    architecture = chain(input_shape, convolutions, dense, Scaling((0.0,), (1.0,)))
    network = GrowingNetwork(architecture)
    network.load_state({**network.state(), **glorot_normal(architecture, seed)})
    return CompressibleNetwork(network)


def compression(categories, price, **options):
    network = fresh((4, 4, 1), [], [8, 2] if len(categories) > 1 else [2], seed=1)
    settings = CompressionSettings(categories, (price,) * len(categories), batch_size=128, **options)
    return Compression(network, settings, seed=0)


def logits_of(work, images):
    return work.network.network.logits(images)[0]


def sizes_of(network):
    return layer_sizes(Weighted.of(network.architecture, network.state()))


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
        work.train(*data, penalized=False)
    for before, after in itertools.pairwise(kept):
        assert not any(np.any(new & ~old) for old, new in zip(before, after, strict=True))
    assert np.flatnonzero(work.masks[0].any(axis=1)).tolist() == [1, 11]
    network = work.network.network
    assert widths(sizes_of(network)) == [2, 1]  # one unit tells the sign of a difference
    small = compact(network)
    assert small.architecture.params() < network.architecture.params()
    images, labels = data
    errors = [np.mean(each.logits(images)[0].argmax(axis=-1) != labels) for each in (network, small)]
    assert errors[0] == errors[1] < 0.1
    assert all(not kernel.numpy()[~mask].any() for kernel, mask in zip(work.network.kernels, work.masks, strict=True))


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
    (variable,) = work.network.kernels
    with tf.GradientTape() as tape:
        (logits,) = work.network.network(tf.constant(images))
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
    kernel = variable.numpy()
    gradient = tape.gradient(loss, variable).numpy() + l2 * kernel
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
    network = fresh((8, 8, 1), [(6, 3, 2), (4, 2, 1)], [5, 2], seed=0)
    before = sizes_of(network.network)
    categories = (("shape", "filter"), ("stack_row", "stack_column", "channel"), ("element", "in_neuron"), ("layer",))
    work = Compression(network, CompressionSettings(categories, (1 / NUM_IMAGES,) * 4, learning_rate=0.05), seed=0)
    for _ in range(4):
        for _ in range(5):
            work.train(images, labels)
        work.update(images, labels)
    small = compact(network.network)
    assert sizes_of(network.network) != before
    np.testing.assert_allclose(small.logits(images)[0], logits_of(work, images), rtol=1e-3, atol=1e-4)


@given(st.integers(0, 2**32 - 1))
def test_connected_weights_are_those_on_a_path(seed):
    architecture = chain((2, 2, 1), [], [3, 3, 2], Scaling((0.0,), (1.0,)))
    generator = np.random.default_rng(seed)
    kernels = architecture.kernels()
    masks = {kernel.name: generator.random(kernel.kernel_shape) < 0.3 for kernel in kernels}
    expected = {name: np.zeros_like(mask) for name, mask in masks.items()}
    for path in itertools.product(range(4), range(3), range(3), range(2)):
        steps = dict(zip(masks, itertools.pairwise(path), strict=True))
        if all(masks[name][step] for name, step in steps.items()):
            for name, step in steps.items():
                expected[name][step] = True
    found, _ = connected(channel_groups(architecture), masks)
    for name, wanted in expected.items():
        np.testing.assert_array_equal(found[name], wanted)


def test_what_cannot_be_is_refused(data):
    with pytest.raises(ValueError, match="`prices` must hold one per kernel"):
        CompressionSettings((("element",),), (0.1, 0.1))
    with pytest.raises(ValueError, match=r"`prices` must be in \(0, inf\), but got 0.0. To leave a kernel alone"):
        CompressionSettings((("element",),), (0.0,))
    with pytest.raises(ValueError, match=r"`l2` must be in \[0, inf\), but got -1"):
        CompressionSettings((("element",),), (0.1,), l2=-1)
    network = fresh((4, 4, 1), [], [2], seed=1)
    with pytest.raises(ValueError, match="`categories` must hold those of 1 kernels"):
        Compression(network, CompressionSettings(((), ()), (0.1, 0.1)))
    work = compression((("layer",),), 100.0)
    work.train(*data)
    before = work.priors
    with pytest.raises(ValueError, match="`masks` must leave every head a path from the image"):
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


class Listener(Observer):
    """Keeps the notes, and interrupts after a step."""

    def __init__(self, interrupt_at=None):
        self.notes, self.interrupt_at = [], interrupt_at

    def note(self, text):
        self.notes.append(text)

    def progress(self, trial, epoch, done, total):
        assert (trial, total) == ("compression", 4)
        if (epoch, done) == self.interrupt_at:
            raise KeyboardInterrupt


def loop_of(data, folder=None, interrupt_at=None):
    work = compression((("in_neuron", "out_neuron"), ("in_neuron",)), 4 / NUM_IMAGES)
    options = {"epochs_per_loop": 2, "recovery_epochs": 2, "rate": lambda epoch: 0.2 / (1 + epoch)}
    return CompressionLoop(work, *data, 6, **options, folder=folder, observer=Listener(interrupt_at))


@pytest.fixture(scope="module")
def unbroken(data):
    loop = loop_of(data)
    loop.go_on(0)
    return loop


def test_loop_updates_after_its_epochs_and_recovers_at_the_end(data, unbroken, same_arrays):
    by_hand = compression((("in_neuron", "out_neuron"), ("in_neuron",)), 4 / NUM_IMAGES)
    for epoch in range(6):
        by_hand.set_learning_rate(0.2 / (1 + epoch))
        by_hand.train(*data, penalized=epoch < 4)
        if epoch in (1, 3):
            by_hand.update(*data)
    assert same_arrays(by_hand.state(), unbroken.state())
    assert [note.split(":")[0] for note in unbroken.observer.notes] == [f"epoch {n} of 6" for n in range(1, 7)]


def test_interrupted_loop_ends_as_an_unbroken_one(data, unbroken, same_arrays, tmp_path):
    with Run.open(tmp_path, {}) as run:
        with pytest.raises(KeyboardInterrupt):
            loop_of(data, run, (3, 2)).go_on(0)
        again = loop_of(data, run)
        assert again.restore() == 3
        again.go_on(3)
    assert len(again.observer.notes) == 3
    assert same_arrays(again.state(), unbroken.state())


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
