"""Changes of the threshold of exported early exits."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from kgrow._checks import check_path
from kgrow.exporting import cut
from kgrow.exporting.bundle import LOCAL, local_of, read_bundle, self_describing, write
from kgrow.network.early_exit import ExitRule

# Measured with the earlier threshold. The exits' own figures are too, except their decision rule.
STALE = ("test_accuracy", "accuracy_drop", "agreement", "max_abs_diff")


def set_threshold(path: str | os.PathLike[str], threshold: float | Sequence[float]) -> None:
    """Changes the threshold of an exported file or folder in place; nothing is converted again.

    Figures measured with the earlier threshold become null in the model's description; `kgrow benchmark` measures them
    again.

    Args:
        path: File or folder that `export` wrote with early exits, in one file or in stages.
        threshold: Smallest confidence to exit with, 0 or more, of all heads or of each in the file before the last;
            above 1 no image exits early.

    Raises:
        FileNotFoundError: If there is no file or folder that kgrow exported.
        ValueError: If it has no early exits, or the threshold is not a confidence.
    """
    target = Path(check_path(path, "path"))
    is_per_head = isinstance(ExitRule(threshold, "last").threshold, tuple)
    description, models = read_bundle(target)
    exits = description["early_exit"]
    if not exits:
        raise ValueError(f"`path` must have early exits, but '{target}' has none. Export it with `early_exit=True`.")
    if is_per_head and exits["fallback"] != "last":
        raise ValueError(
            f"`threshold` must be one confidence, but got {threshold!r}: if no head of '{target}' is sure enough, its "
            "most confident one answers. Export it with `EarlyExit(fallback='last')` to give each head its own."
        )
    rule = ExitRule(threshold, exits["fallback"])
    rule.thresholds(len(exits["exit_indices"]))  # checks their number
    changed = {**dict.fromkeys(exits), **rule.to_json(), "exit_indices": exits["exit_indices"]}
    described = {name: value for name, value in description.items() if name not in (*LOCAL, "files")}
    described |= {**dict.fromkeys(STALE), "early_exit": changed}
    if len(models) == 1 and len(exits["exit_indices"]) > 1:  # the caller decides on stages and on a single head
        models = [cut.set_threshold(models[0], rule)]
    local = local_of(models, target, description.get("name"))
    write(target, [self_describing(model, described) for model in models], described, local)
