"""Cooperative sheaf neural networks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn.resolver import activation_resolver

from graphkit.core.checks import Checks
from graphkit.core.constraints import Activation, Channels, Count, Probability
from graphkit.core.signatures import takes_arguments_of
from graphkit.models.base import LayeredModel, State
from graphkit.models.readout import make_pool
from graphkit.models.stack import NORMS, Norm
from graphkit.nn import dropout
from graphkit.nn.linear import torch_linear
from graphkit.nn.sheaf.cooperative import CooperativeSheafConv


class CSNN(LayeredModel):
    r"""Cooperative sheaf neural network: every node learns what it listens to and what it sends.

    From `"Cooperative Sheaf Neural Networks" <https://arxiv.org/abs/2507.00647>`_ (Ribeiro et al., 2025).

    A node's state is a stalk of ``stalk_dim`` coordinates with ``hidden_channels`` channels each. After a linear lift
    and an activation, each layer computes

    .. math::
        \hat X = \mathrm{dropout}(X), \qquad
        X' = \mathrm{norm}\bigl((1 + \tanh \varepsilon) \hat X
            - \sigma(\mathrm{dropout}(M_2 M_1 (I \otimes W_1) \hat X W_2^\top))\bigr)

    with the two Laplacians of :class:`~graphkit.nn.sheaf.CooperativeSheafConv`, whose maps are learned for nodes, not
    for edges. A node receives along its outgoing edges, as in the official code, while the learners' means run along
    incoming ones: on graphs without directions, which are the usual ones, this is the same.

    Where sources differ: the official layer norm of the learner ``"sage"`` runs over all graphs of a batch, here over
    each; the official code stops with positional encodings, which are added to features here, and has learners of
    unknown form (``NNConv``, ``Sum``, convolutions without the first linear map), which are left out.

    Args:
        hidden_channels: The number of channels of each stalk coordinate (default: 32).
        num_layers: The number of layers, of two hops each (default: 2).
        stalk_dim: The dimension of stalks, at least 2 (default: 3).
        dropout: The probability of dropping an entry of a state before and behind each convolution (default: 0).
        act: The activation :math:`\sigma`, also of the lift, by PyG's names, or ``None`` (default: ``"gelu"``).
        norm: ``"batch_norm"``, ``"layer_norm"`` or ``None`` (default: ``None``).
        gate: Whether there is the gate :math:`1 + \tanh \varepsilon`; without, a layer is :math:`\mathrm{norm}(\sigma(
            \cdot))`, with neither residual nor sign (default: ``True``).
        left_weights: Whether there is :math:`W_1`, which acts on stalks (default: ``True``).
        right_weights: Whether there is :math:`W_2`, which acts on channels (default: ``True``).
        bias: Whether each of the two adds a bias (default: ``False``).
        orthogonal: ``"householder"``, ``"cayley"``, ``"matrix_exp"`` or ``"euler"`` (default: ``"householder"``).
        map_act: As in the convolution (default: ``"tanh"``).
        conformal: Whether maps have a scale (default: ``True``).
        learner: The kind of learner, see :class:`~graphkit.nn.sheaf.NodeLearner` (default: ``"sage"``).
        learner_layers: Its number of layers; 0 for a perceptron (default: 1).
        learner_channels: Its width (default: 32).
        learner_conv: The layer of the kind ``"embedded"`` (default: ``"sage"``).
        learner_residual: Whether layers of this kind add their input (default: ``False``).
        head_layers: The number of linear maps of the read-out, GELU in between (default: 1).

    Shapes:
        - **states:** ``[num_nodes, stalk_dim * hidden_channels]``

    Example:
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> CSNN(4, 8, out_channels=2)(data).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [
            {"dropout": 0.5, "num_layers": 2},
            {"learner": "projected", "learner_layers": 2, "norm": "layer_norm"},
            {"learner_layers": 2, "readout": "mean", "norm": "batch_norm", "head_layers": 2, "left_weights": False},
            {"learner": "embedded", "learner_residual": True, "stalk_dim": 2, "gate": False},
            {"learner_layers": 0, "conformal": False, "orthogonal": "cayley", "map_act": None, "bias": True},
        ],
        sizes={"num_layers": 1, "hidden_channels": 2, "learner_channels": 3},
    )
    uses_history = False
    sparse_features = True

    @takes_arguments_of(CooperativeSheafConv, without=("channels", "left", "right", "kwargs"))
    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 32,
        num_layers: Count = 2,
        out_channels: Count | None = None,
        stalk_dim: Count = 3,
        dropout: Probability = 0.0,
        input_dropout: Probability = 0.0,
        act: Activation | None = "gelu",
        norm: Norm | None = None,
        gate: bool = True,
        left_weights: bool = True,
        right_weights: bool = True,
        *,
        head_layers: Count = 1,
        readout: str | None = None,
        **of_conv: Any,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals() | of_conv)
        width = stalk_dim * hidden_channels
        self.lin_in = torch_linear(in_channels, width)
        self.activation = nn.Identity() if act is None else activation_resolver(act)
        sides: dict[str, Any] = {"left": left_weights, "right": right_weights, "flow": "target_to_source"}
        self.layers = nn.ModuleList(
            _Layer(CooperativeSheafConv(stalk_dim, hidden_channels, **sides, **of_conv), gate, norm, dropout)
            for _ in range(num_layers)
        )
        self.pool = make_pool(readout, width)
        hidden = [part for _ in range(head_layers - 1) for part in (torch_linear(width, width), nn.GELU())]
        self.head = nn.Sequential(*hidden, torch_linear(width, self.out_channels))
        self.reset_parameters()

    def encode(self, batch: Data) -> State:
        return self.activation(self.lin_in(dropout(self.features(batch), self.input_dropout, self.training)))

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        h = dropout(history[-1], self.dropout, self.training)
        return self.layers[i](h, batch.edge_index, batch.get("batch"), self.activation)


class _Layer(nn.Module):
    """A convolution, its gate and its norm."""

    def __init__(self, conv: CooperativeSheafConv, gate: bool, norm: str | None, rate: float) -> None:
        super().__init__()
        self.conv, self.rate = conv, rate
        self.epsilon = nn.Parameter(torch.empty(conv.stalk_dim, 1)) if gate else None
        self.norm = nn.Identity() if norm is None else NORMS[norm](conv.stalk_dim * conv.channels)

    def reset_parameters(self) -> None:
        self.conv.reset_parameters()
        if self.epsilon is not None:
            nn.init.zeros_(self.epsilon)
        if not isinstance(self.norm, nn.Identity):
            self.norm.reset_parameters()

    def forward(self, h: Tensor, edge_index: Tensor, index: Tensor | None, activation: nn.Module) -> Tensor:
        out = activation(dropout(self.conv(h, edge_index, index), self.rate, self.training))
        if self.epsilon is not None:
            out = h * (1 + self.epsilon.tanh()).expand(-1, self.conv.channels).flatten() - out
        return self.norm(out)
