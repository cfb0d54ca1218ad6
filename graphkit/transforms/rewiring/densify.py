"""Edges from nodes of low degree to similar ones of high degree."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.algorithms.graph import SimpleGraph
from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, UnitInterval
from graphkit.core.reads import Reads
from graphkit.transforms.rewiring.base import EdgeChange, PairRewiring


class Densify(PairRewiring):
    r"""Joins nodes that have few neighbours with the nodes most like them among those that have many.

    From `"LiGNN: Graph Neural Networks at LinkedIn" <https://arxiv.org/abs/2402.11139>`_ (Borisyuk et al., KDD 2024),
    against cold start. Nodes whose number of neighbours is below the ``low`` quantile get edges to the ``k`` nodes
    nearest in an embedding among those above the ``high`` quantile; those joined already are passed over. Neighbours
    are exact (scikit-learn). What the embedding was made from is the user's care: labels of test nodes must not be in
    it. What the result holds is listed at :class:`Rewiring`.

    Args:
        embedding: The attribute ``[num_nodes, channels]`` in which nodes are compared (default: ``"x"``).
        k: The number of new neighbours of such a node; fewer if there are not as many candidates (default: 50).
        low: The quantile below which a node gets edges (default: 0.36).
        high: The quantile above which a node is a candidate (default: 0.9).
        metric: ``"cosine"`` or ``"euclidean"`` (default: ``"cosine"``).

    Raises:
        ValueError: If the embedding is missing or has no row per node, or ``low`` is above ``high``.

    Example:
        >>> star = torch.tensor([[0, 0, 0, 1, 2, 3], [1, 2, 3, 0, 0, 0]])
        >>> data = Data(x=torch.ones(5, 2), edge_index=star)
        >>> Densify(k=1)(data).edge_index[:, -1].tolist()
        [4, 0]
    """

    checks = Checks([{"k": 2, "low": 0.5, "high": 0.5, "metric": "euclidean"}])
    reads = Reads(direction=False)

    def __init__(
        self,
        embedding: str = "x",
        k: Count = 50,
        low: UnitInterval = 0.36,
        high: UnitInterval = 0.9,
        metric: Literal["cosine", "euclidean"] = "cosine",
        report: bool = True,
    ) -> None:
        if low > high:
            raise ValueError(f"Densify: low={low:g}, must be at most high={high:g}")
        self.embedding, self.k, self.low, self.high = embedding, k, low, high
        self.metric, self.report = metric, report

    def rewire(self, data: Data, graph: SimpleGraph) -> float | None:
        x = data.get(self.embedding)
        if not isinstance(x, Tensor) or x.dim() != 2 or x.size(0) != graph.num_nodes or not x.size(1):
            found = None if x is None else list(getattr(x, "shape", []))
            raise ValueError(
                f"Densify: the graph's {self.embedding!r} has shape {found}, must be [{graph.num_nodes}, channels]; "
                "add an embedding first, such as gk.features.FastRP()"
            )
        x = x.to_dense() if x.layout != torch.strided else x
        return self.exchange(data, self._nearest(x.detach().cpu().double().numpy(), graph))

    def choose(self, graph: SimpleGraph) -> EdgeChange:
        """A graph of edges alone has no embedding.

        Raises:
            TypeError: Always.
        """
        raise TypeError("Densify: pairs follow from an embedding; call the transform on a graph")

    def _nearest(self, x: np.ndarray, graph: SimpleGraph) -> EdgeChange:
        from sklearn.neighbors import NearestNeighbors

        degree = graph.degree
        if not degree.size:
            return EdgeChange(np.empty((0, 2), np.int64))
        poor = np.flatnonzero(degree < np.quantile(degree, self.low))
        rich = np.flatnonzero(degree > np.quantile(degree, self.high))
        if not poor.size or not rich.size:
            return EdgeChange(np.empty((0, 2), np.int64))
        more = min(self.k + int(degree[poor].max()), rich.size)  # some of the nearest may be joined already
        found = NearestNeighbors(n_neighbors=more, metric=self.metric).fit(x[rich]).kneighbors(x[poor])[1]
        pairs = np.stack([np.repeat(poor, more), rich[found].reshape(-1)], axis=1)
        n = graph.num_nodes
        new = ~np.isin(pairs.min(1) * n + pairs.max(1), graph.pairs() @ np.array([n, 1]))
        place = np.cumsum(new.reshape(-1, more), axis=1).reshape(-1)
        return EdgeChange(pairs[new & (place <= self.k)])
