"""The latency of an untrained network."""

from __future__ import annotations

import numpy as np

from kgrow.exporting.answers import DeviceModel
from kgrow.exporting.cut import one_head
from kgrow.graph import Architecture
from kgrow.network import GrowingNetwork
from kgrow.registry import EXPORTERS
from kgrow.task import Task

IMAGES = 64


def untrained_latency_ms(task: Task, quantization: str, architecture: Architecture) -> float:
    """Returns the median latency of an image in milliseconds, on one thread of this machine.

    Args:
        task: Data with the images.
        quantization: Key of `EXPORTERS`.
        architecture: Architecture of the network; its weights are drawn at random.
    """
    head, images = len(architecture.blocks) - 1, np.asarray(task.train.images[:IMAGES])
    converted = EXPORTERS[quantization].convert(GrowingNetwork(architecture), (head,), task.dtype.name, images)
    return float(np.median(DeviceModel([one_head(converted, head)], (head,)).run(images).milliseconds))
