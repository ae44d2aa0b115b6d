"""Classifies images with a model that kgrow exported. Needs NumPy and an interpreter, nothing else.

    python run.py [--model PATH] [--threads N] [--threshold T] [--top N] [--json] IMAGE ...

PATH is a folder that `kgrow export` wrote, or its `.tflite` file; by default the folder of this script. The interpreter
is `ai_edge_litert` (`pip install ai-edge-litert`) or `tflite_runtime` (`pip install tflite-runtime "numpy<2"`).
Images are `.npy`, `.pgm` and `.ppm` files, and whatever Pillow reads if it is installed; a folder stands for all images
in it and below. An image that cannot be read is named, and the others are answered. The exit code is 0 if all images
have an answer, 1 if some have none, and 2 if the model or an option is not usable.

In a program, with a frame of a camera as an array (height, width, channels) of uint8:

    classifier = Classifier("out")
    answer = classifier(frame)
    print(answer.label, answer.probability, classifier.top(answer, 3))
"""

import argparse
import hashlib
import io
import json
import math
import os
import re
import stat
import sys
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

FORMAT, METADATA, MODEL = "kgrow-bundle-3", "metadata.json", "model.tflite"
# What stands before the hash at a model's end, which is that of all bytes before it, in hexadecimal digits.
SEAL, HASH_LENGTH = b"kgrow-sha256:", 64
ZIP_END, ZIP_END_LENGTH = b"PK\5\6", 22  # of a zip whose comment is the rest
SIGNATURE, IMAGE, PROBABILITIES, EXIT_INDEX = "serving_default", "image", "probabilities", "exit_index"
# What `zipfile` raises on a damaged archive; RuntimeError if the damage looks like encryption or a new method.
ZIP_ERRORS = (zipfile.BadZipFile, KeyError, zlib.error, RuntimeError, EOFError, OSError, ValueError)
ABSENT = object()
MAX_VALUES = 2**28  # of one image that a model reads
# Of files that may be anybody's. Pillow warns of an image of more pixels; a JPEG has no longer side.
MAX_PIXELS, MAX_SIDE = 89_478_485, 65_535
MAX_FILE_BYTES, MAX_DESCRIPTION_BYTES = 2**31, 2**24
EIGHT_BITS = (0, 255)
ROWS_PER_BAND = 256
NETPBM = (".pgm", ".ppm")
# Of the files that a folder stands for; a file that is named itself may have any.
SUFFIXES = (".npy", *NETPBM, ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".heic", ".heif")
# What interpreters say of operations that are newer than they are.
UNKNOWN_OPERATION = ("Didn't find op for builtin opcode", "Op builtin_code out of range")
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue, as in ITU-R BT.601


def is_number(value):
    return type(value) in (int, float) and abs(value) < 1e300  # neither true nor NaN


def is_index(value):
    return type(value) is int and 0 <= value < 2**31


def is_text(value):
    return isinstance(value, str)


def is_list(value, is_item):
    return isinstance(value, list) and len(value) > 0 and all(map(is_item, value))


def is_shape(value):
    return is_list(value, is_index) and len(value) == 3 and 0 < math.prod(value) <= MAX_VALUES


def is_range(value):
    return value is ABSENT or (is_list(value, is_number) and len(value) == 2 and value[0] <= value[1])


def is_threshold(value):  # a list of none where one head answers
    return all(is_number(item) and item >= 0 for item in (value if isinstance(value, list) else [value]))


def is_increasing(value):
    return is_list(value, is_index) and value == sorted(set(value))


def is_entry(value):
    name = value.get("path") if isinstance(value, dict) else None
    return is_text(name) and Path(name).name == name not in ("", "..") and "\0" not in name


