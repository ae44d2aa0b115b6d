"""Which epoch of fine-tuning counts."""

import numpy as np

from kgrow.exporting.fine_tuning import Evaluation


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
