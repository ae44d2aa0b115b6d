"""Strategies of `tf.distribute` by name: how the replicas of one training step are spread over devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kgrow._checks import lookup
from kgrow._keras import tf

# By the name used on the command line.
STRATEGIES: dict[str, Callable[[], Any]] = {
    "mirrored": lambda: tf.distribute.MirroredStrategy(),
}


def make_strategy(distribute: Any, batch_size: int) -> Any:
    """Returns a strategy whose replicas can share a batch.

    Args:
        distribute: A name in `STRATEGIES` or a `tf.distribute.Strategy`, which is taken as it is.
        batch_size: Of all replicas together.

    Raises:
        ValueError: If it is neither, or the batch cannot be divided among its replicas.
    """
    strategy = lookup(STRATEGIES, distribute, "distribute")() if isinstance(distribute, str) else distribute
    if not isinstance(strategy, tf.distribute.Strategy):
        raise ValueError(
            f"`distribute` must be one of {', '.join(map(repr, STRATEGIES))} or a tf.distribute.Strategy, but got "
            f"{distribute!r}."
        )
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise ValueError(
            f"`batch_size` must be a multiple of {replicas}, the number of replicas of `distribute`, but got "
            f"{batch_size}. Each replica trains an equal part of every batch."
        )
    return strategy
