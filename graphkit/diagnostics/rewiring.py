"""What a rewiring did to a graph or to a data set, in numbers and pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch_geometric.data import Data, Dataset

from graphkit.algorithms import SimpleGraph, balanced_forman_curvature
from graphkit.algorithms.spectral.gap import gap
from graphkit.algorithms.spectral.resistance import total
from graphkit.core.constraints import checked
from graphkit.core.display import html_table
from graphkit.core.figures import new_figure, nth_colour, save_figure
from graphkit.core.files import write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVATURE_BINS = tuple(np.linspace(-2.0, 3.0, 26).round(1).tolist())
DRAWN_NODES = 60  # a picture shows the first graph of up to this size


@dataclass(frozen=True, repr=False)
class RewiringReport:
    """Means over graphs before and after, and histograms over all of them.

    Attributes:
        num_graphs: The number of graphs.
        num_pairs: Joined pairs of nodes, ``(before, after)``, like all that follow.
        num_components: Connected components.
        total_resistance: Sums of effective resistances within components; see
            :func:`~graphkit.algorithms.total_resistance` for large graphs. Between components it is infinite, so that
            the sum falls where a graph falls apart, which is no gain.
        spectral_gap: Second eigenvalues of the normalised Laplacian.
        diameter: The largest finite distances; beyond 3000 nodes lower bounds by two sweeps.
        degrees: How many nodes have 0, 1, 2, ... neighbours.
        curvature: How many edges have a balanced Forman curvature in each bin of :data:`CURVATURE_BINS`; those outside
            are in the first or the last.
    """

    num_graphs: int
    num_pairs: tuple[float, float]
    num_components: tuple[float, float]
    total_resistance: tuple[float, float]
    spectral_gap: tuple[float, float]
    diameter: tuple[float, float]
    degrees: tuple[list[int], list[int]]
    curvature: tuple[list[int], list[int]]

    def __str__(self) -> str:
        lines = [f"{name:<24}{before:>12}{after:>12}" for name, before, after in self.rows()]
        if self.num_components[0] != self.num_components[1]:
            lines.append("components differ; resistance and diameter leave out what is infinite and do not compare")
        return "\n".join(lines)

    __repr__ = __str__

    def rows(self) -> list[list[str]]:
        """The table: a row per mean, before and after."""
        names = ("num_pairs", "num_components", "total_resistance", "spectral_gap", "diameter")
        means = [[name.replace("_", " "), *(f"{value:.5g}" for value in getattr(self, name))] for name in names]
        return [[f"mean over {self.num_graphs} graphs", "before", "after"], *means]

    def _repr_html_(self) -> str:
        return html_table("Graphs before and after", self.rows(), header=True)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all numbers as JSON."""
        write_json(path, asdict(self) | {"curvature_bins": CURVATURE_BINS})

    def plot(self, path: str | os.PathLike[str] | None = None, graphs: tuple[Data, Data] | None = None) -> Figure:
        """Draw both histograms, and one graph before and after, with the edges that were added and removed.

        Args:
            path: The picture's file; the ending names the format (default: none).
            graphs: A small graph before and after (default: none).
        """
        figure = new_figure(9, 3.5 if graphs is None else 7)
        axes = figure.subplots(1 if graphs is None else 2, 2, squeeze=False)
        for number, (name, degrees, curvature) in enumerate(zip(("before", "after"), self.degrees, self.curvature)):
            axes[0, 0].step(range(len(degrees)), degrees, where="mid", color=nth_colour(number), label=name)
            axes[0, 1].stairs(curvature, CURVATURE_BINS, color=nth_colour(number), label=name)
        axes[0, 0].set(xlabel="degree", ylabel="nodes", title=f"degrees of {self.num_graphs} graphs")
        axes[0, 1].set(xlabel="balanced Forman curvature", ylabel="edges", title="curvature of their edges")
        for panel in axes[0]:
            panel.legend()
        if graphs is not None:
            _draw_pair(axes[1], *graphs)
        save_figure(figure, path)
        return figure


