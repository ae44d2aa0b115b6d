"""`ExportOptions`: settings of an exported file."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from kgrow._checks import (
    MOST_ROUNDS,
    check_bool,
    check_non_negative_int,
    check_positive,
    check_seed,
    plain,
)
from kgrow._rules import Rule, check_fields, instance_of, one_of, optional, within
from kgrow.exporting.c_source import identifier, is_identifier
from kgrow.exporting.cut import OUTPUT_DTYPES
from kgrow.exporting.early_exit import EarlyExit
from kgrow.exporting.exporter import INPUT_DTYPES


def _check_class_weights(value: Any, name: str) -> tuple[float, ...]:
    if not isinstance(value, tuple | list) or not value:
        raise ValueError(f"`{name}` must be a positive number for each class, but got {value!r}.")
    return tuple(check_positive(plain(weight), name) for weight in value)


def _check_name(value: Any, name: str) -> str:
    if not isinstance(value, str) or not is_identifier(value):
        near = f" A near one is {identifier(value)!r}." if isinstance(value, str) else ""
        raise ValueError(f"`{name}` must be a name in C, but got {value!r}.{near}")
    return value


RULES: dict[str, Rule] = {
    "exit_index": optional(check_non_negative_int),
    "early_exit": optional(instance_of(EarlyExit)),
    "input_dtype": optional(one_of(INPUT_DTYPES)),
    "output_dtype": one_of(OUTPUT_DTYPES),
    "fine_tune_epochs": functools.partial(check_non_negative_int, most=MOST_ROUNDS),
    "micro": check_bool,
    "max_drop": within("[0, 1]", "For one point pass 0.01."),
    "seed": check_seed,
    "class_weights": optional(_check_class_weights),
    "name": optional(_check_name),
    "single_output": check_bool,
}


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """Settings of an exported file; by default the last head in float32.

    Args:
        quantization: Key of `kgrow.exporting.EXPORTERS`.
        exit_index: Head that answers, or the last of them with early exits; the network's last one by default.
        early_exit: Whether the file answers at the first confident head, and the rule for it.
        input_dtype: Type of the device's raw pixels: `"uint8"`, or `"float32"` with values of the same range; that of
            the data set by default.
        output_dtype: Type of the outputs: `"float32"`, or `"uint8"` or `"int8"` with int8.
        fine_tune_epochs: Number of epochs of fine-tuning for 8 bits before the conversion; int8 only.
        micro: Whether it must run on TensorFlow Lite Micro; if it cannot, an error is raised.
        max_drop: Largest loss of accuracy by quantization, in [0, 1], beyond the standard error of the comparison.
        name: Prefix of the names in the C source for a microcontroller, so that a program can contain several models;
            by default the folder's name.
        single_output: Whether the file gives only probabilities, for programs that expect one output; not with early
            exits.
        seed: Random seed of the representative images and of fine-tuning.
        class_weights: Loss factor of each image in fine-tuning, by its class; None for 1.
    """

    quantization: str = "float32"
    exit_index: int | None = None
    early_exit: EarlyExit | None = None
    input_dtype: str | None = None
    output_dtype: str = "float32"
    fine_tune_epochs: int = 0
    micro: bool = False
    max_drop: float = 0.01
    seed: int = 0
    class_weights: tuple[float, ...] | None = None
    name: str | None = None
    single_output: bool = False

    def __post_init__(self) -> None:
        check_fields(self, RULES)
        if self.quantization != "int8":
            self._check_needs_int8()
        if self.early_exit:
            self._check_early_exit(self.early_exit)

    def pixels(self, dtype: str) -> str:
        """Returns the type of the model's input.

        Args:
            dtype: Type of the data set's images.

        Raises:
            ValueError: If a device could not provide such images.
        """
        if self.input_dtype == "uint8" != dtype:
            raise ValueError(
                f"`input_dtype` must be 'float32' for images of {dtype}, but got 'uint8': their values are no pixels "
                "from 0 to 255."
            )
        return self.input_dtype or dtype

    def _check_needs_int8(self) -> None:
        if self.output_dtype != "float32":
            raise ValueError(f"`output_dtype` must be 'float32' unless it is int8, but got {self.output_dtype!r}.")
        if self.fine_tune_epochs:
            raise ValueError(f"`fine_tune_epochs` must be 0 unless it is int8, but got {self.fine_tune_epochs!r}.")

    def _check_early_exit(self, early_exit: EarlyExit) -> None:
        if self.quantization == "float16":
            raise ValueError(
                "`early_exit` must not be used with float16: tflite_runtime 2.14 gives wrong answers for such files. "
                "Use 'int8', 'float32' or 'dynamic'."
            )
        if early_exit.stages and self.output_dtype != "float32":
            raise ValueError(f"`output_dtype` must be 'float32' for stages, but got {self.output_dtype!r}.")
        if self.single_output:
            raise ValueError("`single_output` must be False with early exits, whose second output is `exit_index`.")
