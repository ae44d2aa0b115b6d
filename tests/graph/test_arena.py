"""Where tensors lie, and in what order operations run."""

from kgrow.graph.arena import Lifetime, best_order, lifetimes_of, peak, place, planned_bytes, plans


def test_placing_by_hand():
    lives = [Lifetime(0, 0, 64, 0, 1), Lifetime(0, 1, 32, 1, 2), Lifetime(0, 2, 64, 2, 3), Lifetime(0, 3, 16, 0, 3)]
    assert [offset for offset, _ in place(lives)] == [0, 64, 0, 96]
    assert peak(place(lives)) == 112
    assert [offset for offset, _ in place(reversed(lives))] == [0, 16, 80, 16]
    assert peak([]) == 0


def test_best_plan_needs_less_than_that_of_the_micro_interpreter():
    reads = {"a": ("image",), "b": ("a", "image"), "c": ("a",)}
    lives = lifetimes_of("abc", reads, {"image": 32, "a": 48, "b": 32, "c": 48}, ("c",))
    _, own, *_ = plans(lives)
    assert (peak(own), planned_bytes(lives)) == (128, 112)


def test_tensors_live_from_what_writes_them_to_what_reads_them_last():
    lives = lifetimes_of("ab", {"a": ("image",), "b": ("a", "image")}, {"image": 8, "a": 17, "b": 4}, ("b",))
    assert [(life.size, life.first, life.last) for life in lives] == [(16, 0, 2), (32, 1, 2), (16, 2, 2)]


def test_operations_run_when_what_they_give_is_wanted():
    reads = {"x1": ("image",), "x2": ("x1",), "y1": ("image",), "y2": ("y1",), "sum": ("x2", "y2"), "aside": ("image",)}
    order = best_order(reads, dict.fromkeys([*reads, "image"], 16), ("sum",))
    assert order == ["x1", "x2", "y1", "y2", "sum"]


def test_operand_that_needs_most_memory_may_come_first():
    reads = {"small": ("image",), "wide": ("image",), "narrow": ("wide",), "sum": ("small", "narrow")}
    sizes = {"image": 16, "small": 64, "wide": 256, "narrow": 64, "sum": 64}
    assert best_order(reads, sizes, ("sum",)) == ["wide", "narrow", "small", "sum"]
