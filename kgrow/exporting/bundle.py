"""Files for a device: a `.tflite` file that describes itself, or a folder with all companion files.

Every model carries its description and its labels as a zip after its end, which `unzip` and `zipfile` read and
interpreters ignore. The zip's comment is the seal of the file: the hash of all bytes before it.

A folder holds `model.tflite` (or `stage_0.tflite` and further stages), `labels.txt`, `metadata.json` and `run.py`,
which classifies images without kgrow or TensorFlow. For a single model that TensorFlow Lite Micro runs it also holds
`model_data.h` and `model_data.cc`; see `kgrow.exporting.c_source`.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import importlib.metadata
import importlib.resources
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kgrow_device.run import (
    EIGHT_BITS,
    FOLDER_FIELDS,
    FORMAT,
    HASH_LENGTH,
    METADATA,
    MODEL,
    SEAL,
    check_fields,
    read_model,
)

from kgrow._files import explained, read_file, temporary, write_atomic
from kgrow._ownership import check_unowned
from kgrow._version import __version__
from kgrow.exporting.assembly import operation_names, pack, parse
from kgrow.exporting.c_source import c_files, identifier, is_identifier
from kgrow.exporting.measure import Artefact, gzip_size
from kgrow.exporting.micro import check_micro
from kgrow.exporting.options import ExportOptions
from kgrow.exporting.standard_metadata import add_standard_metadata
from kgrow.task import Task

BYTECODE = "__pycache__"  # which Python creates when `run.py` is imported
LABELS, PROGRAM = "labels.txt", "run.py"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date of a zip, so that equal contents give equal bytes
TIMES = ("latency_ms", "latency_p95_ms")
LOCAL = (*TIMES, "name", "operations")  # keys that only a folder's `metadata.json` has


def check_target(path: str | os.PathLike[str], options: ExportOptions) -> Path:
    """Returns where to write.

    Raises:
        ValueError: If the path is neither a `.tflite` file nor a folder, or belongs to a run, or one file is given for
            stages.
        FileExistsError: If it is a folder that contains anything but an earlier bundle.
    """
    target = Path(path)
    _check_parent(target)
    check_unowned(target)
    stages = options.early_exit is not None and options.early_exit.stages
    if target.suffix == ".tflite" and not target.is_dir():
        if stages:
            raise ValueError(f"`path` must be a folder, as every stage is a file, but got '{target}'.")
        if options.name is not None:
            raise ValueError(f"`path` must be a folder, where `name` is used in the C source, but got '{target}'.")
        return target
    if (target.suffix or target.exists()) and not target.is_dir():
        raise ValueError(f"`path` must end in '.tflite' or be a folder, but got '{target}'.")
    if target.is_dir() and any(target.iterdir()) and not _is_bundle(target):
        raise FileExistsError(
            f"`path` must be a new folder or an earlier bundle, but '{target}' holds other files. They are left alone."
        )
    return target


def _check_parent(target: Path) -> None:
    """Raises the errors of writing in advance, before the long work."""
    parent = next((folder for folder in target.absolute().parents if folder.exists()), target)  # "/" has none
    if not parent.is_dir():
        raise ValueError(f"`path` must be in a folder, but '{parent}' is a file.")
    if not (os.access(parent, os.W_OK) or (target.is_dir() and os.access(target, os.W_OK))):
        raise PermissionError(f"`path` must be in a folder that can be written, but '{parent}' cannot.")


def _listed(folder: Path) -> list[str]:
    """Returns the file names that an earlier bundle lists; none if there is no bundle."""
    try:
        description = json.loads(read_file(folder / METADATA))
        check_fields(folder, description, FOLDER_FIELDS)
        return [entry["path"] for entry in description["files"]] if description["format"] == FORMAT else []
    except (OSError, ValueError, KeyError, RecursionError):
        return []


def _is_bundle(folder: Path) -> bool:
    listed = _listed(folder)
    ours = {METADATA, *listed}
    unfinished = {temporary(Path(name)).name for name in ours}  # partial files left by a kill
    return bool(listed) and {entry.name for entry in folder.iterdir()} <= ours | unfinished | {BYTECODE}


def describe(artefact: Artefact, task: Task, options: ExportOptions) -> dict[str, Any]:
    """Returns the description that a model contains: inputs, outputs and measurements.

    Args:
        artefact: Measurements of the file.
        task: Data of the network.
        options: Export options.
    """
    measured = dataclasses.asdict(artefact)
    # Paths, derived values and times are left out: the same network gives the same file.
    for name in ("path", "bytes", "gzip_bytes", "test_accuracy_interval", *TIMES):
        del measured[name]
    if artefact.early_exit:
        measured["early_exit"] = {k: v for k, v in artefact.early_exit.items() if not k.endswith("latency_ms")}
    return {
        "format": FORMAT,
        "kgrow_version": __version__,
        "tensorflow_version": importlib.metadata.version("tensorflow"),
        "task": task.name,
        "fingerprint": task.fingerprint,
        "input": {
            "name": "image",
            "shape": list(task.input_shape),
            "layout": "NHWC, gray or RGB",
            "dtype": options.pixels(task.dtype.name),
            # The scale of pixels decoded from files; unlike the mean, it defines black and white.
            "range": list(task.pixel_range),
            "scaling": "none: raw pixels, scaled inside" if task.dtype == "uint8" else "none: as in the data set",
        },
        "output": {"name": "probabilities", "dtype": options.output_dtype},
        "classes": list(task.class_names),
        "num_test": len(task.test),
        **measured,
    }


def local_of(
    models: Sequence[bytes], target: Path, name: Any = None, artefact: Artefact | None = None
) -> dict[str, Any]:
    """Returns the entries of a folder's `metadata.json` only: latencies, the name in C, and the models' operations.

    Args:
        models: Content of the files.
        target: Target folder.
        name: Prefix of the names in the C source; by default the folder's name with invalid characters replaced.
        artefact: Measurements; None if the times are not known.
    """
    is_allowed = isinstance(name, str) and is_identifier(name)
    times = {name: getattr(artefact, name) for name in (*TIMES, "early_exit")} if artefact else dict.fromkeys(TIMES)
    return {
        **times,
        "name": name if is_allowed else identifier(target.resolve().name),
        "operations": sorted({name for model in models for name in operation_names(parse(model))}),
    }


def self_describing(model: bytes, description: Mapping[str, Any]) -> bytes:
    """Returns a model with its standard metadata inside, its description after its end, and its seal."""
    parsed = parse(model)
    text = json.dumps(description, separators=(",", ":")).encode()
    add_standard_metadata(parsed, description, LABELS)
    appended = io.BytesIO(pack(parsed))
    appended.seek(0, io.SEEK_END)
    with zipfile.ZipFile(appended, "a") as archive:  # not compressed: MediaPipe rejects a compressed one
        archive.writestr(zipfile.ZipInfo(METADATA, EPOCH), text)
        archive.writestr(zipfile.ZipInfo(LABELS, EPOCH), _labels(description["classes"]))
        archive.comment = SEAL + bytes(HASH_LENGTH)  # room for the hash
    sealed = appended.getvalue()[:-HASH_LENGTH]
    return sealed + hashlib.sha256(sealed).hexdigest().encode()


def read_bundle(path: Path) -> tuple[dict[str, Any], list[bytes]]:
    """Returns the description and the models of a `.tflite` file or a folder that `write` wrote.

    Raises:
        FileNotFoundError: If there is neither.
        ValueError: If it was not written by kgrow, or is damaged.
    """
    if not path.exists() or (path.is_dir() and not (path / METADATA).exists()):
        raise FileNotFoundError(f"`path` must be a run or an exported folder or file, but '{path}' is neither.")
    return read_model(path)


def _labels(classes: Sequence[str]) -> str:
    return "".join(f"{' '.join(name.split())}\n" for name in classes)


def write(target: Path, models: Sequence[bytes], description: Mapping[str, Any], local: Mapping[str, Any]) -> None:
    """Writes a file, or a whole folder; earlier content is replaced at the end.

    Args:
        target: Path that `check_target` returned.
        models: One model, or one per stage, each as returned by `self_describing`.
        description: Description that `describe` returned.
        local: Entries that `local_of` returned.
    """
    if target.suffix == ".tflite" and not target.is_dir():
        write_atomic(target, models[0])
        return
    _replace_folder(target, folder_files(models, description, local))


def _replace_folder(target: Path, files: Mapping[str, bytes]) -> None:
    """Replaces an earlier folder by a new one; the earlier one is restored if that fails.

    Names are unique, so they cannot collide with another folder. A kill between the two renames leaves the whole
    earlier folder under the hidden name.
    """
    target = target.resolve()  # replace the target of a link, not the link
    # A process with this working directory would stay in the earlier folder.
    scratch = None if target == Path.cwd() else _scratch_beside(target)
    if scratch is None:
        _fill_folder(target, files)
        return
    new, old = scratch / "new", scratch / "old"
    try:
        for name, data in files.items():
            write_atomic(new / name, data)
        had_one = target.is_dir()
        if had_one and not _moved(target, old):
            _fill_folder(target, files)
            return
        try:
            os.replace(new, target)
        except OSError:
            if had_one:
                os.replace(old, target)
            raise
    finally:
        # If this fails, the earlier folder cannot be restored: it stays in the scratch folder.
        if target.is_dir() or not old.exists():
            shutil.rmtree(scratch, ignore_errors=True)


def _scratch_beside(target: Path) -> Path | None:
    """Returns a new folder beside another one, None if the parent is not writable, as that of a mount may be."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        told = explained(error, target)
        if isinstance(told, PermissionError) and target.is_dir():
            return None
        raise told from error


