"""Classifies images with a model that kgrow exported. Needs NumPy and an interpreter, nothing else.

    python run.py [--model PATH] [--threads N] [--threshold T] [--json] IMAGE ...

PATH is a folder that `kgrow export` wrote, or its `.tflite` file; by default the folder of this script. The interpreter
is `ai_edge_litert` (`pip install ai-edge-litert`) or `tflite_runtime` (`pip install tflite-runtime "numpy<2"`).
Images are `.npy`, `.pgm` and `.ppm` files, and whatever Pillow reads if it is installed.

In a program, with a frame of a camera as an array (height, width, channels) of uint8:

    classifier = Classifier("out")
    answer = classifier(frame)
    print(answer.label, answer.probability)
"""

import argparse
import hashlib
import io
import json
import os
import re
import struct
import sys
import tokenize
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

FORMAT, METADATA = "kgrow-bundle-3", "metadata.json"
SIGNATURE, IMAGE, PROBABILITIES, EXIT_INDEX = "serving_default", "image", "probabilities", "exit_index"
# What `zipfile` raises on a damaged archive; RuntimeError if the damage looks like encryption or a new method.
ZIP_ERRORS = (zipfile.BadZipFile, KeyError, zlib.error, RuntimeError, EOFError, OSError, ValueError)
EIGHT_BITS = (0, 255)
# What interpreters say of operations that are newer than they are.
UNKNOWN_OPERATION = ("Didn't find op for builtin opcode", "Op builtin_code out of range")
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue, as in ITU-R BT.601


class Answer(NamedTuple):
    """What the model says of one image.

    `probabilities` is float32 (num_classes,); `exit_index` is the classifier inside the network after which it stopped.
    """

    label: str
    probability: float
    exit_index: int
    probabilities: np.ndarray


class Classifier:
    """A model, or the models of all stages, with its labels.

    Args:
        path: A folder that `kgrow export` wrote, or its `.tflite` file if it holds one alone.
        num_threads: Threads that one inference may use.
        threshold: For a folder of stages: smallest confidence to answer with before the last one; by default the
            exported ones. A single file has its thresholds inside.

    Raises:
        ValueError: If there is no such model, it is damaged or not one of kgrow's, or a number makes no sense.
        ImportError: If no interpreter is installed.
    """

    def __init__(self, path, num_threads=1, threshold=None):
        if not 1 <= num_threads < 2**31:
            raise ValueError(f"`num_threads` (`--threads`) must be in [1, 2**31), but got {num_threads!r}.")
        if threshold is not None and not 0 <= threshold < float("inf"):
            raise ValueError(
                f"`threshold` must be a confidence, 0 or more, but got {threshold!r}. For no early answer pass 2."
            )
        self.metadata, models = read_model(Path(path))
        self.labels = self.metadata["classes"]
        self.shape = tuple(self.metadata["input"]["shape"])
        self.dtype = np.dtype(self.metadata["input"]["dtype"])
        self.range = tuple(self.metadata["input"].get("range", EIGHT_BITS))
        early_exit = self.metadata["early_exit"] or {}
        has_branches = bool(early_exit) and len(models) == 1
        self.runners = [open_model(model, num_threads, has_branches) for model in models]
        confidences = early_exit.get("threshold") if threshold is None else threshold
        self.thresholds = confidences if isinstance(confidences, list) else [confidences] * len(models)
        self.last_answers = early_exit.get("fallback") == "last"
        if threshold is not None and len(models) == 1:
            raise ValueError("`threshold` must be None for a single file, which has its own inside.")
        self.exit_indices = early_exit.get("exit_indices") or [self.metadata["exit_index"]]
        if len(models) > 1 and not len(models) == len(self.exit_indices) <= len(self.thresholds) + 1:
            raise ValueError(f"'{path}' must hold a stage, and a threshold before the last one, for every exit.")
        if has_branches and len(self.exit_indices) > 1 and EXIT_INDEX not in self.runners[0].get_output_details():
            raise ValueError(f"'{path}' must be the folder of all stages, but is one of its files.")
        self._resized, self._range_checked = False, "range" not in self.metadata["input"]

    def __call__(self, image):
        """Classifies an array (height, width) or (height, width, channels) of raw pixels."""
        probabilities, exit_index = self.run(self.prepare(image))
        best = int(probabilities.argmax())
        return Answer(self.labels[best], float(probabilities[best]), exit_index, probabilities)

    def run(self, batch):
        """Runs the model on what `prepare` returned; returns probabilities (num_classes,) and the exit's index."""
        known, best = {IMAGE: batch}, None
        for stage, runner in enumerate(self.runners):
            outputs = runner(**{name: known[name] for name in runner.get_input_details()})
            probabilities = dequantized(runner, outputs)
            if EXIT_INDEX in outputs:
                return probabilities, int(outputs[EXIT_INDEX][0])
            # Where no head is sure enough, the most confident one answers, or always the last.
            if best is None or self.last_answers or probabilities.max() > best.max():
                best = probabilities
            if stage == len(self.runners) - 1 or probabilities.max() >= self.thresholds[stage]:
                return best, self.exit_indices[stage]
            known.update(outputs)
        raise AssertionError("a model has at least one stage")

    def read(self, path):
        """Returns an image file as the model reads it; a `.npy` file as it is."""
        image = read_image(path)
        return image if Path(path).suffix == ".npy" else self.scaled(image)

    def scaled(self, image):
        """Returns pixels from 0 to 255, as files and cameras give them, in the range that the model learned from."""
        low, high = self.range
        return image if self.range == EIGHT_BITS else low + np.float32((high - low) / 255) * np.asarray(image)

    def prepare(self, image):
        """Returns a batch of one, of the model's size and type."""
        image = np.asarray(image)
        image = image[..., np.newaxis] if image.ndim == 2 else image
        readable = (1, 3) if self.shape[2] in (1, 3) else (self.shape[2],)
        is_image = image.ndim == 3 and image.shape[2] in readable and image.dtype.kind in "biuf"
        if not is_image or not image.size or not np.isfinite(image).all():
            raise ValueError(
                f"`image` must be an array (height, width, channels) of pixels, but has shape {image.shape}."
            )
        self._check_range(image)
        if image.shape[:2] != self.shape[:2]:
            if not self._resized:
                print(f"resizing images to {self.shape[1]}x{self.shape[0]}, as the model reads them", file=sys.stderr)
            self._resized = True
            image = resized(image, self.shape[:2])
        image = with_channels(image.astype(np.float32), self.shape[2])
        if self.dtype == np.uint8:
            image = np.clip(np.rint(image), 0, 255)
        return image.astype(self.dtype)[np.newaxis]

    def _check_range(self, image):
        """Says once if pixels are far from the range that the model learned from."""
        (low, high), least, most = self.range, float(image.min()), float(image.max())
        is_beyond = least < 2 * low - high or most > 2 * high - low
        is_tiny = low >= 0 and high >= 10 and least < most <= 1
        if (is_beyond or is_tiny) and not self._range_checked:
            self._range_checked = True
            print(
                f"pixels reach from {least:g} to {most:g}, but the model learned from {low:g} to {high:g}: scale them "
                "as the images it was trained on",
                file=sys.stderr,
            )


