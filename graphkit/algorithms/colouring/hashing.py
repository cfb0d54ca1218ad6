"""Hashes of nodes and graphs by colour refinement, the same in every process and for every other graph at hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.algorithms.colouring.disjoint_union import DisjointUnion
from graphkit.algorithms.colouring.refinement import check_test
from graphkit.core.constraints import Count, NonNegativeInt, checked
from graphkit.core.devices import on_cpu
from graphkit.core.signatures import takes_arguments_of

_MAX_TUPLES = 2**27


@checked
@on_cpu
def colour_hashes(
    graph: Data,
    k: Count = 1,
    l: NonNegativeInt = 0,  # noqa: E741
    variant: str | None = None,
    iterations: NonNegativeInt | None = None,
    node_attr: str | None = None,
    edge_attr: str | None = None,
) -> tuple[Tensor, int]:
    r"""64-bit hashes of a graph's nodes, and one of the graph, by :math:`k,l`-WL.

    The test is that of :func:`weisfeiler_leman`, but colours are hashes of what they stand for instead of numbers: they
    can be compared between graphs that never met. A node's hash is that of the multiset of colours of all tuples that
    begin with it, in all labelled copies; the graph's that of the multiset over copies of the multisets of colours. Two
    different colours get the same hash with a probability of about :math:`2^{-64}`. Hashes after a number of rounds can
    be compared between all graphs; where each copy goes on until it is stable, those of nodes between graphs of equal
    hash only, since others may stop at another round.

    Copies are refined one after the other, in memory for the :math:`n^k` tuples of one. There are :math:`n! / (n - l)!`
    copies, and a round of a copy costs :math:`O(m)` for :math:`k = 1`, :math:`O(k \, n^{k+1})` for larger :math:`k`.

    Args:
        graph: The graph.
        k: The length of coloured tuples (default: 1).
        l: The number of labels (default: 0).
        variant: ``"oblivious"`` or ``"folklore"``; must be named for :math:`k \ge 2` (default: ``None``).
        iterations: The number of rounds (default: in each copy until it is stable).
        node_attr: The attribute whose rows are the first colours of nodes, in double precision (default: none).
        edge_attr: The attribute whose rows are colours of edges (default: none).

    Returns:
        The hashes of the nodes ``[num_nodes]``, int64, and that of the graph.

    Raises:
        ValueError: If an argument is out of range, unknown or missing, or there are more than :math:`2^{27}` tuples.
        TypeError, IndexError: If ``edge_index`` does not hold ids of nodes.

    Example:
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> nodes, _ = colour_hashes(path)
        >>> bool(nodes[0] == nodes[2]), bool(nodes[0] == nodes[1])
        (True, False)
    """
    check_test(k, variant)
    n = int(graph.num_nodes or 0)
    if n**k > _MAX_TUPLES:
        raise ValueError(f"colour_hashes: {n} nodes have {n**k:.2g} tuples of k={k}, more than 2**27; use a smaller k")

    from graphkit.algorithms.kernels import colour_hash as kernels

    union = DisjointUnion.build(graph, node_attr, edge_attr, lambda rows: _words(kernels.hash_rows(_words(rows))))
    order = np.argsort(union.target, kind="stable")
    rowptr = np.searchsorted(union.target[order], np.arange(n + 1))
    relations = union.relations(0) if k > 1 else np.zeros((0, 0), dtype=np.int64)
    nodes, whole = kernels.hash_colours(
        rowptr,
        union.source[order],
        union.kind[order].view(np.uint64),
        union.node_colour.view(np.uint64),
        relations.view(np.uint64),
        k,
        variant == "folklore",
        l,
        -1 if iterations is None else iterations,
    )
    return torch.from_numpy(nodes.view(np.int64)), int(whole)


@checked
@takes_arguments_of(colour_hashes)
def graph_hash(graph: Data, **rest: Any) -> str:
    r"""A hash of a graph that no renumbering of its nodes changes: 16 hexadecimal digits.

    Graphs that :math:`k,l`-WL tells apart get different hashes, all others, isomorphic ones among them, the same; equal
    in every process. Errors as :func:`colour_hashes`.

    Example:
        >>> graph_hash(Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3))
        '828e666a9de7ac7f'
    """
    return f"{colour_hashes(graph, **rest)[1]:016x}"


def _words(values: np.ndarray) -> np.ndarray:
    """The bits of 64-bit numbers: as unsigned words for floating point, as integers for words."""
    return values.view(np.int64 if values.dtype == np.uint64 else np.uint64)