# What a description holds of what kgrow reads: a check and the rule in words. Other fields are for people.
FIELDS = {
    "input.shape": (is_shape, f"height, width and channels of at most {MAX_VALUES} values"),
    "input.dtype": (lambda value: value in ("uint8", "float32"), "'uint8' or 'float32'"),
    "input.range": (is_range, "the smallest and the largest pixel"),
    "classes": (lambda value: is_list(value, is_text), "a list of names"),
    "exit_index": (is_index, "the number of a head"),
    "quantization": (is_text, "a name"),
    "fingerprint": (is_text, "text"),
}
# With early exits.
EXIT_FIELDS = {
    "early_exit.threshold": (is_threshold, "one confidence or several, 0 or more"),
    "early_exit.fallback": (lambda value: value in ("most_confident", "last"), "'most_confident' or 'last'"),
    "early_exit.exit_indices": (is_increasing, "increasing numbers of heads"),
}
FOLDER_FIELDS = {
    "files": (lambda value: is_list(value, is_entry), "a list of files in this folder"),
}


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
        num_threads: Threads that one inference may use; no more than the machine has cores are used.
        threshold: For a folder of stages: smallest confidence to answer with before the last one; by default the
            exported ones. A single file has its thresholds inside.

    Raises:
        FileNotFoundError: If there is no such model.
        ValueError: If it is damaged or not one of kgrow's, or a number makes no sense.
        ImportError: If no interpreter is installed.
    """

    def __init__(self, path, num_threads=1, threshold=None):
        if not 1 <= num_threads < 2**31:
            raise ValueError(f"`num_threads` (`--threads`) must be in [1, 2**31), but got {num_threads!r}.")
        if threshold is not None and not 0 <= threshold < float("inf"):
            raise ValueError(
                f"`threshold` must be a confidence, 0 or more, but got {threshold!r}. For no early answer pass 2."
            )
        self.num_threads = usable_threads(num_threads)
        self.metadata, models = read_model(Path(path))
        self.labels = self.metadata["classes"]
        self.shape = tuple(self.metadata["input"]["shape"])
        self.dtype = np.dtype(self.metadata["input"]["dtype"])
        self.range = tuple(self.metadata["input"].get("range", EIGHT_BITS))
        early_exit = self.metadata["early_exit"] or {}
        has_branches = bool(early_exit) and len(models) == 1
        try:
            self.runners = [open_model(model, self.num_threads, has_branches) for model in models]
        except ValueError as error:
            raise ValueError(f"'{path}' cannot be opened: {error}") from error
        confidences = early_exit.get("threshold") if threshold is None else threshold
        self.thresholds = confidences if isinstance(confidences, list) else [confidences] * len(models)
        self.last_answers = early_exit.get("fallback") == "last"
        if threshold is not None and len(models) == 1:
            raise ValueError("`threshold` must be None for a single file, which has its own inside.")
        self.exit_indices = early_exit.get("exit_indices") or [self.metadata["exit_index"]]
        if has_branches and len(self.exit_indices) > 1 and EXIT_INDEX not in self.runners[0].get_output_details():
            raise ValueError(f"'{path}' must be the folder of all stages, but is one of its files.")
        self._check_tensors(path)
        self._resized, self._range_checked = False, "range" not in self.metadata["input"]

    def _check_tensors(self, path):
        """Raises ValueError unless the models read and give what their description says."""
        known = {IMAGE: ((1, *self.shape), self.dtype)}
        for runner in self.runners:
            inputs, outputs = tensors(runner.get_input_details()), tensors(runner.get_output_details())
            if not inputs.items() <= known.items():
                raise ValueError(f"'{path}' must read {known}, as it was described, but reads {inputs}.")
            probabilities, _ = outputs.get(PROBABILITIES, ((), None))
            if probabilities != (1, len(self.labels)):
                raise ValueError(
                    f"'{path}' must give `{PROBABILITIES}` of {len(self.labels)} classes, as it was described, but "
                    f"gives {outputs}."
                )
            known.update(outputs)

    def __call__(self, image):
        """Classifies an array (height, width) or (height, width, channels) of raw pixels."""
        probabilities, exit_index = self.run(self.prepare(image))
        best = int(probabilities.argmax())
        return Answer(self.labels[best], float(probabilities[best]), exit_index, probabilities)

    def top(self, answer, num_labels=3):
        """Returns the most probable labels, each with its probability, the best first; at most all there are."""
        best = np.argsort(-answer.probabilities, kind="stable")[:num_labels]
        return [(self.labels[index], float(answer.probabilities[index])) for index in best]

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
        return image if is_array(path) else self.scaled(image)

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


def usable_threads(num_threads):
    """Returns how many threads to use: what is asked for, or if that is more, as many as there are cores."""
    num_cores = os.cpu_count() or 1
    if num_threads > num_cores:
        print(f"using {num_cores} thread(s), as many as there are cores, not {num_threads}", file=sys.stderr)
    return min(num_threads, num_cores)


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


def tensors(details):
    """Returns shape and type of each tensor that a signature names."""
    return {name: (tuple(map(int, told["shape"])), np.dtype(told["dtype"])) for name, told in details.items()}


def read_model(path):
    """Returns the description and the content of a model, or of the models of all stages.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged, or not one of kgrow's.
    """
    if path.is_dir():
        return read_folder(path)
    if not path.exists():
        raise FileNotFoundError(f"'{path}' must be a model, but there is no such file.")
    content = content_of(path)
    return self_description(path, content), [content]


def read_folder(folder):
    """Returns the description that a folder and the models in it share, and the content of these."""
    path = folder / METADATA
    if not path.exists():
        raise FileNotFoundError(f"'{folder}' must be a folder that `kgrow export` wrote, but has no {METADATA}.")
    metadata = described(path, content_of(path, MAX_DESCRIPTION_BYTES))
    check_fields(path, metadata, FOLDER_FIELDS)
    entries = [entry for entry in metadata["files"] if entry["path"].endswith(".tflite")]
    if not entries:
        raise ValueError(f"'{folder}' must be a whole folder that `kgrow export` wrote. Copy all of it.")
    models = [checked(folder / entry["path"], entry.get("sha256")) for entry in entries]
    check_agreement(path, metadata, self_description(folder / entries[0]["path"], models[0]))
    check_stages(folder, metadata, [entry["path"] for entry in entries])
    return metadata, models


def check_agreement(path, metadata, own):
    """Raises ValueError unless a folder says of its models what these say of themselves."""
    for name in (*FIELDS, *EXIT_FIELDS):
        if field_of(metadata, name) != field_of(own, name):
            raise ValueError(
                f"'{path}' must say what the model beside it says of itself, but its `{name}` differs. Copy the "
                "folder once more, or export it again."
            )


def check_stages(folder, metadata, names):
    """Raises ValueError unless a folder lists one model, or the stages of all heads in order."""
    exits = metadata["early_exit"] or {"exit_indices": [metadata["exit_index"]], "threshold": []}
    num_heads = len(exits["exit_indices"])
    has_thresholds = not isinstance(exits["threshold"], list) or len(exits["threshold"]) >= num_heads - 1
    is_staged = names == [f"stage_{stage}.tflite" for stage in range(num_heads)]
    if names != [MODEL] and not (is_staged and has_thresholds):
        raise ValueError(f"'{folder}' must hold a stage, and a threshold before the last one, for every exit.")


def self_description(path, content):
    """Returns what a model says of itself."""
    check_seal(f"'{path}'", content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(METADATA) as file:
            text = file.read(MAX_DESCRIPTION_BYTES)  # what is longer is cut, and is no JSON then
    except ZIP_ERRORS:
        raise ValueError(
            f"'{path}' must be a whole file that kgrow exported, but carries no description. Copy it once more."
        ) from None
    return described(path, text)


def check_seal(name, content):
    """Raises ValueError if a model carries the hash of its bytes, but not of these; models of others carry none.

    Args:
        name: What the message calls the model.
        content: All bytes of the file.
    """
    body, digest = content[:-HASH_LENGTH], content[-HASH_LENGTH:]
    # Either mark will do, so that no single damage hides the hash.
    is_sealed = body.endswith(SEAL) or body[-ZIP_END_LENGTH - len(SEAL) :].startswith(ZIP_END)
    if is_sealed and digest != hashlib.sha256(body).hexdigest().encode():
        raise ValueError(
            f"{name} must be as it was exported, but its hash is another: it is damaged. Copy or export it once more."
        )


def described(path, text):
    """Returns the description that a file holds.

    Raises:
        ValueError: If it is none, or a field is not of its kind.
    """
    try:
        metadata = json.loads(text)
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise ValueError(
            f"'{path}' must hold a description that `kgrow export` wrote, but holds another, or a part of one."
        )
    check_fields(path, metadata, FIELDS)
    if metadata.get("early_exit", ABSENT) is not None:
        check_fields(path, metadata, EXIT_FIELDS)
    return metadata


def check_fields(path, metadata, fields):
    """Raises ValueError if a field of a description is not of its kind."""
    for name, (is_right, rule) in fields.items():
        value = field_of(metadata, name)
        if not is_right(value):
            raise ValueError(
                f"'{path}' must hold {rule} as `{name}`, but holds {in_short(value)}. Copy or export it once more."
            )


def field_of(metadata, name):
    """Returns the value of a field such as "input.shape"."""
    for part in name.split("."):
        metadata = metadata.get(part, ABSENT) if isinstance(metadata, dict) else ABSENT
    return metadata


def in_short(value):
    """Returns a JSON value in a few words."""
    if isinstance(value, (dict, list)):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    return "nothing" if value is ABSENT else "null" if value is None else repr(value)[:60]


def checked(path, sha256):
    """Returns the content of a model, if it is the one that was described."""
    content = content_of(path)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(
            f"'{path}' must be the model that {METADATA} describes, but differs. Copy the folder once more."
        )
    return content


def content_of(path, limit=MAX_FILE_BYTES):
    """Returns all bytes of a file; raises ValueError if they might not end."""
    check_regular(path, limit)
    return path.read_bytes()


def check_regular(path, limit):
    """Raises ValueError unless a path is a file of at most so many bytes: reading a pipe or a device may not end."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"'{path}' must be a file, but is a folder, a pipe or a device.")
    if status.st_size > limit:
        raise ValueError(f"'{path}' must have at most {limit} bytes, but has {status.st_size}.")


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
    # In bands of rows: as floats a photograph takes four times the memory.
    bands = np.array_split(image, len(image) // ROWS_PER_BAND + 1)
    image = np.concatenate([_resized_along(1, band.astype(np.float32), size[1], is_whole) for band in bands])
    return _resized_along(0, image, size[0], is_whole)


def _resized_along(axis, image, length, is_whole):
    image = np.moveaxis(np.tensordot(_triangles(image.shape[axis], length), image, axes=(1, axis)), 0, axis)
    return np.floor(image + 0.5) if is_whole else image  # Pillow rounds bytes after each axis


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
        ValueError: If it is not an image, of a kind that needs Pillow, or too large.
    """
    path = Path(path)
    try:
        check_regular(path, MAX_FILE_BYTES)
        if is_array(path):
            image = read_array(path)
            check_size(*image.shape[:2])
            return image
        return _read_netpbm(path.read_bytes()) if path.suffix.lower() in NETPBM else _read_with_pillow(path)
    except ImportError:
        raise ValueError(
            f"'{path}' must be .npy, .pgm or .ppm unless Pillow is installed: `pip install Pillow`."
        ) from None
    except Exception as error:  # damaged bytes make decoders raise whatever there is
        raise ValueError(f"'{path}' must be an image, but cannot be read: {error}") from error


def is_array(path):
    """Whether a file holds an array, whose pixels are as the model reads them."""
    return Path(path).suffix.lower() == ".npy"


def check_size(height=1, width=1):
    """Raises ValueError if an image has so many pixels that it may be made to fill the memory."""
    if height * width > MAX_PIXELS or max(height, width) > MAX_SIDE:
        raise ValueError(
            f"{width}x{height} pixels are too many: at most {MAX_PIXELS} are read, and {MAX_SIDE} in a row or column"
        )


def read_array(path):
    """Returns the array that a `.npy` file holds; raises ValueError if it holds none."""
    check_regular(path, math.inf)
    try:
        with open(path, "rb") as file:
            array = np.load(file, allow_pickle=False)
    except Exception as error:  # damaged bytes make NumPy raise whatever there is
        raise ValueError(f"'{path}' must be a whole .npy file, but cannot be read: {error}") from error
    if isinstance(array, np.ndarray):
        return array
    raise ValueError(f"'{path}' must be a .npy file of one array, but is an archive. Save it with `numpy.save`.")


def _read_with_pillow(path):
    from PIL import Image, UnidentifiedImageError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged notes beside the pixels
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with open(path, "rb") as file, Image.open(file) as image:
                check_size(image.height, image.width)
                return _decoded(image)
        except UnidentifiedImageError:
            raise ValueError("Pillow knows no such format") from None


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
    check_size(height, width)
    pixels = np.frombuffer(data, np.uint8, width * height * channels, header.end())
    return pixels.reshape(height, width, channels)


def print_anything():
    """Lets what standard output cannot encode be printed as escapes, instead of ending the program."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")


