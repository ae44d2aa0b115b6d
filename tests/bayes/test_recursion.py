"""The recursion where it is exact, and against the same sums written out where it is not."""

import itertools

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.bayes import (
    Activation,
    AveragePool,
    Bias,
    Conv,
    CrossEntropy,
    Dense,
    DiagonalRecursion,
    ExactDiagonal,
    Gate,
    GaussNewton,
    Graph,
    Route,
    SquaredError,
)

SOFTMAX = CrossEntropy()
close = np.testing.assert_allclose


def mlp(double, *widths):
    nodes = [Route(lambda x: tf.reshape(x[:, 0, :2], (len(x), -1)))]
    for inputs, outputs in itertools.pairwise(widths):
        nodes += [Dense(double(inputs, outputs)), Bias(double(outputs)), Activation(tf.tanh)]
    return Graph(nodes[:-1])


def relative_errors(found, expected):
    return [np.median(np.abs(f - e)) / np.median(np.abs(e)) for f, e in zip(found, expected, strict=True)]


def test_exact_for_squared_error_with_one_smooth_hidden_layer(double, images):
    graph = mlp(double, 4, 5, 3)
    batches = [(pixels, double(len(pixels), 3)) for pixels, _ in images]
    found = DiagonalRecursion().diagonal(graph, SquaredError(), batches)
    for first, second in zip(found, ExactDiagonal().diagonal(graph, SquaredError(), batches), strict=True):
        close(first, second, rtol=1e-6, atol=1e-14)


def test_only_the_last_layers_are_exact_otherwise(double, images):
    deep = mlp(double, 4, 5, 4, 3)
    batches = [(pixels, double(len(pixels), 3)) for pixels, _ in images]
    arguments = (deep, SquaredError(), batches)
    errors = relative_errors(DiagonalRecursion().diagonal(*arguments), ExactDiagonal().diagonal(*arguments))
    assert max(errors[2:]) < 1e-6 < 1e-3 < min(errors[:2])
    arguments = (mlp(double, 4, 5, 3), SOFTMAX, images)
    errors = relative_errors(DiagonalRecursion().diagonal(*arguments), ExactDiagonal().diagonal(*arguments))
    assert max(errors[2:]) < 1e-6 < 1e-3 < min(errors[:2]) < 1


@pytest.mark.parametrize(("strides", "padding"), [((1, 1), "SAME"), ((2, 1), "SAME"), ((2, 2), "VALID")])
def test_convolutions_are_dense_layers_over_patches(strides, padding, double):
    kernel, images = double(3, 2, 2, 3), np.random.default_rng(3).normal(size=(4, 5, 6, 2))
    node = Conv(kernel, strides, padding)
    output, _ = node.forward(tf.constant(images))
    hessian = np.random.default_rng(4).random(output.shape)
    patches = tf.image.extract_patches(images, (1, 3, 2, 1), (1, *strides, 1), (1, 1, 1, 1), padding).numpy()
    expected = np.einsum("nhwk,nhwo->ko", patches**2, hessian).reshape(kernel.shape)
    (before,), found = node.backward([images], _derivatives(hessian))
    close(found, expected, rtol=1e-12)
    # back to the input: every column of patches times squared weights, added where the patch was cut out
    columns = np.einsum("nhwo,ko->nhwk", hessian, kernel.numpy().reshape(-1, 3) ** 2)
    with tf.GradientTape() as tape:
        source = tf.constant(images)
        tape.watch(source)
        cut = tf.image.extract_patches(source, (1, 3, 2, 1), (1, *strides, 1), (1, 1, 1, 1), padding)
    close(before.hessian, tape.gradient(cut, source, output_gradients=tf.constant(columns)), rtol=1e-10)


def _derivatives(hessian):
    from kgrow.bayes.nodes import Derivatives

    return Derivatives(tf.zeros_like(tf.constant(hessian)), tf.constant(hessian))


def test_the_sum_over_positions_is_exact_where_no_two_positions_mix(double, images):
    graph = Graph([Conv(double(2, 2, 2, 1), (1, 2)), Route(lambda x: tf.reshape(x, (len(x), -1)))])
    batches = [(pixels, double(len(pixels), 8)) for pixels, _ in images]
    (found,) = DiagonalRecursion().diagonal(graph, SquaredError(), batches)
    close(found, ExactDiagonal().diagonal(graph, SquaredError(), batches)[0], rtol=1e-9)


def test_the_reduction_of_the_thesis_is_smaller_by_the_number_of_positions(relu_net, images):
    exact = DiagonalRecursion().diagonal(relu_net, SOFTMAX, images)
    thesis = DiagonalRecursion("thesis").diagonal(relu_net, SOFTMAX, images)
    positions = [16, 1, 16, 1, 4, 1, 1, 1]  # convolutions make 4x4, 4x4 and 2x2 maps
    for first, second, ratio in zip(exact, thesis, positions, strict=True):
        close(first, ratio * second, rtol=1e-12)


