"""A model of one's own as a start: its stages, what stays of its channels, and a search from it."""

import dataclasses
import json

import numpy as np
import pytest

import kgrow
from kgrow import cli
from kgrow._keras import keras
from kgrow.models.files import sha256_of
from kgrow.network import GrowingNetwork
from kgrow.network.early_exit import softmax
from kgrow.pretrained.own_model import OwnModel, own_model
from kgrow.pruning.narrowing import narrowed
from kgrow.searching.pretrained import Pretrained
from kgrow.task import Task

L = keras.layers
SIDE = 16


def residual():
    """Stages at 8x8 and 4x4 with an addition in each, padding before a stride, and squeeze and excitation."""
    image = keras.Input((SIDE, SIDE, 3))
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(16, 3, strides=2, padding="same", name="stem")(image / 255.0)))
    y = L.ReLU()(L.BatchNormalization()(L.Conv2D(24, 3, padding="same", use_bias=False, name="inner")(x)))
    x = L.Add()([x, L.BatchNormalization()(L.Conv2D(16, 3, padding="same", name="outer")(y))])
    y = L.ZeroPadding2D(((0, 1), (0, 1)))(L.Conv2D(32, 1, activation="relu", name="wide")(x))
    y = L.DepthwiseConv2D(3, strides=2, name="depthwise")(y)
    gate = L.Conv2D(8, 1, activation="relu", name="squeeze")(L.GlobalAveragePooling2D(keepdims=True)(y))
    y = L.Multiply()([y, L.Conv2D(32, 1, activation="sigmoid", name="excite")(gate)])
    x = L.GlobalAveragePooling2D()(L.Conv2D(24, 1, activation="relu", name="last")(y))
    return keras.Model(image, L.Dense(3, activation="softmax", name="classes")(L.Dropout(0.1)(x)), name="residual")


def filled(model, seed=0):
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        if any(kind in variable.name for kind in ("gamma", "variance")):
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))
        else:
            variable.assign(generator.normal(0, 1 / np.sqrt(np.prod(variable.shape[:-1]) or 1), variable.shape))
    return model


@pytest.fixture(scope="module")
def model():
    return filled(residual())


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    model.save(tmp_path_factory.mktemp("models") / "mine.keras")
    return tmp_path_factory.getbasetemp() / next(tmp_path_factory.getbasetemp().glob("models*/mine.keras"))


@pytest.fixture(scope="module")
def own(path) -> OwnModel:
    return own_model(str(path), sha256_of(path), SIDE)


def initial(own, architecture):
    """The values with which a network starts."""
    whole = own.architecture(architecture.input_shape, architecture.num_classes, 1.0)
    state = narrowed(own.trained(whole), architecture, pictures(40, architecture.input_shape[0])).state
    return {name: value for name, value in state.items() if not name.endswith("/mask")}


def started(own, architecture):
    network = GrowingNetwork(architecture)
    network.load_state({**network.state(), **initial(own, architecture)})
    return network


def pictures(number=5, side=SIDE):
    return np.random.default_rng(1).uniform(0, 255, (number, side, side, 3)).astype(np.float32)


def test_last_head_answers_as_the_model_does_and_each_stage_has_one(own, model):
    architecture = own.architecture((SIDE, SIDE, 3), 3, 1.0)
    reads = [architecture.shapes[block.head[0].inputs[0]] for block in architecture.blocks]
    # The padding belongs to the stage after it.
    assert reads == [(8, 8, 32), (24,)]
    answers = softmax(started(own, architecture).logits(pictures())[-1])
    np.testing.assert_allclose(answers, model(pictures(), training=False), rtol=1e-4, atol=1e-5)


