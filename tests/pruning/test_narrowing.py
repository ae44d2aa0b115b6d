"""Narrowing against least squares, brute force, and networks whose channels are copies or silent."""

import dataclasses
import itertools

import numpy as np
import pytest

from kgrow.graph import IMAGE, Architecture, Block, Node, Scaling
from kgrow.graph.operators import (
    Add,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    DepthwiseConv,
    Flatten,
    GlobalAveragePool,
    Multiply,
    ReLU,
)
from kgrow.graph.values import Weighted
from kgrow.network import GrowingNetwork
from kgrow.network.tap import call_tapped
from kgrow.pruning import narrowing
from kgrow.pruning.narrowing import narrowed

SHAPE, CLASSES = (6, 6, 2), 3


def chain(width=8, reader=None, behind=(), between=()):
    """A convolution `made`, nodes between, what reads it, and a head."""
    nodes = [Node("made", Conv((3, 3), filters=width, use_bias=True), (IMAGE,)), Node("relu", ReLU(), ("made",))]
    for node in (*between, Node("reader", reader or Conv((1, 1), filters=5, use_bias=True), ("before",)), *behind):
        nodes.append(
            dataclasses.replace(
                node, inputs=tuple(nodes[-1].name if name == "before" else name for name in node.inputs)
            )
        )
    return of(nodes)


def of(nodes):
    head = (Node("pooled", GlobalAveragePool(), (nodes[-1].name,)), Node("logits", Dense(CLASSES), ("pooled",)))
    return Architecture(SHAPE, CLASSES, Scaling((0.0, 0.0), (1.0, 1.0)), (Block(tuple(nodes), head),))


def filled(architecture, seed=0):
    network, generator = GrowingNetwork(architecture), np.random.default_rng(seed)
    state = {}
    for name, value in network.state().items():
        kind = name.rpartition("/")[2]
        if kind == "mask":
            continue
        drawn = generator.uniform(0.5, 1.5, value.shape) if "gamma" in kind or "variance" in kind else None
        state[name] = (generator.normal(0, 0.5, value.shape) if drawn is None else drawn).astype(np.float32)
    return Weighted.of(architecture, state)


def pictures(number=64, seed=1):
    return np.random.default_rng(seed).normal(0, 1, (number, *SHAPE)).astype(np.float32)


def outputs(weighted, images, wanted):
    network, seen = GrowingNetwork(weighted.architecture), {}
    network.load_state({**network.state(), **weighted.state})

    def tap(node, inputs, compute):
        seen[node.name] = compute(inputs)
        return seen[node.name]

    call_tapped(network, images, tap)
    return seen[wanted].numpy()


def least_squares(weighted, images, kept, reader="reader"):
    """The smallest mean squared error of what reads `relu` with some of its channels, by NumPy."""
    read, wanted = outputs(weighted, images, "relu"), outputs(weighted, images, reader)
    rows = read.reshape(-1, read.shape[-1])[:, kept]
    rows = np.column_stack([rows, np.ones(len(rows))])
    targets = wanted.reshape(-1, wanted.shape[-1])
    solution = np.linalg.lstsq(rows, targets, rcond=None)[0]
    return float(np.mean((rows @ solution - targets) ** 2))


@pytest.fixture
def exact(monkeypatch):
    """Nearly no ridge, every position, and one channel at a time."""
    monkeypatch.setattr(narrowing, "RIDGE", 1e-9)
    monkeypatch.setattr(narrowing, "MOST_POSITIONS", 10**6)
    monkeypatch.setattr(narrowing, "PARTS", 10**6)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("has_norm", [False, True])
def test_what_stays_is_fitted_by_least_squares(has_norm):
    reader = Conv((1, 1), filters=5, use_bias=not has_norm)
    behind = [Node("norm", BatchNorm(), ("before",))] if has_norm else []
    whole, images = filled(chain(reader=reader, behind=behind)), pictures()
    found = narrowed(whole, chain(5, reader=reader, behind=behind), images)
    kept = [
        int(np.flatnonzero([np.array_equal(column, old) for old in whole.weights["made"]["kernel"].T])[0])
        for column in found.weights["made"]["kernel"].T
    ]
    last = "norm" if has_norm else "reader"
    error = np.mean((outputs(found, images, last) - outputs(whole, images, last)) ** 2, axis=(0, 1, 2))
    if has_norm:  # a factor per output, the same as in the least squares
        own = whole.weights["norm"]
        error = error / (own["gamma"] ** 2 / (own["moving_variance"] + BatchNorm().epsilon))
    np.testing.assert_allclose(error.mean(), least_squares(whole, images, kept), rtol=1e-3)
    assert kept == sorted(kept)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("seed", range(3))