def interpreter_class():
    """Returns the interpreter that is installed."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError:
            raise ImportError(
                "An interpreter must be installed: `pip install ai-edge-litert`, or on a 32 bit Raspberry Pi "
                '`pip install tflite-runtime "numpy<2"`.'
            ) from None
    return Interpreter


def open_model(content, num_threads=1, has_branches=False):
    """Returns a function from named input arrays to named output arrays."""
    # An interpreter gives a branch's memory back each time it leaves it, and prepares all operations in it anew for
    # the next image, unless told to keep what they compute.
    options = {"num_threads": num_threads, "experimental_preserve_all_tensors": has_branches}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the option announces that it takes memory
            interpreter = interpreter_class()(model_content=content, **options)
        # Before asking for the signature: tflite_runtime would otherwise run it several times slower.
        interpreter.allocate_tensors()
        return interpreter.get_signature_runner(SIGNATURE)
    except (RuntimeError, ValueError) as error:
        if any(words in str(error) for words in UNKNOWN_OPERATION):
            raise ValueError(f"The interpreter must be newer, as it does not know all of the model: {error}") from error
        raise ValueError(f"The model must be a whole file that kgrow exported, but does not load: {error}") from error


def read_model(path):
    """Returns the description and the content of a model, or of the models of all stages."""
    if path.is_dir():
        if not (path / METADATA).is_file():
            raise ValueError(f"'{path}' must be a folder that `kgrow export` wrote, but has no {METADATA}.")
        metadata = described(path / METADATA, (path / METADATA).read_bytes())
        entries = [entry for entry in metadata.get("files", ()) if entry["path"].endswith(".tflite")]
        if not entries:
            raise ValueError(f"'{path}' must be a whole folder that `kgrow export` wrote. Copy all of it.")
        return metadata, [checked(path / Path(entry["path"]).name, entry["sha256"]) for entry in entries]
    if not path.is_file():
        raise ValueError(f"'{path}' must be a model, but there is no such file.")
    content = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            text = archive.read(METADATA)
    except ZIP_ERRORS:
        raise ValueError(
            f"'{path}' must be a whole file that kgrow exported, but carries no description. Copy it once more."
        ) from None
    return described(path, text), [content]


def described(path, text):
    """Returns the description that a file holds."""
    try:
        metadata = json.loads(text)
        if metadata["format"] == FORMAT:
            return metadata
    except (ValueError, KeyError, TypeError):
        pass
    raise ValueError(
        f"'{path}' must hold a description that `kgrow export` wrote, but holds another, or a part of one."
    )


def checked(path, sha256):
    """Returns the content of a model, if it is the one that was described."""
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(
            f"'{path}' must be the model that {METADATA} describes, but differs. Copy the folder once more."
        )
    return content


def dequantized(runner, outputs):
    """Returns probabilities as float32 (num_classes,), whatever type the model gives."""
    values = outputs[PROBABILITIES][0]
    if values.dtype == np.float32:
        return values
    scale, zero_point = runner.get_output_details()[PROBABILITIES]["quantization"]
    return ((values.astype(np.float32) - zero_point) * scale).astype(np.float32)


def resized(image, size):
    """Returns an image at another (height, width), bilinear and antialiased as Pillow resizes it for training."""
    is_whole = image.dtype.kind in "bui"
    image = image.astype(np.float32)
    for axis in (1, 0):
        weights = _triangles(image.shape[axis], size[axis])
        image = np.moveaxis(np.tensordot(weights, image, axes=(1, axis)), 0, axis)
        # Pillow rounds bytes after each axis.
        image = np.floor(image + 0.5) if is_whole else image
    return image


def _triangles(old, new):
    """Returns how much each new pixel takes of each old one, (new, old), rows summing to 1."""
    scale = old / new
    support = max(1.0, scale)
    centers = (np.arange(new)[:, np.newaxis] + 0.5) * scale
    weights = np.clip(1 - np.abs(np.arange(old) + 0.5 - centers) / support, 0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def with_channels(image, channels):
    """Returns a gray image as color, or a color image as gray, if the model wants it so."""
    if image.shape[2] == channels:
        return image
    return np.repeat(image, channels, axis=2) if image.shape[2] == 1 else (image @ np.float32(LUMA))[..., np.newaxis]


def read_image(path):
    """Returns an image file as an array (height, width[, channels]).

    Raises:
        ValueError: If it is not an image, or of a kind that needs Pillow.
    """
    path = Path(path)
    try:
        if path.suffix == ".npy":
            return read_array(path)
        return _read_netpbm(path.read_bytes()) if path.suffix in (".pgm", ".ppm") else _read_with_pillow(path)
    except ImportError:
        raise ValueError(
            f"'{path}' must be .npy, .pgm or .ppm unless Pillow is installed: `pip install Pillow`."
        ) from None
    except (OSError, ValueError, IndexError, EOFError, SyntaxError, struct.error, OverflowError) as error:
        raise ValueError(f"'{path}' must be an image, but cannot be read: {error}") from error


def read_array(path):
    """Returns the array that a `.npy` file holds; raises ValueError if it holds none."""
    try:
        with open(path, "rb") as file:
            array = np.load(file, allow_pickle=False)
    except (*ZIP_ERRORS, SyntaxError, MemoryError, tokenize.TokenError) as error:
        raise ValueError(f"'{path}' must be a whole .npy file, but cannot be read: {error}") from error
    if isinstance(array, np.ndarray):
        return array
    raise ValueError(f"'{path}' must be a .npy file of one array, but is an archive. Save it with `numpy.save`.")


def _read_with_pillow(path):
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged notes beside the pixels
            with Image.open(path) as image:
                return _decoded(image)
    except Image.DecompressionBombError as error:  # derives from nothing else
        raise ValueError(str(error)) from error


def _decoded(image):
    """Returns pixels as in training: turned as the camera noted, on white where they are transparent, of 8 bits."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        return np.round(np.asarray(image).clip(0, 65535) / 257).astype(np.uint8)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))


