"""Training steps in bfloat16: what is rounded, what is not, and who decides."""

import dataclasses

import numpy as np
import pytest

from kgrow._keras import tf
from kgrow.graph import IMAGE, Architecture, Block, Node, Scaling
from kgrow.graph.operators import Conv, Dense, Flatten
from kgrow.lifecycle.trainer import Trainer
from kgrow.network import GrowingNetwork
from kgrow.run import Run
from kgrow.searching import precision
from kgrow.searching.precision import LARGE_STEP_MACS, PRECISION, decided, relative_time
from kgrow.task import Augmentation
from kgrow.training import Observer

LARGE, SMALL = LARGE_STEP_MACS, LARGE_STEP_MACS / 2


def rounded(values):
    return tf.cast(tf.cast(values, tf.bfloat16), tf.float32)


def test_convolutions_read_rounded_numbers_and_nothing_else_is_rounded(varied_copy, noise):
    """Every convolution by itself; what follows reads its result."""
    images = tf.constant(noise(varied_copy, 4), tf.float32)
    features = varied_copy.scale(images)
    made, found = {"image": features}, 0
    for block in varied_copy.blocks:
        made = block.forward(made, True, precision="bfloat16")
        for node, layer in zip(block.nodes, block.layers, strict=True):
            inputs = [made[name] for name in node.inputs]
            if type(node.operator).__name__ != "Conv":
                continue
            kernel = layer.pruning_vars[0][0]
            exact = node.operator.compute([rounded(inputs[0])], {"kernel": rounded(kernel)})
            error = np.abs(made[node.name] - exact).max() / np.abs(exact).max()
            assert 0 <= error < 2**-7  # the result is rounded too
            assert made[node.name].dtype == tf.float32
            found += 1
    assert found >= 3


def test_inference_and_float32_are_as_without_it(varied_copy, noise):
    images = noise(varied_copy, 4)
    features = varied_copy.scale(images)
    plain = varied_copy.call_scaled(features, training=True)
    for first, second in zip(plain, varied_copy.call_scaled(features, training=True, precision="float32"), strict=True):
        np.testing.assert_array_equal(first, second)
    low = varied_copy.call_scaled(features, training=True, precision="bfloat16")
    assert any(np.any(first != second) for first, second in zip(plain, low, strict=True))
    for first, second in zip(plain, low, strict=True):
        np.testing.assert_allclose(first, second, atol=0.1 * np.abs(first).max())


def test_steps_in_bfloat16_learn_in_float32(tiny_network, tiny_task, tiny_settings):
    outcomes = {}
    for name in ("float32", "bfloat16"):
        network = tiny_network.copy()
        trainer = Trainer(network, tiny_settings.preset, Augmentation(), 0, precision=name)
        batches = list(tiny_task.train.batches(16))
        losses = [trainer.train_epoch(batches, 2, np.ones(2, np.float32), len(batches)) for _ in range(6)]
        assert losses[-1] < losses[0]
        assert all(variable.dtype == tf.float32 for variable in trainer.step.variables.values())
        assert all(slot.dtype == np.float32 for slot in trainer.momentum().values())
        outcomes[name] = losses
    assert outcomes["bfloat16"] != outcomes["float32"]
    assert outcomes["bfloat16"] == pytest.approx(outcomes["float32"], rel=0.2)


class Tripled(Conv):
    """A convolution of somebody else, whose layer does what `compute` does not."""

    def layer(self, name, seed):
        layer = super().layer(name, seed)
        call = layer.call
        layer.call = lambda inputs, training=None, **more: 3 * call(inputs, **more)
        return layer


def test_an_operator_that_does_not_say_so_is_not_computed_otherwise():
    head = (Node("flat", Flatten(), ("a",)), Node("logits", Dense(3), ("flat",)))
    block = Block((Node("a", Tripled(filters=4), (IMAGE,)),), head)
    network = GrowingNetwork(Architecture((6, 6, 3), 3, Scaling((0.0,) * 3, (1.0,) * 3), (block,)))
    features = tf.random.stateless_normal((4, 6, 6, 3), (0, 0))
    plain, low = (network.call_scaled(features, training=True, precision=name) for name in ("float32", "bfloat16"))
    np.testing.assert_array_equal(plain[0], low[0])


class Listener(Observer):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.mark.parametrize(
    ("wanted", "macs", "ratio", "expected"),
    [
        ("auto", LARGE, 0.6, "bfloat16"),
        ("auto", LARGE, 0.8, "bfloat16"),
        ("auto", LARGE, 0.9, "float32"),
        ("auto", LARGE, None, "float32"),  # it cannot be computed
        ("auto", SMALL, None, "float32"),  # it is not even measured
        ("float32", LARGE, None, "float32"),
        ("bfloat16", SMALL, None, "bfloat16"),
    ],
)
def test_what_is_faster_is_taken_and_a_run_decides_once(
    wanted, macs, ratio, expected, tiny_settings, tmp_path, monkeypatch
):
    measured = []

    def measure():
        return measured.append(ratio) or ratio

    monkeypatch.setattr(precision, "relative_time", measure)
    settings, listener = dataclasses.replace(tiny_settings, precision=wanted), Listener()
    with Run.open(tmp_path, {}) as run:
        assert decided(settings, macs, run, listener).precision == expected
        monkeypatch.setattr(precision, "relative_time", lambda: 1 / 0)
        assert decided(settings, macs, run, listener) == dataclasses.replace(settings, precision=expected)
        assert run.has(PRECISION)
    assert len(listener.notes) == 2 * (expected == "bfloat16")
    assert len(measured) == (wanted == "auto" and macs == LARGE)


def test_damaged_decision_is_named(tiny_settings, tmp_path):
    with Run.open(tmp_path, {}) as run:
        run.write_json(PRECISION, {"precision": "float8", "ratio": None})
        with pytest.raises(ValueError, match=r"`precision` of `precision\.json` must be one of .*, but got 'float8'"):
            decided(tiny_settings, LARGE, run, Listener())


def test_relative_time_is_measured_on_any_processor():
    assert 0.1 < relative_time() < 1_000
