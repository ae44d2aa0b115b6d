"""A network to a proved file: what is measured, and what is refused."""

import dataclasses
import json
import os
import re
import sys

import numpy as np
import pytest
from kgrow_device import run as device

from kgrow.exporting import EXPORTERS, Artefact, EarlyExit, Exporter, ExportError, ExportOptions, classify, cut, export
from kgrow.exporting.answers import Answers
from kgrow.exporting.bundle import read_bundle
from kgrow.exporting.measure import gzip_size, open_interpreter, runtime_name
from kgrow.exporting.proof import Converted, write_proved
from kgrow.exporting.verify import check_equal
from kgrow.network.early_exit import ExitRule, answering_head, softmax
from kgrow.pruning import Magnitude, prune
from kgrow.task import Split


@pytest.fixture(scope="module")
def pruned(varied_network):
    """As after an optimizer step: pruned weights that are no longer zero."""
    network = varied_network.copy()
    prune(network, {0: 0.5, 1: 0.3, 2: 0.3}, Magnitude(), [], None)
    for kernel in network.kernels():
        kernel.weight.assign_add(0.01 * (1 - kernel.mask))
    return network


def answers(values, exits=None):
    values = np.asarray(values, np.float32)
    return Answers(values, np.zeros(len(values), int) if exits is None else np.asarray(exits), np.zeros(0))


def test_export_proves_the_written_file(tiny_network, tiny_task, tmp_path):
    path = tmp_path / "new" / "tiny.tflite"
    artefact = export(tiny_network, tiny_task, path)
    logits = tiny_network.logits(tiny_task.test.images)[-1]
    assert artefact.path == str(path)
    assert artefact.bytes == path.stat().st_size
    assert artefact.gzip_bytes == gzip_size(path.read_bytes())
    assert artefact.test_accuracy == np.mean(logits.argmax(axis=-1) == tiny_task.test.labels)
    assert (artefact.accuracy_drop, artefact.agreement, artefact.exit_index, artefact.early_exit) == (0, 1, 1, None)
    assert artefact.max_abs_diff == np.max(np.abs(classify(path, tiny_task.test.images) - logits))
    assert artefact.macs == tiny_network.architecture.macs()
    assert 0 < artefact.latency_ms <= artefact.latency_p95_ms
    assert artefact.runtime == runtime_name()
    assert os.listdir(path.parent) == ["tiny.tflite"]


def test_artefact_is_plain_json(tiny_network, tiny_task, tmp_path):
    artefact = export(tiny_network, tiny_task, tmp_path / "tiny.tflite", ExportOptions(early_exit=EarlyExit(0.5)))
    assert Artefact(**json.loads(json.dumps(dataclasses.asdict(artefact)))) == artefact
    exits = artefact.early_exit
    assert sum(exits["exits"]) == pytest.approx(1)
    costs = [tiny_network.architecture.macs(head, passing=range(2)) for head in range(2)]
    assert exits["mean_macs"] == pytest.approx(np.dot(exits["exits"], costs))
    assert artefact.macs == costs[1]


def test_one_head_of_a_pruned_network(pruned, tiny_task, tmp_path):
    artefact = export(pruned, tiny_task, tmp_path / "exit.tflite", ExportOptions(exit_index=1))
    logits = pruned.logits(tiny_task.test.images)[1]
    assert all(not np.any(kernel.weight.numpy()[kernel.mask.numpy() == 0]) for kernel in pruned.kernels())
    np.testing.assert_allclose(classify(tmp_path / "exit.tflite", tiny_task.test.images), logits, atol=1e-4)
    assert artefact.test_accuracy == np.mean(logits.argmax(axis=-1) == tiny_task.test.labels)


@pytest.mark.parametrize("quantization", EXPORTERS)
def test_every_kind_is_measured_on_its_file(quantization, varied_network, tiny_task, tmp_path):
    path = tmp_path / "kind.tflite"
    artefact = export(varied_network, tiny_task, path, ExportOptions(quantization, max_drop=1.0))
    classes = classify(path, tiny_task.test.images).argmax(axis=-1)
    assert artefact.test_accuracy == np.mean(classes == tiny_task.test.labels)
    network = varied_network.logits(tiny_task.test.images)[-1].argmax(axis=-1)
    assert artefact.agreement == np.mean(classes == network)
    assert artefact.accuracy_drop == np.mean(network == tiny_task.test.labels) - artefact.test_accuracy


@pytest.mark.slow
@pytest.mark.parametrize("quantization", EXPORTERS)
def test_pixels_fed_as_floats_are_answered_as_bytes_are(quantization, varied_network, tiny_task, tmp_path):
    answers = []
    for dtype in ("uint8", "float32"):
        path = tmp_path / f"{dtype}.tflite"
        options = ExportOptions(quantization, input_dtype=dtype, max_drop=1.0, micro=dtype == "float32" == quantization)
        export(varied_network, tiny_task, path, options)
        (image,) = open_interpreter(path).get_input_details()
        assert image["dtype"] == np.dtype(dtype)
        assert read_bundle(path)[0]["input"]["dtype"] == dtype
        answers.append(classify(path, tiny_task.test.images))
    np.testing.assert_array_equal(*answers)


