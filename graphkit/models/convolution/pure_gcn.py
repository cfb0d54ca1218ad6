"""PureGCN: graph convolutions without weights."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count, Probability
from graphkit.core.reads import Reads
from graphkit.models.base import LayeredModel, State
from graphkit.models.readout import make_pool
from graphkit.nn import Linear, PureGCNConv, dropout


class PureGCN(LayeredModel):
    r"""A linear map and averages over neighbours: :class:`~graphkit.nn.PureGCNConv`, the encoder of NCN on most graphs.

    From `"Neural Common Neighbor with Completion for Link Prediction" <https://arxiv.org/abs/2302.00890>`_ (Wang, Yang,
    Zhang, ICLR 2024), "puregcn" and "puresum" in the official code. As all averages belong to one linear map, the model
    has a single step.

    Args:
        num_layers: The number of averages (default: 1).
        out_channels: The number of outputs (default: ``hidden_channels``). Another linear map leads there, unless
            there are as many as hidden channels and there is no readout.
        dropout: The probability of dropping an entry after the linear map (default: 0).
        input_dropout: The same for features (default: 0).
        tail_dropout: The same after the last average (default: 0).
        jumping: Whether all averages are summed with trained weights (default: ``False``).
        residual: Whether averages are added to what they are of (default: ``False``).
        normalize: ``"sym"`` for averages as in :class:`~graphkit.nn.GCNConv`, ``None`` for sums over neighbours without
            the node itself (default: ``"sym"``).

    Example:
        >>> import torch
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> PureGCN(4, 8, num_layers=2)(data).shape
        torch.Size([3, 8])
    """

    checks = Checks(
        [
            {"dropout": 0.5},
            {"jumping": True, "residual": True, "readout": "mean", "out_channels": 6},
            {"num_layers": 1, "normalize": None, "out_channels": 6},
        ]
    )

    reads = Reads(edge_weight=True)
    uses_history = False
    sparse_features = True

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        num_layers: Count = 1,
        out_channels: Count | None = None,
        dropout: Probability = 0.0,
        input_dropout: Probability = 0.0,
        tail_dropout: Probability = 0.0,
        jumping: bool = False,
        residual: bool = False,
        normalize: Literal["sym"] | None = "sym",
        readout: str | None = None,
        readout_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        conv = PureGCNConv(
            in_channels, hidden_channels, num_layers, jumping, residual, normalize, dropout, tail_dropout
        )
        self.layers = nn.ModuleList([conv])
        self.pool = make_pool(readout, hidden_channels, **(readout_kwargs or {}))
        plain = readout is None and self.out_channels == hidden_channels
        self.head = None if plain else Linear(hidden_channels, self.out_channels)
        self.reset_parameters()

    def encode(self, batch: Data) -> State:
        return dropout(self.features(batch), self.input_dropout, self.training)

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        return self.layers[i](history[-1], batch.edge_index, batch.get("edge_weight"))
