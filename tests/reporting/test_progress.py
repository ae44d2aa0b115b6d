"""Tests of the progress displays: what they say, and that they harm neither the terminal nor the search."""

import contextlib
import fcntl
import io
import itertools
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.cells import cell_len
from rich.console import Console

from kgrow.reporting.progress import Display, PlainLines, StatusLine, display_for
from kgrow.reporting.search_state import SearchState
from kgrow.training.observer import Observer

ROOT = Path(__file__).parents[2]
SIZES = (25_008, 47_872, 45_568, 50_944)
EPOCHS = 6
CONTROL_CODE = r"\x1b\[[\d;?]*[A-Za-z]"
PER_HEAD, BOTH = "validation per head", "loss of 2 heads 0.500,"
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"

# Runs in a process of its own, which need not load TensorFlow: the package of the interface is replaced by its folder.
SCRIPT_HEAD = f"""
import sys, time, types
sys.path.insert(0, {str(ROOT)!r})
package = types.ModuleType("kgrow.lifecycle")
package.__path__ = [{str(ROOT / "kgrow" / "lifecycle")!r}]
sys.modules["kgrow.lifecycle"] = package
from kgrow.reporting.progress import display_for
"""


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def grew(epoch, block):
    sizes = sizes_of(block + 1)
    return {"event": "grew", "epoch": epoch, "change": {}, "kept_params": sizes, "prunable_params": sizes}


def sizes_of(num_blocks):
    return [*SIZES, *[1000] * num_blocks][:num_blocks]


def pruned(epoch, *ratios):
    sizes = sizes_of(len(ratios))
    kept = [round(size * ratio) for size, ratio in zip(sizes, ratios, strict=True)]
    counts = {"kept_params": kept, "prunable_params": sizes}
    change = {"keep_ratios": {str(block): ratio for block, ratio in enumerate(ratios)}}
    return {"event": "pruned", "epoch": epoch, "change": change, **counts}


def epoch_event(epoch, accuracies, kept, seconds):
    shared = {"event": "epoch", "epoch": epoch, "loss": 0.5, "is_best": False}
    return shared | {"val_accuracy": accuracies, "kept_params": kept, "seconds": seconds}


def outcome(trial, status="done", accuracy=0.813, error=None):
    ratios, size = (0.8, 0.6), SIZES[0] + SIZES[1]
    counts = {"kept_params": 48_729, "prunable_params": size}
    return {"trial": trial, "keep_ratios": ratios, "status": status, "val_accuracy": accuracy, "error": error, **counts}


FIRST_LOG = [
    [grew(0, 0), epoch_event(0, [0.6], 25_008, 10.0)],
    [grew(1, 1), epoch_event(1, [0.65, 0.7], 72_880, 30.0)],
    [epoch_event(2, [0.7, 0.75], 72_880, 30.0)],
    [pruned(3, 0.8, 1.0), epoch_event(3, [0.71, 0.77], 67_878, 30.0)],
    [pruned(4, 0.8, 0.6), epoch_event(4, [0.712, 0.78], 48_729, 30.0)],
    [epoch_event(5, [0.712, 0.813], 48_729, 30.0)],
]


def train(observer, trial, first_epoch=0):
    for epoch in range(first_epoch, EPOCHS):
        *changes, end = FIRST_LOG[epoch]
        for event in changes:
            observer.event(trial, event)
        for done in range(1, 5):
            observer.progress(trial, epoch, done, 4)
        observer.event(trial, end)


def whole_search(observer):
    """Two trials, the second of which takes over three epochs of the first."""
    observer.note("2 corrupt images were skipped")
    observer.search_started([EPOCHS, EPOCHS - 3])
    observer.trial_started("0000", (0.8, 0.6), EPOCHS)
    train(observer, "0000")
    observer.trial_finished("0000", outcome("0000"))
    observer.trial_started("0001", (0.5, 0.5), EPOCHS)
    for event in itertools.chain(*FIRST_LOG[:3]):
        observer.event("0001", event)
    train(observer, "0001", first_epoch=3)
    observer.trial_finished("0001", outcome("0001", "failed", None, "the loss\nis \x1b[31mnan"))


def test_silent_observer_bears_a_whole_search():
    with display_for(0, io.StringIO()) as observer:
        whole_search(observer)
    assert type(observer) is Observer


