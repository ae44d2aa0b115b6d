"""`search`, the main function: makes a plan from the arguments and runs it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kgrow._checks import check_bool, check_path, check_text
from kgrow._files import read_json
from kgrow._keras import pinned, use_one_thread
from kgrow._process import is_own
from kgrow._rules import Rule, checked, optional
from kgrow.comparing_starts import better_start
from kgrow.config import Config, Growth, Pruning, Training, Tuning, flat_rules, sectioned
from kgrow.config.refusing import refusing_removed
from kgrow.execution import Search
from kgrow.exporting.bundle import LABELS, METADATA, PROGRAM
from kgrow.exporting.untrained import Untrained, check_expressible
from kgrow.identity import configuration
from kgrow.inventory import check_same_images, record_images
from kgrow.plan import SearchPlan
from kgrow.planning import in_time, is_named, planned, read_task
from kgrow.registry import AUTO
from kgrow.reporting.progress import check_verbose, display_for
from kgrow.result import Result, load
from kgrow.run import MODEL, RESULT, SETTINGS, SOURCE, Run
from kgrow.searching import SearchSpace, latency
from kgrow.searching.engine import Ray, check_environment
from kgrow.searching.estimating import Full
from kgrow.searching.limits import Limits
from kgrow.searching.precision import decided
from kgrow.searching.proposals import Proposals
from kgrow.starting import HINT
from kgrow.task import Task
from kgrow.task.arguments import RULES as DATA


def _check_operators(task: Task, proposals: Proposals) -> None:
    """Raises ValueError if the format of a search cannot express an operator that a candidate may have."""
    seen: set[str] = set()
    for network in proposals.examples():
        kinds = {node.operator.kind for node in network.nodes}
        if not kinds <= seen:
            check_expressible(task, proposals.quantization, network)
        seen |= kinds


def _check_project_name(value: Any, name: str) -> str:
    # The last part of "/" is empty.
    if not isinstance(value, str) or value in ("", ".", "..") or Path(value).name != value:
        raise ValueError(
            f"`{name}` must be the name of a directory (the last part of `--out`), but got {value!r}. Name a new one."
        )
    return check_text(value, name)


RULES: dict[str, Rule] = {
    **flat_rules(),
    "dataset": DATA["dataset"],
    "directory": check_path,
    "project_name": optional(_check_project_name),
    "overwrite": check_bool,
    "verbose": check_verbose,
}


@pinned()
@refusing_removed
@checked(RULES)
def search(  # noqa: PLR0913 - the one call of the README; all but the data are keywords with a default
    dataset: Any,
    *,
    limits: Limits | Mapping[str, float | str] | None = None,
    device: str | None = None,
    space: str | SearchSpace | None = None,
    trials: int | None = None,
    epochs: int | None = None,
    max_time: float | str | None = None,
    seed: int | None = None,
    training: str | Training | Mapping[str, Any] | None = None,
    pruning: str | Pruning | Mapping[str, Any] | None = None,
    tuning: str | Tuning | Mapping[str, Any] | None = None,
    config: str | os.PathLike[str] | Config | Mapping[str, Any] | None = None,
    directory: str | os.PathLike[str] = "kgrow_runs",
    project_name: str | None = None,
    overwrite: bool = False,
    verbose: int = 1,
) -> Result:
    """Grows, prunes, selects and exports the best classifier within the limits.

    The same call on the same directory resumes a run that was killed, with the same result as an uninterrupted one.
    `docs/options.md` lists all settings. A setting that is not an argument comes from `config`, or is the default.

    Args:
        dataset: Data that `Task.of` accepts: a name, arrays, a folder, a `tf.data.Dataset`, a `Sequence`. Options for
            reading and splitting are arguments of `Task.of`: `search(Task.of("photos", image_size=64))`.
        limits: Hard bounds on the result; the exported file satisfies them all. `Limits`, or a mapping of them by name,
            such as `{"flash_bytes": "64KB"}`.
        device: Device; half of its flash and half of its RAM are additional limits.
        space: Family of candidate networks: a name in `kgrow.registry.SPACES` or a `SearchSpace`.
        trials: Largest number of candidates, 4 by default. A later call may raise it, with the same result as if all
            had been requested at first; a number below those already tried changes nothing.
        epochs: Number of epochs of the schedule; growth and pruning keep their relative positions.
        max_time: Largest total time in seconds, or a text such as `"10m"`, from reading the data to the export. The
            schedule is shortened until one candidate fits, and training stops between two steps. The best network so
            far is exported, even if none has its final structure. One epoch is always trained.
        seed: Random seed, 0 by default.
        training: Training settings: a `Training`, or the name of a preset.
        pruning: Settings of the pruning of connections and channels: a `Pruning`, or the name of a criterion.
        tuning: Settings of the candidates to try: a `Tuning`, or the name of an oracle.
        config: `Config`, mapping of sections, or path of a YAML file such as the `config.yaml` of a run; a mapping may
            also have the sections `growth`, `export` and `data`. Other arguments take precedence.
        directory: Parent of run directories.
        project_name: Name of the run directory; by default the data set's.
        overwrite: Whether a run in that directory is started over; by default an equal one is resumed.
        verbose: Verbosity: 0 silent, 1 live display on a terminal and lines elsewhere, 2 lines.

    Returns:
        The best network with all measurements; `model.tflite`, its labels, its description and a program that
        classifies images are in the run directory.

    Raises:
        ValueError: If an argument or the data are unusable; the message says how to fix it.
        LimitError: If no candidate satisfies the limits; the message names the nearest one and the violated limit.
        ConnectionError: If the cluster of `tuning.engine` cannot be reached.

    Example:
        >>> import tempfile
        >>> from kgrow import Pruning
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result = search("digits", epochs=3, pruning=Pruning(keep_ratio=0.5), directory=folder, verbose=0)
        >>> artefact = result.document["best"]["artefacts"][0]
        >>> artefact["quantization"], artefact["bytes"] < 60_000
        ('int8', True)
    """
    started = time.monotonic()
    first = {"limits": limits, "device": device, "space": space}
    flat = {**first, "trials": trials, "epochs": epochs, "max_time": max_time, "seed": seed}
    told = Config.of(config, {"training": training, "pruning": pruning, "tuning": tuning}, sectioned(flat))
    note = display_for(verbose).note
    if told.growth.start == AUTO:
        short = functools.partial(_short_search, directory=directory, overwrite=overwrite, verbose=verbose)
        told = _with_better_start(dataset, told, project_name, short, note)
        note = functools.partial(_note_but_hint, note)
    task, plan, resolved = planned(dataset, told, note)
    _suit_process(plan)
    path = Path(directory) / (project_name or default_project_name(task))
    if not overwrite:
        again = (lambda: task) if is_named(dataset) else functools.partial(read_task, dataset, told, note)
        check_same_images(path, task, again)
    check_environment(os.environ)
    _check_operators(task, plan.proposals)
    cluster = told.tuning.cluster
    with contextlib.ExitStack() as stack:
        if cluster is not None:
            stack.enter_context(_connected(cluster, plan))
        run = stack.enter_context(Run.open(path, configuration(task, plan), overwrite=overwrite))
        run.write_bytes(SETTINGS, resolved.to_yaml().encode())
        run.write_json(SOURCE, task.origin)
        record_images(run, task)
        is_whole = all(map(run.has, (RESULT, MODEL, LABELS, METADATA, PROGRAM)))
        if is_whole and _is_complete(run.path, plan.trials):
            return load(path, task)
        observer = stack.enter_context(display_for(verbose))
        if plan.settings.channels is None:  # with fewer channels a file is faster than the network was
            format_ = plan.proposals.quantization
            plan = dataclasses.replace(
                plan,
                proposals=latency.measured(
                    plan.proposals, run, lambda network: Untrained.of(task, format_, network).latency_ms, observer
                ),
            )
        seconds = told.tuning.max_time
        plan = dataclasses.replace(plan, settings=decided(plan.settings, plan.step_macs, run, observer))
        plan = in_time(task, plan, run, started, seconds, observer)
        return Search(task, plan, run, observer, task.origin, cluster).result(seconds, started)


def _with_better_start(
    dataset: Any, config: Config, name: str | None, short: Callable[..., Result], note: Callable[[str], None]
) -> Config:
    """Returns a configuration with the better start instead of `"auto"`."""
    if config.growth.weights is not None:
        raise ValueError("`growth.weights` must come with the name of a network, but `growth.start` is 'auto'.")
    task = read_task(dataset, dataclasses.replace(config, growth=Growth()), note)
    # Within limits the size of the images depends on the network.
    data = dataset if config.tuning.bounds.given else task
    folder = f"{name or default_project_name(task)}-starts"
    chosen = better_start(task, config, lambda start, told: short(data, told, f"{folder}/{start}"), note)
    return dataclasses.replace(config, growth=dataclasses.replace(config.growth, start=chosen))


def _note_but_hint(note: Callable[[str], None], sentence: str) -> None:
    if sentence != HINT:  # it has been followed
        note(sentence)


def _short_search(dataset: Any, config: Config, place: str, *, directory: Any, overwrite: bool, verbose: int) -> Result:
    folder, _, start = place.rpartition("/")
    return search(
        dataset,
        config=config,
        directory=Path(directory) / folder,
        project_name=start,
        overwrite=overwrite,
        verbose=verbose,
    )


def _suit_process(plan: SearchPlan) -> None:
    if is_own() and plan.is_small:
        use_one_thread()


def _connected(engine: Ray, plan: SearchPlan) -> contextlib.AbstractContextManager[None]:
    """Connects to a cluster, if it can train the planned candidates."""
    if not isinstance(plan.estimator, Full):
        raise ValueError(
            f"`tuning.estimator` must be 'full' with the engine 'ray', but got {plan.estimator!r}. What an estimator "
            "says of a candidate depends on those before it, which a cluster trains at the same time."
        )
    if plan.settings.distribution is not None:
        raise ValueError(
            "`training.distribute` must be None with the engine 'ray', but got a strategy. Give a candidate several "
            "GPUs by one of the two: candidates side by side keep all of them busy too."
        )
    from kgrow.searching.ray_trials import connected  # Ray is slow to import and optional

    return connected(engine)


def _is_complete(path: Path, trials: int) -> bool:
    """Returns whether a search has its result, all its trials are finished, and no more are requested."""
    found = read_json(path / RESULT, {"complete": bool, "trials": int})
    return found["complete"] and found["trials"] >= trials


def default_project_name(task: Task) -> str:
    """Returns a directory name derived from the data set's name."""
    return "".join(character if character.isalnum() or character in "-_." else "_" for character in task.name)
