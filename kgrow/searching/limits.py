"""`Limits`: what the device allows, as hard bounds."""

from __future__ import annotations

import dataclasses

from kgrow._checks import check_positive_int


class LimitError(ValueError):
    """No candidate satisfies the limits."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """Hard bounds on the result.

    Args:
        params: Most kept connections: convolution and Dense kernel weights that the masks keep.
    """

    params: int | None = None

    def __post_init__(self) -> None:
        if self.params is not None:
            check_positive_int(self.params, "params")

    def allow(self, kept_params: int) -> bool:
        """Returns whether a network with so many kept connections satisfies every limit."""
        return self.params is None or kept_params <= self.params
