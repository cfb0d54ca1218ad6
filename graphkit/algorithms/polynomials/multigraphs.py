"""Small multigraphs with pinned nodes: the names of equivariant polynomials."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, permutations

from graphkit.core.constraints import checked

_Edge = tuple[int, int, int]  # ends and colour


@dataclass(frozen=True)
class Multigraph:
    r"""A small multigraph :math:`H` with pinned nodes, which names one equivariant polynomial.

    See :func:`~graphkit.algorithms.equivariant_polynomials` for what it stands for.

    Args:
        edges: The edges; both parallel edges and self-loops are allowed. The edge :math:`(u, v)` reads the entry in row
            :math:`u` and column :math:`v`, which matters where the matrix is not symmetric.
        pins: No node for a number per graph, one for a number per node, two for a number per ordered pair of nodes, row
            first (default: none).
        colours: The number of the matrix that each edge reads (default: the first for all).

    Raises:
        ValueError: If there are more than two pins, a pin occurs twice, or a number is negative.

    Example:
        >>> triangle = Multigraph(((0, 1), (1, 2), (2, 0)), pins=(0,))
        >>> triangle.degree, triangle.nodes
        (3, (0, 1, 2))
    """

    edges: tuple[tuple[int, int], ...]
    pins: tuple[int, ...] = ()
    colours: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "edges", tuple((int(u), int(v)) for u, v in self.edges))
        object.__setattr__(self, "pins", tuple(map(int, self.pins)))
        object.__setattr__(self, "colours", tuple(map(int, self.colours or (0,) * len(self.edges))))
        if len(self.pins) > 2 or len(set(self.pins)) < len(self.pins):
            raise ValueError(f"Multigraph: pins {self.pins} must be none, one, or two different nodes")
        if len(self.colours) != len(self.edges):
            raise ValueError(f"Multigraph: {len(self.colours)} colours for {len(self.edges)} edges; give one per edge")
        if min((*self.pins, *self.colours, *(end for edge in self.edges for end in edge)), default=0) < 0:
            raise ValueError(f"Multigraph: a node or colour of {self} is negative")

    @property
    def degree(self) -> int:
        """The degree of the polynomial, which is the number of edges."""
        return len(self.edges)

    @property
    def nodes(self) -> tuple[int, ...]:
        """The nodes, sorted."""
        return tuple(sorted({end for edge in self.edges for end in edge} | set(self.pins)))

    def canonical(self, directed: bool = False) -> Multigraph:
        """The same multigraph with standard numbers: equal for two multigraphs exactly if they are isomorphic.

        Args:
            directed: Whether the directions of edges count (default: ``False``).
        """
        number = {node: i for i, node in enumerate((*self.pins, *(v for v in self.nodes if v not in self.pins)))}
        pins, free = len(self.pins), len(number) - len(self.pins)
        edges = [(number[u], number[v], c) for (u, v), c in zip(self.edges, self.colours)]
        best = min(_labellings(edges, [*range(pins), *[pins] * free], directed))
        return Multigraph(tuple(edge[:2] for edge in best), tuple(range(pins)), tuple(edge[2] for edge in best))


@lru_cache
def connected_multigraphs(
    max_degree: int, num_pins: int = 0, simple: bool = True, directed: bool = False, num_colours: int = 1
) -> tuple[Multigraph, ...]:
    r"""All connected multigraphs of some numbers of edges and pins, one of each isomorphism class, sorted by degree.

    Their polynomials and products of these are a basis of the equivariant polynomials up to this degree (disconnected
    multigraphs are products). For a 0/1 matrix with zeros on the diagonal the simple ones say all.

    Args:
        max_degree: The largest number of edges.
        num_pins: 0, 1 or 2 (default: 0).
        simple: Leave out self-loops, and edges of one colour that are parallel (default: ``True``).
        directed: Whether the directions of edges count (default: ``False``).
        num_colours: The number of colours of edges (default: 1).

    Raises:
        ValueError: If a number is out of range.

    Example:
        >>> [sum(h.degree == d for h in connected_multigraphs(5)) for d in range(1, 6)]
        [1, 1, 3, 5, 12]
    """
    if max_degree < 1 or not 0 <= num_pins <= 2 or num_colours < 1:
        raise ValueError(
            f"connected_multigraphs: max_degree={max_degree}, num_pins={num_pins}, num_colours={num_colours}; a degree "
            "and a number of colours from 1 on are possible, and 0, 1 or 2 pins"
        )
    out: list[Multigraph] = []
    layer: set[Multigraph] = set()
    for degree in range(1, max_degree + 1):
        grown = (
            Multigraph((*h.edges, edge), colours=(*h.colours, colour))
            for h in (layer if degree > 1 else [Multigraph(())])
            for edge in _further_edges(h, simple, directed)
            for colour in range(num_colours)
            if not simple or (edge, colour) not in zip(h.edges, h.colours)
        )
        layer = {h.canonical(directed) for h in grown}
        pinned = {
            Multigraph(h.edges, pins, h.colours).canonical(directed)
            for h in layer
            for pins in permutations(h.nodes, num_pins)
        }
        out += sorted(pinned, key=lambda h: (h.edges, h.colours))
    return tuple(out)


@checked
def ppgn_computes(h: Multigraph) -> bool:
    """Whether PPGN computes the polynomial of a simple connected multigraph.

    Nodes without pin that have one neighbour are deleted, those that have two are replaced by an edge, as long as there
    are any. PPGN computes the polynomial exactly if no node without a pin is left.

    Args:
        h: The multigraph.

    Example:
        >>> ppgn_computes(Multigraph(((0, 1), (0, 2), (1, 2), (1, 3), (2, 3)), pins=(0, 3)))
        False
    """
    neighbours: dict[int, set[int]] = {v: set() for v in h.nodes}
    for u, v in h.edges:
        neighbours[u].add(v)
        neighbours[v].add(u)
    while True:
        free = [v for v, near in neighbours.items() if v not in h.pins and len(near) in (1, 2)]
        if not free:
            break
        near = neighbours.pop(free[0])
        for u in near:
            neighbours[u] |= near - {u}
            neighbours[u].discard(free[0])
    left = {v for v, near in neighbours.items() if near}
    return left in (set(), set(h.pins))


def _further_edges(h: Multigraph, simple: bool, directed: bool) -> Iterator[tuple[int, int]]:
    """Edges by which a connected multigraph may grow; the nodes are 0, 1, ..."""
    size = max(len(h.nodes), 1)
    for u in range(size):
        for v in range(u + simple, size + 1):
            yield (u, v)
            if directed and u != v:
                yield (v, u)


def _labellings(edges: list[_Edge], colouring: list[int], directed: bool) -> Iterator[tuple[_Edge, ...]]:
    """The edges in all numberings that refinement of node colours leaves, twins counted once."""
    colouring = _refined(edges, colouring, directed)
    shared = [c for c in set(colouring) if colouring.count(c) > 1]
    if not shared:
        yield _renamed(edges, colouring, directed)
        return
    plain = _renamed(edges, range(len(colouring)), directed)
    tried: list[int] = []
    for v in (v for v, c in enumerate(colouring) if c == min(shared)):
        if not any(_renamed(edges, _swap(v, w, len(colouring)), directed) == plain for w in tried):
            tried.append(v)
            yield from _labellings(
                edges, [2 * c + (c == min(shared) and w != v) for w, c in enumerate(colouring)], directed
            )


def _refined(edges: list[_Edge], colouring: list[int], directed: bool) -> list[int]:
    """Node colours 0, 1, ... after colour refinement; their order does not depend on the numbering."""
    while True:
        seen: list[list[tuple[int, bool, int, bool]]] = [[] for _ in colouring]
        for u, v, c in edges:
            seen[u].append((c, False, colouring[v], u == v))
            seen[v].append((c, directed, colouring[u], u == v))
        keys = [(colour, sorted(near)) for colour, near in zip(colouring, seen)]
        order = sorted(range(len(keys)), key=lambda v: keys[v])
        finer = [0] * len(keys)
        for before, v in pairwise(order):
            finer[v] = finer[before] + (keys[v] != keys[before])
        if len(set(finer)) == len(set(colouring)):
            return finer
        colouring = finer


def _renamed(edges: list[_Edge], number: Iterable[int], directed: bool) -> tuple[_Edge, ...]:
    new = list(number)
    ends = ((new[u], new[v], c) for u, v, c in edges)
    return tuple(sorted(ends if directed else ((min(u, v), max(u, v), c) for u, v, c in ends)))


def _swap(v: int, w: int, size: int) -> list[int]:
    number = list(range(size))
    number[v], number[w] = w, v
    return number
