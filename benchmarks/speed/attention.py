"""Layers of attention against PyG's."""

from __future__ import annotations

from functools import partial

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


@benchmark("grafenne_entries", goal=2.0, of="GRAFENNE")
def grafenne_entries() -> Benchmark:
    """GRAFENNE's first attention, forward and backward: 200,000 entries of features, 4 heads of 64 channels."""
    width, heads, nodes, features, entries = 64, 4, 20_000, 2000, 200_000
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.randn, generator=generator)
    pairs = torch.randint(nodes * features, (entries,), generator=generator).unique()
    edge_index = torch.stack([pairs % features, pairs // features])
    value, of_nodes = draw(pairs.numel(), 1), draw(nodes, width).requires_grad_()
    of_features = draw(features, width).requires_grad_()
    ours = nn.AllotropicConv(width, heads=heads, first=True).to_nodes
    theirs = pyg.GATConv(width, width, heads, edge_dim=width, add_self_loops=False)
    embed = torch.nn.Linear(1, width)  # the official states of entries, as wide as those of nodes
    states = torch.cat([value, torch.ones_like(value)], dim=1)
    with torch.no_grad():
        weights = theirs.state_dict()
        joined = torch.cat([embed.weight, embed.bias[:, None]], dim=1)
        ours.load_state_dict({**weights, "lin_edge.weight": weights["lin_edge.weight"] @ joined})
    inputs = (of_features, of_nodes)
    return Benchmark(
        ours=lambda: with_gradients(ours(inputs, edge_index, states), *inputs, ours.att_edge),
        opponent=lambda: with_gradients(theirs(inputs, edge_index, embed(value)), *inputs, theirs.att_edge),
        against="torch_geometric.nn.GATConv",
        rounds=5,
        tolerance=1e-3,
    )
