"""A node that is joined with all others."""

from __future__ import annotations

import torch
from torch_geometric.data import Data

from graphkit.algorithms.graph import SimpleGraph
from graphkit.core.attributes import attributes_of
from graphkit.core.checks import Checks
from graphkit.transforms.rewiring.base import Rewiring, last_relation, replace_edges


class VirtualNode(Rewiring):
    r"""Appends a node that is joined with all others.

    From `"Neural Message Passing for Quantum Chemistry" <https://arxiv.org/abs/1704.01212>`_ (Gilmer et al., ICML
    2017). Edges into the new node have the next relation, edges out of it the one after that. Its features are zeros.
    What has one row per node has one more afterwards: labels of nodes are -1 (integers) or NaN there, which counts as
    unknown, masks are ``False``, anything else is 0.

    Example:
        >>> import torch
        >>> path = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
        >>> out = VirtualNode()(path)
        >>> out.edge_index.tolist(), out.edge_type.tolist()
        ([[0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1]], [0, 1, 0, 1, 2, 2])
    """

    checks = Checks(
        expected_failures={
            "valid_output": "labels of nodes have a row for the new node, too",
            "permutation": "the check compares as many nodes as there were",
        }
    )

    def __init__(self, report: bool = True) -> None:
        self.report = report

    def rewire(self, data: Data, graph: SimpleGraph) -> None:
        n, relation = graph.num_nodes, last_relation(data) + 1
        of_nodes = attributes_of("node", data, "VirtualNode")
        others = torch.arange(n, device=data.edge_index.device)
        hub, new = torch.full_like(others, n), torch.full((2 * n,), -1, device=others.device)
        joined = torch.stack([torch.cat([others, hub]), torch.cat([hub, others])])
        relations = torch.cat([torch.full_like(others, relation), torch.full_like(others, relation + 1)])
        old = torch.cat([torch.arange(data.num_edges, device=others.device), new])
        edge_index = torch.cat([data.edge_index, joined], dim=1)
        replace_edges(data, edge_index, old, "VirtualNode", {"edge_type": relations})
        for key in of_nodes:
            value = data[key]
            if value.layout != torch.strided:
                raise ValueError(f"VirtualNode: {key} is sparse; add the node before SparseFeatures")
            unknown = float("nan") if value.is_floating_point() else -1
            row = value.new_full((1, *value.shape[1:]), unknown if key == "y" else 0)
            data[key] = torch.cat([value, row])
        if "num_nodes" in data:
            data.num_nodes = n + 1
