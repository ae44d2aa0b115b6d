"""How fast training is."""

import numpy as np
import pytest

from kgrow.lifecycle.pace import Pace, pace_of


@pytest.mark.parametrize(("seconds", "epochs"), [(0.0, 1), (12.0, 1), (24.9, 2), (102.0, 10)])
def test_epochs_fit_behind_the_start(seconds, epochs):
    assert Pace(starting_s=2.0, epoch_s=10.0).epochs_within(seconds) == epochs


def test_measuring_leaves_nothing_behind(tiny_task, tiny_architecture, tiny_settings):
    state = np.random.get_state()[1]
    pace = pace_of(tiny_task, tiny_architecture, tiny_settings)
    assert 0 < pace.epoch_s < pace.starting_s  # steps are traced first
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_training_whose_network_becomes_smaller_has_the_mean_of_both_paces():
    whole, narrow = Pace(starting_s=6.0, epoch_s=20.0, tracing_s=4.0), Pace(starting_s=3.0, epoch_s=5.0, tracing_s=2.0)
    assert whole.then(narrow, 0.4) == Pace(starting_s=8.0, epoch_s=11.0, tracing_s=4.0)
    slower = Pace(starting_s=3.0, epoch_s=30.0, tracing_s=2.0)  # noise of the clock: it cannot be
    assert whole.then(slower, 0.4).epoch_s == 20.0