def test_floats_are_not_fed_as_bytes(tiny_network, tiny_task, tmp_path):
    with pytest.raises(ValueError, match="`input_dtype` must be 'float32' for images of float32"):
        ExportOptions(input_dtype="uint8").pixels("float32")
    path = tmp_path / "bytes.tflite"
    export(tiny_network, tiny_task, path)
    with pytest.raises(ValueError, match=r"`images` must be .* type uint8, but got .* type float32"):
        classify(path, tiny_task.test.images.astype(np.float32))


def test_fine_tuning_keeps_pruned_connections_at_zero_and_repeats(pruned, tiny_task, tmp_path):
    options = ExportOptions("int8", fine_tune_epochs=1, max_drop=1.0)
    sizes = []
    for name in ("a", "b"):
        export(pruned, tiny_task, tmp_path / f"{name}.tflite", options)
        sizes.append(classify(tmp_path / f"{name}.tflite", tiny_task.test.images))
    np.testing.assert_array_equal(*sizes)


def test_file_that_answers_otherwise_is_not_written(tiny_network, varied_network, tiny_task, tmp_path, monkeypatch):
    class Wrong(Exporter):
        def convert(self, network, exit_indices, input_dtype="uint8", representative_dataset=None):
            # of the same shapes, and as wrong as another training would be
            other = network.copy()
            other.load_state({name: value * np.float32(0.9) for name, value in network.state().items()})
            return convert(other, exit_indices, input_dtype)

    convert = EXPORTERS["float32"].convert
    module = sys.modules["kgrow.exporting.export"]  # of the same name as its function
    monkeypatch.setattr(module, "EXPORTERS", {"float32": Wrong()})
    old = tmp_path / "old.tflite"
    old.write_bytes(b"an older file")
    for path in (tmp_path / "new.tflite", old):
        with pytest.raises(ExportError, match=r"differ .* Nothing was written"):
            export(tiny_network, tiny_task, path)
    assert os.listdir(tmp_path) == ["old.tflite"]
    assert old.read_bytes() == b"an older file"


def test_nan_and_other_answers_are_errors_but_ties_are_not():
    logits = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    check_equal(answers(logits + np.float32(1e-5)), answers(logits))
    for found, expected in ((logits * np.nan, logits), (logits, logits * np.nan), (logits + np.float32(1e-3), logits)):
        with pytest.raises(ExportError):
            check_equal(answers(found), answers(expected))
    tied = np.zeros((2, 2), np.float32)
    check_equal(answers(tied + np.float32([0, 1e-6])), answers(tied))
    undecided = np.array([[0, 1.5e-4]], np.float32)
    with pytest.raises(ExportError, match="disagree on 1 of 1"):
        check_equal(answers(undecided + np.float32([1e-4, -1e-4]) * np.float32(0.9)), answers(undecided))
    with pytest.raises(ExportError, match="disagree on 1 of 2"):
        check_equal(answers(logits, [0, 1]), answers(logits, [0, 0]))


def test_validation_images_judge_too_unless_they_decided_something(tiny_network, tiny_task, tmp_path):
    model = cut.one_head(EXPORTERS["float32"].convert(tiny_network, (1,)), 1)

    def labeled_as_answered(split):
        return Split(split.images, classify(model, split.images).argmax(axis=-1).astype(np.int32))

    def perfect(split):
        return answers(np.eye(3)[split.labels])

    validation, test = (labeled_as_answered(split) for split in (tiny_task.validation, tiny_task.test))
    wrong = test.labels.copy()
    wrong[:3] = (wrong[:3] + 1) % 3  # the network alone is right on three of 24
    task = dataclasses.replace(tiny_task, validation=validation, test=Split(test.images, wrong))
    converted = Converted([model], perfect(task.test), (1,), None, [1], str, lambda: perfect(validation))
    options = ExportOptions("dynamic", max_drop=0.04)
    write_proved(converted, task, tmp_path / "pooled.tflite", options)  # 6.3 points, +- 3.5
    with pytest.raises(ExportError, match="on 24 images"):  # 12.5 points, +- 6.8
        write_proved(dataclasses.replace(converted, validation=None), task, tmp_path / "alone.tflite", options)


