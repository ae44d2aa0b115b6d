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


def test_training_whose_network_changes_its_size_has_the_mean_pace():
    whole = Pace(starting_s=6.0, epoch_s=20.0, tracing_s=4.0, validation_s=1.0)
    assert whole.changed(0.5, 2) == Pace(starting_s=14.0, epoch_s=10.0, tracing_s=4.0, validation_s=0.5)
    assert whole.changed(1.0, 0) == whole
