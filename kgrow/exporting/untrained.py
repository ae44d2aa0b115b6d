"""The file of an untrained network: its size, memory and latency do not depend on what is learned."""

from __future__ import annotations

import dataclasses

import numpy as np

from kgrow._keras import quiet_stderr
from kgrow.exporting.answers import DeviceModel
from kgrow.exporting.cost import arena_bytes
from kgrow.exporting.cut import one_head
from kgrow.exporting.exporter import converted_by
from kgrow.exporting.memory_plan import with_plan
from kgrow.graph import Architecture
from kgrow.network import GrowingNetwork
from kgrow.registry import EXPORTERS, PluginError, is_foreign, origin
from kgrow.task import Task

IMAGES = 64
LEARNED = ("/beta", "/bias")


@dataclasses.dataclass(frozen=True)
class Untrained:
    """Figures of the file of an untrained network.

    Args:
        model: The file, without its description.
        ram_bytes: Memory for activations.
        latency_ms: Median latency of an image on one thread of this machine.
    """

    model: bytes = dataclasses.field(repr=False)
    ram_bytes: int
    latency_ms: float

    @classmethod
    def of(cls, task: Task, quantization: str, architecture: Architecture) -> Untrained:
        """Makes and measures the file of an architecture.

        Args:
            task: Data with the images.
            quantization: Key of `EXPORTERS`.
            architecture: Architecture of the network; its weights are drawn at random.
        """
        head, images = len(architecture.blocks) - 1, np.asarray(task.train.images[:IMAGES])
        model = with_plan(one_head(_converted(task, quantization, architecture), head))
        milliseconds = DeviceModel([model], (head,)).run(images).milliseconds
        return cls(model, arena_bytes(model), float(np.median(milliseconds)))


def check_expressible(task: Task, quantization: str, architecture: Architecture) -> None:
    """Checks, before any training, that a format can express what other packages add; kgrow's own is known to be.

    Args:
        task: Data with the images.
        quantization: Key of `EXPORTERS`.
        architecture: Architecture of the network.

    Raises:
        ValueError: If it cannot; the message names the operators and their package.
    """
    added = {node.operator.kind: node.operator for node in architecture.nodes if is_foreign(node.operator)}
    if not added and not is_foreign(EXPORTERS[quantization]):
        return
    try:
        with quiet_stderr():
            _converted(task, quantization, architecture)
    except PluginError:
        raise
    except Exception as problem:
        named = " or ".join(f"{kind!r} ({origin(operator)})" for kind, operator in sorted(added.items()))
        reason = str(problem).strip().partition("\n")[0]
        raise ValueError(
            f"`quantize` must be a format that can express the network, but {quantization} cannot convert the "
            f"operator {named or 'of one of its nodes'}: {type(problem).__name__}: {reason}"
        ) from problem


def _converted(task: Task, quantization: str, architecture: Architecture) -> bytes:
    network, generator = GrowingNetwork(architecture), np.random.default_rng(0)
    for name, variable in network.named_variables().items():
        if name.endswith(LEARNED):  # equal ones, as before any training, would be stored once
            variable.assign(generator.normal(0, 0.1, variable.shape))
    head, images = len(architecture.blocks) - 1, np.asarray(task.train.images[:IMAGES])
    return converted_by(EXPORTERS[quantization], network, (head,), task.dtype.name, images)
