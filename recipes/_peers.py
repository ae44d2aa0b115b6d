"""The tools that `bench_peers.py` compares. It starts each in a process of its own, AutoKeras also elsewhere."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from kgrow.task import Task

STARTED = time.monotonic()  # imports count
TRAIN, TEST, MODEL = "train.npz", "test.npz", "model.tflite"
EXPORT_SHARE, MOST_EXPORT_S = 0.2, 30.0  # of the time, for a peer's conversion
SEARCH_SHARE = 0.6  # of KerasTuner's time; the best is trained on in the rest
SAFE_SHARE = 0.95  # of the time, for the epochs of ResNet-8: the speed of steps varies
HELD_OUT = 0.15  # of the training images by AutoKeras, as by kgrow
VALIDATION_SHARE = 0.05  # of AutoKeras' time, for the last validation
SPARSITY, NUM_PRUNINGS, NEVER = 0.5, 20, 2**40
BATCH, RATE, NUM_REPRESENTATIVE = 64, 2e-3, 200


@dataclasses.dataclass(frozen=True)
class Job:
    """What one process does.

    Args:
        name: Of the images.
        data: Folder with them.
        out: Folder for the file, and for what else the tool writes.
        minutes: That the process may take, imports included.
        seed: Of everything that is drawn.
        flash: Largest file of kgrow's, such as `"16KB"`; None for no limit.
    """

    name: str
    data: str
    out: str
    minutes: float
    seed: int
    flash: str | None

    @property
    def model(self) -> Path:
        """The file that the tool leaves."""
        return Path(self.out, MODEL)

    def left(self) -> float:
        """Returns the seconds until the process has to end."""
        return STARTED + 60 * self.minutes - time.monotonic()

    def trainable(self) -> float:
        """Returns the seconds until a peer has to convert."""
        return self.left() - min(EXPORT_SHARE * 60 * self.minutes, MOST_EXPORT_S)

    def task(self) -> Task:
        """Returns the images, those to validate on set aside as kgrow does it."""
        from kgrow.task import Task

        train, test = pairs(self.data, TRAIN), pairs(self.data, TEST)
        return Task.of(train, test_data=test, name=self.name, seed=self.seed)


def pairs(folder: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns images and labels from a file."""
    with np.load(Path(folder, name)) as arrays:
        return arrays["images"], arrays["labels"]


def kgrow(job: Job) -> None:
    """The search as it is, within the time; limits only if they are asked for."""
    import kgrow

    task = job.task()
    limits = None if job.flash is None else {"flash_bytes": job.flash}
    options: dict[str, Any] = {"limits": limits, "tuning": {"prefer": "accurate"}, "seed": job.seed}
    result = kgrow.search(task, max_time=job.left(), directory=job.out, verbose=2, **options)
    shutil.copy(result.directory / MODEL, job.model)