def test_narrower_ones_keep_what_is_added_and_what_is_tied_by_a_product_stays_together(own):
    whole, half = (own.architecture((SIDE, SIDE, 3), 3, width) for width in (1.0, 0.5))
    widths = {kernel.name: (whole.shapes[kernel.name][-1], half.shapes[kernel.name][-1]) for kernel in half.kernels()}
    expected = {"stem": (16, 16), "inner": (24, 16), "outer": (16, 16), "wide": (32, 16), "squeeze": (8, 8)}
    expected |= {"depthwise": (32, 16), "excite": (32, 16), "last": (24, 16), "classes": (3, 3)}
    assert {name: widths[name] for name in expected} == expected
    started(own, half).logits(pictures())


def test_channels_that_nothing_reads_go_first(own):
    """Without them the model computes what it did."""
    weights = {name: dict(arrays) for name, arrays in own.weighted.weights.items()}
    weights["outer"]["kernel"] = weights["outer"]["kernel"].copy()
    weights["outer"]["kernel"][:, :, 3:11] = 0  # eight channels of the 24 of `inner`
    weights["classes"]["kernel"] = weights["classes"]["kernel"].copy()
    weights["classes"]["kernel"][8:16] = 0
    sparse = dataclasses.replace(own, weighted=own.weighted._replace(weights=weights))
    whole, narrow = (sparse.architecture((SIDE, SIDE, 3), 3, width) for width in (1.0, 0.65))
    assert narrow.shapes["inner"][-1] == 16
    assert narrow.shapes["last"][-1] == 16
    values = initial(sparse, narrow)
    rows = np.r_[0:3, 11:24]
    np.testing.assert_array_equal(values["outer/kernel"], weights["outer"]["kernel"][:, :, rows])
    np.testing.assert_array_equal(values["classes/kernel"], weights["classes"]["kernel"][np.r_[0:8, 16:24]])
    assert values["inner/kernel"].shape[-1] == 16
    assert set(values) == set(initial(sparse, whole))


def test_other_classes_replace_the_last_layer_alone(own):
    architecture = own.architecture((SIDE, SIDE, 3), 7, 1.0)
    assert architecture.num_classes == 7
    values = initial(own, architecture)
    assert not any(name.startswith("classes/") for name in values)
    assert "last/kernel" in values
    assert started(own, architecture).logits(pictures())[-1].shape == (5, 7)


def test_other_sizes_are_read_where_the_weights_allow_it(own, tmp_path):
    assert own.architecture((24, 32, 3), 3, 1.0).input_shape == (24, 32, 3)
    started(own, own.architecture((24, 24, 3), 3, 0.5)).logits(pictures(side=24))
    with pytest.raises(ValueError, match="images of 1 channels, but this one reads 3"):
        own.architecture((SIDE, SIDE, 1), 3, 1.0)
    flat = keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(8, 3), L.Flatten(), L.Dense(3)])
    flat.save(tmp_path / "flat.keras")
    fixed = own_model(str(tmp_path / "flat.keras"), sha256_of(tmp_path / "flat.keras"), 8)
    with pytest.raises(ValueError, match=r"images of 9x9, but this one is for 8x8 .*--image-size 8x8"):
        fixed.architecture((9, 9, 3), 3, 1.0)


def test_what_follows_the_replaced_layer_starts_anew_too(tmp_path):
    ends = [L.Dense(5), L.BatchNormalization(), L.Softmax()]
    layers = [L.Conv2D(8, 3, strides=2, activation="relu"), L.Conv2D(8, 3), L.GlobalAveragePooling2D(), *ends]
    keras.Sequential([keras.Input((SIDE, SIDE, 3)), *layers]).save(tmp_path / "five.keras")
    five = own_model(str(tmp_path / "five.keras"), sha256_of(tmp_path / "five.keras"), SIDE)
    architecture = five.architecture((SIDE, SIDE, 3), 3, 1.0)
    assert initial(five, architecture)
    assert not [name for name in initial(five, architecture) if "normalization" in name or "dense" in name]
    started(five, architecture).logits(pictures())


