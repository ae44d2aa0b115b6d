"""What can be compressed, and errors that name what cannot."""

import numpy as np
import pytest

from kgrow._keras import keras, tf
from kgrow.compressing.reading import network_of, outputs, read
from kgrow.graph.keras_models import LAYERS, to_keras
from kgrow.network.early_exit import softmax

L = keras.layers
pytestmark = pytest.mark.usefixtures("eagerly")


def small(*middle, image=(8, 8, 3), last=None):
    """A model with some layers between a convolution and the classes."""
    ends = [L.GlobalAveragePooling2D(), last or L.Dense(3)]
    return keras.Sequential([keras.Input(image), L.Conv2D(4, 3, padding="same"), *middle, *ends])


def test_copy_computes_the_same_and_the_model_is_left_alone(branched, tiny_task):
    before = [weights.copy() for weights in branched.get_weights()]
    given = read(branched, tiny_task)
    images = tiny_task.test.images
    copied = to_keras(given.weighted, softmax=given.ends_in_softmax, name="copy")
    np.testing.assert_allclose(outputs(copied, images), outputs(branched, images), atol=1e-6)
    np.testing.assert_allclose(softmax(network_of(given).logits(images)[0]), outputs(branched, images), atol=1e-6)
    for variable in copied.variables:
        variable.assign(variable * 0)
    assert all(np.array_equal(*pair) for pair in zip(before, branched.get_weights(), strict=True))


def test_work_is_what_the_layers_do(branched, tiny_task):
    stem, depthwise, pointwise = 64 * 27 * 4, 64 * 9 * 4, 64 * 16
    rest = 9 * 36 * 6 + 9 * 16 * 5 + 99 * 7 + 7 * 3
    assert read(branched, tiny_task).weighted.architecture.macs() == stem + depthwise + pointwise + rest


@pytest.mark.parametrize(
    "middle",
    [
        [L.LeakyReLU()],
        [L.SpatialDropout2D(0.2)],
        [L.Normalization(mean=[1.0] * 4, variance=[2.0] * 4)],
        [L.SeparableConv2D(5, 3)],
        [L.Activation("swish")],
    ],
)
def test_supported_layers_are_read(middle, tiny_task):
    read(small(*middle), tiny_task)


def test_normalization_is_read_with_the_statistics_that_it_learned(tiny_task):
    layer = L.Normalization()
    layer.build((None, 8, 8, 3))
    layer.adapt_mean.assign([100.0, 110.0, 120.0])  # as `adapt` does, which warns under `eagerly`
    layer.adapt_variance.assign([900.0, 950.0, 980.0])
    layer.finalize_state()
    model = keras.Sequential([keras.Input((8, 8, 3)), layer, L.Flatten(), L.Dense(3)])
    read(model, tiny_task)


def test_sides_that_are_open_are_those_of_the_data(tiny_task):
    assert read(small(image=(None, None, 3)), tiny_task).weighted.architecture.input_shape == (8, 8, 3)


def test_model_of_uint8_images_is_read(tiny_task):
    image = keras.Input((8, 8, 3), dtype="uint8")
    read(keras.Model(image, L.Dense(3)(L.Flatten()(L.Rescaling(1 / 255)(image)))), tiny_task)


class Doubled(L.Layer):
    def call(self, inputs):
        return 2 * inputs


class OwnDense(L.Dense):
    def call(self, inputs):
        return -super().call(inputs)


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (Doubled(name="culprit"), "Doubled"),
        (L.Lambda(lambda x: x, name="culprit"), "Lambda"),
        (L.Conv2DTranspose(4, 3, name="culprit"), "Conv2DTranspose"),
        (L.LayerNormalization(name="culprit"), "LayerNormalization"),
        (L.PReLU(name="culprit"), "PReLU"),
        (OwnDense(4, name="culprit"), "OwnDense"),
    ],
)
def test_unsupported_layer_is_named_with_what_is_supported(layer, kind, tiny_task):
    with pytest.raises(ValueError, match=rf"its layer 'culprit' is a {kind}. Supported are .*Concatenate.*Conv2D"):
        read(small(layer), tiny_task)


def test_operator_on_a_tensor_is_named(tiny_task):
    image = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match=r"is the operation math\.reciprocal on tensors\. Sums and"):
        read(keras.Model(image, L.Dense(3)(L.Flatten()(tf.math.reciprocal(image)))), tiny_task)


@pytest.mark.parametrize(
    ("middle", "message"),
    [
        ([L.Conv2D(4, 3, groups=2, name="culprit")], r"'culprit' \(Conv2D\) has groups=2, where only 1 can be read"),
        ([L.BatchNormalization(axis=1, name="culprit")], "'culprit' .* works along the axis .*, where only the last"),
        ([L.Activation("softmax", name="culprit")], "comes after a softmax, which only the last layer may have"),
        ([L.Conv2D(4, 3, activation=L.ReLU(), name="culprit")], "'culprit' .* has the activation 'ReLU', where only"),
        (
            [L.MaxPooling2D(data_format="channels_first", name="culprit")],
            "'culprit' .* has data_format='channels_first'",
        ),
        ([L.Conv2D(4, 3, dilation_rate=(1, 2), name="culprit")], "'culprit' .* has another dilation in height"),
        ([L.Dense(4, activity_regularizer="l2", name="culprit")], "'culprit' .* has an activity regularizer"),
    ],
)
def test_settings_that_cannot_be_read_are_named(middle, message, tiny_task):
    with pytest.raises(ValueError, match=message):
        read(small(*middle), tiny_task)


