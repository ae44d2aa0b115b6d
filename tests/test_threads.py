"""Small networks are trained with one thread where the process belongs to the search."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from kgrow import pipeline
from kgrow._process import is_own, own_process
from kgrow.lifecycle import PRESETS, Settings
from kgrow.plan import SearchPlan
from kgrow.pruning import Magnitude
from kgrow.registry import SPACES
from kgrow.searching.objective import chosen_objective

SCRIPT = """
from kgrow._keras import tf, use_one_thread
{before}
use_one_thread()
print(tf.config.threading.get_intra_op_parallelism_threads())
"""


def threads_after(before="", **variables):
    environment = {name: value for name, value in os.environ.items() if name != "TF_NUM_INTRAOP_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(before=before)],
        env=environment | variables,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.slow
def test_one_thread_is_used_unless_the_process_has_others_or_has_begun():
    assert threads_after() == 1
    assert threads_after("tf.constant(1) + 1") == 0  # TensorFlow's own choice
    assert threads_after(TF_NUM_INTRAOP_THREADS="3") != 1


@pytest.mark.parametrize(("is_small", "owns", "uses"), [(True, True, 1), (True, False, 0), (False, True, 0)])
def test_only_a_small_search_that_owns_its_process_changes_the_threads(monkeypatch, is_small, owns, uses):
    calls = []
    monkeypatch.setattr(pipeline, "use_one_thread", lambda: calls.append(1))
    if owns:
        with own_process():
            pipeline._suit_process(SimpleNamespace(is_small=is_small))
    else:
        pipeline._suit_process(SimpleNamespace(is_small=is_small))
    assert len(calls) == uses
    assert not is_own()


@pytest.mark.parametrize(("shape", "is_small"), [((8, 8, 1), True), ((28, 28, 1), False), ((32, 32, 3), False)])
def test_digits_are_small_and_mnist_is_not(shape, is_small):
    preset = PRESETS["default"].suited_to(1_168 if is_small else 45_000, min(shape[:2]))
    macs = SPACES["compact"].build(shape, 10).macs()
    proposals = SimpleNamespace(variants={"whole": (None, SimpleNamespace(macs=macs))})
    plan = SearchPlan(proposals, Settings(preset, Magnitude()), chosen_objective("accuracy"), "bayesian", 1)
    assert plan.is_small == is_small
