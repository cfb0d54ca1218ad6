"""Colours of nodes as features."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.algorithms import colour_hashes
from graphkit.algorithms.colouring.refinement import VARIANTS, check_test
from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, NonNegativeInt, OneOf
from graphkit.core.reads import Reads
from graphkit.transforms.features.base import NodeFeatures


class KLWL(NodeFeatures):
    r"""Adds each node's colour by :math:`k,l`-WL, so that any network tells apart at least what this test does.

    From `"From Relational Pooling to Subgraph GNNs: A Universal Framework for More Expressive Graph Neural Networks"
    <https://arxiv.org/abs/2305.04963>`_ (Zhou, Wang, Zhang, ICML 2023). A node's colour is a hash of the multiset of
    colours of all tuples that begin with it, over all labelled copies of the graph; see
    :func:`~graphkit.algorithms.colour_hashes`. A hash depends on the node's graph alone, never on other graphs: equal
    features mean equal colours throughout a dataset, in training, test and every process.

    A hash becomes ``channels`` numbers in one of two ways:

    - ``"signs"``: :math:`\pm 1`, the hash's bits; different colours get different vectors (for 64 channels but with a
      probability of :math:`2^{-64}`) that are nearly orthogonal
    - ``"one_hot"``: 1 in bucket (hash modulo ``channels``); two colours share a bucket with a probability of one in
      ``channels``

    Few rounds give colours that many nodes share and from which a network can learn; until stable, every irregular
    graph has its own.

    Args:
        k: The length of coloured tuples (default: 1).
        l: The number of labels (default: 1).
        variant: ``"oblivious"`` or ``"folklore"``; must be named for :math:`k \ge 2` (default: ``None``).
        iterations: The number of rounds; ``None`` goes on until colours are stable, in another graph perhaps after
            another number of rounds (default: 3).
        channels: The number of features (default: 16).
        code: ``"signs"`` or ``"one_hot"`` (default: ``"signs"``).
        whole: Whether every node gets the colour of its graph instead of its own (default: ``False``).
        node_attr: The attribute whose rows are the first colours of nodes, e.g. ``"x"`` (default: none).
        edge_attr: The attribute whose rows are colours of edges (default: none).

    Shapes:
        ``x``: ``[num_nodes, F]`` becomes ``[num_nodes, F + channels]``.

    Raises:
        ValueError: If an argument is out of range, unknown or missing, or there are too many tuples.

    Example:
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> x = KLWL(k=1, l=1)(path).x
        >>> torch.equal(x[0], x[2]), torch.equal(x[0], x[1])
        (True, False)
    """

    checks = Checks(
        [
            {"channels": 4},
            {"k": 2, "l": 0, "variant": "folklore", "channels": 70, "iterations": None, "node_attr": "x"},
            {"l": 2, "whole": True, "code": "one_hot"},
        ]
    )

    reads = Reads(edge_attr=True)

    def __init__(
        self,
        k: Count = 1,
        l: NonNegativeInt = 1,  # noqa: E741
        variant: Annotated[str, OneOf(VARIANTS)] | None = None,
        iterations: NonNegativeInt | None = 3,
        channels: Count = 16,
        code: Literal["signs", "one_hot"] = "signs",
        whole: bool = False,
        node_attr: str | None = None,
        edge_attr: str | None = None,
    ) -> None:
        check_test(k, variant)
        self.k, self.l, self.variant, self.iterations = k, l, variant, iterations
        self.channels, self.whole, self.code = channels, whole, code
        self.node_attr, self.edge_attr = node_attr, edge_attr

    def columns(self, data: Data) -> Tensor:
        """The colours ``[num_nodes, channels]``."""
        nodes, graph = colour_hashes(
            data, self.k, self.l, self.variant, self.iterations, self.node_attr, self.edge_attr
        )
        hashes = nodes.numpy().view(np.uint64)
        if self.whole:
            hashes = np.full_like(hashes, graph)
        return torch.from_numpy(self._encoded(hashes))

    def _encoded(self, hashes: np.ndarray) -> np.ndarray:
        column = np.arange(self.channels, dtype=np.uint64)
        if self.code == "one_hot":
            return (hashes[:, None] % np.uint64(self.channels) == column).astype(np.float64)

        from graphkit.algorithms.kernels.colour_hash import hash_rows

        word = column // np.uint64(64)  # a hash has 64 bits; further ones come from hashes of the hash
        further = [hash_rows(np.stack([hashes, np.full_like(hashes, i)], axis=1)) for i in range(1, int(word[-1]) + 1)]
        bits = np.stack([hashes, *further], axis=1)[:, word] >> column % np.uint64(64)
        return 2.0 * (bits & np.uint64(1)) - 1.0
