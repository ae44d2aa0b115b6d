"""The file of an untrained network: its size, memory and latency do not depend on what is learned."""

from __future__ import annotations

import dataclasses

import numpy as np

from kgrow.exporting.answers import DeviceModel
from kgrow.exporting.cost import arena_bytes
from kgrow.exporting.cut import one_head
from kgrow.exporting.exporter import converted_by
from kgrow.exporting.memory_plan import with_plan
from kgrow.graph import Architecture
from kgrow.network import GrowingNetwork
from kgrow.registry import EXPORTERS
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
        network, generator = GrowingNetwork(architecture), np.random.default_rng(0)
        for name, variable in network.named_variables().items():
            if name.endswith(LEARNED):  # equal ones, as before any training, would be stored once
                variable.assign(generator.normal(0, 0.1, variable.shape))
        converted = converted_by(EXPORTERS[quantization], network, (head,), task.dtype.name, images)
        model = with_plan(one_head(converted, head))
        milliseconds = DeviceModel([model], (head,)).run(images).milliseconds
        return cls(model, arena_bytes(model), float(np.median(milliseconds)))