def resnet8(job: Job) -> None:
    """As written by hand: an epoch whose pace says how many fit, then pruning while the rate falls."""
    from kgrow._keras import keras, tf
    from kgrow._tfmot import tfmot

    keras.utils.set_random_seed(job.seed)
    task = job.task()
    batches, standardized = _batches(task)
    sparsity = tfmot.sparsity.keras

    def prunable(model: Any, begin: int, steps: int) -> Any:
        frequency = max(1, steps // NUM_PRUNINGS)
        end = begin + steps // frequency * frequency
        schedule = sparsity.PolynomialDecay(0.0, SPARSITY, begin, end, frequency=frequency)
        wrapped = sparsity.prune_low_magnitude(model, pruning_schedule=schedule)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        wrapped.compile(keras.optimizers.Adam(RATE), loss, metrics=["accuracy"])
        return wrapped

    def trained(model: Any, epochs: int, until: Any) -> Any:
        callbacks = [sparsity.UpdatePruningStep(), until]
        model.fit(batches, epochs=epochs, callbacks=callbacks, verbose=2)
        return sparsity.strip_pruning(model)

    pace = _until(keras, job.trainable)
    model = trained(prunable(_resnet8(keras, task), NEVER, NUM_PRUNINGS), 1, pace)
    epoch_s = pace.step_s * len(batches)
    epochs = max(1, int(SAFE_SHARE * (job.trainable() - pace.traced_s) / epoch_s))
    steps = epochs * len(batches)
    print(f"{epoch_s:.2f} s per epoch, {epochs} more", flush=True)
    model = prunable(model, steps // 4, max(1, steps // 2))
    model = trained(model, epochs, _until(keras, job.trainable, RATE, lasting=pace.traced_s + epochs * epoch_s))
    answers = model.predict(standardized(task.validation.images), verbose=0).argmax(axis=-1)
    print(f"validation accuracy {np.mean(answers == task.validation.labels):.4f}", flush=True)
    _write_int8(tf, lambda image: model(standardized(image), training=False), task.train.images, job.model)


def _resnet8(keras: Any, task: Task) -> Any:
    """Returns three stacks of two convolutions with a shortcut, of 16, 32 and 64 filters."""
    layers = keras.layers

    def convolved(tensor: Any, filters: int, size: int = 3, stride: int = 1) -> Any:
        decay = keras.regularizers.L2(1e-4)
        options = {"padding": "same", "kernel_initializer": "he_normal", "kernel_regularizer": decay}
        return layers.Conv2D(filters, size, stride, **options)(tensor)

    def normalized(tensor: Any) -> Any:
        return layers.BatchNormalization()(tensor)

    pixels = keras.Input(task.input_shape)
    tensor = layers.ReLU()(normalized(convolved(pixels, 16)))
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        inside = layers.ReLU()(normalized(convolved(tensor, filters, stride=stride)))
        inside = normalized(convolved(inside, filters))
        shortcut = tensor if stride == 1 else convolved(tensor, filters, 1, stride)
        tensor = layers.ReLU()(layers.Add()([shortcut, inside]))
    pooled = layers.GlobalAveragePooling2D()(tensor)
    return keras.Model(pixels, layers.Dense(task.num_classes, kernel_initializer="he_normal")(pooled))


def kerastuner(job: Job) -> None:
    """Random search over small convolutional networks, one a minute; the best is trained on."""
    import keras  # Keras 3, which KerasTuner takes
    import keras_tuner

    from kgrow._keras import tf

    keras.utils.set_random_seed(job.seed)
    task = job.task()
    batches, standardized = _batches(task)
    trials, seconds = max(2, round(job.minutes)), SEARCH_SHARE * job.trainable()
    tuner = keras_tuner.RandomSearch(
        lambda hp: _convolutional(keras, task, hp),
        objective="val_accuracy",
        max_trials=trials,
        seed=job.seed,
        directory=job.out,
        project_name="trials",
    )
    held_out = tf.data.Dataset.from_tensor_slices((task.validation.images, task.validation.labels)).batch(256)
    held_out = held_out.map(lambda images, labels: (standardized(images), labels))
    until = _until(keras, job.trainable, lasting=seconds / trials)
    tuner.search(batches, validation_data=held_out, epochs=1_000, callbacks=[until], verbose=2)
    model, rate = tuner.get_best_models()[0], tuner.get_best_hyperparameters()[0]["rate"]
    model.fit(batches, epochs=1_000, callbacks=[_until(keras, job.trainable, rate)], verbose=2)
    _write_int8(tf, lambda image: model(standardized(image), training=False), task.train.images, job.model)


def _convolutional(keras: Any, task: Task, hp: Any) -> Any:
    layers = keras.layers
    tensor = pixels = keras.Input(task.input_shape)
    for block in range(hp.Int("blocks", 2, 4)):
        filters = hp.Choice(f"filters_{block}", [8, 16, 32, 64])
        tensor = layers.Conv2D(filters, 3, padding="same", use_bias=False)(tensor)
        tensor = layers.MaxPooling2D()(layers.ReLU()(layers.BatchNormalization()(tensor)))
    tensor = layers.GlobalAveragePooling2D()(tensor) if hp.Boolean("average") else layers.Flatten()(tensor)
    if units := hp.Choice("units", [0, 32, 64]):
        tensor = layers.Dense(units, activation="relu")(tensor)
    tensor = layers.Dropout(hp.Choice("dropout", [0.0, 0.2, 0.4]))(tensor)
    model = keras.Model(pixels, layers.Dense(task.num_classes)(tensor))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(hp.Choice("rate", [3e-4, 1e-3, 3e-3])), loss, metrics=["accuracy"])
    return model


def autokeras(job: Job) -> None:
    """Its classifier as it is, until the time is over. Nothing of kgrow's is imported: it has another environment."""
    import autokeras
    import keras
    import tensorflow as tf

    images, labels = pairs(job.data, TRAIN)
    rows = np.random.default_rng(job.seed).permutation(len(labels))
    held_out, rows = np.split(rows, [round(HELD_OUT * len(labels))])
    search = autokeras.ImageClassifier(max_trials=1_000, directory=job.out, seed=job.seed, overwrite=True)

    def end() -> None:
        search.tuner.oracle.max_trials = 1  # begins no other

    def late(batch: int, logs: Any = None) -> None:
        is_best_known = any(trial.score is not None for trial in search.tuner.oracle.trials.values())
        if job.trainable() < 0 and is_best_known:  # a large network: this trial fails
            end()
            raise TimeoutError("the time is over")

    until = _until(keras, lambda: job.trainable() - VALIDATION_SHARE * 60 * job.minutes, ended=end)
    callbacks = [until, keras.callbacks.LambdaCallback(on_test_batch_end=late)]
    # Told which images to validate on, it does not train the best again on all of them, which nothing could end.
    validation = (images[held_out], labels[held_out])
    search.fit(images[rows], labels[rows], validation_data=validation, callbacks=callbacks, verbose=2)
    model = search.export_model()
    _write_int8(tf, lambda image: model(image, training=False), images, job.model)


def _batches(task: Task) -> tuple[Any, Callable[[Any], Any]]:
    """Returns the training images in batches, changed at random as kgrow changes them, and what standardizes pixels."""
    from kgrow._keras import tf
    from kgrow.task import Augmentation

    mean, deviation = float(np.mean(task.pixel_mean)), float(np.mean(task.pixel_std))
    augmentation = Augmentation.suited_to(task)

    def standardized(images: Any) -> Any:
        return (tf.cast(images, tf.float32) - mean) / deviation

    def changed(images: Any, labels: Any) -> Any:
        draw = tf.random.uniform((2,), maxval=2**31 - 1, dtype=tf.int32)
        return augmentation.augment(standardized(images), draw), labels

    pairs = tf.data.Dataset.from_tensor_slices((np.asarray(task.train.images), task.train.labels))
    batches = pairs.shuffle(len(task.train)).batch(BATCH, drop_remainder=True).map(changed, tf.data.AUTOTUNE)
    return batches.prefetch(2), standardized


def _until(
    keras: Any,
    left: Callable[[], float],
    rate: float | None = None,
    lasting: float = math.inf,
    ended: Callable[[], None] = lambda: None,
) -> Any:
    """Returns a callback that ends a training in time.

    Args:
        keras: The Keras of the model.
        left: Returns the seconds until all training has to end.
        rate: Learning rate at the beginning, which falls to zero as a cosine; None leaves it.
        lasting: Most seconds of one training.
        ended: Called when the time is over.
    """

    class Until(keras.callbacks.Callback):
        step_s = traced_s = 0.0  # seconds of a step in a single epoch, and of the first, which is traced

        def on_train_begin(self, logs: Any = None) -> None:
            self.began, self.seconds, self.first = time.monotonic(), max(1e-3, min(left(), lasting)), 0.0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            now = time.monotonic()
            if not self.first:
                self.first, self.traced_s = now, now - self.began
            self.step_s = (now - self.first) / batch if batch else self.traced_s
            part = min(1.0, (now - self.began) / self.seconds)
            if rate is not None:
                self.model.optimizer.learning_rate.assign(rate * (1 + math.cos(math.pi * part)) / 2)
            if part == 1:
                self.model.stop_training = True
                ended()

    return Until()


def _write_int8(tf: Any, predict: Callable[[Any], Any], images: np.ndarray, path: Path) -> None:
    """Converts a function of pixels; calibrated on training images."""
    signature = tf.TensorSpec((1, *images.shape[1:]), tf.float32, name="image")
    classify = tf.function(lambda image: {"logits": predict(image)}, input_signature=[signature], autograph=False)
    function = classify.get_concrete_function()
    module = tf.Module()
    module.variables_read = list(function.variables)  # else the converter drops the signature
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    few = np.asarray(images[:NUM_REPRESENTATIVE], np.float32)
    converter.representative_dataset = lambda: ([image[np.newaxis]] for image in few)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type, converter.inference_output_type = tf.uint8, tf.int8
    path.write_bytes(converter.convert())


TOOLS = {tool.__name__: tool for tool in (kgrow, resnet8, kerastuner, autokeras)}

if __name__ == "__main__":
    TOOLS[sys.argv[1]](Job(**json.loads(sys.argv[2])))
