"""First-order differentiable search in the same space: the baseline."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kgrow._checks import check_positive_int
from kgrow._keras import keras, tf
from kgrow.cells.epochs import EpochSearch, SearchRecord
from kgrow.cells.network import CellNetwork
from kgrow.cells.stack import Stack
from kgrow.cells.training import CellTrainer, Gating, SGDConfig, mean_loss
from kgrow.graph.edge import OPERATIONS, Edge
from kgrow.graph.genotype import KINDS, Genotype
from kgrow.task import Split, Task
from kgrow.training import TrainingStep

INCOMING = 2  # incoming pairs of nodes that a derived node keeps


@dataclasses.dataclass(frozen=True)
class GradientSearchSettings:
    """Settings of the alternating training of alphas and weights.

    Args:
        num_epochs: Number of epochs, each over half of the training images.
        sgd: Training settings of the weights.
        alpha_rate: Constant Adam learning rate of the alphas. The source's 3e-4 is meant for 50 epochs of 390 steps.
        alpha_l2: Coupled weight decay of the alphas.
    """

    num_epochs: int = 5
    sgd: SGDConfig = dataclasses.field(default_factory=SGDConfig)
    alpha_rate: float = 3e-3
    alpha_l2: float = 1e-3

    def __post_init__(self) -> None:
        check_positive_int(self.num_epochs, "num_epochs")


class GradientSearch(EpochSearch[tuple[Genotype, SearchRecord]]):
    r"""First-order DARTS: each pair of nodes mixes its operations by a softmax over alpha.

    Weights follow the gradient on one half of the training images and alphas that on the other half, in alternation.
    The response of the weights to the alphas is ignored. There is no zero operation.

    Args:
        stack: Stack to search in.
        num_nodes: Number of nodes of a cell, without its inputs.
        task: Task whose training split is halved; no other split is used.
        settings: Search settings.
        seed: Random seed of kernels, alphas, halves and the order of images.

    References:
        Liu, Simonyan and Yang, "DARTS: Differentiable Architecture Search", ICLR 2019,
        https://arxiv.org/abs/1806.09055.
    """

    def __init__(
        self, stack: Stack, num_nodes: int, task: Task, settings: GradientSearchSettings | None = None, seed: int = 0
    ):
        self.settings = settings or GradientSearchSettings()
        super().__init__(task, self.settings.num_epochs, seed)
        self.stack, self.num_nodes = stack, num_nodes
        complete = Genotype.complete(num_nodes)
        self.columns = {kind: complete.edges(kind) for kind in KINDS.values()}
        self._repeats = [stack.repeats(kind) for kind in KINDS.values()]
        self.network = CellNetwork(stack, complete, seed, self.columns)
        generator = np.random.default_rng(seed)
        self.alphas = [
            tf.Variable(1e-3 * generator.standard_normal((len(edges) // len(OPERATIONS), len(OPERATIONS))), dtype=float)
            for edges in self.columns.values()
        ]
        named = {f"alphas/{index}": alpha for index, alpha in enumerate(self.alphas)}
        self._alpha_step = TrainingStep(
            named,
            lambda images, labels: mean_loss(self.network, images, self.gates(), labels, training=True),
            keras.optimizers.Adam(self.settings.alpha_rate, beta_1=0.5, beta_2=0.999, jit_compile=False),
            decay=dict.fromkeys(named, self.settings.alpha_l2),
        )
        self._trainer = CellTrainer(self.network, task, self.settings.sgd, seed, Gating(self.gates))
        order = np.random.default_rng((seed, 1)).permutation(len(task.train))
        self._halves = [Split(task.train.images[half], task.train.labels[half]) for half in np.array_split(order, 2)]

    def gates(self) -> list[Any]:
        """Returns the factors of the maps per kind, (1, cells, gates): the same in all cells."""
        return [
            tf.tile(tf.reshape(tf.nn.softmax(alpha), (1, 1, -1)), (1, repeats, 1))
            for alpha, repeats in zip(self.alphas, self._repeats, strict=True)
        ]

    def result(self) -> tuple[Genotype, SearchRecord]:
        """See `EpochSearch.result`; the genotype is derived from the alphas."""
        alphas = [alpha.numpy() for alpha in self.alphas]
        kept = [derived(alpha, edges) for alpha, edges in zip(alphas, self.columns.values(), strict=True)]
        counts = (tuple(len(edges) for edges in kept),)
        return Genotype(*kept), SearchRecord(tuple(self.losses), counts, False, self.seconds)

    def config(self) -> dict[str, Any]:
        """See `EpochSearch.config`."""
        settings = {**vars(self.settings), "sgd": vars(self.settings.sgd)}
        return {"stack": dataclasses.asdict(self.stack), "num_nodes": self.num_nodes, "settings": settings}

    @property
    def num_steps(self) -> int:
        """See `EpochLoop.num_steps`."""
        return self._trainer.num_steps(self._halves[0])

    def search_epoch(self, epoch: int, on_step: Callable[[int], None]) -> float:
        """See `EpochSearch.search_epoch`."""
        weights_half, alphas_half = self._halves
        batches = alphas_half.batches(self.settings.sgd.batch_size, shuffle_seed=(self.seed, epoch, 2))

        def step() -> None:
            self._alpha_step(*next(batches))

        return self._trainer.train_epoch(weights_half, epoch, self.num_epochs, step, on_step)

    def state(self) -> dict[str, np.ndarray]:
        """See `ResumableLoop.state`."""
        alphas = {name: variable.numpy() for name, variable in self._alpha_step.variables.items()}
        slots = {f"alphas/{name}": value for name, value in self._alpha_step.slots().items()}
        return alphas | slots | self._trainer.state()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """See `ResumableLoop.load_state`."""
        for name, variable in self._alpha_step.variables.items():
            variable.assign(state[name])
        self._alpha_step.load_slots(
            {
                name.removeprefix("alphas/"): value
                for name, value in state.items()
                if name.startswith("alphas/optimizer/")
            }
        )
        self._trainer.load_state(state)


def derived(alphas: np.ndarray, edges: Sequence[Edge]) -> tuple[Edge, ...]:
    """Returns the best operation of the two incoming pairs of each node whose best operation is strongest.

    Args:
        alphas: Alphas, (pairs, operations).
        edges: Edges of all pairs and operations, in that order.
    """
    shares = np.exp(alphas - alphas.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    strongest: dict[int, list[tuple[float, Edge]]] = {}
    for index, best in enumerate(shares.argmax(axis=1)):
        edge = edges[index * alphas.shape[1] + int(best)]
        strongest.setdefault(edge.target, []).append((float(shares[index, best]), edge))
    return tuple(
        edge for found in strongest.values() for _, edge in sorted(found, key=lambda entry: -entry[0])[:INCOMING]
    )
