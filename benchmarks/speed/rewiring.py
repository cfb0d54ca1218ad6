"""Rewirings against dense implementations of the authors' algorithms."""

from __future__ import annotations

import math
import resource
import time
from typing import Any

import numba
import numpy as np
import torch
from scipy.linalg import pinvh

from benchmarks.speed.common import RESULTS, Benchmark, benchmark
from graphkit.algorithms import SimpleGraph, greedy_resistance
from graphkit.transforms.rewiring import SDRF, FoSR

NODES, EDGES, BUDGET = 2000, 4000, 50


def _gnm(num_nodes: int = NODES, num_edges: int = EDGES) -> SimpleGraph:
    """A uniform graph: networkx's of seed 0 where that takes no minutes."""
    if num_nodes <= NODES:
        import networkx as nx

        edges = torch.tensor(list(nx.gnm_random_graph(num_nodes, num_edges, seed=0).edges)).t()
    else:
        ends = np.random.default_rng(0).integers(num_nodes, size=(2, num_edges + num_edges // 50))
        edges = torch.from_numpy(ends[:, ends[0] != ends[1]][:, :num_edges])
    return SimpleGraph.from_edges(edges, num_nodes)


def _dense_greedy(graph: SimpleGraph, num_edges: int) -> torch.Tensor:
    """What the authors do: a pseudo-inverse by singular values, then all pairs in dense matrices for every edge."""
    inverse = np.linalg.pinv(graph.laplacian().toarray())
    square = inverse @ inverse
    size = graph.component_size[graph.component]
    free = (graph.component[:, None] == graph.component) & (graph.adjacency.toarray() == 0)
    np.fill_diagonal(free, False)
    drops = []
    for _ in range(num_edges):
        d, p = inverse.diagonal(), square.diagonal()
        resistance = d[:, None] + d - 2 * inverse
        gain = np.where(free, (p[:, None] + p - 2 * square) / (1 + resistance) * size, -1.0)
        s, t = divmod(int(gain.argmax()), len(size))
        drops.append(gain[s, t])
        free[s, t] = free[t, s] = False
        v, w = inverse[:, s] - inverse[:, t], square[:, s] - square[:, t]
        scale = 1 / (1 + v[s] - v[t])
        inverse = inverse - scale * np.outer(v, v)
        square = square - scale * (np.outer(v, w) + np.outer(w, v)) + (v @ v) * scale**2 * np.outer(v, v)
    return torch.tensor(drops)


def _exact(graph: SimpleGraph, num_edges: int) -> torch.Tensor:
    return torch.from_numpy(greedy_resistance(graph, num_edges, "exact").drops)


@benchmark("resistance_exact_setup", goal=10.0, of="EffectiveResistance")
def resistance_exact_setup() -> Benchmark:
    """Greedy total resistance up to the first edge: gnm(2000, 4000)."""
    graph = _gnm()
    laplacian = graph.laplacian().toarray()
    return Benchmark(
        ours=lambda: _exact(graph, 1),
        opponent=lambda: _dense_greedy(graph, 1),
        against="pseudo-inverse by singular values, dense matrices",
        beside=("scipy.linalg.pinvh, which chooses no edge", lambda: pinvh(laplacian)),
        rounds=3,
        tolerance=1e-8,
    )


@benchmark("resistance_exact_50_edges", goal=8.0, of="EffectiveResistance")
def resistance_exact_50_edges() -> Benchmark:
    """Greedy total resistance, 50 edges: gnm(2000, 4000)."""
    graph = _gnm()
    laplacian = graph.laplacian().toarray()
    return Benchmark(
        ours=lambda: _exact(graph, BUDGET),
        opponent=lambda: _dense_greedy(graph, BUDGET),
        against="pseudo-inverse by singular values, dense matrices",
        beside=("scipy.linalg.pinvh once, which chooses no edge", lambda: pinvh(laplacian)),
        rounds=3,
        tolerance=1e-8,
    )


@numba.njit(cache=True)
def _dense_fosr(a: np.ndarray, x: np.ndarray, num_edges: int, steps: int) -> np.ndarray:
    """The authors' loop: the outer product of the vector with itself, edges masked, for every edge."""
    n = x.size
    degree = a.sum(axis=1)
    pairs = np.empty((num_edges, 2), np.int64)
    for done in range(-steps, num_edges):
        if done >= 0:
            z = x / np.sqrt(degree + 1)
            product = np.outer(z, z)
            best, row, column = np.inf, 0, 0
            for u in range(n):
                for v in range(n):
                    if u != v and a[u, v] == 0 and product[u, v] < best:
                        best, row, column = product[u, v], u, v
            pairs[done, 0], pairs[done, 1] = row, column
            a[row, column] = a[column, row] = 1
            degree[row] += 1
            degree[column] += 1
        root = np.sqrt(degree)
        x = x - (x @ root) * root / degree.sum()
        y = x + (a @ (x / root)) / root
        x = y / np.linalg.norm(y)
    return pairs


@benchmark("fosr", goal=50.0, of="FoSR")
def fosr() -> Benchmark:
    """FoSR, 50 edges: the largest component of gnm(2000, 4000)."""
    graph = _gnm()
    graph = graph.induced(max(graph.components(), key=len))
    start = np.random.default_rng(0).uniform(-1, 1, graph.num_nodes)
    method, dense = FoSR(BUDGET), graph.adjacency.toarray()
    return Benchmark(
        ours=lambda: torch.from_numpy(method.sequence(graph, start)[0]).double(),
        opponent=lambda: torch.from_numpy(_dense_fosr(dense.copy(), start.copy(), BUDGET, 5)).double(),
        against="outer products, compiled",
        rounds=9,
    )


@numba.njit(cache=True)
def _dense_value(a: np.ndarray, walks: np.ndarray, x: int, y: int, degree_x: float, degree_y: float) -> float:
    """The authors' code's curvature of (x, y), from a row of both matrices for each of its sides."""
    small, large = min(degree_x, degree_y), max(degree_x, degree_y)
    corners, most = 0, 0.0
    for k in range(a.shape[0]):
        for product in (a[k, y] * (walks[x, k] - a[x, k]), a[x, k] * (walks[k, y] - a[k, y])):
            corners += product > 0
            most = max(most, product)
    value = 2 / large + 2 / small - 2 + (2 / large + 1 / small) * walks[x, y]
    return value + corners / (most * large) if most > 0 else value


@numba.njit(cache=True)
def _dense_curvature(a: np.ndarray, walks: np.ndarray) -> tuple[int, int]:
    """The joined pair of the smallest curvature."""
    degree = a.sum(axis=0)
    least, x, y = np.inf, -1, -1
    for u in range(a.shape[0]):
        for v in range(a.shape[0]):
            if a[u, v] > 0:
                value = _dense_value(a, walks, u, v, degree[u], degree[v])
                if value < least:
                    least, x, y = value, u, v
    return x, y


@numba.njit(cache=True)
def _dense_gain(a: np.ndarray, walks: np.ndarray, x: int, y: int, i: int, j: int) -> float:
    """The curvature of (x, y) once there is the edge from i to j."""
    row, column = walks[x].copy(), walks[:, y].copy()
    if i == x:
        walks[x] += a[j]
    elif a[x, i] > 0:
        walks[x, j] += 1
    if j == y:
        walks[:, y] += a[:, i]
    elif a[j, y] > 0:
        walks[i, y] += 1
    a[i, j] = 1
    value = _dense_value(a, walks, x, y, a[:, x].sum(), a[y].sum())
    a[i, j] = 0
    walks[x], walks[:, y] = row, column
    return value


def _dense_sdrf(graph: SimpleGraph, num_edges: int) -> np.ndarray:
    """The authors' loop: a product of dense matrices and the curvature of all edges for every edge added."""
    a = graph.adjacency.toarray().astype(np.float64)
    near = [row.nonzero()[0].tolist() for row in a]
    added = []
    for _ in range(num_edges):
        walks = a @ a
        x, y = _dense_curvature(a, walks)
        pairs = [(i, j) for i in [*near[x], x] for j in [*near[y], y] if i != j and a[i, j] == 0]
        gains = [_dense_gain(a, walks, x, y, i, j) for i, j in pairs]
        i, j = pairs[int(np.argmax(gains))]
        a[i, j] = a[j, i] = 1
        near[i].append(j)
        near[j].append(i)
        added.append((i, j))
    return np.array(added)


@benchmark("sdrf", goal=50.0, of="SDRF")
def sdrf() -> Benchmark:
    """SDRF, 50 edges, the best each time: gnm(2000, 4000)."""
    graph, method = _gnm(), SDRF(BUDGET, tau=math.inf, removal_bound=None)
    return Benchmark(
        ours=lambda: torch.from_numpy(method.sequence(graph)[0]).double(),
        opponent=lambda: torch.from_numpy(_dense_sdrf(graph, BUDGET)).double(),
        against="all curvatures anew for every edge, from dense matrices, compiled",
        rounds=3,
    )


@benchmark("sdrf_dense_graph", goal=3.0, of="SDRF")
def sdrf_dense_graph() -> Benchmark:
    """SDRF, 10 edges, the best each time: gnm(300, 20000)."""
    graph, method = _gnm(300, 20_000), SDRF(10, tau=math.inf, removal_bound=None)
    return Benchmark(
        ours=lambda: torch.from_numpy(method.sequence(graph)[0]).double(),
        opponent=lambda: torch.from_numpy(_dense_sdrf(graph, 10)).double(),
        against="all curvatures anew for every edge, from dense matrices, compiled",
        rounds=5,
    )


@benchmark("resistance_sketch", goal=1.0, of="EffectiveResistance")
def resistance_sketch() -> Benchmark:
    """Greedy total resistance with candidates, 50 edges: gnm(5000, 10000)."""
    graph = _gnm(5000, 10_000)
    return Benchmark(
        ours=lambda: torch.from_numpy(greedy_resistance(graph, BUDGET, "sketch").drops).sum(),
        opponent=lambda: _exact(graph, BUDGET).sum(),
        against="our exact back end",
        rounds=2,
        tolerance=0.02,
        details=_growth,
    )


def _growth(largest: int = 1_200_000) -> dict[str, Any]:
    """Seconds, peak memory and gain from ten thousand to 1.2 million edges, and the picture of them."""
    rows = []
    for nodes, edges in ((10_000, 20_000), (10_000, 70_000), (40_000, 280_000), (170_000, 1_200_000)):
        if edges > largest:
            continue
        graph = _gnm(nodes, edges)
        start = time.perf_counter()
        chosen = greedy_resistance(graph, BUDGET, "sketch")
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows.append({"nodes": nodes, "edges": edges, "seconds": seconds, "peak_megabytes": peak})
        rows[-1]["gain"] = float(chosen.drops.sum())
        print(f"    {rows[-1]}", flush=True)
    _plot(rows)
    return {"growth": rows}


def _plot(rows: list[dict[str, float]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    edges, seconds = [row["edges"] for row in rows], [row["seconds"] for row in rows]
    axes.loglog(edges, seconds, marker="o", label="candidates, 50 edges")
    axes.loglog(edges, [seconds[-1] * e / edges[-1] for e in edges], linestyle=":", label="proportional to edges")
    axes.set_xlabel("edges of the graph")
    axes.set_ylabel("seconds, one thread")
    axes.legend()
    RESULTS.mkdir(parents=True, exist_ok=True)
    figure.savefig(RESULTS / "resistance_sketch.png", dpi=120)