def test_the_first_channel_to_leave_is_the_one_that_brute_force_finds(seed):
    whole, images = filled(chain(), seed), pictures(seed=seed + 10)
    found = narrowed(whole, chain(7), images)
    errors = [least_squares(whole, images, [c for c in range(8) if c != gone]) for gone in range(8)]
    stays = np.delete(np.arange(8), int(np.argmin(errors)))
    np.testing.assert_array_equal(found.weights["made"]["kernel"], whole.weights["made"]["kernel"][..., stays])


@pytest.mark.usefixtures("exact")
def test_half_of_the_channels_cost_little_more_than_the_best_half():
    whole, images = filled(chain()), pictures()
    found = narrowed(whole, chain(4), images)
    error = np.mean((outputs(found, images, "reader") - outputs(whole, images, "reader")) ** 2)
    best = min(least_squares(whole, images, list(kept)) for kept in itertools.combinations(range(8), 4))
    assert best * 0.999 <= error <= 1.3 * best


READERS = {
    "pointwise": {"reader": Conv((1, 1), filters=5, use_bias=True)},
    "border": {"reader": Conv((3, 3), filters=5, use_bias=True)},
    "strides": {"reader": Conv((3, 3), (2, 2), filters=5, use_bias=True)},
    "dilation": {"reader": Conv((3, 3), (2, 2), filters=5, use_bias=True, dilation=2)},
    "depthwise": {
        "reader": Conv((1, 1), filters=5),
        "between": [Node("depthwise", DepthwiseConv((3, 3)), ("before",)), Node("between", BatchNorm(), ("before",))],
        "behind": [Node("norm", BatchNorm(), ("before",))],
    },
    "two": {
        "behind": [Node("other", Conv((3, 3), filters=5), ("relu",)), Node("sum", Add(), ("reader", "other"))],
    },
    "concatenated": {
        "between": [
            Node("beside", Conv((1, 1), filters=3), (IMAGE,)),
            Node("both", Concat(), ("relu", "beside")),
        ],
    },
}


@pytest.mark.parametrize("name", READERS)
def test_copies_of_other_channels_leave_and_nothing_changes(name):
    """Whatever reads them: each second channel is a copy of the one before it."""
    options = READERS[name]
    whole, images = filled(chain(**options)), pictures()
    weights = {node: dict(own) for node, own in whole.weights.items()}
    for node in ("made", "depthwise", "between"):
        for kind, value in weights.get(node, {}).items():
            axis = 2 if node == "depthwise" else -1
            copied = np.moveaxis(value.copy(), axis, 0)
            copied[1::2] = copied[::2]
            weights[node][kind] = np.moveaxis(copied, 0, axis)
    whole = whole._replace(weights=weights)
    found = narrowed(whole, chain(4, **options), images)
    before, after = (outputs(each, pictures(seed=5), "logits") for each in (whole, found))
    np.testing.assert_allclose(after, before, atol=0.03 * np.abs(before).max())  # the ridge's part


def test_silent_channels_leave_first_and_the_others_stay_as_they_are():
    whole, images = filled(chain()), pictures()
    weights = {name: dict(own) for name, own in whole.weights.items()}
    for kind in ("kernel", "bias"):
        weights["made"][kind] = weights["made"][kind].copy()
        weights["made"][kind][..., [1, 4, 6]] = 0
    whole = whole._replace(weights=weights)
    found = narrowed(whole, chain(5), images)
    np.testing.assert_array_equal(found.weights["reader"]["kernel"], weights["reader"]["kernel"][:, :, [0, 2, 3, 5, 7]])


def test_a_vector_that_was_a_map_is_read_position_by_position():
    def flat(width):
        nodes = [
            Node("made", Conv((3, 3), (3, 3), filters=width), (IMAGE,)),
            Node("relu", ReLU(), ("made",)),
            Node("flat", Flatten(), ("relu",)),
        ]
        head = (Node("logits", Dense(CLASSES), ("flat",)),)
        return Architecture(SHAPE, CLASSES, Scaling((0.0, 0.0), (1.0, 1.0)), (Block(tuple(nodes), head),))

    whole, images = filled(flat(6)), pictures(256)
    whole.weights["made"]["kernel"][..., 3:] = whole.weights["made"]["kernel"][..., :3]
    before, after = (outputs(each, pictures(seed=5), "logits") for each in (whole, narrowed(whole, flat(3), images)))
    np.testing.assert_allclose(after, before, atol=0.03 * np.abs(before).max())


