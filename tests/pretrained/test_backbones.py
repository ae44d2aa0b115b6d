import dataclasses

import numpy as np
import pytest

from kgrow._keras import keras, tf
from kgrow.graph.node import IMAGE
from kgrow.models.files import sha256_of
from kgrow.pretrained.lite0 import lite0
from kgrow.pretrained.mobilenet_v2 import in_torch
from kgrow.pretrained.sources import backbone, read_weights
from kgrow.registry import BACKBONES

KERAS = [
    ("mobilenet_v1_0.25", keras.applications.MobileNet, 0.25),
    ("mobilenet_v2_0.35", keras.applications.MobileNetV2, 0.35),
]


def built(published, side, width=1.0, channels=3):
    grids = [2] * (len(published.blocks) - 1) + [1]
    return published.architecture((side, side, channels), 4, width, grids)


def features(architecture, values, images):
    """The last map of the body, node by node in inference."""
    scaling = architecture.scaling
    maps = {IMAGE: tf.constant((images - scaling.mean) / scaling.std, tf.float32)}
    for node in (node for block in architecture.blocks for node in block.nodes):
        own = {name.rpartition("/")[2]: value for name, value in values.items() if name.rpartition("/")[0] == node.name}
        inputs = [maps[source] for source in node.inputs]
        if node.operator.kind == "batch_norm":
            statistics = (own[name] for name in ("moving_mean", "moving_variance", "beta", "gamma"))
            maps[node.name] = tf.nn.batch_normalization(inputs[0], *statistics, node.operator.epsilon)
        else:
            maps[node.name] = node.operator.compute(inputs, own)
    return maps[node.name].numpy()


def random_images(side, seed=0, channels=3):
    return np.random.default_rng(seed).integers(0, 256, (2, side, side, channels)).astype(np.float32)


def with_random_weights(model, seed=0):
    """Gives a Keras model statistics unlike those of a new one."""
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        arrays = [array + generator.normal(0, 0.05, array.shape) for array in layer.get_weights()]
        if isinstance(layer, keras.layers.BatchNormalization):
            arrays[3] = np.abs(arrays[3]) + 0.1
        layer.set_weights(arrays)
    return model


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("suffix", [".h5", ".keras", "whole.h5"])
@pytest.mark.parametrize(("name", "make", "alpha"), KERAS)
def test_a_file_of_keras_applications_gives_what_its_model_computes(name, make, alpha, suffix, tmp_path):
    model = with_random_weights(make(weights=None, include_top=False, input_shape=(64, 64, 3), alpha=alpha))
    path = tmp_path / f"weights{suffix}"
    (model.save_weights if suffix == ".h5" else model.save)(path)
    published = backbone(name)
    architecture = built(published, 64)
    values = published.initial(architecture, read_weights(path, sha256_of(path)))
    assert sum(value.size for value in values.values()) == model.count_params()
    images = random_images(64)
    expected = model(images / 127.5 - 1.0, training=False).numpy()
    np.testing.assert_allclose(features(architecture, values, images), expected, atol=1e-4 * np.abs(expected).max())


def in_file(published, seed=0):
    """Random arrays under the names of a torch file."""
    generator, weights = np.random.default_rng(seed), {}
    architecture = built(published, 64)
    for each in published.convolutions():
        node = architecture.by_name[each.name]
        height, width, inputs, outputs = node.operator.kernel_shape(*architecture.input_shapes(node))
        layer, norm = each.layer
        shape = (inputs, 1, height, width) if each.is_depthwise else (outputs, inputs, height, width)
        channels = inputs if each.is_depthwise else outputs
        fan_in = height * width * (1 if each.is_depthwise else inputs)
        weights[f"{layer}.weight"] = generator.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32)
        weights[f"{norm}.weight"] = generator.uniform(0.5, 1.5, channels).astype(np.float32)
        for part in ("bias", "running_mean"):
            weights[f"{norm}.{part}"] = generator.normal(0, 0.3, channels).astype(np.float32)
        weights[f"{norm}.running_var"] = generator.uniform(0.5, 2, channels).astype(np.float32)
    return weights


