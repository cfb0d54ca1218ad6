"""Greedy reduction of total resistance by new edges: exact, or among candidate nodes of a large graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphkit.algorithms.graph import SimpleGraph
from graphkit.algorithms.spectral.laplacian import BLOCK, LaplacianSolver, pseudo_inverse
from graphkit.core.constraints import Count, NonNegativeInt, Seed, checked
from graphkit.core.validate import check_choice

EXACT_NODES = 3000  # "auto" is exact for components up to this size
ROUND = 64  # edges that are chosen among the same candidates
BACKENDS = ("auto", "exact", "sketch")


@dataclass(frozen=True)
class GreedyEdges:
    """A nested sequence of edges: its beginnings are the answers to smaller budgets.

    Attributes:
        pairs: The edges ``[num_edges, 2]`` in the order in which they were chosen, smaller node first.
        drops: By how much each lowers the total resistance.
    """

    pairs: np.ndarray
    drops: np.ndarray


@checked
def greedy_resistance(
    graph: SimpleGraph,
    num_edges: NonNegativeInt,
    backend: str = "auto",
    num_candidates: Count = 512,
    official_score: bool = False,
    seed: Seed = 0,
) -> GreedyEdges:
    r"""Choose edges one after another, each the one that lowers the total resistance most.

    An edge of conductance 1 between nodes of the same component, of :math:`n_c` nodes, lowers it by
    :math:`n_c B_{st}^2 / (1 + R_{st})`. The ``exact`` back end looks at all pairs: :math:`O(n_c^3)` once and
    :math:`O(n_c^2)` per edge, with two dense matrices. The ``sketch`` back end looks at all pairs of some candidate
    nodes, whose entries of :math:`L^+` and :math:`(L^+)^2` are solved for; among them it is exact. Candidates have a
    large norm in a random projection of :math:`L^+` (they are far from the centre) or are far from other candidates,
    in halves. After 64 edges in a component they are chosen anew. Its cost is near-linear in the edges of the graph.

    Args:
        graph: The graph.
        num_edges: How many edges; fewer come back when all components are complete.
        backend: ``"exact"``, ``"sketch"``, or ``"auto"`` for exact in components of up to 3000 nodes (default:
            ``"auto"``).
        num_candidates: The number of candidate nodes of a sketch (default: 512).
        official_score: Leave out :math:`n_c`, as the authors' code does (default: ``False``).
        seed: The seed of a sketch (default: 0).
    """
    check_choice(backend, BACKENDS, "back end of greedy resistance")
    parts = []
    for nodes in graph.components(smallest=3) if num_edges else []:
        exact = backend == "exact" or (backend == "auto" and nodes.size <= EXACT_NODES)
        chosen = nodes.size if exact else min(num_candidates, nodes.size)
        parts.append(_Component(graph.induced(nodes), nodes, chosen, num_edges, seed))
    pairs, drops = np.empty((num_edges, 2), dtype=np.int64), np.empty(num_edges)
    done = 0
    while done < num_edges and parts:
        best = max(parts, key=lambda part: part.gain * (1 if official_score else part.nodes.size))
        if best.gain <= 0:
            break
        drops[done] = best.gain * best.nodes.size
        pairs[done] = best.take()
        done += 1
    return GreedyEdges(pairs[:done], drops[:done])


class _Component:
    """The candidates of one component, with their parts of the inverse and its square."""

    def __init__(self, graph: SimpleGraph, nodes: np.ndarray, num_candidates: int, num_edges: int, seed: int) -> None:
        self.graph, self.nodes, self.seed = graph, nodes, seed
        self.num_candidates, self.num_edges = num_candidates, num_edges
        self._new: list[tuple[int, int]] = []  # edges since the last set-up
        self._prepare()

    @property
    def is_exact(self) -> bool:
        return self.num_candidates == self.nodes.size

    def _prepare(self) -> None:
        if self.is_exact:
            self._candidates = np.arange(self.nodes.size)
            self._inverse = pseudo_inverse(self.graph)
            self._square = _upper_square(self._inverse)
        else:
            if self._new:
                self.graph = self.graph.with_pairs(np.array(self._new))
                self._new = []
            solver = LaplacianSolver(self.graph, tolerance=1e-8, seed=self.seed)
            self._candidates = _candidates(solver, self.num_candidates, self.seed)
            columns = _columns(solver, self._candidates)
            self._inverse, self._square = columns[self._candidates], columns.T @ columns
        self._d, self._p = self._inverse.diagonal().copy(), self._square.diagonal().copy()
        room = min(self.num_edges, self._d.size) if self.is_exact else ROUND
        self._lists, self._start, self._count = self.graph.induced(self._candidates).neighbours(room)
        zeros = np.zeros(self._d.size)
        self._search(zeros, zeros, 0.0, 0.0)

    def _search(self, v: np.ndarray, w: np.ndarray, r: float, b: float) -> None:
        from graphkit.algorithms.kernels.greedy_resistance import best_edge

        self.gain, self._s, self._t = best_edge(
            self._inverse, self._square, self._d, self._p, v, w, r, b, self._lists, self._start, self._count
        )

    def take(self) -> np.ndarray:
        """Add the best edge, find the next, and return the nodes of the one added."""
        from graphkit.algorithms.kernels.greedy_resistance import difference

        s, t = self._s, self._t
        pair = np.sort(self._candidates[[s, t]])
        self._new.append((int(pair[0]), int(pair[1])))
        if not self.is_exact and len(self._new) == ROUND:
            self._prepare()
        else:
            for end, other in ((s, t), (t, s)):
                self._lists[self._start[end] + self._count[end]] = other
                self._count[end] += 1
            v, w = difference(self._inverse, self._d, s, t), difference(self._square, self._p, s, t)
            self._search(v, w, v[s] - v[t], w[s] - w[t])
        return self.nodes[pair]


def _upper_square(symmetric: np.ndarray) -> np.ndarray:
    """The upper triangle of a symmetric matrix times itself, at half the cost."""
    from scipy.linalg.blas import dsyrk

    return dsyrk(1.0, symmetric.T, lower=1).T


def _candidates(solver: LaplacianSolver, count: int, seed: int) -> np.ndarray:
    """Nodes with large rows of the inverse, and nodes whose rows differ from those of the others."""
    n = solver.graph.num_nodes
    signs = np.random.default_rng(seed).choice(np.array([-1.0, 1.0]), size=(n, BLOCK))
    points = solver.solve(signs)
    squares = np.einsum("ij,ij->i", points, points)
    chosen = np.zeros(n, dtype=bool)
    chosen[np.argsort(-squares, kind="stable")[: count // 2]] = True
    distance = np.full(n, np.inf)
    newest = int(squares.argmax())
    while chosen.sum() < count:  # farthest-first traversal
        np.minimum(distance, squares + squares[newest] - 2 * (points @ points[newest]), out=distance)
        distance[newest] = -1.0
        newest = int(distance.argmax())
        chosen[newest] = True
    return np.flatnonzero(chosen)


def _columns(solver: LaplacianSolver, nodes: np.ndarray) -> np.ndarray:
    """The columns of the inverse at some nodes."""
    out = np.empty((solver.graph.num_nodes, nodes.size))
    for start in range(0, nodes.size, BLOCK):
        block = nodes[start : start + BLOCK]
        unit = np.zeros((out.shape[0], block.size))
        unit[block, np.arange(block.size)] = 1.0
        out[:, start : start + BLOCK] = solver.solve(unit)
    return out
