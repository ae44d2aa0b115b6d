"""Texts for numbers and lines. Plain spaces group digits, which any terminal and `grep` can handle."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from kgrow.graph import Architecture
from kgrow.uncertainty import SIGNIFICANCE

NARROWEST = 20
# Rank correlation of predicted and realised gains below which the prices of a market say little.
LEAST_RANK_CORRELATION = 0.3


def grouped(number: float) -> str:
    """Formats a count: 169392 as "169 392"."""
    return f"{round(number):,}".replace(",", " ")


def percent(ratio: float | None, decimals: int = 1) -> str:
    """Formats a ratio without the percent sign: 0.813 as "81.3", None as "-"."""
    return "-" if ratio is None else f"{100 * ratio:.{decimals}f}"


def with_interval(accuracy: float | None, interval: Sequence[float] | None, decimals: int = 2) -> str:
    """Formats an accuracy and its 95 % interval without signs: "87.12 (85.2-88.9)"; an unknown interval is left out."""
    words = percent(accuracy, decimals)
    return words if interval is None else f"{words} ({percent(interval[0])}-{percent(interval[1])})"


def baseline(best: Mapping[str, Any], num_test: int) -> str:
    """Returns a sentence for a best network that does not beat always predicting the largest class."""
    found, accuracy = best["baseline"], best["test_accuracy"]
    verdict = "no better" if accuracy <= found["test_accuracy"] else "not certainly better"
    return (
        f"A test accuracy of {percent(accuracy)} % is {verdict} than always answering {one_line(found['class'])!r}, "
        f"the largest class, which is right for {percent(found['test_accuracy'])} % of the "
        f"{grouped(num_test)} test images."
    )


def ratios(keep_ratios: Sequence[float]) -> str:
    """Formats keep ratios: "0.8 0.75"."""
    return " ".join(f"{ratio:.3g}" for ratio in keep_ratios)


def duration(seconds: float) -> str:
    """Formats a time with the precision of an estimate: "45 s", "12 min", "2 h 5 min"."""
    if seconds < 59.5:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def agreement(calibration: Mapping[str, Any]) -> str:
    """Describes an estimator's agreement with full training: "approximate: supernet, Kendall tau 0.71 over ..."."""
    tau, count = calibration["kendall_tau"], calibration["num_candidates"]
    found = "Kendall tau not defined" if tau is None else f"Kendall tau {tau:.2f}"
    return f"approximate: {one_line(calibration['estimator'])}, {found} over {count} candidates"


def one_line(text: str, encoding: str | None = None) -> str:
    """Makes foreign text safe to show: one line, no control characters, only characters of `encoding`."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line.encode(encoding or "utf-8", "backslashreplace").decode(encoding or "utf-8")


class Paragraph:
    """Text that is wrapped at the console's width, but never inside a number or before its unit.

    Args:
        text: Single line of text.
        style: Style of rich.
    """

    def __init__(self, text: str, style: str = ""):
        self.text, self.style = text, style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields the wrapped text."""
        # rich breaks at every kind of space; textwrap only at ASCII ones.
        glued = re.sub(r"(?<=\d) (?=\d{3}\b|%|ms\b|s\b|min\b)", "\u00a0", self.text)
        lines = textwrap.wrap(glued, max(options.max_width, NARROWEST), break_on_hyphens=False)
        yield Text("\n".join(lines).replace("\u00a0", " "), self.style)


def unfinished(trial: str, architecture: Architecture, kept_params: int, num_blocks: int) -> str:
    """Returns the description of a network that is exported before it has its final structure.

    Args:
        trial: Name of the trial.
        architecture: Architecture as grown so far.
        kept_params: Number of connections kept so far.
        num_blocks: Planned number of blocks.
    """
    return (
        f"the time ended before trial {trial} had its final structure: its network is exported as it stands, "
        f"{len(architecture.blocks)} of {num_blocks} blocks grown and {kept_params} of {architecture.kernel_params()} "
        "connections kept. The same call goes on from its checkpoint"
    )


def market(found: Mapping[str, Any]) -> str:
    """Returns sentences on the trades of a market, given the `market` of a result: whether their prices held."""
    trades = f"The market made {found['trades']} trade{'' if found['trades'] == 1 else 's'}"
    correlation = found["rank_correlation"]
    if correlation is None:
        return f"{trades}; predicted and realised gains cannot be compared."
    verdict = "the prices said what would come" if correlation >= LEAST_RANK_CORRELATION else "the currency failed"
    chance = ", which may be chance" if found["p_value"] > SIGNIFICANCE else ""
    return (
        f"{trades}. The predicted and the realised gains of {found['pairs']} have a rank correlation of "
        f"{correlation:.2f}{chance}: {verdict}."
    )
