"""Layers of attention against PyG's."""

from __future__ import annotations

import torch
from torch_geometric import nn as pyg

from benchmarks.speed.common import Benchmark, benchmark, random_graph, with_gradients
from graphkit import nn

HEADS, CHANNELS = 8, 8


def _layers(name: str) -> Benchmark:
    edge_index = random_graph()
    x = torch.randn(100_000, HEADS * CHANNELS, generator=torch.Generator().manual_seed(0)).requires_grad_()
    ours, theirs = (getattr(package, name)(HEADS * CHANNELS, CHANNELS, heads=HEADS) for package in (nn, pyg))
    theirs.load_state_dict(ours.state_dict())
    return Benchmark(
        ours=lambda: with_gradients(ours(x, edge_index), x, *_weights(ours)),
        opponent=lambda: with_gradients(theirs(x, edge_index), x, *_weights(theirs)),
        against=f"torch_geometric.nn.{name}",
        rounds=5,
        tolerance=1e-3,
    )


def _weights(layer: torch.nn.Module) -> list[torch.Tensor]:
    return [
        weight for weight in layer.parameters() if weight.dim() > 1
    ]  # the gradient of keys' bias is 0 but for noise


@benchmark("gat_conv", goal=4.0, of="GAT")
def gat_conv() -> Benchmark:
    """GAT layer on a plain edge_index, forward and backward: 100k nodes, 1M edges, 8 heads of 8 channels."""
    return _layers("GATConv")


@benchmark("gatv2_conv", of="GAT")
def gatv2_conv() -> Benchmark:
    """GATv2 layer on a plain edge_index, forward and backward: 100k nodes, 1M edges, 8 heads of 8 channels."""
    return _layers("GATv2Conv")


@benchmark("transformer_conv", goal=6.0, of="GAT")
def transformer_conv() -> Benchmark:
    """Transformer layer on a plain edge_index, forward and backward: 100k nodes, 1M edges, 8 heads of 8 channels."""
    return _layers("TransformerConv")