@pytest.mark.parametrize(
    ("verbose", "stream", "kind"),
    [(0, Terminal(), Observer), (1, Terminal(), Display), (1, io.StringIO(), PlainLines), (2, Terminal(), PlainLines)],
)
def test_display_suits_verbosity_and_stream(monkeypatch, verbose, stream, kind):
    for name in ("TTY_COMPATIBLE", "TTY_INTERACTIVE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert type(display_for(verbose, stream)) is kind


def test_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert type(display_for(1, Terminal())) is PlainLines


def test_default_stream_is_standard_error(capsys):
    display_for(1).note("once")
    assert capsys.readouterr() == ("", "once\n")


def test_a_process_without_streams_is_served_silently(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert type(display_for(1)) is Observer


@pytest.mark.parametrize("verbose", [3, -1, "auto", None])
def test_unknown_verbosity_is_refused(verbose):
    with pytest.raises(ValueError, match="`verbose` must be 0"):
        display_for(verbose)


def test_plain_lines_tell_a_whole_search():
    stream = io.StringIO()
    with display_for(2, stream) as observer:
        whole_search(observer)
    assert stream.getvalue().splitlines() == [
        "2 corrupt images were skipped",
        "trial 0000 (1 of 2): keep 0.8 0.6, 6 epochs",
        "trial 0000 epoch 1: grew block 1",
        "trial 0000 epoch 1 of 6: validation 60.0 %, loss 0.500, kept 25 008 of 25 008, 10.0 s, at least 1 min left",
        "trial 0000 epoch 2: grew block 2; from here on the loss is that of 2 heads",
        f"trial 0000 epoch 2 of 6: {PER_HEAD} 65.0 70.0 %, {BOTH} kept 72 880 of 72 880, 30.0 s, about 4 min left",
        f"trial 0000 epoch 3 of 6: {PER_HEAD} 70.0 75.0 %, {BOTH} kept 72 880 of 72 880, 30.0 s, about 3 min left",
        "trial 0000 epoch 4: pruned block 1 to 80 %: 20 006 of 25 008",
        f"trial 0000 epoch 4 of 6: {PER_HEAD} 71.0 77.0 %, {BOTH} kept 67 878 of 72 880, 30.0 s, about 2 min left",
        "trial 0000 epoch 5: pruned block 2 to 60 %: 28 723 of 47 872",
        f"trial 0000 epoch 5 of 6: {PER_HEAD} 71.2 78.0 %, {BOTH} kept 48 729 of 72 880, 30.0 s, about 2 min left",
        f"trial 0000 epoch 6 of 6: {PER_HEAD} 71.2 81.3 %, {BOTH} kept 48 729 of 72 880, 30.0 s, about 2 min left",
        "trial 0000 done: keep 0.8 0.6, validation 81.3 %, kept 48 729 of 72 880",
        "trial 0001 (2 of 2): keep 0.5 0.5, 6 epochs",
        "trial 0001 goes on at epoch 4",
        "trial 0001 epoch 4: pruned block 1 to 80 %: 20 006 of 25 008",
        f"trial 0001 epoch 4 of 6: {PER_HEAD} 71.0 77.0 %, {BOTH} kept 67 878 of 72 880, 30.0 s, about 1 min left",
        "trial 0001 epoch 5: pruned block 2 to 60 %: 28 723 of 47 872",
        f"trial 0001 epoch 5 of 6: {PER_HEAD} 71.2 78.0 %, {BOTH} kept 48 729 of 72 880, 30.0 s, about 30 s left",
        f"trial 0001 epoch 6 of 6: {PER_HEAD} 71.2 81.3 %, {BOTH} kept 48 729 of 72 880, 30.0 s",
        "trial 0001 failed: keep 0.8 0.6, the loss is [31mnan",
    ]


def test_plain_lines_fit_the_encoding_of_the_stream():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    PlainLines(stream).note("Zürich\x07 …")
    assert raw.getvalue() == b"Z\\xfcrich \\u2026\n"


def test_time_left_is_the_latest_epoch_for_the_rest_of_the_first_trial():
    state = SearchState()
    state.search_started([10])
    state.trial_started("0000", (0.5, 0.5), 10)
    assert state.time_left() is None
    for epoch, seconds in enumerate((10.0, 40.0)):
        state.event(grew(epoch, epoch))
        state.progress(epoch, 4, 4)
        state.event(epoch_event(epoch, [0.5] * (epoch + 1), 100, seconds))
        assert state.time_left().seconds == pytest.approx(seconds * (9 - epoch))
        # A block is still to come after the first epoch: more than that is certain.
        assert state.time_left().is_lower_bound == (epoch == 0)
    state.progress(2, 1, 4)
    assert state.time_left().seconds == pytest.approx(40 * 7.75)


def test_time_left_counts_trials_to_come_without_their_shared_epochs():
    state = SearchState()
    state.search_started([4, 1, 2])
    state.trial_started("0000", (0.5,), 4)
    state.event(grew(0, 0))
    for epoch, seconds in enumerate((10.0, 20.0, 30.0, 40.0)):
        state.progress(epoch, 1, 1)
        state.event(epoch_event(epoch, [0.5], 100, seconds))
    assert state.time_left().seconds == pytest.approx(40 + 30 + 40)
    assert state.time_left().words == "about 2 min left"


def test_time_left_of_an_unannounced_search_speaks_of_the_trial_only():
    state = SearchState()
    state.trial_started("0000", (0.5,), 4)
    state.event(grew(0, 0))
    state.progress(0, 1, 1)
    state.event(epoch_event(0, [0.5], 100, 3600.0))
    assert state.time_left().words == "about 3 h 0 min left in this trial"


def test_time_left_is_never_more_than_the_time_allowed():
    state = SearchState()
    state.search_started([4])
    state.time_limited(600.0)
    state.trial_started("0000", (0.5,), 4)
    state.event(grew(0, 0))
    state.progress(0, 1, 1)
    line = state.event(epoch_event(0, [0.5], 100, 3600.0))[-1]
    assert line.endswith(", at most 10 min left")
    assert state.time_left().symbols == "<10 min left"
    state.event(epoch_event(1, [0.5], 100, 5.0))
    assert state.time_left().words == "about 10 s left"  # less than what is allowed
    state.time_limited(-1.0)
    assert state.time_left() is None


@pytest.mark.parametrize("kind", [Display, PlainLines])
def test_every_display_is_told_of_the_time_allowed(kind):
    stream = Terminal()
    display = kind(Console(file=stream, width=200, force_terminal=True) if kind is Display else stream)
    with display:
        display.time_limited(600.0)
        display.trial_started("0000", (0.5,), 4)
        display.event("0000", grew(0, 0))
        display.progress("0000", 0, 1, 1)
        display.event("0000", epoch_event(0, [0.5], 100, 3600.0))
        display.progress("0000", 1, 1, 1)
    assert "10 min left" in stream.getvalue()
    assert " h " not in stream.getvalue()


def test_one_number_per_head_is_said_to_be_that_and_a_single_one_is_not():
    state = state_in_the_middle(num_heads=1)
    assert "per head" not in state.event(epoch_event(1, [0.7], 100, 1.0))[-1]
    line = state_in_the_middle(num_heads=2).event(epoch_event(1, [0.7, 0.8], 100, 1.0))[-1]
    assert "validation per head 70.0 80.0 %, loss of 2 heads 0.500" in line


def test_pruning_that_removes_nothing_is_not_told():
    state = SearchState()
    state.trial_started("0000", (1.0,), 4)
    state.event(grew(0, 0))
    assert state.progress(0, 1, 1) != []
    assert state.event(pruned(0, 1.0)) == []
    assert len(state.event(pruned(1, 0.5))) == 1


def state_in_the_middle(num_heads):
    state = SearchState()
    state.search_started([EPOCHS] * 3)
    state.trial_started("0000", (0.8, 0.7, 0.6, 0.5), EPOCHS)
    for block in range(num_heads):
        state.event(grew(0, block))
    state.event(pruned(0, 0.8, *[1.0] * (num_heads - 1)))
    state.progress(0, 1, 1)
    state.event(epoch_event(0, [0.7 + 0.01 * head for head in range(num_heads)], 150_000, 60.0))
    state.progress(1, 1, 2)
    return state


def status_line(width, num_heads=4, encoding="utf-8"):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    console = Console(file=stream, width=width, force_terminal=True, color_system=None, force_jupyter=False)
    console.print(StatusLine(state_in_the_middle(num_heads)))
    stream.flush()
    return raw.getvalue().decode(encoding).rstrip("\n")


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 200])
@pytest.mark.parametrize("num_heads", [1, 4, 12])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_status_line_fits_every_width(width, num_heads, encoding):
    line = status_line(width, num_heads, encoding)
    assert "\n" not in line
    assert cell_len(line) <= width - 3
    assert "2/6" in line
    if width >= 40:
        assert f"{70 + num_heads - 1}.0 %" in line
        assert re.search("[#-]{5}|[━─]{5}", line)


