"""Writes models in every form that a library has, with what they answer to some images.

python write_models.py {keras,tf_keras} FOLDER MODEL...
"""

import sys
from pathlib import Path

import numpy as np

LIBRARY, FOLDER = sys.argv[1], Path(sys.argv[2])
if LIBRARY == "keras":
    import keras
else:
    import tf_keras as keras

L = keras.layers


def everything():
    """Preprocessing, inner models, squeeze and excitation, hard-swish, arithmetic on tensors, and weight decay."""
    image = L.Input((20, 20, 3), name="photo")
    x = L.Resizing(16, 16)(image)
    x = L.RandomFlip("horizontal")(x)
    x = L.RandomRotation(0.1)(x)
    x = L.Normalization(mean=[120.0, 110.0, 100.0], variance=[900.0, 800.0, 700.0])(x)
    x = x / 2.0 + 0.1
    x = L.Conv2D(8, 3, strides=2, padding="same", use_bias=False, kernel_regularizer="l2")(x)
    x = L.BatchNormalization()(x)
    x = L.Multiply()([x, L.ReLU(6.0)(x + 3.0) * (1 / 6)])
    deepest = keras.Sequential([L.Input((8, 8, 8)), L.Conv2D(8, 1), L.LeakyReLU()], name="deepest")
    inside = [L.Input((8, 8, 8)), L.DepthwiseConv2D(3, padding="same"), L.BatchNormalization(), L.ReLU(6.0), deepest]
    y = keras.Sequential(inside, name="inner")(x)
    s = L.Reshape((1, 1, 8))(L.GlobalAveragePooling2D()(y))
    s = L.Conv2D(4, 1, activation="relu")(s)
    s = L.Conv2D(8, 1, activation="sigmoid")(s)
    x = x + L.Multiply()([y, s])
    x = L.SeparableConv2D(12, 3, padding="same", activation="swish")(x)
    x = L.GaussianNoise(0.1)(x)
    x = L.Dropout(0.2, noise_shape=(None, 1, 1, 1))(x)
    x = L.Dropout(0.2)(L.GlobalAveragePooling2D()(x))
    return keras.Model(image, L.Dense(5, activation="softmax", name="probabilities")(x))


def chain():
    """A Sequential model, frozen in part."""
    layers = [L.Input((16, 16, 1)), L.Rescaling(1 / 128, -1), L.Conv2D(6, 5, activation="tanh"), L.MaxPooling2D()]
    model = keras.Sequential([*layers, L.BatchNormalization(scale=False), L.Flatten(), L.Dense(4)])
    model.layers[1].trainable = False
    model.layers[3].trainable = False
    return model


def backbone(name, **options):
    """A published network, and a classifier of one's own around it."""
    inner = getattr(keras.applications, name)(input_shape=(32, 32, 3), include_top=False, weights=None, **options)
    image = L.Input((32, 32, 3))
    return keras.Model(image, L.Dense(4)(L.GlobalAveragePooling2D()(inner(image))))


MODELS = {
    "everything": everything,
    "chain": chain,
    "mobilenet_v2": lambda: backbone("MobileNetV2", alpha=0.35),
    "mobilenet_v3": lambda: backbone("MobileNetV3Small", alpha=0.75),
    "efficientnet": lambda: backbone("EfficientNetB0"),
}


def filled(model, draw):
    """Returns a model as after some training."""
    for variable in model.weights:
        name = getattr(variable, "path", variable.name)
        if "variance" in name or "gamma" in name:
            variable.assign(draw.uniform(0.7, 1.3, variable.shape))
        elif "kernel" in name:
            variable.assign(draw.normal(0, np.sqrt(2 / np.prod(variable.shape[:-1])), variable.shape))
        elif "count" not in name and "seed" not in name:
            variable.assign(draw.normal(0, 0.1, variable.shape))
    return model


for model_name in sys.argv[3:]:
    generator = np.random.default_rng(len(model_name))
    written = filled(MODELS[model_name](), generator)
    images = generator.uniform(0, 255, (6, *written.input_shape[1:])).astype(np.float32)
    answers = np.asarray(written(images, training=False))
    np.savez(FOLDER / f"{model_name}.npz", images=images, answers=answers)
    written.save(FOLDER / f"{model_name}.keras")
    written.save(FOLDER / f"{model_name}.h5")
    if LIBRARY == "tf_keras" and model_name in ("chain", "everything"):
        written.save(FOLDER / f"{model_name}_saved", save_format="tf")
    if LIBRARY == "keras" and model_name == "chain":
        written.export(FOLDER / "exported")
