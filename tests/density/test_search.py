"""Tests of the search over depth, width and densities."""

import json
import pickle
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgrow.density import DensitySpace, Training, search_density
from kgrow.density.layout import fewest_connections
from kgrow.density.training import DensityTraining
from kgrow.exporting import classify
from kgrow.searching.oracles import ORACLES
from kgrow.training import TrainingDivergedError

TRAINING = Training(epochs=2, batch_size=16)


class Drawn:
    """Proposes values at random, or the defaults."""

    def __init__(self, seed=None):
        self.generator, self.asked = None if seed is None else np.random.default_rng(seed), []

    def Int(self, name, low, high, default, **options):  # noqa: N802
        self.asked.append(name)
        return default if self.generator is None else int(self.generator.integers(low, high + 1))

    def Float(self, name, low, high, default, **options):  # noqa: N802
        self.asked.append(name)
        return default if self.generator is None else float(low * (high / low) ** self.generator.random())


# The space


@given(seed=st.integers(0, 10_000), depth=st.integers(1, 32), width=st.integers(1, 64), room=st.floats(1.0, 50.0))
def test_every_layout_is_live_and_within_the_limit(seed, depth, width, room):
    most = int(room * sum(fewest_connections((64, *[width] * depth, 10))))
    layout = DensitySpace(64, 10, depth, width, most).sample(Drawn(seed))
    assert layout.active_params <= most
    fewest = fewest_connections(layout.sizes)
    assert all(count >= least for count, least in zip(layout.connections, fewest, strict=True))
    assert 1 <= len(layout.sizes) - 2 <= depth
    assert max(layout.sizes[1:-1]) <= width


def test_what_kerastuner_draws_is_within_depth_and_width():
    import keras_tuner

    space = DensitySpace(64, 10, 3, 32, 2000)
    sizes = set()
    for seed in range(300):
        hp = keras_tuner.HyperParameters()
        space.sample(hp)
        for index, one in enumerate(hp.space):
            hp.values[one.name] = one.random_sample(100 * seed + index)
        sizes.add(space.sample(hp).sizes[1:-1])
    assert {len(hidden) for hidden in sizes} == {1, 2, 3}
    assert {max(hidden) for hidden in sizes} <= set(range(4, 33))
    assert {32, 4} <= {max(hidden) for hidden in sizes}


def test_densities_that_fit_are_taken_as_proposed():
    hp = Drawn()
    hp.Float = lambda name, *_, **__: {"layer_0/density": 0.3, "layer_1/density": 0.2, "output/density": 0.5}[name]
    layout = DensitySpace(100, 10, 2, 50).sample(hp)
    assert layout.connections == (1500, 500, 250)


def test_all_choices_are_registered_whatever_the_depth():
    drawn = [Drawn(seed) for seed in range(5)]
    for hp in drawn:
        DensitySpace(64, 10, 3, 32).sample(hp)
    assert {tuple(hp.asked) for hp in drawn} == {
        ("depth", "width", "layer_0/density", "layer_1/density", "layer_2/density", "output/density")
    }


def test_defaults_are_the_largest_network_with_one_density_that_uses_the_limit():
    layout = DensitySpace(784, 10, 3, 256, 60_000).sample(Drawn())
    assert layout.sizes == (784, 256, 256, 256, 10)
    assert 59_900 < layout.active_params <= 60_000
    assert np.ptp(layout.densities) < 1e-3


def test_limit_that_leaves_units_dead_is_refused_with_what_is_needed():
    with pytest.raises(ValueError, match=r"`max_params` must be at least 288, which 2 .* but got 200. Lower"):
        DensitySpace(64, 10, 2, 96, 200)


# The search


@pytest.fixture(scope="module")
def search(tmp_path_factory, tiny_task):
    folder = tmp_path_factory.mktemp("density")
    sizes = {"max_depth": 2, "max_width": 16, "max_params": 300, "trials": 3, "training": TRAINING}
    given = {"dataset": tiny_task, "verbose": 0, **sizes}

    def run(name="search", **options):
        return search_density(**given | {"directory": folder / name} | options)

    return SimpleNamespace(run=run, folder=folder, options=given)


@pytest.fixture(scope="module")
def found(search):
    return search.run()


def test_best_is_the_most_accurate_of_the_trials_within_the_limit(found):
    candidates, best = found.document["candidates"], found.document["best"]
    assert len(candidates) == 3
    assert all(trial["active_params"] <= 300 for trial in candidates)
    assert best["val_accuracy"] == max(trial["val_accuracy"] for trial in candidates)
    assert best["test_loss"] > 0


def test_model_is_the_one_that_was_measured(found, tiny_task):
    logits = found.model.predict(tiny_task.test.images.astype(np.float32), verbose=0)
    assert found.document["best"]["test_accuracy"] == np.mean(logits.argmax(axis=-1) == tiny_task.test.labels)
    kernels = [layer.kernel.numpy() for layer in found.model.layers if hasattr(layer, "kernel")]
    assert sum(np.count_nonzero(kernel) for kernel in kernels) == found.document["best"]["active_params"]


