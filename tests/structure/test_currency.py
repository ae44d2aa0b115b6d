"""Whether predicted and realised gains of a market go together."""

import numpy as np
import pytest

from kgrow.reporting.wording import market
from kgrow.structure.currency import market_document, realised_gains


def log_of(losses, predicted, others=()):
    """A log of epochs with losses, and a trade before each epoch for which a gain is given."""
    events = []
    for epoch, loss in enumerate(losses):
        events += [{"event": kind, "epoch": at, "change": {}} for at, kind in others if at == epoch]
        if epoch in predicted:
            ledger = {"predicted": predicted[epoch]}
            events.append({"event": "traded", "epoch": epoch, "change": {"ledger": ledger}})
        events.append({"event": "epoch", "epoch": epoch, "loss": loss})
    return events


def test_realised_gain_is_how_much_more_the_loss_falls_than_before():
    log = log_of([1.0, 0.9, 0.7, 0.65], {1: 0.3, 2: 0.2, 3: 0.1})  # before epoch 1 there is no trend yet
    assert np.allclose(realised_gains(log), [(0.2, 0.2 - 0.1), (0.1, 0.05 - 0.2)])


@pytest.mark.parametrize("other", [(2, "grew"), (2, "cut"), (1, "resized")])
def test_trades_beside_another_loss_are_left_out(other):
    assert realised_gains(log_of([1.0, 0.9, 0.7], {2: 0.2}, [other])) == []


@pytest.mark.parametrize(("order", "expected"), [(1, 1.0), (-1, -1.0)])
def test_rank_correlation_is_that_of_the_order(order, expected):
    losses = np.cumsum([4.0, -0.1, -0.2, -0.4, -0.7, -1.1])  # each fall exceeds the one before by more
    log = log_of(losses.tolist(), {epoch: order * epoch**2 for epoch in range(6)})
    found = market_document(log)
    assert found == {"trades": 6, "pairs": 4, "rank_correlation": pytest.approx(expected), "p_value": 0.0}
    words = market(found)
    assert words.startswith(
        "The market made 6 trades. The predicted and the realised gains of 4 have a rank correlation of"
    )
    assert "chance" not in words
    assert "which may be chance" in market({**found, "p_value": 0.2})
    assert ("the currency failed" in words) == (order < 0)


def test_too_few_or_equal_gains_have_no_correlation():
    unknown = {"rank_correlation": None, "p_value": None}
    assert market_document(log_of([1.0, 0.9, 0.7], {2: 0.2})) == {"trades": 1, "pairs": 1, **unknown}
    flat = market_document(log_of([1.0] * 9, dict.fromkeys(range(9), 0.1)))
    assert flat == {"trades": 9, "pairs": 7, **unknown}
    assert market(flat) == "The market made 9 trades; predicted and realised gains cannot be compared."
    assert market({"trades": 1, "pairs": 1, **unknown}).startswith("The market made 1 trade;")
    assert market_document(log_of([1.0, 0.9], {})) is None
