"""Files cut from one model agree with each other and with the network."""

import numpy as np
import pytest

from kgrow.exporting import cut
from kgrow.exporting.answers import DeviceModel
from kgrow.exporting.assembly import parse
from kgrow.exporting.measure import classify, open_interpreter
from kgrow.exporting.verify import network_answers
from kgrow.network.early_exit import FALLBACKS, ExitRule

HEADS = (0, 1, 2)
THRESHOLDS = (0.0, 0.5, 0.8, 0.95, 1.5)
RULES = [ExitRule(threshold, fallback) for threshold in THRESHOLDS for fallback in FALLBACKS]
RULES += [ExitRule((0.95, 0.5), "last"), ExitRule((0.5, 1.5), "last")]


@pytest.fixture(scope="module")
def images(varied_network, noise):
    return noise(varied_network, 48)


@pytest.fixture(scope="module")
def early_models(float_model):
    return {fallback: cut.early_exits(float_model, HEADS, ExitRule(0.8, fallback)) for fallback in FALLBACKS}


@pytest.fixture(scope="module")
def early_model(early_models):
    return early_models["most_confident"]


@pytest.mark.parametrize("head", HEADS)
def test_one_head_has_the_logits_of_the_network(head, float_model, varied_network, images):  # T7.4
    expected = varied_network.logits(images)[head]
    found = classify(cut.one_head(float_model, head), images)
    assert np.abs(found - expected).max() <= 1e-4 * max(1, np.abs(expected).max())


def test_earlier_heads_are_smaller_files(float_model):
    sizes = [len(cut.one_head(float_model, head)) for head in HEADS]
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.6 * sizes[2]


@pytest.mark.parametrize("rule", RULES)
def test_early_exits_answer_as_predict_early(rule, early_models, varied_network, images):  # T7.5
    model = cut.set_threshold(early_models[rule.fallback], rule)
    probabilities, _, evaluated = varied_network.predict_early(images, rule.threshold, fallback=rule.fallback)
    found = DeviceModel([model], HEADS).run(images)
    np.testing.assert_allclose(found.values, probabilities, atol=1e-4)
    np.testing.assert_array_equal(found.exits, evaluated - 1)
    expected = network_answers(varied_network, images, HEADS, rule)
    np.testing.assert_array_equal(found.exits, expected.exits)


def test_thresholds_of_the_test_reach_every_exit(varied_network, images):
    stops = np.concatenate([varied_network.predict_early(images, threshold)[2] for threshold in THRESHOLDS])
    heads = np.concatenate([varied_network.predict_early(images, threshold)[1] for threshold in THRESHOLDS])
    assert set(stops) == {1, 2, 3}
    assert set(heads[stops == 3]) > {2}  # where none is sure, an earlier head is sometimes the most confident


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", ["float_model", "int8_model"])
def test_stages_answer_as_the_single_file(kind, rule, images, request):  # T7.5
    model = request.getfixturevalue(kind)
    single = DeviceModel([cut.early_exits(model, HEADS, rule)], HEADS).run(images)
    staged = DeviceModel(cut.stage_files(model, HEADS), HEADS, rule).run(images)
    np.testing.assert_allclose(staged.values, single.values, atol=1e-6)
    np.testing.assert_array_equal(staged.exits, single.exits)


def test_changing_the_threshold_is_cutting_with_it(float_model, int8_model):
    for model in (float_model, int8_model):
        low, high = (cut.early_exits(model, HEADS, ExitRule(threshold)) for threshold in (0.5, 0.9))
        assert cut.set_threshold(low, ExitRule(0.9)) == high
        with pytest.raises(ValueError, match=r"one for each of the 2 heads before the last, but got \(0\.5,\)"):
            cut.set_threshold(low, ExitRule((0.5,), "last"))


def test_later_stages_stand_where_an_early_answer_does_not_run_them(early_model):
    parsed = parse(early_model)
    convolutions = [
        sum(parsed.operatorCodes[op.opcodeIndex].builtinCode == 3 for op in graph.operators)
        for graph in parsed.subgraphs
    ]
    assert len(convolutions) == 5  # the main graph, and two branches twice
    assert convolutions[1] == convolutions[3] == 0  # what runs on leaving
    assert all(count > 0 for count in (convolutions[0], convolutions[2], convolutions[4]))


def test_every_weight_is_stored_once(float_model, int8_model, varied_network):
    for model in (float_model, int8_model):
        for cut_model in (cut.early_exits(model, HEADS, ExitRule(0.5)), *cut.stage_files(model, HEADS)):
            contents = [
                bytes(bytearray(b.data)) for b in parse(cut_model).buffers if b.data is not None and len(b.data) > 64
            ]
            assert len(contents) == len(set(contents))
        assert len(cut.early_exits(model, HEADS, ExitRule(0.5))) < len(model) + 2500
        assert sum(map(len, cut.stage_files(model, HEADS))) < len(model) + 4000


def test_int8_has_no_float_but_its_answer(int8_model):
    for output_dtype, floats in (("float32", 1), ("uint8", 0), ("int8", 0)):
        parsed = parse(cut.early_exits(int8_model, HEADS, ExitRule(0.5), output_dtype))
        assert sum(tensor.type == 0 for graph in parsed.subgraphs for tensor in graph.tensors) == floats
    details = open_interpreter(cut.one_head(int8_model, 2, "uint8")).get_output_details()
    assert {detail["dtype"] for detail in details} == {np.uint8}


def test_types_of_the_answer_agree(int8_model, images):
    runs = [
        DeviceModel([cut.early_exits(int8_model, HEADS, ExitRule(0.8), dtype)], HEADS).run(images)
        for dtype in ("uint8", "int8")
    ]
    expected = DeviceModel([cut.early_exits(int8_model, HEADS, ExitRule(0.8))], HEADS).run(images)
    for found in runs:
        np.testing.assert_allclose(found.values, expected.values, atol=1e-6)
        np.testing.assert_array_equal(found.exits, expected.exits)


def test_never_leaving_and_always_leaving(int8_model, float_model, images):
    for model in (int8_model, float_model):
        assert set(DeviceModel([cut.early_exits(model, HEADS, ExitRule(1.001))], HEADS).run(images).exits) == {2}
        assert set(DeviceModel([cut.early_exits(model, HEADS, ExitRule(0.0))], HEADS).run(images).exits) == {0}


def test_unusable_arguments_are_errors(float_model, early_model):
    with pytest.raises(ValueError, match="`output_dtype` must be 'float32' unless"):
        cut.one_head(float_model, 0, "uint8")
    with pytest.raises(ValueError, match="must be one of 'float32'"):
        cut.one_head(float_model, 0, "int4")
    with pytest.raises(ValueError, match="must have early exits"):
        cut.set_threshold(cut.one_head(float_model, 0), ExitRule(0.5))
    with pytest.raises(ValueError, match="must be a TensorFlow Lite model"):
        cut.set_threshold(b"no model" * 9, ExitRule(0.5))
    with pytest.raises(ValueError, match="damaged"):
        cut.set_threshold(early_model[: len(early_model) // 2], ExitRule(0.5))
