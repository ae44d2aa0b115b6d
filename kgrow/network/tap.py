"""A forward pass in which every layer with variables can be looked at, and its output changed."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from kgrow._keras import keras

if TYPE_CHECKING:
    from kgrow.network.network import GrowingNetwork

# Maps the name of a part of the network, its layer, what that reads and what it makes to what goes on.
Tap = Callable[[str, keras.layers.Layer, Any, Any], Any]
# Maps the number of a cell and the maps that it reads, in the order of `Cell.inputs`, to what it reads in their place.
InputTap = Callable[[int, Sequence[Any]], Sequence[Any]]


def call_tapped(network: "GrowingNetwork", images: Any, tap: Tap) -> tuple[Any, ...]:
    """Runs inference operation by operation; no trace is used or made, as a tap cannot look into one.

    Args:
        network: Left as it was.
        images: Raw pixels (batch, height, width, channels).
        tap: Called for every convolution, normalisation and Dense layer, by the name of its kernel.

    Returns:
        Logits (batch, num_classes), one per head.
    """
    with contextlib.ExitStack() as stack:
        for block in network.blocks:
            for name, layer in block.parts():
                stack.enter_context(_tapped(name, layer, tap))
        return _run(network, images)


def call_with_inputs(network: "GrowingNetwork", images: Any, tap: InputTap) -> tuple[Any, ...]:
    """Runs inference as `call_tapped`, with what every cell reads changed before it is pooled, adapted and joined.

    Args:
        network: Left as it was.
        images: Raw pixels (batch, height, width, channels).
        tap: Called for every cell but the stem.

    Returns:
        Logits (batch, num_classes), one per head.
    """
    with contextlib.ExitStack() as stack:
        joins = (join for block in network.blocks for join in block.joins)
        for number, join in enumerate(joins):
            call = join.call
            stack.enter_context(_replaced(join, lambda maps, number=number, call=call: call(tap(number, maps))))
        return _run(network, images)


def _run(network: "GrowingNetwork", images: Any) -> tuple[Any, ...]:
    features: tuple[Any, ...] = ()
    logits = []
    for block in network.blocks:
        outputs, block_logits = block.run.python_function(features or (network.scale(images),), False)
        features = (*features, *outputs)
        logits.append(block_logits)
    return tuple(logits)


def _tapped(name: str, layer: keras.layers.Layer, tap: Tap) -> contextlib.AbstractContextManager[None]:
    call = layer.call

    def tapped_call(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        return tap(name, layer, inputs, call(inputs, *args, **kwargs))

    return _replaced(layer, tapped_call)


@contextlib.contextmanager
def _replaced(layer: keras.layers.Layer, call: Callable[..., Any]) -> Iterator[None]:
    layer.call = call
    try:
        yield
    finally:
        del layer.call  # uncovers the method of the class
