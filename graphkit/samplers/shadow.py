"""shaDow: a small graph of its own around every root."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.algorithms.sampling.subgraphs import Subgraph, SubgraphSource
from graphkit.core.constraints import Count, Interval, Positive, UnitInterval
from graphkit.core.hashing import hash_tensors
from graphkit.samplers.base import Evaluation, Fanout, Sampler, cached_on_disk


class _ShaDow(Sampler):
    """A batch is the disjoint union of one induced subgraph per root.

    Usual arguments:
        add_self_loops: Whether nodes get the self-loops that they lack, as in the official configurations of GCN and
            GAT, whose layers then add none (default: ``False``).
    """

    default_batch_size: ClassVar[int | None] = 128
    add_self_loops: bool

    def annotate(self, batch: Data, subgraph: Subgraph, source: SubgraphSource, prepared: Any) -> None:
        sizes: Any = subgraph.sizes
        batch.batch = torch.arange(sizes.numel()).repeat_interleave(sizes)
        batch.ptr = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        batch.num_graphs = sizes.numel()
        batch.hop = subgraph.hop
        batch.readout_mask = torch.zeros(batch.num_nodes, dtype=torch.bool)
        batch.readout_mask[batch.root_index] = True


class ShaDowKHop(_ShaDow):
    r"""shaDow-GNN with neighbourhoods of a few hops: a graph of its own per root, in which a model of any depth runs.

    From `"Decoupling the Depth and Scope of Graph Neural Networks" <https://arxiv.org/abs/2201.07858>`_ (Zeng et al.,
    NeurIPS 2021).

    The nodes are collected level by level: one with at most ``budget`` neighbours contributes all of them, any other so
    many draws with replacement; a subgraph has all edges between them. Roots never share a copy of a node, so messages
    do not pass from one to another. Nodes of a subgraph are sorted by their ids.

    Besides what every sampler gives, a batch has ``batch`` and ``ptr`` as a PyG ``Batch`` of subgraphs has them,
    ``hop`` (the distance of each node to its root, -1 if there is no path) and ``readout_mask``, which marks the roots:
    a model either has outputs of all nodes, of which those of the roots count, or a readout (``"mask"``, ``"mean"``,
    ...) that gives one row per root.

    The official extractor gives nodes without self-loops a wrong edge now and then (an index runs one entry too far);
    this one does not.

    Args:
        depth: The number of hops (default: 2).
        budget: The most neighbours of a node; -1 takes all (default: 20).

    Raises:
        ValueError: If ``depth`` is smaller than 1, or ``budget`` is 0 or below -1.

    Example:
        >>> from torch_geometric.datasets import KarateClub
        >>> batch = next(ShaDowKHop(depth=1).batches(KarateClub()[0], torch.tensor([11, 12])))
        >>> batch.n_id.tolist(), batch.batch.tolist(), batch.hop.tolist()
        ([0, 11, 0, 3, 12], [0, 0, 1, 1, 1], [1, 0, 1, 1, 0])
    """

    scope: ClassVar[str] = "budget"

    def __init__(
        self,
        depth: Count = 2,
        budget: Fanout = 20,
        add_self_loops: bool = False,
        evaluate: Evaluation = "sampled",
        inductive: bool = False,
    ) -> None:
        super().__init__(evaluate, inductive)
        self.depth = depth
        self.budget = budget
        self.add_self_loops = add_self_loops

    def draw(self, source: SubgraphSource, job: Tensor, seed: int, index: int) -> Subgraph:
        nodes, sizes = source.hop_sets(job, self.depth, self.budget, seed)
        return source.neighborhoods(job, nodes, sizes, self.add_self_loops)


class ShaDowPPR(_ShaDow):
    r"""shaDow-GNN with neighbourhoods of the largest personalised PageRank.

    From `"Decoupling the Depth and Scope of Graph Neural Networks" <https://arxiv.org/abs/2201.07858>`_ (Zeng et al.,
    NeurIPS 2021).

    Nodes are ordered by the approximate PageRank :math:`\hat\pi` of the root (see
    :meth:`~graphkit.algorithms.SubgraphSource.pagerank`); the first ``k`` are taken, up to the first one whose score is
    less than ``threshold`` times the second largest. Equal scores are told apart by number. This is deterministic:
    neighbourhoods are computed once per graph and set of roots, in parallel, and cached in graphkit's data folder.

    Batches are as :class:`ShaDowKHop` describes them.

    Args:
        k: The largest number of nodes (default: 200).
        threshold: The least score, as a share of the second largest (default: 0.01).
        alpha: The official walk's chance to go on: the lazy walk returns to its root with probability
            :math:`1 - \alpha` (default: 0.85).
        eps: The tolerance of the approximation, :math:`0 \le \pi_v - \hat\pi_v \le \epsilon d_v` (default: 1e-6).

    Raises:
        ValueError: If ``k`` is smaller than 1, ``alpha`` not in (0, 1), or ``eps`` or ``threshold`` out of range.

    Example:
        >>> from torch_geometric.datasets import KarateClub
        >>> batch = next(ShaDowPPR(k=4).batches(KarateClub()[0], torch.tensor([11, 12])))
        >>> batch.n_id.tolist(), batch.root_index.tolist()
        ([0, 1, 2, 11, 0, 1, 3, 12], [3, 7])
    """

    scope: ClassVar[str] = "k"

    def __init__(
        self,
        k: Count = 200,
        threshold: UnitInterval = 0.01,
        alpha: Annotated[float, Interval(0, 1, "neither")] = 0.85,
        eps: Positive = 1e-6,
        add_self_loops: bool = False,
        evaluate: Evaluation = "sampled",
        inductive: bool = False,
    ) -> None:
        super().__init__(evaluate, inductive)
        self.k = k
        self.threshold = threshold
        self.alpha = alpha
        self.eps = eps
        self.add_self_loops = add_self_loops

    def prepare(self, data: Data, source: SubgraphSource, roots: Tensor) -> None:
        known = self._known(source)
        missing = roots[~known.has(roots)].unique()
        if missing.numel() > 0:
            key = (*self._key, hash_tensors(missing))
            law = self.k, self.threshold, 1 - self.alpha, self.eps
            cached_on_disk(
                self,
                key,
                source,
                lambda: source.pagerank_sets(missing, *law),
                lambda arrays: known.add(missing, *arrays),
            )

    def draw(self, source: SubgraphSource, job: Tensor, seed: int, index: int) -> Subgraph:
        nodes, sizes = self._known(source).of(job)
        return source.neighborhoods(job, nodes, sizes, self.add_self_loops)

    def _known(self, source: SubgraphSource) -> _Neighborhoods:
        return source.cached(self._key, lambda: _Neighborhoods(source.num_nodes))

    @property
    def _key(self) -> tuple[Any, ...]:
        return "pagerank", self.k, self.threshold, self.alpha, self.eps


class _Neighborhoods:
    """Sets of nodes by root, end to end in one array per call of :meth:`add`."""

    def __init__(self, num_nodes: int) -> None:
        self.start, self.size = np.full(num_nodes, -1), np.zeros(num_nodes, np.int64)
        self.nodes = np.empty(0, np.int32)

    def has(self, roots: Tensor) -> Tensor:
        return torch.from_numpy(self.start[roots.numpy()] >= 0)

    def add(self, roots: Tensor, nodes: np.ndarray, sizes: np.ndarray) -> None:
        self.start[roots.numpy()] = self.nodes.size + np.cumsum(sizes) - sizes
        self.size[roots.numpy()] = sizes
        self.nodes = np.concatenate([self.nodes, nodes])

    def of(self, roots: Tensor) -> tuple[np.ndarray, np.ndarray]:
        start, size = self.start[roots.numpy()], self.size[roots.numpy()]
        return np.concatenate([self.nodes[i : i + k] for i, k in zip(start, size)]), size