def test_channels_that_nothing_reads_must_explain_each_other():
    """Its head has no weights yet: of two copies one leaves, and none of those that are alone."""
    whole, images = filled(chain(4, between=[], behind=[])), pictures()
    nodes = chain(4).blocks[0].nodes[:2]
    whole = Weighted(
        of(nodes),
        {name: own for name, own in whole.weights.items() if name in {"made", "relu"}} | {"pooled": {}, "logits": {}},
    )
    whole.weights["made"]["kernel"][..., 2] = whole.weights["made"]["kernel"][..., 0]
    whole.weights["made"]["bias"][2] = whole.weights["made"]["bias"][0]
    found = narrowed(
        whole, of([dataclasses.replace(nodes[0], operator=Conv((3, 3), filters=3, use_bias=True)), nodes[1]]), images
    )
    kept = found.weights["made"]["bias"]
    assert sorted(kept) == sorted(np.unique(whole.weights["made"]["bias"]))


def test_a_network_of_the_same_width_is_the_whole_one():
    whole = filled(chain())
    found = narrowed(whole, whole.architecture, pictures())
    assert all(np.array_equal(value, found.state[name]) for name, value in whole.state.items())


def test_a_kernel_of_too_many_rows_is_cut_and_not_fitted(monkeypatch):
    monkeypatch.setattr(narrowing, "MOST_ROWS", 4)
    whole = filled(chain())
    found = narrowed(whole, chain(5), pictures())
    rows = {row.tobytes() for row in whole.weights["reader"]["kernel"][0, 0]}
    assert all(row.tobytes() in rows for row in found.weights["reader"]["kernel"][0, 0])


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("behind", ["relu", "two"])
def test_a_constant_that_nothing_can_store_is_not_counted_on(behind):
    """The kernel has no bias, and no normalization alone reads it: the least squares then have no constant."""
    reader, nodes = Conv((1, 1), filters=5), [Node("end", ReLU(), ("before",))]
    if behind == "two":
        nodes = [Node("norm", BatchNorm(), ("reader",)), Node("end", Add(), ("norm", "reader"))]
    whole, images = filled(chain(reader=reader, behind=nodes)), pictures()
    found = narrowed(whole, chain(4, reader=reader, behind=nodes), images)
    kept = [
        int(np.flatnonzero([np.array_equal(column, old) for old in whole.weights["made"]["kernel"].T])[0])
        for column in found.weights["made"]["kernel"].T
    ]
    rows, wanted = (outputs(whole, images, name) for name in ("relu", "reader"))
    rows, wanted = rows.reshape(-1, 8)[:, kept], wanted.reshape(-1, 5)
    best = np.mean((rows @ np.linalg.lstsq(rows, wanted, rcond=None)[0] - wanted) ** 2)
    error = np.mean((outputs(found, images, "reader") - outputs(whole, images, "reader")) ** 2)
    np.testing.assert_allclose(error, best, rtol=1e-3)


@pytest.mark.parametrize("factor", [1e-3, 1e3, 1e6])
def test_the_unit_of_a_channel_does_not_matter(factor):
    whole, images = filled(chain()), pictures()
    weights = {name: dict(own) for name, own in whole.weights.items()}
    for node, kind, place in (("made", "kernel", (..., 2)), ("made", "bias", 2)):
        weights[node][kind] = weights[node][kind].copy()
        weights[node][kind][place] *= factor
    weights["reader"]["kernel"] = weights["reader"]["kernel"].copy()
    weights["reader"]["kernel"][:, :, 2] /= factor
    errors = [
        np.mean((outputs(narrowed(each, chain(5), images), images, "reader") - outputs(each, images, "reader")) ** 2)
        for each in (whole, whole._replace(weights=weights))
    ]
    np.testing.assert_allclose(errors[1], errors[0], rtol=0.05)


def test_a_layer_that_scales_others_follows_them():
    """A gate over two concatenated maps has the channels of both; it is no layer of its own."""

    def gated(widths):
        nodes = [Node(f"part_{number}", Conv((3, 3), filters=width), (IMAGE,)) for number, width in enumerate(widths)]
        nodes += [Node("both", Concat(), ("part_0", "part_1")), Node("pooled_map", GlobalAveragePool(True), ("both",))]
        nodes += [Node("gate", Conv((1, 1), filters=sum(widths), use_bias=True), ("pooled_map",))]
        nodes += [Node("times", Multiply(), ("both", "gate")), Node("reader", Conv((1, 1), filters=5), ("times",))]
        return of([*nodes, Node("norm", BatchNorm(), ("reader",))])

    whole, images = filled(gated((6, 4))), pictures()
    found = narrowed(whole, gated((3, 2)), images)
    assert found.weights["gate"]["kernel"].shape == (1, 1, 5, 5)
    assert np.isfinite(outputs(found, images, "logits")).all()


def test_values_that_are_not_finite_are_told():
    whole = filled(chain())
    whole.weights["made"]["kernel"][:] = 3e38
    with pytest.raises(ValueError, match="finite values from the training images, but at 'reader'"):
        narrowed(whole, chain(5), pictures())
