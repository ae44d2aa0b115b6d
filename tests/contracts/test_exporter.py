"""What every exporter owes, over all of them."""

import inspect

import numpy as np
import pytest

from kgrow.exporting import EXPORTERS, Exporter, cut
from kgrow.exporting.exporter import head_outputs
from kgrow.exporting.measure import open_interpreter

HEADS = (0, 2)


@pytest.fixture(scope="module", params=EXPORTERS)
def exporter(request):
    return EXPORTERS[request.param]


@pytest.fixture(scope="module")
def model(exporter, varied_network, noise):
    return exporter.convert(varied_network, HEADS, "uint8", noise(varied_network, 64))


def test_signature_has_the_wanted_heads_with_static_shapes(model, varied_network):
    runner = open_interpreter(model).get_signature_runner("serving_default")
    image = runner.get_input_details()["image"]
    assert (image["shape_signature"].tolist(), image["dtype"]) == ([1, 8, 8, 3], np.uint8)
    assert set(runner.get_output_details()) == {name for head in HEADS for name in head_outputs(head)}
    for details in runner.get_output_details().values():
        assert details["shape_signature"].tolist() == [1, 3]


def test_answers_are_near_the_networks(model, varied_network, noise):
    images = noise(varied_network, 32)
    for head in HEADS:
        expected = varied_network.logits(images)[head]
        found = run(cut.one_head(model, head), images)
        assert found.shape == expected.shape
        assert np.mean(np.abs(found - expected)) < 0.05 * np.std(expected)


def run(model, images):
    runner = open_interpreter(model).get_signature_runner("serving_default")
    return np.concatenate([runner(image=image[np.newaxis])["logits"] for image in images])


def test_error_of_a_layer_is_that_of_the_network_with_its_kernel_as_stored(exporter, varied_network, noise):
    errors = exporter.layer_errors(varied_network, noise(varied_network, 16))
    names = [op.name for op in varied_network.architecture.kernels()]
    assert list(errors) == names
    kernels = [varied_network.state()[f"{name}/kernel"] for name in names]
    changed = [bool(np.any(exporter.stored(kernel) != kernel)) for kernel in kernels]
    for name, is_changed in zip(names, changed, strict=True):
        is_read = not name.startswith(("block_0/head", "block_1/head"))  # by the last head
        assert (errors[name] > 0) == (is_changed and is_read)


def test_network_is_left_alone(exporter, varied_copy, noise):
    varied_copy.kernels()[0].mask.assign(varied_copy.kernels()[0].mask * 0.0)  # whose weights are not zero yet
    before = varied_copy.state()
    exporter.convert(varied_copy, (2,), "uint8", noise(varied_copy, 16))
    after = varied_copy.state()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_conversion_prints_nothing(exporter, tiny_network, noise, capfd):
    exporter.convert(tiny_network, (1,), "float32", noise(tiny_network, 16).astype(np.float32))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("heads", "dtype", "message"), [((), "uint8", "exit_indices"), ((0,), "int8", "input_dtype")])
def test_unusable_arguments_are_errors(exporter, heads, dtype, message, tiny_network, noise):
    with pytest.raises(ValueError, match=f"`{message}`"):
        exporter.convert(tiny_network, heads, dtype, noise(tiny_network, 16))


def test_all_implementations_are_in_the_table():
    made = {type(exporter) for exporter in EXPORTERS.values()}
    assert made == {kind for kind in Exporter.__subclasses__() if kind.__module__.startswith("kgrow.")}
    assert not any(inspect.isabstract(kind) for kind in made)
