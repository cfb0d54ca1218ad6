"""From states of nodes to one state per graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.data import Data


def pool_graphs(pool: nn.Module, h: Tensor, batch: Data) -> Tensor:
    """Aggregate node states ``[num_nodes, channels]`` per graph of a batch; a single graph is a batch of one."""
    index = batch.batch if batch.get("batch") is not None else h.new_zeros(h.size(0), dtype=torch.long)
    return pool(h, index, dim_size=batch.num_graphs if "ptr" in batch else 1)
