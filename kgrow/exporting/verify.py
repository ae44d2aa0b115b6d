"""Whether a file answers as the network that it was made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from kgrow.exporting.answers import Answers, DeviceModel
from kgrow.network import GrowingNetwork
from kgrow.network.early_exit import ExitRule, answering_head, softmax

TOLERANCE = 1e-4
AGREEMENT = 0.999
ROUNDING = 1e-9  # of the difference of two fractions of images
NUM_COMPARED = 16


class ExportError(RuntimeError):
    """The converted file does not answer as the network does; nothing was written."""


def network_answers(
    network: GrowingNetwork, images: np.ndarray, exit_indices: Sequence[int], rule: ExitRule | None
) -> Answers:
    """Returns what a file should answer.

    Args:
        network: As it was before the export.
        images: Raw pixels (num_images, height, width, channels).
        exit_indices: The heads that may answer.
        rule: Decides which of them does; None without early exits.
    """
    logits = network.logits(images)[list(exit_indices)]
    if rule is None:
        return Answers(logits[-1], np.full(len(images), exit_indices[-1]), np.zeros(0))
    head, evaluated = answering_head(logits, rule)
    probabilities = softmax(logits[head, np.arange(len(images))])
    return Answers(probabilities, np.asarray(exit_indices)[evaluated - 1], np.zeros(0))


def check_equal(found: Answers, expected: Answers) -> None:
    """Checks a file that should differ from the network by float32 rounding alone.

    Raises:
        ExportError: If values differ by more, or classes do.
    """
    difference = float(np.max(np.abs(found.values - expected.values)))
    allowed = TOLERANCE * max(1.0, float(np.max(np.abs(expected.values))))
    # Two classes this close may change places: a network without any weight left gives all classes the same logit.
    second, first = np.sort(expected.values, axis=-1)[:, -2:].T
    is_same = (found.classes == expected.classes) | (first - second <= allowed)
    # A confidence this close to the threshold may fall on its other side.
    is_same_exit = found.exits == expected.exits
    compared = np.abs(found.values - expected.values)[is_same_exit]
    if not (compared.size and np.max(compared) <= allowed):  # so put, NaN fails too
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
    """Checks that the description that was added last changed nothing.

    Raises:
        ExportError: If an answer changed.
    """
    again = model.run(np.asarray(images[:NUM_COMPARED])).values
    if not np.array_equal(again, found.values[:NUM_COMPARED]):
        raise ExportError("The file answers otherwise since its description was added. Nothing was written.")


def lost_images(expected: np.ndarray, found: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns for each image 1 if the network alone is right, -1 if the file alone is, else 0.

    Args:
        expected: Classes that the network answers.
        found: Classes that the file answers.
        labels: The right ones.
    """
    return (expected == labels).astype(np.float64) - (found == labels)


def standard_error(lost: np.ndarray) -> float:
    """Returns the standard error of the mean of a paired comparison, image by image."""
    return float(lost.std()) / len(lost) ** 0.5


def check_drop(lost: np.ndarray, max_drop: float, quantization: str, advice: Callable[[], str]) -> None:
    """Checks what quantization costs, beyond the standard error of what the images can tell.

    Args:
        lost: What `lost_images` returned.
        max_drop: Accuracy that may be lost.
        quantization: Name of the exporter.
        advice: Says what may help, if more was lost.

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
    """Returns what may help a network that quantization costs too much; it names the layer that is hurt most.

    Args:
        layer_errors: Per layer the error of the final logits if it alone is quantized.
        remedy: What may mend it.
    """
    # An error that is no number, as of a weight that half precision cannot hold, is the worst.
    worst = max(layer_errors, key=lambda name: np.nan_to_num(layer_errors[name], nan=np.inf))
    return f"The layer that alone changes the logits most is {worst}. {remedy}".rstrip()
