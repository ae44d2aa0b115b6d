"""A model as a flat list of layers: those of inner models in their place, arithmetic with numbers as rescaling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kgrow.models.described import Described, Layer, Path, is_model, name_of
from kgrow.models.patterns import AUGMENTING

# Keras' operations on tensors: the functions of Keras 2, the classes of Keras 3, and the layer of two tensors.
ADDITIONS = ("__operators__.add", "math.add", "Add")
PRODUCTS = ("__operators__.mul", "math.multiply", "Multiply")
DIFFERENCES = ("__operators__.sub", "math.subtract", "Subtract")
QUOTIENTS = ("__operators__.truediv", "math.truediv", "math.divide", "TrueDivide", "Divide")
# In place of a layer that an operation of Keras 2 reads, with a number behind it.
CONSTANT = "_CONSTANT_VALUE"
# Layers that stay, but compute something else in training.
TRAINED_OTHERWISE = ("BatchNormalization", "Dropout", "SpatialDropout2D")


def flattened(described: Described) -> tuple[Layer, ...]:
    """Returns the layers of a model in an order in which each comes after those that it reads.

    The first one is the `InputLayer`, the last one gives the answer.

    Raises:
        ValueError: If the model has several inputs or outputs, calls a layer twice, or holds what is not a layer.
    """
    flat = _Flat(described)
    last = flat.add_model(described.kind, described.config, (), None)
    (number,) = (index for index, layer in enumerate(flat.layers) if layer.name == last)
    return _needed(flat.layers[: number + 1])


def _needed(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Returns the layers that the last one depends on."""
    needed = {layers[-1].name}
    for layer in reversed(layers):
        needed.update(layer.inputs if layer.name in needed else ())
    return tuple(layer for layer in layers if layer.name in needed)