@checked
def compare_graphs(before: Sequence[Data] | Dataset, after: Sequence[Data] | Dataset) -> RewiringReport:
    """Measure graphs before and after a rewiring.

    Args:
        before: The graphs as they were.
        after: The same graphs, rewired.

    Raises:
        ValueError: If there are no graphs, not as many after as before, or fewer nodes in one.

    Example:
        >>> from graphkit.transforms.rewiring import EffectiveResistance
        >>> path = Data(edge_index=torch.tensor([range(9), range(1, 10)]), num_nodes=10)
        >>> print(compare_graphs([path], [EffectiveResistance(2)(path)]))
        mean over 1 graphs            before       after
        num pairs                          9          11
        num components                     1           1
        total resistance                 165      65.312
        spectral gap                0.060307     0.24429
        diameter                           9           5
    """
    if not before or len(before) != len(after):
        raise ValueError(
            f"compare_graphs: {len(before)} graphs before and {len(after)} after; pass the same graphs, one at least"
        )
    for number, (graph, rewired) in enumerate(zip(before, after)):
        if int(graph.num_nodes or 0) > int(rewired.num_nodes or 0):
            raise ValueError(
                f"compare_graphs: graph {number} has {graph.num_nodes} nodes before and {rewired.num_nodes} after; "
                "keep them in order"
            )
    sides = [_measure(before), _measure(after)]
    return RewiringReport(len(before), *([side[key] for side in sides] for key in sides[0]))  # type: ignore[arg-type]


def small_pair(before: Sequence[Data], after: Sequence[Data]) -> tuple[Data, Data] | None:
    """The first graph that is small enough to be drawn, before and after."""
    pairs = zip(before, after)
    return next((pair for pair in pairs if 2 < int(pair[0].num_nodes or 0) <= DRAWN_NODES), None)


def _measure(graphs: Sequence[Data]) -> dict[str, Any]:
    simple = [SimpleGraph.from_edges(graph.edge_index, int(graph.num_nodes or 0)) for graph in graphs]
    degrees = np.concatenate([graph.degree for graph in simple])
    low, high = CURVATURE_BINS[0], CURVATURE_BINS[-1]
    curvature = np.zeros(len(CURVATURE_BINS) - 1, dtype=int)
    for graph in simple:
        pairs = torch.from_numpy(graph.pairs().T.copy())
        values = balanced_forman_curvature(pairs, graph.num_nodes).numpy().clip(low, high)
        curvature += np.histogram(values, CURVATURE_BINS)[0]
    return {
        "num_pairs": _mean(graph.num_pairs for graph in simple),
        "num_components": _mean(graph.component_size.size for graph in simple),
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


def _draw_pair(panels: Any, before: Data, after: Data) -> None:
    """Both graphs with their nodes in the same places, and in the second one what was added and removed."""
    import networkx as nx
    from matplotlib.lines import Line2D

    old, new = (SimpleGraph.from_edges(graph.edge_index, int(graph.num_nodes or 0)) for graph in (before, after))
    first, second = ({tuple(pair) for pair in graph.pairs().tolist()} for graph in (old, new))
    graph = nx.Graph(sorted(first))
    graph.add_nodes_from(range(old.num_nodes))
    places = nx.spring_layout(graph, seed=0)
    graph.add_nodes_from(range(old.num_nodes, new.num_nodes))
    places |= {node: np.zeros(2) for node in range(old.num_nodes, new.num_nodes)}  # new ones in the middle
    kinds: dict[str, tuple[str, Any, set[Any]]] = {
        "kept": ("0.6", "-", first & second),
        "added": (nth_colour(1), "-", second - first),
        "removed": (nth_colour(0), ":", first - second),
    }
    for panel, current, shown in ((panels[0], old, [("0.6", "-", first)]), (panels[1], new, list(kinds.values()))):
        nx.draw_networkx_nodes(graph, places, range(current.num_nodes), ax=panel, node_size=15)
        for color, style, pairs in shown:
            nx.draw_networkx_edges(graph, places, sorted(pairs), ax=panel, edge_color=color, style=style)
        count = current.component_size.size
        name = "before" if current is old else "after"
        panel.set_title(f"{name}: {current.num_pairs} pairs, {count} component{'s' * (count > 1)}")
        panel.axis("off")
    panels[0].set(xlim=panels[1].get_xlim(), ylim=panels[1].get_ylim())
    lines = [Line2D([], [], color=color, ls=style) for color, style, _ in kinds.values()]
    panels[1].legend(lines, [f"{len(pairs)} {name}" for name, (_, _, pairs) in kinds.items()], fontsize=8)
