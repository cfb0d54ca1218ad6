"""The gated graph convolution, whose edges have states."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from graphkit import ops
from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count
from graphkit.nn.edge_layer import EdgeLayer
from graphkit.nn.linear import torch_linear
from graphkit.nn.node_axis import pair_of, static_graphs
from graphkit.ops import SparseMatrix

EPS = 1e-6


class GatedGCNConv(EdgeLayer):
    r"""Gated graph convolution: a mean over neighbours whose weights are gates, which are the next states of edges.

    From `"Residual Gated Graph ConvNets" <https://arxiv.org/abs/1711.07553>`_ (Bresson and Laurent, 2017), in the form
    with states of edges that GraphGPS and GNN+ use.

    .. math::
        e'_{ut} = D x_t + E x_u + C e_{ut}, \qquad
        x'_t = A x_t + \frac{\sum_{u \to t} \mathrm{sigmoid}(e'_{ut}) \odot B x_u}
        {\sum_{u \to t} \mathrm{sigmoid}(e'_{ut}) + 10^{-6}}

    where :math:`A, \dots, E` are linear maps with bias. PyG's ``ResGatedGraphConv`` has no denominator, and gives no
    states of edges. A node without edges gets :math:`A x_t`.

    Args:
        edge_dim: The number of features of an edge; ``None`` for ``in_channels`` (default: ``None``).

    Shapes:
        - **input:** ``x`` ``[num_nodes, in_channels]``, or a pair of the features of sources and of targets;
          ``edge_index`` ``[2, num_edges]``; ``edge_attr`` ``[num_edges, edge_dim]``
        - **output:** ``[num_nodes, out_channels]``; with ``return_edges`` followed by :math:`e'`, ``[num_edges,
          out_channels]``

    Example:
        >>> import torch
        >>> conv, edge_index = GatedGCNConv(3, 2, edge_dim=1), torch.tensor([[0, 1, 2], [1, 2, 3]])
        >>> x, edges = conv(torch.ones(4, 3), edge_index, torch.ones(3, 1), return_edges=True)
        >>> x.shape, edges.shape
        (torch.Size([4, 2]), torch.Size([3, 2]))
    """

    checks = Checks([{}, {"out_channels": 7}])

    def __init__(
        self, in_channels: Channels, out_channels: Count, edge_dim: Channels | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.A, self.B, self.D, self.E = (torch_linear(in_channels, out_channels) for _ in range(4))
        self.C = torch_linear(in_channels if edge_dim is None else edge_dim, out_channels)

    @property
    def lin_edge(self) -> Any:
        """The map of edges, by the name that it has in other layers."""
        return self.C

    def reset_parameters(self) -> None:
        """Draw new weights, as torch's linear maps are drawn."""
        for lin in (self.A, self.B, self.C, self.D, self.E):  # the constructor makes C last
            lin.reset_parameters()

    @static_graphs
    def forward(
        self,
        x: Tensor | SparseMatrix | tuple[Tensor, Tensor],
        edge_index: Tensor,
        edge_attr: Tensor | None = None,
        return_edges: bool = False,
    ) -> Any:
        """One convolution; see the class for shapes."""
        source, target = pair_of(x)
        size = self.sizes(source, target)
        pattern, edges = self.with_edges(edge_index, edge_attr, size, self.C.in_channels)
        logit = ops.edge_sum(pattern, self.E(source), self.D(target), edges)
        out = self.A(target) + self._mean(pattern, size, logit, self.B(source))
        return (out, logit) if return_edges else out

    def _mean(self, pattern: Any, size: tuple[int, int], logit: Tensor, value: Tensor) -> Tensor:
        if not self.sends_messages:
            return ops.edge_gated_mean(pattern, logit, value, EPS)
        gate = logit.sigmoid()
        total = ops.row_sum(pattern, pattern.to_csr(gate)) + EPS
        edges = {"edge_id": pattern.edge_id, "gate": gate}
        return self.send(pattern.edge_index(), size, value=value, total=total, **edges)

    def message(self, value_j: Tensor, gate: Tensor, total_i: Tensor) -> Tensor:  # type: ignore[override]
        """The source's value by its share of all gates that lead to the target."""
        return gate / total_i * value_j
