"""What every argument of `search` must be, before anything is read: a new parameter needs a line here."""

from __future__ import annotations

from typing import Any

from kgrow._checks import (
    check_bool,
    check_keep_ratio_or_ratios,
    check_path,
    check_rounds,
    check_text,
)
from kgrow._rules import Rule, name_or_instance, one_of, optional
from kgrow._units import check_seconds
from kgrow.configuration import check_class_weight
from kgrow.lifecycle import PRESETS, Preset
from kgrow.lifecycle.distribute import check_distribute
from kgrow.lifecycle.preset import STRATEGIES
from kgrow.pruning import CHANNEL_CRITERIA, CRITERIA, SCOPES, ChannelCriterion, Criterion
from kgrow.reporting.progress import check_verbose
from kgrow.searching import SPACES, SearchSpace
from kgrow.searching.choice import PREFERENCES
from kgrow.searching.engine import check_engine
from kgrow.searching.estimating import check_estimator
from kgrow.searching.footprint import FORMATS
from kgrow.searching.limits import Limits
from kgrow.searching.objective import chosen_objective
from kgrow.task import AUGMENTATIONS, Augmentation
from kgrow.task.arguments import RULES as DATA


def _check_oracle(value: Any, name: str) -> Any:
    from kgrow.searching.oracles import check_oracle  # KerasTuner takes its time

    check_oracle(value)
    return value


def _check_project_name(value: Any, name: str) -> str:
    # The last part of "/" is empty.
    if not isinstance(value, str) or value in ("", ".", ".."):
        raise ValueError(
            f"`{name}` must be the name of a directory (the last part of `--out`), but got {value!r}. Name a new one."
        )
    return check_text(value, name)


RULES: dict[str, Rule] = {
    **DATA,
    "limits": optional(Limits.check),
    "trials": check_rounds,
    "oracle": _check_oracle,
    "estimator": check_estimator,
    "calibrate": check_bool,
    "objective": lambda value, name: chosen_objective(value),
    "quantize": optional(one_of(FORMATS)),
    "space": name_or_instance(SPACES, SearchSpace),
    "preset": name_or_instance(PRESETS, Preset),
    "epochs": optional(check_rounds),
    "batch_size": optional(check_rounds),
    "keep_ratio": optional(check_keep_ratio_or_ratios),
    "criterion": name_or_instance(CRITERIA, Criterion),
    "strategy": optional(one_of(STRATEGIES)),
    "scope": one_of(SCOPES),
    "channel_keep_ratio": optional(check_keep_ratio_or_ratios),
    "channel_criterion": name_or_instance(CHANNEL_CRITERIA, ChannelCriterion),
    "channel_multiple": check_rounds,
    "augmentation": name_or_instance(AUGMENTATIONS, Augmentation),
    "class_weight": check_class_weight,
    "prefer": one_of(PREFERENCES),
    "max_time": optional(check_seconds),
    "directory": check_path,
    "project_name": optional(_check_project_name),
    "overwrite": check_bool,
    "distribute": optional(check_distribute),
    "engine": check_engine,
    "verbose": check_verbose,
}

# Arguments of an earlier version, and what has taken their place.
REMOVED: dict[str, str] = {
    "cluster": "A search on several machines is `engine='ray'`; see `kgrow.Ray`, and `ray start` for its workers.",
}
