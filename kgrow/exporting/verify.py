"""Comparison of a file's outputs with those of the network it was made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from kgrow.exporting.answers import Answers, DeviceModel
from kgrow.network import GrowingNetwork
from kgrow.network.early_exit import ExitRule, answering_head, softmax

TOLERANCE = 1e-4
AGREEMENT = 0.999
ROUNDING = 1e-9  # tolerance of the difference of two fractions of images
NUM_COMPARED = 16


class ExportError(RuntimeError):
    """An error for a converted file whose outputs differ from the network's; nothing was written."""


def network_answers(
    network: GrowingNetwork, images: np.ndarray, exit_indices: Sequence[int], rule: ExitRule | None
) -> Answers:
    """Returns the expected outputs of a file.

    Args:
        network: Network before the export.
        images: Raw pixels (num_images, height, width, channels).
        exit_indices: Heads that may answer.
        rule: Rule that decides which head answers; None without early exits.
    """
    logits = network.logits(images)[list(exit_indices)]
    if rule is None:
        return Answers(logits[-1], np.full(len(images), exit_indices[-1]), np.zeros(0))
    head, evaluated = answering_head(logits, rule)
    probabilities = softmax(logits[head, np.arange(len(images))])
    return Answers(probabilities, np.asarray(exit_indices)[evaluated - 1], np.zeros(0))


def check_equal(found: Answers, expected: Answers) -> None:
    """Checks that a file differs from the network by float32 rounding only.

    Raises:
        ExportError: If values differ by more, or if classes differ.
    """
    difference = float(np.max(np.abs(found.values - expected.values)))
    allowed = TOLERANCE * max(1.0, float(np.max(np.abs(expected.values))))
    # Classes this close may swap: a network without any weight left gives all classes the same logit.
    second, first = np.sort(expected.values, axis=-1)[:, -2:].T
    is_same = (found.classes == expected.classes) | (first - second <= allowed)
    # A confidence this close to the threshold may fall on either side.
    is_same_exit = found.exits == expected.exits
    compared = np.abs(found.values - expected.values)[is_same_exit]
    if not (compared.size and np.max(compared) <= allowed):  # in this form, NaN fails too
        raise ExportError(
            f"The answers of the exported file differ from the network's by up to {difference:.3g}, more than the "
            f"{allowed:.3g} that float32 rounding explains. Nothing was written."
        )
    if min(np.mean(is_same), np.mean(is_same_exit)) < AGREEMENT:
        raise ExportError(
            f"The exported file and the network disagree on {np.sum(~(is_same & is_same_exit))} of {len(is_same)} test "
            "images. Nothing was written."
        )


def check_same(model: DeviceModel, images: np.ndarray, found: Answers) -> None:
    """Checks that adding the description last changed no output.

    Raises:
        ExportError: If an output changed.
    """
    again = model.run(np.asarray(images[:NUM_COMPARED])).values
    if not np.array_equal(again, found.values[:NUM_COMPARED]):
        raise ExportError("The file answers otherwise since its description was added. Nothing was written.")


def lost_images(expected: np.ndarray, found: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns for each image 1 if only the network is correct, -1 if only the file is, else 0.

    Args:
        expected: Classes that the network predicts.
        found: Classes that the file predicts.
        labels: Correct classes.
    """
    return (expected == labels).astype(np.float64) - (found == labels)


def standard_error(lost: np.ndarray) -> float:
    """Returns the standard error of the mean of a paired comparison, image by image."""
    return float(lost.std()) / len(lost) ** 0.5


def check_drop(lost: np.ndarray, max_drop: float, quantization: str, advice: Callable[[], str]) -> None:
    """Checks the loss of accuracy by quantization, beyond the standard error of the comparison.

    Args:
        lost: Result of `lost_images`.
        max_drop: Largest allowed loss of accuracy.
        quantization: Name of the exporter.
        advice: Function that returns advice if more was lost.

    Raises:
        ExportError: If more was lost.
    """
    drop, error = float(lost.mean()), standard_error(lost)
    if drop - error > max_drop + ROUNDING:
        raise ExportError(
            f"`max_drop` allows quantization to cost {100 * max_drop:.4g} points of accuracy, but {quantization} costs "
            f"{100 * drop:.3g}, with a standard error of {100 * error:.2g}, on {len(lost)} images. Nothing was "
            f"written. {advice()} To accept the loss, raise `max_drop` (--max-drop, in points)."
        )


def advice(layer_errors: Mapping[str, float], remedy: str) -> str:
    """Returns advice for a network that loses too much by quantization; it names the most sensitive layer.

    Args:
        layer_errors: Error of the final logits per layer if only that layer is quantized.
        remedy: Possible fix.
    """
    # NaN, as from a weight that half precision cannot represent, is the worst error.
    worst = max(layer_errors, key=lambda name: np.nan_to_num(layer_errors[name], nan=np.inf))
    return f"The layer that alone changes the logits most is {worst}. {remedy}".rstrip()
