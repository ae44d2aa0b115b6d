"""The proximal step that makes groups of weights exactly zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kgrow._keras import tf

SMALLEST_NORM = 1e-12


def shrunk(kernel: Any, omega: Any, axes: Sequence[int], step: Any) -> Any:
    r"""Returns a kernel after the proximal step of a group lasso: :math:`W_g \max(0, 1 - \eta \omega_g / \|W_g\|)`.

    A gradient step on the penalty never reaches 0; this is the exact minimum of half the squared distance to the kernel
    plus :math:`\eta \sum_g \omega_g \|W_g\|`. Several categories are shrunk one after the other. This is exact if the
    groups of one lie within those of the next, small ones first, and a close approximation otherwise.

    Args:
        kernel: Kernel after a step of gradient descent.
        omega: Weight of each group, with size 1 in the axes over which a group runs.
        axes: Axes over which a group runs.
        step: Learning rate times the price lambda.
    """
    norms = tf.sqrt(tf.reduce_sum(tf.square(kernel), axis=tuple(axes), keepdims=True))
    return kernel * tf.maximum(1.0 - step * omega / tf.maximum(norms, SMALLEST_NORM), 0.0)
