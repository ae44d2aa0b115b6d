"""Tree cells: what hangs on a closed edge goes with it, and an empty cell is its shortcut."""

import json

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.cells.proxyless import TreeSpace
from kgrow.cells.tree import TREE_CELL_A, TreeGenotype, TreeStack, names, tree_graph, walk
from kgrow.cells.tree_network import _below, tree_network

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def tree_stack(small_stack):
    return TreeStack((8, 8, 3), 3, small_stack.scaling, blocks=(1, 1), filters=4, widening=4)


@pytest.fixture(scope="module")
def space(tree_stack):
    return TreeSpace(tree_stack)


def images(num_images=2):
    return np.random.default_rng(0).uniform(0, 255, (num_images, 8, 8, 3)).astype(np.float32)


def test_the_tree_has_nine_leaves():
    edges = [edge for _, _, edge in walk(TREE_CELL_A)]
    assert len(edges) == 15
    assert sum(not edge.children for edge in edges) == 9


def test_an_edge_follows_the_one_above_it():
    graph, number = tree_graph(), names().index
    assert graph.predecessors[number("root_1_0_2")].tolist() == [number("root_1_0")]
    assert graph.predecessors[number("root_1_0")].tolist() == [number("root_1")]
    assert graph.predecessors[number("root_1")].size == 0


def test_a_closed_edge_takes_along_what_hangs_on_it_and_what_led_to_nothing_else(tree_stack):
    work = TreeSpace(tree_stack)
    group = work.groups[0]
    group.gamma = np.array([0.01 if name in ("root_0", "root_1_0", "root_1_1_0") else 1.0 for name in names()])
    assert group.close()
    assert work.genotype().cells[0] == ("root_1", "root_1_1", "root_1_1_1")
    assert work.genotype().cells[1] == tuple(sorted(names()))


def test_a_cell_without_leaves_becomes_its_shortcut(space, tree_stack):
    before = space.network(None)
    space.groups[0].gamma = np.array([0.01 if name.count("_") == 3 else 1.0 for name in names()])  # all leaves
    space.groups[0].close()
    assert space.genotype().cells[0] == ()
    network = space.network(before)
    assert not any(layer.name.startswith("block_0") for layer in network.layers)
    assert any(layer.name.startswith("block_1") for layer in network.layers)
    plain = tree_network(space.genotype(), tree_stack, seed=0)
    assert plain(images()).shape == (2, 3)
    empty = tree_network(TreeGenotype(((), ())), tree_stack, seed=0)
    # The stem with its normalization, and the classifier on its channels and those that are zeros.
    assert empty.count_params() == 3 * 3 * 3 * 4 + 4 * 4 + 8 * 3 + 3


def test_gates_of_one_make_no_difference_but_gates_of_zero_do(tree_stack):
    network = tree_network(TreeGenotype.complete(2), tree_stack, seed=0, gated=True)
    head = network.get_layer("logits").kernel
    head.assign(np.random.default_rng(0).normal(size=head.shape))
    ones, zeros = np.ones((1, 1, 15), np.float32), np.zeros((1, 1, 15), np.float32)
    answers = [network([images(), *gates]).numpy() for gates in ((ones, ones), (ones, zeros), (zeros, zeros))]
    assert not np.allclose(answers[0], answers[1])
    assert not np.allclose(answers[1], answers[2])
    plain = tree_network(TreeGenotype.complete(2), tree_stack, seed=0)  # fresh normalizations pass on what they read
    plain.get_layer("logits").kernel.assign(head)
    np.testing.assert_allclose(answers[0], plain(images()).numpy(), rtol=1e-3, atol=1e-3)


def test_half_of_a_split_that_is_gone_is_zeros(tree_stack):
    features = tf.random.normal((2, 4, 4, 6), seed=0)
    made = _below(
        "node", TREE_CELL_A[:2], True, features, lambda name, edge, share: share if name == "node_1" else None
    )
    np.testing.assert_array_equal(made, np.concatenate([np.zeros((2, 4, 4, 3)), features[..., 3:]], axis=-1))
    kept = ("root_0", "root_0_0", "root_0_0_1")  # dw7 reads the second half of the channels
    assert tree_network(TreeGenotype((kept, ())), tree_stack, seed=0)(images()).shape == (2, 3)


def test_a_genotype_survives_json_and_refuses_torn_paths():
    genotype = TreeGenotype((names(), ("root_1", "root_1_1", "root_1_1_1"), ()))
    assert TreeGenotype.from_json(json.loads(json.dumps(genotype.to_json()))) == genotype
    for torn in (("root_1_1_1",), ("root_1",), ("branch",)):
        with pytest.raises(ValueError, match="`cells` must hold"):
            TreeGenotype((torn,))


def test_a_search_over_trees_runs(tree_stack, tiny_task):
    from kgrow.cells import CellSearch, CellSearchSettings, SGDConfig

    settings = CellSearchSettings(num_loops=1, sgd=SGDConfig(batch_size=48), num_curvature_batches=1)
    work = TreeSpace(tree_stack)
    record = CellSearch(work, tiny_task, settings).run()
    assert record.open_gates == (tuple(len(cell) for cell in work.genotype().cells),)
    assert all(group.gamma.shape == (15,) for group in work.groups)
