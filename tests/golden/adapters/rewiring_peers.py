"""FoSR from a given vector, balanced Forman curvature in its definitions, and SDRF replayed step by step."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch_geometric.data import Data

from graphkit.algorithms import SimpleGraph, balanced_forman_curvature, spectral_gap
from graphkit.algorithms.kernels.curvature import balanced_forman, official_balanced_forman
from graphkit.algorithms.kernels.sdrf import improvements
from graphkit.transforms.rewiring import SDRF, FoSR
from graphkit.transforms.rewiring.base import EdgeChange, PairRewiring
from tests.golden.files import GoldenFile

METHODS = ("FoSR", "SDRF")
ORACLE = "authors' code"

TOLERANCE = 1e-9
TIE = 1e-9


def check(file: GoldenFile) -> None:
    adjacency = file["adj"]
    assert np.array_equal(np.stack(np.nonzero(adjacency)), file["edge_index"]), f"{file.path}: edge_index"
    graph = SimpleGraph.from_edges(file.tensor("edge_index"), adjacency.shape[0])
    if "fosr_x0" in file:
        _check_fosr(file, graph)
    _check_curvature(file, graph)
    for prefix, removes in (("sdrf_", True), ("sdrf_noremove_", False)):
        if f"{prefix}added" in file:
            _check_sdrf(file, graph, prefix, removes)


class _Given(PairRewiring):
    """Adds given pairs."""

    report = False

    def __init__(self, pairs: np.ndarray) -> None:
        self.pairs = pairs

    def choose(self, graph: SimpleGraph) -> EdgeChange:
        return EdgeChange(self.pairs)


def _check_fosr(file: GoldenFile, graph: SimpleGraph) -> None:
    edges = file["fosr_new_edges"]
    fosr = FoSR(len(edges), initial_steps=file.scalar("fosr_initial_power_iters"))
    pairs, x = fosr.sequence(graph, np.array(file["fosr_x0"]))
    assert np.array_equal(pairs, np.sort(edges, axis=1)), f"{file.path}: fosr_new_edges"
    file.assert_close("fosr_x_final", x, TOLERANCE)
    data = Data(edge_index=file.tensor("edge_index"), num_nodes=graph.num_nodes)
    gaps = []
    for count in range(len(edges) + 1):
        out = _Given(pairs[:count])(data)
        gaps.append(spectral_gap(out.edge_index, num_nodes=graph.num_nodes))
    file.assert_close("fosr_spectral_gap", np.array(gaps), TOLERANCE)
    assert np.array_equal(np.sort(out.edge_type), np.sort(file["fosr_edge_type"])), f"{file.path}: fosr_edge_type"
    new = {tuple(edge) for edge in out.edge_index[:, out.edge_type == 1].t().tolist()}
    assert new == {(int(u), int(v)) for s, t in edges for u, v in ((s, t), (t, s))}


def _matrix(graph: SimpleGraph, values: np.ndarray) -> np.ndarray:
    out = np.zeros((graph.num_nodes, graph.num_nodes), dtype=values.dtype)
    out[tuple(_both(graph).T)] = values
    return out


def _both(graph: SimpleGraph) -> np.ndarray:
    """Both directions of every edge, in row-major order."""
    return np.stack(np.nonzero(graph.adjacency.toarray()), axis=1)


def _check_curvature(file: GoldenFile, graph: SimpleGraph) -> None:
    edge_index = torch.from_numpy(_both(graph).T.copy())
    for key, definition in (("bfc_paper", "paper"), ("bfc_code", "official")):
        values = balanced_forman_curvature(edge_index, graph.num_nodes, definition)
        file.assert_close(key, _matrix(graph, values.numpy()), TOLERANCE)
    # the authors' routine for processors: each row ends at the first node that is not a neighbour
    before_gap = np.cumprod(graph.adjacency.toarray() != 0, axis=1)
    file.assert_close("bfc_code_cpu_bug", _matrix(graph, values.numpy()) * before_gap, TOLERANCE)
    _, triangles, corners, most = balanced_forman(*graph.neighbours(), _both(graph))
    for key, values in (("triangles", triangles), ("four_cycle_sharp_i", corners), ("gamma_max", most)):
        assert np.array_equal(_matrix(graph, values), file[key]), f"{file.path}: {key!r} differs"


Lists = list[list[int]]


def _flat(near: Lists) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count = np.array([len(neighbours) for neighbours in near])
    return np.array([v for neighbours in near for v in neighbours]), np.cumsum(count) - count, count


def _pairs_of(near: Lists) -> np.ndarray:
    return np.array([(u, v) for u, neighbours in enumerate(near) for v in neighbours])


def _curvature(near: Lists) -> np.ndarray:
    """Zero on pairs that are not joined, as in the stored traces."""
    out = np.zeros((len(near), len(near)))
    out[tuple(_pairs_of(near).T)] = official_balanced_forman(*_flat(near), _pairs_of(near))
    return out


def _toggle(near: Lists, u: int, v: int, add: bool) -> None:
    """Append to both lists of neighbours, or take out of them."""
    for end, other in ((u, v), (v, u)):
        near[end].append(other) if add else near[end].remove(other)


def _check_sdrf(file: GoldenFile, graph: SimpleGraph, prefix: str, removes: bool) -> None:
    """Replay: each stored choice must be a best one of ours; the whole runs agree where there are no ties."""
    smallest, added = file[f"{prefix}min_edge"], file[f"{prefix}added"]
    removed = file[f"{prefix}removed"] if removes else np.full_like(added, -1)
    stored = file[f"{prefix}improvements"] if removes else None
    near: Lists = [[] for _ in range(graph.num_nodes)]
    for u, v in _both(graph).tolist():
        near[u].append(v)
    clear = 0  # steps before the first tie
    for step, (x, y) in enumerate(smallest):
        where = f"{file.path}: {prefix} step {step}"
        curvature = _curvature(near)
        edges = curvature[tuple(_pairs_of(near).T)]
        assert abs(curvature[x, y] - edges.min()) <= TIE, f"{where}: another edge has the smallest curvature"
        unique = (edges <= edges.min() + TIE).sum() == 2 and (edges >= edges.max() - TIE).sum() == 2
        pairs, gains = improvements(*_flat(near), int(x), int(y))
        if stored is not None:
            row = stored[step][~np.isnan(stored[step])]
            assert row.shape == gains.shape, f"{where}: {gains.size} candidates, expected {row.size}"
            assert np.abs(row - gains).max(initial=0.0) <= TOLERANCE, f"{where}: improvements differ"
        gap = file[f"{prefix}improvement_gap"][step]
        if gains.size > 1:
            first, second = -np.partition(-gains, 1)[:2]
            assert abs(first - second - gap) <= TOLERANCE, f"{where}: improvement_gap differs"
        clear += clear == step and unique and not gap <= TIE
        if added[step, 0] >= 0:
            chosen = (pairs == added[step]).all(axis=1)
            assert abs(gains[chosen].item() - gains.max()) <= TIE, f"{where}: another addition is better"
            _toggle(near, *map(int, added[step]), add=True)
        if removed[step, 0] >= 0:
            assert abs(curvature[tuple(removed[step])] - edges.max()) <= TIE, f"{where}: another edge is removed"
            _toggle(near, *map(int, removed[step]), add=False)
    if removes:
        final = np.zeros_like(file["sdrf_final_adj"])
        final[tuple(_pairs_of(near).T)] = 1
        assert np.array_equal(final, file["sdrf_final_adj"]), f"{file.path}: sdrf_final_adj"
    ours = SDRF(len(added), tau=math.inf, removal_bound=0.5 if removes else None).sequence(graph)
    for mine, theirs in zip(ours, (added, removed)):
        same = np.array_equal(np.sort(mine[:clear], axis=1), np.sort(theirs[:clear], axis=1))
        assert same, f"{file.path}: {prefix} differs"
