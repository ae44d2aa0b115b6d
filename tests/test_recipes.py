"""The benches run, and print what they promise."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).parent.parent / "recipes"
WITHOUT_DATA_SETS = ("bench_main", "bench_deploy", "bench_search", "profile_step")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bench", "name"),
    [
        ("bench_main", "masked_step"),
        ("profile_step", "step"),
        ("bench_deploy", "never_exits"),
        ("bench_bayes", "lenet_300_100"),
        ("bench_bayes", "lenet_5"),
        ("bench_resnet", "narrow"),
        ("bench_criteria", "criteria"),
        ("bench_density", "claim"),
        ("bench_search", "candidates"),
        ("bench_search", "estimators"),
        ("bench_cells", "cells"),
        ("bench_cells", "trees"),
        ("bench_cells", "grown"),
    ],
)
def test_a_bench_prints_one_json_document(bench, name):
    if bench not in WITHOUT_DATA_SETS and "TFDS_DATA_DIR" not in os.environ:
        pytest.skip("TFDS_DATA_DIR does not say where data sets are prepared")
    command = [sys.executable, RECIPES / f"{bench}.py", "--only", name, "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    figures = json.loads(done.stdout)
    assert {frozenset(figure) for figure in figures} == {
        frozenset({"figure", "value", "unit", "goal", "met", "command"})
    }
    assert figures[0]["figure"].startswith(name)
    assert "Reduced run" in done.stderr
