"""Searches on a task of 48 images."""

import dataclasses
import math
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.bayes import GAMMA_THRESHOLD, CrossEntropy, DiagonalRecursion, GaussNewton
from kgrow.cells import (
    CellSearch,
    CellSearchSettings,
    GradientSearch,
    GradientSearchSettings,
    ProxySpace,
    SGDConfig,
    TreeSpace,
    TreeStack,
)
from kgrow.cells.gradient_search import derived
from kgrow.cells.search import GatedModel
from kgrow.cells.stack import Stack
from kgrow.graph.genotype import Genotype

ROOT = Path(__file__).parents[2]
SGD_CONFIG = SGDConfig(batch_size=24)
pytestmark = pytest.mark.usefixtures("eagerly")  # one trace takes longer than all steps of a search
NUM_GATES = 14  # of one node


@pytest.fixture(scope="module")
def tiny_stack(small_stack):
    return Stack((8, 8, 3), 3, small_stack.scaling, cells="NR", filters=2, stem_stride=2)


def test_gradients_of_gates_are_those_of_finite_differences(double_precision, tiny_stack, tiny_task):
    space = ProxySpace(tiny_stack, num_nodes=1)
    network = space.network(None)
    generator = np.random.default_rng(0)
    head = network.body.named_variables()["logits/kernel"]
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
        settings = CellSearchSettings(price=0.2, num_loops=1, sgd=SGD_CONFIG, num_curvature_batches=1)
        work = CellSearch(space, tiny_task, settings, seed=3)
        return space, work, work.run()

    return search(), search()


def test_gates_are_a_group_over_the_cells_of_a_kind(small_stack):
    space = ProxySpace(small_stack, num_nodes=1)
    assert [tuple(group.gates.shape) for group in space.groups] == [(2, NUM_GATES), (1, NUM_GATES)]
    assert [tuple(group.zero_gates.shape) for group in space.groups] == [(2, 2), (1, 2)]
    assert all(group.gamma.shape == (NUM_GATES,) for group in space.groups)


@pytest.mark.slow
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
    head = before.body.named_variables()["logits/kernel"]
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
    work = CellSearch(space, tiny_task, CellSearchSettings(sgd=SGDConfig(learning_rate=1e30, batch_size=24)))
    with pytest.raises(ArithmeticError, match="Loss and logits must be finite"):
        work.run()
    assert all(group.is_open.all() for group in space.groups)


def test_settings_say_what_they_want():
    for price in (0, math.inf):
        with pytest.raises(
            ValueError, match=rf"`price` must be in \(0, inf\), but got {price}\. It is in nats per image"
        ):
            CellSearchSettings(price=price)
    with pytest.raises(TypeError, match="`curvature` must be a Curvature that takes any model"):
        CellSearchSettings(curvature=DiagonalRecursion())
    with pytest.raises(ValueError, match="`dependency` must be one of"):
        CellSearchSettings(dependency="all")
    with pytest.raises(ValueError, match="`max_gates` must be a positive integer, but got 0"):
        CellSearchSettings(max_gates=0)
    with pytest.raises(ValueError, match="`weight_epochs` must be 0 or a positive integer"):
        CellSearchSettings(weight_epochs=-1)


def test_a_stack_to_search_in_has_cells_of_both_kinds(tiny_stack, tiny_task):
    only = dataclasses.replace(tiny_stack, cells="NN")
    for search in (lambda: ProxySpace(only), lambda: GradientSearch(only, 1, tiny_task)):
        with pytest.raises(ValueError, match=r"`cells` must hold both letters, N and R, .* but got 'NN'"):
            search()


def test_a_search_of_one_epoch_judges_fresh_kernels(tiny_stack, tiny_task):
    settings = CellSearchSettings(
        price=1e-6, weight_epochs=0, num_loops=1, max_gates=2, sgd=SGD_CONFIG, num_curvature_batches=1
    )
    space = ProxySpace(tiny_stack, num_nodes=1)
    lines = []
    record = CellSearch(space, tiny_task, settings).run(on_epoch=lines.append)
    assert len(record.losses) == 1
    assert lines == [f"epoch 1 of 1: loss {record.losses[0]:.3f}, open gates 2 2"]
    assert record.open_gates == ((2, 2),)
    for group in space.groups:
        assert np.count_nonzero(group.gamma > GAMMA_THRESHOLD) > 2  # the data would support more
        assert set(np.argsort(group.strength)[-2:]) == set(np.flatnonzero(group.is_open))


