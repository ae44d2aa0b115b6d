"""Searches that start with a published network's weights."""

import dataclasses

import numpy as np
import pytest

import kgrow
from kgrow import cli
from kgrow._keras import keras
from kgrow.comparing_starts import better_start
from kgrow.config import Config, Growth, Tuning
from kgrow.models.files import sha256_of
from kgrow.planning import planned
from kgrow.pretrained import sources
from kgrow.searching.pretrained import Pretrained
from kgrow.task import Task

NAME = "mobilenet_v1_0.25"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mobilenet.h5"
    keras.applications.MobileNet(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.25).save_weights(
        path
    )
    return path


def squares(number=96, channels=3, side=32, seed=0):
    """Images that are brighter above or below."""
    generator = np.random.default_rng(seed)
    labels = np.arange(number) % 2
    images = generator.integers(0, 100, (number, side, side, channels))
    images[labels == 0, : side // 2] += 100
    images[labels == 1, side // 2 :] += 100
    return images.astype(np.uint8), labels


def test_a_network_starts_with_the_weights_and_the_run_names_their_file(weights, tmp_path):
    result = kgrow.search(
        Task.of(squares()),
        space=Pretrained(NAME, str(weights)),
        limits={"flash_bytes": "60KB"},
        trials=1,
        epochs=2,
        directory=tmp_path,
        project_name="run",
        verbose=0,
    )
    assert result.document["best"]["artefacts"][0]["bytes"] <= 60 * 1024
    written = (tmp_path / "run" / "config.yaml").read_text()
    assert sha256_of(weights) in written
    assert f"start: {NAME}" in written
    # The file of the run gives the run again, and a file with other weights does not.
    again = kgrow.search(
        Task.of(squares()), config=tmp_path / "run" / "config.yaml", directory=tmp_path, verbose=0, project_name="again"
    )
    assert again.document["best"]["kept_params"] == result.document["best"]["kept_params"]
    other = tmp_path / "other.h5"
    other.write_bytes(weights.read_bytes())
    changed = written.replace(str(weights), str(other))
    (tmp_path / "changed.yaml").write_text(changed)
    other.write_bytes(weights.read_bytes() + b"\0")
    with pytest.raises(ValueError, match="SHA-256"):
        kgrow.search(Task.of(squares()), config=tmp_path / "changed.yaml", directory=tmp_path, verbose=0)


@pytest.mark.parametrize(
    ("data", "growth", "message"),
    [
        (squares(side=24), {"start": NAME}, "24x24x3.*32x32"),
        (squares(channels=4), {"start": NAME}, "32x32x4.*color or gray"),
        ((squares()[0] / 255, squares()[1]), {"start": NAME}, "float32.*uint8"),
        (squares(), {"weights": "weights.h5"}, "`growth.weights`.*--start"),
        (squares(), {"start": NAME, "space": "flexible"}, "'scratch' with a `space`"),
        (squares(), {"start": "mobilenet_v1"}, "mobilenet_v1_0.25"),
        (squares(), {"start": NAME, "weights": "nowhere.h5"}, "nowhere.h5"),
    ],
)
def test_what_does_not_go_together_is_named(data, growth, message, tmp_path):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        kgrow.search(Task.of(data), config={"growth": growth}, directory=tmp_path, verbose=0)
    assert not any(tmp_path.iterdir())


def test_a_network_that_fits_only_with_tiny_images_is_refused(weights, tmp_path):
    from PIL import Image

    for name, color in (("red", (200, 0, 0)), ("blue", (0, 0, 200))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            pixels = np.random.default_rng(number).integers(0, 50, (48, 48, 3)) + color
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / name / f"{number}.png")
    growth = {"start": NAME, "weights": str(weights)}
    with pytest.raises(ValueError, match=r"`growth\.start` must be 'scratch' for images of"):
        kgrow.search(
            tmp_path / "photos",
            config={"growth": growth},
            limits={"ram_bytes": 2_000},
            directory=tmp_path / "runs",
            verbose=0,
        )


def test_images_that_are_resized_have_the_weights_of_their_size(tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (tmp_path / "keras" / "models").mkdir(parents=True)
    model = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.25)
    monkeypatch.setattr(sources, "V1_SIZES", (32, 128))
    for side in sources.V1_SIZES:  # other weights for each size
        model.layers[1].set_weights([np.full_like(array, side) for array in model.layers[1].get_weights()])
        model.save_weights(tmp_path / "keras" / "models" / f"mobilenet_2_5_{side}_tf_no_top.h5")
    for name, color in (("red", (200, 0, 0)), ("blue", (0, 0, 200))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            pixels = np.random.default_rng(number).integers(0, 50, (64, 64, 3)) + color
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / name / f"{number}.png")
    config = Config(growth=Growth(start=NAME), tuning=Tuning(limits={"ram_bytes": 7_000}))
    task, plan, resolved = planned(tmp_path / "photos", config, lambda sentence: None)
    assert task.input_shape == (32, 32, 3)
    assert resolved.growth.space.sha256 == sha256_of(sources.weight_file(NAME, 32))
    assert np.all(plan.proposals.initial(plan.proposals.full)["block_0/cell_0/first/kernel"] == 32)


@pytest.mark.parametrize("width", [1.0, 0.5])
def test_a_shallower_network_starts_with_the_first_blocks_of_a_deeper_one(weights, width):
    """Bit by bit: trials that begin alike share their first epochs."""
    space, images = Pretrained(NAME, str(weights)), squares(side=32)[0]
    deep = space.build((32, 32, 3), 2, width=width)
    whole = space.initial(deep, images)
    for depth in range(1, len(deep.blocks)):
        part = space.initial(dataclasses.replace(deep, blocks=deep.blocks[:depth]), images)
        assert part
        assert all(np.array_equal(value, whole[variable]) for variable, value in part.items())


def test_a_run_is_ended_from_another_directory(weights, tmp_path, monkeypatch):
    monkeypatch.chdir(weights.parent)
    space = Pretrained(NAME, weights.name)
    monkeypatch.chdir(tmp_path)
    assert space.located(32).sha256 == sha256_of(weights)


def test_auto_starts_from_scratch_where_no_weights_are_at_hand_and_the_run_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("kgrow.starting.is_at_hand", lambda name, side: False)
    options = {"trials": 1, "epochs": 1, "directory": tmp_path, "verbose": 2}
    kgrow.search(Task.of(squares(side=64)), config={"growth": {"start": "auto"}}, project_name="run", **options)
    assert "start from scratch" in capsys.readouterr().err
    assert "start: scratch" in (tmp_path / "run" / "config.yaml").read_text()
    growth = {"start": "auto", "weights": "weights.h5"}
    with pytest.raises(ValueError, match="'auto'"):
        kgrow.search(Task.of(squares(side=64)), config={"growth": growth}, project_name="other", **options)


@pytest.fixture
def at_hand(tmp_path, monkeypatch):
    """The weights of one network in the cache, and of no other."""
    monkeypatch.setattr("kgrow.starting.is_at_hand", lambda name, side: name == NAME)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (tmp_path / "keras" / "models").mkdir(parents=True)
    model = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(128, 128, 3), alpha=0.25)
    model.save_weights(tmp_path / "keras" / "models" / "mobilenet_2_5_128_tf_no_top.h5")


@pytest.mark.slow
def test_auto_compares_both_starts_and_goes_on_with_the_better_one(at_hand, tmp_path, capsys):
    options = {"trials": 1, "epochs": 2, "directory": tmp_path / "runs", "project_name": "run", "verbose": 2}
    data = Task.of(squares(number=200, side=64))
    result = kgrow.search(data, config={"growth": {"start": "auto"}}, **options)
    told = capsys.readouterr().err
    accuracies = {
        start: kgrow.load(tmp_path / "runs" / "run-starts" / start, data).document["candidates"][0]["val_accuracy"]
        for start in (NAME, "scratch")
    }
    better = max(accuracies, key=lambda start: accuracies[start])
    assert f"one short search each: {NAME} " in told
    assert f"networks start with {better}" in told
    assert "Photographs are often told apart better" not in told.partition("starts compared")[2]
    written = (tmp_path / "runs" / "run" / "config.yaml").read_text()
    assert (f"start: {NAME}" in written) == (better == NAME)
    # The same call finds everything done.
    again = kgrow.search(data, config={"growth": {"start": "auto"}}, **options)
    assert again.document == result.document


def test_auto_does_not_compare_in_less_time_than_tells_anything(monkeypatch):
    monkeypatch.setattr("kgrow.starting.is_at_hand", lambda name, side: name == NAME)
    notes = []
    config = Config(growth=Growth(start="auto"), tuning=Tuning(max_time="60s"))
    assert better_start(Task.of(squares(side=64)), config, lambda *given: pytest.fail("searched"), notes.append) == NAME
    assert notes == [f"networks start with {NAME}: there is no time to compare it with a start from scratch"]


@pytest.mark.slow
def test_auto_goes_on_with_scratch_where_no_published_network_fits(at_hand, tmp_path, capsys):
    options = {"trials": 1, "epochs": 1, "directory": tmp_path / "runs", "project_name": "run", "verbose": 2}
    data = Task.of(squares(number=200, side=64))
    kgrow.search(data, config={"growth": {"start": "auto"}}, limits={"macs": 300_000}, **options)
    told = capsys.readouterr().err
    assert f"start '{NAME}': " in told
    assert "networks start with scratch" in told


def test_gray_images_are_told_to_be_read_as_colors(weights, tmp_path, capsys):
    kgrow.search(
        Task.of(squares(channels=1)),
        space=Pretrained(NAME, str(weights)),
        limits={"flash_bytes": "60KB"},
        trials=1,
        epochs=1,
        directory=tmp_path,
        verbose=2,
    )
    assert "three equal channels" in capsys.readouterr().err


def test_the_command_line_has_it(weights, capsys):
    assert Config(growth=Growth(start=NAME, weights=str(weights))).growth.start == NAME
    with pytest.raises(SystemExit):
        cli.main(["search", "--help-all"])
    assert "--start" in capsys.readouterr().out
