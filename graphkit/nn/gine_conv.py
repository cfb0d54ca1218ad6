"""The graph isomorphism layer that reads features of edges."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, Finite
from graphkit.nn.edge_layer import EdgeLayer
from graphkit.nn.gin_conv import GINPerceptron, OwnShare
from graphkit.nn.linear import Linear
from graphkit.nn.node_axis import pair_of, static_graphs


class GINEConv(EdgeLayer, OwnShare):
    r"""Graph isomorphism layer with features of edges: rectified sums over the neighbourhood, then a small network.

    From `"Strategies for Pre-training Graph Neural Networks" <https://arxiv.org/abs/1905.12265>`_ (Hu et al., ICLR
    2020).

    .. math::
        x'_t = \mathrm{nn}\Big((1 + \varepsilon) x_t + \sum_{u \to t} \mathrm{ReLU}(x_u + e_{ut})\Big)

    State dicts can be exchanged with PyG's layer.

    Shapes:
        - **input:** ``x`` ``[num_nodes, in_channels]``, or a pair of the features of sources and of targets, the latter
          perhaps ``None``; ``edge_index`` ``[2, num_edges]``; ``edge_attr`` ``[num_edges, edge_dim]``; ``size``, the
          numbers of sources and targets (optional)

    Raises:
        ValueError: If features of edges are missing or have other sizes, or with ``edge_dim`` the network does not
            begin with a linear map.

    Example:
        >>> conv = GINEConv(GINPerceptron(3, 2), edge_dim=1)
        >>> conv(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]]), torch.ones(3, 1)).shape
        torch.Size([4, 2])
    """

    takes_sparse = False
    checks = Checks(
        [
            lambda: GINEConv(GINPerceptron(5, 4), train_eps=True, edge_dim=3),
            lambda: GINEConv(torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.ELU()), eps=0.5, edge_dim=3),
        ]
    )

    def __init__(
        self, nn: Module, eps: Finite = 0.0, train_eps: bool = False, edge_dim: Count | None = None, **kwargs: Any
    ) -> None:
        super().__init__(nn=nn, eps=eps, train_eps=train_eps, **kwargs)
        first: Any = nn[0] if isinstance(nn, torch.nn.Sequential) else nn
        width: Any = getattr(first, "in_channels", getattr(first, "in_features", None))
        if width is not None:
            self.in_channels = width
        if edge_dim is not None and width in (None, -1):
            raise ValueError(f"GINEConv: edge_dim={edge_dim}, but how many features of nodes nn takes is not known")
        self.lin: Any = None if edge_dim is None else Linear(edge_dim, width, weight_initializer=None)
        self.reset_parameters()

    @property
    def lin_edge(self) -> Any:
        """The map of edges, by the name that it has in other layers."""
        return self.lin

    @static_graphs
    def forward(
        self,
        x: Tensor | tuple[Tensor, Tensor | None],
        edge_index: Tensor,
        edge_attr: Tensor | None = None,
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        """One layer; see the class for shapes."""
        source, target = pair_of(x)
        total = self.rectified_sum(source, edge_index, edge_attr, self.sizes(source, target, size))
        return self.nn(total if target is None else (1 + self.eps) * target + total)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(nn={self.nn})"
