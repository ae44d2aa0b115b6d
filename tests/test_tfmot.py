"""One test per fact about TFMOT's pruning wrapper that kgrow rests on: what an upgrade changes fails by name."""

import numpy as np
import pytest

from kgrow._keras import keras, tf
from kgrow._tfmot import (
    Kernel,
    MaskedLayer,
    NeverUpdate,
    PruneLowMagnitude,
    apply_masks,
    assign_masks,
    prunable,
    strip,
    tfmot,
)

INPUTS = np.arange(1, 7, dtype=np.float32).reshape(2, 3)
HALF = np.array([[1, 0], [0, 1], [1, 0]], np.float32)


def built(layer):
    layer(INPUTS, training=False)
    return layer


def dense(kernel=None, **options):
    initializer = "glorot_uniform" if kernel is None else keras.initializers.Constant(kernel)
    return keras.layers.Dense(2, kernel_initializer=initializer, **options)


@pytest.fixture
def kernel():
    return Kernel("dense", built(prunable(dense())))


def pruned_by_tfmot(weights):
    """Trains one step under TFMOT's own magnitude schedule for half of the weights; returns the mask."""
    wrapper = built(PruneLowMagnitude(dense(weights), tfmot.sparsity.keras.ConstantSparsity(0.5, 0, frequency=1)))
    wrapper.pruning_step.assign(0)
    wrapper(INPUTS, training=True)
    ((_, mask, _),) = wrapper.pruning_vars
    return mask.numpy()


# What can be wrapped


def test_wrapper_accepts_the_layers_that_hold_one_kernel():
    for layer, inputs in ((dense(), INPUTS), (keras.layers.Conv2D(2, 3), np.zeros((1, 4, 4, 3), np.float32))):
        wrapper = prunable(layer)
        wrapper(inputs)
        ((weight, mask, _),) = wrapper.pruning_vars
        assert weight is layer.kernel
        assert np.array_equal(mask, np.ones(weight.shape))
        assert not mask.trainable


def test_wrapper_refuses_a_layer_of_our_own():
    class Own(keras.layers.Layer):
        pass

    with pytest.raises(ValueError, match="Please initialize `Prune` with a supported layer"):
        prunable(Own())


def test_wrapper_refuses_what_is_no_layer_of_keras_2():
    keras_3 = pytest.importorskip("keras")
    with pytest.raises(ValueError, match="Please initialize `Prune` layer with a `Layer` instance"):
        prunable(keras_3.layers.Dense(2))


@pytest.mark.parametrize("layer", [keras.layers.BatchNormalization(), keras.layers.DepthwiseConv2D(3)])
def test_normalization_and_depthwise_convolutions_have_nothing_to_prune(layer):
    wrapper = prunable(layer)
    wrapper.build((None, 4, 4, 3))
    assert wrapper.pruning_vars == []


def test_whole_subclassed_models_are_refused(tiny_network):
    with pytest.raises(ValueError, match="can only prune an object of the following types"):
        tfmot.sparsity.keras.prune_low_magnitude(tiny_network)


# Finding the wrappers again


def test_kernels_of_a_network_are_all_its_wrappers(tiny_network, varied_network):
    for network in (tiny_network, varied_network):
        layers = [layer for layer in network.submodules if isinstance(layer, MaskedLayer)]
        assert {id(layer) for layer in layers} == {id(kernel.layer) for kernel in network.kernels()}
        assert len(layers) == len(network.architecture.kernels())


def test_tfmot_traversal_finds_no_wrapper_in_nested_layers(tiny_network):
    from tensorflow_model_optimization.python.core.sparsity.keras.pruning_wrapper import collect_prunable_layers

    assert collect_prunable_layers(tiny_network) == []


# Steps and mask updates


def test_grown_wrapper_starts_with_step_zero(kernel):
    assert int(kernel.layer.pruning_step) == 0


def test_tfmot_wrapper_that_starts_with_its_own_step_fails_in_training():
    wrapper = built(PruneLowMagnitude(dense(), NeverUpdate()))
    assert int(wrapper.pruning_step) == -1
    with pytest.raises(tf.errors.InvalidArgumentError, match="requires the UpdatePruningStep callback"):
        wrapper(INPUTS, training=True)
    wrapper = built(PruneLowMagnitude(dense(), NeverUpdate()))
    wrapper.pruning_step.assign(0)
    wrapper(INPUTS, training=True)


