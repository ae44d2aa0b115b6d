"""Searches on a task of 48 images."""

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.bayes import CrossEntropy, GaussNewton
from kgrow.cells import CellSearch, CellSearchSettings, Descent, GradientSearch, GradientSearchSettings, ProxySpace
from kgrow.cells.genotype import Genotype
from kgrow.cells.gradient_search import derived
from kgrow.cells.search import GatedModel
from kgrow.cells.stack import Stack

DESCENT = Descent(batch_size=24)
pytestmark = pytest.mark.usefixtures("eagerly")  # one trace takes longer than all steps of a search
NUM_GATES = 14  # of one node


@pytest.fixture(scope="module")
def tiny_stack(small_stack):
    return Stack((8, 8, 3), 3, small_stack.scaling, cells="NR", filters=2, stem_stride=2)


def test_gradients_of_gates_are_those_of_finite_differences(double_precision, tiny_stack, tiny_task):
    space = ProxySpace(tiny_stack, num_nodes=1)
    network = space.network(None)
    generator = np.random.default_rng(0)
    head = network.get_layer("logits").kernel
    head.assign(generator.normal(size=head.shape))
    for group in space.groups:
        for variable in group.variables:
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))
    model = GatedModel(network, space.groups)
    images, labels = tiny_task.train.images[:3], tiny_task.train.labels[:3]

    def losses():
        return CrossEntropy().loss(model.run(images).outputs, labels).numpy()

    with tf.GradientTape() as tape:
        outputs, probes = model.run(images)
        loss = tf.reduce_sum(CrossEntropy().loss(outputs, labels))
    found = tape.gradient(loss, [probe.tensor for probe in probes])
    for gradient, variable in zip(found, model.parameters, strict=True):
        value, index = variable.numpy(), (0, variable.shape[1] // 2)
        step = np.zeros(value.shape)
        step[index] = 1e-5
        variable.assign(value + step)
        above = losses()
        variable.assign(value - step)
        slope = (above - losses()) / 2e-5
        variable.assign(value)
        np.testing.assert_allclose(gradient.numpy()[(slice(None), *index)], slope, rtol=1e-5, atol=1e-9)
    curvature = GaussNewton().diagonal(model, CrossEntropy(), [(images, labels)])
    assert [part.shape for part in curvature] == [tuple(v.shape) for v in model.parameters]


@pytest.fixture(scope="module")
def searched(eagerly, tiny_stack, tiny_task):
    def search():
        space = ProxySpace(tiny_stack, num_nodes=1)
        space.groups[0].gates[:, 3].assign([0.1])
        settings = CellSearchSettings(price=0.2, num_loops=1, descent=DESCENT, num_curvature_batches=1)
        work = CellSearch(space, tiny_task, settings, seed=3)
        return space, work, work.run()

    return search(), search()


def test_gates_are_a_group_over_the_cells_of_a_kind(small_stack):
    space = ProxySpace(small_stack, num_nodes=1)
    assert [tuple(group.gates.shape) for group in space.groups] == [(2, NUM_GATES), (1, NUM_GATES)]
    assert [tuple(group.zero_gates.shape) for group in space.groups] == [(2, 2), (1, 2)]
    assert all(group.gamma.shape == (NUM_GATES,) for group in space.groups)


def test_a_search_trains_and_closes_gates(searched):
    space, _, record = searched[0]
    genotype = space.genotype()
    assert len(record.losses) == 1 + len(record.open_gates) == 2
    assert record.open_gates[-1] == (len(genotype.normal), len(genotype.reduction))
    assert space.columns["normal"][3] not in genotype.normal  # it began at a tenth of the others
    assert genotype.reduction
    assert np.isfinite(record.losses).all()


def test_a_search_follows_its_seed(searched):
    (first, _, record), (second, _, other) = searched
    assert first.genotype() == second.genotype()
    assert record.losses == other.losses
    for group, twin in zip(first.groups, second.groups, strict=True):
        np.testing.assert_array_equal(group.gates.numpy(), twin.gates.numpy())


def test_a_network_without_closed_gates_answers_as_before(tiny_stack):
    space = ProxySpace(tiny_stack, num_nodes=2)
    before = space.network(None)
    head = before.get_layer("logits").kernel
    head.assign(np.random.default_rng(0).normal(size=head.shape))
    for group in space.groups:
        group.gamma = np.where(np.arange(len(group.gamma)) % 3 == 0, 1.0, 0.0)
        group.gamma[NUM_GATES:] = 0  # the second node vanishes, and with it half of the channels
        group.close()
    images = np.random.default_rng(1).uniform(0, 255, (4, 8, 8, 3))
    gates = [group.products(group.variables)[None] for group in space.groups]
    after = space.network(before)
    assert after.count_params() < before.count_params()
    np.testing.assert_allclose(after([images, *gates]), before([images, *gates]), rtol=1e-4, atol=1e-4)


def test_a_search_that_diverges_says_so_and_closes_nothing(tiny_stack, tiny_task):
    space = ProxySpace(tiny_stack, num_nodes=1)
    work = CellSearch(space, tiny_task, CellSearchSettings(descent=Descent(learning_rate=1e30, batch_size=24)))
    with pytest.raises(ArithmeticError, match="The loss must be finite"):
        work.run()
    assert all(group.is_open.all() for group in space.groups)


def test_settings_say_what_they_want():
    with pytest.raises(ValueError, match="`price` must be positive"):
        CellSearchSettings(price=0)
    with pytest.raises(ValueError, match="`dependency` must be one of"):
        CellSearchSettings(dependency="all")
    with pytest.raises(ValueError, match="`weight_epochs` must be 0 or a positive integer"):
        CellSearchSettings(weight_epochs=-1)


def test_a_search_of_one_epoch_judges_fresh_kernels(tiny_stack, tiny_task):
    settings = CellSearchSettings(weight_epochs=0, num_loops=1, descent=DESCENT, num_curvature_batches=1)
    record = CellSearch(ProxySpace(tiny_stack, num_nodes=1), tiny_task, settings).run()
    assert len(record.losses) == len(record.open_gates) == 1


def test_the_two_strongest_pairs_of_a_node_keep_their_best_operation():
    links = Genotype.complete(2).normal
    alphas = np.zeros((5, 7))
    alphas[0, 3] = alphas[1, 6] = 1  # node 2 has two pairs
    alphas[2, 0], alphas[3, 1], alphas[4, 2] = 1, 3, 2  # node 3 has three
    assert set(derived(alphas, links)) == {links[3], links[7 + 6], links[3 * 7 + 1], links[4 * 7 + 2]}


def test_the_gradient_search_follows_its_seed(tiny_stack, tiny_task):
    settings = GradientSearchSettings(num_epochs=1, descent=DESCENT, alpha_rate=0.05)
    works = [GradientSearch(tiny_stack, 1, tiny_task, settings, seed=2) for _ in range(2)]
    (first, record), (second, other) = (work.run() for work in works)
    assert first == second
    assert record.losses == other.losses
    assert record.open_gates == ((2, 2),)
    shares = works[0].gates()[0].numpy().reshape(2, 7)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    assert np.ptp(shares) > 1e-3
