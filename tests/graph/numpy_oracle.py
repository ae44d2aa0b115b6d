"""A network worked out in NumPy, operator by operator, from its architecture and weights alone."""

import numpy as np

from kgrow.graph import IMAGE
from kgrow.graph.node import weights_of


def windows(images, size, stride, padding, fill, dilation=1):
    """Cuts windows: (batch, height, width, size * size, channels)."""
    sides = images.shape[1:3]
    reach = [(side - 1) * dilation + 1 for side in size]
    if padding == "same":
        out = [-(-side // step) for side, step in zip(sides, stride, strict=True)]
    else:
        out = [(side - r) // step + 1 for side, r, step in zip(sides, reach, stride, strict=True)]
    totals = [max((o - 1) * s + r - side, 0) for o, s, r, side in zip(out, stride, reach, sides, strict=True)]
    before = [total // 2 if padding == "same" else 0 for total in totals]
    padded = np.pad(
        images, [(0, 0), *((b, t - b) for b, t in zip(before, totals, strict=True)), (0, 0)], constant_values=fill
    )
    rows, columns = (np.arange(o) * s for o, s in zip(out, stride, strict=True))
    cuts = [
        padded[:, rows + i * dilation][:, :, columns + j * dilation] for i in range(size[0]) for j in range(size[1])
    ]
    return np.stack(cuts, axis=3)


def conv(op, inputs, w):
    features, dilation, strides = inputs[0], op.dilation, op.strides
    if dilation > 1 and strides != (1, 1):  # taps on the grid of the positions that are read
        features, dilation, strides = features[:, :: strides[0], :: strides[1]], 1, (1, 1)
    cuts = windows(features, op.window, strides, op.padding, 0.0, dilation)
    kernel = w["kernel"].reshape(-1, *w["kernel"].shape[2:])
    return np.einsum("bhwkc,kcf->bhwf", cuts, kernel) + w.get("bias", 0)


def depthwise(op, inputs, w):
    cuts = windows(inputs[0], op.window, op.strides, op.padding, 0.0)
    made = np.einsum("bhwkc,kcm->bhwcm", cuts, w["kernel"].reshape(-1, *w["kernel"].shape[2:]))
    return made.reshape(*made.shape[:3], -1) + w.get("bias", 0)


def batch_norm(op, inputs, w):
    standard = (inputs[0] - w["moving_mean"]) / np.sqrt(w["moving_variance"] + op.epsilon)
    return standard * w.get("gamma", 1) + w.get("beta", 0)


def pool(reduce):
    return lambda op, inputs, w: reduce(windows(inputs[0], op.window, op.strides, op.padding, np.nan), axis=3)


def mixed(op, inputs, w):
    return w["mixing"] * pool(np.nanmax)(op, inputs, w) + (1 - w["mixing"]) * pool(np.nanmean)(op, inputs, w)


def whole(reduce):
    return lambda op, inputs, w: reduce(inputs[0], axis=(1, 2), keepdims=op.keeps_sides)


def resize(op, inputs, w):
    assert op.interpolation == "nearest"
    return inputs[0].repeat(op.factors[0], axis=1).repeat(op.factors[1], axis=2)


def relu(op, inputs, w):
    below = op.slope * (inputs[0] - op.threshold)
    made = np.where(inputs[0] < op.threshold, below, inputs[0])
    return made if op.max_value is None else np.minimum(made, op.max_value)


FUNCTIONS = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "swish": lambda x: x / (1 + np.exp(-x)),
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
}
OPERATORS = {
    "activation": lambda op, x, w: FUNCTIONS[op.function](x[0]),
    "add": lambda op, x, w: sum(x),
    "average_pool": pool(np.nanmean),
    "batch_norm": batch_norm,
    "channel_dropout": lambda op, x, w: x[0],
    "concat": lambda op, x, w: np.concatenate(x, axis=-1),
    "conv": conv,
    "dense": lambda op, x, w: x[0] @ w["kernel"] + w.get("bias", 0),
    "depthwise": depthwise,
    "dropout": lambda op, x, w: x[0],
    "flatten": lambda op, x, w: x[0].reshape(len(x[0]), -1),
    "one_position": lambda op, x, w: x[0][:, None, None, :],
    "global_average_pool": whole(np.mean),
    "global_max_pool": whole(np.max),
    "leaky_relu": lambda op, x, w: np.where(x[0] < 0, op.slope * x[0], x[0]),
    "max_pool": pool(np.nanmax),
    "mixed_pool": mixed,
    "multiply": lambda op, x, w: x[0] * x[1],
    "relu": relu,
    "rescale": lambda op, x, w: x[0] * np.array(op.scale) + np.array(op.offset),
    "resize": resize,
    "times": lambda op, x, w: op.factor * x[0],
    "zero_padding": lambda op, x, w: np.pad(x[0], ((0, 0), op.height, op.width, (0, 0))),
}


def values(architecture, state, images):
    """Returns the output of every node, float64."""
    state = {name: np.asarray(value, np.float64) for name, value in state.items()}
    made = {IMAGE: (images.astype(np.float64) - architecture.scaling.mean) / architecture.scaling.std}
    for node in architecture.nodes:
        inputs = [made[name] for name in node.inputs]
        made[node.name] = OPERATORS[node.operator.kind](node.operator, inputs, weights_of(node.name, state))
    return made


def logits(architecture, state, images):
    """Returns float64 (heads, num_images, num_classes)."""
    made = values(architecture, state, images)
    return np.stack([made[architecture.logits(head)] for head in range(len(architecture.blocks))])
