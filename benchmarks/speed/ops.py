"""Sparse arithmetic against what PyG's layers do by default."""

from __future__ import annotations

import torch
from torch_geometric.nn import GCNConv, MessagePassing, SimpleConv
from torch_geometric.utils import scatter as pyg_scatter
from torch_geometric.utils import softmax as pyg_softmax

import graphkit as gk
from benchmarks.speed.common import Benchmark, benchmark, random_graph, with_gradients
from graphkit import ops

NODES, EDGES, CHANNELS = 100_000, 1_000_000, 64


def _features(seed: int = 0) -> torch.Tensor:
    return torch.randn(NODES, CHANNELS, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def _simple_conv(edge_index: torch.Tensor, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return SimpleConv()(x, edge_index, weight)


def _gather_scatter(edge_index: torch.Tensor, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    messages = x.index_select(0, edge_index[0]) * weight.unsqueeze(1)
    return torch.zeros_like(x).index_add(0, edge_index[1], messages)


@benchmark("spmm_weight_gradient", goal=8.0)
def spmm_weight_gradient() -> Benchmark:
    """Weighted sum with gradients for features and weights, forward and backward: 100k nodes, 1M edges, 64 channels."""
    edge_index, x, weight = random_graph(), _features(), torch.rand(EDGES).requires_grad_()
    return Benchmark(
        ours=lambda: with_gradients(ops.spmm(edge_index, x, weight), x, weight),
        opponent=lambda: with_gradients(_gather_scatter(edge_index, x, weight), x, weight),
        against="gather, multiply, index_add",
        beside=(
            "torch_geometric.nn.SimpleConv",
            lambda: with_gradients(_simple_conv(edge_index, x, weight), x, weight),
        ),
    )


@benchmark("spmm")
def spmm() -> Benchmark:
    """Weighted sum with gradient for features only, forward and backward: 100k nodes, 1M edges, 64 channels."""
    edge_index, x, weight = random_graph(), _features(), torch.rand(EDGES)
    return Benchmark(
        ours=lambda: with_gradients(ops.spmm(edge_index, x, weight), x),
        opponent=lambda: with_gradients(_gather_scatter(edge_index, x, weight), x),
        against="gather, multiply, index_add",
        beside=("torch_geometric.nn.SimpleConv", lambda: with_gradients(_simple_conv(edge_index, x, weight), x)),
    )


@benchmark("spmm_max", goal=4.0)
def spmm_max() -> Benchmark:
    """Neighbourhood maximum, forward and backward: 100k nodes, 1M edges, 64 channels."""
    edge_index, x = random_graph(), _features()
    source, target = edge_index
    return Benchmark(
        ours=lambda: with_gradients(ops.spmm(edge_index, x, reduce="max"), x),
        opponent=lambda: with_gradients(
            pyg_scatter(x.index_select(0, source), target, 0, dim_size=NODES, reduce="max"), x
        ),
        against="gather, torch_geometric.utils.scatter",
        rounds=5,
    )


@benchmark("sddmm")
def sddmm() -> Benchmark:
    """Dot product along every edge, forward and backward: 100k nodes, 1M edges, 64 channels."""
    edge_index, a, b = random_graph(), _features(0), _features(1)
    source, target = edge_index
    order = (target * NODES + source).argsort()
    rowptr = torch._convert_indices_from_coo_to_csr(target[order], NODES)
    zeros = torch.sparse_csr_tensor(rowptr, source[order], torch.zeros(EDGES), (NODES, NODES))
    return Benchmark(
        ours=lambda: with_gradients(ops.sddmm(edge_index, a, b), a, b),
        opponent=lambda: with_gradients((a.index_select(0, target) * b.index_select(0, source)).sum(-1), a, b),
        against="gather, multiply, sum",
        beside=(
            "torch.sparse.sampled_addmm, which is given the CSR matrix",
            lambda: with_gradients(torch.sparse.sampled_addmm(zeros, a, b.t(), beta=0.0).values(), a, b),
        ),
        rounds=5,
    )


@benchmark("edge_softmax")
def edge_softmax() -> Benchmark:
    """Softmax over the edges that enter each node, forward and backward: 100k nodes, 1M edges, 8 heads."""
    target = random_graph()[1]
    logits = torch.randn(EDGES, 8).requires_grad_()
    return Benchmark(
        ours=lambda: with_gradients(ops.softmax(logits, target, dim_size=NODES), logits),
        opponent=lambda: with_gradients(pyg_softmax(logits, target, num_nodes=NODES), logits),
        against="torch_geometric.utils.softmax",
    )


@benchmark("edge_softmax_sorted")
def edge_softmax_sorted() -> Benchmark:
    """Softmax over groups of sorted rows, forward and backward: 20k groups, 200k rows, 64 channels."""
    index = torch.randint(20_000, (200_000,), generator=torch.Generator().manual_seed(0)).sort().values
    logits = torch.randn(200_000, 64).requires_grad_()
    return Benchmark(
        ours=lambda: with_gradients(ops.softmax(logits, index, dim_size=20_000), logits),
        opponent=lambda: with_gradients(pyg_softmax(logits, index, num_nodes=20_000), logits),
        against="torch_geometric.utils.softmax",
    )


@benchmark("segment_max")
def segment_max() -> Benchmark:
    """Maximum over groups of sorted rows, forward and backward: 20k groups, 200k rows, 64 channels."""
    index = torch.randint(20_000, (200_000,), generator=torch.Generator().manual_seed(0)).sort().values
    ptr = torch._convert_indices_from_coo_to_csr(index, 20_000)
    src = torch.randn(200_000, 64).requires_grad_()
    return Benchmark(
        ours=lambda: with_gradients(ops.segment(src, ptr, "max"), src),
        opponent=lambda: with_gradients(pyg_scatter(src, index, 0, dim_size=20_000, reduce="max"), src),
        against="torch_geometric.utils.scatter",
    )


class _BlockConv(MessagePassing):
    """A map of its own for every edge, as PyG's users write it."""

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor, blocks: torch.Tensor) -> torch.Tensor:
        """The sum of what neighbours send."""
        return self.propagate(edge_index, x=x.flatten(1), blocks=blocks).view_as(x)

    def message(self, x_j: torch.Tensor, blocks: torch.Tensor) -> torch.Tensor:
        """A neighbour's state, mapped."""
        return torch.bmm(blocks, x_j.view(x_j.size(0), blocks.size(2), -1)).flatten(1)


@benchmark("block_spmm")
def block_spmm() -> Benchmark:
    """One 3 x 3 map per edge, all gradients, forward and backward: 20k nodes, 200k edges, 32 channels."""
    edge_index = random_graph(20_000, 200_000)
    source, target = edge_index
    blocks, x = torch.randn(200_000, 3, 3).requires_grad_(), torch.randn(20_000, 3, 32).requires_grad_()

    def opponent() -> torch.Tensor:
        return torch.zeros_like(x).index_add(0, target, torch.bmm(blocks, x.index_select(0, source)))

    return Benchmark(
        ours=lambda: with_gradients(ops.block_spmm(edge_index, blocks, x), blocks, x),
        opponent=lambda: with_gradients(opponent(), blocks, x),
        against="gather, bmm, index_add",
        beside=(
            "torch_geometric.nn.MessagePassing, bmm",
            lambda: with_gradients(_BlockConv()(x, edge_index, blocks), blocks, x),
        ),
    )


@benchmark("gcn_layer", goal=5.0, of="GCN")
def gcn_layer() -> Benchmark:
    """GCN layer on a plain edge_index, forward and backward: 100k nodes, 1M edges, 64 channels."""
    edge_index, x = random_graph(), _features()
    ours, opponent = gk.nn.GCNConv(CHANNELS, CHANNELS), GCNConv(CHANNELS, CHANNELS)
    opponent.load_state_dict(ours.state_dict())
    return Benchmark(
        ours=lambda: with_gradients(ours(x, edge_index), x, *ours.parameters()),
        opponent=lambda: with_gradients(opponent(x, edge_index), x, *opponent.parameters()),
        against="torch_geometric.nn.GCNConv",
        tolerance=1e-3,
    )


@benchmark("gcn_layers_new_batch", goal=5.0, of="GCN")
def gcn_layers_new_batch() -> Benchmark:
    """Four GCN layers on a batch never seen before, forward and backward: 64 graphs, 4,800 nodes, 300k edges."""
    torch.manual_seed(0)
    first = torch.arange(64).repeat_interleave(4700) * 75
    source = torch.randint(75, first.shape)
    target = (source + torch.randint(1, 75, first.shape)) % 75  # no loops, of which PyG keeps one where they recur
    edge_index = first + torch.stack([source, target])
    x = torch.randn(4800, CHANNELS, requires_grad=True)
    layers = torch.nn.ModuleList(gk.nn.GCNConv(CHANNELS, CHANNELS) for _ in range(4))
    opponents = torch.nn.ModuleList(GCNConv(CHANNELS, CHANNELS) for _ in range(4))
    opponents.load_state_dict(layers.state_dict())

    def run(convs: torch.nn.ModuleList) -> tuple[torch.Tensor, ...]:
        new, h = edge_index.clone(), x  # nothing is known of it yet
        for conv in convs:
            h = conv(h, new).relu()
        return with_gradients(h, x, *convs.parameters())

    return Benchmark(
        ours=lambda: run(layers),
        opponent=lambda: run(opponents),
        against="torch_geometric.nn.GCNConv",
        tolerance=1e-3,
    )