def test_schedule_never_asks_for_a_mask_update():
    schedule = NeverUpdate()
    assert schedule(0) == schedule(10_000) == (False, 0.0)
    assert schedule.get_config() == {"class_name": "NeverUpdate", "config": {}}
    wrapper = built(PruneLowMagnitude(dense(), schedule))
    wrapper.pruning_step.assign(0)
    ((_, mask, _),) = wrapper.pruning_vars
    mask.assign(HALF)
    for _ in range(3):
        wrapper(INPUTS, training=True)
    assert np.array_equal(mask, HALF)


def test_tfmot_mask_update_keeps_half_of_distinct_weights():
    assert pruned_by_tfmot(np.array([[1, 2], [3, 4], [5, 6]])).ravel().tolist() == [0, 0, 0, 1, 1, 1]


def test_tfmot_mask_update_keeps_every_tie():
    assert pruned_by_tfmot(np.full((3, 2), 0.5)).all()


def test_tfmot_mask_update_revives_pruned_connections():
    assert pruned_by_tfmot(np.zeros((3, 2))).all()


# What a call does


def operations_of(layer):
    function = tf.function(lambda inputs: layer(inputs, training=False))
    graph = function.get_concrete_function(tf.TensorSpec((None, 3), tf.float32)).graph
    return [operation.type for operation in graph.get_operations()]


def test_tfmot_wrapper_assigns_weights_even_in_inference():
    wrapper = built(PruneLowMagnitude(dense(), NeverUpdate()))
    assert "AssignVariableOp" in operations_of(wrapper)
    ((weight, mask, _),) = wrapper.pruning_vars
    mask.assign(HALF)
    assert weight.numpy().all()
    wrapper(INPUTS, training=False)
    assert np.array_equal(weight.numpy() != 0, HALF > 0)


def test_own_wrapper_adds_no_operation_to_a_call(kernel):
    plain = built(dense())
    assert sorted(operations_of(kernel.layer)) == sorted(operations_of(plain))
    kernel.mask.assign(HALF)
    for training in (False, True):
        kernel.layer(INPUTS, training=training)
        assert kernel.weight.numpy().all()


# Masks and weights


def test_assigned_masks_zero_what_they_remove(kernel):
    before = kernel.weight.numpy()
    assign_masks([kernel], [HALF])
    assert np.array_equal(kernel.weight, before * HALF)
    assert (kernel.size, kernel.kept) == (6, 3)


def test_assigned_masks_must_not_revive(kernel):
    assign_masks([kernel], [HALF])
    with pytest.raises(ValueError, match="`masks` must not revive a pruned connection, but the mask of dense does"):
        assign_masks([kernel], [np.ones((3, 2), np.float32)])
    assert np.array_equal(kernel.mask, HALF)


def test_gradient_reaches_pruned_weights_so_that_a_step_moves_them_until_masks_are_applied(kernel):
    assign_masks([kernel], [HALF])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(kernel.layer(INPUTS, training=True))
    (gradient,) = tape.gradient(loss, [kernel.weight])
    assert gradient.numpy().all()
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build([kernel.weight])
    optimizer.apply_gradients([(gradient, kernel.weight)])
    kernel.layer(INPUTS, training=False)
    assert kernel.weight.numpy().all()
    apply_masks([kernel])
    assert np.array_equal(kernel.weight.numpy() != 0, HALF > 0)


def test_masks_are_applied_inside_a_traced_function_too(kernel):
    kernel.mask.assign(HALF)
    tf.function(lambda: apply_masks([kernel]))()
    assert np.array_equal(kernel.weight.numpy() != 0, HALF > 0)


def test_weights_of_a_wrapper_leave_its_mask_out(kernel):
    names = {variable.name for variable in kernel.layer.weights}
    assert {"mask", "threshold", "pruning_step"} <= {name.split("/")[-1].split(":")[0] for name in names}
    assert [values.shape for values in kernel.layer.get_weights()] == [(3, 2), (2,)]


def test_stripped_wrapper_is_the_plain_layer_with_exact_zeros(kernel):
    kernel.mask.assign(HALF)
    layer = strip(kernel.layer)
    assert type(layer) is keras.layers.Dense
    assert not isinstance(layer, MaskedLayer)
    assert np.array_equal(layer.kernel.numpy() != 0, HALF > 0)
    np.testing.assert_allclose(layer(INPUTS), INPUTS @ layer.kernel.numpy(), rtol=1e-6)
