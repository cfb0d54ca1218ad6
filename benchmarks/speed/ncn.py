"""Scores by common neighbours against a plain implementation that compares rows of the adjacency matrix.

Of our 9 ms of NCN, 2.2 clear the gradient of all nodes' states, which is as large for one pair as for all, 2.0 are
dense products, and 1.0 compares the edges with those whose pattern is kept. The plain one takes 39 ms: no ratio can
pass 7.5.
"""

from __future__ import annotations

import networkx as nx
import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_array
from torch import Tensor

from benchmarks.speed.common import Benchmark, benchmark
from graphkit.nn.common_neighbours import CommonNeighbourDecoder, Completion
from graphkit.ops import SparsityPattern, sparsity_pattern

NODES, ATTACHED, PAIRS, WIDTH = 20_000, 8, 1000, 64
SPLIT = 8192  # inner pairs at a time, so that their rows fit into memory


class _Plain:
    """The same weights; every common neighbour found in two lists of keys, every inner pair scored."""

    def __init__(self, decoder: CommonNeighbourDecoder, graph: SparsityPattern) -> None:
        self.decoder, self.graph = decoder, graph

    def rows(self, ids: Tensor) -> Tensor:
        """The neighbours of each of the given nodes, as position times number of nodes plus neighbour."""
        count = self.graph.in_degree[ids]
        first = (self.graph.rowptr[ids] - count.cumsum(0) + count).repeat_interleave(count)
        position = torch.arange(ids.numel()).repeat_interleave(count)
        return position * NODES + self.graph.col[first + torch.arange(first.numel())]

    def score(self, h: Tensor, pairs: Tensor, depth: int) -> Tensor:
        decoder, (i, j) = self.decoder, pairs
        lifted = h + decoder.xlin(h)
        of_i, of_j = self.rows(i), self.rows(j)
        common = of_j[_contained(of_i, of_j)]
        total = _sums(lifted, common, i.numel())
        if depth > 0:
            for own, other, stranger in ((of_i, of_j, j), (of_j, of_i, i)):
                alone = own[~_contained(other, own)]
                inner = torch.stack([stranger[alone // NODES], alone % NODES])
                with torch.no_grad():
                    split = [self.score(lifted, block, depth - 1) for block in inner.split(SPLIT, dim=1)]
                    weight = decoder.completion(torch.cat(split))
                total = total + _sums(lifted, alone, i.numel(), weight)
        return decoder.lin(decoder.beta * decoder.xcnlin(total) + decoder.xijlin(h[i] * h[j]))


def _contained(keys: Tensor, wanted: Tensor) -> Tensor:
    if keys.numel() == 0:
        return torch.zeros_like(wanted, dtype=torch.bool)
    return keys[torch.searchsorted(keys, wanted).clamp(max=keys.numel() - 1)] == wanted


def _sums(h: Tensor, keys: Tensor, size: int, weight: Tensor | float = 1.0) -> Tensor:
    return h.new_zeros(size, h.size(1)).index_add(0, keys // NODES, weight * h[keys % NODES])


def _by_products(decoder: CommonNeighbourDecoder, adjacency: csr_array, h: Tensor, pairs: Tensor) -> Tensor:
    """The scores without completion by sparse products of libraries."""
    i, j = pairs
    both = adjacency[i.numpy()].multiply(adjacency[j.numpy()]).tocsr()
    rowptr, col, ones = (torch.from_numpy(part) for part in (both.indptr, both.indices, both.data))
    common = torch.sparse_csr_tensor(rowptr, col, ones, both.shape)
    total = torch.sparse.mm(common, h + decoder.xlin(h))
    return decoder.lin(decoder.beta * decoder.xcnlin(total) + decoder.xijlin(h[i] * h[j]))


def _make(depth: int, official: str, rounds: int) -> Benchmark:
    edges = np.array(nx.barabasi_albert_graph(NODES, ATTACHED, seed=0).edges).T
    edge_index = torch.from_numpy(np.concatenate([edges, edges[::-1]], axis=1))
    pairs = torch.from_numpy(edges[:, :PAIRS].copy())
    completion = Completion(depth, scale=4.3, offset=2.8, alpha=1.0, pt=0.75) if depth else None
    decoder = CommonNeighbourDecoder(WIDTH, WIDTH, tail_act=True, completion=completion)
    plain = _Plain(decoder, sparsity_pattern(edge_index, NODES))
    h = torch.randn(NODES, WIDTH).requires_grad_()
    adjacency = csr_array((np.ones(edge_index.size(1), np.float32), tuple(edge_index.numpy())), (NODES, NODES))
    products = (
        "scipy.sparse's products of rows, torch.sparse.mm",
        lambda: step(_by_products(decoder, adjacency, h, pairs)),
    )

    def step(score: Tensor) -> tuple[Tensor, ...]:
        gradients = torch.autograd.grad(F.softplus(-score).mean(), [h, *decoder.parameters()])
        return score.detach(), *gradients

    return Benchmark(
        ours=lambda: step(decoder(h, edge_index, pairs)),
        opponent=lambda: step(plain.score(h, pairs, depth)),
        against=f"searches in rows of the adjacency matrix, index_add (the official code, elsewhere: {official} at a "
        "calibration of 22.5 ms)",
        beside=None if depth else products,
        rounds=rounds,
        tolerance=1e-3,
    )


@benchmark("ncn", goal=4.0, of="NCN")
def ncn() -> Benchmark:
    """NCN scores, forward and backward: the first 1000 edges of a Barabasi-Albert graph, 20k nodes, 64 channels."""
    return _make(0, "0.048 s", 9)


@benchmark("ncnc", goal=5.0, of="NCNC")
def ncnc() -> Benchmark:
    """NCNC scores, forward and backward: the first 1000 edges of a Barabasi-Albert graph, 20k nodes, 64 channels."""
    return _make(1, "3.65 s", 3)
