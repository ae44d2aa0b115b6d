"""All names of the command line and their objects: `name -> "module:object"`.

A name is known before its module is imported, so help and checks of names load no TensorFlow. Other packages add names
by entry points of the groups `kgrow.criteria`, `kgrow.policies`, `kgrow.spaces`, `kgrow.operators` and
`kgrow.exporters`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from kgrow._plugins import Entry, PluginError, Registry, instance, seeded, subclass

CRITERIA = Registry(
    "criterion",
    "kgrow.pruning.criterion:Criterion",
    {
        "magnitude": "kgrow.pruning.magnitude:Magnitude",
        "snip": "kgrow.pruning.snip:SNIP",
        "snip_reinit": "kgrow.pruning.snip:SNIP.reinitializing",
        "fisher": "kgrow.pruning.fisher:FisherPruning.drawing",
        "bayes_link": "kgrow.pruning.bayes_link:BayesLink.drawing",
        "random": "kgrow.pruning.random:Random",
    },
    group="kgrow.criteria",
    made=seeded,
)
CHANNEL_CRITERIA = Registry(
    "channel_criterion",
    "kgrow.pruning.channel_criterion:ChannelCriterion",
    {
        "taylor": "kgrow.pruning.channel_criterion:TaylorChannel",
        "fisher": "kgrow.pruning.channel_criterion:FisherChannel.drawing",
        "snip": "kgrow.pruning.channel_criterion:GroupSNIP",
        "norm": "kgrow.pruning.channel_criterion:GroupNorm",
        "network_slimming": "kgrow.pruning.channel_criterion:NetworkSlimming",
    },
    made=seeded,
)
CURVATURES = Registry(
    "curvature",
    "kgrow.bayes.curvature:Curvature",
    {
        "monte_carlo_fisher": "kgrow.bayes.monte_carlo_fisher:MonteCarloFisher",
        "gauss_newton": "kgrow.bayes.gauss_newton:GaussNewton",
        "empirical_fisher": "kgrow.bayes.empirical_fisher:EmpiricalFisher",
        "hutchinson": "kgrow.bayes.hutchinson:Hutchinson",
        "exact": "kgrow.bayes.exact:ExactDiagonal",
    },
    made=seeded,
)
SPACES = Registry(
    "space",
    "kgrow.searching.space:SearchSpace",
    {
        "compact": "kgrow.searching.compact:Compact",
        "flexible": "kgrow.searching.flexible:Flexible",
        "cascade": "kgrow.searching.cascade:Cascade",
        "large": "kgrow.searching.large:Large",
        "cells": "kgrow.searching.cells:Cells",
        "pretrained": "kgrow.searching.pretrained:Pretrained",
        "seed": "kgrow.searching.seed:Seed",
        "seed_dense": "kgrow.searching.seed:Seed.densely_linked",
        "seed_plain": "kgrow.searching.seed:Seed.unlinked",
    },
    group="kgrow.spaces",
    made=instance,
)
POLICIES = Registry(
    "policy",
    "kgrow.structure.policy:StructurePolicy",
    {
        "fixed": "kgrow.structure.fixed_growth:FixedGrowth",
        "plateau": "kgrow.structure.loss_plateau:LossPlateau",
        "noise": "kgrow.structure.gradient_noise:GradientNoise",
        "depth": "kgrow.structure.depth_search:DepthSearch",
        "interleaved": "kgrow.structure.interleaved:Interleaved",
        "market": "kgrow.structure.market:Market",
    },
    group="kgrow.policies",
    made=instance,
)
EXPORTERS = Registry(
    "quantize",
    "kgrow.exporting.exporter:Exporter",
    {
        "float32": "kgrow.exporting.float32:Float32",
        "float16": "kgrow.exporting.float16:Float16",
        "dynamic": "kgrow.exporting.dynamic_range:DynamicRange",
        "int8": "kgrow.exporting.int8:Int8",
    },
    group="kgrow.exporters",
    made=instance,
)
OPERATORS = Registry(
    "kind",
    "kgrow.graph.operators.operator:Operator",
    {
        "activation": "kgrow.graph.operators.activation:Activation",
        "add": "kgrow.graph.operators.add:Add",
        "average_pool": "kgrow.graph.operators.average_pool:AveragePool",
        "batch_norm": "kgrow.graph.operators.batch_norm:BatchNorm",
        "channel_dropout": "kgrow.graph.operators.dropout:ChannelDropout",
        "concat": "kgrow.graph.operators.concat:Concat",
        "conv": "kgrow.graph.operators.conv:Conv",
        "dense": "kgrow.graph.operators.dense:Dense",
        "depthwise": "kgrow.graph.operators.depthwise:DepthwiseConv",
        "dropout": "kgrow.graph.operators.dropout:Dropout",
        "flatten": "kgrow.graph.operators.flatten:Flatten",
        "global_average_pool": "kgrow.graph.operators.global_pool:GlobalAveragePool",
        "global_max_pool": "kgrow.graph.operators.global_pool:GlobalMaxPool",
        "leaky_relu": "kgrow.graph.operators.leaky_relu:LeakyReLU",
        "max_pool": "kgrow.graph.operators.max_pool:MaxPool",
        "mixed_pool": "kgrow.graph.operators.mixed_pool:MixedPool",
        "multiply": "kgrow.graph.operators.multiply:Multiply",
        "one_position": "kgrow.graph.operators.one_position:OnePosition",
        "relu": "kgrow.graph.operators.relu:ReLU",
        "rescale": "kgrow.graph.operators.rescale:Rescale",
        "resize": "kgrow.graph.operators.resize:Resize",
        "times": "kgrow.graph.operators.times:Times",
        "zero_padding": "kgrow.graph.operators.zero_padding:ZeroPadding",
    },
    group="kgrow.operators",
    made=subclass,
)
# Published networks whose weights a network may start with; see `kgrow.pretrained`.
SCRATCH, AUTO = "scratch", "auto"
BACKBONES = (
    "lite0",
    *(f"mobilenet_v1_{width}" for width in ("0.25", "0.5", "0.75", "1.0")),
    *(f"mobilenet_v2_{width}" for width in ("0.35", "0.5", "0.75", "1.0", "1.3", "1.4")),
)
ESTIMATORS = Registry(
    "estimator",
    "kgrow.searching.estimating.estimator:Estimator",
    {
        "full": "kgrow.searching.estimating.full:Full",
        "halving": "kgrow.searching.estimating.halving:Halving",
    },
    made=instance,
)
# Estimators that no benchmark has shown to rank candidates like full training at a lower cost: available in Python, and
# in a file by name and fields, so that the file of a run gives the run again.
EXPERIMENTAL = Registry(
    "estimator",
    "kgrow.searching.estimating.estimator:Estimator",
    {
        "low_fidelity": "kgrow.searching.estimating.low_fidelity:LowFidelity",
        "supernet": "kgrow.searching.estimating.supernet:Supernet",
        "extrapolation": "kgrow.searching.estimating.extrapolation:Extrapolation",
        "evidence": "kgrow.searching.estimating.evidence:Evidence",
    },
    made=instance,
)
PRESETS = Registry(
    "preset",
    "kgrow.lifecycle.preset:Preset",
    {
        name: f"kgrow.lifecycle.preset:{name.upper()}"
        for name in ("default", "early_exit", "fine_tune", "base", "grow", "grow_oneshot", "grow_iter")
    },
)
AUGMENTATIONS = Registry(
    "augmentation",
    "kgrow.task.augmentation:Augmentation",
    {
        "suited": "kgrow.task.augmentation:Augmentation.suited_to",
        "cutout": "kgrow.task.augmentation:with_cutout",
        "photo": "kgrow.task.augmentation:of_photographs",
        "shift": "kgrow.task.augmentation:shifted",
        "none": "kgrow.task.augmentation:unchanged",
    },
)
OBJECTIVES = Registry(
    "objective",
    "kgrow.searching.objective:Objective",
    {
        "accuracy": "kgrow.searching.objective:Accuracy",
        "mixed": "kgrow.searching.objective:Mixed",
        "energy_constraint": "kgrow.searching.objective:EnergyConstraint",
        "accuracy_constraint": "kgrow.searching.objective:AccuracyConstraint",
    },
)
ORACLES = Registry(
    "oracle",
    "kgrow.searching.oracles:keras_tuner.Oracle",
    {name: f"kgrow.searching.oracles:{name}" for name in ("bayesian", "random", "grid")},
)
DISTRIBUTIONS = Registry(
    "distribute", "kgrow._keras:tf.distribute.Strategy", {"mirrored": "kgrow._keras:tf.distribute.MirroredStrategy"}
)
# Names without an object of their own.
SCOPES = ("layer", "block", "global", "erk")
REGROWTHS = ("gradient", "random")
STRATEGIES = ("one-shot", "iterative", "bayes")
PREFERENCES = ("accurate", "small")
PREDICTED_FORMATS = ("float32", "int8")

OPEN = (CRITERIA, POLICIES, SPACES, EXPORTERS, OPERATORS)


def origin(thing: Any) -> str:
    """Returns the name of an object or a class for messages: with its package and its entry point, if any."""
    kind, entry, package = _class_of(thing), _entry_of(thing), _package_of(thing)
    if entry is not None:
        return f"`{kind.__name__}` of {entry}"
    return f"`{kind.__name__}` of the package '{package}'" if package else f"`{kind.__module__}.{kind.__qualname__}`"


def is_foreign(thing: Any) -> bool:
    """Returns whether a class, or an object's class, belongs to another project."""
    return _top_of(_class_of(thing).__module__) != "kgrow"


