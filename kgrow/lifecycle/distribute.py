"""Strategies of `tf.distribute` by name, which distribute the replicas of a training step over devices."""

from __future__ import annotations

from typing import Any

from kgrow._checks import lookup
from kgrow._keras import tf
from kgrow.registry import DISTRIBUTIONS


def check_distribute(value: Any, name: str) -> Any:
    """Returns a name in `DISTRIBUTIONS`, or a `tf.distribute.Strategy`.

    Raises:
        ValueError: If it is neither.
    """
    if isinstance(value, str):
        lookup(DISTRIBUTIONS, value, name)
    elif not isinstance(value, tf.distribute.Strategy):
        names = ", ".join(map(repr, DISTRIBUTIONS))
        raise ValueError(f"`{name}` must be one of {names} or a tf.distribute.Strategy, but got {value!r}.")
    return value


def make_strategy(distribute: Any, batch_size: int) -> Any:
    """Returns a strategy whose replicas can share a batch.

    Args:
        distribute: Name in `DISTRIBUTIONS` or a `tf.distribute.Strategy`, which is used unchanged.
        batch_size: Batch size of all replicas together.

    Raises:
        ValueError: If it is neither, or the batch cannot be divided among its replicas.
    """
    check_distribute(distribute, "distribute")
    strategy = DISTRIBUTIONS[distribute]() if isinstance(distribute, str) else distribute
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise ValueError(
            f"`batch_size` must be a multiple of {replicas}, the number of replicas of `distribute`, but got "
            f"{batch_size}. Each replica trains an equal part of every batch."
        )
    return strategy
