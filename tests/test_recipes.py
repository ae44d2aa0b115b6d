"""The benches run, and print what they promise."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).parent.parent / "recipes"


@pytest.mark.slow
def test_a_bench_prints_one_json_document():
    command = [sys.executable, RECIPES / "bench_main.py", "--only", "masked_step", "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    figures = json.loads(done.stdout)
    assert {frozenset(figure) for figure in figures} == {
        frozenset({"figure", "value", "unit", "goal", "met", "command"})
    }
    assert figures[0]["figure"] == "masked_step"
    assert "Reduced run" in done.stderr
