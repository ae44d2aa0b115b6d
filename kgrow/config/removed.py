"""Spellings of kgrow 0.1 and their replacements."""

from __future__ import annotations

from collections.abc import Sequence

# Options of a search on several machines.
PYTHON = "A search on several machines is `tuning=kgrow.Tuning(engine='ray')`; see `kgrow.Ray`."
LINE = "A search on several machines is `kgrow search ... --engine ray [--address HOST:PORT]`."
# Arguments that moved to `Task.of`.
OF_TASK = ("validation_data", "test_data", "validation_split", "image_size", "data_dir", "class_names")
# Removed commands, options and names, each with a sentence about the replacement.
COMMANDS = {"worker": f"{LINE} Its workers are Ray's: `ray start --address HOST:PORT` on each machine."}
OPTIONS = {
    "--max-params": "It is `--limit params=N`.",
    "--chief": f"{LINE} Start its cluster with `ray start --head`.",
    "--lease": f"{LINE} Ray notices by itself that a worker is gone.",
    "--wait": f"{LINE} Ray notices by itself that a machine is gone.",
}
NAMES = {
    ("oracle", "hyperband"): "Successive halving is the estimator 'halving' (`--estimator halving`), with any oracle.",
    ("criterion", "bayes"): "It is 'fisher', after what it computes.",
    ("channel_criterion", "bayes"): "It is 'fisher', after what it computes.",
    ("channel_criterion", "gate"): "It is 'taylor', its name in the literature.",
    ("channel_criterion", "bn_scale"): "It is 'network_slimming', its name in the literature.",
}


def check_command(words: Sequence[str]) -> None:
    """Raises ValueError if a command line begins with a command of 0.1."""
    if words and words[0] in COMMANDS:
        raise ValueError(f"`{words[0]}` is no command since kgrow 0.2. {COMMANDS[words[0]]}")


def check_removed(field: str, value: str, name: str) -> None:
    """Raises ValueError if a field is given a name of 0.1.

    Args:
        field: Name of the field.
        value: Given value.
        name: Name used in messages.
    """
    if (field, value) in NAMES:
        raise ValueError(f"`{name}` is not {value!r} since kgrow 0.2. {NAMES[field, value]}")
