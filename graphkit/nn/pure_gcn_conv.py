"""Graph convolutions without weights of their own, after one linear map."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count, Probability
from graphkit.nn.layer import Layer
from graphkit.nn.linear import Linear
from graphkit.nn.node_axis import static_graphs
from graphkit.ops import SparseMatrix
from graphkit.ops.dropout import dropout as drop


class PureGCNConv(Layer):
    r"""One linear map, then the normalised average of the closed neighbourhood, several times over.

    The encoder "puregcn" of `"Neural Common Neighbor with Completion for Link Prediction"
    <https://arxiv.org/abs/2302.00890>`_ (Wang, Yang, Zhang, ICLR 2024); with one sum it is the simple graph convolution
    of Wu et al. (ICML 2019).

    .. math::
        X_0 = X W^\top + b, \qquad X_l = P X_{l - 1} \; [+ \, X_{l - 1}], \qquad
        X' = X_L \quad\text{or}\quad X' = \sum_{l = 1}^L w_l X_l

    with :math:`P = \tilde D^{-1/2} (A + I) \tilde D^{-1/2}` as in :class:`GCNConv`, or :math:`P = A` ("puresum"), and
    trained numbers :math:`w_l` (jumping knowledge). Existing self-loops keep their weight; the official code adds 1 to
    it.

    Args:
        num_layers: The number of averages :math:`L` (default: 1).
        jumping: Whether all averages are summed with weights :math:`w_l`, drawn from a normal distribution (default:
            ``False``).
        residual: Whether averages are added to what they are of (default: ``False``).
        normalize: ``"sym"`` for :math:`P` as above, ``None`` for :math:`A` (default: ``"sym"``).
        dropout: The probability of dropping an entry of :math:`X_0` (default: 0).
        tail_dropout: The same for the last average (default: 0).

    Cost: :math:`O(L |E| F + |V| F_{in} F)` with :math:`F` output channels.

    Example:
        >>> conv = PureGCNConv(3, 2, num_layers=2, jumping=True)
        >>> conv(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 2])
    """

    checks = Checks([{}, {"num_layers": 3, "jumping": True}, {"num_layers": 1, "normalize": None, "residual": True}])

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Count,
        num_layers: Count = 1,
        jumping: bool = False,
        residual: bool = False,
        normalize: Literal["sym"] | None = "sym",
        dropout: Probability = 0.0,
        tail_dropout: Probability = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.in_channels, self.out_channels, self.num_layers = in_channels, out_channels, num_layers
        self.residual, self.normalize = residual, normalize
        self.dropout, self.tail_dropout = dropout, tail_dropout
        self.lin = Linear(in_channels, out_channels, weight_initializer="kaiming_uniform")
        self.jumping = nn.Parameter(torch.empty(num_layers)) if jumping else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights."""
        super().reset_parameters()
        if self.jumping is not None:
            nn.init.normal_(self.jumping)

    @static_graphs
    def forward(self, x: Tensor | SparseMatrix, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """All averages; see the class for shapes."""
        loops = self.normalize == "sym"
        matrix = self.normalized(x, edge_index, edge_weight, add_self_loops=loops, norm=self.normalize)
        h: Any = drop(self.lin(x), self.dropout, self.training)
        states = []
        for i in range(self.num_layers):
            out: Any = matrix.matmul(h)
            if i == self.num_layers - 1:
                out = drop(out, self.tail_dropout, self.training)
            h = out + h if self.residual else out
            states.append(h)
        if self.jumping is None:
            return h
        return sum(weight * state for weight, state in zip(self.jumping, states, strict=True))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels}, num_layers={self.num_layers})"
