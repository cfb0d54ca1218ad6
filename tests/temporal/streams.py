"""Small streams of events."""

from __future__ import annotations

import torch
from torch_geometric.data import Data

import graphkit as gk


def stream(num_events=240, num_nodes=12, channels=0, seed=0, dtype=torch.long):
    """Events of a few nodes at first, of more later, with ties in time."""
    generator = torch.Generator().manual_seed(seed)
    draw = torch.rand(2, num_events, generator=generator)
    known = (torch.arange(num_events) * num_nodes / num_events).clamp(min=3)
    data = Data(edge_index=(draw * known).long(), num_nodes=num_nodes)
    data.edge_index[0, ::8] = known[::8].ceil().long() - 1  # the newest node
    data.edge_time = (torch.arange(num_events) // 3).to(dtype)
    if channels:
        data.edge_attr = torch.randn(num_events, channels, generator=generator)
    return data


def task(**options):
    data = {key: options.pop(key) for key in ("num_events", "num_nodes", "channels", "dtype") if key in options}
    return gk.EventTask("mail", stream(**data), **options)


def trainer(epochs=3, **options):
    return gk.Trainer(**{"max_epochs": epochs, "batch_size": 20, "progress": False} | options)
