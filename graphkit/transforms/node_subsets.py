"""Subsets of nodes as an attribute of a graph."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.algorithms import node_subsets
from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, Positive, Seed
from graphkit.transforms.base import Precompute


class NodeSubsets(Precompute):
    r"""Adds ``subset_index``: the sets of nodes that k,l-GNNs label, see :func:`~graphkit.algorithms.node_subsets`.

    PyG batches it correctly: its name contains "index". :class:`~graphkit.models.KLGNN` asks for this transform by
    itself. With a ``resolution``, nodes of a set belong to one community by the Louvain method, which depends on node
    numbers and ``seed``; edges of integer ``edge_attr`` weigh as much, as bonds do in the official code.

    Args:
        size: The number of nodes of a set (default: 1).
        max_distance: How many edges any two nodes of a set may be apart (default: ``None``, any number).
        resolution: The resolution of communities; smaller ones are larger communities (default: ``None``, no
            communities).
        seed: The seed of the communities (default: 0).
        max_subsets: How many sets a graph may have; more are an error, before memory is taken (default: 10 million).

    Shapes:
        ``subset_index``: ``[size, num_subsets]``, int32

    Raises:
        ValueError: If an argument is out of range, or a graph has too many sets.

    Example:
        >>> data = NodeSubsets(2)(Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3))
        >>> data.subset_index.tolist()
        [[0, 0, 1], [1, 2, 2]]
    """

    checks = Checks([{}, {"size": 2, "max_distance": 2}])

    expensive = True

    def __init__(
        self,
        size: Count = 1,
        max_distance: Count | None = None,
        resolution: Positive | None = None,
        seed: Seed = 0,
        max_subsets: Count = 10_000_000,
    ) -> None:
        self.size, self.max_distance, self.max_subsets = size, max_distance, max_subsets
        self.resolution, self.seed = resolution, seed

    def forward(self, data: Data) -> Data:
        """Add the sets to ``data`` (a shallow copy when called through ``transform(data)``)."""
        n = int(data.num_nodes or 0)
        cluster = None if self.resolution is None else self._communities(data, n)
        data.subset_index = node_subsets(data.edge_index, n, self.size, self.max_distance, cluster, self.max_subsets)
        return data

    def _communities(self, data: Data, num_nodes: int) -> Tensor:
        import networkx as nx

        graph = nx.Graph()
        graph.add_nodes_from(range(num_nodes))
        attr = data.edge_attr
        weighted = attr is not None and not attr.is_floating_point() and attr.numel() == data.num_edges
        weights = attr.view(-1).tolist() if weighted else [1] * data.num_edges
        graph.add_weighted_edges_from((u, v, w) for (u, v), w in zip(data.edge_index.t().tolist(), weights) if u != v)
        number = torch.zeros(num_nodes, dtype=torch.long)
        if num_nodes > 0:
            communities = nx.community.louvain_communities(graph, resolution=self.resolution, seed=self.seed)
            for community, nodes in enumerate(communities):
                number[list(nodes)] = community
        return number
