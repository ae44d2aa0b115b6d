"""Small models of a user's own."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def layers():
    from kgrow._keras import keras

    return keras.layers


def scramble(model, seed=0):
    """Gives a model values as after some training."""
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        if variable.dtype != "float32":
            continue
        if any(kind in variable.name for kind in ("gamma", "variance")):
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))
        else:
            fan_in = max(1, int(np.prod(variable.shape[:-1])))
            variable.assign(generator.normal(0, fan_in**-0.5, variable.shape))
    return model


@pytest.fixture(scope="session")
def scrambled():
    return scramble


@pytest.fixture(scope="session")
def branched(layers):
    """8x8x3 images in three classes; an addition, a depthwise convolution, a concatenation and Flatten."""
    from kgrow._keras import keras

    image = keras.Input((8, 8, 3), name="image")
    x = layers.Rescaling(1 / 128, -1, name="scaling")(image)
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="stem")(x)
    x = layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_norm")(x))
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    y = layers.Conv2D(4, 1, name="pointwise")(layers.Activation("tanh", name="tanh")(y))
    x = layers.Add(name="sum")([x, y])
    z = layers.Conv2D(6, 3, strides=2, activation="relu", name="strided")(x)
    w = layers.AveragePooling2D(2, name="pool")(layers.ZeroPadding2D(((0, 0), (0, 0)), name="pad")(x))
    w = layers.Conv2D(5, 2, activation="sigmoid", name="sigmoid")(w)
    x = layers.Concatenate(name="both")([z, w])
    x = layers.Dropout(0.1, name="dropout")(layers.Flatten(name="flat")(x))
    x = layers.Dense(7, activation="relu", name="hidden")(x)
    return scramble(keras.Model(image, layers.Dense(3, activation="softmax", name="classes")(x), name="branched"))


@pytest.fixture(scope="session")
def trained(layers, tiny_task):
    """A plain Sequential model that has learned `tiny_task`."""
    from kgrow._keras import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Rescaling(1 / 128, -1),
            layers.Conv2D(8, 3, name="conv"),
            layers.BatchNormalization(momentum=0.9, name="norm"),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="classes"),
        ],
        name="trained",
    )
    model.compile(keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(tiny_task.train.images, tiny_task.train.labels, batch_size=16, epochs=25, verbose=0)
    return model
