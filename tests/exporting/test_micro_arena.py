"""The arena of a model: enough, and hardly more."""

import sys

import pytest

from kgrow.exporting import cut, micro_arena
from kgrow.exporting.memory_plan import with_plan
from kgrow.exporting.micro_arena import arena_bound, arena_size
from kgrow.graph.arena import ALIGNMENT
from kgrow.network.early_exit import ExitRule

HEADS = (0, 1, 2)


def test_arena_is_bounded_where_no_interpreter_can_be_asked(int8_model, monkeypatch):
    monkeypatch.setitem(sys.modules, micro_arena.RUNTIME, None)
    model = cut.one_head(int8_model, 2)
    assert arena_size(model) == arena_bound(model)


def test_smallest_arena_is_found_by_asking(monkeypatch):
    class Interpreter:
        @staticmethod
        def from_bytes(model, arena_size):
            if arena_size < 44_963:
                raise RuntimeError("TFLM failed to allocate tensors")

    for enough in (48_000, 20_000):  # the second was computed too small
        found = micro_arena._smallest(Interpreter, b"", 16_000, enough)
        assert 44_963 <= found <= 1.02 * 44_963
        assert found % ALIGNMENT == 0


@pytest.mark.slow
def test_bound_is_enough_for_the_interpreter(int8_model):
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason="pip install -e .[micro]")
    exits = [cut.early_exits(int8_model, HEADS, ExitRule(0.5, fallback)) for fallback in ("last", "most_confident")]
    for model in (*(cut.one_head(int8_model, head) for head in HEADS), *exits, *cut.stage_files(int8_model, HEADS)):
        planned = with_plan(model)
        found = arena_size(planned)
        assert found <= arena_bound(planned)
        runtime.Interpreter.from_bytes(planned, arena_size=found).reset()
        with pytest.raises(RuntimeError):
            runtime.Interpreter.from_bytes(planned, arena_size=int(0.97 * found))