def test_addition_that_broadcasts_is_named(tiny_task):
    image = keras.Input((8, 8, 3))
    x = L.Add(name="culprit")([L.Conv2D(4, 1)(image), L.Conv2D(1, 1)(image)])
    with pytest.raises(ValueError, match=r"its layer 'culprit' \(Add\) `add` must read maps of one shape"):
        read(keras.Model(image, L.Dense(3)(L.Flatten()(x))), tiny_task)


def test_layer_called_twice_is_named(tiny_task):
    image = keras.Input((8, 8, 3))
    shared = L.Conv2D(3, 3, padding="same", name="shared")
    with pytest.raises(ValueError, match=r"calls 'shared' 2 times\. Give each place"):
        read(keras.Model(image, L.Dense(3)(L.Flatten()(shared(shared(image))))), tiny_task)


def test_several_inputs_or_outputs_are_refused(tiny_task):
    first, second = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    classes = L.Dense(3)(L.Flatten()(L.Add()([first, second])))
    with pytest.raises(ValueError, match="one input, but has 2"):
        read(keras.Model([first, second], classes), tiny_task)
    features = L.Flatten()(first)
    with pytest.raises(ValueError, match="one output, but has 2"):
        read(keras.Model(first, [L.Dense(3)(features), L.Dense(3)(features)]), tiny_task)


@pytest.mark.parametrize(
    ("image", "last", "message"),
    [
        ((9, 9, 3), None, r"images of \(8, 8, 3\), as the data set gives them, but reads \(9, 9, 3\).*`image_size`"),
        ((8, 8, 3), L.Dense(10), r"each of the 3 classes of the data set, but gives \(10,\)"),
        ((8, 8, 3), L.Dense(1, activation="sigmoid"), r"gives \(1,\). A single sigmoid .* two outputs with softmax"),
    ],
)
def test_model_that_does_not_fit_the_data_is_refused(image, last, message, tiny_task):
    with pytest.raises(ValueError, match=message):
        read(small(image=image, last=last), tiny_task)


def test_other_ends_than_softmax_and_logits_are_refused(tiny_task):
    for last in (L.Dense(3, activation="sigmoid", name="end"), L.Dense(3, activation="relu", name="end")):
        with pytest.raises(ValueError, match=r"end in softmax or in logits, but its last layer 'end' \(Dense\)"):
            read(small(last=last), tiny_task)


def test_logits_are_taken_before_the_softmax(tiny_task):
    with_layer = small()
    with_layer.add(L.Softmax())
    for model in (small(last=L.Dense(3, activation="softmax")), with_layer):
        logits = network_of(read(model, tiny_task)).logits(tiny_task.test.images)[0]
        np.testing.assert_allclose(outputs(model, tiny_task.test.images), softmax(logits), atol=1e-6)


def test_weight_decay_of_layers_is_kept(tiny_task):
    model = small(L.SeparableConv2D(4, 3, depthwise_regularizer="l2", pointwise_regularizer="l1", name="separable"))
    model.add(L.Softmax())
    assert set(read(model, tiny_task).regularizers) == {"separable/depthwise/kernel", "separable/kernel"}


class Subclassed(keras.Model):
    def call(self, images):
        return images


class Negative(keras.Model):
    def call(self, images, training=None):
        return -super().call(images, training=training)


def test_other_models_are_refused_with_what_to_do(tiny_task):
    with pytest.raises(ValueError, match="subclassed model Subclassed"):
        read(Subclassed(), tiny_task)
    with pytest.raises(ValueError, match=r"this Sequential model knows no input shape\. Begin it with an Input layer"):
        read(keras.Sequential([L.Flatten(), L.Dense(3)]), tiny_task)
    with pytest.raises(TypeError, match="Sequential or Functional model of Keras, or the path of a file, but got 7"):
        read(7, tiny_task)
    image = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match="compute what its layers say"):
        read(Negative(image, L.Dense(3)(L.Flatten()(image))), tiny_task)


def test_subclassed_model_of_keras_3_is_told_apart(tiny_task):
    foreign = type("Mine", (), {"__module__": "keras.src.models.model"})()
    with pytest.raises(ValueError, match="got the subclassed model Mine: its layers can be seen only where"):
        read(foreign, tiny_task)


def test_other_precision_is_refused(tiny_task):
    with pytest.raises(ValueError, match="float32, but its layer 'half' computes in bfloat16"):
        read(small(L.Conv2D(4, 3, dtype="mixed_bfloat16", name="half")), tiny_task)


def test_every_layer_of_the_table_is_one_of_keras():
    assert all(issubclass(getattr(L, name), L.Layer) for name in LAYERS)