def reference(published, weights, images):
    """The published network in plain TensorFlow, from its file's arrays and Table 2 of MobileNetV2's form."""
    scaling = published.scaling
    maps = tf.constant((images - scaling.mean) / scaling.std, tf.float32)

    def convolved(maps, layer, side, stride, depthwise, relu=True):
        name, norm = layer
        kernel = weights[f"{name}.weight"].transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
        padding = "SAME"
        if published.pads_evenly and stride > 1:
            maps, padding = tf.pad(maps, [[0, 0], [side // 2] * 2, [side // 2] * 2, [0, 0]]), "VALID"
        steps = (1, stride, stride, 1)
        convolve = tf.nn.depthwise_conv2d if depthwise else tf.nn.conv2d
        maps = convolve(maps, kernel, steps, padding)
        parts = [weights[f"{norm}.{part}"] for part in ("running_mean", "running_var", "bias", "weight")]
        maps = tf.nn.batch_normalization(maps, *parts, published.epsilon)
        return tf.nn.relu6(maps) if relu else maps

    for unit in (unit for block in published.blocks for unit in block):
        if unit.kind == "conv":
            maps = convolved(maps, unit.layers[0], unit.kernel_size, unit.stride, False)
            continue
        before = maps
        if len(unit.layers) == 3:
            maps = convolved(maps, unit.layers[0], 1, 1, False)
        maps = convolved(maps, unit.layers[-2], unit.kernel_size, unit.stride, True)
        maps = convolved(maps, unit.layers[-1], 1, 1, False, relu=False)
        if unit.stride == 1 and before.shape == maps.shape:
            maps = before + maps
    return maps.numpy()


@pytest.mark.parametrize("make", [lite0, in_torch])
@pytest.mark.parametrize("side", [64, 75])
def test_a_file_of_torch_gives_what_the_published_network_computes(make, side):
    published = make()
    weights, images = in_file(published), random_images(side)
    architecture = built(published, side)
    values = published.initial(architecture, weights)
    expected = reference(published, weights, images)
    np.testing.assert_allclose(features(architecture, values, images), expected, atol=1e-4 * np.abs(expected).max())


# Parameters without the classifier: Lite0 and MobileNetV2 as their files have them, keras-applications' own counts.
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("lite0", 3_413_024),
        ("mobilenet_v1_0.25", 218_544),
        ("mobilenet_v1_1.0", 3_228_864),
        ("mobilenet_v2_0.35", 410_208),
        ("mobilenet_v2_1.0", 2_257_984),
        ("mobilenet_v2_1.4", 4_363_712),
    ],
)
def test_sizes_are_the_published_ones(name, count):
    published = backbone(name)
    architecture = built(published, 224)
    channels = sum(4 * architecture.shapes[each.name][-1] for each in published.convolutions())
    kernels = sum(
        int(
            np.prod(
                architecture.by_name[each.name].operator.kernel_shape(
                    *architecture.input_shapes(architecture.by_name[each.name])
                )
            )
        )
        for each in published.convolutions()
    )
    assert kernels + channels == count


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("side", [32, 96])
def test_every_block_of_every_width_is_a_network(name, side):
    for width in (1.0, 0.5, 0.25):
        architecture = built(backbone(name), side, width)
        for depth in range(1, len(architecture.blocks) + 1):
            dataclasses.replace(architecture, blocks=architecture.blocks[:depth])


def test_gray_images_are_three_equal_channels():
    published = backbone("lite0")
    weights, gray = in_file(published), random_images(64, channels=1)
    values = published.initial(built(published, 64, channels=1), weights)
    expected = reference(published, weights, np.repeat(gray, 3, axis=3))
    found = features(built(published, 64, channels=1), values, gray)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("damage", ["missing", "shape", "axes"])
def test_weights_of_another_network_are_refused(damage):
    published = lite0()
    weights = in_file(published)
    name = "_blocks.3._expand_conv.weight"
    if damage == "missing":
        del weights[name]
    else:
        weights[name] = weights[name][:-8] if damage == "shape" else weights[name][0]
    with pytest.raises(ValueError, match=r"_blocks\.3\._expand_conv"):
        published.initial(built(published, 64), weights)


def in_keras_file(published):
    """Random arrays under the names of a file of Keras."""
    weights, architecture = {}, built(published, 64)
    generator = np.random.default_rng(0)
    for each in published.convolutions():
        node = architecture.by_name[each.name]
        shape = node.operator.kernel_shape(*architecture.input_shapes(node))
        layer, norm = each.layer
        weights[f"{layer}/{'depthwise_kernel' if each.is_depthwise else 'kernel'}"] = generator.normal(size=shape)
        for part in ("gamma", "beta", "moving_mean", "moving_variance"):
            weights[f"{norm}/{part}"] = generator.uniform(0.5, 1.5, architecture.shapes[each.name][-1])
    return weights
