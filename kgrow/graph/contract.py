"""What an operator of another package promises is checked here; kgrow's own are checked by their tests."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from kgrow.graph.operators import INPUT_RANGE, OWN_RANGE, Operator, Shape
from kgrow.graph.operators.operator import Part
from kgrow.registry import broken, is_foreign


def check_arrays(operator: Operator, method: str, found: Any, shapes: Sequence[Shape]) -> None:
    """Checks the shapes of the arrays that a method of another package's operator returned.

    Args:
        operator: Operator of the method.
        method: Name of the method.
        found: Sequence of arrays.
        shapes: Required shapes.

    Raises:
        PluginError: If a shape is another one; the message names the package.
    """
    if not is_foreign(operator):
        return
    made = [np.shape(each) for each in found] if isinstance(found, (list, tuple)) else None
    if made != list(shapes):
        promise = f"give {_listed(shapes)} as shapes of what `{method}` returns"
        raise broken(operator, promise, f"gives {repr(found) if made is None else _listed(made)}")


@functools.lru_cache(maxsize=1024)
def check_operator(operator: Operator, inputs: tuple[Shape, ...]) -> None:
    """Checks what another package's operator tells without weights.

    Args:
        operator: Operator to check.
        inputs: Shapes that it can read.

    Raises:
        PluginError: If it breaks its contract; the message names the package.
    """
    shape, kernel = operator.output_shape(*inputs), operator.kernel_shape(*inputs)
    aligned = operator.aligned([np.arange(each[-1]) for each in inputs], inputs)
    num_sources = len(aligned) if isinstance(aligned, (list, tuple)) else 1
    check_arrays(operator, "aligned", aligned, [shape[-1:]] * num_sources)
    if kernel:
        sides = operator.sides(np.arange(inputs[0][-1]), np.arange(shape[-1]), -1)
        check_arrays(operator, "sides", sides, [(size,) for size in kernel[-2:]])
    for method, same in (
        ("with_channels", operator.with_channels(np.arange(shape[-1]))),
        ("at_size", operator.at_size(inputs[0], inputs[0])),
    ):
        if same.output_shape(*inputs) != shape:
            raise broken(operator, f"keep its shape in `{method}` if nothing changes", f"gives {same!r}")
    counts = operator.num_weights(*inputs)
    if not (isinstance(counts, tuple) and len(counts) == 2 and all(isinstance(count, int) for count in counts)):
        raise broken(operator, "give two numbers of weights", f"gives {counts!r}")
    if operator.value_range not in (OWN_RANGE, INPUT_RANGE) and len(operator.value_range) != 2:
        raise broken(operator, "have 'own', 'input' or two numbers as `value_range`", f"has {operator.value_range!r}")
    if (made := _lowered_shape(operator, inputs)) != shape:
        raise broken(operator, f"be lowered to parts that give {shape}", f"they give {made}")


def _lowered_shape(operator: Operator, inputs: tuple[Shape, ...]) -> Shape:
    parts = operator.lowered({}, inputs)
    if not (isinstance(parts, list) and all(isinstance(part, Part) for part in parts)):
        raise broken(operator, "give a list of `Part` in `lowered`", f"gives {parts!r}")
    shapes: list[Shape] = []
    for part in parts:
        shapes.append(part.operator.output_shape(*(shapes[at] if at >= 0 else inputs[-1 - at] for at in part.inputs)))
    return shapes[-1] if shapes else inputs[0]


def _listed(shapes: Sequence[Shape]) -> str:
    return ", ".join(map(str, shapes)) or "none"