def one_line(text):
    """Returns a text without line breaks, and with escapes for what a terminal would obey instead of showing it."""
    text = " ".join(text.split())
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def complain(program, error):
    """Prints an error on one line."""
    print(f"{program}: {one_line(str(error))}", file=sys.stderr)


def image_files(path):
    """Returns the images that a path stands for, and an error for each folder without any, or that cannot be read.

    Hidden files are left out. So are those whose suffix is not one of an image, which is said. A link to a folder may
    lead in circles, and is an error.
    """
    if not os.path.isdir(path):
        return [path], []
    files, others, errors = [], 0, []
    for folder, folders, names in os.walk(path, onerror=errors.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = (link for link in (os.path.join(folder, name) for name in folders) if os.path.islink(link))
        errors += [
            ValueError(f"'{link}' is a link to a folder, which is not followed. Name it itself.") for link in links
        ]
        shown = [name for name in sorted(names) if not name.startswith(".")]
        images = [name for name in shown if Path(name).suffix.lower() in SUFFIXES]
        files += [os.path.join(folder, name) for name in images]
        others += len(shown) - len(images)
    if others:
        print(one_line(f"left out {others} file(s) of '{path}' without the suffix of an image"), file=sys.stderr)
    if not files and not errors:
        errors.append(ValueError(f"'{path}' must hold images, but has no file with the suffix of one."))
    return files, errors


def answer_line(classifier, path, options):
    """Returns what to print of an image."""
    image = classifier.read(path)
    try:
        answer = classifier(image)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"'{path}' cannot be classified: {error}") from error
    top = classifier.top(answer, options.top)
    if not options.json:
        return f"{one_line(path)}: " + ", ".join(f"{one_line(label)} ({100 * share:.1f} %)" for label, share in top)
    fields = {"image": path, "label": answer.label, "probability": answer.probability}
    if options.top > 1:
        fields["top"] = [{"label": label, "probability": probability} for label, probability in top]
    return json.dumps({**fields, "exit_index": answer.exit_index})


def classify(classifier, options):
    """Prints a line for each image that has an answer; yields an error for each that has none."""
    for name in options.images:
        paths, errors = image_files(name)
        yield from errors
        for path in paths:
            try:
                print(answer_line(classifier, path, options))
            except ValueError as error:
                yield error


def positive(text):
    """Returns a number of 1 or more."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, but is {text}")
    return int(text)


def main():
    """Runs the command line; returns the exit code."""
    print_anything()
    parser = argparse.ArgumentParser(description="Classify images with a model that kgrow exported.")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="a file, or a folder of images")
    parser.add_argument("--model", default=Path(__file__).parent, metavar="PATH", help="default: this folder")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--threshold", type=float, metavar="T", help="confidence to answer with early, for stages")
    parser.add_argument("--top", type=positive, default=1, metavar="N", help="print the N most probable classes")
    parser.add_argument("--json", action="store_true", help="print one JSON object per image")
    options = parser.parse_args()
    try:
        classifier = Classifier(options.model, options.threads, options.threshold)
    except (ValueError, ImportError, OSError) as error:
        complain("run.py", error)
        return 2
    code = 0
    for error in classify(classifier, options):
        complain("run.py", error)
        code = 1
    return code


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
