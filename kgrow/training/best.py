"""Which epoch counts."""

import math


def accuracy_to_reach(highest: float, num_examples: int) -> float:
    """Returns the validation accuracy from which an epoch replaces the best one so far.

    Within one standard error of the highest the later epoch wins, because among so many epochs the highest is mostly
    luck on a small validation split (the one-standard-error rule of Breiman et al., "Classification and Regression
    Trees", 1984).

    Args:
        highest: Validation accuracy so far, in [0, 1].
        num_examples: Size of the validation split.
    """
    return highest - math.sqrt(highest * (1.0 - highest) / num_examples)
