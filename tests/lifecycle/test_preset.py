"""Tests of the schedules: the published ones, and all of them over any number of epochs."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgrow.lifecycle import PRESETS, Preset
from kgrow.lifecycle.preset import RULES, STRATEGIES

PRUNING = [name for name, preset in PRESETS.items() if preset.prune_epochs]


def rates(name, epochs):
    return [PRESETS[name].learning_rate_at(epoch) for epoch in epochs]


# The published schedules; milestones count from 1, epochs from 0


@pytest.mark.parametrize("name", ["grow", "grow_oneshot", "grow_iter"])
def test_published_growth_lowers_the_rate_by_10_then_100_then_100(name):
    assert rates(name, (0, 118)) == [0.01, 0.01]
    assert rates(name, (119, 158)) == pytest.approx([1e-3, 1e-3])
    assert rates(name, (159, 178)) == pytest.approx([1e-5, 1e-5])
    assert rates(name, (179, 249)) == pytest.approx([1e-7, 1e-7])


def test_published_baseline_lowers_the_rate_by_10_three_times():
    assert rates("base", (0, 33, 34, 59, 84, 99)) == pytest.approx([0.1, 0.1, 0.01, 1e-3, 1e-4, 1e-4])


@pytest.mark.parametrize(
    ("name", "epochs", "grow", "prune", "strategy"),
    [
        ("base", 100, (0, 0, 0), (), "one-shot"),
        ("grow", 250, (25, 50, 75), (), "one-shot"),
        ("grow_oneshot", 250, (25, 50, 75), (10, 35, 60, 85), "one-shot"),
        ("grow_iter", 250, (25, 50, 75), (10, 35, 60, 85, 95, 105, 115), "iterative"),
    ],
)
def test_published_events_and_optimizer(name, epochs, grow, prune, strategy):
    preset = PRESETS[name]
    assert (preset.epochs, preset.grow_epochs, preset.prune_epochs) == (epochs, grow, prune)
    assert (preset.strategy, preset.steps, preset.path) == (strategy, 3, "linear")
    assert (preset.batch_size, preset.momentum, preset.nesterov, preset.l2) == (128, 0.9, False, 1e-4)
    assert (preset.label_smoothing, preset.warmup_epochs, preset.saliency_examples) == (0.0, 0, 128)


def test_rate_does_not_change_within_a_published_epoch():
    assert PRESETS["grow"].learning_rate_at(118, 0.999) == 0.01


# Warm-up and cosine


def test_rate_rises_to_its_peak_and_falls_to_zero():
    preset = Preset(epochs=10, learning_rate=0.4, warmup_epochs=2)
    found = [preset.learning_rate_at(epoch, fraction) for epoch in range(10) for fraction in (0.0, 0.5)]
    assert found[:4] == pytest.approx([0.02, 0.1, 0.2, 0.3])
    assert found[4] == 0.4 == max(found)
    assert found[4:] == sorted(found[4:], reverse=True)
    assert preset.learning_rate_at(6) == pytest.approx(0.2)
    assert preset.learning_rate_at(9, 1.0) == pytest.approx(0.0, abs=1e-12)
    assert min(found) > 0


def test_rate_rises_again_after_each_growth():
    preset = Preset(epochs=12, learning_rate=0.4, warmup_epochs=2)
    for epoch in range(12):
        for fraction in (0.0, 0.25, 0.5, 1.0):
            expected = max(fraction, 0.05) * preset.learning_rate_at(epoch, fraction)
            assert preset.learning_rate_at(epoch, fraction, has_grown=True) == pytest.approx(expected)


# Other lengths


@pytest.mark.parametrize("name", PRESETS)
@given(epochs=st.integers(1, 400))
@settings(max_examples=40)
def test_stretched_events_stay_in_range_and_in_order(name, epochs):
    preset = PRESETS[name].stretched(epochs)
    assert preset.epochs == epochs
    for events in (preset.grow_epochs, preset.prune_epochs):
        assert list(events) == sorted(events)
        assert all(0 <= event < epochs for event in events)
    assert list(preset.milestones) == sorted(preset.milestones)
    assert len(preset.milestones) == len(PRESETS[name].milestones)
    assert preset.warmup_epochs < epochs
    assert preset.learning_rate_at(0) > 0


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", PRUNING)
@given(epochs=st.integers(1, 400), num_blocks=st.integers(1, 4))
@settings(max_examples=40)
def test_every_block_ends_at_its_ratio_in_a_run_of_any_length(name, strategy, epochs, num_blocks):
    preset = dataclasses.replace(PRESETS[name].stretched(epochs), strategy=strategy)
    schedule, ratios = preset.pruning_schedule(), (0.4, 0.3, 0.2, 0.1)[:num_blocks]
    reached = [1.0] * num_blocks
    for epoch in range(epochs):
        grown = 1 + sum(event <= epoch for event in preset.grow_epochs[: num_blocks - 1])
        for block, ratio in schedule.due(epoch, ratios).items():
            if block < grown:
                assert ratio <= reached[block] + 1e-12
                reached[block] = ratio
    assert reached == pytest.approx(ratios)


@pytest.mark.parametrize("name", PRESETS)
def test_stretching_to_the_same_length_changes_nothing(name):
    assert PRESETS[name].stretched(PRESETS[name].epochs) == PRESETS[name]


def test_stretching_keeps_the_relative_place_of_every_event():
    preset = PRESETS["grow_iter"].stretched(50)
    assert preset.grow_epochs == (5, 10, 15)
    assert preset.prune_epochs == (2, 7, 12, 17, 19, 21, 23)
    assert preset.milestones == (24, 32, 36)


def test_large_data_set_leaves_the_preset_as_it_is():
    assert PRESETS["default"].suited_to(45_000, 32) == PRESETS["default"]
    assert PRESETS["early_exit"].suited_to(45_000, 32) == PRESETS["early_exit"]


def test_few_images_get_smaller_batches_and_are_not_learned_by_heart():
    preset, suited = PRESETS["default"], PRESETS["default"].suited_to(1168, 8)
    assert suited.batch_size == 32
    assert suited.learning_rate == preset.learning_rate / 2
    assert suited.label_smoothing > preset.label_smoothing
    assert suited.exit_scale > preset.exit_scale
    assert suited.epochs * (1168 // 32) >= 1000


@given(st.integers(1, 100_000))
def test_suited_batches_fit_the_data_and_the_run_is_not_endless(num_examples):
    preset, suited = PRESETS["default"], PRESETS["default"].suited_to(num_examples, 32)
    assert 1 <= suited.batch_size <= min(num_examples, preset.batch_size)
    assert preset.epochs <= suited.epochs <= 100


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "`epochs` must be a positive integer, but got 0"),
        ({"batch_size": 0}, "`batch_size` must be a positive integer, but got 0"),
        ({"steps": 0}, "`steps` must be a positive integer, but got 0"),
        ({"saliency_examples": 1.5}, "`saliency_examples` must be a positive integer, but got 1.5"),
        ({"clip_norm": 0.0}, r"`clip_norm` must be in \(0, inf\), but got 0.0. For no bound pass None"),
        ({"strategy": "gradual"}, "`strategy` must be one of 'one-shot', .* but got 'gradual'"),
        ({"milestones": (5,)}, r"`gammas` must match `milestones`, but got \(\) for \(5,\)"),
        ({"grow_epochs": (5,), "prune_epochs": (1, 3)}, "block 1 is due at epoch 3 and grown at 5"),
        ({"distillation": 1.5}, r"`distillation` must be in \[0, 1\], but got 1.5"),
        ({"learning_rate": -1}, r"`learning_rate` must be in \[0, inf\), but got -1"),
        ({"learning_rate": "1e-2"}, r"`learning_rate` must be in \[0, inf\), but got '1e-2'"),
        ({"momentum": 5}, r"`momentum` must be in \[0, 1\), but got 5"),
        ({"l2": float("nan")}, r"`l2` must be in \[0, inf\), but got nan"),
        ({"label_smoothing": 1.0}, r"`label_smoothing` must be in \[0, 1\), but got 1.0"),
        ({"warmup_epochs": -2}, r"`warmup_epochs` must be in \[0, inf\), but got -2"),
        ({"path": "round"}, "`path` must be one of 'linear', 'geometric', but got 'round'"),
        ({"exit_weights": (1.0, -1.0)}, r"`exit_weights` must be in \[0, inf\), but got -1.0"),
        ({"exit_weights": 2}, "`exit_weights` must be a sequence, but got 2"),
        ({"exit_scale": "1"}, r"`exit_scale` must be in \[0, inf\), but got '1'"),
        ({"milestones": 5, "gammas": (0.1,)}, "`milestones` must be a sequence, but got 5"),
        ({"milestones": (2.5,), "gammas": (0.1,)}, "`milestones` must be 0 or a positive integer, but got 2.5"),
        ({"milestones": (5,), "gammas": (0,)}, "`gammas` must be positive and finite, but got 0"),
        ({"grow_epochs": (-1,)}, "`grow_epochs` must be 0 or a positive integer, but got -1"),
        ({"prune_epochs": ("a",)}, "`prune_epochs` must be 0 or a positive integer, but got 'a'"),
        ({"epoch_share": 0}, r"`epoch_share` must be in \(0, 1\], but got 0"),
        ({"clip_norm": "3"}, r"`clip_norm` must be in \(0, inf\), but got '3'"),
        ({"prune_epochs": (10,)}, "`epochs` must exceed the epochs of all events, but got 10"),
    ],
)
def test_schedule_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Preset(**{"epochs": 10, **options})


def test_truth_value_that_is_none_is_refused():
    with pytest.raises(TypeError, match="`nesterov` must be True or False, but got 'yes'"):
        Preset(epochs=10, nesterov="yes")


def test_every_field_of_a_schedule_has_a_rule():
    assert [field.name for field in dataclasses.fields(Preset)] == list(RULES)


@pytest.mark.parametrize("epochs", [0, -1, 2.5])
def test_length_that_is_no_number_of_epochs_is_refused(epochs):
    with pytest.raises(ValueError, match="`epochs` must be a positive integer"):
        PRESETS["default"].stretched(epochs)


@pytest.mark.parametrize("epochs", [1, 2, 6, 10, 30, 100])
def test_run_of_any_length_starts_at_a_low_rate_and_reaches_its_peak(epochs):
    # Without a warm-up, six epochs on MNIST began with a loss of 6e22.
    preset = PRESETS["default"].stretched(epochs)
    rates = [preset.learning_rate_at(epoch, step / 100) for epoch in range(epochs) for step in range(100)]
    assert rates[0] <= 0.1 * preset.learning_rate
    assert max(rates) > 0.9 * preset.learning_rate


@pytest.mark.parametrize(("name", "most"), [(name, 7 if name == "fine_tune" else 4) for name in PRESETS])
def test_every_schedule_is_for_as_many_blocks_as_its_spaces_have(name, most):
    PRESETS[name].check_num_blocks(most)
    with pytest.raises(
        ValueError, match=f"`preset` must have `grow_epochs` and `prune_epochs` for networks of {most + 1} blocks"
    ):
        PRESETS[name].check_num_blocks(most + 1)


def test_weights_of_fewer_heads_than_there_are_is_refused():
    preset = Preset(epochs=10, exit_weights=(0.5, 0.5))
    preset.check_num_blocks(3)
    with pytest.raises(ValueError, match="`preset` must have `exit_weights` for the first 3 of 4 heads, or None"):
        preset.check_num_blocks(4)
