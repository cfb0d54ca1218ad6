"""The convolution of cooperative sheaves, whose maps belong to nodes."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.nn.resolver import activation_resolver

from graphkit.core.checks import Checks
from graphkit.core.constraints import Activation, Count, NonNegativeInt
from graphkit.nn.layer import Layer
from graphkit.nn.node_axis import one_graph
from graphkit.nn.sheaf.blocks import transport
from graphkit.nn.sheaf.conv import SheafMix
from graphkit.nn.sheaf.node_learner import Conv, Kind, NodeLearner
from graphkit.nn.sheaf.orthogonal import Orthogonal, num_orthogonal_params, orthogonal
from graphkit.ops import SparseMatrix, unweighted_pattern

MAX_LOG_SCALE = math.log(10)


class ConformalMaps(nn.Module):
    r"""One map per node, :math:`c \, Q` with an orthogonal :math:`Q` and a scale :math:`c \in (0, 10]`.

    A learner predicts :math:`[m \| s]` of each node; :math:`Q` comes from :math:`\tanh m` by
    :func:`~graphkit.nn.sheaf.orthogonal`, and :math:`c = e^{\min(s, \ln 10)}`, 1 for maps that are not conformal.

    Args:
        stalk_dim: The size of the maps.
        method: How :math:`Q` is parametrised.
        act: What is applied to :math:`m` in place of the tanh, by PyG's names; ``None`` for nothing.
        conformal: Whether maps have a scale.
        learner: What predicts the numbers.
    """

    checks = Checks(skip="it is a part; checked with CSNN")

    def __init__(self, stalk_dim: int, method: str, act: str | None, conformal: bool, learner: NodeLearner) -> None:
        super().__init__()
        self.stalk_dim, self.method, self.conformal, self.learner = stalk_dim, method, conformal, learner
        self.activation = nn.Identity() if act is None else activation_resolver(act)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        self.learner.reset_parameters()

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The orthogonal maps ``[stalk_dim, stalk_dim, num_nodes]`` and their scales ``[num_nodes]``."""
        numbers = self.learner(x, edge_index, batch).t()
        if not self.conformal:
            return self._orthogonal(numbers), torch.ones_like(x[:, 0])
        return self._orthogonal(numbers[:-1]), numbers[-1].clamp(max=MAX_LOG_SCALE).exp()

    def _orthogonal(self, numbers: Tensor) -> Tensor:
        return orthogonal(self.activation(numbers), self.stalk_dim, self.method)