class _Flat:
    def __init__(self, described: Described):
        self.described = described
        self.layers: list[Layer] = []

    def add_model(self, kind: str, config: Mapping[str, Any], path: Path, source: str | None) -> str:
        """Appends the layers of a model and returns the name of the one that gives its output.

        Args:
            kind: Class name of the model.
            config: Its configuration.
            path: Names of the models around its layers, its own included.
            source: Layer that it reads; None for the whole model, which has an input of its own.
        """
        entries = config["layers"]
        if kind == "Sequential":
            return self._add_chain(entries, path, source, config)
        (first,) = self._one(config["input_layers"], path, "input")
        (last,) = self._one(config["output_layers"], path, "output")
        held: dict[str, str] = {}
        for entry in entries:
            calls = entry.get("inbound_nodes") or []
            if entry["class_name"] != "InputLayer" and len(calls) != 1:
                called = "/".join((*path, name_of(entry)))
                raise ValueError(
                    f"`model` must call every layer once, but calls {called!r} {len(calls)} times. Give each place a "
                    "layer of its own."
                )
        for entry in _in_order(entries):
            name = name_of(entry)
            if entry["class_name"] == "InputLayer":
                held[name] = self._input(entry, path) if source is None else source
                continue
            references, numbers = _call(entry["inbound_nodes"][0])
            held[name] = self._add(entry, path, [held[each] for each in references], numbers)
        if first not in held or last not in held:
            raise ValueError(f"`model` must hold its input and output as layers, but {self._called(path)} does not.")
        return held[last]

    def _add_chain(self, entries: Sequence[Any], path: Path, source: str | None, config: Mapping[str, Any]) -> str:
        if source is None:
            first = entries[0]["config"] if entries else {}
            shape = first.get("batch_shape") or first.get("batch_input_shape") or config.get("build_input_shape")
            if shape is None and entries and is_model(entries[0]["class_name"]):
                inner = entries[0]["config"]["layers"][0]["config"]
                shape = inner.get("batch_shape") or inner.get("batch_input_shape")
            if shape is None:
                raise ValueError(
                    "`model` must be built, but this Sequential model knows no input shape. Begin it with an Input "
                    "layer, or call it on an image."
                )
            source = self._append(Layer("/".join((*path, "image")), "InputLayer", {"shape": list(shape)[1:]}, ()))
        for entry in entries:
            if entry["class_name"] != "InputLayer":
                source = self._add(entry, path, [source], {})
        return source

    def _input(self, entry: Mapping[str, Any], path: Path) -> str:
        config = entry["config"]
        shape = config.get("batch_shape") or config.get("batch_input_shape")
        name = "/".join((*path, config["name"]))
        return self._append(Layer(name, "InputLayer", {"shape": list(shape)[1:]}, ()))

    def _add(self, entry: Mapping[str, Any], path: Path, inputs: list[str], numbers: Mapping[str, Any]) -> str:
        kind, config = entry["class_name"], entry["config"]
        own = (*path, name_of(entry))
        if numbers.get("training") and self._trains_otherwise(kind):
            raise ValueError(
                f"`model` must compute in inference what its layers say, but calls {'/'.join(own)!r} with "
                "`training=True`."
            )
        if is_model(kind):
            if len(inputs) != 1:
                raise ValueError(f"`model` must give its inner model {'/'.join(own)!r} one input, not {len(inputs)}.")
            return self.add_model(kind, config, own, inputs[0])
        if _is_operation(entry, numbers):
            return self._append(_arithmetic("/".join(own), config.get("function") or kind, inputs, numbers))
        self._check_class(entry, own)
        weights = tuple(np.asarray(each) for each in self.described.weights.get(own, ()))
        name = "/".join(own)
        if self.described.is_of_keras_3 and (function := _function_of(config)) in ("hard_sigmoid", "hard_silu"):
            # In Keras 2 the first one is another function, and the second one is not known.
            if kind != "Activation":
                name = self._append(Layer(name, kind, {**config, "activation": "linear"}, tuple(inputs), weights))
                inputs = [name]
            return self._add_hard(f"{name}/{function}", function, inputs[0])
        return self._append(Layer(name, kind, config, tuple(inputs), weights))

    def _trains_otherwise(self, kind: str) -> bool:
        """Returns whether a call in training computes something else; Keras 3 notes it for what changes images too."""
        changes_images = kind.startswith("Random") and self.described.is_of_keras_3
        return is_model(kind) or kind in TRAINED_OTHERWISE or (kind in AUGMENTING and not changes_images)

    def _add_hard(self, name: str, function: str, source: str) -> str:
        if function == "hard_silu":
            return self._append(Layer(name, "Activation", {"activation": "hard_swish"}, (source,)))
        for part, kind, config in (
            ("raised", "Rescaling", {"scale": 1.0, "offset": 3.0}),
            ("bounded", "ReLU", {"max_value": 6.0}),
            ("scaled", "Rescaling", {"scale": 1 / 6, "offset": 0.0}),
        ):
            source = self._append(Layer(f"{name}/{part}", kind, config, (source,)))
        return source

    def _check_class(self, entry: Mapping[str, Any], own: Path) -> None:
        """Raises ValueError if a layer is not one of Keras, whatever name it has."""
        module = entry.get("module")
        is_keras = module is None or module.partition(".")[0] in ("keras", "tf_keras", "tensorflow")
        if ">" in str(entry.get("registered_name")) or not is_keras:
            raise ValueError(
                f"`model` must consist of layers of Keras, but its layer {'/'.join(own)!r} is "
                f"{entry['class_name']} of {module or entry['registered_name']}, whose code is not read."
            )

    def _append(self, layer: Layer) -> str:
        if any(other.name == layer.name for other in self.layers):
            raise ValueError(f"`model` must have layers of different names, but has {layer.name!r} twice.")
        self.layers.append(layer)
        return layer.name

    def _one(self, references: Any, path: Path, what: str) -> tuple[str]:
        references = list(references.values()) if isinstance(references, Mapping) else references
        found = references if references and isinstance(references[0], (list, tuple)) else [references]
        if len(found) != 1:
            raise ValueError(f"`model` must have one {what}, but {self._called(path)} has {len(found)}.")
        return (found[0][0],)

    def _called(self, path: Path) -> str:
        return repr("/".join(path)) if path else "it"


