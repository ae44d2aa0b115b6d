"""A user's own trained model to a narrower one, with its figures."""

import json

import numpy as np
import pytest

import kgrow
from kgrow._keras import keras
from kgrow.compressing.fine_tuning import Recovery
from kgrow.compressing.reading import outputs


def accuracy(model, split):
    return float(np.mean(outputs(model, split.images).argmax(axis=-1) == split.labels))


QUICK = {"steps": 2, "epochs": 3, "batch_size": 16, "verbose": 0}


@pytest.fixture(scope="module")
def compressed(trained, tiny_task):
    return kgrow.compress(trained, tiny_task, keep_ratio=0.3, learning_rate=0.01, **QUICK)


def test_model_is_narrower_and_the_users_is_left_alone(compressed, trained):
    assert compressed.model.get_layer("conv").filters == 4
    assert compressed.model.get_layer("classes").units == 3
    assert trained.get_layer("conv").filters == 8
    assert type(compressed.model).__module__.startswith("tf_keras")


def test_figures_are_those_of_the_model(compressed, trained, tiny_task):
    before, after = compressed.document["before"], compressed.document["after"]
    assert before["val_accuracy"] == accuracy(trained, tiny_task.validation)
    assert before["test_accuracy"] == accuracy(trained, tiny_task.test)
    assert after["test_accuracy"] == accuracy(compressed.model, tiny_task.test)
    assert (before["params"], after["params"]) == (trained.count_params(), compressed.model.count_params())
    assert (before["macs"], after["macs"]) == (36 * 27 * 8 + 8 * 3, 36 * 27 * 4 + 4 * 3)
    assert compressed.document["layers"] == [
        {"name": "conv", "channels_before": 8, "channels_after": 4},
        {"name": "classes", "channels_before": 3, "channels_after": 3},
    ]


def test_document_is_plain_json(compressed):
    assert json.loads(json.dumps(compressed.document)) == compressed.document


def test_connections_inside_are_pruned_to_the_exact_count(compressed):
    kernels = [v.numpy() for v in compressed.model.weights if "kernel" in v.name]
    kept = sum(int(np.count_nonzero(kernel)) for kernel in kernels)
    assert kept == int(0.3 * (27 * 8 + 8 * 3)) == compressed.document["after"]["kept_params"]


def test_same_seed_gives_the_same_model(compressed, trained, tiny_task):
    again = kgrow.compress(trained, tiny_task, keep_ratio=0.3, learning_rate=0.01, **QUICK)
    assert again.document == compressed.document
    for one, other in zip(compressed.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_call_that_was_interrupted_goes_on_in_its_directory(
    compressed, trained, tiny_task, tmp_path, monkeypatch, epoch
):
    given = {"keep_ratio": 0.3, "learning_rate": 0.01, "directory": tmp_path / "run", **QUICK}
    original = Recovery.train_epoch

    def interrupted(self, number, on_step):
        original(self, number, on_step)
        if number == epoch:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Recovery, "train_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            kgrow.compress(trained, tiny_task, **given)
    trained_again = []
    monkeypatch.setattr(Recovery, "train_epoch", lambda *told: trained_again.append(told[1]) or original(*told))
    again = kgrow.compress(trained, tiny_task, **given)
    assert trained_again == list(range(epoch, 3))
    assert again.document == compressed.document
    for one, other in zip(compressed.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match=r"`directory` must hold a run of the same configuration.*plan.keep_ratio"):
        kgrow.compress(trained, tiny_task, **given | {"keep_ratio": 0.2})
    other = keras.models.clone_model(trained)
    other.set_weights([0.9 * weight for weight in trained.get_weights()])
    other.compile(loss=trained.loss)
    with pytest.raises(ValueError, match=r"`directory` must hold a run of the same configuration.*weights"):
        kgrow.compress(other, tiny_task, **given)
    assert kgrow.compress(trained, tiny_task, **given | {"keep_ratio": 0.2}, overwrite=True).document


def test_fine_tuning_recovers_what_pruning_cost(compressed):
    assert compressed.document["after"]["val_accuracy"] >= 0.9


def test_summary_shows_both_sides(compressed, capsys):
    compressed.summary()
    text = capsys.readouterr().out
    assert text.startswith("trained on tiny, compressed.")
    for line in ("validation %", "MACs per image", "conv "):
        assert line in text


def test_steps_are_told_on_standard_error(trained, tiny_task, capsys):
    kgrow.compress(trained, tiny_task, **{**QUICK, "verbose": 2})
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("pruned to") == 2
    assert "epoch 3 of 3: validation" in err


def test_arrays_on_the_users_own_scale_are_taken_as_they_are(trained, tiny_task):
    def scaled(split):
        return (split.images / np.float32(255), split.labels)

    image = keras.Input((8, 8, 3))
    twin = keras.models.clone_model(trained)
    twin.set_weights(trained.get_weights())
    x = keras.layers.Rescaling(255 / 128, -1)(image)
    for layer in twin.layers[1:]:
        x = layer(x)
    own = keras.Model(image, x)
    data = {"validation_data": scaled(tiny_task.validation), "test_data": scaled(tiny_task.test)}
    found = kgrow.compress(own, scaled(tiny_task.train), **data, **QUICK)
    assert found.task.dtype == np.float32
    assert found.document["before"]["test_accuracy"] == accuracy(trained, tiny_task.test)


def test_model_that_answers_by_chance_is_refused_with_the_likely_reason(trained, tiny_task):
    unscaled = keras.models.clone_model(trained)
    with pytest.raises(ValueError, match=r"better than by chance, 52\.6 % .*begin the model with a Rescaling layer"):
        kgrow.compress(unscaled, tiny_task, **QUICK)


def test_scale_criterion_without_normalization_is_refused(layers, tiny_task):
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(1 / 128, -1), layers.Flatten()])
    model.add(layers.Dense(8, name="hidden"))
    model.add(layers.Dense(3))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(tiny_task.train.images, tiny_task.train.labels, epochs=30, verbose=0)
    with pytest.raises(ValueError, match=r"must not be 'network_slimming' .* 'hidden' have none\. Use 'taylor'"):
        kgrow.compress(model, tiny_task, channel_criterion="network_slimming", **QUICK)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"channel_keep_ratio": 0}, r"`channel_keep_ratio` must be in \(0, 1\]"),
        ({"keep_ratio": 35}, r"`keep_ratio` must be in \(0, 1\]"),
        ({"channel_criterion": "tailor"}, "`channel_criterion` must be one of .* Did you mean 'taylor'"),
        ({"criterion": "snap"}, "`criterion` must be one of"),
        ({"channel_multiple": 0}, "`channel_multiple` must be a positive integer"),
        ({"steps": 0}, "`steps` must be a positive integer"),
        ({"steps": 4}, "`epochs` must be at least `steps`, 4, but got 3"),
        ({"batch_size": 0}, "`batch_size` must be a positive integer"),
        ({"learning_rate": 0}, "`learning_rate` must be positive"),
        ({"verbose": 3}, "`verbose` must be 0"),
    ],
)
def test_arguments_that_cannot_be_are_refused(wrong, message, trained, tiny_task):
    with pytest.raises(ValueError, match=message):
        kgrow.compress(trained, tiny_task, **{**QUICK, **wrong})


def test_model_is_refused_before_the_data_are_read(tiny_task):
    with pytest.raises(TypeError, match="model of Keras, or the path of a file, but got None"):
        kgrow.compress(None, "no such data set")
