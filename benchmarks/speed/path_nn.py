"""PathNN: enumeration against Python lists, training steps against an LSTM over every path."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import networkx as nx
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.utils import to_networkx

from benchmarks.speed.common import Benchmark, benchmark, extra_memory
from graphkit.algorithms import enumerate_paths
from graphkit.models import PathNN

GRAPHS, NODES, RINGS, MAX_DEGREE = 128, 24, 3, 4
HIDDEN, LENGTH, NODE_TYPES, EDGE_TYPES = 140, 4, 28, 4


def _molecules(num_graphs: int = GRAPHS) -> Batch:
    """Random trees of bounded degree, each with a few further edges."""
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    graphs = []
    for _ in range(num_graphs):
        edges: set[tuple[int, int]] = set()
        degree = np.zeros(NODES, dtype=int)
        for new in [*range(1, NODES), *[None] * RINGS]:
            while True:
                ends = (
                    (int(rng.integers(new)), new)
                    if new
                    else tuple(sorted(rng.choice(NODES, 2, replace=False).tolist()))
                )
                if max(degree[list(ends)]) < MAX_DEGREE and ends not in edges:
                    break
            edges.add(ends)
            degree[list(ends)] += 1
        pairs = torch.tensor(sorted(edges)).t()
        pairs = torch.cat([pairs, pairs.flip(0)], dim=1)
        graph = Data(edge_index=pairs[:, (pairs[0] * NODES + pairs[1]).argsort()], num_nodes=NODES)
        graph.x = torch.randint(NODE_TYPES, (NODES, 1), generator=generator)
        graph.edge_attr = torch.randint(EDGE_TYPES, (graph.num_edges,), generator=generator)
        graphs.append(graph)
    return Batch.from_data_list(graphs)


# ---------------------------------------------------------------------- enumeration


def _with_lists(edge_index: Tensor, num_nodes: int, length: int) -> list[Tensor]:
    """Simple paths with distances by depth-first search over Python lists, then tensors."""
    neighbours: list[list[int]] = [[] for _ in range(num_nodes)]
    for source, target in edge_index.t().tolist():
        neighbours[target].append(source)
    rows: list[list[list[int]]] = [[] for _ in range(length)]
    distances: list[list[list[int]]] = [[] for _ in range(length)]
    for end in range(num_nodes):
        far, frontier = {end: 0}, [end]
        for hops in range(1, length + 1):
            frontier = [w for v in frontier for w in neighbours[v] if far.setdefault(w, hops) == hops]
        stack = [[end]]
        while stack:
            path = stack.pop()
            if len(path) > 1:
                rows[len(path) - 2].append(path)
                distances[len(path) - 2].append([far[v] for v in path])
            if len(path) <= length:
                stack.extend([*path, w] for w in reversed(neighbours[path[-1]]) if w not in path)
    tensors = []
    for of_nodes, of_distances in zip(rows, distances):
        tensors += [torch.tensor(of_nodes).t(), torch.tensor(of_distances)]
    return tensors


def _networkx(network: nx.Graph, length: int) -> None:
    for node in network:
        deque(nx.all_simple_paths(network, node, network.nodes, cutoff=length), maxlen=0)


def _enumeration(length: int) -> Benchmark:
    batch = _molecules()
    network = to_networkx(batch, to_undirected=True)

    def ours() -> tuple[Tensor, ...]:
        sets = enumerate_paths(batch.edge_index.clone(), batch.num_nodes, length)  # a clone: nothing is cached
        return tuple(part for paths in sets for part in (paths.nodes, paths.distances))

    return Benchmark(
        ours=ours,
        opponent=lambda: tuple(_with_lists(batch.edge_index, batch.num_nodes, length)),
        against="depth-first search in Python (the official code, elsewhere: "
        + {4: "0.33 s at a calibration of 22.5 ms)", 7: "1.2 s at a calibration of 22.5 ms)"}[length],
        beside=("networkx.all_simple_paths, without distances", lambda: _networkx(network, length)),
        tolerance=0,
    )


@benchmark("paths_4", goal=25.0, of="PathNN")  # 50 against the official code, twice as slow as this opponent
def paths_4() -> Benchmark:
    """Simple paths up to length 4 of 128 molecule-like graphs (24 nodes, 3 rings)."""
    return _enumeration(4)


@benchmark("paths_7", goal=25.0, of="PathNN")
def paths_7() -> Benchmark:
    """Simple paths up to length 7 of 128 molecule-like graphs (24 nodes, 3 rings)."""
    return _enumeration(7)


# ---------------------------------------------------------------------- training step


def _model() -> PathNN:
    torch.manual_seed(0)
    return PathNN(
        1,
        HIDDEN,
        num_layers=LENGTH,
        out_channels=1,
        paths="simple",
        node_types=[NODE_TYPES],
        edge_types=[EDGE_TYPES],
        mlp=True,
        readout="sum",
    )


def _path_by_path(model: PathNN, data: Batch) -> Tensor:
    """The same network with torch's LSTM on the concatenated inputs of every path."""
    numbers = data.edge_index[0] * data.num_nodes + data.edge_index[1]  # sorted
    edges = model.edge_encoder(data.edge_attr)
    h = model.node_encoder(data.x)
    for k, layer in enumerate(model.layers, 1):
        path = data[f"path_index_{k}"].long().flip(0)
        distance = layer.conv.distance_encoder(data[f"path_distance_{k}"].long().t().flip(0))
        along = edges[torch.searchsorted(numbers, path[:-1] * data.num_nodes + path[1:])]
        inputs = torch.cat([h[path], distance, F.pad(along, (0, 0, 0, 0, 1, 0))], dim=2)
        last = layer.conv.lstm(inputs)[1][0][0]
        h = layer.mlp(layer.norm(h + torch.zeros_like(h).index_add(0, path[-1], last)))
    return model.head(torch.zeros(data.num_graphs, HIDDEN).index_add(0, data.batch, h))


def _step(ours: bool, num_graphs: int) -> Callable[[], tuple[Tensor, ...]]:
    model, batch = _model(), _molecules(num_graphs)
    data = model.required_transform()(batch)
    parameters = list(model.parameters())

    def step() -> tuple[Tensor, ...]:
        out = model(data) if ours else _path_by_path(model, data)
        return out.detach(), *torch.autograd.grad(out.square().mean(), parameters)[:3]

    return step


def _warm_and_run(ours: bool) -> tuple[Callable[[], object], Callable[[], object]]:
    return _step(ours, 2), _step(ours, GRAPHS)


@benchmark("path_nn", goal=4.0, of="PathNN")
def path_nn() -> Benchmark:
    """PathNN-AP for ZINC (h=140, K=4), forward and backward: 128 molecule-like graphs (24 nodes, 3 rings)."""
    return Benchmark(
        ours=_step(True, GRAPHS),
        opponent=_step(False, GRAPHS),
        against="torch.nn.LSTM on every path (the official code, elsewhere: 11.9 s at a calibration of 22.5 ms)",
        rounds=5,
        tolerance=1e-2,  # float32 through batch norms; tests compare in double precision
        details=lambda: {
            "ours_megabytes": extra_memory(_warm_and_run, True),
            "opponent_megabytes": extra_memory(_warm_and_run, False),
        },
    )