@pytest.mark.slow
def test_head_that_says_the_same_of_every_image_is_no_exit(varied_copy, tiny_task, tmp_path):
    state = {name: value.copy() for name, value in varied_copy.state().items()}
    state["block_1/head/dense/mask"][:] = 0
    varied_copy.load_state(state)
    images, logits = tiny_task.test.images, varied_copy.logits(tiny_task.test.images)[[0, 2]]
    threshold = float(np.median(softmax(logits[0]).max(axis=-1)))
    head, evaluated = answering_head(logits, ExitRule(threshold, "last"))
    for given, stages, path in (
        (threshold, False, tmp_path / "two.tflite"),
        ((threshold, 0.9), True, tmp_path / "stages"),
    ):
        exits = EarlyExit(given, fallback="last", stages=stages)
        artefact = export(varied_copy, tiny_task, path, ExportOptions(early_exit=exits))
        assert artefact.early_exit["exit_indices"] == [0, 2]
        assert artefact.early_exit["exits"] == [np.mean(evaluated == 1), np.mean(evaluated == 2)]
        classifier = device.Classifier(path)
        answers = [classifier.run(image[np.newaxis]) for image in images]
        assert [index for _, index in answers] == [(0, 2)[number - 1] for number in evaluated]
        expected = logits.argmax(axis=-1)[head, np.arange(len(images))]
        assert [int(probabilities.argmax()) for probabilities, _ in answers] == expected.tolist()
    with pytest.raises(ValueError, match="one for each of the 2 heads before the last"):
        export(varied_copy, tiny_task, path, ExportOptions(early_exit=EarlyExit((threshold,))))


def test_rule_is_chosen_on_validation_images(varied_network, tiny_task):
    images, logits = tiny_task.validation.images, varied_network.logits(tiny_task.validation.images)

    def early(rule):
        return varied_network.predict_early(images, rule.threshold, fallback=rule.fallback)

    def resolved(wanted):
        return wanted.resolve(varied_network, tiny_task, (0, 1, 2), varied_network.architecture)

    full = np.mean(logits[-1].argmax(axis=-1) == tiny_task.validation.labels)
    chosen = resolved(EarlyExit(max_loss=0.0))
    probabilities, _, _ = early(chosen)
    assert np.mean(probabilities.argmax(axis=-1) == tiny_task.validation.labels) >= full
    anything = resolved(EarlyExit(max_loss=1.0))
    assert set(early(anything)[2]) == {1}
    assert resolved(EarlyExit(threshold=0.77)).threshold == 0.77
    given = resolved(EarlyExit(threshold=0.77, fallback="last", max_cost=0.001))
    assert given == ExitRule(0.77, "last")
    architecture = varied_network.architecture
    cheap = resolved(EarlyExit(max_cost=0.9))
    costs = np.array([architecture.macs(head, passing=range(3)) for head in range(3)])
    mean = costs[early(cheap)[2] - 1].mean()
    assert mean <= 0.9 * architecture.macs()
    with pytest.raises(ValueError, match="`max_cost` must be at least 0") as caught:
        resolved(EarlyExit(max_cost=0.001))
    least = float(re.search(r"at least (0\.\d+)", str(caught.value)).group(1))
    assert resolved(EarlyExit(max_cost=least)).threshold >= 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantization": "float16", "early_exit": EarlyExit()}, "`early_exit` must not be used with float16"),
        ({"quantization": "float16", "output_dtype": "uint8"}, "`output_dtype` must be 'float32' unless"),
        ({"fine_tune_epochs": 2}, "`fine_tune_epochs` must be 0 unless"),
        ({"max_drop": 35}, r"`max_drop` must be in \[0, 1\]"),
        ({"quantization": "int8", "output_dtype": "int4"}, "`output_dtype` must be one of"),
        ({"input_dtype": "int8"}, "`input_dtype` must be one of 'uint8', 'float32', but got 'int8'"),
    ],
)
def test_options_that_do_not_fit_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        ExportOptions(**options)


@pytest.mark.parametrize(
    "wrong", [{"threshold": -1}, {"threshold": float("nan")}, {"fallback": "first"}, {"max_loss": 2}, {"max_cost": 0}]
)
def test_early_exits_that_cannot_be_are_errors(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be"):
        EarlyExit(**wrong)


def test_unknown_quantization_and_foreign_task_are_errors(tiny_network, digits, tiny_task, tmp_path):
    with pytest.raises(ValueError, match="Did you mean 'float32'"):
        export(tiny_network, tiny_task, tmp_path / "a.tflite", ExportOptions("float23"))
    with pytest.raises(ValueError, match=r"`task` must have images of \(8, 8, 3\) in 3 classes"):
        export(tiny_network, digits, tmp_path / "a.tflite")
    with pytest.raises(ValueError, match="`exit_index`"):
        export(tiny_network, tiny_task, tmp_path / "a.tflite", ExportOptions(exit_index=2))
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (ExportOptions("float16", micro=True, max_drop=1.0), "operation DEQUANTIZE FLOAT16 -> FLOAT32"),
        (ExportOptions("float32", micro=True), "operation CAST"),
    ],
)
def test_what_a_microcontroller_cannot_run_is_named(options, problem, tiny_network, tiny_task, tmp_path):
    with pytest.raises(ValueError, match=problem):
        export(tiny_network, tiny_task, tmp_path / "a.tflite", options)
    assert not os.listdir(tmp_path)
