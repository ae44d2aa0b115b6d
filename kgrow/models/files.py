"""Model files of Keras as data: `.keras`, `.h5`, and the directory of a SavedModel."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kgrow.models.described import Described, is_model, layers_of, name_of
from kgrow.models.described import Path as LayerPath
from kgrow.models.hdf5 import MOST_BYTES, opened_hdf5

CONFIGURATION, VARIABLES, METADATA = "config.json", "model.weights.h5", "metadata.json"
SAVED_METADATA, SAVED_VARIABLES = "keras_metadata.pb", "variables/variables"
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
# The order of a layer's weights where a file has their names only.
ORDER = (
    "depthwise_kernel", "pointwise_kernel", "kernel", "gamma", "beta", "bias", "moving_mean", "moving_variance",
    "adapt_mean", "adapt_variance", "count",
)  # fmt: skip
Weights = dict[LayerPath, list[np.ndarray]]


def is_archive(path: Path) -> bool:
    """Returns whether a file is a `.keras` file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {CONFIGURATION, VARIABLES} <= set(archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def check_model_path(path: Any) -> Path:
    """Returns the path of a model.

    Raises:
        FileNotFoundError: If there is none.
    """
    if not os.fspath(path) or not Path(path).exists():
        raise FileNotFoundError(f"`model` must be a file or a directory, but there is none: {path}")
    return Path(path)


def described_file(path: Path) -> Described:
    """Returns the model of a file; nothing of it is run.

    Args:
        path: A `.keras` file of Keras 2 or 3, an `.h5` file of a whole model, or the directory of a SavedModel that
            Keras 2 wrote.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is none of these, is damaged, or has weights only.
    """
    check_model_path(path)
    try:
        if path.is_dir():
            return _saved_model(path)
        if zipfile.is_zipfile(path):
            return _archive(path)
        return _hdf5(path)
    except _NotAModelError as error:
        raise ValueError(str(error)) from error
    except Exception as error:  # what damaged files make h5py, zipfile and TensorFlow raise has no bound
        raise ValueError(
            f"`model` must be a file that Keras saved, but {path} could not be read: {error!r}."
        ) from error


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file, or of the files of a directory with their names, in hexadecimal digits."""
    digest = hashlib.sha256()
    for file in sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]:
        if path.is_dir():
            digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as opened:
            while chunk := opened.read(2**20):
                digest.update(chunk)
    return digest.hexdigest()


def check_hash(found: str, wanted: str, path: Any) -> None:
    """Raises ValueError if a file of weights has another SHA-256 than the wanted one."""
    if found != wanted:
        raise ValueError(f"the weights must be those of the file with the SHA-256 {wanted}, but {path} has {found}.")


class _NotAModelError(Exception):
    """A file of another kind; the message says what is needed."""


def _archive(path: Path) -> Described:
    """Reads a `.keras` file: its configuration as JSON, its variables as HDF5."""
    if not is_archive(path):
        raise _NotAModelError(f"`model` must be a file that Keras saved, but {path} has no {CONFIGURATION}.")
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        parts = [archive.getinfo(name) for name in (CONFIGURATION, VARIABLES, METADATA) if name in names]
        if sum(part.file_size for part in parts) > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES} bytes")
        described = json.loads(archive.read(CONFIGURATION))
        version = json.loads(archive.read(METADATA)).get("keras_version", "") if METADATA in names else ""
        variables = io.BytesIO(archive.read(VARIABLES))
    kind, config = _whole(described, path)
    with opened_hdf5(variables) as file:
        return Described(kind, config, dict(_in_groups(file, config, ())), version.startswith("3"), path.stem)


def _whole(described: Any, path: Path) -> tuple[str, Mapping[str, Any]]:
    kind = described["class_name"]
    if not is_model(kind) or "layers" not in described["config"]:
        raise _NotAModelError(
            f"`model` must be Sequential or Functional, but {path} holds the subclassed model {kind}: its layers can "
            "be seen only where they are connected by `keras.Model(inputs, outputs)`."
        )
    return kind, described["config"]


def _in_groups(
    group: Any, config: Mapping[str, Any], path: LayerPath
) -> Iterator[tuple[LayerPath, Sequence[np.ndarray]]]:
    """Yields the weights of the layers in a `.keras` file, inner models included.

    A group has the name of its layer's class, numbered in the order of the layers.
    """
    layers, numbers = group.get("layers", group.get("_layer_checkpoint_dependencies", {})), Counter[str]()
    for entry in config["layers"]:
        kind = entry["class_name"]
        base = _snake(kind)
        own = layers.get(f"{base}_{numbers[base]}" if numbers[base] else base)
        if kind != "TFOpLambda" and ".ops." not in str(entry.get("module")):
            numbers[base] += 1
        name = (*path, name_of(entry))
        if own is None:
            continue
        if is_model(kind):
            yield from _in_groups(own, entry["config"], name)
        elif values := own.get("vars"):
            yield name, [_array(values[str(index)]) for index in range(len(values))]


def _snake(name: str) -> str:
    """Returns the name of a class as Keras writes it in files, such as `conv2d` or `re_lu`."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _hdf5(path: Path) -> Described:
    import h5py

    if not h5py.is_hdf5(path):
        raise _NotAModelError(
            f"`model` must be a .keras or .h5 file of Keras, or the directory of a SavedModel, but {path} is none."
        )
    with opened_hdf5(path) as file:
        if "model_config" not in file.attrs:
            raise _NotAModelError(
                f"`model` must be a whole model, but {path} has weights only. Save it with `model.save`."
            )
        kind, config = _whole(json.loads(_text(file.attrs["model_config"])), path)
        weights: Weights = {}
        found = _inner_paths(config)
        for top in config["layers"]:
            name = name_of(top)
            group = file["model_weights"].get(name)
            for given in map(_text, group.attrs["weight_names"]) if group is not None else ():
                owner = _owner(found, name, given.split("/")[:-1]) if is_model(top["class_name"]) else (name,)
                if owner is None:
                    raise ValueError(f"its weight {given!r} is of no layer, or of one of several of that name")
                weights.setdefault(owner, []).append(_array(group[given]))
        is_of_keras_3 = _text(file.attrs.get("keras_version", "")).startswith("3")
        return Described(kind, config, weights, is_of_keras_3, path.stem)


def _inner_paths(config: Mapping[str, Any]) -> dict[tuple[str, str], LayerPath | None]:
    """Returns the paths of layers in inner models, by the outermost model and the names in it, or the last of these.

    The path of a last name that several have is None.
    """
    found: dict[tuple[str, str], LayerPath | None] = {}
    for path, _ in layers_of(config):
        if len(path) > 2:
            found[path[0], "/".join(path[1:])] = path
        if len(path) > 1:
            key = (path[0], path[-1])
            found[key] = None if key in found else path
    return found


def _owner(found: Mapping[Any, LayerPath | None], outermost: str, names: Sequence[str]) -> LayerPath | None:
    """Returns the path of the layer in a model whose name, which may hold slashes, ends the names of a weight."""
    candidates = ((outermost, "/".join(names[start:])) for start in range(len(names)))
    return next((found[each] for each in candidates if each in found), None)


def _saved_model(path: Path) -> Described:
    """Reads the directory of a SavedModel that Keras 2 wrote: its metadata, and its variables as a checkpoint."""
    from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph
    from tf_keras.protobuf.saved_metadata_pb2 import SavedMetadata

    from kgrow._keras import tf

    if not (path / SAVED_METADATA).is_file():
        raise _NotAModelError(
            f"`model` must be a model that Keras saved, but the directory {path} has no {SAVED_METADATA}: without it a "
            "SavedModel, such as one of `model.export`, has operations and no layers. Save it as a .keras file."
        )
    if (path / SAVED_METADATA).stat().st_size > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES} bytes")
    metadata = SavedMetadata()
    metadata.ParseFromString((path / SAVED_METADATA).read_bytes())
    (root,) = (node.metadata for node in metadata.nodes if node.node_path == "root")
    kind, config = _whole(json.loads(root, object_hook=_sequence), path)
    reader = tf.train.load_checkpoint(str(path / SAVED_VARIABLES))
    graph = TrackableObjectGraph.FromString(reader.get_tensor(OBJECT_GRAPH))
    keys = dict(_keys_of(graph, kind, config, 0, ()))
    return Described(
        kind,
        config,
        {owner: [reader.get_tensor(key) for key in own] for owner, own in keys.items()},
        is_of_keras_3=False,
        source=path.name,
    )


