"""A `GrowingNetwork` as a `Model` of `kgrow.bayes`, with its kernels or gates on channels or links as parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kgrow._keras import tf
from kgrow.bayes import CrossEntropy, ForwardPass, Probe, tiled_probe
from kgrow.graph import Node
from kgrow.network import GrowingNetwork
from kgrow.network.tap import call_tapped
from kgrow.pruning.channels import ChannelGroups
from kgrow.pruning.criterion import Loss
from kgrow.pruning.links import Links, cell_of

Compute = Callable[[Sequence[Any]], Any]


class KernelModel:
    """A network whose parameters are all its kernels.

    Args:
        network: Network to examine; it is not changed.
    """

    def __init__(self, network: GrowingNetwork):
        self._network = network
        self._kernels = network.kernels()

    @property
    def parameters(self) -> list[Any]:
        """The kernels, in the order of the network."""
        return [kernel.weight for kernel in self._kernels]

    def run(self, images: Any) -> ForwardPass:
        """See `Model.run`."""
        probes: dict[str, Probe] = {}
        names = {kernel.name for kernel in self._kernels}

        def tap(node: Node, inputs: Sequence[Any], compute: Compute) -> Any:
            outputs = compute(inputs)
            if node.name in names:
                probes[node.name] = Probe(outputs, lambda gradient: node.operator.kernel_squares(inputs[0], gradient))
            return outputs

        logits = call_tapped(self._network, images, tap)
        return ForwardPass(logits, [probes[kernel.name] for kernel in self._kernels])


class ChannelModel:
    """A network whose parameters are gates on its channel groups, all open.

    A gate multiplies the output of every normalization of its group; ReLU commutes with a positive factor.

    Args:
        network: Network to examine; it is not changed.
        groups: Channel groups of the network's architecture.
    """

    def __init__(self, network: GrowingNetwork, groups: ChannelGroups):
        self._network, self._groups = network, groups
        self._gates = tf.Variable(tf.ones(len(groups)))

    @property
    def parameters(self) -> list[Any]:
        """One variable (num_groups,)."""
        return [self._gates]

    def run(self, images: Any) -> ForwardPass:
        """See `Model.run`."""
        copies = tf.ones((len(images), 1)) * self._gates

        def tap(node: Node, inputs: Sequence[Any], compute: Compute) -> Any:
            outputs = compute(inputs)
            if node.name not in self._groups.factors:
                return outputs
            owners = self._groups.gates[self._groups.factors[node.name]]
            return outputs * tf.gather(copies, owners, axis=1)[:, None, None]

        logits = call_tapped(self._network, images, tap)
        return ForwardPass(logits, [tiled_probe(copies, self._gates)])


class LinkModel:
    """A network whose parameters are gates on its links, all open, in the order of `Links`.

    A gate multiplies the source's map where one cell reads it. Pooling, adapters and joins are linear, so the product
    is the link's contribution to the cell's input: a slice of the joined map, a term of the sum, or all of it. In a
    graph cell it is an input as its 1x1 convolution reads it.

    Args:
        network: Network with more than its stem; it is not changed.
        links: Links of its architecture.
    """

    def __init__(self, network: GrowingNetwork, links: Links):
        self._network, self._places = network, {(link.source, link.reader): n for n, link in enumerate(links)}
        self._gates = tf.Variable(tf.ones(len(links)))

    @property
    def parameters(self) -> list[Any]:
        """One variable (num_links,)."""
        return [self._gates]

    def run(self, images: Any) -> ForwardPass:
        """See `Model.run`."""
        copies = tf.ones((len(images), 1)) * self._gates

        def gated(node: Node, source: str, features: Any) -> Any:
            place = self._places.get((cell_of(source), cell_of(node.name)))
            return features if place is None else features * copies[:, place, None, None, None]

        def tap(node: Node, inputs: Sequence[Any], compute: Compute) -> Any:
            return compute([gated(node, *pair) for pair in zip(node.inputs, inputs, strict=True)])

        logits = call_tapped(self._network, images, tap)
        return ForwardPass(logits, [tiled_probe(copies, self._gates)])


def likelihood_of(network: GrowingNetwork, loss: Loss) -> CrossEntropy:
    r"""Returns the likelihood that corresponds to a joint loss over heads.

    The Hessian of a cross-entropy does not depend on labels or their smoothing. At equal logits of C classes its
    diagonal is :math:`\tau (1 - 1 / C) / C`, which determines the weight :math:`\tau` of every head.

    Args:
        network: Network, for the number of heads and classes.
        loss: Weighted sum over heads of mean cross-entropies; see `Criterion.saliency`.
    """
    num_classes = network.architecture.num_classes
    logits = [tf.zeros((1, num_classes)) for _ in network.blocks]
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(logits)
        with tf.GradientTape() as inner:
            inner.watch(logits)
            value = loss(tuple(logits), tf.constant([0]))
        slopes = [gradient[0, 0] for gradient in inner.gradient(value, logits)]
    bends = [outer.gradient(slope, head)[0, 0] for slope, head in zip(slopes, logits, strict=True)]
    # A head of weight 0 may be slightly below 0 by rounding.
    return CrossEntropy(tuple(max(float(bend), 0.0) * num_classes / (1.0 - 1.0 / num_classes) for bend in bends))
