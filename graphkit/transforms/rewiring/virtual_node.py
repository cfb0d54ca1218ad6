"""A node that is joined with all others."""

from __future__ import annotations

from torch_geometric.data import Data
from torch_geometric.transforms import VirtualNode as PyGVirtualNode

from graphkit.algorithms.graph import SimpleGraph
from graphkit.transforms.rewiring.base import Rewiring, edge_attributes


class VirtualNode(Rewiring):
    r"""Appends a node that is joined with all others, by PyG's transform of this name.

    From `"Neural Message Passing for Quantum Chemistry" <https://arxiv.org/abs/1704.01212>`_ (Gilmer et al., ICML
    2017). Edges into the new node have the next relation, edges out of it the one after that. Its features are zeros.
    What has one row per node has one more afterwards: labels of nodes are -1 (integers) or NaN there, which counts as
    unknown, masks are ``False``, anything else is 0.

    Args:
        report: Whether to measure total resistance and spectral gap before and after (default: ``True``).

    Example:
        >>> import torch
        >>> path = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
        >>> out = VirtualNode()(path)
        >>> out.edge_index.tolist(), out.edge_type.tolist()
        ([[0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1]], [0, 1, 0, 1, 2, 2])
    """

    def __init__(self, report: bool = True) -> None:
        self.report = report

    def rewire(self, data: Data, graph: SimpleGraph) -> None:
        n, y = graph.num_nodes, data.get("y")
        of_nodes = n > 1 and y is not None and y.dim() > 0 and y.size(0) == n
        out = PyGVirtualNode()(Data.from_dict({key: value for key, value in data.to_dict().items() if key != "y"}))
        order = (out.edge_index[0] * (n + 1) + out.edge_index[1]).argsort(stable=True)
        for key, value in out.to_dict().items():
            data[key] = value[order] if key in edge_attributes(out) else value
        data.edge_index = out.edge_index[:, order]
        if of_nodes:
            unknown = float("nan") if y.is_floating_point() else -1
            data.y = y.new_full((n + 1, *y.shape[1:]), unknown)
            data.y[:n] = y
