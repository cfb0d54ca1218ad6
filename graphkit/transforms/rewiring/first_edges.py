"""A smaller budget from a larger one."""

from __future__ import annotations

from torch_geometric.data import Data
from torch_geometric.transforms import Compose

from graphkit.core.attributes import edge_subgraph
from graphkit.core.checks import Checks
from graphkit.transforms.base import Precompute
from graphkit.transforms.rewiring.base import Budget, budget, simple_graph, write_report
from graphkit.transforms.rewiring.random_edges import RandomEdges


class FirstEdges(Precompute):
    r"""Keeps the first of the edges that a rewiring added pair by pair, and removes the others.

    The sequences of :class:`EffectiveResistance`, :class:`FoSR` and :class:`RandomEdges` are nested: their first
    :math:`k` edges are the result for a budget of :math:`k`. So a budget is tuned on one rewired graph (or task), made
    once for the largest. A report that the graph has is measured again.

    Args:
        num_edges: How many of the added pairs stay: an ``int``, or a ``float`` for a share of the original pairs.

    Raises:
        ValueError: If the graph was not rewired in this way, or ``num_edges`` is negative.

    Example:
        >>> import torch
        >>> from graphkit.transforms.rewiring import EffectiveResistance
        >>> path = Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]), num_nodes=4)
        >>> rewired = EffectiveResistance(num_edges=3)(path)
        >>> rewired.edge_index.size(1), FirstEdges(num_edges=1)(rewired).edge_index.tolist()
        (9, [[0, 0, 1, 2, 3], [1, 3, 2, 3, 0]])
    """

    checks = Checks(
        [lambda: Compose([RandomEdges(num_edges=3), FirstEdges(num_edges=2)])],
        expected_failures={"permutation": "the check keeps some of the random edges, which are drawn by node number"},
    )

    def __init__(self, num_edges: Budget) -> None:
        self.num_edges = num_edges

    def forward(self, data: Data) -> Data:
        """The graph with fewer edges."""
        if data.get("edge_step") is None:
            raise ValueError(
                "FirstEdges: the graph has no edge_step; first apply a rewiring that adds pair by pair, e.g. FoSR"
            )
        before = simple_graph(_first(data, 0), "FirstEdges")
        out = _first(data, budget(self.num_edges, before))
        if data.get("total_resistance") is not None:
            write_report(out, before, simple_graph(out, "FirstEdges"))
        return out


def _first(data: Data, count: int) -> Data:
    """A shallow copy with the first ``count`` added pairs."""
    return edge_subgraph(data, data.edge_step <= count, "FirstEdges")
