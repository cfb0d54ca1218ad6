"""GraphSAINT's own network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.constraints import Activation, Channels, Count, NonNegativeInt, Probability, not_empty
from graphkit.core.overriding import overridden
from graphkit.core.reads import Reads
from graphkit.models.base import LayeredModel, State
from graphkit.models.readout import make_pool, read_out
from graphkit.nn import GraphSAINTConv, Linear, dropout
from graphkit.nn.layer import propagates_first
from graphkit.ops import SparseMatrix, l2_normalize


class GraphSAINT(LayeredModel):
    r"""The network of the GraphSAINT paper: layers that see the input and its averages of several orders.

    From `"GraphSAINT: Graph Sampling Based Inductive Learning Method" <https://arxiv.org/abs/1907.04931>`_ (Zeng, Zhou,
    Srivastava, Kannan, Prasanna, ICLR 2020).

    A layer of order :math:`o` joins

    .. math::
        \mathrm{norm}_k(\sigma((D^{-1} A)^k X W_k^\top + b_k)), \qquad k = 0, \dots, o

    side by side (or adds them), where :math:`X` is the state below after dropout, :math:`A` has no self-loops added and
    :math:`\mathrm{norm}` standardises each row, with a learned scale and offset. Rows of the last state are divided by
    their length; a linear map gives the outputs. ``orders=(1, 1, 0)`` is the official "1-1-0".

    On a batch of GraphSAINT's samplers, :math:`A` has the weights that make its sums unbiased, and :math:`D` the
    degrees of the whole graph (``full_degree``). Elsewhere :math:`D` has the row sums of :math:`A`.

    Args:
        hidden_channels: The width of each order of a layer (default: 256).
        orders: The order of each layer (default: ``(1, 1, 0)``).
        dropout: The probability of dropping an entry of each layer's input (default: 0.1).
        join: ``"concat"``, or ``"sum"``, which the official code calls "mean" (default: ``"concat"``).
        norm: Whether rows are standardised (default: ``True``).
        readout: How node states become a graph state, by the name of an aggregation, or ``"mask"``; ``None`` for one
            output per node (default: ``None``).

    Shapes:
        - **input:** a PyG ``Data`` or ``Batch`` with ``x`` ``[num_nodes, in_channels]`` and ``edge_index``; optionally
          ``edge_weight`` ``[num_edges]`` and ``full_degree`` ``[num_nodes]``

    Example:
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> GraphSAINT(4, 8, out_channels=2)(data).shape
        torch.Size([3, 2])
    """

    checks = Checks([{}, {"orders": (2, 0), "join": "sum", "norm": False}, {"orders": (1, 1), "readout": "mean"}])

    reads = Reads(edge_weight=True)
    uses_history = False

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 256,
        out_channels: Count | None = None,
        orders: Annotated[Sequence[NonNegativeInt], not_empty] = (1, 1, 0),
        dropout: Probability = 0.1,
        act: Activation = "relu",
        join: Literal["concat", "sum"] = "concat",
        norm: bool = True,
        readout: str | None = None,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        self.orders = tuple(orders)
        self.num_hops = max(orders)
        layers, width = [], in_channels
        for order in self.orders:
            layers.append(GraphSAINTConv(width, hidden_channels, order, act, join, norm))
            width = hidden_channels * (order + 1 if join == "concat" else 1)
        self.layers = nn.ModuleList(layers)
        self.pool = make_pool(readout, width)
        self.head = Linear(width, self.out_channels)
        self.reset_parameters()

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        h = dropout(history[-1], self.dropout, self.training)
        return self.layers[i](h, batch.edge_index, batch.get("edge_weight"), batch.get("full_degree"))

    def propagation(self, i: int, batch: Data, size: int, dtype: torch.dtype) -> SparseMatrix | None:
        layer: Any = self.layers[i]
        if (self.training and self.dropout > 0) or overridden(self, "step") or not propagates_first(layer):
            return None
        return layer.propagation(batch.edge_index, batch.get("edge_weight"), batch.get("full_degree"), size, dtype)

    def combine(self, i: int, propagated: Any, own: Tensor | None = None) -> Tensor:
        layer: Any = self.layers[i]
        return layer.combine(propagated, own)

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        return self.head(l2_normalize(read_out(self.readout, self.pool, h, batch)))
