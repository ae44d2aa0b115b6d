"""Commands of kgrow in processes of their own."""

import sys
import time

import pytest

from kgrow.studio.process import Process


def test_lines_and_exit_code_of_a_command_are_those_of_a_terminal(tmp_path):
    lines = []
    process = Process(["kgrow", "search", str(tmp_path / "nothing ü")], lines.append)
    assert process.wait() == 2
    assert not process.is_running
    assert "nothing ü" in lines[-1]
    assert any(line.startswith("kgrow: `dataset` must be") for line in lines)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="its interrupts are others")
def test_an_interrupt_ends_it_as_in_a_terminal(tmp_path):
    lines = []
    watched = tmp_path / "run"
    watched.mkdir()
    for name in ("config.yaml", "source.json"):
        (watched / name).touch()
    process = Process(["kgrow", "report", str(watched), "--watch"], lines.append)
    until = time.monotonic() + 60
    while not (watched / "report.html").exists():
        assert process.is_running
        assert time.monotonic() < until
        time.sleep(0.05)
    process.end()
    assert process.wait() == 130
    assert lines == ["Interrupted."]
