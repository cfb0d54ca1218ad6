r"""Extrapolation tasks for learned pooling: small sets and graphs to train on, larger ones to test on.

After `"Learning to Pool in Graph Neural Networks for Extrapolation" <https://arxiv.org/abs/2106.06210>`_ (2021). The
paper's exact settings were not at hand: functions are of the kinds that it names, sizes are those usual in this
literature (20 to 40, then 50 to 100), distributions are our own choice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch_geometric.data import Data

from graphkit.core.constraints import Count, OneOf, Seed, checked
from graphkit.core.signatures import takes_arguments_of
from graphkit.datasets.generators.base import Generated, extrapolating
from graphkit.datasets.generators.random_graphs import Graph, eccentricities, erdos_renyi

SMALL, LARGE = (20, 40), (50, 100)

SET_TARGETS: dict[str, Callable[[np.ndarray], float]] = {
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "cardinality": np.size,
    "std": np.std,
}  # fmt: skip
GRAPH_TARGETS: dict[str, Callable[[Graph, np.ndarray], Any]] = {
    "max_degree": lambda graph, values: graph.sum(0).max(),
    "harmonic": lambda graph, values: 1 / np.mean(1 / values),
    "inverse_size": lambda graph, values: 1 / len(graph),
}
NODE_TARGETS: dict[str, Callable[[Graph, np.ndarray, int], np.ndarray]] = {
    "distance": lambda graph, values, source: eccentricities(graph[None], np.array([source]))[1][0].clip(0),
    "neighbourhood": lambda graph, values, source: graph @ values / graph.sum(1),
}


@checked
def gnp_sets(
    *,
    target: Annotated[str, OneOf(SET_TARGETS)] = "max",
    values: Literal["uniform", "mixture"] = "uniform",
    num_train: Count = 2000,
    num_val: Count = 500,
    num_test: Count = 500,
    num_extrapolation: Count = 500,
    seed: Seed = 0,
) -> Generated:
    """Sets of positive numbers; the label is one of their statistics.

    Args:
        target: ``"sum"``, ``"mean"``, ``"max"``, ``"min"``, ``"cardinality"`` or ``"std"`` (default: ``"max"``).
        values: ``"uniform"`` in 0..1, or ``"mixture"``: the absolute values of two Gaussians, other ones for each set
            (default: ``"uniform"``).
        num_train: Training examples, of 20 to 40 elements (default: 2000).
        num_val: Validation examples of the same sizes (default: 500).
        num_test: Test examples of the same sizes (default: 500).
        num_extrapolation: Test examples of 50 to 100 elements (default: 500).
        seed: The seed (default: 0).
    """
    function = SET_TARGETS[target]
    no_edges = torch.empty(2, 0, dtype=torch.long)

    def draw(n: int, rng: np.random.Generator) -> Data:
        x = rng.random(n) if values == "uniform" else _mixture(n, rng)
        label = torch.tensor([[float(function(x))]])
        return Data(x=torch.from_numpy(x).float()[:, None], edge_index=no_edges, y=label)

    return _generated(draw, num_train, num_val, num_test, num_extrapolation, seed)


@checked
@takes_arguments_of(gnp_sets, without=("values",))
def gnp_graphs(*, target: Annotated[str, OneOf(GRAPH_TARGETS)] = "max_degree", **sizes: Any) -> Generated:
    """Random graphs of mean degree 2 to 6 with a value in 0.1..1 at every node; the label is of the whole graph.

    Args:
        target: ``"max_degree"``, ``"harmonic"`` (the harmonic mean of the values) or ``"inverse_size"``
            (default: ``"max_degree"``).
    """
    function = GRAPH_TARGETS[target]

    def draw(n: int, rng: np.random.Generator) -> Data:
        graph, values = _random_graph(n, rng)
        label = torch.tensor([[float(function(graph, values))]])
        return _data(graph, [np.ones(n), values], y=label)

    return _generated(draw, **sizes)


@checked
@takes_arguments_of(gnp_sets, without=("values",))
def gnp_nodes(*, target: Annotated[str, OneOf(NODE_TARGETS)] = "distance", **sizes: Any) -> Generated:
    """Graphs as in :func:`gnp_graphs` and a source; every node has a label.

    Args:
        target: ``"distance"`` from the source (0 if there is no path), or ``"neighbourhood"`` (the mean value of the
            neighbours) (default: ``"distance"``).
    """
    function = NODE_TARGETS[target]

    def draw(n: int, rng: np.random.Generator) -> Data:
        graph, values = _random_graph(n, rng)
        source = int(rng.integers(n))
        label = torch.from_numpy(function(graph, values, source)).float()[:, None]
        marks = np.arange(n) == source
        return _data(graph, [marks, values], y=label, readout_mask=torch.ones(n, dtype=torch.bool))

    return _generated(draw, **sizes)


def _generated(
    draw: Callable[[int, np.random.Generator], Data],
    num_train: int,
    num_val: int,
    num_test: int,
    num_extrapolation: int,
    seed: int,
) -> Generated:
    """Examples of small sizes for training, validation and test, and of large ones to extrapolate to."""
    rng = np.random.default_rng(seed)
    small = rng.integers(SMALL[0], SMALL[1] + 1, num_train + num_val + num_test).tolist()
    large = rng.integers(LARGE[0], LARGE[1] + 1, num_extrapolation).tolist()
    graphs = [draw(n, rng) for n in small + large]
    return Generated(graphs, extrapolating([num_train, num_val, num_test, num_extrapolation]))


def _mixture(n: int, rng: np.random.Generator) -> np.ndarray:
    means, scales, share = rng.random(2), 0.05 + 0.2 * rng.random(2), rng.random()
    part = (rng.random(n) < share).astype(int)
    return np.abs(means[part] + scales[part] * rng.standard_normal(n))


def _random_graph(n: int, rng: np.random.Generator) -> tuple[Graph, np.ndarray]:
    """A random graph without isolated nodes, and a value per node."""
    graph = erdos_renyi(n, rng, rng.uniform(2, 6) / n)
    for node in np.flatnonzero(~graph.any(0)):
        other = (node + rng.integers(1, n)) % n
        graph[node, other] = graph[other, node] = True
    return graph, rng.uniform(0.1, 1.0, n)


def _data(graph: Graph, columns: list[np.ndarray], **rest: torch.Tensor) -> Data:
    x = torch.from_numpy(np.stack(columns, axis=1)).float()
    return Data(x=x, edge_index=torch.from_numpy(np.stack(graph.nonzero())), **rest)