def _keys_of(
    graph: Any, kind: str, config: Mapping[str, Any], number: int, path: LayerPath
) -> Iterator[tuple[LayerPath, list[str]]]:
    """Yields the keys of the weights of each layer in the checkpoint of a SavedModel.

    A model's layers are its children `layer-0`, `layer-1`, ...; a Sequential model's do not count its `InputLayer`.
    """
    children = _children(graph, number)
    entries = [each for each in config["layers"] if kind != "Sequential" or each["class_name"] != "InputLayer"]
    for index, entry in enumerate(entries):
        name, own = (*path, name_of(entry)), children.get(f"layer-{index}")
        if own is None:
            continue
        if is_model(entry["class_name"]):
            yield from _keys_of(graph, entry["class_name"], entry["config"], own, name)
        else:
            variables = _children(graph, own)
            found = [graph.nodes[variables[name]] for name in ORDER if name in variables]
            yield name, [node.attributes[0].checkpoint_key for node in found if node.attributes]


def _sequence(value: dict[str, Any]) -> Any:
    """Returns a tuple or a shape of a SavedModel's metadata as a list."""
    return value["items"] if value.get("class_name") in ("__tuple__", "TensorShape") and "items" in value else value


def _children(graph: Any, number: int) -> dict[str, int]:
    return {child.local_name: child.node_id for child in graph.nodes[number].children}


def _array(dataset: Any) -> np.ndarray:
    return np.asarray(dataset[()])


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
