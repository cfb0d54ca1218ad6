"""The layers of shaDow's own networks, which standardise rows."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn.resolver import activation_resolver

from graphkit.core.checks import Checks
from graphkit.core.constraints import Activation, Channels, Checked, Count
from graphkit.nn.layer import Layer
from graphkit.nn.linear import Linear
from graphkit.nn.node_axis import one_graph, pair_of, static_graphs
from graphkit.ops import SparseMatrix, gcn_norm, row_softmax, unweighted_pattern

EPS = 1e-9  # of the official normalisation


class _Normalised(Checked, nn.Module):
    r"""Linear maps whose results are standardised per row, with a scale and an offset each.

    Usual arguments:
        act: The activation :math:`\sigma`, by PyG's names, or ``None`` for none.
    """

    def __init__(
        self, sizes: list[tuple[int, int]], norm_shape: tuple[int, ...], act: Activation | None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.lins = nn.ModuleList(Linear(*size) for size in sizes)
        self.scale = nn.Parameter(torch.empty(norm_shape))
        self.offset = nn.Parameter(torch.empty(norm_shape))
        self.activation = nn.Identity() if act is None else activation_resolver(act)
        self.reset_scale()

    def mapped(self, k: int, x: Any) -> Tensor:
        return self.activation(self.lins[k](x))

    def norm(self, k: int, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], eps=EPS) * self.scale[k] + self.offset[k]

    def reset_scale(self) -> None:
        nn.init.ones_(self.scale)
        nn.init.zeros_(self.offset)

    def reset_parameters(self) -> None:
        """Draw new weights: Glorot uniform, zeros for biases, ones and zeros for the normalisation."""
        for lin in self.lins:
            lin.reset_parameters()  # type: ignore[operator]
        self.reset_scale()


class ShaDowLinear(_Normalised):
    r"""Linear map, activation and standardised rows: :math:`\mathrm{norm}(\sigma(W x_v + b))`; edges are not used.

    With :math:`\mathrm{norm}` that standardises a row and has a learned scale and offset.

    Args:
        in_channels: Size of each input row; -1 takes it from the first input.
        out_channels: Size of each output row.

    Shapes:
        - **input:** ``x`` ``[*, num_nodes, in_channels]`` (dense, or a :class:`~graphkit.ops.SparseMatrix`)
        - **output:** ``[*, num_nodes, out_channels]``

    Example:
        >>> ShaDowLinear(3, 2)(torch.ones(4, 3)).shape
        torch.Size([4, 2])
    """

    checks = Checks([{}, {"act": None}])

    def __init__(self, in_channels: Channels, out_channels: Count, act: Activation | None = "elu") -> None:
        super().__init__([(in_channels, out_channels)], (1, out_channels), act)

    def forward(self, x: Any) -> Tensor:
        """The standardised rows; see the class for shapes."""
        return self.norm(0, self.mapped(0, x))


class ShaDowSAGEConv(_Normalised, Layer):
    r"""GraphSAGE's layer with standardised rows.

    From `"Decoupling the Depth and Scope of Graph Neural Networks" <https://arxiv.org/abs/2201.07858>`_ (Zeng et al.,
    NeurIPS 2021).

    .. math::
        x'_v = \mathrm{norm}(\sigma(W_1 x_v + b_1)) + \mathrm{norm}(\sigma(W_2 \bar x_v + b_2))

    with the mean :math:`\bar x_v` over neighbours, and :math:`\mathrm{norm}` as in :class:`ShaDowLinear`.

    Shapes:
        - **input:** ``x`` ``[*, num_nodes, in_channels]``, dense; ``edge_index`` ``[2, num_edges]``; ``edge_weight``
          ``[num_edges]`` (optional, differentiable)

    Example:
        >>> ShaDowSAGEConv(3, 2)(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 2])
    """

    checks = Checks([{}, {"act": None}])
    takes_sparse = False  # products of sparse matrices are not made
    bipartite = True

    def __init__(
        self, in_channels: Channels, out_channels: Count, act: Activation | None = "elu", **kwargs: Any
    ) -> None:
        super().__init__([(in_channels, out_channels)] * 2, (2, out_channels), act, **kwargs)

    @static_graphs
    def forward(self, x: Any, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """One convolution; see the class for shapes."""
        source, target = pair_of(x)
        size = self.sizes(source, target)
        edges = self.edges(edge_index, size)
        mean = self.along(gcn_norm(edges, edge_weight, add_self_loops=False, norm="row", size=size, dtype=source.dtype))
        return self.norm(0, self.mapped(0, target)) + self.norm(1, self.mapped(1, mean.matmul(source)))


class ShaDowGCNConv(_Normalised, Layer):
    r"""Graph convolution with standardised rows: :math:`\mathrm{norm}(\sigma(W P x + b))`.

    From `"Decoupling the Depth and Scope of Graph Neural Networks" <https://arxiv.org/abs/2201.07858>`_ (Zeng et al.,
    NeurIPS 2021), with :math:`P` as in :class:`~graphkit.nn.GCNConv` and :math:`\mathrm{norm}` as in
    :class:`ShaDowLinear`.

    Shapes:
        - **input:** ``x`` ``[*, num_nodes, in_channels]``, dense; ``edge_index`` ``[2, num_edges]``; ``edge_weight``
          ``[num_edges]`` (optional, differentiable)

    Example:
        >>> ShaDowGCNConv(3, 2)(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 2])
    """

    checks = Checks([{}, {"act": None}])
    takes_sparse = False  # products of sparse matrices are not made

    def __init__(
        self, in_channels: Channels, out_channels: Count, act: Activation | None = "elu", **kwargs: Any
    ) -> None:
        super().__init__([(in_channels, out_channels)], (1, out_channels), act, **kwargs)

    @static_graphs
    def forward(self, x: Any, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """One convolution; see the class for shapes."""
        return self.norm(0, self.mapped(0, self.normalized(x, edge_index, edge_weight).matmul(x)))


class ShaDowGATConv(_Normalised, Layer):
    r"""Graph attention with standardised rows.

    From `"Decoupling the Depth and Scope of Graph Neural Networks" <https://arxiv.org/abs/2201.07858>`_ (Zeng et al.,
    NeurIPS 2021). Per head,

    .. math::
        x'_v = \tfrac12 \Big[\mathrm{norm}\Big(\sum_u \alpha_{uv} z_u\Big) + \mathrm{norm}(s_v)\Big], \qquad
        z = \sigma(W_1 x + b_1), \qquad s = \sigma(W_0 x + b_0)

    where :math:`\alpha_{uv}` is the softmax over :math:`u` of :math:`\mathrm{lrelu}(a_0^\top s_v) +
    \mathrm{lrelu}(a_1^\top z_u)`, slope 0.2, and :math:`\mathrm{norm}` is that of :class:`ShaDowLinear`. Self-loops
    that are missing are added; edge weights are not used.

    Args:
        out_channels: Size of each output row, all heads together.
        heads: The number of heads (default: 1).

    Shapes:
        - **input:** ``x`` ``[num_nodes, in_channels]`` (dense, or a :class:`~graphkit.ops.SparseMatrix`);
          ``edge_index`` ``[2, num_edges]``

    Raises:
        ValueError: If ``heads`` does not divide ``out_channels``.

    Example:
        >>> ShaDowGATConv(3, 2)(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 2])
    """

    checks = Checks([{}, {"out_channels": 6, "heads": 2, "act": "tanh"}])

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Count,
        heads: Count = 1,
        act: Activation | None = "elu",
        **kwargs: Any,
    ) -> None:
        if out_channels % heads:
            raise ValueError(f"ShaDowGATConv: heads={heads} must divide out_channels={out_channels}")
        shape = (2, heads, out_channels // heads)
        super().__init__([(in_channels, out_channels)] * 2, shape, act, **kwargs)
        self.attention = nn.Parameter(torch.empty(shape))
        nn.init.xavier_uniform_(self.attention)

    def reset_parameters(self) -> None:
        """Draw new weights: Glorot uniform, zeros for biases, ones and zeros for the normalisation."""
        super().reset_parameters()
        nn.init.xavier_uniform_(self.attention)

    @one_graph
    def forward(self, x: Any, edge_index: Tensor) -> Tensor:
        """One convolution; see the class for shapes."""
        edges = self.edges(edge_index, x.size(0))
        pattern, _ = unweighted_pattern(edges, x.size(0), "ShaDowGATConv").with_self_loops()
        own, other = (self.mapped(k, x).view(x.size(0), *self.attention.shape[1:]) for k in range(2))
        of_target, of_source = (
            F.leaky_relu((z * a).sum(-1), 0.2) for z, a in zip((own, other), self.attention, strict=True)
        )
        weight = row_softmax(pattern, of_target[pattern.row] + of_source[pattern.col])
        heads = [self.along(SparseMatrix(pattern, weight[:, h])).matmul(other[:, h]) for h in range(other.size(1))]
        return (self.norm(0, torch.stack(heads, dim=1)) + self.norm(1, own)).flatten(1) / 2
