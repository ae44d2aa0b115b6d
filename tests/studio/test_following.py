"""The state of a search is read from the lines that a search writes."""

import io

from kgrow.reporting.progress import PlainLines
from kgrow.studio.following import NUM_LINES, Followed

GREW = {"event": "grew", "epoch": 0, "change": {}, "kept_params": [5392], "prunable_params": [5392]}
OUTCOME = {"status": "done", "keep_ratios": (0.5,), "kept_params": 100, "prunable_params": 5392}


def epoch_of(number, accuracy):
    figures = {"val_accuracy": accuracy, "loss": 0.5, "kept_params": 5392, "seconds": 2.0}
    return {"event": "epoch", "epoch": number, **figures}


def test_lines_of_a_search_are_understood():
    stream = io.StringIO()
    lines, followed = PlainLines(stream), Followed()

    def state():
        for line in stream.getvalue().splitlines():
            followed.add(line)
        stream.seek(0)
        stream.truncate()
        return followed.state

    assert state()["epoch"] is None
    lines.search_started([4, 4], [1.0] * 4)
    lines.note("1797 images of 8x8x1, uint8, in 10 classes")
    assert state()["news"].startswith("1797 images")
    lines.trial_started("0000", (0.5,), 4)
    assert (state()["number"], state()["trials"], state()["epoch"], state()["epochs"]) == (1, 2, 0, 4)
    lines.progress("0000", 0, 1, 10)
    lines.event("0000", GREW)
    lines.event("0000", epoch_of(0, [0.748]))
    found = state()
    assert (found["epoch"], found["best"], found["left"]) == (1, 74.8, "about 14 s left")
    assert "grew block 1" in found["news"]
    lines.event("0000", epoch_of(1, [0.9, 0.7]))
    assert (state()["epoch"], state()["best"]) == (2, 74.8)
    lines.trial_finished("0000", {**OUTCOME, "val_accuracy": 0.981})
    assert state()["best"] == 98.1
    lines.trial_started("0001", (0.25,), 4)
    assert (state()["number"], state()["best"]) == (2, 98.1)


def test_error_is_the_message_of_kgrow():
    followed = Followed()
    for line in ("a warning", "kgrow: `dataset` must have classes, but got one.", "Add another."):
        followed.add(line)
    assert followed.error == "`dataset` must have classes, but got one.\nAdd another."


def test_without_a_message_the_error_is_the_end_of_the_log():
    followed = Followed()
    for number in range(NUM_LINES + 50):
        followed.add(f"line {number}")
    assert len(followed.lines) == NUM_LINES
    assert followed.error.splitlines() == [f"line {number}" for number in range(NUM_LINES + 35, NUM_LINES + 50)]
