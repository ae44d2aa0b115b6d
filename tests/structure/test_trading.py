"""The arithmetic of the market: budgets are kept, and only what pays is exchanged."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgrow._keras import keras, tf
from kgrow.graph import Scaling
from kgrow.graph.chain import chain, glorot_normal
from kgrow.network import GrowingNetwork
from kgrow.pruning.prices import batch_gradients, moments, removal_price, revival_gain
from kgrow.structure import Scoring, Trade
from kgrow.structure.trade import pack, unpack
from kgrow.structure.trading import Book, deal

SIZE = 60


def book_of(seed, density=0.5, costs=(1.0,)):
    generator = np.random.default_rng(seed)
    live = generator.random(SIZE) < density
    return Book(
        live,
        generator.random(SIZE),
        generator.random(SIZE) * ~live,
        generator.choice(costs, SIZE),
        (generator.random(SIZE) < 0.2) & live,
        (generator.random(SIZE) < 0.2) & ~live,
        (np.arange(SIZE) % 20 == 0) & live & (seed % 2 == 0),
    )


BOOKS = st.builds(
    book_of, st.integers(0, 2**32), st.floats(0, 1), st.sampled_from([(1.0,), (1.0, 4.0), (16.0, 64.0, 256.0)])
)


@given(BOOKS, st.floats(0, 1.5), st.floats(0, 1), st.sampled_from([1.0, 1.5, math.inf]))
def test_budget_is_kept_and_the_ledger_adds_up(book, share, exchange, hysteresis):
    budget = share * book.cost.sum()
    made = deal(book, budget, exchange * book.used, hysteresis, 1e-9)
    after = dataclasses.replace(book, live=(book.live & ~made.removed) | made.revived)
    assert after.used <= max(budget, book.cost[book.needed].sum()) + 1e-9
    assert not (made.removed & book.needed).any()
    assert not (made.removed & ~book.live).any()
    assert not (made.revived & (book.live | book.tabu)).any()
    swapped = book.cost[made.removed].sum() - made.contracted  # at least as much goes as comes in its place
    assert after.used == pytest.approx(book.used + made.expanded - made.contracted + made.exchanged - swapped)
    assert made.exchanged <= exchange * book.used + 1e-9
    assert made.predicted == pytest.approx(book.gain[made.revived].sum() - book.removal[made.removed].sum())


@given(BOOKS, st.floats(0, 1))
def test_immune_ones_go_last(book, share):
    made = deal(book, share * book.used, book.used, 1.5, 1e-9)
    if (made.removed & book.immune).any():
        assert made.removed[book.live & ~book.immune & ~book.needed].all()


@given(st.integers(0, 2**32), st.floats(0.1, 1))
def test_exchange_keeps_the_number_and_ends_where_it_no_longer_pays(seed, exchange):
    book = book_of(seed)
    made = deal(book, book.used, exchange * book.used, 1.5, 1e-9)
    assert made.removed.sum() == made.revived.sum() == made.exchanged
    best, cheapest = book.best(1e-9), book.cheapest()
    pairs = list(zip(book.gain[best], book.removal[cheapest[~book.immune[cheapest]]], strict=False))
    pays = next((number for number, (gain, price) in enumerate(pairs) if gain <= 1.5 * price), len(pairs))
    assert made.exchanged == min(pays, math.floor(exchange * book.used + 1e-9))


@given(BOOKS)
def test_nothing_comes_without_gain_and_nothing_is_exchanged_at_infinite_hysteresis(book):
    useless = dataclasses.replace(book, gain=np.zeros(SIZE))
    assert not deal(useless, book.cost.sum(), book.used, 1.0, 1e-9).revived.any()
    assert deal(book, book.used, book.used, math.inf, 1e-9).exchanged == 0
    assert not deal(book, book.cost.sum(), 0.0, 1.5, 1e-9, expands=False).revived.any()


def test_free_room_goes_to_what_promises_most_per_unit_and_room_is_made_where_least_is_lost():
    book = Book(
        np.array([True, True, True, False, False, False]),
        np.array([0.4, 0.1, 0.9, 0, 0, 0]),
        np.array([0, 0, 0, 0.2, 0.5, 0.3]),
        np.array([4.0, 2.0, 1.0, 1.0, 4.0, 1.0]),
        *[np.zeros(6, bool)] * 3,
    )
    assert deal(book, 9.0, 0.0, 1.5, 1e-9).revived.tolist() == [False, False, False, True, False, True]
    assert deal(book, 5.0, 0.0, 1.5, 1e-9).removed.tolist() == [False, True, False, False, False, False]
    made = deal(book, 7.0, 2.0, 1.5, 1e-9)  # the best, for 1, takes the place of the cheapest, for 2; one of 1 fits too
    assert made.removed.tolist() == [False, True, False, False, False, False]
    assert made.revived.tolist() == [False, False, False, True, False, True]


def test_student_grows_the_input_that_its_teacher_uses_and_prunes_the_other(cross_entropy):
    """It begins with the input that says nothing."""
    generator = np.random.default_rng(0)
    images = generator.normal(size=(256, 2, 2, 1)).astype(np.float32)
    labels = (images[:, 0, 0, 0] > 0).astype(np.int32)
    network = GrowingNetwork(chain((2, 2, 1), (), (2,), Scaling((0.0,), (1.0,))))
    network.load_state({**network.state(), **glorot_normal(network.architecture, 1)})
    (kernel,) = network.kernels()
    start = np.zeros((4, 2), np.float32)
    start[3] = 1.0
    kernel.mask.assign(start)
    optimizer = keras.optimizers.SGD(0.5)
    batches = [(images[start : start + 32], labels[start : start + 32]) for start in range(0, 256, 32)]
    for _ in range(3):
        for _ in range(10):
            network.apply_masks()
            with tf.GradientTape() as tape:
                loss = cross_entropy(network(images, training=True), labels)
            optimizer.apply_gradients([(tape.gradient(loss, kernel.weight), kernel.weight)])
        network.apply_masks()
        (gradients,) = batch_gradients(network, [kernel.weight], batches, cross_entropy)
        mean, curvature = moments(gradients, 32)
        live, none = kernel.mask.numpy().ravel() > 0, np.zeros(8, bool)
        removal = removal_price(mean, curvature, kernel.weight.numpy()).ravel()
        gain = revival_gain(mean, curvature, float(np.median(curvature)), 256).ravel() * ~live
        made = deal(Book(live, removal, gain, np.ones(8), none, none, none), 2.0, 2.0, 1.5, 1e-9)
        named = {side: {kernel.name: getattr(made, side).reshape(4, 2)} for side in ("removed", "revived")}
        Trade(named["removed"], named["revived"]).remask(network, Scoring(None, [], cross_entropy))
    assert kernel.mask.numpy()[:, 0].tolist() == [1, 0, 0, 0]
    assert kernel.mask.numpy()[:, 1].tolist() == [1, 0, 0, 0]


# The change


def test_what_comes_back_changes_no_answer(varied_copy, noise):
    generator = np.random.default_rng(0)
    for kernel in varied_copy.kernels():
        kernel.mask.assign((generator.random(kernel.mask.shape) < 0.5).astype(np.float32))
    varied_copy.apply_masks()
    images = noise(varied_copy, 8)
    before, masks = varied_copy.logits(images), {k.name: k.mask.numpy() for k in varied_copy.kernels()}
    for kernel in varied_copy.kernels():  # as after an optimizer step
        kernel.weight.assign_add(1e-2 * (1 - kernel.mask))
    revived = {name: (mask == 0) & (generator.random(mask.shape) < 0.5) for name, mask in masks.items()}
    Trade({}, revived).remask(varied_copy, Scoring(None, [], None))
    np.testing.assert_array_equal(varied_copy.logits(images), before)
    assert varied_copy.kept_params() == sum(map(np.sum, masks.values())) + sum(map(np.sum, revived.values()))


def test_trade_with_what_is_not_there_is_refused(varied_copy):
    kernel = varied_copy.kernels()[0]
    chosen = np.zeros(kernel.mask.shape, bool)
    chosen.flat[0] = True
    kernel.mask.assign(np.where(chosen, 0.0, kernel.mask.numpy()))
    scoring = Scoring(None, [], None)
    with pytest.raises(ValueError, match="must be kept ones, but some of"):
        Trade({kernel.name: chosen}, {}).remask(varied_copy, scoring)
    kernel.mask.assign(np.where(chosen, 1.0, kernel.mask.numpy()))
    with pytest.raises(ValueError, match="must be pruned ones, but some of"):
        Trade({}, {kernel.name: chosen}).remask(varied_copy, scoring)
    with pytest.raises(ValueError, match="'none' is none"):
        Trade({"none": chosen}, {}).remask(varied_copy, scoring)


@given(st.integers(0, 2**32), st.lists(st.integers(1, 5), min_size=1, max_size=4), st.floats(0, 1))
def test_flags_are_packed_and_unpacked(seed, shape, density):
    chosen = np.random.default_rng(seed).random(shape) < density
    assert np.array_equal(unpack(pack(chosen)), chosen)
