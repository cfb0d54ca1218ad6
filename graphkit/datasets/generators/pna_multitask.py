r"""The multi-task benchmark of PNA: distances, eccentricity, Laplacian; connectedness, diameter, spectral radius.

From `"Principal Neighbourhood Aggregation for Graph Nets" <https://arxiv.org/abs/2004.05718>`_ (NeurIPS 2020).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import torch
from torch_geometric.data import Data

from graphkit.core.constraints import Count, Seed, checked
from graphkit.datasets.generators.base import Generated, extrapolating
from graphkit.datasets.generators.random_graphs import eccentricities, mixed_graph

SIZES = range(15, 25)
EXTRAPOLATION = [range(start, start + 5) for start in range(20, 100, 5)]


@checked
def pna_multitask(
    *,
    level: Literal["graphs", "nodes"] = "graphs",
    variant: Literal["faithful", "corrected"] = "faithful",
    num_train: Count = 512,
    num_val: Count = 128,
    num_test: Count = 256,
    num_extrapolation: Count = 16,
    seed: Seed = 0,
) -> Generated:
    r"""Random graphs of ten families with 15 to 24 nodes, and larger ones to extrapolate to.

    Node features are whether the node is the source, and a uniform value. The targets of a node are its distance from
    the source (0 if there is no path), its eccentricity, and :math:`(Lx)_v` for the values :math:`x`; those of a graph
    are whether it is connected, its diameter and its spectral radius. Each is divided by its maximum over training.

    Args:
        level: ``"graphs"`` or ``"nodes"``: whose targets to predict (default: ``"graphs"``).
        variant: ``"faithful"``: as the authors' code, in which a connected *bipartite* graph counts as not connected,
            and only sizes 15 to 19 are validated and tested on; or ``"corrected"``: connected graphs are connected, and
            all ten sizes are used, with half as many graphs of each (default: ``"faithful"``).
        num_train: Training graphs of each of ten sizes (default: 512).
        num_val: Validation graphs of each of five sizes (default: 128).
        num_test: Test graphs of each of five sizes (default: 256).
        num_extrapolation: Test graphs of each of the five sizes of each further test part (256 in the paper)
            (default: 16).
        seed: The seed (default: 0).
    """
    if variant == "corrected" and min(num_val, num_test) < 2:
        raise ValueError(f"pna_multitask: num_val={num_val} and num_test={num_test}, must be at least 2 if corrected")
    faithful = variant == "faithful"
    tested = SIZES[:5] if faithful else SIZES
    share = 1 if faithful else 2
    parts = [(SIZES, num_train), (tested, num_val // share), (tested, num_test // share)]
    parts += [(sizes, num_extrapolation) for sizes in EXTRAPOLATION]
    rng = np.random.default_rng(seed)
    samples = [sample for sizes, count in parts for n in sizes for sample in _samples(n, count, faithful, rng)]
    lengths = [len(sizes) * count for sizes, count in parts]
    labels = [sample.graph_targets if level == "graphs" else sample.node_targets for sample in samples]
    peak = np.max([np.abs(label).max(0) for label in labels[: lengths[0]]], axis=0)
    peak[peak == 0] = 1
    graphs = []
    for sample, label in zip(samples, labels):
        graph = Data(x=torch.from_numpy(sample.x).float(), edge_index=torch.from_numpy(sample.edge_index))
        graph.y = torch.from_numpy(label / peak).float()
        if level == "nodes":
            graph.readout_mask = torch.ones(len(sample.x), dtype=torch.bool)
        graphs.append(graph)
    return Generated(graphs, extrapolating(lengths))


class Sample(NamedTuple):
    """A graph with all its targets before they are scaled.

    Attributes:
        x: Source mark and value, ``[n, 2]``.
        edge_index: Its edges in both directions, ``[2, num_edges]``.
        node_targets: Distance, eccentricity, Laplacian of the value, ``[n, 3]``.
        graph_targets: Connected, diameter, spectral radius, ``[1, 3]``.
    """

    x: np.ndarray
    edge_index: np.ndarray
    node_targets: np.ndarray
    graph_targets: np.ndarray


def _samples(n: int, count: int, faithful: bool, rng: np.random.Generator) -> list[Sample]:
    graphs = np.stack([mixed_graph(n, rng) for _ in range(count)])
    sources = rng.integers(0, n, count)
    values = rng.random((count, n))
    eccentricity, distance = eccentricities(graphs, sources)
    connected = (distance >= 0).all(1)
    if faithful:
        # the power of the adjacency matrix that the authors test for zeros has some if and only if all walks of that
        # length between two nodes are missing, which in a bipartite graph some always are
        same = distance[:, :, None] == distance[:, None, :]
        connected &= (graphs & same).any((1, 2))
    laplacian = graphs.sum(2) * values - (graphs @ values[:, :, None])[:, :, 0]
    radius = np.abs(np.linalg.eigvalsh(graphs.astype(float))).max(1)
    marks = sources[:, None] == np.arange(n)
    x = np.stack([marks, values], axis=2)
    node_targets = np.stack([distance.clip(0), eccentricity, laplacian], axis=2)
    graph_targets = np.stack([connected, eccentricity.max(1), radius], axis=1)[:, None]
    return [Sample(x[i], np.stack(graphs[i].nonzero()), node_targets[i], graph_targets[i]) for i in range(count)]
