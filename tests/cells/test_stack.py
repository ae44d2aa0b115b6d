"""What is counted is what is built."""

import dataclasses

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.cells import CellNetwork, CellTraining, correct_answers
from kgrow.cells.stack import Stack
from kgrow.cells.training import SGDConfig
from kgrow.exporting.export import export
from kgrow.exporting.options import ExportOptions
from kgrow.graph import IMAGE
from kgrow.graph.edge import OPERATIONS, Edge
from kgrow.graph.genotype import Genotype
from kgrow.run import Run
from kgrow.searching.footprint import costs


@pytest.fixture(scope="module")
def architecture(varied_genotype, small_stack):
    return small_stack.architecture(varied_genotype)


@pytest.fixture(scope="module")
def network(small_stack, varied_genotype):
    return CellNetwork(small_stack, varied_genotype)


def test_parameters_are_those_of_the_network(network, architecture):
    assert sum(np.prod(v.shape) for v in network.trainable_variables) == architecture.trainable_params()
    assert network(np.zeros((2, 8, 8, 3))).shape == (2, 3)


def test_macs_are_kernels_times_positions_of_the_maps(network, architecture):
    maps = network.body.blocks[0].forward({IMAGE: tf.zeros((1, 8, 8, 3))}, training=False)
    counts = [
        int(
            np.prod(network.body.named_variables()[f"{kernel.name}/kernel"].shape)
            * np.prod(maps[kernel.name].shape[1:-1])
        )
        for kernel in architecture.kernels()
    ]
    assert architecture.macs() == sum(counts)


def test_a_reduction_halves_the_map_and_doubles_its_channels(network):
    maps = network.body.blocks[0].forward({IMAGE: tf.zeros((1, 8, 8, 3))}, training=False)
    assert maps["cell_1/relu"].shape == (1, 8, 8, 4)
    assert maps["cell_2/relu"].shape == (1, 4, 4, 8)


def test_memory_is_that_of_the_widest_moment(small_stack):
    only = Genotype((Edge(2, 0, "max3"),), (Edge(2, 0, "max3"),))
    stack = dataclasses.replace(small_stack, cells="N")
    # The stem's 6 channels, and the 3 of the scaled image, at 8 x 8 positions.
    assert costs(stack.architecture(only)).ram_bytes == 64 * 9


def test_cells_that_nothing_reads_are_left_out(small_stack):
    skipping = Genotype((Edge(2, 1, "max3"),), (Edge(2, 1, "max3"),))
    assert [cell.number for cell in small_stack.used_places(skipping)] == [1, 3]
    assert not any("cell_2" in name for name in CellNetwork(small_stack, skipping).body.named_variables())


@pytest.mark.parametrize("operation", OPERATIONS)
def test_kernels_start_with_a_variance_of_two_by_fan_out(operation, small_stack):
    stack = dataclasses.replace(small_stack, filters=64)
    edge = Edge(2, 0, operation)
    for name, variable in CellNetwork(stack, Genotype((edge,), (edge,))).body.named_variables().items():
        if name.startswith("cell_2/") and name.endswith("/kernel"):
            kernel = variable.numpy()
            assert kernel.std() == pytest.approx((2 / np.prod(kernel.shape[:2]) / kernel.shape[3]) ** 0.5, rel=0.1)


def test_cells_are_letters(small_stack):
    with pytest.raises(ValueError, match="`cells` must be a text of the letters N and R"):
        Stack((8, 8, 3), 3, small_stack.scaling, cells="NX")


def test_a_network_of_cells_learns(small_stack, varied_genotype, tiny_task):
    network = CellNetwork(small_stack, varied_genotype)
    training = CellTraining(network, tiny_task, 8, seed=0, sgd=SGDConfig(batch_size=8))
    training.go_on(0)
    assert training.losses[-1] < 0.5 * training.losses[0]
    assert correct_answers(network, tiny_task.test).mean() >= 0.9


def test_interrupted_training_ends_as_an_unbroken_one(small_stack, varied_genotype, tiny_task, tmp_path, same_arrays):
    def training(folder=None):
        network = CellNetwork(small_stack, varied_genotype, seed=1)
        return CellTraining(network, tiny_task, 3, seed=0, sgd=SGDConfig(batch_size=8), folder=folder)

    unbroken = training()
    unbroken.go_on(0)
    with Run.open(tmp_path, {}) as run:
        training(run).go_on(0, 2)
        again = training(run)
        assert again.restore() == 2
        again.go_on(2)
    assert again.losses == unbroken.losses
    assert same_arrays(again.state(), unbroken.state())


@pytest.mark.slow
def test_a_network_of_cells_becomes_a_file_that_costs_no_more_than_expected(
    small_stack, varied_genotype, architecture, tiny_task, tmp_path
):
    network = CellNetwork(small_stack, varied_genotype)
    CellTraining(network, tiny_task, 20, seed=0, sgd=SGDConfig(batch_size=8)).go_on(0)
    artefact = export(
        network.body, tiny_task, tmp_path / "model.tflite", ExportOptions(quantization="int8", max_drop=0.05)
    )
    assert artefact.test_accuracy >= 0.9
    expected = costs(architecture, "int8")
    # ReLUs that the converter makes part of a convolution count as operations.
    assert 0.75 < artefact.bytes / expected.flash_bytes <= 1.0
    assert 0.7 < artefact.ram_bytes / expected.ram_bytes <= 1.0
