"""`configuration`: the document that identifies a run."""

from __future__ import annotations

import dataclasses
from typing import Any

from kgrow.document import task_document
from kgrow.graph.values import digest_of
from kgrow.lifecycle import ChannelPruning
from kgrow.plan import SearchPlan
from kgrow.run import described
from kgrow.task import Task


def configuration(task: Task, plan: SearchPlan) -> dict[str, Any]:
    """Returns the resolved configuration; a run can only be resumed with an equal one.

    It does not contain the number of trials, which may be raised.
    """
    proposals, settings = plan.proposals, plan.settings
    return {
        "task": task_document(task) | {"fingerprint": task.fingerprint},
        "architecture": proposals.full.to_json(),
        "initial": digest_of(proposals.initial(proposals.full)),
        "variants": [list(variant) for variant in proposals.variants],
        "choices": {name: list(values) for name, values in proposals.choices.items()},
        "keep_ratios": proposals.keep_ratios,
        "limits": dataclasses.asdict(proposals.limits),
        "quantization": proposals.quantization,
        "oracle": plan.oracle if isinstance(plan.oracle, str) else type(plan.oracle).__name__,
        "estimator": described(plan.estimator),
        "calibrate": plan.calibrate,
        "objective": described(plan.objective),
        "prefer": plan.prefer,
        "preset": dataclasses.asdict(settings.preset),
        "growth": None if settings.growth is None else described(settings.growth),
        "criterion": described(settings.criterion),
        "scope": settings.scope,
        "regrowth": settings.regrowth,
        "channels": None if settings.channels is None else _fields(settings.channels),
        "augmentation": dataclasses.asdict(settings.augmentation),
        "class_weights": settings.class_weights,
        "replicas": 1 if settings.distribution is None else settings.distribution.num_replicas_in_sync,
        "precision": settings.precision,
        "seed": settings.seed,
    }


def _fields(channels: ChannelPruning) -> dict[str, Any]:
    return {**vars(channels), "criterion": described(channels.criterion)}