def _moved(folder: Path, to: Path) -> bool:
    """Moves a folder and returns whether it worked; it fails across volumes and for another user's folder."""
    try:
        os.replace(folder, to)
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM):
            return False
        raise
    return True


def _fill_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes the files one by one, the description last; until then the hashes mark the folder as incomplete.

    A description of all earlier and new files comes first: a folder left by a kill is still recognized as a bundle, and
    the same export replaces it.
    """
    description = json.loads(files[METADATA])
    earlier = _listed(folder)
    both = {**description, "files": [*({"path": name} for name in earlier), *description["files"]]}
    write_atomic(folder / METADATA, json.dumps(both).encode())
    for name in files.keys() - {METADATA}:
        write_atomic(folder / name, files[name])
    for name in set(earlier) - set(files):
        (folder / name).unlink(missing_ok=True)
    write_atomic(folder / METADATA, files[METADATA])


def folder_files(models: Sequence[bytes], description: Mapping[str, Any], local: Mapping[str, Any]) -> dict[str, bytes]:
    """Returns the files of a folder by name, with their description last; arguments are those of `write`."""
    names = [MODEL] if len(models) == 1 else [f"stage_{stage}.tflite" for stage in range(len(models))]
    files = dict(zip(names, models, strict=True))
    files[LABELS] = _labels(description["classes"]).encode()
    files[PROGRAM] = (importlib.resources.files("kgrow_device") / PROGRAM).read_bytes()
    if len(models) == 1 and not check_micro(models[0]):
        pixel_range = description["input"].get("range", EIGHT_BITS)
        files |= c_files(models[0], local["name"], description["classes"], pixel_range)
    entries = [
        {"path": name, "bytes": len(data), "gzip_bytes": gzip_size(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
    ]
    return files | {METADATA: json.dumps({**description, **local, "files": entries}, indent=2).encode() + b"\n"}
