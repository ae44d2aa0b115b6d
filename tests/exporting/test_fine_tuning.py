"""Which epoch of fine-tuning counts, and that it goes on where it was interrupted."""

import numpy as np
import pytest

from kgrow.exporting.fine_tuning import Evaluation, FineTuning
from kgrow.exporting.folded import FoldedNetwork
from kgrow.exporting.quantized import QuantizedNetwork, calibrate
from kgrow.run import Run
from kgrow.training import Observer


def evaluation_of(num_correct, loss, num_images=60):
    return Evaluation((np.arange(num_images) < num_correct).astype(float), loss)


def test_epoch_that_leads_by_luck_or_is_worse_does_not_count():
    before = evaluation_of(57, 0.2)
    assert not evaluation_of(58, 0.3).is_better(before)  # one image more of sixty, and less sure of the others
    assert not evaluation_of(56, 0.1).is_better(before)
    assert not before.is_better(before)


def test_epoch_that_is_surely_better_counts():
    before = evaluation_of(40, 0.8)
    assert evaluation_of(50, 0.9).is_better(before)
    assert evaluation_of(40, 0.7).is_better(before)


def test_evaluation_is_over_all_heads():
    logits = np.log([[[0.9, 0.1], [0.2, 0.8]], [[0.6, 0.4], [0.6, 0.4]]])
    found = Evaluation.of(logits, np.array([0, 1]))
    assert found.correct.tolist() == [1, 0.5]
    assert np.isclose(found.loss, -np.log([0.9, 0.8, 0.6, 0.4]).mean())


class Interrupter(Observer):
    """Interrupts once, in a step of the last epoch."""

    def __init__(self):
        self.told = []

    def progress(self, trial, epoch, done, total):
        self.told.append((trial, epoch, done, total))
        if (epoch, done) == (2, 1):
            raise KeyboardInterrupt


def test_interrupted_fine_tuning_ends_as_an_unbroken_one(tiny_network, tiny_task, tmp_path):
    network = tiny_network.copy()

    def tuned(run=None, observer=None):
        folded = FoldedNetwork(network)
        quantized = QuantizedNetwork(folded, calibrate(folded, tiny_task.train.images))
        tune = FineTuning(tiny_task, (0, 1), 3, learning_rate=0.01, batch_size=16, folder=run, observer=observer)
        tune(quantized)
        return {name: variable.numpy() for name, variable in folded.variables.items()}

    expected, observer = tuned(), Interrupter()
    with Run.open(tmp_path, {}) as run:
        with pytest.raises(KeyboardInterrupt):
            tuned(run, observer)
        before = len(observer.told)
        found = tuned(run)
    assert before == 2 * 3 + 1
    assert found.keys() == expected.keys()
    assert any(np.any(value != start) for value, start in zip(expected.values(), start_of(network), strict=True))
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def start_of(network):
    return [variable.numpy() for variable in FoldedNetwork(network).variables.values()]
