"""Tests of the training step, and of what growing and pruning leave of it."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from kgrow._keras import keras, tf
from kgrow.lifecycle import Preset
from kgrow.lifecycle.trainer import Trainer
from kgrow.network import GrowingNetwork
from kgrow.pruning import SNIP, prune
from kgrow.task import Augmentation
from kgrow.training.loss import joint_loss

PRESET = Preset(epochs=4, batch_size=16, learning_rate=0.1, label_smoothing=0.1, milestones=(4,), gammas=(0.1,))


def look(network, trainer, **more):
    return SimpleNamespace(
        state=network.state(),
        momentum=trainer.momentum(),
        traces=[block.run.experimental_get_tracing_count() for block in network.blocks],
        steps=trainer.step.num_traces,
        masks={f"{kernel.name}/kernel": kernel.mask.numpy() for kernel in network.kernels()},
        **more,
    )


@pytest.fixture(scope="module")
def story(tiny_task, tiny_architecture, cross_entropy):
    """What was seen after each event of a life: trained, pruned, trained again, grown, trained once more."""
    first, second = tiny_architecture.blocks
    network = GrowingNetwork(dataclasses.replace(tiny_architecture, blocks=(first,)), seed=1)
    trainer = Trainer(network, PRESET, Augmentation(shift=1), seed=2)
    seen = {"new": look(network, trainer)}

    def train():
        batches = list(tiny_task.train.batches(16))
        loss = trainer.train_epoch(batches, 0, np.ones(len(network.blocks), np.float32), len(batches))
        network.logits(tiny_task.validation.images)
        return look(network, trainer, loss=loss)

    seen["trained"] = train()
    scored = list(tiny_task.train.batches(20))  # another batch size, and a smaller last one
    prune(network, {0: 0.5}, SNIP(), scored, cross_entropy)
    trainer.mask_momentum()
    seen["pruned"] = look(network, trainer)
    seen["trained pruned"] = train()
    network.grow(second)
    trainer.rebuild()
    seen["grown"] = look(network, trainer)
    seen["trained grown"] = train()
    prune(network, {1: 0.5}, SNIP(), scored, cross_entropy)
    trainer.mask_momentum()
    seen["all pruned"] = train()
    return SimpleNamespace(**{name.replace(" ", "_"): moment for name, moment in seen.items()})


# The step


@pytest.mark.parametrize("clip_norm", [None, 0.5, 100.0])
def test_step_is_that_of_momentum_and_coupled_weight_decay(tiny_network, tiny_task, clip_norm):
    network = tiny_network.copy()
    preset = dataclasses.replace(PRESET, l2=0.02, clip_norm=clip_norm)
    trainer = Trainer(network, preset, Augmentation(), seed=0)
    generator = np.random.default_rng(0)
    trainer.load_momentum({name: generator.normal(0, 0.1, v.shape) for name, v in trainer.momentum().items()})
    before, momentum, weights = network.state(), trainer.momentum(), np.array([0.3, 1.0], np.float32)
    images, labels = next(tiny_task.train.batches(16))
    with tf.GradientTape() as tape:
        loss = joint_loss(network(images, training=True), labels, weights, preset.label_smoothing)
    gradients = dict(
        zip(trainer.step.variables, tape.gradient(loss, list(trainer.step.variables.values())), strict=True)
    )
    network.load_state(before)
    assert trainer.train_epoch([(images, labels)], 0, weights, 1) == pytest.approx(float(loss), rel=1e-5)
    after = network.state()
    decayed = {name: gradient.numpy() + 0.02 * before[name] for name, gradient in gradients.items()}
    norm = np.sqrt(sum(np.sum(gradient**2) for gradient in decayed.values()))
    assert 0.5 < norm < 100
    for name, gradient in decayed.items():
        velocity = 0.9 * momentum[name] - 0.1 * gradient * min(1.0, (clip_norm or norm) / norm)
        np.testing.assert_allclose(after[name], before[name] + velocity, atol=2e-6)
        np.testing.assert_allclose(trainer.momentum()[name], velocity, atol=2e-6)


@pytest.mark.parametrize(("epoch", "factor"), [(1, 3.0), (2, 2.0), (3, 1.0)])
def test_block_that_was_just_appended_learns_at_a_rate_of_its_own(epoch, factor, tiny_network, tiny_task):
    batches = list(tiny_task.train.batches(16))[:1]

    def step_with(fresh_rate):
        preset = dataclasses.replace(PRESET, fresh_rate=fresh_rate, fresh_epochs=2, milestones=(9,))
        network = tiny_network.copy()
        before = network.state()
        Trainer(network, preset, Augmentation(), seed=0).train_epoch(
            batches, epoch, np.ones(2, np.float32), 1, births=(0, 1)
        )
        return {name: value - before[name] for name, value in network.state().items() if "moving_" not in name}

    even, found = step_with(1.0), step_with(3.0)
    assert any(np.any(value) for name, value in even.items() if name.startswith("block_1/"))
    for name, change in even.items():
        own = factor if name.startswith("block_1/") else 1.0
        np.testing.assert_allclose(found[name], own * change, atol=2e-6, err_msg=name)


def test_everything_but_masks_and_statistics_is_trained(story):
    untrained = {name for name in story.new.state if name not in story.new.momentum}
    assert {name.rsplit("/")[-1] for name in untrained} == {"mask", "moving_mean", "moving_variance"}
    assert all(not np.array_equal(story.trained.state[n], story.new.state[n]) for n in story.new.momentum)


def test_training_lowers_the_loss(story):
    assert story.trained_pruned.loss < story.trained.loss


# Growing


def test_momentum_of_surviving_variables_is_carried_over_growth(story, same_arrays):
    before, after = story.trained_pruned.momentum, story.grown.momentum
    assert all(values.any() for values in before.values())
    assert same_arrays({name: after[name] for name in before}, before)


def test_momentum_of_new_variables_starts_at_zero(story):
    new = {name: values for name, values in story.grown.momentum.items() if name.startswith("block_1/")}
    assert {name.split("/", 1)[1] for name in new} == {
        *(f"cell_1/first/{part}" for part in ("kernel", "norm/gamma", "norm/beta")),
        *(f"head/{part}" for part in ("dense/kernel", "dense/bias", "mixing/mixing")),
    }
    assert not any(values.any() for values in new.values())


def test_growth_changes_no_existing_variable(story, same_arrays):
    before = story.trained_pruned.state
    assert same_arrays({name: story.grown.state[name] for name in before}, before)


def test_old_and_new_variables_are_trained_after_growth(story):
    before, after = story.grown.state, story.trained_grown.state
    for name in story.grown.momentum:
        kept = story.grown.masks.get(name, np.ones(1)) > 0
        assert not np.array_equal(np.where(kept, after[name], 0), np.where(kept, before[name], 0))


def test_compiled_optimizer_refuses_variables_that_are_added_later():
    old, new = tf.Variable([1.0]), tf.Variable([1.0])
    optimizer = keras.optimizers.SGD(0.1, 0.9)
    optimizer.build([old])
    with pytest.raises(KeyError):
        optimizer.apply_gradients([(tf.constant([1.0]), new)])


# Pruning


@pytest.mark.parametrize("moment", ["pruned", "trained_pruned", "grown", "trained_grown", "all_pruned"])
def test_pruned_weights_are_exactly_zero(story, moment):
    seen = getattr(story, moment)
    assert any((mask == 0).any() for mask in seen.masks.values())
    for name, mask in seen.masks.items():
        assert not seen.state[name][mask == 0].any()


def test_momentum_of_pruned_weights_is_zero_after_the_event_and_that_of_kept_ones_unchanged(story):
    before, after = story.trained.momentum, story.pruned.momentum
    for name, values in before.items():
        assert np.array_equal(after[name], values * story.pruned.masks.get(name, 1))


def test_masks_do_not_change_in_training(story, same_arrays):
    assert same_arrays(story.trained_pruned.masks, story.pruned.masks)
    new = story.trained_grown.masks
    assert same_arrays({name: new[name] for name in story.pruned.masks}, story.pruned.masks)


# Tracing


def test_each_block_is_traced_once_for_training_and_once_for_inference(story):
    assert story.new.traces == [0]
    assert story.trained.traces == [2]
    assert story.trained.steps == 1


def test_pruning_event_causes_no_retracing(story):
    assert (story.pruned.traces, story.pruned.steps) == ([2], 1)
    assert (story.trained_pruned.traces, story.trained_pruned.steps) == ([2], 1)
    assert (story.all_pruned.traces, story.all_pruned.steps) == ([2, 2], 1)


def test_growth_event_retraces_only_the_outer_step_and_the_new_block(story):
    assert (story.grown.traces, story.grown.steps) == ([2, 0], 0)
    assert (story.trained_grown.traces, story.trained_grown.steps) == ([2, 2], 1)


def test_class_weights_act_on_what_is_learned(tiny_task, tiny_architecture):
    """Ten steps in which class 0 counts almost alone end with it as the only answer."""
    network = GrowingNetwork(tiny_architecture, seed=1)
    trainer = Trainer(network, PRESET, Augmentation(), seed=2, class_weights=(2.98, 0.01, 0.01))
    for _ in range(4):
        trainer.train_epoch(tiny_task.train.batches(16), 0, np.ones(2, np.float32), 3)
    images, labels = next(tiny_task.train.batches(48))
    scores = network.call_scaled(network.scale(tf.cast(images, tf.float32)), training=True)[-1].numpy()
    assert (scores[labels == 0].argmax(axis=1) == 0).all()
    assert (scores.argmax(axis=1) == 0).mean() > 0.8