def test_wide_status_line_says_everything():
    bar = "━" * 12 + "─" * 12
    assert status_line(200) == (
        f"trial 0000  keep 0.8 0.7 0.6 0.5  epoch 2/6 {bar}  val per head 70.0 71.0 72.0 73.0 %  "
        "kept 164 390 of 169 392  ~16 min left"
    )


def test_narrow_status_line_keeps_what_matters():
    assert status_line(48, num_heads=3, encoding="ascii") == "2/6 #######-------  70.0 71.0 72.0 %  >16 min"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_display_puts_events_above_the_line(width):
    stream = Terminal()
    console = Console(file=stream, width=width, force_terminal=True, force_jupyter=False)
    with Display(console) as display:
        whole_search(display)
    text = " ".join(re.sub(f"{CONTROL_CODE}|\r", "", stream.getvalue()).split())
    assert "2 corrupt images were skipped" in text
    assert "trial 0000 epoch 4: pruned block 1 to 80 %: 20 006 of 25 008" in text
    assert "trial 0000 done: keep 0.8 0.6, validation 81.3 %, kept 48 729 of 72 880" in text
    assert "trial 0001 failed: keep 0.8 0.6, the loss is [31mnan" in text
    assert text.count("grew block 2") == 1  # the second trial took it over
    assert "validation 65.0" not in text  # epochs have no lines of their own