def test_the_two_strongest_pairs_of_a_node_keep_their_best_operation():
    edges = Genotype.complete(2).normal
    alphas = np.zeros((5, 7))
    alphas[0, 3] = alphas[1, 6] = 1  # node 2 has two pairs
    alphas[2, 0], alphas[3, 1], alphas[4, 2] = 1, 3, 2  # node 3 has three
    assert set(derived(alphas, edges)) == {edges[3], edges[7 + 6], edges[3 * 7 + 1], edges[4 * 7 + 2]}


def test_the_gradient_search_follows_its_seed(tiny_stack, tiny_task):
    settings = GradientSearchSettings(num_epochs=1, sgd=SGD_CONFIG, alpha_rate=0.05)
    works = [GradientSearch(tiny_stack, 1, tiny_task, settings, seed=2) for _ in range(2)]
    (first, record), (second, other) = (work.run() for work in works)
    assert first == second
    assert record.losses == other.losses
    assert record.open_gates == ((2, 2),)
    shares = works[0].gates()[0].numpy().reshape(2, 7)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    assert np.ptp(shares) > 1e-3


# Searches that are interrupted

SETTINGS = CellSearchSettings(price=0.2, num_loops=2, epochs_per_loop=2, sgd=SGD_CONFIG, num_curvature_batches=1)


def cell_search(stack, task):
    space = ProxySpace(stack, num_nodes=1)
    space.groups[0].gates[:, 3].assign([0.1])
    return CellSearch(space, task, SETTINGS, seed=3)


def gradient_search(stack, task):
    return GradientSearch(stack, 1, task, GradientSearchSettings(num_epochs=2, sgd=SGD_CONFIG, alpha_rate=0.05))


def tree_search(stack, task):
    trees = TreeStack(stack.input_shape, 3, stack.scaling, blocks=(1,), filters=2, widening=2)
    settings = CellSearchSettings(weight_epochs=0, num_loops=2, sgd=SGD_CONFIG, num_curvature_batches=1)
    return CellSearch(TreeSpace(trees), task, settings)


def interrupt(search, epoch):
    go_on = search.train_epoch

    def train_epoch(index, on_step):
        if index == epoch:
            raise KeyboardInterrupt
        go_on(index, on_step)

    search.train_epoch = train_epoch


@pytest.mark.slow
@pytest.mark.parametrize(("make", "moments"), [(cell_search, (2, 3)), (gradient_search, (1,)), (tree_search, (1,))])
def test_an_interrupted_search_ends_as_an_unbroken_one(make, moments, tiny_stack, tiny_task, tmp_path):
    unbroken = make(tiny_stack, tiny_task)
    unbroken.run()
    for epoch in moments:
        work = make(tiny_stack, tiny_task)
        interrupt(work, epoch)
        with pytest.raises(KeyboardInterrupt):
            work.run(tmp_path)
    work = make(tiny_stack, tiny_task)
    work.run(tmp_path)
    assert work.losses == unbroken.losses
    assert work.open_gates == unbroken.open_gates
    state, expected = work.state(), unbroken.state()
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(state[name], value, err_msg=name)
    again = make(tiny_stack, tiny_task)
    again.train_epoch = None  # of a search that has ended nothing is trained
    again.run(tmp_path)
    assert again.losses == unbroken.losses
    assert again.seconds == work.seconds


