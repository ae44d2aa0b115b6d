"""Outputs of exported models over many images, and their latencies."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from kgrow.exporting.measure import EXIT_INDEX, IMAGE, LOGITS, PROBABILITIES, SIGNATURE, check_images, open_interpreter
from kgrow.network.early_exit import ExitRule

WARMUP = 10


@dataclasses.dataclass(frozen=True)
class Answers:
    """The outputs of a file, or of the network it was made from.

    Args:
        values: Logits, or probabilities if there are early exits, float32 (num_images, num_classes).
        exits: Head after which each image stopped, int (num_images,).
        milliseconds: Latency per image, float64 (num_images,); empty for a network.
    """

    values: np.ndarray
    exits: np.ndarray
    milliseconds: np.ndarray

    @property
    def classes(self) -> np.ndarray:
        """The answered class of each image."""
        return self.values.argmax(axis=-1)


class DeviceModel:
    """One exported file, or the files of all stages, run as on a device: image by image.

    Args:
        models: Content of the file, or of one file per stage.
        exit_indices: Heads that may answer.
        rule: Rule that decides which head answers, for stages; a single file contains its own.
        num_threads: Number of threads per inference.

    Raises:
        ValueError: If a model is damaged, or was not written by `export`.
    """

    def __init__(
        self,
        models: Sequence[bytes],
        exit_indices: Sequence[int],
        rule: ExitRule | None = None,
        num_threads: int = 1,
    ):
        has_branches = len(models) == 1 and len(exit_indices) > 1
        self.interpreters = [open_interpreter(model, num_threads, has_branches) for model in models]
        self.runners = [interpreter.get_signature_runner(SIGNATURE) for interpreter in self.interpreters]
        if has_branches and EXIT_INDEX not in self.runners[0].get_output_details():
            raise ValueError(
                "`models` must hold the files of all stages, but got one. Pass the folder that they are in."
            )
        self.exit_indices, self.rule = exit_indices, rule

    def run(self, images: np.ndarray) -> Answers:
        """Classifies raw pixels (num_images, height, width, channels)."""
        dtype = check_images(self.interpreters[0], images)
        for _ in range(WARMUP):
            self._answer(images[:1].astype(dtype))
        values, exits, milliseconds = [], [], []
        for index in range(len(images)):
            image = images[index : index + 1].astype(dtype)
            started = time.perf_counter()
            value, stopped = self._answer(image)
            milliseconds.append((time.perf_counter() - started) * 1e3)
            values.append(value)
            exits.append(stopped)
        return Answers(np.concatenate(values), np.array(exits), np.array(milliseconds))

    def time(self, image: np.ndarray) -> float:
        """Returns the latency of one image (height, width, channels) in milliseconds."""
        batch = image[np.newaxis]
        batch = batch.astype(check_images(self.interpreters[0], batch))
        started = time.perf_counter()
        self._answer(batch)
        return (time.perf_counter() - started) * 1e3

    def _answer(self, image: np.ndarray) -> tuple[np.ndarray, int]:
        if len(self.runners) > 1:
            return self._answer_in_stages(image)
        outputs = self.runners[0](**{IMAGE: image})
        if EXIT_INDEX in outputs:
            return self._dequantized(0, PROBABILITIES, outputs), int(outputs[EXIT_INDEX][0])
        # The only stage of a network of one block gives probabilities, like all stages.
        return self._dequantized(0, LOGITS if LOGITS in outputs else PROBABILITIES, outputs), self.exit_indices[-1]

    def _answer_in_stages(self, image: np.ndarray) -> tuple[np.ndarray, int]:
        known = {IMAGE: image}
        best = np.zeros((1, 1), np.float32)
        limits = [*self.rule.thresholds(len(self.runners)), np.inf] if self.rule else [np.inf] * len(self.runners)
        for stage, (runner, limit) in enumerate(zip(self.runners, limits, strict=True)):
            outputs = runner(**{name: known[name] for name in runner.get_input_details()})
            known.update(outputs)
            probabilities = self._dequantized(stage, PROBABILITIES, outputs)
            if probabilities.max() >= limit:
                return probabilities, self.exit_indices[stage]
            best = probabilities if probabilities.max() > best.max() else best
        return probabilities if self.rule and self.rule.fallback == "last" else best, self.exit_indices[-1]

    def _dequantized(self, stage: int, name: str, outputs: dict[str, Any]) -> np.ndarray:
        values = outputs[name]
        if values.dtype == np.float32:
            return values
        scale, zero_point = self.runners[stage].get_output_details()[name]["quantization"]
        return ((values.astype(np.float32) - zero_point) * scale).astype(np.float32)
