"""A forward pass in which every layer with variables can be looked at, and its output changed."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from kgrow._keras import keras

if TYPE_CHECKING:
    from kgrow.network.network import GrowingNetwork

# Maps the name of a part of the network, its layer, what that reads and what it makes to what goes on.
Tap = Callable[[str, keras.layers.Layer, Any, Any], Any]


def call_tapped(network: "GrowingNetwork", images: Any, tap: Tap) -> tuple[Any, ...]:
    """Runs inference operation by operation; no trace is used or made, as a tap cannot look into one.

    Args:
        network: Left as it was.
        images: Raw pixels (batch, height, width, channels).
        tap: Called for every convolution, normalisation and Dense layer, by the name of its kernel.

    Returns:
        Logits (batch, num_classes), one per head.
    """
    features: tuple[Any, ...] = ()
    logits = []
    with contextlib.ExitStack() as stack:
        for block in network.blocks:
            for name, layer in block.parts():
                stack.enter_context(_tapped(name, layer, tap))
            outputs, block_logits = block.run.python_function(features or (network.scale(images),), False)
            features = (*features, *outputs)
            logits.append(block_logits)
    return tuple(logits)


@contextlib.contextmanager
def _tapped(name: str, layer: keras.layers.Layer, tap: Tap) -> Iterator[None]:
    call = layer.call

    def tapped_call(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        return tap(name, layer, inputs, call(inputs, *args, **kwargs))

    layer.call = tapped_call
    try:
        yield
    finally:
        del layer.call  # uncovers the method of the class
