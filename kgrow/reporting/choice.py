"""The choice of a trial in words: the reason, equivalent trials, and the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from kgrow.reporting.rows import Rows
from kgrow.reporting.wording import Paragraph, grouped, percent, with_interval

Document = Mapping[str, Any]


def winner_of(result: Document) -> int:
    """Returns the index of the trial that `best` describes."""
    return [trial["trial"] for trial in result["candidates"]].index(result["best"]["trial"])


def explained_choice(result: Document) -> Iterator[RenderableType]:
    """Yields the reason for the winner, the trials that cannot be distinguished from it, and the Pareto front."""
    chosen = result["candidates"][winner_of(result)]
    yield Paragraph(_reason(result, chosen))
    alike = [it["trial"] for it in result["choice"]["comparisons"] if not it["told_apart"]]
    if alike:
        yield Paragraph(
            f"On {grouped(result['task']['num_validation'])} validation images it cannot be told apart from "
            f"trial{'' if len(alike) == 1 else 's'} {_listed(alike)}: the differences may be chance (95 %).",
            "yellow",
        )
    yield from _front(result["pareto"], chosen)


def _reason(result: Document, chosen: Document) -> str:
    name, accuracy = f"* Trial {chosen['trial']}", _mean(chosen)
    exact = [t for t in result["candidates"] if t["val_accuracy"] is not None and not t["estimated"]]
    others = [trial for trial in exact if trial is not chosen]
    if not others:
        return f"{name} is chosen: no other has a result."
    rival = max(others, key=_mean)
    gained = f"{percent(accuracy, 2)} %, trial {rival['trial']} {percent(_mean(rival), 2)} %"
    contenders = [trial for trial in exact if trial["trial"] in result["choice"]["contenders"]]
    if len(contenders) > 1 and chosen in contenders:
        why = _preference(result["choice"]["prefer"], chosen, contenders)
        if why:
            return (
                f"{name} is chosen: {why} of the {len(contenders)} trials within one standard error of the highest "
                f"mean validation accuracy ({gained})."
            )
    if accuracy > _mean(rival):
        return f"{name} is chosen: its last head has the highest mean validation accuracy ({gained})."
    if accuracy == _mean(rival) and chosen["kept_params"] <= rival["kept_params"]:
        return f"{name} is chosen: no mean validation accuracy is higher ({gained}), and it keeps the fewest weights."
    reward, other = chosen["objective"], rival["objective"]
    if reward > other:  # another network may be as accurate at too high a cost
        return (
            f"{name} is chosen: its objective is {reward:.4f}, that of trial {rival['trial']} {other:.4f} ({gained})."
        )
    return f"{name} is chosen ({gained})."


def _preference(prefer: str, chosen: Document, contenders: Sequence[Document]) -> str:
    """Returns the advantage of a trial over its contenders; an empty string if there is none."""
    if prefer == "small":
        smallest = min((trial["flash_bytes"], trial["kept_params"]) for trial in contenders)
        return "it is the smallest" if (chosen["flash_bytes"], chosen["kept_params"]) == smallest else ""
    losses = [math.inf if trial["mean_val_loss"] is None else trial["mean_val_loss"] for trial in contenders]
    loss = chosen["mean_val_loss"]
    return "" if loss is None or loss > min(losses) else f"it has the lowest mean validation loss, {loss:.4f},"


def _mean(trial: Document) -> float:
    """Returns the accuracy by which a trial is judged."""
    mean = trial["mean_val_accuracy"]
    return trial["val_accuracy"] if mean is None else mean


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _front(points: Sequence[Document], chosen: Document) -> Iterator[RenderableType]:
    if len(points) < 2:
        return
    rows = [
        (
            f"{point['trial']}{' *' if point['trial'] == chosen['trial'] else ''}",
            with_interval(point["val_accuracy"], point["val_accuracy_interval"]),
            grouped(point["kept_params"]),
            grouped(point["macs"]),
            grouped(point["flash_bytes"]),
            grouped(point["ram_bytes"]),
            "-" if point["latency_ms"] is None else f"{point['latency_ms']:.3g}",
        )
        for point in points
    ]
    headers = ("trial", "validation % (95 %)", "weights", "MACs", "flash bytes", "RAM bytes", "latency ms")
    winner = next((index for index, point in enumerate(points) if point["trial"] == chosen["trial"]), None)
    title = "Pareto front: no other trial is as accurate at lower costs"
    yield Rows(title, headers, rows, num_words=1, winner=winner, expendable=("latency ms", "MACs", "RAM bytes"))