@pytest.mark.slow
def test_model_without_hidden_channels_is_trained_too(tmp_path):
    keras.Sequential([keras.Input((SIDE, SIDE, 3)), L.Flatten(), L.Dense(3)]).save(tmp_path / "linear.keras")
    options = {"trials": 1, "epochs": 2, "directory": tmp_path, "verbose": 0}
    result = kgrow.search(Task.of(squares()), config={"growth": {"start": str(tmp_path / "linear.keras")}}, **options)
    assert result.document["best"]["kept_params"] > 0


def test_first_blocks_alone_have_the_weights_too(own):
    architecture = own.architecture((SIDE, SIDE, 3), 3, 0.5)
    first = dataclasses.replace(architecture, blocks=architecture.blocks[:1])
    whole, cut = initial(own, architecture), initial(own, first)
    assert cut
    assert all(np.array_equal(value, whole[name]) for name, value in cut.items())
    assert "classes/kernel" not in cut


def test_model_that_changed_since_is_refused(path, tmp_path):
    copy = tmp_path / "copy.keras"
    copy.write_bytes(path.read_bytes())
    space = Pretrained(str(copy)).located(SIDE)
    copy.write_bytes(path.read_bytes() + b"\0")
    own_model.cache_clear()  # as in another process
    with pytest.raises(ValueError, match=r"SHA-256 .*copy\.keras has"):
        space.build((SIDE, SIDE, 3), 3)
    with pytest.raises(ValueError, match="`weights` must be those of a published network"):
        Pretrained(str(path), weights=str(path))


def squares(number=300):
    generator = np.random.default_rng(0)
    labels = np.arange(number) % 3
    images = generator.integers(0, 90, (number, SIDE, SIDE, 3))
    for label in range(3):
        images[labels == label, ..., label] += 110
    return images.astype(np.uint8), labels


@pytest.mark.slow
def test_a_search_starts_with_the_model_and_ends_within_limits_with_early_exits(path, tmp_path, capsys):
    result = kgrow.search(
        Task.of(squares()),
        config={"growth": {"start": str(path)}},
        limits={"flash_bytes": "14KB"},
        trials=2,
        epochs=10,
        directory=tmp_path,
        project_name="run",
        verbose=2,
    )
    told = capsys.readouterr().err
    assert "an internal classifier comes after each of its 1 stages" in told
    assert "as it is, it answers" in told
    assert result.document["best"]["artefacts"][0]["bytes"] <= 14 * 1024
    assert result.export(tmp_path / "early", early_exit=True).bytes > 0
    written = (tmp_path / "run" / "config.yaml").read_text()
    assert sha256_of(path) in written
    # The model may have seen the images of every fold.
    with pytest.raises(ValueError, match="does not start with a model of your own"):
        kgrow.cross_validate(tmp_path / "run", Task.of(squares()), verbose=0)
    again = kgrow.search(
        Task.of(squares()), config=tmp_path / "run" / "config.yaml", directory=tmp_path, verbose=0, project_name="again"
    )
    assert again.document["best"]["kept_params"] == result.document["best"]["kept_params"]


@pytest.mark.slow
def test_the_command_compresses_a_file_for_a_folder_of_images(path, tmp_path, monkeypatch, capsys):
    from PIL import Image

    images, labels = squares()
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = tmp_path / "photos" / f"color_{label}" / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)
    monkeypatch.chdir(tmp_path)
    command = ["compress", str(path), "photos", "--image-size", "16", "--limit", "params=3000", "--epochs", "2"]
    assert cli.main([*command, "--trials", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["best"]["kept_params"] <= 3000
    assert (tmp_path / "kgrow_runs" / "mine" / "model.tflite").is_file()


def test_the_command_names_what_is_not_there(tmp_path, capsys):
    assert cli.main(["compress", str(tmp_path / "none.keras"), "digits"]) == 2
    assert "must be a name or the path of a model, but there is no" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["compress", "--help"])
    told = capsys.readouterr().out
    assert "kgrow compress MODEL DATASET" in told
    with pytest.raises(SystemExit):
        cli.main(["compress", "--help-all"])
    assert "--start" not in capsys.readouterr().out
