"""The graph convolution of Kipf and Welling."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.nn.conv.gcn_conv import GCNConv as PyGGCNConv

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count
from graphkit.core.deprecation import warn_renamed
from graphkit.nn.layer import Layer
from graphkit.nn.linear import Linear
from graphkit.nn.node_axis import static_graphs
from graphkit.ops import SparseMatrix, gcn_norm


class GCNConv(Layer):
    r"""Graph convolution: the symmetrically normalised average of the closed neighbourhood, then a linear map.

    From `"Semi-Supervised Classification with Graph Convolutional Networks" <https://arxiv.org/abs/1609.02907>`_ (Kipf
    and Welling, ICLR 2017).

    .. math::
        X' = P X W^\top + b, \qquad P = \tilde D^{-1/2} \tilde A \tilde D^{-1/2}, \qquad \tilde A = A + s I

    node by node

    .. math::
        x'_t = b + W \sum_{u \to t} \frac{w_{ut}}{\sqrt{\tilde d_u \tilde d_t}} x_u

    where :math:`w_{ut}` is the weight of the edge from :math:`u` to :math:`t` (1 by default), self-loops included;
    :math:`\tilde d_t = \sum_{u \to t} w_{ut}` counts the edges *entering* a node; and :math:`s` is 1, or 2 when
    ``improved``. A node that has a self-loop keeps its weight; only missing ones are added. A node of degree 0
    (possible without self-loops) contributes and receives nothing, so its output is :math:`b`.

    The product with :math:`P` is one cached sparse-matrix product. Weights are applied first when that makes the
    propagated matrix narrower. Parameters have PyG's names (``lin.weight``, ``bias``), so state dicts can be exchanged.

    Where sources differ: the original code has no bias and adds :math:`I` even where a self-loop exists (its weight
    becomes :math:`w + 1`); this layer follows PyG in both. PyG 2.8 ignores ``improved`` on unweighted graphs; this
    layer does not. Edge masks act on self-loops of the graph, too.

    Args:
        improved: Self-loops of weight 2 instead of 1 (default: ``False``).
        add_self_loops: Whether to add missing self-loops; ``None`` adds them where ``normalize`` says so (default:
            ``None``).
        normalize: ``True`` for :math:`P` as above, ``"row"`` for :math:`\tilde D^{-1} \tilde A`, which PyG does not
            have, or ``False`` for :math:`A` itself (default: ``True``).

    Raises:
        TypeError: If ``edge_index`` is not integer.
        IndexError: If ``edge_index`` names a node that does not exist.
        ValueError: If sizes do not fit, a weighted degree is negative, or self-loops are to be added without
            ``normalize``.

    Cost: :math:`O(|E| F + |V| F_{in} F_{out})` with :math:`F = \min(F_{in}, F_{out})`.

    Example:
        >>> conv = GCNConv(3, 2)
        >>> conv(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 2])
    """

    checks = Checks(
        [
            {},
            Checks([{"out_channels": 7, "normalize": "row"}]),  # which PyG does not have
            Checks(
                [{"improved": True, "bias": False}],
                expected_failures={"same_as": "PyG ignores improved on graphs without weights"},
                same_as=PyGGCNConv,
            ),
            {"add_self_loops": False},
            {"normalize": False},
        ],
        same_as=PyGGCNConv,
    )

    combines_own = False  # what a node has itself comes by its self-loop

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Count,
        improved: bool = False,
        cached: bool = False,
        add_self_loops: bool | None = None,
        normalize: bool | Literal["row", "sym"] | None = True,
        bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if normalize in ("sym", None):
            warn_renamed(f"GCNConv(normalize={normalize!r})", f"GCNConv(normalize={normalize is not None})")
            normalize = normalize is not None
        if add_self_loops and not normalize:
            raise ValueError(
                f"{type(self).__name__}: normalize=False does not support adding self-loops to the graph when no "
                "on-the-fly normalization is applied; leave add_self_loops out, or add them to the edges"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.improved, self.cached, self.normalize = improved, cached, normalize
        self.add_self_loops = bool(normalize) if add_self_loops is None else add_self_loops
        self.lin = Linear(in_channels, out_channels, bias=False)
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    @static_graphs
    def forward(self, x: Tensor | SparseMatrix, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """One convolution; see the class for shapes."""
        propagation = self.along(self.propagation(edge_index, edge_weight, x.shape[0], x.dtype))
        if isinstance(x, SparseMatrix) or x.size(-1) >= self.out_channels or self.sends_messages:
            out = propagation.matmul(self.lin(x))
        else:
            out = self.lin(propagation.matmul(x))
        return out if self.bias is None else out.add_(self.bias)  # in place: one pass over a large matrix less

    def propagation(
        self, edge_index: Tensor, edge_weight: Tensor | None, size: int, dtype: torch.dtype | None = None
    ) -> SparseMatrix:
        """The matrix :math:`P` of a graph with ``size`` nodes."""
        return gcn_norm(
            self.edges(edge_index, size),
            edge_weight,
            add_self_loops=self.add_self_loops,
            fill=2.0 if self.improved else 1.0,
            norm=self.normalize if self.normalize == "row" else "sym" if self.normalize else None,
            size=size,
            dtype=dtype,
        )

    def combine(self, propagated: Any, own: Tensor | None = None) -> Tensor:
        """The rest of the convolution, from (rows of) :math:`P X`: a tensor, or whatever multiplies from the left."""
        out = self.lin(propagated)
        return out if self.bias is None else out.add_(self.bias)

    @property
    def takes_joined(self) -> bool:  # type: ignore[override]
        """Whether results may be wider than what was sent, as in PyG: the bias is not."""
        return self.bias is None

    def __prepare_scriptable__(self) -> nn.Module:
        """PyG's layer with the same weights, which ``torch.jit.script`` can read."""
        if self.improved or self.normalize == "row":
            super().__prepare_scriptable__()  # PyG has no such layer
        options = {"cached": self.cached, "flow": self.flow, "node_dim": self.node_dim, "aggr": self.aggr}
        layer = PyGGCNConv(
            self.lin.in_channels,
            self.out_channels,
            add_self_loops=self.add_self_loops,
            normalize=bool(self.normalize),
            bias=self.bias is not None,
            **options,
        )
        layer.lin.weight, layer.bias = self.lin.weight, self.bias
        return layer.train(self.training)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.lin.in_channels}, {self.out_channels})"