@pytest.mark.parametrize("quantize", ["float32", "int8"])
def test_exported_file_answers_as_it_was_measured(found, tiny_task, tmp_path, quantize):
    artefact = found.export(tmp_path / "model.tflite", quantize, max_drop=1.0)
    logits = classify(artefact.path, tiny_task.test.images)
    assert artefact.test_accuracy == np.mean(logits.argmax(axis=-1) == tiny_task.test.labels)


def test_search_that_was_interrupted_trains_only_what_is_left(search, found, monkeypatch):
    trained = []
    original = DensityTraining.train_epoch
    monkeypatch.setattr(DensityTraining, "train_epoch", lambda *given: trained.append(1) or original(*given))
    again = search.run()
    assert (again.document, trained) == (found.document, [])
    unfinished = search.folder / "search" / "trials" / "0002" / "outcome.json"
    unfinished.unlink()
    assert (search.run().document, trained) == (found.document, [1, 1])


DYING = """
import os, pickle, signal, sys
from kgrow.density.training import DensityTraining

train_epoch, arguments = DensityTraining.train_epoch, pickle.loads(open(sys.argv[1], "rb").read())

def dying(self, epoch, on_step):
    if epoch == 1 and os.path.exists(f"{arguments['directory']}/trials/0000/outcome.json"):
        os.kill(os.getpid(), signal.SIGKILL)
    return train_epoch(self, epoch, on_step)

DensityTraining.train_epoch = dying
from kgrow.density import search_density
search_density(**arguments)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_killed_trial_goes_on_after_its_last_epoch(search, found, monkeypatch):
    killed, trained, original = search.folder / "killed", [], DensityTraining.train_epoch
    given = search.folder / "given.pickle"
    given.write_bytes(pickle.dumps(search.options | {"directory": killed}))
    done = subprocess.run([sys.executable, "-c", DYING, str(given)], capture_output=True, timeout=600)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    left = sorted(path.relative_to(killed).as_posix() for path in (killed / "trials").rglob("*.*"))
    assert left == ["trials/0000/outcome.json", "trials/0001/checkpoint.npz"]
    monkeypatch.setattr(
        DensityTraining,
        "train_epoch",
        lambda self, epoch, on_step: trained.append(epoch) or original(self, epoch, on_step),
    )
    again = search.run("killed")
    assert (again.document, trained) == (found.document, [1, 0, 1])
    assert [path.name for path in sorted((killed / "trials").rglob("*.*"))] == ["outcome.json"] * 3
    weights = zip(found.model.get_weights(), again.model.get_weights(), strict=True)
    assert all(np.array_equal(*pair) for pair in weights)


def test_same_seed_finds_the_same_in_another_place(search, found):
    assert search.run("elsewhere").document == found.document


@pytest.mark.parametrize("oracle", sorted(set(ORACLES) - {"bayesian"}))
def test_other_oracles_search_too(search, oracle):
    found = search.run(oracle, oracle=oracle, trials=2)
    assert 1 <= len(found.document["candidates"]) <= 2


def test_trial_that_diverges_is_listed_and_the_search_goes_on(search, monkeypatch):
    original = DensityTraining.train_epoch

    def diverging(self, *given):
        if self.network.kernels()[0].weight.shape[1] == 16:
            raise TrainingDivergedError("the loss is not finite")
        return original(self, *given)

    monkeypatch.setattr(DensityTraining, "train_epoch", diverging)
    document = search.run("diverging").document
    assert document["candidates"][0]["error"] == "the loss is not finite"
    assert "diverging" in document["candidates"][0]["traceback"]
    assert document["best"]["trial"] != "0000"


def test_search_in_which_everything_diverges_says_so(search, monkeypatch):
    def diverging(self, *given):
        raise TrainingDivergedError("the loss is not finite")

    monkeypatch.setattr(DensityTraining, "train_epoch", diverging)
    with pytest.raises(ArithmeticError, match=r"Every trial failed\. the loss is not finite"):
        search.run("hopeless", trials=2)


def test_programming_error_ends_the_search_as_it_was_raised(search, monkeypatch):
    monkeypatch.setattr(DensityTraining, "train_epoch", lambda *given: undefined_name)  # noqa: F821
    with pytest.raises(NameError, match="undefined_name"):
        search.run("wrong", trials=2)


def test_search_of_another_configuration_is_not_taken_up(search, found):
    with pytest.raises(ValueError, match=r"max_depth was 2 and is now 1.*overwrite=True"):
        search.run(max_depth=1)


def test_density_json_is_the_document(search, found):
    assert json.loads((search.folder / "search" / "density.json").read_text()) == found.document
