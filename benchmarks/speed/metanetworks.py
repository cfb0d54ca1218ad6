"""States of edges against PyG's MetaLayer, and a network's graph against a loop over its weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.nn import MetaLayer
from torch_geometric.utils import scatter

from benchmarks.speed.common import Benchmark, benchmark, with_gradients
from graphkit.metanetworks import module_to_graph
from graphkit.nn.meta_block import MetaBlock

CHANNELS = 64


class _Edges(nn.Module):
    def __init__(self, block: MetaBlock) -> None:
        super().__init__()
        self.mlp = block.edge

    def forward(self, source: Tensor, target: Tensor, e: Tensor, u: None, batch: None) -> Tensor:
        return torch.relu(self.mlp(torch.cat([source, target, e], 1)))


class _Nodes(nn.Module):
    def __init__(self, block: MetaBlock) -> None:
        super().__init__()
        self.message, self.update = block.message, block.update

    def forward(self, x: Tensor, edge_index: Tensor, e: Tensor, u: None, batch: None) -> Tensor:
        messages = torch.relu(self.message(torch.cat([x[edge_index[0]], e], 1)))
        mean = scatter(messages, edge_index[1], 0, x.size(0), "mean")
        return torch.relu(self.update(torch.cat([x, mean], 1)))


@benchmark("metanetwork_layer", goal=1.5, of="MetaNetwork")
def layer() -> Benchmark:
    """A layer with states of edges, forward and backward: a perceptron of 64-128-128-10, 64 channels."""
    graph = module_to_graph(nn.Sequential(nn.Linear(64, 128), nn.Linear(128, 128), nn.Linear(128, 10)))
    x = torch.randn(graph.num_nodes, CHANNELS, requires_grad=True)
    e = torch.randn(graph.num_edges, CHANNELS, requires_grad=True)
    block = MetaBlock(CHANNELS, CHANNELS, CHANNELS)
    theirs = MetaLayer(_Edges(block), _Nodes(block))

    def run(call: object) -> tuple[Tensor, ...]:
        nodes, edges = call()[:2]  # type: ignore[operator]
        return with_gradients(torch.cat([nodes, edges]), x, e)

    return Benchmark(
        ours=lambda: run(lambda: block(x, e, graph.edge_index)),
        opponent=lambda: run(lambda: theirs(x, graph.edge_index, e)),
        against="torch_geometric.nn.MetaLayer",
        rounds=5,
    )


@benchmark("module_to_graph", goal=10.0)
def conversion() -> Benchmark:
    """A perceptron of 64-128-128-10 as a graph."""
    net = nn.Sequential(nn.Linear(64, 128), nn.Linear(128, 128), nn.Linear(128, 10))

    def loop() -> tuple[Tensor, Tensor]:
        ends, values, first = [], [], 0
        for linear in net:
            outs, ins = linear.weight.shape
            start = first + ins
            for j in range(outs):
                for i in range(ins):
                    ends.append((first + i, start + j))
                    values.append(linear.weight[j, i].item())
            for j in range(outs):
                ends.append((start + outs, start + j))
                values.append(linear.bias[j].item())
            first = start
        return torch.tensor(values), torch.tensor(ends).T

    def ours() -> tuple[Tensor, Tensor]:
        graph = module_to_graph(net)
        return graph.edge_attr[:, 0].detach(), graph.edge_index

    return Benchmark(lambda: ours()[:1], lambda: loop()[:1], "a loop over weights", rounds=5)
