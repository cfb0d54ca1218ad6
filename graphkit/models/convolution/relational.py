"""R-GCN and R-GIN: weights of their own for every relation."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count
from graphkit.core.reads import Reads
from graphkit.core.signatures import takes_arguments_of
from graphkit.models.base import State
from graphkit.models.stack import GNN_PLUS, LayerStack
from graphkit.nn import RelationalConv

R = TypeVar("R", bound="RelationalGNN")


class RelationalGNN(LayerStack):
    r"""R-GCN or R-GIN: a stack of :class:`~graphkit.nn.RelationalConv`, so that added edges have weights of their own.

    From `"Modeling Relational Data with Graph Convolutional Networks" <https://arxiv.org/abs/1703.06103>`_
    (Schlichtkrull et al., ESWC 2018), and `"FoSR" <https://arxiv.org/abs/2210.11790>`_ (Karhadkar et al., ICLR 2023)
    for R-GIN and for rewired graphs. Relations are the batch's ``edge_type``, which every rewiring writes; without it
    all edges are of relation 0. The batch's ``edge_weight`` is used when there is one.

    Args:
        conv: ``"gcn"`` or ``"gin"`` (default: ``"gcn"``).
        num_relations: The number of relations; built from a task, as many as it has (default: 2).

    Example:
        >>> import torch
        >>> from graphkit.transforms.rewiring import RandomEdges
        >>> data = Data(x=torch.ones(4, 3), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> RelationalGNN(3, 8, out_channels=2)(RandomEdges(2)(data)).shape
        torch.Size([4, 2])
    """

    checks = Checks(
        [
            {"num_relations": 1, "dropout": 0.5},
            {"num_relations": 1, "conv": "gin", "readout": "mean", "norm": "layer_norm"},
            {"num_relations": 1, "readout": "mean", "pool_outputs": True},
        ]
    )

    reads = Reads(edge_weight=True)
    num_hops = 2  # the degrees of a node's neighbours count, for some layers

    @takes_arguments_of(LayerStack, without=(*GNN_PLUS, "bias"))
    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        num_layers: Count = 2,
        out_channels: Count | None = None,
        conv: Literal["gcn", "gin"] = "gcn",
        num_relations: Count = 2,
        **of_stack: Any,
    ) -> None:
        self.conv, self.num_relations = conv, num_relations  # for make_layer
        super().__init__(in_channels, hidden_channels, num_layers, out_channels, **of_stack)

    @classmethod
    def from_task(cls: type[R], task: Any, **arguments: Any) -> R:
        types = [graph.edge_type for graph in (*task.graphs, task.example) if graph.get("edge_type") is not None]
        largest = max((int(edge_type.max()) for edge_type in types if edge_type.numel()), default=0)
        return super().from_task(task, **{"num_relations": largest + 1} | arguments)

    def make_layer(self, in_channels: int, out_channels: int) -> nn.Module:
        return RelationalConv(in_channels, out_channels, self.num_relations, self.conv)

    def propagate(self, layer: nn.Module, h: State, batch: Data) -> Tensor:
        return layer(h, batch.edge_index, batch.get("edge_type"), batch.get("edge_weight"))
