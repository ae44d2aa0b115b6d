"""The contract of every exporter."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from kgrow.exporting import Exporter, cut
from kgrow.exporting.exporter import head_outputs
from kgrow.exporting.measure import open_interpreter
from kgrow.testing import samples

HEADS = (0, 2)


class ExporterContract:
    """Tests of an exporter's contract; a subclass has the exporter as `exporter`."""

    exporter: ClassVar[Exporter]

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls) -> Exporter:
        """The exporter."""
        return cls.exporter

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, subject: Exporter) -> bytes:
        """Two converted heads of a network."""
        network = samples.varied_network()
        return subject.convert(network, HEADS, "uint8", samples.noise(network, 64))

    def test_signature_has_the_wanted_heads_with_static_shapes(self, model: bytes) -> None:
        """Files are cut from this model."""
        runner = open_interpreter(model).get_signature_runner("serving_default")
        image = runner.get_input_details()["image"]
        assert (image["shape_signature"].tolist(), image["dtype"]) == ([1, 8, 8, 3], np.uint8)
        assert set(runner.get_output_details()) == {name for head in HEADS for name in head_outputs(head)}
        for details in runner.get_output_details().values():
            assert details["shape_signature"].tolist() == [1, 3]

    def test_answers_are_near_the_networks(self, model: bytes) -> None:
        """The mean difference is below a twentieth of the spread of the logits."""
        network = samples.varied_network()
        images = samples.noise(network, 32)
        for head in HEADS:
            expected = network.logits(images)[head]
            found = _run(cut.one_head(model, head), images)
            assert found.shape == expected.shape
            assert np.mean(np.abs(found - expected)) < 0.05 * np.std(expected)

    def test_error_of_a_layer_is_that_of_the_network_with_its_kernel_as_stored(self, subject: Exporter) -> None:
        """An error message names the most sensitive layer."""
        network = samples.varied_network()
        errors = subject.layer_errors(network, samples.noise(network, 16))
        names = [op.name for op in network.architecture.kernels()]
        assert list(errors) == names
        kernels = [network.state()[f"{name}/kernel"] for name in names]
        changed = [bool(np.any(subject.stored(kernel) != kernel)) for kernel in kernels]
        for name, is_changed in zip(names, changed, strict=True):
            is_read = not name.startswith(("block_0/head", "block_1/head"))  # read by the last head
            assert (errors[name] > 0) == (is_changed and is_read)

    def test_network_is_left_alone(self, subject: Exporter) -> None:
        """The exporter only reads the network, and its pruned weights count as zero."""
        network = samples.varied_copy()
        network.kernels()[0].mask.assign(network.kernels()[0].mask * 0.0)  # its weights are not zero yet
        before = network.state()
        subject.convert(network, (2,), "uint8", samples.noise(network, 16))
        after = network.state()
        assert all(np.array_equal(before[name], after[name]) for name in before)

    def test_conversion_prints_nothing(self, subject: Exporter, capfd: pytest.CaptureFixture) -> None:
        """The terminal is reserved for the search."""
        network = samples.tiny_network()
        subject.convert(network, (1,), "float32", samples.noise(network, 16).astype(np.float32))
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize(
        ("heads", "dtype", "message"), [((), "uint8", "exit_indices"), ((0,), "int8", "input_dtype")]
    )
    def test_unusable_arguments_are_errors(
        self, subject: Exporter, heads: tuple[int, ...], dtype: str, message: str
    ) -> None:
        """The message names the argument."""
        network = samples.tiny_network()
        with pytest.raises(ValueError, match=f"`{message}`"):
            subject.convert(network, heads, dtype, samples.noise(network, 16))


def _run(model: bytes, images: np.ndarray) -> np.ndarray:
    runner = open_interpreter(model).get_signature_runner("serving_default")
    return np.concatenate([runner(image=image[np.newaxis])["logits"] for image in images])
