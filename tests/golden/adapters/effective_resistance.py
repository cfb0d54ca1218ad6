"""Greedy total resistance: quantities of the graph, our sequences, and the stored sequences replayed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.algorithms import SimpleGraph, biharmonic_distance, effective_resistance, greedy_resistance
from graphkit.algorithms.spectral.laplacian import pseudo_inverse
from graphkit.algorithms.spectral.resistance import total
from graphkit.transforms.rewiring import EffectiveResistance
from tests.golden.files import GoldenFile

METHODS = ("EffectiveResistance",)
ORACLE = "authors' code"

TOLERANCE = 1e-9
TIE = 1e-6  # below this relative gap another of the tied edges may be taken


def check(file: GoldenFile) -> None:
    if "adj" not in file:
        for key in file:
            if key.endswith("_adj"):
                _check_distances(file, key.removesuffix("adj"))
        return
    _check_distances(file, "")
    graph = _graph(file["adj"])
    _assert_same(file, "component", graph.component)
    inverse = np.zeros((graph.num_nodes, graph.num_nodes))
    for nodes in graph.components():
        inverse[np.ix_(nodes, nodes)] = pseudo_inverse(graph.induced(nodes))
    file.assert_close("laplacian_pinv", inverse, TOLERANCE)
    for prefix, official in (("", True), ("size_weighted_", False)):
        if f"{prefix or 'greedy_'}edges" in file:
            _check_sequence(file, graph, prefix, official)
    if "official_edges" in file:
        _check_official(file, graph)


def _graph(adjacency: np.ndarray) -> SimpleGraph:
    return SimpleGraph.from_edges(_edges(adjacency), adjacency.shape[0])


def _edges(adjacency: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack(np.nonzero(adjacency)))


def _check_distances(file: GoldenFile, prefix: str) -> None:
    adjacency = file[f"{prefix}adj"]
    edge_index, n = _edges(adjacency), adjacency.shape[0]
    found = {"resistance": effective_resistance(edge_index, num_nodes=n)}
    if f"{prefix}biharmonic_sq" in file:
        found["biharmonic_sq"] = biharmonic_distance(edge_index, num_nodes=n).square()
    for key, value in found.items():
        expected = file.tensor(prefix + key)
        assert torch.equal(value.isfinite(), expected.isfinite()), f"{prefix}{key}: other pairs are infinite"
        torch.testing.assert_close(value, expected, rtol=TOLERANCE, atol=TOLERANCE)
    key = f"{prefix}total" if f"{prefix}total" in file else f"{prefix}total_resistance"
    file.assert_close(key, np.array(total(_graph(adjacency))), TOLERANCE)


def _gains(graph: SimpleGraph, official: bool) -> np.ndarray:
    """The gain of every pair, from scratch; -1 where there is no candidate."""
    edge_index, n = torch.from_numpy(graph.pairs().T.copy()), graph.num_nodes
    resistance = effective_resistance(edge_index, num_nodes=n).numpy()
    squares = biharmonic_distance(edge_index, num_nodes=n).square().numpy()
    free = np.isfinite(resistance) & np.triu(graph.adjacency.toarray() == 0, 1)
    gains = np.full((n, n), -1.0)
    gains[free] = squares[free] / (1 + resistance[free])
    return gains if official else np.where(free, gains * graph.component_size[graph.component][:, None], -1.0)


def _check_sequence(file: GoldenFile, graph: SimpleGraph, prefix: str, official: bool) -> None:
    names = prefix or "greedy_"
    edges, score, gap = file[f"{names}edges"], file[f"{names}score"], file[f"{names}relative_gap"]
    totals = file[f"{prefix}total_resistance_after"]
    found = greedy_resistance(graph, len(edges), "exact", official_score=official)
    sizes = graph.component_size[graph.component]
    ours = found.drops / (sizes[found.pairs[:, 0]] if official else 1)
    file.assert_close(f"{names}score", ours, TOLERANCE)
    after = total(graph) - np.concatenate([[0.0], np.cumsum(found.drops)])
    file.assert_close(f"{prefix}total_resistance_after", after, TOLERANCE)
    clear = int(np.argmax(np.append(gap, 0.0) <= TIE))  # steps before the first tie
    assert np.array_equal(found.pairs[:clear], np.sort(edges[:clear], axis=1)), f"{file.path}: {names}edges differ"
    replayed, own = graph, graph
    for step, pair in enumerate(edges):
        for current, chosen in ((replayed, np.sort(pair)), (own, found.pairs[step])):
            gains = _gains(current, official)
            first, second = -np.partition(-gains.ravel(), 1)[:2]
            assert abs(gains[tuple(chosen)] - first) <= TOLERANCE * first, f"{file.path}: {names}edges, step {step}"
            assert abs(first - score[step]) <= TOLERANCE * first, f"{file.path}: {names}score, step {step}"
            assert abs((first - second) / first - gap[step]) <= TOLERANCE, f"{file.path}: {names}gap, step {step}"
            assert abs(total(current) - totals[step]) <= TOLERANCE * totals[step], f"{file.path}: total, step {step}"
        replayed, own = (g.with_pairs(np.sort(p)[None]) for g, p in ((replayed, pair), (own, found.pairs[step])))


def _check_official(file: GoldenFile, graph: SimpleGraph) -> None:
    """The transform, in the official order, against what the official class returned."""
    edges, totals = file["official_edges"], file["official_total_resistance_after"]
    data = Data(edge_index=_edges(file["adj"]), num_nodes=graph.num_nodes)
    for count in range(1, len(edges) + 1):
        out = EffectiveResistance(count, official_score=True)(data)
        after = float(out.total_resistance[0, 1])
        assert abs(after - totals[count]) <= TOLERANCE * totals[count], f"{file.path}: official total after {count}"
    new = out.edge_index[:, out.edge_type == 1]
    assert new.size(1) == 2 * len(edges)
    gap = file["greedy_relative_gap"]
    if (gap > TIE).all():
        assert set(map(tuple, new.t().tolist())) == {(int(u), int(v)) for s, t in edges for u, v in ((s, t), (t, s))}


def _assert_same(file: GoldenFile, key: str, value: np.ndarray) -> None:
    assert np.array_equal(value, file[key]), f"golden file {file.path}: {key!r} differs"
