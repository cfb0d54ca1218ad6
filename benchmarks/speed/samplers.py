"""Drawing subgraphs, against the same in numpy and scipy.

GraphSAINT's subgraphs touch about 55,000 entries of the adjacency matrix each. For 200 of the node sampler's, only to
read them takes 5 ms, to look each one's column up in a set of bits and keep it if it is there 10 ms, where scipy takes
73 ms: no code that looks at the rows of the nodes can pass a ratio of 7. Ours, at 17 ms, draws the nodes, too (3 ms).
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numba
import numpy as np
import torch
from scipy.sparse import coo_array
from torch.utils.data import DataLoader, IterableDataset
from torch_geometric.data import Data
from torch_geometric.utils import get_ppr

import graphkit as gk
from benchmarks.speed.common import Benchmark, benchmark
from graphkit.algorithms import SubgraphSource
from graphkit.models import GraphSAINT
from graphkit.ops import sparsity_pattern
from graphkit.samplers import NeighborSampler
from graphkit.training import inference
from graphkit.training.feeding import ahead

NODES, SUBGRAPHS, TARGETS = 20_000, 200, 1000
FANOUTS, ROOTS = (15, 10, 5), 1024


def _barabasi_albert() -> SubgraphSource:
    import networkx as nx

    edges = torch.tensor(list(nx.barabasi_albert_graph(NODES, 8, seed=0).edges)).t()
    return SubgraphSource(torch.cat([edges, edges.flip(0)], dim=1), NODES)


def _saint(law: str, draws: int, steps: int = 0) -> Benchmark:
    source = _barabasi_albert()
    adjacency = source.adjacency()
    sets = [source.saint(law, draws, steps, index=index)[0] for index in range(SUBGRAPHS)]

    def ours() -> torch.Tensor:
        drawn = (source.saint(law, draws, steps, index=index) for index in range(SUBGRAPHS))
        return torch.tensor([(nodes.size, columns.size) for nodes, _, columns, _ in drawn]).double()

    def theirs() -> torch.Tensor:
        drawn = (adjacency[nodes][:, nodes] for nodes in sets)
        return torch.tensor([(part.shape[0], part.nnz) for part in drawn]).double()

    return Benchmark(ours, theirs, against="scipy slicing, which is given the nodes", rounds=5, tolerance=0.0)


@benchmark("saint_node", goal=2.0, of="GraphSAINTNode")
def saint_node() -> Benchmark:
    """200 subgraphs of GraphSAINT's node sampler, 2000 draws: barabasi_albert(20000, 8)."""
    return _saint("node", 2000)


@benchmark("saint_edge", goal=2.0, of="GraphSAINTEdge")
def saint_edge() -> Benchmark:
    """200 subgraphs of GraphSAINT's edge sampler, 1000 draws: barabasi_albert(20000, 8)."""
    return _saint("edge", 1000)


@benchmark("saint_random_walk", goal=2.0, of="GraphSAINTRandomWalk")
def saint_random_walk() -> Benchmark:
    """200 subgraphs of GraphSAINT's random walk sampler, 1000 roots, 2 steps: barabasi_albert(20000, 8)."""
    return _saint("walk", 1000, 2)


@numba.njit(cache=True)
def _ordered_push(rowptr: Any, col: Any, roots: Any, a: float, eps: float, k: int) -> Any:
    """What the official sampler does: dense vectors per root, an ordered queue, one lazy push at a time."""
    n = rowptr.size - 1
    mass = np.empty(roots.size)
    sets = np.empty((roots.size, k), np.int64)
    for i in range(roots.size):
        score, rest, waits = np.zeros(n), np.zeros(n), np.zeros(n, np.bool_)
        rest[roots[i]], waits[roots[i]] = 1.0, True
        queue = [roots[i]]
        while queue:
            v = heapq.heappop(queue)
            waits[v] = False
            degree = rowptr[v + 1] - rowptr[v]
            while rest[v] > eps * degree:
                score[v] += a * rest[v]
                share = (1 - a) * rest[v] / (2 * degree)
                rest[v] *= (1 - a) / 2
                for e in range(rowptr[v], rowptr[v + 1]):
                    u = col[e]
                    rest[u] += share
                    if not waits[u] and u != v and rest[u] > eps * (rowptr[u + 1] - rowptr[u]):
                        waits[u] = True
                        heapq.heappush(queue, np.int64(u))
        mass[i] = score.sum()
        sets[i] = np.argsort(-score)[:k]
    return sets, mass


