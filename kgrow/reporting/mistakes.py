"""The images that a network gets wrong and is surest of."""

from __future__ import annotations

import numpy as np

from kgrow.network.early_exit import softmax

MOST_MISTAKES = 12


def surest_mistakes(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows of the images that are answered wrongly with the largest probabilities, and these.

    Args:
        logits: Logits, (num_images, classes).
        labels: Classes of the images, int (num_images,).

    Returns:
        At most 12 rows, the surest first, and the probabilities of the answers.
    """
    answers = logits.argmax(axis=-1)
    sure = softmax(logits)[np.arange(len(labels)), answers]
    rows = np.array(
        [row for row in np.argsort(-sure, kind="stable") if answers[row] != labels[row]][:MOST_MISTAKES], int
    )
    return rows, sure[rows]