def test_numbers_are_not_broken_over_lines():
    stream = Terminal()
    console = Console(file=stream, width=36, force_terminal=True, color_system=None, force_jupyter=False)
    with Display(console) as display:
        display.note("epoch 4: pruned block 1 to 40 %: 7 501 of 18 752")
    assert "epoch 4: pruned block 1 to 40 %:\n7 501 of 18 752\n" in stream.getvalue()


def test_display_outlives_its_terminal():
    master, slave = pty.openpty()
    stream = os.fdopen(slave, "w", encoding="utf-8")
    console = Console(file=stream, force_terminal=True, force_jupyter=False)
    with Display(console) as display:
        os.close(master)
        whole_search(display)
    assert console.quiet
    with contextlib.suppress(OSError):
        stream.close()


def test_warnings_are_shown_above_the_line(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with display_for(1) as display:
        display.trial_started("0000", (0.5,), 2)
        print("look out", file=sys.stderr)
    assert sys.stderr is stream
    assert "look out\n" in stream.getvalue()


def test_closed_pipe_silences_plain_lines():
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        lines = PlainLines(stream)
        lines.note("read")
        os.close(reader)
        lines.note("unread")
        lines.note("unread")


def test_closed_stream_silences_plain_lines():
    stream = io.StringIO()
    lines = PlainLines(stream)
    stream.close()
    lines.note("unheard")


@pytest.mark.slow
def test_process_whose_log_is_not_read_ends_well():
    script = (
        f"{SCRIPT_HEAD}\nwith display_for(1) as o:\n  for i in range(3): o.note('line'); time.sleep(0.05)\nprint('end')"
    )
    reader, writer = os.pipe()
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=writer, text=True) as process:
        os.close(writer)
        os.close(reader)
        assert process.stdout.read() == "end\n"
    assert process.returncode == 0


LIVE_SEARCH = f"""{SCRIPT_HEAD}
import fcntl, termios
fcntl.ioctl(2, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches this process
with display_for(1) as display:
    display.search_started([2])
    display.trial_started("0000", (0.5,), 2)
    display.event("0000", {{"event": "grew", "epoch": 0, "change": {{}}, "kept_params": [9], "prunable_params": [9]}})
    for step in range(1, NUM_STEPS + 1):
        display.progress("0000", 0, step, 200)
        time.sleep(0.01)
print("{{}}", flush=True)
"""