@benchmark("shadow_pagerank", goal=3.0, of="ShaDowPPR")
def shadow_pagerank() -> Benchmark:
    """Sets of 200 nodes of largest PageRank for 1000 roots, eps 1e-5: barabasi_albert(20000, 8)."""
    source, roots = _barabasi_albert(), torch.arange(0, NODES, NODES // TARGETS)
    rowptr, col, edge_index = source.adjacency().indptr, source.adjacency().indices, source.edge_index()
    mass = _ordered_push(rowptr, col, roots[:20].numpy(), 0.15, 1e-5, 200)[1]
    ours = source.pagerank(roots[:20], eps=1e-5).sum(1).numpy()
    if np.abs(mass - ours).max() > 0.05:  # what is left unpushed depends on the order, within the same bound
        raise AssertionError("the two ways of pushing reach different scores")
    return Benchmark(
        ours=lambda: torch.from_numpy(source.pagerank_sets(roots, 200, eps=1e-5)[1]).double(),
        opponent=lambda: torch.full((TARGETS,), _ordered_push(rowptr, col, roots.numpy(), 0.15, 1e-5, 200)[0].shape[1]),
        against="an ordered queue and dense vectors per root, compiled",
        beside=(
            "torch_geometric.utils.get_ppr",  # whose walk is not lazy
            lambda: get_ppr(edge_index, alpha=2 * 0.15 / 1.15, eps=1e-5, target=roots, num_nodes=NODES),
        ),
        rounds=3,
        tolerance=0.0,
    )


@benchmark("shadow_extraction", goal=4.0, of="ShaDowKHop")
def shadow_extraction() -> Benchmark:
    """Induced subgraphs with hops of 1000 sets of 200 nodes: barabasi_albert(20000, 8)."""
    source, roots = _barabasi_albert(), torch.arange(0, NODES, NODES // TARGETS)
    nodes, sizes = source.pagerank_sets(roots, 200, eps=1e-5)
    adjacency, ends = source.adjacency(), np.cumsum(sizes)

    def theirs() -> tuple[torch.Tensor, ...]:
        blocks = [adjacency[part][:, part].tocoo() for part in np.split(nodes, ends[:-1])]
        source_ids = np.concatenate([part.col + end - part.shape[0] for part, end in zip(blocks, ends)])
        target_ids = np.concatenate([part.row + end - part.shape[0] for part, end in zip(blocks, ends)])
        return torch.from_numpy(source_ids).double(), torch.from_numpy(target_ids).double()

    def ours() -> tuple[torch.Tensor, ...]:
        return tuple(source.neighborhoods(roots, nodes, sizes).edge_index.double())

    return Benchmark(ours, theirs, against="scipy slicing, without hops", rounds=5, tolerance=0.0)


def _numpy_neighbors(rowptr: np.ndarray, col: np.ndarray, seeds: np.ndarray, rng: np.random.Generator) -> int:
    """Neighbour sampling hop by hop: random keys for all neighbours of the frontier, the smallest ones are kept."""
    nodes = frontier = seeds
    edges = 0
    for fanout in FANOUTS:
        degree = rowptr[frontier + 1] - rowptr[frontier]
        owner = np.repeat(np.arange(frontier.size), degree)
        first = np.cumsum(degree) - degree
        entry = np.arange(owner.size) - first[owner] + rowptr[frontier][owner]
        order = np.lexsort((rng.random(owner.size), owner))
        drawn = order[(np.arange(owner.size) - first[owner]) < fanout]
        neighbours = col[entry[drawn]]
        edges += drawn.size
        frontier = np.setdiff1d(neighbours, nodes)
        nodes, local = np.unique(np.concatenate([nodes, neighbours]), return_inverse=True)
        assert local.size  # the new numbers of the edges' ends
    return edges


def _neighbor_sampling(data: Data, batches: int) -> Benchmark:
    sampler = NeighborSampler(FANOUTS)
    pattern = sparsity_pattern(data.edge_index, data.num_nodes)
    rowptr, col = pattern.rowptr.numpy(), pattern.col.numpy()
    roots = torch.randperm(data.num_nodes)[: batches * ROOTS]
    drawn: list[float] = []

    def ours() -> None:
        start, edges = time.perf_counter(), 0
        for batch in sampler.batches(data, roots, batch_size=ROOTS):
            edges += batch.num_edges
        drawn.append(time.perf_counter() - start)

    def theirs() -> None:
        rng = np.random.default_rng(0)
        for part in roots.split(ROOTS):
            _numpy_neighbors(rowptr, col, part.numpy(), rng)

    return Benchmark(
        ours,
        theirs,
        against="random keys and sorting in numpy, without features",
        rounds=3,
        details=lambda: {
            "nodes": data.num_nodes,
            "edges": data.num_edges,
            "roots_per_second": roots.numel() / min(drawn),
        },
    )


def _skewed(num_nodes: int, num_pairs: int) -> Data:
    """An undirected graph whose degrees are far from equal, edges sorted by target."""
    rng = np.random.default_rng(0)
    first = rng.integers(num_nodes, size=num_pairs, dtype=np.int32)
    second = (rng.random(num_pairs, dtype=np.float32) ** 2 * num_nodes).astype(np.int32) % num_nodes
    ends = np.concatenate([first, second]), np.concatenate([second, first])
    adjacency = coo_array((np.ones(2 * num_pairs, np.int8), ends), (num_nodes, num_nodes)).tocsr()
    adjacency.sort_indices()
    edge_index = torch.empty(2, adjacency.nnz, dtype=torch.long)
    edge_index[0] = torch.from_numpy(adjacency.indices)
    edge_index[1] = torch.from_numpy(np.repeat(np.arange(num_nodes), np.diff(adjacency.indptr)))
    return Data(edge_index=edge_index, num_nodes=num_nodes)


@benchmark("neighbor_sampling", goal=10.0, of="NeighborSampler")
def neighbor_sampling() -> Benchmark:
    """Neighbour sampling, 15-10-5, batches of 1024 roots: 200k nodes, 5M undirected edges."""
    return _neighbor_sampling(_skewed(200_000, 5_000_000), 4)


@benchmark("neighbor_sampling_large", goal=10.0, of="NeighborSampler")
def neighbor_sampling_large() -> Benchmark:
    """Neighbour sampling, 15-10-5, batches of 1024 roots: 2.4M nodes, 62M undirected edges (needs 6 GB)."""
    return _neighbor_sampling(_skewed(2_400_000, 62_000_000), 4)


@benchmark("layerwise_inference", goal=4.0)
def layerwise_inference() -> Benchmark:
    """All outputs of GraphSAINT 1-1-0, 64 wide, in chunks of 8192 nodes: 100k nodes, 2M undirected edges."""
    data = _skewed(100_000, 2_000_000)
    data.x = torch.randn(data.num_nodes, 64)
    model = GraphSAINT(64, 64, out_channels=16).eval()
    source = SubgraphSource(data.edge_index, data.num_nodes)

    @torch.no_grad()
    def theirs() -> torch.Tensor:
        h = data.x
        for i in range(len(model.layers)):
            rows = []
            for chunk in torch.arange(data.num_nodes).split(8192):
                subgraph = source.neighbors(chunk, [-1])
                part = Data(edge_index=subgraph.edge_index, num_nodes=subgraph.nodes.numel())
                rows.append(model.step(i, [h[subgraph.nodes]], part)[: chunk.numel()])
            h = torch.cat(rows)
        return model.decode(h, data)

    return Benchmark(
        ours=lambda: inference.layerwise_inference(model, data),
        opponent=theirs,
        against="each layer on every chunk and its neighbours, as PyG's BasicGNN.inference does",
        rounds=3,
        tolerance=1e-4,
    )


def _sampled_task() -> gk.NodeTask:
    data = _skewed(20_000, 200_000)
    data.x = torch.randn(data.num_nodes, 128, generator=torch.Generator().manual_seed(0))
    data.y = (data.x[:, 0] > 0).long()
    task = gk.NodeTask("prefetch", data, gk.Split.random(data.num_nodes, 0.05, 0.05))
    return task.sampled(NeighborSampler(FANOUTS, evaluate="whole"))


@benchmark("prefetch", goal=1.1)
def prefetch() -> Benchmark:
    """Four epochs of GCN on sampled subgraphs, drawn by a thread while the model trains: 20k nodes, 400k edges."""
    task = _sampled_task()

    def epochs(ahead: int) -> torch.Tensor:
        model = gk.models.GCN.from_task(task, hidden_channels=16, num_layers=3)
        settings = {"max_epochs": 4, "batch_size": ROOTS, "validate_every": 4, "progress": False}
        gk.Trainer(**settings, prefetch=ahead).fit(model, task, test=False)
        return torch.cat([weight.detach().flatten() for weight in model.parameters()])

    return Benchmark(lambda: epochs(2), lambda: epochs(0), against="prefetch=0", rounds=3, tolerance=0.0)


class _Batches(IterableDataset[Data]):
    """The batches of an epoch, drawn where they are iterated over."""

    def __init__(self, task: gk.NodeTask) -> None:
        self.task = task

    def __iter__(self) -> Iterator[Data]:
        return iter(self.task.batches("train", ROOTS, shuffle=True, generator=torch.Generator().manual_seed(0)))


@benchmark("prefetch_workers")
def workers() -> Benchmark:
    """An epoch of GCN on subgraphs that a thread draws, two ahead: 20k nodes, 400k edges."""
    task = _sampled_task()
    model = gk.models.GCN.from_task(task, hidden_channels=16, num_layers=3)
    loader = DataLoader(_Batches(task), batch_size=None, num_workers=1, prefetch_factor=2, persistent_workers=True)

    def epoch(batches: Iterable[Data]) -> torch.Tensor:
        model.zero_grad()
        for batch in batches:
            model(batch).square().mean().backward()
        return torch.cat([weight.grad.detach().flatten() for weight in model.parameters()])

    return Benchmark(
        lambda: epoch(ahead(iter(_Batches(task)), 2)),
        lambda: epoch(loader),
        against="one worker process of torch's DataLoader",
        rounds=5,
        tolerance=1e-6,
    )
