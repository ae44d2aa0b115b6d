"""Every estimator against what it estimates, in double precision."""

import inspect

import numpy as np
import pytest

import kgrow.bayes
from kgrow._keras import tf
from kgrow.bayes import (
    CURVATURES,
    Activation,
    Bias,
    Conv,
    CrossEntropy,
    Curvature,
    Dense,
    DiagonalRecursion,
    EmpiricalFisher,
    ExactDiagonal,
    Gate,
    GaussNewton,
    Graph,
    Hutchinson,
    MonteCarloFisher,
    Route,
    SquaredError,
)

SOFTMAX = CrossEntropy()


def close(found, expected, rtol=1e-9):
    for first, second in zip(found, expected, strict=True):
        np.testing.assert_allclose(first, second, rtol=rtol, atol=1e-12)


def flat(arrays):
    return np.concatenate([array.ravel() for array in arrays])


@pytest.fixture(scope="module")
def gauss_newton(relu_net, images):
    return GaussNewton().diagonal(relu_net, SOFTMAX, images)


def relative_error(found, expected):
    """The median over parameters that have any curvature."""
    found, expected = flat(found), flat(expected)
    return np.median(np.abs(found[expected > 0] / expected[expected > 0] - 1))


def repeated(images, times):
    """The same examples many times in one batch: as many draws for each, in few passes."""
    pixels, targets = (np.concatenate(parts) for parts in zip(*images, strict=True))
    return [(np.repeat(pixels, times, axis=0), np.repeat(targets, times, axis=0))]


def brute_force(graph, images, vectors):
    """Mean squared gradients, example by example."""
    totals = [np.zeros(parameter.shape) for parameter in graph.parameters]
    pixels, labels = (np.concatenate(parts) for parts in zip(*images, strict=True))
    for image, label in zip(pixels, labels, strict=True):
        with tf.GradientTape(persistent=True) as tape:
            outputs = graph(image[None])
        for vector in vectors(outputs, label):
            for total, gradient in zip(
                totals, tape.gradient(outputs, graph.parameters, output_gradients=vector), strict=True
            ):
                total += gradient.numpy() ** 2
    return [total / len(pixels) for total in totals]


def test_every_estimator_that_takes_any_model_has_a_name_in_the_table():
    exported = [getattr(kgrow.bayes, name) for name in kgrow.bayes.__all__]
    classes = {c for c in exported if inspect.isclass(c) and issubclass(c, Curvature)}
    assert {type(make(0)) for make in CURVATURES.values()} == classes - {Curvature, DiagonalRecursion}
    assert all(type(make(0)).__mro__[1] is Curvature for make in CURVATURES.values())
    assert next(iter(CURVATURES)) == "monte_carlo_fisher"


@pytest.mark.parametrize("name", CURVATURES)
def test_every_estimator_gives_finite_arrays_of_the_parameters_shapes_twice_the_same(name, images, double):
    graph = Graph([Gate(double(2)), Conv(double(2, 1, 2, 3)), Route(lambda x: tf.reduce_sum(x, (1, 2)))])
    before = [parameter.numpy() for parameter in graph.parameters]
    found = [CURVATURES[name](3).diagonal(graph, SOFTMAX, images) for _ in range(2)]
    assert [values.shape for values in found[0]] == [(2,), (2, 1, 2, 3)]
    assert all(values.dtype == np.float64 and np.isfinite(values).all() for values in found[0])
    close(found[0], found[1], rtol=0)
    assert all(np.array_equal(b, p.numpy()) for b, p in zip(before, graph.parameters, strict=True))


def test_gauss_newton_is_the_hessian_of_a_piecewise_linear_net(relu_net, images):
    arguments = (relu_net, SOFTMAX, images[:1])
    close(GaussNewton().diagonal(*arguments), ExactDiagonal().diagonal(*arguments))


def test_exact_diagonal_is_that_of_autodiffs_hessian(images, double):
    kernel = double(4, 3)
    graph = Graph([Route(lambda x: tf.reshape(x[:, 0, :2], (len(x), -1))), Dense(kernel), Activation(tf.tanh)])
    pixels, labels = (np.concatenate(parts) for parts in zip(*images, strict=True))
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            loss = tf.reduce_mean(SOFTMAX.loss(graph(pixels), labels))
        gradient = inner.gradient(loss, kernel)
    hessian = outer.jacobian(gradient, kernel).numpy().reshape(12, 12)
    close(ExactDiagonal().diagonal(graph, SOFTMAX, images), [np.diag(hessian).reshape(4, 3)])


