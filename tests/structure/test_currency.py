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
    assert found == {"trades": 6, "rank_correlation": pytest.approx(expected)}
    words = market(found)
    assert words.startswith("The market made 6 trades. Predicted and realised gains have a rank correlation of")
    assert ("the currency failed" in words) == (order < 0)


def test_too_few_or_equal_gains_have_no_correlation():
    assert market_document(log_of([1.0, 0.9, 0.7], {2: 0.2})) == {"trades": 1, "rank_correlation": None}
    flat = market_document(log_of([1.0] * 9, dict.fromkeys(range(9), 0.1)))
    assert flat == {"trades": 9, "rank_correlation": None}
    assert "too few" in market(flat)
    assert market_document(log_of([1.0, 0.9], {})) is None