class CooperativeSheafConv(Layer):
    r"""Two sheaf Laplacians in a row, with a map for what each node listens to and one for what it sends.

    From `"Cooperative Sheaf Neural Networks" <https://arxiv.org/abs/2507.00647>`_ (Ribeiro et al., 2025).

    .. math::
        X' = M_2 M_1 (I \otimes W_1) X W_2^\top, \qquad
        (M Y)_t = n_t \gamma_t^2 s_t^2 \, Y_t - s_t T_t^\top \sum_{u \to t} s_u S_u Y_u

    where :math:`n` are in-degrees, and target and source maps :math:`T = c_T Q_T`, :math:`S = c_S Q_S` are orthogonal
    up to a scale in :math:`(0, 10]`, predicted for each node from its state: without :math:`T_t` a node stops
    listening, without :math:`S_u` it stops sending. In :math:`M_1`, :math:`\gamma = c_T` and :math:`s = (1 + n
    c_T^2)^{-1/2}`; in :math:`M_2`, :math:`\gamma = c_S` and :math:`s = (1 + \bar n c_S^2)^{-1/2}` with the out-degrees
    :math:`\bar n`. This is the official code; the paper applies the other operator first, and has no :math:`1 +`. No
    value is stored per edge, as :math:`T_t` stands before the sum.

    Args:
        stalk_dim: The dimension :math:`d` of stalks.
        channels: Channels of each stalk coordinate.
        left: Whether there is :math:`W_1`, which acts on stalks (default: ``True``).
        right: Whether there is :math:`W_2`, which acts on channels (default: ``True``).
        bias: Whether each of the two adds a bias (default: ``False``).
        orthogonal: How :math:`Q` is parametrised: ``"householder"``, ``"cayley"``, ``"matrix_exp"`` or ``"euler"``
            (default: ``"householder"``).
        map_act: What is applied to the numbers of :math:`Q`, by PyG's names, or ``None`` (default: ``"tanh"``).
        conformal: Whether maps have a scale (default: ``True``).
        learner: The kind of :class:`NodeLearner` (default: ``"sage"``).
        learner_layers: Its number of layers; 0 for a perceptron (default: 1).
        learner_channels: Its width (default: 32).
        learner_conv: The layer of the kind ``"embedded"`` (default: ``"sage"``).
        learner_residual: Whether layers of this kind add their input (default: ``False``).

    Shapes:
        - **input:** ``x`` ``[num_nodes, stalk_dim * channels]``, a stalk's coordinates one after the other;
          ``edge_index`` ``[2, num_edges]``; ``batch`` ``[num_nodes]`` (optional)
        - **output:** like ``x``

    Raises:
        ValueError: If a stalk has fewer than two coordinates.

    Cost: :math:`O(|E| d f + |V| (d^2 f + d^3))` with :math:`f` channels, and the learners'.

    Example:
        >>> CooperativeSheafConv(3, 2)(torch.ones(4, 6), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 6])
    """

    checks = Checks(skip="its input has stalks' width; checked with CSNN")
    takes_sparse = False

    def __init__(
        self,
        stalk_dim: Count,
        channels: Count,
        left: bool = True,
        right: bool = True,
        bias: bool = False,
        orthogonal: Orthogonal = "householder",
        map_act: Activation | None = "tanh",
        conformal: bool = True,
        learner: Kind = "sage",
        learner_layers: NonNegativeInt = 1,
        learner_channels: Count = 32,
        learner_conv: Conv = "sage",
        learner_residual: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.stalk_dim, self.channels = stalk_dim, channels
        self.mix = SheafMix(stalk_dim, channels, left, right, bias)
        sizes = (stalk_dim * channels, learner_channels, num_orthogonal_params(stalk_dim, orthogonal) + conformal)
        self.target, self.source = (
            ConformalMaps(
                stalk_dim,
                orthogonal,
                map_act,
                conformal,
                NodeLearner(*sizes, learner_layers, learner, learner_conv, learner_residual),
            )
            for _ in range(2)
        )

    @one_graph
    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor | None = None) -> Tensor:
        """The convolved stalks; see the class for shapes."""
        operators = self.operators(x, edge_index, batch)
        y = self.mix(x.view(-1, self.stalk_dim, self.channels))
        for operator in operators:
            y = operator(y)
        return y.flatten(1)

    def operators(
        self, x: Tensor, edge_index: Tensor, batch: Tensor | None = None
    ) -> tuple[CooperativeLaplacian, CooperativeLaplacian]:
        """The operators :math:`M_1` and :math:`M_2` of a state, functions of stalks."""
        pattern = unweighted_pattern(self.edges(edge_index, x.size(0)), x.size(0), type(self).__name__)
        target, source = self.target(x, edge_index, batch), self.source(x, edge_index, batch)
        matrix = self.along(SparseMatrix(pattern))
        received, sent = pattern.in_degree.to(x.dtype), pattern.T.in_degree.to(x.dtype)
        return (
            CooperativeLaplacian(matrix, target, source, received, received, "target"),
            CooperativeLaplacian(matrix, target, source, received, sent, "source"),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.stalk_dim}, {self.channels})"


class CooperativeLaplacian:
    """One of the two operators: a function of stalks ``[num_nodes, stalk_dim, channels]``."""

    def __init__(
        self,
        matrix: Any,
        target: tuple[Tensor, Tensor],
        source: tuple[Tensor, Tensor],
        received: Tensor,
        degree: Tensor,
        scaled_by: Literal["target", "source"],
    ) -> None:
        gamma = (target if scaled_by == "target" else source)[1]
        root = (1 + degree * gamma**2).rsqrt()
        self.matrix = matrix
        self.diagonal = (received * (root * gamma) ** 2).view(-1, 1, 1)
        self.listened, self.source = target[0] * -(root * target[1]), source[0] * (root * source[1])

    def __call__(self, y: Tensor) -> Tensor:
        """The operator's product with stalks."""
        heard = self.matrix.matmul(transport(self.source, y))
        return torch.addcmul(transport(self.listened, heard, transpose=True), self.diagonal, y)