def _in_order(entries: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yields layers after those that they read."""
    left, done = list(entries), set[str]()
    while left:
        ready = [entry for entry in left if set(_read_by(entry)) <= done]
        if not ready:
            raise ValueError("`model` must connect its layers without a circle, and name all that they read.")
        for entry in ready:
            yield entry
            done.add(name_of(entry))
        left = [entry for entry in left if entry not in ready]


def _read_by(entry: Mapping[str, Any]) -> list[str]:
    return [name for call in entry.get("inbound_nodes") or [] for name in _call(call)[0]]


def _call(call: Any) -> tuple[list[str], dict[str, Any]]:
    """Returns the layers that a call reads, and its other arguments by name; unnamed ones as `"0"`, `"1"`."""
    if isinstance(call, Mapping):  # of Keras 3
        references, numbers = _tensors(call["args"]), dict(call.get("kwargs") or {})
        numbers |= {str(at): value for at, value in enumerate(call["args"]) if isinstance(value, (int, float))}
        numbers = {name: value for name, value in numbers.items() if not _tensors(value)}
        return references + _tensors(list((call.get("kwargs") or {}).values())), numbers
    names, numbers = [], {}
    for name, _, value, options in [call] if isinstance(call[0], str) else call:
        if name == CONSTANT:
            numbers["0"] = value
        else:
            names.append(name)
        for key, value in options.items():
            if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
                names.append(value[0])
            else:
                numbers[key] = value
    return names, numbers


def _tensors(value: Any) -> list[str]:
    if isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__":
        return [value["config"]["keras_history"][0]]
    return [name for each in value for name in _tensors(each)] if isinstance(value, list) else []


def _is_operation(entry: Mapping[str, Any], numbers: Mapping[str, Any]) -> bool:
    """Returns whether an entry is an operation on tensors instead of a layer; Keras 3 may call both `Add`."""
    is_named = entry["class_name"] == "TFOpLambda" or ".ops." in str(entry.get("module"))
    return is_named or ("dtype" not in entry["config"] and any(map(_is_number, numbers.values())))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _arithmetic(name: str, function: str, inputs: Sequence[str], numbers: Mapping[str, Any]) -> Layer:
    """Returns the layer that computes an operation on tensors.

    Raises:
        ValueError: If there is none.
    """
    given = [value for key, value in numbers.items() if key != "name" and value is not None]
    if len(inputs) == 2 and not given and function in ADDITIONS + PRODUCTS:
        return Layer(name, "Add" if function in ADDITIONS else "Multiply", {}, tuple(inputs))
    is_reversed = "0" in numbers or "x" in numbers  # the number comes first: `1 - x`
    if len(inputs) == 1 and len(given) == 1 and isinstance(given[0], (int, float)):
        number, affine = float(given[0]), None
        if function in ADDITIONS:
            affine = (1.0, number)
        elif function in PRODUCTS:
            affine = (number, 0.0)
        elif function in DIFFERENCES:
            affine = (-1.0, number) if is_reversed else (1.0, -number)
        elif function in QUOTIENTS and not is_reversed and number:
            affine = (1.0 / number, 0.0)
        if affine is not None:
            return Layer(name, "Rescaling", {"scale": affine[0], "offset": affine[1]}, tuple(inputs))
    raise ValueError(
        f"`model` must consist of layers, but {name!r} is the operation {function} on tensors. Sums and products of "
        "two tensors, and with a number, can be read."
    )


def _function_of(config: Mapping[str, Any]) -> str:
    found = config.get("activation")
    return {"hard_swish": "hard_silu"}.get(found, found) if isinstance(found, str) else ""
