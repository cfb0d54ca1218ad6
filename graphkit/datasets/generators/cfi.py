"""Pairs of graphs that need a high dimension of the Weisfeiler-Leman algorithm."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, combinations
from typing import Annotated

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import coalesce

from graphkit.core.constraints import OneOf, checked, not_empty
from graphkit.datasets.generators.base import Generated, both_directions
from graphkit.datasets.generators.expressive import csl_edges, sr16

Edges = Sequence[tuple[int, int]]


def _cycle(n: int, first: int = 0) -> list[tuple[int, int]]:
    return [(first + i, first + (i + 1) % n) for i in range(n)]


CFI_BASES: dict[str, Edges] = {
    "C3": _cycle(3),
    "C4": _cycle(4),
    "C5": _cycle(5),
    "diamond": [*_cycle(4), (0, 2)],
    "K4": list(combinations(range(4), 2)),
    "prism": [*_cycle(3), *_cycle(3, 3), (0, 3), (1, 4), (2, 5)],
    "K3,3": [(i, j) for i in range(3) for j in range(3, 6)],
    "cube": [*_cycle(4), *_cycle(4, 4), *((i, i + 4) for i in range(4))],
    "Petersen": [*_cycle(5), *((i, i + 5) for i in range(5)), *((5 + i, 5 + (i + 2) % 5) for i in range(5))],
    "K5": list(combinations(range(5), 2)),
}


def cfi_edges(base: Edges, twisted: bool = False) -> tuple[int, Tensor]:
    r"""The graph of Cai, Fürer and Immerman over a base graph, without nodes for edges.

    From `"An optimal lower bound on the number of variables for graph identification"
    <https://doi.org/10.1007/BF01305232>`_ (Combinatorica 1992). Nodes are :math:`(v, S)` with :math:`S` a subset, of
    even size, of the base edges at :math:`v`; :math:`(v, S)` and :math:`(w, T)` are joined if :math:`e = vw` is a base
    edge and :math:`[e \in S] = [e \in T]`. In the twisted graph this is inverted for one edge.

    Where the base is connected the two are not isomorphic, and :math:`k`-FWL tells them apart exactly if the base has
    at most treewidth :math:`k`. Those over the complete graph on 4 nodes are the rook's and the Shrikhande graph.

    Args:
        base: The base graph's edges, each once.
        twisted: Whether the first edge is twisted (default: ``False``).

    Returns:
        The number of nodes and the edges in both directions.

    Example:
        >>> number, edges = cfi_edges([(0, 1), (1, 2), (2, 0)])  # two triangles; twisted: a hexagon
        >>> number, edges.shape
        (6, torch.Size([2, 12]))
    """
    nodes = [(v, frozenset(part)) for v in sorted(set(chain(*base))) for part in _even(_at(base, v))]
    edges = []
    for (i, (v, s)), (j, (w, t)) in combinations(enumerate(nodes), 2):
        for number, edge in enumerate(base):
            if {v, w} == set(edge) and ((number in s) == (number in t)) != (twisted and number == 0):
                edges.append((i, j))
    return len(nodes), coalesce(both_directions(torch.tensor(edges).t()))


@checked
def cfi(*, bases: Annotated[Sequence[Annotated[str, OneOf(CFI_BASES)]], not_empty] = tuple(CFI_BASES)) -> Generated:
    """Pairs of untwisted and twisted graphs over small base graphs: graphs ``2i`` and ``2i + 1``.

    Args:
        bases: Names of base graphs (default: all ten of ``CFI_BASES``).
    """
    chosen = [CFI_BASES[name] for name in bases]
    return Generated([_plain(*cfi_edges(base, twisted)) for base in chosen for twisted in (False, True)])


PAIRS = ("C6 / 2 C3", "decalin / bicyclopentyl", "CSL(41,2) / CSL(41,3)", "rook / Shrikhande", "CFI(K5)")


def pairs() -> Generated:
    """The pairs that every paper draws, graphs ``2i`` and ``2i + 1``; :data:`PAIRS` names them."""
    decalin = [*_cycle(10), (0, 5)]
    bicyclopentyl = [*_cycle(5), *_cycle(5, 5), (0, 5)]
    plain = [(6, _cycle(6)), (6, [*_cycle(3), *_cycle(3, 3)]), (10, decalin), (10, bicyclopentyl)]
    graphs = [_plain(size, coalesce(both_directions(torch.tensor(edges).t()))) for size, edges in plain]
    graphs += [_plain(41, csl_edges(41, skip)) for skip in (2, 3)]
    return Generated([*graphs, *sr16().graphs, *cfi(bases=["K5"]).graphs])


def _plain(num_nodes: int, edge_index: Tensor) -> Data:
    return Data(x=torch.ones(num_nodes, 1), edge_index=edge_index)


def _at(base: Edges, v: int) -> list[int]:
    return [number for number, edge in enumerate(base) if v in edge]


def _even(items: list[int]) -> chain[tuple[int, ...]]:
    return chain.from_iterable(combinations(items, size) for size in range(0, len(items) + 1, 2))
