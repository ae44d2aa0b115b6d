"""`GrowingNetwork`: the Keras model of an `Architecture`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgrow._keras import keras, tf
from kgrow._tfmot import Kernel, apply_masks
from kgrow.graph import IMAGE, Architecture, Block
from kgrow.network.block_layer import FLOAT32, BlockLayer
from kgrow.network.early_exit import ExitRule, softmax


class GrowingNetwork(keras.Model):
    """A classifier that grows block by block; each block ends in an internal classifier.

    Args:
        architecture: Architecture to build; `grow` extends it later.
        seed: Random seed of all initial values. A block's values depend only on the seed and its place, not on when it
            is grown.

    Example:
        >>> from kgrow.searching import SPACES
        >>> network = GrowingNetwork(SPACES["compact"].build((8, 8, 1), num_classes=10))
        >>> [tuple(logits.shape) for logits in network(np.zeros((2, 8, 8, 1)))]
        [(2, 10), (2, 10), (2, 10)]
    """

    def __init__(self, architecture: Architecture, *, seed: int = 0):
        super().__init__(name="growing_network")
        self.architecture, self.seed = architecture, seed
        self.blocks: list[BlockLayer] = []
        self.become(architecture)

    def become(self, architecture: Architecture) -> None:
        """Changes to another architecture; equal blocks keep their weights and masks, all others are initialized again.

        Args:
            architecture: Architecture for images of the same shape.
        """
        before, layers = self.architecture, self.blocks
        kept = [
            index < len(layers)
            and block == before.blocks[index]
            and all(before.shapes[name] == architecture.shapes.get(name) for name in layers[index].reads)
            for index, block in enumerate(architecture.blocks)
        ]
        self.blocks = [
            layers[index] if stays else BlockLayer(architecture, index, seed=self.seed)
            for index, stays in enumerate(kept)
        ]
        self.architecture = architecture
        for layer in self.blocks:
            for earlier in self.blocks[: layer.block_index]:
                own = {node.name for node in earlier.nodes}
                earlier.export([name for name in layer.reads if name in own])
        signature = tf.TensorSpec((None, *architecture.input_shape), tf.float32)
        self._infer = tf.function(self._infer_logits, autograph=False, input_signature=[signature])
        self.built = True

    @classmethod
    def of(cls, architecture: Architecture, state: Mapping[str, np.ndarray], seed: int = 0) -> "GrowingNetwork":
        """Returns a network with the values that `state` returned."""
        network = cls(architecture, seed=seed)
        network.load_state(state)
        return network

    def grow(self, block: Block) -> None:
        """Appends a block with new weights and all connections; existing blocks and heads do not change."""
        self.become(self.architecture.grow(block))

    def scale(self, images: Any) -> Any:
        """Maps raw pixels to the input of the stem, float32."""
        scaling = self.architecture.scaling
        return (tf.cast(images, tf.float32) - tf.constant(scaling.mean)) / tf.constant(scaling.std)

    def call(self, images: Any, training: Any = None) -> tuple[Any, ...]:
        """Maps raw pixels (batch, height, width, channels) to a tuple of logits (batch, num_classes), one per head."""
        return self.call_scaled(self.scale(images), training=training)

    def call_scaled(self, images: Any, training: Any = None, precision: str = FLOAT32) -> tuple[Any, ...]:
        """Returns the same as `call`, for images that are already scaled; augmentation comes between the two.

        Args:
            images: Scaled images, float32 (batch, height, width, channels).
            training: Whether normalizations use the statistics of the batch.
            precision: `"bfloat16"` computes operators that allow it, which are convolutions, from inputs and weights
                rounded to bfloat16; weights, their gradients and everything else stay float32. It is for training
                alone, since a file computes otherwise.
        """
        features: dict[str, Any] = {IMAGE: images}
        logits = []
        for block in self.blocks:
            outputs, block_logits = block.run({name: features[name] for name in block.reads}, bool(training), precision)
            features |= outputs
            logits.append(block_logits)
        return tuple(logits)

    def kernels(self, block_index: int | None = None) -> list[Kernel]:
        """Returns the prunable kernels of one block or of all, named and ordered as in `Architecture.kernels`."""
        blocks = self.blocks if block_index is None else [self.blocks[block_index]]
        return [kernel for block in blocks for kernel in block.kernels()]

    def kept_params(self, block_index: int | None = None) -> int:
        """Counts the connections that the masks keep."""
        return sum(kernel.kept for kernel in self.kernels(block_index))

    def apply_masks(self) -> None:
        """Sets every pruned weight to zero, because an optimizer step may have changed it."""
        apply_masks(self.kernels())

    def start_draws(self, number: Any) -> None:
        """Sets the number of training steps made so far, from which dropout draws go on."""
        for layer in (layer for block in self.blocks for layer in block.layers):
            if hasattr(layer, "draws"):
                layer.draws.assign(number)

    def named_variables(self) -> dict[str, Any]:
        """Returns weights, masks and normalization statistics by names that are the same in every process."""
        return {name: variable for block in self.blocks for name, variable in block.named_variables().items()}

    def state(self) -> dict[str, np.ndarray]:
        """Returns the values of `named_variables`."""
        return {name: variable.numpy() for name, variable in self.named_variables().items()}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Assigns the values that `state` returned.

        Raises:
            ValueError: If a variable is missing or has another shape; nothing is changed then.
        """
        variables = self.named_variables()
        for name, variable in variables.items():
            if name not in state or np.shape(state[name]) != tuple(variable.shape):
                raise ValueError(f"`state` must hold {name} of shape {tuple(variable.shape)}, but does not.")
        for name, variable in variables.items():
            variable.assign(state[name])

    def copy(self) -> "GrowingNetwork":
        """Returns an independent network with the same architecture, weights and masks."""
        return GrowingNetwork.of(self.architecture, self.state(), self.seed)

    def logits(self, images: np.ndarray, batch_size: int = 256) -> np.ndarray:
        """Runs inference over many raw images; returns float32 (heads, num_images, num_classes)."""
        batches = (images[start : start + batch_size] for start in range(0, len(images), batch_size))
        none = np.zeros((len(self.blocks), 0, self.architecture.num_classes), np.float32)  # no images, no logits
        return np.concatenate([none, *(np.stack(self._infer(tf.cast(b, tf.float32))) for b in batches)], axis=1)

    def predict_early(
        self,
        images: np.ndarray,
        threshold: float | Sequence[float],
        batch_size: int = 256,
        fallback: str = "most_confident",
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Classifies raw images with early exit; a block runs only on the images that have not exited before it.

        The first head whose largest probability reaches `threshold` answers; if none does, the head of `fallback`
        answers.

        Args:
            images: Raw images, (num_images, height, width, channels).
            threshold: Smallest confidence to exit with, of all heads or of each before the last; above 1 no image exits
                early.
            batch_size: Images per step.
            fallback: `"most_confident"` (Kaya, Hong and Dumitras, ICML 2019) or `"last"`.

        Returns:
            Probabilities float32 (num_images, num_classes), the index of the head that answered and the number of
            heads evaluated, both int (num_images,).
        """
        rule = ExitRule(threshold, fallback)
        starts = range(0, len(images), batch_size)
        none = np.zeros((0, self.architecture.num_classes), np.float32), np.zeros(0, int), np.zeros(0, int)
        parts = [none, *(self._predict_early_batch(images[start : start + batch_size], rule) for start in starts)]
        answers, heads, evaluated = zip(*parts, strict=True)
        return np.concatenate(answers), np.concatenate(heads), np.concatenate(evaluated)

    def _predict_early_batch(self, images: np.ndarray, rule: ExitRule) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        answers = np.zeros((len(images), self.architecture.num_classes), np.float32)
        heads, evaluated = np.zeros(len(images), int), np.zeros(len(images), int)
        confidence = np.zeros(len(images), np.float32)
        inside = np.arange(len(images))
        features: dict[str, Any] = {IMAGE: self.scale(images)}
        limits = [*rule.thresholds(len(self.blocks)), np.inf]
        for index, (block, limit) in enumerate(zip(self.blocks, limits, strict=True)):
            outputs, logits = block.run({name: features[name] for name in block.reads}, False)
            features |= outputs
            probabilities = softmax(logits.numpy())
            top = probabilities.max(axis=-1)
            better = (top > confidence[inside]) | (top >= limit) | (rule.fallback == "last")
            changed = inside[better]
            answers[changed], heads[changed], confidence[changed] = probabilities[better], index, top[better]
            evaluated[inside] = index + 1
            stays = top < limit
            inside = inside[stays]
            if not len(inside):
                break
            features = {name: tf.boolean_mask(feature, stays) for name, feature in features.items()}
        return answers, heads, evaluated

    def _infer_logits(self, images: Any) -> tuple[Any, ...]:
        return self(images, training=False)
