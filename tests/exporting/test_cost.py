"""RAM and MACs from the file: against TensorFlow Lite Micro's own interpreter, and against the architecture."""

import os
import re
import tempfile

import numpy as np
import pytest

from kgrow.exporting import EXPORTERS, cut
from kgrow.exporting.answers import DeviceModel
from kgrow.exporting.assembly import parse
from kgrow.exporting.cost import arena_bytes, lifetimes, macs
from kgrow.exporting.memory_plan import with_plan
from kgrow.graph.arena import place
from kgrow.network import GrowingNetwork
from kgrow.network.early_exit import FALLBACKS, ExitRule
from kgrow.searching import SPACES

HEADS, LARGE_HEADS = (0, 1, 2), (0, 1, 2, 3)
ARENA = 1_000_000


def micro_interpreter(model):
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason="pip install -e .[micro]")
    return runtime.Interpreter.from_bytes(model, arena_size=ARENA)


def head_of_arena(interpreter):
    """What the interpreter itself says, which it writes to the C standard error stream."""
    with tempfile.TemporaryFile() as held:
        saved = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            interpreter.print_allocations()
        finally:
            os.dup2(saved, 2)
            os.close(saved)
        held.seek(0)
        return int(re.search(rb"Arena allocation head (\d+) bytes", held.read())[1])


def micro_answers(model, images):
    interpreter, found = micro_interpreter(model), []
    for image in images:
        interpreter.set_input(image[np.newaxis], 0)
        interpreter.invoke()
        found.append((interpreter.get_output(0)[0], int(interpreter.get_output(1)[0])))
    return tuple(np.array(part) for part in zip(*found, strict=True))


def models_of(model, heads=HEADS):
    plain = [cut.one_head(model, head) for head in heads]
    exits = [cut.early_exits(model, heads, ExitRule(0.6, fallback)) for fallback in FALLBACKS]
    return [*plain, *exits, *cut.stage_files(model, heads)]


@pytest.fixture(scope="module")
def large_network():
    return GrowingNetwork(SPACES["compact"].build((32, 32, 3), 10))


@pytest.fixture(scope="module")
def large_model(large_network, noise):
    return EXPORTERS["int8"].convert(large_network, LARGE_HEADS, "uint8", noise(large_network, 64))


@pytest.mark.slow
def test_arena_is_the_one_that_the_micro_interpreter_allocates(int8_model, large_model):
    pytest.importorskip("tflite_micro")
    for model in [*models_of(int8_model), *models_of(large_model, LARGE_HEADS)]:
        for planned in (model, with_plan(model)):
            assert arena_bytes(planned) == head_of_arena(micro_interpreter(planned))


@pytest.mark.slow
def test_planned_early_exits_answer_the_same_in_hardly_more_memory_than_a_plain_file(large_model, large_network, noise):
    images, plain = noise(large_network, 8), cut.one_head(large_model, 3)
    for rule in (ExitRule(0.0), ExitRule(1.01), ExitRule(1.01, "last")):
        exits = cut.early_exits(large_model, LARGE_HEADS, rule)
        planned = with_plan(exits)
        assert arena_bytes(planned) < arena_bytes(exits)
        assert arena_bytes(planned) <= 1.05 * arena_bytes(with_plan(plain))
        for found, expected in zip(micro_answers(planned, images), micro_answers(exits, images), strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.8, 0.95, 1.5])
def test_micro_interpreter_answers_as_the_other(threshold, size, request, noise):
    network = request.getfixturevalue({"small": "varied_network", "large": "large_network"}[size])
    converted = request.getfixturevalue({"small": "int8_model", "large": "large_model"}[size])
    heads = range(len(network.blocks))
    model = with_plan(cut.early_exits(converted, heads, ExitRule(threshold)))
    images = noise(network, 48)
    expected = DeviceModel([model], heads).run(images)
    values, exits = micro_answers(model, images)
    # Kernels round differently: where two heads are equally sure, another one may answer.
    same = (exits == expected.exits) & (np.abs(values - expected.values).max(axis=-1) <= 5 / 256)
    assert np.mean(same) >= 0.9


def test_plan_changes_no_answer_and_never_costs(int8_model, varied_network, noise):
    images = noise(varied_network, 16)
    of_heads = [*((head,) for head in HEADS), HEADS, HEADS]
    for model, heads in zip(models_of(int8_model), of_heads, strict=False):  # without the stages
        planned = with_plan(model)
        assert arena_bytes(planned) <= arena_bytes(model)
        before, after = (DeviceModel([m], heads).run(images).values for m in (model, planned))
        np.testing.assert_array_equal(before, after)


def test_no_two_live_tensors_share_a_byte(int8_model):
    for model in models_of(int8_model):
        placed = place(lifetimes(parse(model)))
        for index, (offset, life) in enumerate(placed):
            for other_offset, other in placed[:index]:
                if life.overlaps(other):
                    assert offset >= other_offset + other.size or other_offset >= offset + life.size


def test_every_input_of_a_branch_is_read(int8_model):
    # otherwise the micro interpreter gives it a place where other values live
    for fallback in FALLBACKS:
        parsed = parse(cut.early_exits(int8_model, HEADS, ExitRule(0.5, fallback)))
        for graph in parsed.subgraphs[1:]:
            read = {int(index) for op in graph.operators for index in op.inputs} | set(map(int, graph.outputs))
            assert set(map(int, graph.inputs)) <= read


def test_macs_of_a_file_are_those_of_the_architecture(float_model, int8_model, varied_network):
    architecture = varied_network.architecture
    for model in (float_model, int8_model):
        for head in HEADS:
            assert macs(cut.one_head(model, head)) == architecture.macs(head)
        assert macs(cut.early_exits(model, HEADS, ExitRule(0.5))) == architecture.macs(2, passing=HEADS)
        assert sum(map(macs, cut.stage_files(model, HEADS))) == architecture.macs(2, passing=HEADS)


def test_damaged_models_are_errors(int8_model):
    for damaged in (b"", int8_model[:100], b"0000TFL3" * 20):
        with pytest.raises(ValueError, match="`model` must be a"):
            arena_bytes(damaged)
