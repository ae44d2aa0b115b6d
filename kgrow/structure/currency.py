"""Whether the prices of a market mean what they say: predicted gains against those that came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from kgrow.structure.trade import Trade

FEWEST_PAIRS = 4


def realised_gains(events: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Returns per trade the predicted gain, and how much more the training loss fell than the epoch before, in nats.

    Trades beside which the loss changed its meaning are left out: a block came or went, or images changed their size.

    Args:
        events: Log of a training.
    """
    losses = {event["epoch"]: event["loss"] for event in events if event["event"] == "epoch"}
    changes = [event for event in events if "change" in event]
    others = {event["epoch"] for event in changes if event["event"] in ("grew", "cut", "resized")}
    found = []
    for event in changes:
        epoch = event["epoch"]
        if event["event"] != Trade.event or not losses.keys() >= {epoch - 2, epoch - 1, epoch}:
            continue
        if not others & {epoch - 1, epoch}:
            trend = losses[epoch - 2] - losses[epoch - 1]
            found.append((event["change"]["ledger"]["predicted"], losses[epoch - 1] - losses[epoch] - trend))
    return found


def market_document(events: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Returns the number of trades, and Spearman's rank correlation of predicted and realised gains.

    The training loss also changes with the weights of its heads, which rise from epoch to epoch: part of the trend.

    Args:
        events: Log of a training.

    Returns:
        `trades`, how many of them are compared (`pairs`), `rank_correlation` and its `p_value`, both None of fewer than
        four pairs or where all are equal; None without trades.
    """
    trades = sum(event["event"] == Trade.event for event in events)
    if not trades:
        return None
    pairs = np.array(realised_gains(events)).reshape(-1, 2)
    varies = len(pairs) >= FEWEST_PAIRS and all(len(np.unique(column)) > 1 for column in pairs.T)
    found = stats.spearmanr(*pairs.T) if varies else None
    return {
        "trades": trades,
        "pairs": len(pairs),
        "rank_correlation": None if found is None else float(found.statistic),
        "p_value": None if found is None else float(found.pvalue),
    }
