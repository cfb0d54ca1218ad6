"""Random graphs of the families of the PNA benchmark, as dense adjacency matrices."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

Graph = np.ndarray  # bool [n, n], symmetric, no loops

_KEEP = 0.9


def from_pairs(n: int, first: np.ndarray, second: np.ndarray) -> Graph:
    """The graph with the edges ``first[i] - second[i]``."""
    graph = np.zeros((n, n), dtype=bool)
    graph[first, second] = graph[second, first] = True
    return graph


def largest_divisor(n: int) -> int:
    """The largest divisor of ``n`` that is at most its square root."""
    return next(d for d in range(int(n**0.5), 0, -1) if n % d == 0)


def erdos_renyi(n: int, rng: np.random.Generator, density: float | None = None) -> Graph:
    """Every pair is an edge with the same probability, by default a uniform one."""
    graph = np.triu(rng.random((n, n)) < (rng.random() if density is None else density), 1)
    return graph | graph.T


def barabasi_albert(n: int, rng: np.random.Generator) -> Graph:
    """A star of m + 1 nodes, then each new node picks m old ones by degree; m is uniform in 1..n-1."""
    m = int(rng.integers(1, n))
    graph = star(m + 1, rng)
    graph = np.pad(graph, (0, n - m - 1))
    degree = graph.sum(0).astype(float)
    for node in range(m + 1, n):
        # the m largest of weighted exponential races: m draws by degree, without repetition
        chosen = np.argpartition(rng.exponential(size=node) / degree[:node], m - 1)[:m]
        graph[node, chosen] = graph[chosen, node] = True
        degree[chosen] += 1
        degree[node] = m
    return graph


def grid(n: int, rng: np.random.Generator) -> Graph:
    """The grid of n nodes that is closest to a square; a path if n is prime."""
    rows = largest_divisor(n)
    node = np.arange(n).reshape(rows, -1)
    first = np.concatenate([node[:, :-1].ravel(), node[:-1].ravel()])
    second = np.concatenate([node[:, 1:].ravel(), node[1:].ravel()])
    return from_pairs(n, first, second)


def caveman(n: int, rng: np.random.Generator) -> Graph:
    """Separate cliques of equal size, as many as the largest divisor below the square root; a clique if n is prime."""
    size = n // largest_divisor(n)
    cave = np.arange(n) // size
    return (cave[:, None] == cave) & ~np.eye(n, dtype=bool)


def power_law_tree(n: int, rng: np.random.Generator) -> Graph:
    """The nodes of degree above 1 in a row and leaves on them; degrees follow a power law of exponent 3."""
    weight, table = _excess_table(n)
    degrees = np.ones(n, dtype=np.int64)
    excess = n - 2  # of all degrees over 1, so that their sum is that of a tree
    for position in range(n):
        if not excess:
            break
        shares = np.cumsum(weight[: excess + 1] * table[n - 1 - position, excess::-1])
        drawn = int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))
        degrees[position] += drawn
        excess -= drawn
    inner = degrees[degrees > 1]
    ends = np.zeros(inner.size, dtype=np.int64)
    ends[0] += 1
    ends[-1] += 1  # of the row: one neighbour less in it
    parents = np.repeat(np.arange(inner.size), inner - 2 + ends)
    return _with_leaves(n, inner.size, parents)


@lru_cache(maxsize=1)
def _excess_table(n: int) -> tuple[np.ndarray, np.ndarray]:
    """The weights of degrees 1, 2, ..., and in row m those of the sums m, m + 1, ... of m degrees."""
    weight = np.arange(1.0, n) ** -3
    table = np.zeros((n, n - 1))
    table[0, 0] = 1.0
    for m in range(1, n):
        table[m] = np.convolve(table[m - 1], weight)[: n - 1]
        table[m] /= table[m].sum()
    return weight, table


def ladder(n: int, rng: np.random.Generator) -> Graph:
    """Two paths with rungs; an odd node goes on at the end of one path."""
    rungs = np.arange(n // 2)
    path = from_pairs(n, 2 * rungs, 2 * rungs + 1)
    return path | from_pairs(n, np.arange(n - 2), np.arange(2, n))


def line(n: int, rng: np.random.Generator) -> Graph:
    """A path."""
    return from_pairs(n, np.arange(n - 1), np.arange(1, n))


def star(n: int, rng: np.random.Generator) -> Graph:
    """Node 0 and n - 1 leaves."""
    return from_pairs(n, np.zeros(n - 1, dtype=np.int64), np.arange(1, n))


def caterpillar(n: int, rng: np.random.Generator) -> Graph:
    """A path of uniform length 1..n-1, and leaves on uniform nodes of it."""
    length = int(rng.integers(1, n))
    return _with_leaves(n, length, rng.integers(0, length, n - length))


def lobster(n: int, rng: np.random.Generator) -> Graph:
    """A caterpillar with leaves on its leaves; lengths are uniform."""
    length = int(rng.integers(1, n))
    middle = int(rng.integers(length, n))
    first = rng.integers(0, length, middle - length)
    low = length if middle > length else 0  # without leaves in the first row, the second one hangs on the path
    return _with_leaves(n, length, np.concatenate([first, rng.integers(low, middle, n - middle)]))


def _with_leaves(n: int, length: int, parents: np.ndarray) -> Graph:
    """A path of the given length; node ``length + i`` hangs on ``parents[i]``."""
    path = np.arange(length - 1)
    first = np.concatenate([path, parents])
    return from_pairs(n, first, np.concatenate([path + 1, np.arange(length, n)]))


FAMILIES: dict[Callable[[int, np.random.Generator], Graph], float] = {
    erdos_renyi: 0.2, barabasi_albert: 0.2, grid: 0.05, caveman: 0.05, power_law_tree: 0.15, ladder: 0.05,
    line: 0.05, star: 0.05, caterpillar: 0.1, lobster: 0.1,
}  # fmt: skip


def toggled(graph: Graph, rng: np.random.Generator) -> Graph:
    """Drop one edge in ten, and add as many in the mean, anywhere else."""
    n = len(graph)
    num_edges = graph.sum() / 2
    others = n * (n - 1) / 2 - num_edges
    added = (1 - _KEEP) * num_edges / others if others else 0.0
    upper = np.triu(rng.random((n, n)) < np.where(graph, _KEEP, added), 1)
    return upper | upper.T


def mixed_graph(n: int, rng: np.random.Generator) -> Graph:
    """A graph of a random family, toggled, with nodes in random order; drawn again if a node is isolated."""
    families, shares = list(FAMILIES), np.cumsum(list(FAMILIES.values()))
    while True:
        family = families[min(int(np.searchsorted(shares, rng.random(), side="right")), len(families) - 1)]
        graph = toggled(family(n, rng), rng)
        if graph.any(0).all():
            order = rng.permutation(n)
            return graph[order][:, order]


def eccentricities(graphs: np.ndarray, sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Breadth-first search from all nodes of all graphs at once.

    Args:
        graphs: Adjacency matrices, ``[count, n, n]``.
        sources: A node per graph, ``[count]``.

    Returns:
        The eccentricity of every node within its component, and its distance from its graph's source (-1 where
        there is no path), both ``[count, n]``.
    """
    adjacency = graphs.astype(np.float32)  # which numpy multiplies fast
    front = np.broadcast_to(np.eye(graphs.shape[1], dtype=bool), graphs.shape)
    distance = np.where(front, 0, -1)
    while front.any():
        front = (front @ adjacency > 0) & (distance < 0)
        distance[front] = distance.max() + 1
    return distance.max(2), distance[np.arange(len(graphs)), sources]
