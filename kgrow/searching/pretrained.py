"""The space `pretrained`: the blocks of a published network or of a model of one's own, with its weights."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kgrow._rules import check_fields, name_or_path
from kgrow.graph import Architecture, Scaling
from kgrow.graph.values import Weighted
from kgrow.models.files import check_hash, check_model_path, sha256_of
from kgrow.pretrained.backbone import Backbone
from kgrow.pretrained.own_model import OwnModel, own_model
from kgrow.pretrained.sources import (
    LITE0,
    LITE0_SHA256,
    backbone,
    form_of,
    read_weights,
    weight_file,
)
from kgrow.registry import BACKBONES
from kgrow.searching.space import SearchSpace, check_widths


@dataclasses.dataclass(frozen=True)
class Pretrained(SearchSpace):
    """Networks of the first blocks of a trained one, which start with its weights.

    Depth and width are searched: how many of its blocks there are, and how many channels stay inside its units, chosen
    by the images of the search. Published networks see gray images as three equal
    channels, and pixels from 0 to 255, scaled as those were with which the weights were trained. A model of one's own
    scales what it reads itself; if it tells other classes apart, its last layer is replaced.

    Args:
        start: Name of a published network, such as `"lite0"` or `"mobilenet_v2_0.35"`, or the path of a model that
            Keras saved; see `kgrow.models.files.described_file`.
        weights: File of its weights (`.h5`, `.keras` or of `torch.save`); by default those of a package or of Keras'
            cache, into which they are fetched.
        sha256: Hash of the file; any by default, but for `"lite0"`, whose file is known.
        widths: See `SearchSpace`.
    """

    start: str = LITE0
    weights: str | None = None
    sha256: str | None = None
    widths: tuple[float, ...] = (1.0, 0.75, 0.5, 0.35, 0.25)

    preset = "fine_tune"
    brings_scaling = True

    def __post_init__(self) -> None:
        check_fields(self, {"start": name_or_path(BACKBONES), "widths": check_widths})
        if self.weights is not None and self.is_own:
            raise ValueError("`weights` must be those of a published network, but a model has its own.")
        for name in ("weights", "start") if self.is_own else ("weights",):
            if (path := getattr(self, name)) is not None:
                object.__setattr__(self, name, os.path.abspath(path))  # a run is ended from anywhere

    @property
    def is_own(self) -> bool:
        """Whether it starts with a model of one's own."""
        return self.start not in BACKBONES

    def own(self, side: int) -> OwnModel:
        """Returns the model of one's own that it starts with.

        Args:
            side: Side of its images if the model leaves that open.

        Raises:
            ValueError: If it cannot be read, or has another hash.
        """
        path = check_model_path(self.start)
        return own_model(str(path), self.sha256 or sha256_of(path), side)

    @property
    def _backbone(self) -> Backbone:
        return backbone(self.start, "" if self.weights is None else form_of(self._given()))

    def _given(self) -> Path:
        path = Path(str(self.weights))
        if not path.is_file():
            raise ValueError(f"`weights` must be a file, but there is none: {path}")
        return path

    def file(self, side: int) -> Path:
        """Returns the file of the weights, which is fetched if need be and none is named.

        Args:
            side: Smaller side of the images, in pixels.

        Raises:
            WeightsMissingError: If the weights cannot be had.
            ValueError: If the named file does not exist.
        """
        if self.is_own:
            return check_model_path(self.start)
        return weight_file(self.start, side) if self.weights is None else self._given()

    def located(self, side: int) -> Pretrained:
        """Returns the space with the hash of its weights.

        Args:
            side: Smaller side of the images, in pixels.

        Raises:
            WeightsMissingError: If the weights cannot be had.
            ValueError: If the file has another hash.
        """
        path = self.file(side)
        found = sha256_of(path)
        known = LITE0_SHA256 if (self.start, self.weights) == (LITE0, None) else None
        wanted = self.sha256 or known
        if wanted is not None:
            check_hash(found, wanted, path)
        # What cannot be read is told now.
        _ = own_model(str(path), found, side) if self.is_own else read_weights(path, found)
        return dataclasses.replace(self, sha256=found)

    def build(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        scaling: Scaling | None = None,
        *,
        width: float = 1.0,
        **choices: Any,
    ) -> Architecture:
        """See `SearchSpace.build`.

        Raises:
            ValueError: If the images are neither gray nor of three channels.
        """
        if self.is_own:
            return self.own(min(input_shape[:2])).architecture(input_shape, num_classes, width)
        if input_shape[2] not in (1, 3):
            raise ValueError(f"`input_shape` must have 1 or 3 channels, as {self.start!r} has, but got {input_shape}.")
        published = self._backbone
        grids = [2] * (len(published.blocks) - 1) + [1]
        return published.architecture(input_shape, num_classes, width, grids)

    def initial(self, architecture: Architecture, images: np.ndarray) -> Mapping[str, np.ndarray]:
        """See `SearchSpace.initial`; in fewer channels stays what the images need, see `kgrow.pruning.narrowing`."""
        from kgrow.pruning.narrowing import narrowed  # TensorFlow is slow to import

        found = narrowed(self._trained(architecture.input_shape, architecture.num_classes), architecture, images)
        return {
            name: np.ascontiguousarray(value, np.float32)
            for name, value in found.state.items()
            if not name.endswith("/mask")
        }

    def _trained(self, input_shape: tuple[int, int, int], num_classes: int) -> Weighted:
        """Returns the whole network with its weights."""
        side, whole = min(input_shape[:2]), self.build(input_shape, num_classes)
        if self.is_own:
            return self.own(side).trained(whole)
        found = self if self.sha256 else self.located(side)
        return Weighted.of(whole, self._backbone.initial(whole, read_weights(self.file(side), str(found.sha256))))
