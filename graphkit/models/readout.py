"""From states of nodes to one state per graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.nn import aggr


def make_pool(readout: str | None, channels: int | None, **kwargs: Any) -> nn.Module | None:
    """The aggregation that a model's ``readout`` names; ``None``, ``"mask"`` and ``"nodes"`` need none."""
    return None if readout in (None, "mask", "nodes") else aggr.resolve(readout, channels, **kwargs)


def read_out(readout: str | None, pool: nn.Module | None, h: Tensor, batch: Data) -> Tensor:
    """Node states ``[num_nodes, channels]`` as they are, those of marked nodes, or pooled per graph of a batch.

    A single graph is a batch of one.
    """
    if readout == "mask":
        return h[batch.readout_mask]
    if pool is None:
        return h
    index = batch.get("batch")
    if index is None:
        return pool(h, h.new_zeros(h.size(0), dtype=torch.long), dim_size=1)
    return pool(h, index, dim_size=batch.num_graphs if "ptr" in batch else None)