def test_gradients_of_single_examples_are_squared_one_by_one(gauss_newton, relu_net, images):
    def vectors(outputs, label):
        return SOFTMAX.factors(outputs)

    def gradients(outputs, label):
        return [[tf.nn.softmax(outputs[0]) - tf.one_hot([label], 3, dtype=tf.float64)]]

    close(gauss_newton, brute_force(relu_net, images, vectors))
    close(EmpiricalFisher().diagonal(relu_net, SOFTMAX, images), brute_force(relu_net, images, gradients))


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 1), (2, 2)])
def test_gradients_of_strided_kernels_are_squared_one_by_one(strides, padding, images, double):
    first, second = Conv(double(3, 2, 2, 3), strides, padding), Conv(double(2, 1, 3, 3))
    graph = Graph([first, Activation(tf.nn.relu), second, Route(lambda x: tf.reduce_sum(x, (1, 2)))])
    expected = brute_force(graph, images, lambda outputs, label: SOFTMAX.factors(outputs))
    close(GaussNewton().diagonal(graph, SOFTMAX, images), expected)


def test_a_gate_at_zero_has_a_curvature(images, double):
    gate = double(2)
    graph = Graph([Gate(gate), Conv(double(1, 2, 2, 3)), Route(lambda x: tf.reduce_sum(x, (1, 2)))])
    gate.assign([0.0, 0.0])
    found = GaussNewton().diagonal(graph, SOFTMAX, images)
    close(found, ExactDiagonal().diagonal(graph, SOFTMAX, images))
    assert (found[0] > 0).all()


def test_patches_are_squared_in_parts_when_they_are_many(gauss_newton, relu_net, images, monkeypatch):
    monkeypatch.setattr("kgrow.graph.operators._squares.MAX_VALUES", 700)
    close(GaussNewton().diagonal(relu_net, SOFTMAX, images), gauss_newton)


def test_monte_carlo_fisher_comes_to_gauss_newton(gauss_newton, relu_net, images):
    def error(num_draws, times, seed):
        found = MonteCarloFisher(num_draws, seed).diagonal(relu_net, SOFTMAX, repeated(images, times))
        return relative_error(found, gauss_newton)

    assert error(10, 200, 0) < 0.1
    few, many = (np.mean([error(1, times, seed) for seed in range(8)]) for times in (25, 225))
    assert few / many == pytest.approx(3, rel=0.4)  # the root of 9


def test_monte_carlo_fisher_draws_each_head_by_itself(double, images):
    sums = Route(lambda x: tf.reduce_sum(x, (1, 2)))
    graph = Graph([sums, Gate(double(2)), Dense(double(2, 3)), Dense(double(2, 4), inputs=(2,))], (3, 4))
    likelihood = CrossEntropy((0.3, 1.0))
    expected = GaussNewton().diagonal(graph, likelihood, images)
    close(expected, ExactDiagonal().diagonal(graph, likelihood, images))
    found = MonteCarloFisher(3, 0).diagonal(graph, likelihood, repeated(images, 500))
    assert relative_error(found, expected) < 0.05
    assert abs(np.mean(flat(found) / flat(expected)) - 1) < 0.02  # no bias from sums over heads


def test_hutchinson_is_exact_where_nothing_is_beside_the_diagonal(images, double):
    graph = Graph([Route(lambda x: tf.reduce_sum(x, (1, 2))), Gate(double(2))])
    batches = [(pixels, double(len(pixels), 2)) for pixels, _ in images]
    arguments = (graph, SquaredError(), batches)
    close(Hutchinson(1).diagonal(*arguments), ExactDiagonal().diagonal(*arguments))


def test_hutchinson_is_unbiased(images, double):
    graph = Graph([Route(lambda x: tf.reduce_sum(x, (1, 2))), Dense(double(2, 3)), Bias(double(3))])
    expected = flat(ExactDiagonal().diagonal(graph, SOFTMAX, images))
    found = flat(Hutchinson(200, 0).diagonal(graph, SOFTMAX, images))
    np.testing.assert_allclose(found, expected, atol=0.2 * expected.max())


def test_squared_error_has_the_identity_as_hessian(images, double):
    graph = Graph([Route(lambda x: tf.reduce_sum(x, (1, 2))), Dense(double(2, 3))])
    batches = [(pixels, double(len(pixels), 3)) for pixels, _ in images]
    sums = np.concatenate([pixels.sum(axis=(1, 2)) for pixels, _ in images])
    expected = [np.repeat(np.mean(sums**2, axis=0)[:, None], 3, axis=1)]
    for curvature in (GaussNewton(), ExactDiagonal()):
        close(curvature.diagonal(graph, SquaredError(), batches), expected)
    close(MonteCarloFisher(5).diagonal(graph, SquaredError(), repeated(batches, 1000)), expected, rtol=0.1)


def test_negative_head_weights_are_refused():
    with pytest.raises(ValueError, match="`head_weights` must not be negative"):
        CrossEntropy((1.0, -1.0))


def test_a_graph_refuses_what_it_cannot_run(double):
    with pytest.raises(ValueError, match="`inputs` of node 1"):
        Graph([Route(tf.nn.relu, inputs=(1,))])
    gate = double()
    with pytest.raises(ValueError, match="share a parameter"):
        Graph([Gate(gate), Gate(gate)])
