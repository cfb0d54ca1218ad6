"""Polynormer: products of attention to neighbours, then of attention to all nodes."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count, Finite, NonNegativeInt, Probability
from graphkit.models.base import LayeredModel, State
from graphkit.models.readout import make_pool, read_out
from graphkit.nn import PolynormerAttention, PolynormerConv, dropout
from graphkit.nn.linear import torch_linear


class Polynormer(LayeredModel):
    r"""Polynormer: a graph transformer of linear cost, whose layers multiply two maps of their input.

    From `"Polynormer: Polynomial-Expressive Graph Transformer in Linear Time" <https://arxiv.org/abs/2403.01232>`_
    (Deng, Yue, Zhang, ICLR 2024).

    .. math::
        h_0 = W_\mathrm{in} x + b, \qquad h_{l + 1} = \mathrm{local}_l(h_l), \qquad
        g_0 = \mathrm{LN} \Big( \sum_{l = 1}^{L} h_l \Big), \qquad g_{m + 1} = \mathrm{global}_m(g_m), \qquad
        y = W_\mathrm{out} \, g_M

    with :class:`~graphkit.nn.PolynormerConv` and :class:`~graphkit.nn.PolynormerAttention`; all global layers share the
    map :math:`O`. The state after the last local layer is the sum, which is the output without global layers. In a
    batch every graph attends to itself alone.

    This is the authors' full-batch model, with ReLUs the paper's Polynormer-r; PyG's class of this name ports their
    model for large graphs, and weights do not go from one to the other. The paper trains in two phases: use
    :class:`~graphkit.training.strategies.LocalToGlobal`. Outputs are logits.

    Args:
        hidden_channels: The width of hidden states, all heads together (default: 512).
        local_layers: The number of local layers :math:`L` (default: 7).
        global_layers: The number of global layers :math:`M` (default: 2).
        heads: The number of heads, which must divide ``hidden_channels`` (default: 8).
        beta: Where the weights of skip connections start; ``None`` for sigmoids of random numbers (default: ``None``).
        relu: Whether layers have ReLUs (default: ``True``).
        pre_norm: Whether local layers normalise their input (default: ``False``).
        dropout: The probability of dropping an entry in local layers (default: 0).
        global_dropout: The same in global ones (default: ``dropout``).
        input_dropout: The probability of dropping a feature, and an entry of :math:`h_0` (default: 0).

    Example:
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> Polynormer(4, 8, local_layers=2, global_layers=1, out_channels=2, heads=2)(data).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [
            Checks(
                [{"dropout": 0.5}, {"global_layers": 2, "relu": False}],
                sizes={"local_layers": 2, "global_layers": 1, "heads": 2},
                expected_failures={"isolated_nodes": "every node attends to all others"},
            ),
            {"local_layers": 2, "heads": 2, "beta": 0.4, "pre_norm": True, "readout": "mean"},
            {"local_layers": 3, "global_layers": 0, "heads": 3},
        ]
    )
    sparse_features = True

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 512,
        local_layers: Count = 7,
        global_layers: NonNegativeInt = 2,
        out_channels: Count | None = None,
        heads: Count = 8,
        beta: Finite | None = None,
        relu: bool = True,
        pre_norm: bool = False,
        dropout: Probability = 0.0,
        global_dropout: Probability | None = None,
        input_dropout: Probability = 0.0,
        readout: str | None = None,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        if hidden_channels % heads:
            raise ValueError(f"Polynormer: hidden_channels={hidden_channels}, must be a multiple of heads={heads}")
        rate = dropout if global_dropout is None else global_dropout
        shared: dict[str, Any] = {"heads": heads, "beta": beta, "relu": relu}
        of_local = shared | {"pre_norm": pre_norm, "dropout": dropout}
        local = [PolynormerConv(hidden_channels, **of_local) for _ in range(local_layers)]
        over_all = [PolynormerAttention(hidden_channels, dropout=rate, **shared) for _ in range(global_layers)]
        for layer in over_all:
            layer.lin_out = over_all[0].lin_out
        self.lin_in = torch_linear(in_channels, hidden_channels)
        self.layers = nn.ModuleList([*local, *over_all])
        self.norm = nn.LayerNorm(hidden_channels) if global_layers else None
        self.lin_out = torch_linear(hidden_channels, self.out_channels)
        self.pool = make_pool(readout, hidden_channels)

    def encode(self, batch: Data) -> State:
        x = dropout(self.features(batch), self.input_dropout, self.training)
        return dropout(self.lin_in(x), self.input_dropout, self.training)

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        layer, h = self.layers[i], cast(Any, history[-1])
        if isinstance(layer, PolynormerAttention):
            return layer(self.norm(h) if self.norm is not None and i == self.local_layers else h, batch.get("batch"))
        out = layer(h, batch.edge_index)
        if i < self.local_layers - 1:
            return out
        return torch.stack([*cast(list[Tensor], history[1:]), out]).sum(0)

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        return self.lin_out(read_out(self.readout, self.pool, h, batch))