@pytest.mark.slow
def test_an_epoch_that_is_interrupted_is_trained_again(tiny_stack, tiny_task, tmp_path):
    unbroken, work = cell_search(tiny_stack, tiny_task), cell_search(tiny_stack, tiny_task)
    unbroken.run()
    train_epoch = work.train_epoch

    def interrupted(epoch, on_step):
        train_epoch(epoch, on_step)
        raise KeyboardInterrupt

    work.train_epoch = interrupted
    with pytest.raises(KeyboardInterrupt):
        work.run(tmp_path)
    work.train_epoch = train_epoch
    work.run(tmp_path)
    assert work.losses == unbroken.losses
    for name, value in unbroken.state().items():
        np.testing.assert_array_equal(work.state()[name], value, err_msg=name)


def test_the_last_loop_leaves_no_gate_too_many():
    for num_gates in range(1, 65):
        for wanted in range(1, num_gates + 1):
            settings = CellSearchSettings(max_gates=wanted)
            steps = [settings.gates_after(loop, num_gates) for loop in range(1, 5)]
            assert steps == sorted(steps, reverse=True)
            assert steps[-1] == wanted
    assert [CellSearchSettings(max_gates=8).gates_after(loop, 63) for loop in range(1, 5)] == [38, 23, 14, 8]
    assert CellSearchSettings().gates_after(4, 63) == 63
    assert CellSearchSettings(max_gates=80).gates_after(4, 63) >= 63


@pytest.mark.slow
def test_a_directory_holds_one_search(tiny_stack, tiny_task, tmp_path):
    settings = CellSearchSettings(weight_epochs=0, num_loops=1, sgd=SGD_CONFIG, num_curvature_batches=1)
    CellSearch(ProxySpace(tiny_stack, num_nodes=1), tiny_task, settings).run(tmp_path)
    dearer = dataclasses.replace(settings, price=0.02)
    work = CellSearch(ProxySpace(tiny_stack, num_nodes=1), tiny_task, dearer)
    with pytest.raises(ValueError, match=r"settings.price was 0.01 and is now 0.02.*overwrite=True"):
        work.run(tmp_path)
    assert not work.losses
    work.run(tmp_path, overwrite=True)
    assert len(work.losses) == 1
    with pytest.raises(ValueError, match=r"`overwrite` needs a search that has not begun, .* trained 1 epochs"):
        work.run(tmp_path, overwrite=True)
    assert (tmp_path / "checkpoint.npz").exists()


LIVES = """
import os, pickle, signal, sys, time
from pathlib import Path

from kgrow._keras import tf
from kgrow.cells import CellSearch, CellSearchSettings, SGDConfig, ProxySpace

folder = Path(sys.argv[1])
stack, task = pickle.loads(folder.joinpath("given").read_bytes())
settings = CellSearchSettings(0.2, num_loops=1, sgd=SGDConfig(batch_size=24), num_curvature_batches=1)

def live(name):
    tf.config.run_functions_eagerly(True)
    work = CellSearch(ProxySpace(stack, num_nodes=1), task, settings)
    work.run(folder / name, on_epoch=folder.joinpath(name + ".told").write_text)
    folder.joinpath(name + ".pickle").write_bytes(pickle.dumps((work.losses, work.open_gates, work.state())))

for name, is_killed in (("unbroken", False), ("broken", True), ("broken", False)):
    process = os.fork()
    if process == 0:
        live(name)
        os._exit(0)
    while is_killed and not folder.joinpath(name + ".told").exists():
        time.sleep(0.002)
    if is_killed:
        os.kill(process, signal.SIGKILL)
    status = os.waitpid(process, 0)[1]
    assert status == (signal.SIGKILL if is_killed else 0), status
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are POSIX")
def test_a_killed_search_ends_as_an_unbroken_one(tiny_stack, tiny_task, tmp_path):
    (tmp_path / "given").write_bytes(pickle.dumps((tiny_stack, tiny_task)))
    subprocess.run([sys.executable, "-W", "ignore", "-c", LIVES, str(tmp_path)], cwd=ROOT, check=True, timeout=600)
    lives = [pickle.loads((tmp_path / f"{name}.pickle").read_bytes()) for name in ("unbroken", "broken")]
    (losses, gates, state), (other_losses, other_gates, other_state) = lives
    assert (losses, gates, list(state)) == (other_losses, other_gates, list(other_state))
    for name, value in state.items():
        np.testing.assert_array_equal(value, other_state[name], err_msg=name)