def _read_netpbm(data):
    # Magic number, width, height and largest value, then one blank; comments run to the end of their line.
    header = re.match(rb"(P[56])(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+255\s", data)
    if not header:
        raise ValueError("only binary files of 8 bits per value (P5, P6) are read")
    width, height, channels = int(header[2]), int(header[3]), 1 if header[1] == b"P5" else 3
    pixels = np.frombuffer(data, np.uint8, width * height * channels, header.end())
    return pixels.reshape(height, width, channels)


def print_anything():
    """Lets what standard output cannot encode be printed as escapes, instead of ending the program."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")


def one_line(text):
    """Returns a name without the line breaks that it may have."""
    return " ".join(text.splitlines())


def main():
    """Runs the command line; returns the exit code."""
    print_anything()
    parser = argparse.ArgumentParser(description="Classify images with a model that kgrow exported.")
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument("--model", default=Path(__file__).parent, metavar="PATH", help="default: this folder")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--threshold", type=float, metavar="T", help="confidence to answer with early, for stages")
    parser.add_argument("--json", action="store_true", help="print one JSON object per image")
    options = parser.parse_args()
    failed = False
    try:
        classifier = Classifier(options.model, options.threads, options.threshold)
    except (ValueError, ImportError, OSError) as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 2
    for name in options.images:
        try:
            answer = classifier(classifier.read(name))
        except ValueError as error:
            print(f"run.py: {error}", file=sys.stderr)
            failed = True
            continue
        if options.json:
            fields = {"image": name, "label": answer.label, "probability": answer.probability}
            print(json.dumps({**fields, "exit_index": answer.exit_index}))
        else:
            print(f"{one_line(name)}: {one_line(answer.label)} ({100 * answer.probability:.1f} %)")
    return 1 if failed else 0


def run_program(main):
    """Runs a command line and ends with its exit code, without a word if whoever reads the output has gone."""
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python would complain at its end
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    run_program(main)