def run_in_terminal(script, press=None):
    """Runs Python with a pseudo-terminal of 60 columns as its standard error.

    Args:
        script: What is run.
        press: (text, keys): once the text has appeared the keys are pressed.

    Returns:
        The exit code, the standard output, and what the terminal got.
    """
    # A shell lets what it runs in the background ignore Ctrl-C, the tests and their children included.
    script = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{script}"
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    environment = {"TERM": "xterm", "PYTHONIOENCODING": "utf-8", "PATH": os.environ["PATH"]}
    shown = ""
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=slave,
        env=environment,
        start_new_session=True,
        text=True,
    ) as process:
        os.close(slave)
        while True:
            try:
                chunk = os.read(master, 65_536)
            except OSError:  # Linux says so when the other side is closed
                break
            if not chunk:
                break
            shown += chunk.decode(errors="replace")
            if press and press[0] in shown:
                os.write(master, press[1])
                press = None
        output = process.stdout.read()
    os.close(master)
    return process.returncode, output, shown


@pytest.mark.slow
def test_live_display_starts_and_ends_on_a_real_terminal():
    code, output, shown = run_in_terminal(LIVE_SEARCH.replace("NUM_STEPS", "30"))
    assert (code, output) == (0, "{}\n")
    assert "trial 0000 epoch 1: grew block 1" in shown
    assert "trial 0000  keep 0.5  epoch 1/2 ━━" in re.sub(CONTROL_CODE, "", shown)
    assert shown.rindex(SHOW_CURSOR) > shown.rindex(HIDE_CURSOR)
    # The line is taken away: after the last one it is erased and nothing but control codes follows.
    after = shown[shown.rindex("\n") :]
    assert "\x1b[1A\x1b[2K" in after
    assert re.sub(CONTROL_CODE, "", after).strip() == ""


@pytest.mark.slow
def test_ctrl_c_leaves_the_terminal_sane():
    code, output, shown = run_in_terminal(LIVE_SEARCH.replace("NUM_STEPS", "1000"), press=("━━", b"\x03"))
    assert code != 0
    assert output == ""
    assert "KeyboardInterrupt" in shown
    assert shown.rindex(SHOW_CURSOR) > shown.rindex(HIDE_CURSOR)
    text = re.sub(CONTROL_CODE, "", shown)
    assert "epoch 1/2" in text[: text.index("Traceback")].rstrip().splitlines()[-1]


def test_cursor_is_visible_while_training_so_that_a_kill_does_no_harm():
    stream = Terminal()
    with Display(Console(file=stream, force_terminal=True, force_jupyter=False)):
        shown = stream.getvalue()
        assert shown.rindex(SHOW_CURSOR) > shown.rindex(HIDE_CURSOR)


def test_estimated_accuracy_is_called_approximate():
    stream = io.StringIO()
    display_for(2, stream).trial_finished("0003", outcome("0003") | {"estimated": True})
    assert "validation 81.3 % approximate, kept" in stream.getvalue()


def test_time_left_follows_the_costs_of_the_epochs_to_come():
    state = SearchState()
    state.search_started([4, 2], [1.0, 2.0, 4.0, 4.0])
    state.trial_started("0000", (1.0, 1.0), 4)
    state.event({"event": "grew", "epoch": 0, "change": {}, "kept_params": [4], "prunable_params": [4]})
    state.progress(0, 1, 2)
    state.event({"event": "epoch", "epoch": 0, "seconds": 30.0, "val_accuracy": [0.5], "loss": 1.0, "kept_params": 4})
    left = state.time_left()
    assert left.seconds == pytest.approx(30 * (2 + 4 + 4 + 4 + 4))
    assert not left.is_lower_bound
    state.event({"event": "epoch", "epoch": 1, "seconds": 80.0, "val_accuracy": [0.5], "loss": 1.0, "kept_params": 4})
    assert state.time_left().seconds == pytest.approx(40 * (4 + 4 + 4 + 4))


def test_time_left_does_not_count_tracing_again(monkeypatch):
    state, clock = SearchState(), SimpleNamespace(now=0.0)
    monkeypatch.setattr("kgrow.reporting.search_state.time", SimpleNamespace(monotonic=lambda: clock.now))
    state.search_started([3])
    state.trial_started("0000", (1.0,), 3)
    state.event({"event": "grew", "epoch": 0, "change": {}, "kept_params": [4], "prunable_params": [4]})
    for step, now in enumerate((10.0, 11.0, 12.0), 1):  # tracing takes nine seconds
        clock.now = now
        state.progress(0, step, 3)
    state.event({"event": "epoch", "epoch": 0, "seconds": 12.0, "val_accuracy": [0.5], "loss": 1.0, "kept_params": 4})
    assert state.time_left().seconds == pytest.approx(3.0 * 2)
