"""The choice of the best epoch."""

import math


def accuracy_to_reach(highest: float, num_examples: int) -> float:
    """Returns the validation accuracy that an epoch needs to replace the best one so far.

    Within one standard error of the highest accuracy the later epoch wins, because the highest of many epochs is mostly
    chance on a small validation split (the one-standard-error rule of Breiman et al., "Classification and Regression
    Trees", 1984).

    Args:
        highest: Highest validation accuracy so far, in [0, 1].
        num_examples: Size of the validation split.
    """
    return highest - math.sqrt(highest * (1.0 - highest) / num_examples)