def broken(thing: Any, promise: str, found: str) -> PluginError:
    """Returns the error for an object that violates its contract.

    Args:
        thing: Criterion, policy, space, operator or exporter.
        promise: Required behavior.
        found: Actual behavior.
    """
    return PluginError(f"{origin(thing)} must {promise}, but {found}.")


@contextlib.contextmanager
def blamed(thing: Any, allowed: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Adds a plug-in's package name to the errors that it raises; all other errors pass unchanged.

    Args:
        thing: Plug-in, or its class.
        allowed: Errors that its contract allows; they pass unchanged too.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, (PluginError, *allowed)) or not _package_of(thing):
            raise
        raise PluginError(f"{origin(thing)} raised {type(error).__name__}: {error}") from error


def _class_of(thing: Any) -> type:
    return thing if isinstance(thing, type) else type(thing)


def _top_of(module: str) -> str:
    return module.partition(".")[0]


def _claims(thing: Any) -> Iterator[tuple[Registry, Entry]]:
    """Yields the entry points of all groups whose objects are in the top package of an object's class."""
    top = _top_of(_class_of(thing).__module__)
    for registry in OPEN if is_foreign(thing) else ():
        for entry in (entry for found in registry.entries.values() for entry in found):
            if entry.package and _top_of(entry.target.partition(":")[0]) == top:
                yield registry, entry


def _entry_of(thing: Any) -> Entry | None:
    """Returns the entry point of another package that gave an object, or that names its class; None without any."""
    kind, claims = _class_of(thing), list(_claims(thing))
    target = f"{kind.__module__}:{kind.__qualname__}"
    made = [entry for registry, entry in claims if registry.has_made(thing, entry.name)]
    named = [entry for registry, entry in claims if registry.is_of(kind) and entry.target == target]
    return next(iter(made + named), None)


def _package_of(thing: Any) -> str:
    """Returns the distribution package that has an object's class, if it adds any names; else an empty text."""
    return next((entry.package for _, entry in _claims(thing)), "")
