"""Embeddings that stay as they are while time goes by."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.constraints import Count
from graphkit.core.reads import Reads
from graphkit.models.temporal.base import EventModel


class StaticEmbedding(EventModel):
    r"""Two vectors per node, :math:`a_v` as source and :math:`b_v` as destination; :math:`s(u, v) = a_u^\top b_v`.

    What can be said of events without regard to time: the reference of models that remember.

    Args:
        num_nodes: The number of nodes.
        hidden_channels: The size of vectors (default: 64).
    """

    reads = Reads(x=False, edge_index=False, edge_label_index=True)

    def __init__(self, num_nodes: Count, hidden_channels: Count = 64) -> None:
        super().__init__()
        self.keep_arguments(locals())
        self.source, self.destination = (nn.Embedding(num_nodes, hidden_channels) for _ in range(2))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for table in (self.source, self.destination):
            nn.init.normal_(table.weight, std=self.hidden_channels**-0.25)

    def encode(self, batch: Data) -> Tensor:
        src, dst = batch.edge_label_index
        return self.source(src) * self.destination(dst)

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        return h.sum(1, keepdim=True)

    def update_state(self, src: Tensor, dst: Tensor, t: Tensor, msg: Tensor) -> None:
        """Nothing: what happens changes no vector but by training."""
