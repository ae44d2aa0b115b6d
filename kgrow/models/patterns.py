"""Layers that are something simpler together, or nothing in inference."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

from kgrow.models.described import Layer

# Layers that change training images only.
AUGMENTING = (
    "ActivityRegularization", "AlphaDropout", "GaussianDropout", "GaussianNoise", "RandomBrightness", "RandomContrast",
    "RandomFlip", "RandomHeight", "RandomRotation", "RandomTranslation", "RandomWidth", "RandomZoom",
)  # fmt: skip
TOLERANCE = 1e-6


def simplified(layers: Sequence[Layer]) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    """Returns the layers of a model in inference, and messages about those that are left out.

    Layers for training images are left out, and so is a resizing of the image: the network reads images of its size.
    A product of a value and its hard sigmoid is one activation.
    """
    left, notes = list(layers), []
    gone = [layer for layer in left if layer.kind in AUGMENTING or _drops_branches(layer)]
    augmenting = sorted({layer.kind for layer in gone if layer.kind.startswith("Random")})
    if augmenting:
        notes.append(
            f"{', '.join(augmenting)} of the model {'are' if len(augmenting) > 1 else 'is'} left out, as in inference; "
            "`augmentation` changes training images"
        )
    left = _without(left, [layer.name for layer in gone])
    image = left[0]
    resizing = [layer for layer in left if layer.kind == "Resizing" and layer.inputs == (image.name,)]
    if resizing and len([layer for layer in left if image.name in layer.inputs]) == 1:
        (only,) = resizing
        size = [only.config["height"], only.config["width"]]
        notes.append(f"the model resizes images to {size[0]}x{size[1]}; the network reads images of that size")
        left = _without(left, [only.name])
        left[0] = dataclasses.replace(image, config={"shape": [*size, image.config["shape"][2]]})
    return tuple(_with_hard_swish(left)), tuple(notes)


def _drops_branches(layer: Layer) -> bool:
    """Returns whether a dropout drops whole images of a branch in training, which no layer of a network does."""
    return layer.kind == "Dropout" and layer.config.get("noise_shape") is not None


def _without(layers: Sequence[Layer], gone: Sequence[str]) -> list[Layer]:
    held: dict[str, str] = {}
    left = []
    for layer in layers:
        inputs = tuple(held.get(name, name) for name in layer.inputs)
        if layer.name in gone:
            held[layer.name] = inputs[0]
        else:
            left.append(dataclasses.replace(layer, inputs=inputs))
    return left


def _with_hard_swish(layers: Sequence[Layer]) -> list[Layer]:
    by_name = {layer.name: layer for layer in layers}
    readers = collections.Counter(name for layer in layers for name in layer.inputs)
    gone: set[str] = set()
    found = list(layers)
    for number, layer in enumerate(layers):
        if layer.kind != "Multiply" or len(layer.inputs) != 2:
            continue
        for value, gate in (layer.inputs, layer.inputs[::-1]):
            chain = _hard_sigmoid_of(by_name, gate)
            if chain and by_name[chain[0]].inputs == (value,) and all(readers[name] == 1 for name in chain):
                gone.update(chain)
                found[number] = Layer(layer.name, "Activation", {"activation": "hard_swish"}, (value,))
                break
    return [layer for layer in found if layer.name not in gone]


def _hard_sigmoid_of(by_name: dict[str, Layer], last: str) -> list[str]:
    """Returns the layers that compute relu6(x + 3) / 6, in order; none if one of them computes something else."""
    wanted = (
        ("Rescaling", {"scale": 1 / 6, "offset": 0.0}),
        ("ReLU", {"max_value": 6.0}),
        ("Rescaling", {"scale": 1.0, "offset": 3.0}),
    )
    chain: list[str] = []
    for kind, options in wanted:
        layer = by_name[last]
        if layer.kind != kind or any(not _is_number(layer.config.get(key), value) for key, value in options.items()):
            return []
        chain.append(last)
        last = layer.inputs[0]
    return chain[::-1]


def _is_number(found: object, wanted: float) -> bool:
    return isinstance(found, (int, float)) and abs(found - wanted) < TOLERANCE
