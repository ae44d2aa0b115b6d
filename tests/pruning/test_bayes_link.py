"""Links against slopes taken example by example, and what is left of a network without those that have no evidence."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kgrow._keras import tf
from kgrow._tfmot import assign_masks
from kgrow.bayes import CrossEntropy, GaussNewton, MonteCarloFisher
from kgrow.exporting.compact import compact
from kgrow.graph import Cell, CellBlock, Head, Scaling, of_cells
from kgrow.graph.edge import Edge
from kgrow.lifecycle import Lifecycle
from kgrow.network import GrowingNetwork
from kgrow.planning import with_prices
from kgrow.pruning import CRITERIA, BayesLink, FisherPruning, prune
from kgrow.pruning.bayes_models import LinkModel
from kgrow.pruning.links import Links
from kgrow.run import Run
from kgrow.training import Observer

HEADS = CrossEntropy((0.2, 0.5, 1.0))
SCALING = Scaling((128.0,) * 3, (64.0,) * 3)
pytestmark = pytest.mark.usefixtures("eagerly")


def residual(inputs, **options):
    return Cell("residual", 4, inputs, hidden_filters=3, **options)


# Dense links over a stride and over blocks: cells 1 and 2 are read by several, cell 3 by the last head alone.
DENSE = of_cells(
    (8, 8, 3),
    3,
    SCALING,
    (
        CellBlock((Cell("conv", 4), Cell("conv", 4, (0,)), Cell("conv", 4, (0, 1), join="concat")), Head(2)),
        CellBlock((residual((0, 1, 2), join="concat", shortcut="projection", stride=2),), Head(2)),
        CellBlock((Cell("conv", 4, (0, 1, 2, 3), join="concat"),), Head(2)),
    ),
)
CHAIN = of_cells(
    (8, 8, 3), 3, SCALING, (CellBlock((Cell("conv", 4), Cell("conv", 4, (0,)), residual((1,), shortcut="identity"))),)
)
PRICE = 0.02  # of a link, in nats per example


def numbers(links):
    """Returns per link the numbers of the cell that is read and of the one that reads it."""
    return [tuple(int(cell.rpartition("_")[2]) for cell in (link.source, link.reader)) for link in links]


NAMES = numbers(Links(DENSE))


@pytest.fixture(scope="module")
def batches(varied_network, noise):
    images = noise(varied_network, 3)
    labels = np.arange(3, dtype=np.int32) % 3
    return [(images[:2], labels[:2]), (images[2:], labels[2:])]


@pytest.fixture(scope="module")
def dense_network():
    return GrowingNetwork(DENSE, seed=3)


@pytest.fixture(scope="module")
def _dense_workbench(dense_network):
    return dense_network.copy()


@pytest.fixture
def dense_copy(_dense_workbench, dense_network):
    """A copy of `dense_network` to change; it is put back for the next test."""
    _dense_workbench.load_state(dense_network.state())
    return _dense_workbench


def ones(architecture):
    return {op.name: np.ones(op.kernel_shape) for op in architecture.kernels()}


def decided(evidence, *, weights=None, masks=None):
    """Returns the links of `DENSE` that stay, all others having a large evidence, in prices of a link."""
    curvature = np.full(len(NAMES), 1e3)
    for name, value in evidence.items():
        curvature[NAMES.index(name)] = value
    kept = Links(DENSE).supported(PRICE * curvature, PRICE, weights or ones(DENSE), masks or ones(DENSE))
    return {name for name, stays in zip(NAMES, kept, strict=True) if stays}


def slopes(network, image, vector):
    """Returns per link the slope of an example's logits along a vector as the link's own weights are scaled together.

    The newest input of the sum has no weights of its own: scaled are what reads the sum, and inversely its other terms.
    """
    kernels = {kernel.name: kernel.weight for kernel in network.kernels()}
    with tf.GradientTape() as tape:
        logits = network(image[None], training=False)
    found = tape.gradient(logits, list(kernels.values()), output_gradients=vector(logits), unconnected_gradients="zero")
    products = {name: (kernels[name] * g).numpy() for name, g in zip(kernels, found, strict=True)}
    cell_2 = [products[f"block_1/cell_2/{kernel}"].sum(axis=(0, 1, 3)) for kernel in ("first", "projection")]
    adapters = [products[f"block_2/cell_3/adapter_{source}"].sum() for source in (0, 1)]
    newest = products["block_2/cell_3/first"].sum() - sum(adapters)
    only = products["block_2/cell_4/first"].sum()
    read = [products[f"block_2/cell_5/input_{node}/0"].sum() for node in (1, 0)]
    return np.array(
        [
            *(sum(part[rows].sum() for part in cell_2) for rows in (slice(4), slice(4, 8))),
            *adapters,
            newest,
            only,
            *read,
        ]
    )


def test_curvature_of_links_is_that_of_scaling_their_weights(varied_network, batches):
    links = Links(varied_network.architecture)
    readers = {1: (0,), 2: (0, 1), 3: (0, 1, 2), 4: (3,), 5: (3, 4)}
    assert numbers(links) == [(s, r) for r, sources in readers.items() for s in sources]
    expected = np.zeros(8)
    for image in np.concatenate([images for images, _ in batches]):
        for place in range(9):  # three classes of three heads
            vector = lambda logits, place=place: tuple(list(HEADS.factors(logits))[place])  # noqa: E731
            expected += slopes(varied_network, image, vector) ** 2 / 3
    (found,) = GaussNewton().diagonal(LinkModel(varied_network, Links(varied_network.architecture)), HEADS, batches)
    assert (expected > 0).all()
    np.testing.assert_allclose(found[1:], expected, rtol=1e-3)


def test_looking_at_links_leaves_nothing_behind(varied_network, batches):
    images, _ = batches[0]
    outputs = LinkModel(varied_network, Links(varied_network.architecture)).run(images).outputs
    for first, second in zip(outputs, varied_network(images), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-5)


def test_identity_shortcuts_and_the_newest_term_of_a_sum_are_fixed(varied_architecture):
    assert Links(varied_architecture).fixed.tolist() == [True, *[False] * 4, True, *[False] * 3]


def test_rows_of_a_link_are_those_that_no_other_feeds():
    rows = {
        name: {kernel: np.flatnonzero(own).tolist() for kernel, own in link.rows.items()}
        for name, link in zip(NAMES, Links(DENSE), strict=True)
    }
    assert rows[1, 3] == {"block_1/cell_3/first": [4, 5, 6, 7], "block_1/cell_3/projection": [4, 5, 6, 7]}
    assert rows[0, 1] == {"block_0/cell_1/first": [0, 1, 2, 3]}


def test_evidence_decides_at_the_price_and_the_threshold():
    # The gamma of a gate of 1 is 1 - 1 / h; the sum over what leads to the source of (3, 4) is 3 open gates.
    assert (0, 3) in decided({(0, 3): 1.07})
    assert (0, 3) not in decided({(0, 3): 1.05})
    assert len(decided({(0, 3): 1.05})) == len(NAMES) - 1


def test_nothing_goes_for_want_of_curvature():
    assert (0, 3) in decided({(0, 3): 0.0})


def test_link_depends_on_the_links_into_its_source():
    little = {(0, 3): 1.08, (1, 3): 0.5, (2, 3): 0.5}  # gamma of (0, 3) is 0.074, above the threshold
    assert (0, 3) in decided(little)
    assert (3, 4) in decided(little | {(0, 4): 1.2, (1, 4): 1.2, (2, 4): 1.2})
    # 1 / (1 / 0.074 + 1 / 0.2) is 0.054: below it, though 0.2 alone is not.
    assert (3, 4) not in decided(little | {(3, 4): 1.25})
    assert (3, 4) in decided({(3, 4): 1.25})


def test_masked_link_is_no_evidence_for_what_follows():
    masks = ones(DENSE)
    for kernel in ("first", "projection"):
        masks[f"block_1/cell_3/{kernel}"][..., :8, :] = 0
    weights = {name: mask.copy() for name, mask in masks.items()}
    kept = decided({(2, 3): 1.08, (3, 4): 1.25}, weights=weights, masks=masks)
    assert not kept & {(0, 3), (1, 3), (3, 4)}
    assert (2, 3) in kept  # the only path to the head of its block


def test_link_into_a_branch_that_is_not_heard_carries_nothing():
    weights = ones(DENSE)
    weights["block_1/cell_3/second"][:] = 0
    weights["block_1/cell_3/projection"][..., :4, :] = 0
    assert (0, 3) not in decided({(0, 3): 0.0}, weights=weights)
    assert (1, 3) in decided({}, weights=weights)


def test_cell_without_links_goes_whole_and_so_does_what_reads_it():
    links = Links(DENSE)
    kept = np.array([name not in ((0, 1), (1, 2), (1, 3), (1, 4)) for name in NAMES])
    found = links.connections(kept, {name: mask.shape for name, mask in ones(DENSE).items()})
    assert not found["block_0/cell_1/first"].any()
    assert found["block_1/cell_3/first"].all(axis=(0, 1, 3)).tolist() == [True] * 4 + [False] * 4 + [True] * 4
    assert found["block_0/cell_0/first"].all()
    assert found["block_1/cell_3/second"].all()
    kept = np.array([3 not in name for name in NAMES])
    found = links.connections(kept, {name: mask.shape for name, mask in ones(DENSE).items()})
    assert not any(mask.any() for name, mask in found.items() if name.startswith("block_1/cell_3/"))
    assert all(mask.all() for name, mask in found.items() if "head" in name)


def test_chain_loses_nothing_at_any_price(batches, cross_entropy):
    network = GrowingNetwork(CHAIN, seed=3)
    prune(network, {0: 1.0}, BayesLink(min_saliency=1e9), batches, cross_entropy)
    assert network.kept_params() == CHAIN.kernel_params()


def test_link_that_carries_nothing_goes_at_a_price_of_next_to_nothing(dense_copy, batches, cross_entropy):
    first = next(kernel for kernel in dense_copy.kernels() if kernel.name == "block_2/cell_4/first")
    first.weight.assign(
        np.concatenate([first.weight[..., :4, :], 0 * first.weight[..., 4:8, :], first.weight[..., 8:, :]], 2)
    )
    prune(dense_copy, dict.fromkeys(range(3), 1.0), BayesLink(min_saliency=1e-12), batches, cross_entropy)
    assert first.mask.numpy().any(axis=(0, 1, 3)).tolist() == [True] * 4 + [False] * 4 + [True] * 8
    assert dense_copy.kept_params() == DENSE.kernel_params() - 3 * 3 * 4 * 4


def test_map_that_is_a_constant_is_read_no_more(dense_copy, batches, cross_entropy):
    named = dense_copy.named_variables()
    named["block_0/cell_1/first/kernel"].assign(0 * named["block_0/cell_1/first/kernel"])
    named["block_0/cell_1/first/norm/beta"].assign([0.5, 1.0, 0.5, 1.0])
    (curvature,) = GaussNewton().diagonal(LinkModel(dense_copy, Links(DENSE)), HEADS, batches)
    assert curvature[NAMES.index((1, 4))] > 0
    prune(dense_copy, dict.fromkeys(range(3), 1.0), BayesLink(min_saliency=1e-12), batches, cross_entropy)
    kept = Links(DENSE).present({kernel.name: kernel.mask.numpy() for kernel in dense_copy.kernels()})
    assert [name for name, stays in zip(NAMES, kept, strict=True) if not stays] == [(0, 1), (1, 2), (1, 3), (1, 4)]


@pytest.fixture(scope="module")
def evidence(dense_network, batches, cross_entropy):
    """Of every link, as the criterion finds it."""
    (found,) = MonteCarloFisher().diagonal(LinkModel(dense_network, Links(DENSE)), CrossEntropy((1.0,) * 3), batches)
    return found


def test_a_price_takes_links_whole_and_leaves_the_decisive_ones(dense_copy, batches, cross_entropy, evidence):
    price = float(np.median(evidence))
    criterion = BayesLink(min_saliency=price)
    prune(dense_copy, dict.fromkeys(range(3), 1.0), criterion, batches, cross_entropy)
    masks = {kernel.name: kernel.mask.numpy() for kernel in dense_copy.kernels()}
    links = Links(DENSE)
    kept = links.present(masks)
    expected = links.connections(kept, {name: mask.shape for name, mask in masks.items()})
    assert all(np.array_equal(mask, expected[name]) for name, mask in masks.items())
    assert 0 < kept.sum() < len(kept)
    assert kept[np.argmax(evidence)]


def test_what_is_gone_stays_gone_and_a_lower_price_takes_nothing_more(dense_copy, batches, cross_entropy, evidence):
    everything = dict.fromkeys(range(3), 1.0)
    prune(dense_copy, everything, BayesLink(min_saliency=float(np.median(evidence))), batches, cross_entropy)
    before = {kernel.name: kernel.mask.numpy() for kernel in dense_copy.kernels()}
    prune(dense_copy, everything, BayesLink(min_saliency=1e-12), batches, cross_entropy)
    assert all(np.array_equal(kernel.mask.numpy(), before[kernel.name]) for kernel in dense_copy.kernels())


def test_a_keep_ratio_takes_links_without_evidence_first(dense_copy, batches, cross_entropy, evidence):
    price = float(np.median(evidence))
    names = [kernel.name for kernel in dense_copy.kernels()]
    scores = dict(zip(names, BayesLink(price).saliency(dense_copy, batches, cross_entropy), strict=True))
    weights = dict(zip(names, FisherPruning().saliency(dense_copy, batches, cross_entropy), strict=True))
    for name, score in scores.items():
        np.testing.assert_allclose(score[score > 0], (price + weights[name])[score > 0])
    prune(dense_copy, {2: 0.5}, BayesLink(price), batches, cross_entropy)
    assert dense_copy.kept_params(2) == min(
        DENSE.kernel_params(2) // 2, sum(int(np.sum(s > 0)) for name, s in scores.items() if name.startswith("block_2"))
    )
    kept = [kernel.mask.numpy() > 0 for kernel in dense_copy.kernels(2)]
    assert all((scores[kernel.name][mask] > 0).all() for kernel, mask in zip(dense_copy.kernels(2), kept, strict=True))


def test_compaction_drops_the_inputs_that_are_gone(dense_copy, batches, cross_entropy, evidence, noise):
    price = float(np.quantile(evidence, 0.6))
    prune(dense_copy, dict.fromkeys(range(3), 1.0), BayesLink(min_saliency=price), batches, cross_entropy)
    kept = Links(DENSE).present({kernel.name: kernel.mask.numpy() for kernel in dense_copy.kernels()})
    smaller = compact(dense_copy)
    assert len(Links(smaller.architecture)) <= kept.sum() < len(kept)
    images = noise(dense_copy, 16)
    np.testing.assert_allclose(smaller.logits(images), dense_copy.logits(images), atol=1e-5)


def test_compaction_drops_a_term_of_a_sum(varied_copy, batches, cross_entropy, noise):
    adapter = next(kernel for kernel in varied_copy.kernels() if kernel.name.endswith("adapter_1"))
    adapter.weight.assign(0 * adapter.weight)
    prune(varied_copy, dict.fromkeys(range(3), 1.0), BayesLink(min_saliency=1e-12), batches, cross_entropy)
    assert adapter.kept == 0
    smaller = compact(varied_copy)
    assert [source for source, reader in numbers(Links(smaller.architecture)) if reader == 3] == [0, 2]
    images = noise(varied_copy, 16)
    np.testing.assert_allclose(smaller.logits(images), varied_copy.logits(images), atol=1e-5)


def test_a_lost_input_of_a_graph_cell_takes_along_what_only_it_leads_to(noise):
    # Node 2 sums both inputs, node 3 reads the older one alone, and node 4 node 3 alone.
    ways = (Edge(2, 0, "sep3"), Edge(2, 1, "sep5"), Edge(3, 1, "dil3"), Edge(4, 3, "sep3"))
    cells = (Cell("conv", 4), Cell("conv", 4, (0,)), Cell("graph", 9, (0, 1), hidden_filters=3, edges=ways))
    network = GrowingNetwork(of_cells((8, 8, 3), 3, SCALING, (CellBlock(cells, Head(2)),)))
    for name, variable in network.named_variables().items():
        if name.endswith("/beta"):  # what reads a lost input reads constants, not zeros
            variable.assign(np.linspace(-1, 1, variable.shape[0]))
    links = Links(network.architecture)
    assert numbers(links) == [(0, 1), (0, 2), (1, 2)]
    prefix = "block_0/cell_2/"
    lost = {"input_1/0", *(f"sep5_1_2/{step}" for step in range(4)), "dil3_1_3/0", *(f"sep3_3_4/{s}" for s in range(4))}
    found = links.connections(np.array([True, False, True]), {k.name: k.weight.shape for k in network.kernels()})
    assert {name for name, kept in found.items() if not kept.any()} == {prefix + name for name in lost}
    assign_masks(network.kernels(), [found[kernel.name].astype(np.float32) for kernel in network.kernels()])
    smaller = compact(network)
    assert smaller.architecture.macs() < network.architecture.macs()
    assert f"{prefix}sep3_0_2/3" in smaller.architecture.by_name
    assert f"{prefix}sep5_1_2/3" not in smaller.architecture.by_name
    images = noise(network, 8)
    np.testing.assert_allclose(smaller.logits(images), network.logits(images), rtol=1e-4, atol=1e-4)


def graph_cell(draw, number):
    """A cell of one node of two channels, which reads one map or two."""
    inputs = tuple(sorted(draw(st.tuples(*[st.integers(0, number - 1)] * draw(st.integers(1, 2))))))
    operations = st.sampled_from(("sep3", "dil3", "max3", "identity"))
    edges = tuple(Edge(2, node, draw(operations)) for node in range(len(inputs)))
    strides = {"stride": draw(st.sampled_from((1, 1, 2))), "input_stride": 1 if len(inputs) > 1 else 2}
    return Cell("graph", 2, inputs, hidden_filters=2, edges=edges, **strides)


@st.composite
def architectures(draw):
    """Cells of any kind and join, in blocks of one to three, over maps of 8x8 to 1x1."""
    cells = [Cell("conv", 2)]
    for number in range(1, draw(st.integers(1, 6)) + 1):
        if draw(st.integers(0, 3)) == 0:
            cells.append(graph_cell(draw, number))
            continue
        inputs = tuple(sorted(draw(st.sets(st.integers(0, number - 1), min_size=1))))
        join = draw(st.sampled_from(("concat", "add"))) if len(inputs) > 1 else "none"
        shortcut = draw(st.sampled_from(("projection", "none", *(("identity",) if join != "concat" else ()))))
        options = {"hidden_filters": 2, "shortcut": shortcut} if draw(st.booleans()) else {}
        kind = "residual" if options else "conv"
        cells.append(Cell(kind, 2, inputs, stride=draw(st.sampled_from((1, 1, 2))), join=join, **options))
    cuts = sorted(draw(st.sets(st.integers(1, len(cells)))) | {len(cells)})
    blocks = [CellBlock(tuple(cells[start:stop])) for start, stop in zip([0, *cuts], cuts, strict=False)]
    owned = [(cell, index) for index, block in enumerate(blocks) for cell in block.cells]
    try:
        return of_cells((8, 8, 1), 2, Scaling((0.0,), (1.0,)), tuple(blocks)), owned
    except ValueError:  # an earlier map may be smaller than a later one
        assume(False)


def reached(cells, masks):
    """Returns per cell whether its map depends on the image through connections, not through the gates' graph."""
    found = []
    for number, (cell, owner) in enumerate(cells):
        name, width = f"block_{owner}/cell_{number}", 2
        if cell.kind == "graph":
            inputs = {f"{name}/input_{node}/0": source for node, source in enumerate(reversed(cell.inputs))}
            ways = []
            for edge, (key, source) in zip(cell.edges, inputs.items(), strict=True):
                own = [
                    mask.any() for n, mask in masks.items() if n.startswith(f"{name}/{edge.operation}_{edge.source}_")
                ]
                ways.append(masks[key].any() and found[source] and all(own))
            found.append(bool(any(ways)))
            continue
        parts = [np.full(width, found[source]) for source in cell.inputs]
        if cell.join == "add":
            adapters = [masks[f"{name}/adapter_{source}"].any() and found[source] for source in cell.inputs[:-1]]
            parts = [np.full(width, any(adapters) or found[cell.inputs[-1]])]
        joined = np.concatenate(parts) if parts else np.ones(1, bool)
        through = {
            k: m[..., joined, :].any() for k in ("first", "projection") if (m := masks.get(f"{name}/{k}")) is not None
        }
        branch = through["first"] and (cell.kind == "conv" or masks[f"{name}/second"].any())
        found.append(bool(branch or through.get("projection") or (cell.shortcut == "identity" and joined.any())))
    return found


