"""Data sets known by name: the bundled ones and those of TensorFlow Datasets (TFDS)."""

import contextlib
import difflib
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from kgrow.task.arrays import open_arrays
from kgrow.task.datasets import open_dataset
from kgrow.task.stream import Options, Source, Stream

TFDS_VALIDATION_RATIO = 0.1
# With autotune off TFDS decodes one image at a time: the training images of CIFAR-10 took 7.2 s instead of 2.9 s.
NUM_DECODING = 16
NAMESPACE = re.compile(r"[^:/]+:(?![0-9*])")  # namespace of community data sets; a version begins with a digit


class DataSetName(str):
    """The name of a data set, even if a folder of that name is in the working directory."""


def is_known(name: str) -> bool:
    """Returns whether a bundled or registered data set has this name.

    Args:
        name: Name as for `Task.of`; a version or a configuration may follow.

    Returns:
        Whether the part before ":" and "/" is such a name.
    """
    return _base(name) in BUNDLED or _base(name) in _list_registered()


def is_at_hand(name: str, data_dir: str | os.PathLike[str] | None) -> bool:
    """Returns whether a named data set comes with kgrow, or may be stored in TFDS's directory.

    Args:
        name: Name as for `Task.of`.
        data_dir: Directory as for `Task.of`.
    """
    place = os.fspath(data_dir or "") or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return _base(name) in BUNDLED or "://" in place or (Path(place).expanduser() / _base(name)).is_dir()


def check_name(name: str, data_dir: str | os.PathLike[str] | None, argument: str = "source") -> None:
    """Raises an error for an invalid data set name, without importing TFDS.

    Args:
        name: Name as for `Task.of`.
        data_dir: Directory as for `Task.of`.
        argument: Argument name used in the message.

    Raises:
        ValueError: If there is no such data set; the message has the nearest names.
    """
    if NAMESPACE.match(name) or is_known(name) or is_at_hand(name, data_dir):
        return
    near = difflib.get_close_matches(_base(name), [*BUNDLED, *_list_registered()], n=5)
    hint = f"Nearest names: {', '.join(near)}." if near else "`tensorflow_datasets.list_builders()` lists the names."
    raise ValueError(f"`{argument}` must be the name of a data set or an existing folder, but got {name!r}. {hint}")


def open_named(name: str, options: Options) -> Source:
    """Opens a data set by its name.

    Args:
        name: Bundled name, or a TFDS name such as "cifar10", "cifar10:3.0.2" or "emnist/letters".
        options: Reading options; see `Options`.

    Returns:
        Source, not read yet. TFDS data is downloaded and prepared here unless it is prepared already.

    Raises:
        ValueError: If there is no such data set, it is not one of images with a label, or it is not on this machine
            and may not be downloaded.
        OSError: If it cannot be prepared.
    """
    if name in BUNDLED:
        return BUNDLED[name]()
    check_name(name, options.data_dir)
    if not options.download and NAMESPACE.match(name):  # even a query needs the network
        raise _not_here(name)
    builder = _make_builder(name, options)
    if not options.download and not builder.is_prepared():
        raise _not_here(name)
    image_key, label_key = _find_keys(name, dict(builder.info.features.items()), builder.info.supervised_keys)
    _prepare(name, builder)
    splits = {role: split for role, split in builder.info.splits.items() if split.num_examples}
    if "train" not in splits:
        raise ValueError(f"`source` must have a split named 'train', but got {name!r} with {sorted(splits)}.")
    roles = {"train": "train", "test": "test", "validation": "validation"}
    if "test" not in splits:
        roles = {"train": "train", "test": "validation"}
    streams = {
        role: _open_tfds_split(builder, split, (image_key, label_key))
        for role, split in roles.items()
        if split in splits
    }
    return Source(
        name,
        streams["train"],
        streams.get("validation"),
        streams.get("test"),
        class_names=tuple(builder.info.features[label_key].names),
        notes=_describe_splits(name, streams, roles),
        validation_ratio=TFDS_VALIDATION_RATIO,
        has_unused_classes=True,
    )