def test_pools_divide_by_the_square_of_what_is_averaged():
    image = tf.reshape(tf.range(9, dtype=tf.float64), (1, 3, 3, 1))
    for padding, size, corner in (("VALID", (3, 3), 1 / 81), ("SAME", (2, 2), 1 / 16)):
        pool = AveragePool(size, padding)
        hessian = np.ones(pool.forward(image)[0].shape)
        (before,), _ = pool.backward([image], _derivatives(hessian))
        assert float(before.hessian[0, 0, 0, 0]) == pytest.approx(corner)
    assert float(before.hessian[0, 2, 2, 0]) == 1  # alone in its window at the border
    largest = Route(lambda x: tf.nn.max_pool2d(x, 3, 3, "VALID"))
    (before,), _ = largest.backward([image], _derivatives(np.full((1, 1, 1, 1), 5.0)))
    close(before.hessian.numpy().ravel(), [0] * 8 + [5])


def test_whole_net_agrees_with_gauss_newton_where_no_sum_mixes_outputs(double, images):
    # one value per example and class on every path: nothing lies beside the diagonal
    graph = Graph([Route(lambda x: tf.reduce_sum(x, (1, 2))), Gate(double(2)), Activation(tf.nn.relu), Gate(double(2))])
    batches = [(pixels, np.zeros((len(pixels), 2))) for pixels, _ in images]
    found = DiagonalRecursion().diagonal(graph, SquaredError(), batches)
    for first, second in zip(found, GaussNewton().diagonal(graph, SquaredError(), batches), strict=True):
        close(first, second, rtol=1e-9)


def test_deep_nets_agree_with_the_recursion_written_out_for_one_example(double, images):
    graph = mlp(double, 4, 5, 4, 3)
    weights, biases = ([p.numpy() for p in graph.parameters[start::2]] for start in (0, 1))
    totals = [np.zeros(p.shape) for p in graph.parameters]
    pixels, labels = (np.concatenate(parts) for parts in zip(*images, strict=True))
    for image, label in zip(pixels[:, 0, :2].reshape(8, 4), labels, strict=True):
        before, activations = [], [image]
        for weight, bias in zip(weights, biases, strict=True):
            before.append(activations[-1] @ weight + bias)
            activations.append(np.tanh(before[-1]))
        probabilities = np.exp(before[-1]) / np.exp(before[-1]).sum()
        gradient, hessian = probabilities - np.eye(3)[label], np.diag(probabilities) - np.outer(*[probabilities] * 2)
        for layer in (2, 1, 0):
            hessian = np.diag(np.diag(hessian))  # what the recursion drops
            totals[2 * layer] += np.outer(activations[layer] ** 2, np.diag(hessian)) / 8
            totals[2 * layer + 1] += np.diag(hessian) / 8
            slope = np.diag(1 - activations[layer] ** 2)
            bend = -2 * activations[layer] * (1 - activations[layer] ** 2)
            passed = weights[layer] @ gradient
            hessian = slope @ weights[layer] @ hessian @ weights[layer].T @ slope + np.diag(bend * passed)
            gradient = slope @ passed
    for found, expected in zip(DiagonalRecursion().diagonal(graph, SOFTMAX, images), totals, strict=True):
        close(found, expected, rtol=1e-10)


@pytest.mark.slow
def test_every_kind_of_node_agrees_with_the_recursion_written_out_in_jacobians(relu_net, images):
    """For one example at a time, with the Jacobian of every node in all that it reads: bends of ReLUs are 0."""
    totals = {id(parameter): np.zeros(parameter.shape) for parameter in relu_net.parameters}
    for image in np.concatenate([pixels for pixels, _ in images]):
        values = relu_net.values(tf.constant(image[None]))
        probabilities = tf.nn.softmax(values[-1]).numpy().ravel()
        hessians = [np.zeros(np.size(value)) for value in values]
        hessians[-1] = probabilities * (1 - probabilities)
        for index in reversed(range(len(relu_net.nodes))):
            node, sources = relu_net.nodes[index], relu_net.sources[index]
            with tf.GradientTape(persistent=True) as tape:
                read = [tf.identity(values[source]) for source in sources]
                tape.watch(read)
                made, _ = node.forward(*read)
            for source, jacobian in zip(sources, tape.jacobian(made, read), strict=True):
                rows = jacobian.numpy().reshape(np.size(made), -1)
                hessians[source] = hessians[source] + hessians[index + 1] @ rows**2
            if node.parameter is not None:
                rows = tape.jacobian(made, node.parameter).numpy().reshape(np.size(made), -1)
                totals[id(node.parameter)] += (hessians[index + 1] @ rows**2).reshape(node.parameter.shape) / 8
    found = DiagonalRecursion().diagonal(relu_net, SOFTMAX, images)
    for values, parameter in zip(found, relu_net.parameters, strict=True):
        close(values, totals[id(parameter)], rtol=1e-9, atol=1e-15)


def test_the_last_layer_of_a_convolutional_net_is_exact(relu_net, images):
    found = DiagonalRecursion().diagonal(relu_net, SOFTMAX, images)
    for first, second in zip(found[-2:], GaussNewton().diagonal(relu_net, SOFTMAX, images)[-2:], strict=True):
        close(first, second, rtol=1e-9)


def test_other_models_and_reductions_are_refused(images):
    with pytest.raises(TypeError, match="`model` must be a Graph"):
        DiagonalRecursion().diagonal(type("Opaque", (), {})(), SOFTMAX, images)
    with pytest.raises(ValueError, match="`conv_reduction`"):
        DiagonalRecursion("mean")
