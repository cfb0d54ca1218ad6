"""Layers whose edges have features or states, against PyG's and against the authors' procedure."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric import nn as pyg
from torch_geometric.utils import scatter

from benchmarks.speed.common import Benchmark, benchmark, random_graph, with_gradients
from graphkit.nn import GatedGCNConv, GINEConv, GINPerceptron

NODES, EDGES, CHANNELS = 20_000, 200_000, 64


def _inputs() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, edge_attr = (torch.randn(rows, CHANNELS, generator=generator).requires_grad_() for rows in (NODES, EDGES))
    return x, random_graph(NODES, EDGES), edge_attr


@benchmark("gated_gcn_conv", goal=2.0, of="GatedGCN")
def gated_gcn_conv() -> Benchmark:
    """GatedGCN layer with states of edges, forward and backward: 20k nodes, 200k edges, 64 channels."""
    x, edge_index, edge_attr = _inputs()
    conv, library = GatedGCNConv(CHANNELS, CHANNELS), pyg.ResGatedGraphConv(CHANNELS, CHANNELS, edge_dim=CHANNELS)
    weights = list(conv.parameters())

    def run(states: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        given = [state.detach() for state in states]
        return *given, *torch.autograd.grad(states, [x, edge_attr, *weights], given)

    def theirs() -> tuple[Tensor, ...]:
        return with_gradients(library(x, edge_index, edge_attr), x, edge_attr, *library.parameters())

    return Benchmark(
        ours=lambda: run(conv(x, edge_index, edge_attr, return_edges=True)),
        opponent=lambda: run(_plain(conv, x, edge_index, edge_attr)),
        against="the authors' procedure: gathers and scatters of rows per edge",
        beside=("torch_geometric.nn.ResGatedGraphConv, which has no denominator and gives edges no states", theirs),
        rounds=5,
        tolerance=1e-3,
    )


def _plain(conv: GatedGCNConv, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> tuple[Tensor, Tensor]:
    source, target = edge_index
    logit = conv.D(x)[target] + conv.E(x)[source] + conv.C(edge_attr)
    gate = logit.sigmoid()
    above = scatter(gate * conv.B(x)[source], target, dim_size=x.size(0))
    return conv.A(x) + above / (scatter(gate, target, dim_size=x.size(0)) + 1e-6), logit


@benchmark("gine_conv", goal=2.0, of="GIN")
def gine_conv() -> Benchmark:
    """GINE layer, forward and backward, features of edges included: 20k nodes, 200k edges, 64 channels."""
    x, edge_index, edge_attr = _inputs()
    perceptron = GINPerceptron(CHANNELS, CHANNELS)
    ours, theirs = (make(perceptron) for make in (GINEConv, pyg.GINEConv))
    inputs = [x, edge_attr, *perceptron.parameters()]
    return Benchmark(
        ours=lambda: with_gradients(ours(x, edge_index, edge_attr), *inputs),
        opponent=lambda: with_gradients(theirs(x, edge_index, edge_attr), *inputs),
        against="torch_geometric.nn.GINEConv",
        rounds=5,
        tolerance=1e-3,
    )