def _open_digits() -> Source:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return Source("digits", open_arrays(digits.images, digits.target), class_names=tuple(map(str, range(10))))


BUNDLED: dict[str, Callable[[], Source]] = {"digits": _open_digits}


def _not_here(name: str) -> ValueError:
    return ValueError(
        f"`dataset` must be on this machine, but {name!r} is not prepared there, and nothing is downloaded unasked. "
        f"Name it, `dataset={name!r}` (`--dataset {name}`), to download it, or pass the data themselves, or `data_dir` "
        "(`--data-dir`) where they are."
    )


def _base(name: str) -> str:
    return re.split("[:/]", name, maxsplit=1)[0]


def _import_tfds() -> ModuleType:
    # `_keras` imports TensorFlow first and keeps its start-up messages off the terminal.
    import kgrow._keras  # noqa: F401

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow_datasets as tfds
    tfds.disable_progress_bar()
    return tfds


@contextlib.contextmanager
def _quiet_log() -> Iterator[None]:
    # TFDS warns through absl about normal conditions: data not prepared yet, its own deprecated calls.
    log = logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _list_registered() -> list[str]:
    first, *names = Path(__file__).with_name("registered.txt").read_text("utf-8").splitlines()
    if "tensorflow_datasets" not in sys.modules and first.split()[-1] == version("tensorflow-datasets"):
        return names  # importing TFDS takes seconds
    # Community data sets are listed on a server: a query would need the network.
    return _import_tfds().list_builders(with_community_datasets=False)


def _make_builder(name: str, options: Options) -> Any:
    tfds = _import_tfds()
    try:
        with _quiet_log():
            return tfds.builder(name, data_dir=options.data_dir)
    except (AssertionError, ValueError) as error:
        # A missing version or configuration; the text after TFDS's preamble lists the existing ones.
        reason = " ".join(str(error).rpartition('}": ')[2].split())
        raise ValueError(
            f"`source` must name a version and configuration that exist, but got {name!r}. {reason}"
        ) from error


def _find_keys(name: str, features: dict[str, Any], supervised_keys: Any) -> tuple[str, str]:
    tfds = _import_tfds()
    for keys in (supervised_keys, ("image", "label")):
        is_pair = isinstance(keys, tuple) and len(keys) == 2 and all(isinstance(key, str) for key in keys)
        if (
            is_pair
            and isinstance(features.get(keys[0]), tfds.features.Image)
            and isinstance(features.get(keys[1]), tfds.features.ClassLabel)
        ):
            return keys[0], keys[1]
    raise ValueError(
        f"`source` must name a data set of images with one class label each, but got {name!r} with the features "
        f"{', '.join(sorted(features))}. kgrow classifies images only."
    )


def _prepare(name: str, builder: Any) -> None:
    if builder.is_prepared():
        return
    try:
        # TFDS announces the download on standard output, which may be a program's JSON output.
        with _quiet_log(), contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare()
    except Exception as error:
        raise OSError(
            f"`source` must be a data set that TFDS has prepared or can download, but got {name!r}. It looked in "
            f"{builder.data_dir}; pass `data_dir` if the data is elsewhere. {type(error).__name__}: {error}"
        ) from error


def _open_tfds_split(builder: Any, split: str, keys: tuple[str, str]) -> Stream:
    from kgrow._keras import tf

    tfds = _import_tfds()
    options = tf.data.Options()
    options.autotune.enabled = False
    with _quiet_log():
        dataset = builder.as_dataset(
            split=split,
            shuffle_files=False,
            decoders=tfds.decode.PartialDecoding(dict.fromkeys(keys, True)),
            read_config=tfds.ReadConfig(
                options=options, try_autocache=False, num_parallel_calls_for_decode=NUM_DECODING
            ),
        )
    return open_dataset(dataset.map(lambda example: (example[keys[0]], example[keys[1]])))


def _describe_splits(name: str, streams: dict[str, Stream], roles: dict[str, str]) -> tuple[str, ...]:
    if "test" not in streams:
        return (f"{name} has no test split: 20% of its training images are set aside as one.",)
    if roles["test"] != "test":
        return (f"{name} has no test split: its validation split is the test split.",)
    return ()
