"""What a rewiring did to a graph or to a data set, in numbers and pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Data

from graphkit.algorithms import SimpleGraph, balanced_forman_curvature
from graphkit.algorithms.spectral.gap import gap
from graphkit.algorithms.spectral.resistance import total
from graphkit.core.files import atomic_write, write_json

CURVATURE_BINS = tuple(np.linspace(-2.0, 3.0, 26).round(1).tolist())
DRAWN_NODES = 60  # a picture shows the first graph of up to this size


@dataclass(frozen=True)
class RewiringReport:
    """Means over graphs before and after, and histograms over all of them.

    Attributes:
        num_graphs: The number of graphs.
        num_pairs: Joined pairs of nodes, ``(before, after)``, like all that follow.
        total_resistance: Sums of effective resistances within components; see
            :func:`~graphkit.algorithms.total_resistance` for large graphs.
        spectral_gap: Second eigenvalues of the normalised Laplacian.
        diameter: The largest finite distances; beyond 3000 nodes lower bounds by two sweeps.
        degrees: How many nodes have 0, 1, 2, ... neighbours.
        curvature: How many edges have a balanced Forman curvature in each bin of :data:`CURVATURE_BINS`; those outside
            are in the first or the last.
    """

    num_graphs: int
    num_pairs: tuple[float, float]
    total_resistance: tuple[float, float]
    spectral_gap: tuple[float, float]
    diameter: tuple[float, float]
    degrees: tuple[list[int], list[int]]
    curvature: tuple[list[int], list[int]]

    def __str__(self) -> str:
        lines = [f"{'mean over ' + str(self.num_graphs) + ' graphs':<24}{'before':>12}{'after':>12}"]
        for name in ("num_pairs", "total_resistance", "spectral_gap", "diameter"):
            before, after = getattr(self, name)
            lines.append(f"{name.replace('_', ' '):<24}{before:>12.5g}{after:>12.5g}")
        return "\n".join(lines)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all numbers as JSON."""
        write_json(path, asdict(self) | {"curvature_bins": CURVATURE_BINS})

    def plot(self, path: str | os.PathLike[str], graphs: tuple[Data, Data] | None = None) -> None:
        """Draw both histograms, and one graph before and after.

        Args:
            path: The picture's file.
            graphs: A small graph before and after (default: none).
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 3.5 if graphs is None else 7), layout="constrained")
        axes = figure.subplots(1 if graphs is None else 2, 2, squeeze=False)
        for number, (name, degrees, curvature) in enumerate(zip(("before", "after"), self.degrees, self.curvature)):
            axes[0, 0].step(range(len(degrees)), degrees, where="mid", color=f"C{number}", label=name)
            axes[0, 1].stairs(curvature, CURVATURE_BINS, color=f"C{number}", label=name)
            if graphs is not None:
                _draw(axes[1, number], graphs[number], graphs[0])
                axes[1, number].set_title(name)
        axes[0, 0].set(xlabel="degree", ylabel="nodes")
        axes[0, 1].set(xlabel="balanced Forman curvature", ylabel="edges")
        axes[0, 0].legend()
        with atomic_write(Path(path)) as temporary:
            figure.savefig(temporary, format="png", dpi=120)


def compare_graphs(before: Sequence[Data], after: Sequence[Data]) -> RewiringReport:
    """Measure graphs before and after a rewiring.

    Args:
        before: The graphs as they were.
        after: The same graphs, rewired.

    Example:
        >>> from graphkit.transforms.rewiring import EffectiveResistance
        >>> path = Data(edge_index=torch.tensor([range(9), range(1, 10)]), num_nodes=10)
        >>> print(compare_graphs([path], [EffectiveResistance(2)(path)]))
        mean over 1 graphs            before       after
        num pairs                          9          11
        total resistance                 165      65.312
        spectral gap                0.060307     0.24429
        diameter                           9           5
    """
    sides = [_measure(before), _measure(after)]
    return RewiringReport(len(before), *([side[key] for side in sides] for key in sides[0]))  # type: ignore[arg-type]


def small_pair(before: Sequence[Data], after: Sequence[Data]) -> tuple[Data, Data] | None:
    """The first graph that is small enough to be drawn, before and after."""
    pairs = zip(before, after)
    return next((pair for pair in pairs if 2 < int(pair[0].num_nodes or 0) <= DRAWN_NODES), None)


def _measure(graphs: Sequence[Data]) -> dict[str, Any]:
    simple = [SimpleGraph.from_edges(graph.edge_index, int(graph.num_nodes or 0)) for graph in graphs]
    degrees = np.concatenate([graph.degree for graph in simple]) if simple else np.empty(0, dtype=int)
    low, high = CURVATURE_BINS[0], CURVATURE_BINS[-1]
    curvature = np.zeros(len(CURVATURE_BINS) - 1, dtype=int)
    for graph in simple:
        pairs = torch.from_numpy(graph.pairs().T.copy())
        values = balanced_forman_curvature(pairs, graph.num_nodes).numpy().clip(low, high)
        curvature += np.histogram(values, CURVATURE_BINS)[0]
    return {
        "num_pairs": _mean(graph.num_pairs for graph in simple),
        "total_resistance": _mean(total(graph) for graph in simple),
        "spectral_gap": _mean(gap(graph) for graph in simple),
        "diameter": _mean(_diameter(graph) for graph in simple),
        "degrees": np.bincount(degrees).tolist(),
        "curvature": curvature.tolist(),
    }


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))


def _diameter(graph: SimpleGraph, exact_nodes: int = 3000) -> int:
    from scipy.sparse.csgraph import shortest_path

    if graph.num_nodes <= exact_nodes:
        distance = shortest_path(graph.adjacency, unweighted=True)
        return int(distance[np.isfinite(distance)].max(initial=0))
    start = int(graph.components()[int(graph.component_size.argmax())][0])
    for _ in range(2):  # the farthest node of the farthest node
        distance = shortest_path(graph.adjacency, unweighted=True, indices=start)
        distance[~np.isfinite(distance)] = -1
        start = int(distance.argmax())
    return int(distance.max())


def _draw(axes: Any, graph: Data, original: Data) -> None:
    """Nodes where the original graph puts them; edges that it does not have in another colour."""
    import networkx as nx

    def pairs(data: Data) -> set[tuple[int, int]]:
        return {(min(edge), max(edge)) for edge in data.edge_index.t().tolist() if edge[0] != edge[1]}

    old, drawn = nx.Graph(), nx.Graph()
    old.add_nodes_from(range(int(graph.num_nodes or 0)))
    drawn.add_nodes_from(old)
    old.add_edges_from(pairs(original))
    drawn.add_edges_from(pairs(graph))
    colors = ["0.6" if old.has_edge(*edge) else "C3" for edge in drawn.edges]
    nx.draw_networkx(drawn, nx.spring_layout(old, seed=0), ax=axes, node_size=15, edge_color=colors, with_labels=False)
    axes.axis("off")