@given(architectures(), st.integers(0, 2**16))
def test_the_network_is_never_cut(drawn, seed):
    (architecture, cells), generator = drawn, np.random.default_rng(seed)
    links, masks = Links(architecture), ones(architecture)
    for _ in range(3):  # events, each at its own evidence
        curvature = 10.0 ** generator.uniform(-2, 2, len(links)) * (generator.random(len(links)) < 0.9)
        kept = links.supported(curvature, 1.0, masks, masks)
        found = links.connections(kept, {name: mask.shape for name, mask in masks.items()})
        masks = {name: mask * found[name] for name, mask in masks.items()}
        depends = reached(cells, masks)
        ends = np.cumsum(np.bincount([owner for _, owner in cells])) - 1
        assert all(depends[end] for end in ends)
        staying = [name for name, stays in zip(numbers(links), kept, strict=True) if stays]
        readers, fed = {source for source, _ in staying} | set(ends), {reader for _, reader in staying} | {0}
        assert readers <= fed  # what is read, or classified, is fed
        assert all(links.present(masks)[kept])


def test_a_life_may_leave_the_links_to_the_evidence(tmp_path, tiny_task, tiny_settings):
    architecture = dataclasses.replace(DENSE, blocks=DENSE.blocks[:2])
    preset = dataclasses.replace(tiny_settings.preset, strategy="bayes", prune_epochs=(1, 3, 4))
    settings = dataclasses.replace(tiny_settings, preset=preset, criterion=BayesLink(min_saliency=0.05))
    with Run.open(tmp_path / "run", {}) as run:
        life = Lifecycle(tiny_task, architecture, (1.0, 1.0), settings, run, Observer())
        life.train()
        pruned = [event for event in run.events() if event["event"] == "pruned"]
    assert {ratio for event in pruned for ratio in event["change"]["keep_ratios"].values()} == {1.0}
    assert pruned[0]["kept_params"] == [architecture.kernel_params(0)]
    links = Links(life.network.architecture)  # without the channels of links that are gone
    masks = {kernel.name: kernel.mask.numpy() for kernel in life.network.kernels()}
    kept = links.present(masks)
    assert 0 < kept.sum() < len(kept)
    expected = links.connections(kept, {name: mask.shape for name, mask in masks.items()})
    assert all(np.array_equal(mask, expected[name]) for name, mask in masks.items())


def test_name_is_accepted_and_its_price_is_a_nat_over_the_training_images(tiny_settings):
    assert CRITERIA["bayes_link"](3) == BayesLink(curvature=MonteCarloFisher(seed=3))
    preset = dataclasses.replace(tiny_settings.preset, strategy="bayes")
    settings = dataclasses.replace(tiny_settings, preset=preset, criterion=CRITERIA["bayes_link"](3))
    assert with_prices(settings, 48).criterion == BayesLink(1 / 48, MonteCarloFisher(seed=3))


def test_wrong_prices_and_draws_are_refused():
    with pytest.raises(ValueError, match=r"`min_saliency` must be in \[0, inf\), but got -1"):
        BayesLink(min_saliency=-1)
    with pytest.raises(TypeError, match="`curvature` must be a Curvature"):
        BayesLink(curvature=None)
