"""What is counted is what is built."""

import dataclasses

import numpy as np
import pytest

import kgrow
from kgrow._keras import keras, tf
from kgrow.cells import train_cells
from kgrow.cells.layers import apply_steps
from kgrow.cells.network import cell_network
from kgrow.cells.stack import Stack
from kgrow.cells.training import SGDConfig
from kgrow.graph.edge import OPERATIONS, Edge, steps_of
from kgrow.graph.genotype import Genotype
from kgrow.searching.footprint import costs


@pytest.fixture(scope="module")
def architecture(varied_genotype, small_stack):
    return small_stack.architecture(varied_genotype)


@pytest.fixture(scope="module")
def network(small_stack, varied_genotype):
    return cell_network(small_stack, varied_genotype, seed=0)


def test_parameters_are_those_of_the_network(network, architecture):
    assert network.count_params() == architecture.params()
    assert sum(np.prod(v.shape) for v in network.trainable_variables) == architecture.trainable_params()
    assert network.output_shape == (None, 3)


def test_nodes_are_the_layers_with_what_they_read(network, architecture):
    shapes = {layer.name: layer.output_shape[1:] for layer in network.layers}
    for node in architecture.nodes:
        assert architecture.shapes[node.name] == shapes[node.name.replace("/before", "/relu")]
    assert architecture.nodes[-1].name == "logits"


def test_memory_is_that_of_the_widest_moment(small_stack):
    only = Genotype((Edge(2, 0, "max3"),), (Edge(2, 0, "max3"),))
    stack = dataclasses.replace(small_stack, cells="N")
    # The stem's 6 channels, and the 3 of the scaled image, at 8 x 8 positions.
    assert costs(stack.architecture(only)).ram_bytes == 64 * 9


def test_macs_are_kernels_times_positions_of_the_layers(network, architecture):
    kernels = {
        layer.name: np.prod(layer.weights[0].shape) * np.prod(layer.output_shape[1:-1])
        for layer in network.layers
        if layer.weights and not layer.name.endswith("norm")
    }
    assert {kernel.name: kernel.kernel_params * kernel.positions for kernel in architecture.kernels()} == kernels
    assert architecture.macs() == sum(kernels.values())


def test_cells_that_nothing_reads_are_left_out(small_stack):
    skipping = Genotype((Edge(2, 1, "max3"),), (Edge(2, 1, "max3"),))
    assert [cell.number for cell in small_stack.used_places(skipping)] == [1, 3]
    assert cell_network(small_stack, skipping, 0).count_params() == small_stack.architecture(skipping).params()


def test_a_reduction_halves_the_map_and_doubles_its_channels(network):
    assert network.get_layer("cell_1/output").output_shape == (None, 8, 8, 4)
    assert network.get_layer("cell_2/output").output_shape == (None, 4, 4, 8)


def test_a_dilated_convolution_of_stride_two_is_every_second_position_of_the_whole(double_precision):
    images = keras.Input((9, 9, 2))
    models = [
        keras.Model(images, apply_steps(images, steps_of("dil3", stride), stride, 2, seed=0, name="dil3"))
        for stride in (1, 2)
    ]
    features = tf.constant(np.random.default_rng(0).normal(size=(2, 9, 9, 2)))
    whole, reduced = (model(features).numpy() for model in models)
    np.testing.assert_allclose(reduced, whole[:, ::2, ::2])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_kernels_start_with_a_variance_of_two_by_fan_out(operation):
    images = keras.Input((8, 8, 64))
    made = apply_steps(images, steps_of(operation, 1), 1, 64, seed=0, name=operation)
    for layer in keras.Model(images, made).layers:
        if layer.weights and not layer.name.endswith("norm"):
            kernel = layer.weights[0].numpy()
            assert kernel.std() == pytest.approx((2 / np.prod(kernel.shape[:2]) / kernel.shape[3]) ** 0.5, rel=0.1)


def test_cells_are_letters(small_stack):
    with pytest.raises(ValueError, match="`cells` must be a text of the letters N and R"):
        Stack((8, 8, 3), 3, small_stack.scaling, cells="NX")


@pytest.mark.slow
def test_a_network_of_cells_becomes_a_file_that_costs_no_more_than_expected(network, architecture, tiny_task, tmp_path):
    train_cells(network, tiny_task, num_epochs=20, seed=0, sgd=SGDConfig(batch_size=8))
    same = kgrow.compress(network, tiny_task, channel_keep_ratio=1.0, epochs=2, steps=1, batch_size=8, verbose=0)
    assert same.model.count_params() == network.count_params()
    artefact = same.export(tmp_path / "model.tflite", quantize="int8", max_drop=0.05)
    assert artefact.test_accuracy >= 0.9
    expected = costs(architecture, "int8")
    # ReLUs that the converter makes part of a convolution count as operations.
    assert 0.75 < artefact.bytes / expected.flash_bytes <= 1.0
    assert 0.7 < artefact.ram_bytes / expected.ram_bytes <= 1.0
