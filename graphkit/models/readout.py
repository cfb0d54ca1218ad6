"""From states of nodes to one state per graph."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.devices import CPU, ask_ahead
from graphkit.nn import aggr
from graphkit.nn.aggr.base import SetAggregation
from graphkit.ops.groups import ask_index
from graphkit.ops.traced import tracing


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
        lasting = h.device != CPU and not tracing()
        index = _one_graph(h.size(0), h.device) if lasting else h.new_zeros(h.size(0), dtype=torch.long)
        return pool(h, index, dim_size=1)
    return pool(h, index, dim_size=batch.num_graphs if "ptr" in batch else None)


@lru_cache(maxsize=4)
def _one_graph(num_nodes: int, device: torch.device) -> Tensor:
    """The graph of each node where there is one: on a device the same tensor each time, by which it is known again."""
    with torch.inference_mode(False):
        return torch.zeros(num_nodes, dtype=torch.long, device=device)


def ask_graphs(pool: nn.Module | None, batch: Data) -> None:
    """Ask a device of the graphs of nodes, so that a readout that checks them need not wait for that alone."""
    index = batch.get("batch") if isinstance(pool, SetAggregation) else None
    if index is not None and index.dtype == torch.long and index.numel() > 0 and not tracing():
        ask_ahead(ask_index, index)
