"""Folding, ranges and simulated rounding."""

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.exporting import EXPORTERS, cut
from kgrow.exporting.assembly import parse, type_name
from kgrow.exporting.folded import FoldedNetwork
from kgrow.exporting.measure import open_interpreter
from kgrow.exporting.quantized import QuantizedNetwork, calibrate
from kgrow.graph import Cell, CellBlock, Head, Scaling, of_cells
from kgrow.graph.edge import Edge
from kgrow.network import GrowingNetwork

SCALING = Scaling((128.0,) * 3, (64.0,) * 3)


@pytest.fixture(scope="module")
def folded(varied_network):
    return FoldedNetwork(varied_network)


@pytest.fixture(scope="module")
def images(varied_network, noise):
    return noise(varied_network, 64)


@pytest.fixture(scope="module")
def quantized(folded, images):
    return QuantizedNetwork(folded, calibrate(folded, images))


def as_floats(images):
    return tf.cast(images, tf.float32)


def test_folded_network_has_the_logits_of_the_network(folded, varied_network, images):  # T7.1
    found = np.stack(folded.heads(as_floats(images)))
    expected = varied_network.logits(images)
    assert np.abs(found - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())


def test_masked_weights_are_zero_in_a_folded_network(varied_copy):
    kernel = varied_copy.kernels()[1]
    kernel.mask.assign(np.arange(kernel.size).reshape(kernel.mask.shape) % 2.0)
    folded = FoldedNetwork(varied_copy).variables[f"{kernel.name}/kernel"].numpy()
    np.testing.assert_array_equal(folded != 0, kernel.mask.numpy() != 0)


def test_ranges_hold_zero_and_whatever_was_seen(folded, images):
    ranges = calibrate(folded, images)
    assert ranges["image"] == (0.0, 255.0)  # raw pixels stay raw, whatever the images hold
    assert calibrate(folded, images.astype(np.float32) / 2)["image"] == pytest.approx((0.0, images.max() / 2))
    assert all(low <= 0 <= high and low < high for low, high in ranges.values())
    seen = {}
    folded.heads(as_floats(images), observe=lambda name, tensor: seen.setdefault(name, tensor))
    together = ["block_0/cell_0/first", "block_0/cell_1/sum"], ["block_2/cell_5/node_2", "block_2/cell_5/node_3"]
    for name in set(seen) - {"image"}:
        # What is concatenated has one range: in 8 bits that is a copy.
        names = next((group for group in together if name in group), [name])
        values = [seen[other] for other in names]
        assert ranges[name] == (min(0, *map(np.min, values)), max(0, *map(np.max, values))) or ranges[name] == (0, 1)


def test_concatenated_maps_of_other_sizes_are_not_cut_off(noise):
    cells = (Cell("conv", 4), Cell("conv", 4, (0,)), Cell("conv", 5, (0, 1), join="concat"))
    network = GrowingNetwork(of_cells((9, 9, 3), 3, SCALING, (CellBlock(cells, Head(2)),)))
    network.named_variables()["block_0/cell_1/first/norm/gamma"].assign([8.0] * 4)
    images = noise(network, 64)
    folded = FoldedNetwork(network)
    simulated = QuantizedNetwork(folded, calibrate(folded, images)).heads(as_floats(images))[0]
    model = cut.one_head(EXPORTERS["int8"].convert(network, (0,), representative_dataset=images), 0)
    runner = open_interpreter(model).get_signature_runner("serving_default")
    found = np.concatenate([runner(image=image[np.newaxis])["logits"] for image in images])
    assert np.abs(found - simulated).max() < 2 * (found.max() - found.min()) / 255


def test_too_few_or_foreign_images_are_an_error(folded, images):
    with pytest.raises(ValueError, match="at least 16 training images"):
        calibrate(folded, images[:15])
    with pytest.raises(ValueError, match=r"shape \(8, 8, 3\), but got an array of shape \(64, 4, 8, 3\)"):
        calibrate(folded, images[:, :4])
    with pytest.raises(ValueError, match="`representative_dataset` must be given for int8"):
        EXPORTERS["int8"].convert(None, (0,))


def test_everything_a_device_stores_has_at_most_256_values(quantized, folded, images):
    values = {}

    def note(name, tensor):
        rounded = tf.quantization.fake_quant_with_min_max_args(tensor, *quantized.ranges[name])
        values[name] = rounded.numpy()
        return rounded

    folded.heads(as_floats(images), observe=note)
    exact, rounded = folded.heads(as_floats(images))[-1], quantized.heads(as_floats(images))[-1]
    assert max(len(np.unique(value)) for value in values.values()) <= 256
    assert 0 < np.abs(exact - rounded).max() < 0.2 * np.std(exact)


def test_gradients_pass_through_the_rounding(quantized, folded, images):
    variables = list(folded.variables.values())
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(quantized.heads(as_floats(images))[-1]))
    gradients = tape.gradient(loss, variables)
    reached = [gradient is not None and bool(np.any(gradient)) for gradient in gradients]
    last_head = [name for name in folded.variables if name.startswith("block_2")]
    assert all(reached[list(folded.variables).index(name)] for name in last_head)


def test_file_computes_what_the_simulation_computes(quantized, int8_model, varied_network, images, noise):
    folded = FoldedNetwork(varied_network)
    simulated = QuantizedNetwork(folded, calibrate(folded, noise(varied_network, 256))).heads(as_floats(images))
    for head in range(3):
        runner = open_interpreter(cut.one_head(int8_model, head)).get_signature_runner("serving_default")
        found = np.concatenate([runner(image=image[np.newaxis])["logits"] for image in images])
        step = (found.max() - found.min()) / 255
        assert np.abs(found - simulated[head]).mean() < 4 * step


def test_a_node_of_several_edges_stays_in_8_bits(noise):
    edges = (Edge(2, 0, "sep3"), Edge(2, 0, "max3"), Edge(2, 0, "avg3"), Edge(2, 0, "dil3"))
    cells = (Cell("conv", 4), Cell("graph", 3, (0,), hidden_filters=3, edges=edges))
    network = GrowingNetwork(of_cells((8, 8, 3), 3, SCALING, (CellBlock(cells, Head(2)),)))
    model = EXPORTERS["int8"].convert(network, (0,), representative_dataset=noise(network, 16))
    types = {type_name(tensor) for graph in parse(model).subgraphs for tensor in graph.tensors}
    assert types <= {"UINT8", "INT8", "INT32"}


def test_layer_that_rounding_hurts_most_is_named(varied_copy, images):
    # Large weights on a channel that is always zero: they change no value, but leave no steps for the other weights.
    name = "block_2/cell_4/second"
    state = {key: value.copy() for key, value in varied_copy.state().items()}
    state["block_2/cell_4/first/norm/beta"][0] = -1000
    state[f"{name}/kernel"][:, :, 0] = 1000 * np.abs(state[f"{name}/kernel"]).max()
    varied_copy.load_state(state)
    errors = EXPORTERS["int8"].layer_errors(varied_copy, images)
    assert max(errors, key=errors.get) == name
    assert all(errors[op.name] == 0 for op in varied_copy.architecture.kernels() if "block_0/head" in op.name)
