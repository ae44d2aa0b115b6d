"""Small networks in double precision, whose Hessian is known exactly."""

import numpy as np
import pytest


def maker(seed):
    generator = np.random.default_rng(seed)

    def make(*shape, scale=0.6):
        from kgrow._keras import tf

        return tf.Variable(generator.normal(0, scale, shape), dtype=tf.float64)

    return make


@pytest.fixture
def double():
    """Makes a variable of normal values in double precision."""
    return maker(0)


@pytest.fixture(scope="session")
def images():
    """Eight images of 4x4x2 with labels of three classes, in two batches of different sizes."""
    generator = np.random.default_rng(1)
    pixels, labels = generator.normal(size=(8, 4, 4, 2)), generator.integers(0, 3, 8)
    return [(pixels[:5], labels[:5]), (pixels[5:], labels[5:])]


@pytest.fixture(scope="session")
def relu_net():
    """Convolutions with and without strides, pools, a frozen normalization, a gate, a sum and a concatenation."""
    from kgrow._keras import tf
    from kgrow.bayes import Activation, AveragePool, Bias, Conv, Dense, FrozenNorm, Gate, Graph, Route

    double = maker(5)
    return Graph(
        [
            Conv(double(2, 2, 2, 3)),  # 1: 4x4x3
            Bias(double(3)),
            FrozenNorm(double(3), double(3)),
            Activation(tf.nn.relu),  # 4
            Conv(double(1, 2, 3, 3), inputs=(4,)),  # 5
            Gate(double(3)),  # 6
            Route(tf.add, inputs=(4, 6)),  # 7: residual
            Activation(tf.nn.relu),  # 8
            Route(lambda x: tf.nn.max_pool2d(x, 2, 2, "VALID"), inputs=(8,)),  # 9: 2x2x3
            Conv(double(2, 1, 3, 2), (2, 2), "SAME", inputs=(8,)),  # 10: 2x2x2
            Gate(double(), inputs=(10,)),  # 11
            Route(lambda x, y: tf.concat([x, y], -1), inputs=(9, 11)),  # 12: 2x2x5
            AveragePool((2, 2)),  # 13
            Route(lambda x: tf.reshape(x, (len(x), -1))),
            Dense(double(5, 3)),
            Bias(double(3)),
        ]
    )
