"""What is counted is what is built."""

import numpy as np
import pytest

import kgrow
from kgrow.cells import train_cells
from kgrow.cells.genotype import Genotype, Link
from kgrow.cells.network import cell_network
from kgrow.cells.stack import Stack
from kgrow.cells.training import Descent


@pytest.fixture(scope="module")
def network(varied_genotype, small_stack):
    return cell_network(varied_genotype, small_stack, seed=0)


def test_parameters_are_those_of_the_network(network, small_stack, varied_genotype):
    assert network.count_params() == small_stack.params(varied_genotype)
    assert network.output_shape == (None, 3)


def test_macs_are_kernels_times_positions_of_the_layers(network, small_stack, varied_genotype):
    kernels = {
        layer.name: np.prod(layer.weights[0].shape) * np.prod(layer.output_shape[1:-1])
        for layer in network.layers
        if layer.weights and not layer.name.endswith("norm")
    }
    counted = {op.name: op.kernel_size * op.positions for op in small_stack.operations(varied_genotype)}
    assert {name: macs for name, macs in counted.items() if macs} == kernels
    assert small_stack.macs(varied_genotype) == sum(kernels.values())


def test_cells_that_nothing_reads_are_left_out(small_stack):
    skipping = Genotype((Link(2, 1, "max3"),), (Link(2, 1, "max3"),))
    assert [cell.number for cell in small_stack.placed(skipping)] == [1, 3]
    assert cell_network(skipping, small_stack, 0).count_params() == small_stack.params(skipping)


def test_a_reduction_halves_the_map_and_doubles_its_channels(network):
    assert network.get_layer("cell_1/output").output_shape == (None, 8, 8, 4)
    assert network.get_layer("cell_2/output").output_shape == (None, 4, 4, 8)


def test_a_dilated_convolution_of_stride_two_is_every_second_position_of_the_whole(double_precision):
    from kgrow._keras import keras, tf
    from kgrow.cells.layers import apply_steps
    from kgrow.cells.operations import steps_of

    images = keras.Input((9, 9, 2))
    models = [
        keras.Model(images, apply_steps(images, steps_of("dil3", stride), stride, 2, seed=0, name="dil3"))
        for stride in (1, 2)
    ]
    features = tf.constant(np.random.default_rng(0).normal(size=(2, 9, 9, 2)))
    whole, reduced = (model(features).numpy() for model in models)
    np.testing.assert_allclose(reduced, whole[:, ::2, ::2])


def test_cells_are_letters(small_stack):
    with pytest.raises(ValueError, match="`cells` must be a text of the letters N and R"):
        Stack((8, 8, 3), 3, small_stack.scaling, cells="NX")


@pytest.mark.slow
def test_a_network_of_cells_becomes_a_file(network, tiny_task, tmp_path):
    train_cells(network, tiny_task, num_epochs=20, seed=0, descent=Descent(batch_size=8))
    same = kgrow.compress(network, tiny_task, channel_keep_ratio=1.0, epochs=2, steps=1, batch_size=8, verbose=0)
    assert same.model.count_params() == network.count_params()
    artefact = same.export(tmp_path / "model.tflite", quantize="int8", max_drop=0.05)
    assert artefact.test_accuracy >= 0.9
    assert artefact.ram_bytes > 0
