"""`ExportOptions`: what an exported file is like."""

from __future__ import annotations

import dataclasses

from kgrow.exporting.c_source import identifier, is_identifier
from kgrow.exporting.cut import OUTPUT_DTYPES
from kgrow.exporting.early_exit import EarlyExit
from kgrow.exporting.exporter import check_input_dtype


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """What an exported file is like; by default the last head in float32.

    Args:
        quantization: A key of `kgrow.exporting.EXPORTERS`.
        exit_index: The head that answers, or the last of them with early exits; the network's last one by default.
        early_exit: Whether the file answers at the first head that is confident enough, and how that is decided.
        input_dtype: Type in which the device feeds raw pixels: `"uint8"`, or `"float32"` with values of the same range;
            that of the data set by default.
        output_dtype: Type of the outputs: `"float32"`, or `"uint8"` or `"int8"` with int8.
        fine_tune_epochs: Epochs in which the network gets used to 8 bits before the conversion; int8 only.
        micro: Whether it must run on TensorFlow Lite Micro: what does not is an error.
        max_drop: Accuracy that quantization may cost, in [0, 1], beyond the standard error of the comparison.
        name: What the C source for a microcontroller puts in front of its names, so that a program can hold several
            models; by default that of the folder.
        single_output: Whether the file gives probabilities alone, for programs that expect one output; not with early
            exits.
        seed: Of the representative images and of fine-tuning.
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
    name: str | None = None
    single_output: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop <= 1:
            raise ValueError(f"`max_drop` must be in [0, 1], but got {self.max_drop!r}. For one point pass 0.01.")
        if self.name is not None and not is_identifier(self.name):
            raise ValueError(
                f"`name` must be a name in C, but got {self.name!r}. A near one is {identifier(self.name)!r}."
            )
        if self.input_dtype is not None:
            check_input_dtype(self.input_dtype)
        if self.output_dtype not in OUTPUT_DTYPES:
            raise ValueError(
                f"`output_dtype` must be one of {', '.join(map(repr, OUTPUT_DTYPES))}, but got {self.output_dtype!r}."
            )
        if self.quantization != "int8":
            self._check_needs_int8()
        if self.early_exit:
            self._check_early_exit(self.early_exit)

    def pixels(self, dtype: str) -> str:
        """Returns the type of the model's input.

        Args:
            dtype: Of the data set's images.

        Raises:
            ValueError: If the device could not feed such images.
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
