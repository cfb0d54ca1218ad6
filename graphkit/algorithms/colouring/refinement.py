"""Colour refinement: the Weisfeiler-Leman tests k-WL and k,l-WL."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data, Dataset

from graphkit.algorithms.colouring.disjoint_union import DisjointUnion
from graphkit.core.constraints import Count, NonNegativeInt, checked
from graphkit.core.devices import on_cpu
from graphkit.core.validate import check_choice

VARIANTS = ("oblivious", "folklore")


@dataclass(frozen=True)
class Colouring:
    """The stable colouring of one or more graphs, with the same colours for all.

    Colours are numbered by first occurrence; only whether two of them are equal has a meaning.

    Attributes:
        classes_per_iteration: The number of colours over all graphs and labelled copies, before the first round and
            after each round that changed it.
        partitions: The colours of each graph ``[num_copies, num_nodes ** k]``, int32: a row per labelled copy in the
            order of ``itertools.permutations(range(num_nodes), l)``, a column per tuple of nodes in row-major order.
        graph_colours: A colour per graph ``[num_graphs]``: the multiset over copies of the multiset over tuples.
        graph_colours_by_node: The same with tuples outside and copies inside: the multiset over tuples of the multiset
            over copies ("per-node pool").
    """

    classes_per_iteration: tuple[int, ...]
    partitions: tuple[Tensor, ...]
    graph_colours: Tensor
    graph_colours_by_node: Tensor

    @property
    def num_classes(self) -> int:
        """The number of colours at the end."""
        return self.classes_per_iteration[-1]

    @property
    def iterations(self) -> int:
        """The number of rounds that changed the partition."""
        return len(self.classes_per_iteration) - 1


@checked
@on_cpu
def weisfeiler_leman(
    graphs: Data | Sequence[Data] | Dataset,
    k: Count = 1,
    l: NonNegativeInt = 0,  # noqa: E741
    variant: str | None = None,
    node_attr: str | None = None,
    edge_attr: str | None = None,
    max_messages: Count = 2**26,
) -> Colouring:
    r"""Refine colours until they are stable: :math:`k`-WL, with :math:`l` labels :math:`k,l`-WL.

    From `"From Relational Pooling to Subgraph GNNs: A Universal Framework for More Expressive Graph Neural Networks"
    <https://arxiv.org/abs/2305.04963>`_ (Zhou, Wang, Zhang, ICML 2023).

    Every tuple :math:`s` of :math:`l` distinct nodes makes a copy :math:`G^s` of the graph whose node :math:`s_j` has
    the further label :math:`j`. In all copies of all graphs together, with one palette, colours :math:`c` of nodes, or
    for :math:`k \ge 2` of tuples :math:`v` of :math:`k` nodes, are refined:

    .. math::
        k = 1: \quad & c'(v) = (c(v), \{\!\{ c(u) : u \in N(v) \}\!\}) \\
        \text{oblivious:} \quad & c'(v) = (c(v), M_1, \dots, M_k), \quad
        M_i = \{\!\{ c(v_1, \dots, v_{i-1}, w, v_{i+1}, \dots, v_k) : w \in V \}\!\} \\
        \text{folklore:} \quad & c'(v) = (c(v), \{\!\{ (c(w, v_2, \dots, v_k), \dots, c(v_1, \dots, v_{k-1}, w))
        : w \in V \}\!\})

    They start as the node's attributes and label; for tuples also with which of their nodes are equal and joined.
    :math:`N(v)` are the nodes with an edge into :math:`v`, as in message passing. Repetitions of an edge do not count.

    Oblivious :math:`(k+1)`-WL tells apart what folklore :math:`k`-WL does, and oblivious 2-WL what 1-WL does, of
    undirected graphs; labels make both stronger. The paper's :math:`k`-WL is the oblivious one.

    Colours are exact: equal means compared, not hashed. A round costs as much as the rows whose colour just changed are
    seen by others, so long paths, whose colours change a few at a time, take no longer than other graphs.

    Args:
        graphs: A graph, a batch or a sequence of graphs.
        k: The length of coloured tuples (default: 1).
        l: The number of labels (default: 0).
        variant: ``"oblivious"`` or ``"folklore"``; must be named for :math:`k \ge 2` (default: ``None``).
        node_attr: The attribute whose rows are the first colours of nodes, e.g. ``"x"`` (default: none).
        edge_attr: The attribute whose rows are colours of edges, e.g. ``"edge_attr"`` (default: none).
        max_messages: How many colours all rows may see in a round, 20 bytes each; more are an error before memory is
            taken (default: :math:`2^{26}`).

    Raises:
        ValueError: If an argument is out of range, unknown or missing, or there are more than ``max_messages``.
        TypeError, IndexError: If ``edge_index`` does not hold ids of nodes.

    Example:
        >>> hexagon = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]])
        >>> triangles = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 0, 4, 5, 3]])
        >>> pair = [Data(edge_index=torch.cat([e, e.flip(0)], 1), num_nodes=6) for e in (hexagon, triangles)]
        >>> weisfeiler_leman(pair).graph_colours.tolist()
        [0, 0]
        >>> weisfeiler_leman(pair, k=1, l=1).graph_colours.tolist()
        [0, 1]
        >>> weisfeiler_leman(pair, k=2, variant="folklore").num_classes
        7
    """
    check_test(k, variant)
    union = DisjointUnion.build(graphs, node_attr, edge_attr)
    copies = [math.perm(n, l) for n in union.num_nodes.tolist()]
    _check_size(union, np.array(copies, dtype=float), k, variant, max_messages)
    labels = [_labels(n, l) for n in union.num_nodes.tolist()]
    layout = row_layout(union, np.array(copies), k, variant)
    first = _first_colours(union, labels, k)
    classes = [int(first.max()) + 1 if first.size else 0]
    colour = first
    for refined, number in refinements(layout, first):
        colour = refined
        classes.append(number)

    from graphkit.algorithms.kernels import colouring as kernels

    colour = kernels.renumbered(colour, classes[-1])
    parts = np.split(colour, layout.row_start[1:-1])
    matrices = [part.reshape(*shape) for part, shape in zip(parts, zip(copies, (union.num_nodes**k).tolist()))]
    return Colouring(
        tuple(classes),
        tuple(torch.from_numpy(matrix) for matrix in matrices),
        _pooled(matrices),
        _pooled([matrix.T for matrix in matrices]),
    )


def check_test(k: int, variant: str | None) -> None:
    """Check which test is meant.

    Raises:
        ValueError: If the variant is unknown or missing.
    """
    if variant is not None:
        check_choice(variant, VARIANTS, "variant of k-WL")
    elif k > 1:
        raise ValueError(
            f"{k}-WL has two meanings; choose variant='oblivious' (the one where 2-WL equals 1-WL) or 'folklore' "
            f"(as strong as oblivious {k + 1}-WL)"
        )


def row_layout(union: DisjointUnion, copies: np.ndarray, k: int = 1, variant: str | None = None) -> Any:
    """The rows of some copies of each graph."""
    from graphkit.algorithms.kernels import colouring as kernels
    from graphkit.algorithms.kernels.common_neighbours import group_by

    width = union.num_nodes**k
    rowptr = np.searchsorted(union.source, np.arange(union.node_start[-1] + 1))
    seen_by = int(np.diff(rowptr).max(initial=0)) if k == 1 else k * int(union.num_nodes.max())
    by_target, seen_ptr = group_by(union.target, union.node_start[-1])
    return kernels.Layout(
        kernels.EDGES if k == 1 else kernels.OBLIVIOUS if variant == "oblivious" else kernels.FOLKLORE,
        k,
        np.concatenate([[0], np.cumsum(copies * width)]),
        np.maximum(width, 1),
        union.node_start,
        rowptr,
        union.target,
        union.kind,
        seen_ptr,
        union.source[by_target],
        union.kind[by_target],
        int(union.kind.max(initial=0)) + 1,
        seen_by,
    )


def refinements(layout: Any, first: np.ndarray) -> Any:
    """Yield the colours of all rows and their number after each round that changes them; not to be written to."""
    from graphkit.algorithms.kernels import colouring as kernels

    rows, number = first.size, int(first.max(initial=-1)) + 1
    size = np.zeros(rows, dtype=np.int64)
    size[:number] = np.bincount(first, minlength=number)
    slot, reached = np.full(rows, -1, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    state = kernels.Colours(first.copy(), size, np.ones(rows, dtype=bool), slot, reached)
    sources = np.arange(rows)
    while sources.size:
        if layout.how == kernels.FOLKLORE and number**layout.k >= 2**63:
            raise ValueError(f"folklore {layout.k}-WL reached {number} colours, too many for 64-bit pairs of colours")
        number, sources = kernels.refine(layout, state, number, sources)
        if sources.size:
            yield state.of, number


def _check_size(union: DisjointUnion, copies: np.ndarray, k: int, variant: str | None, limit: int) -> None:
    n = union.num_nodes.astype(float)
    if k == 1:
        num_edges = np.diff(np.searchsorted(union.source, union.node_start))
        per_copy = np.maximum(num_edges, n)
    else:
        per_copy = n ** (k + 1) * (k if variant == "oblivious" else 1)
    messages = copies @ per_copy
    if messages > limit:
        worst = int(np.argmax(copies * per_copy))
        raise ValueError(
            f"k,l-WL: {copies.sum():.3g} labelled copies of {n.size} graphs see {messages:.2g} colours in a round, "
            f"more than max_messages={limit} (the largest part is graph {worst} of {n[worst]:g} nodes); use a smaller "
            f"k or l, fewer graphs at once, graph_hash, or a larger max_messages ({20 * messages / 2**30:.1f} GiB)"
        )


def _labels(num_nodes: int, l: int) -> np.ndarray:  # noqa: E741
    """The label of each node in each copy, 0 for none, ``[num_copies, num_nodes]``."""
    tuples = np.array(list(permutations(range(num_nodes), l)), dtype=np.int64).reshape(math.perm(num_nodes, l), l)
    labels = np.zeros((len(tuples), num_nodes), dtype=np.int64)
    np.put_along_axis(labels, tuples, np.arange(1, l + 1)[None], axis=1)
    return labels


def _first_colours(union: DisjointUnion, labels: list[np.ndarray], k: int) -> np.ndarray:
    """The colour of each row before the first round, numbered from 0."""
    num_labels = max((int(part.max(initial=0)) for part in labels), default=0) + 1
    nodes = [
        union.node_colour[start : start + part.shape[1]] * num_labels + part
        for start, part in zip(union.node_start, labels)
    ]
    if k == 1:
        return _numbered(np.concatenate([part.reshape(-1) for part in nodes]))
    places = [np.indices((part.shape[1],) * k).reshape(k, -1) for part in labels]
    relations = [union.relations(number) for number in range(len(labels))]
    code = np.zeros(sum(len(part) * place.shape[1] for part, place in zip(labels, places)), dtype=np.int64)
    for i in range(k):
        code = _joined(code, [part[:, place[i]] for part, place in zip(nodes, places)])
        for j in range(k):
            of_pairs = [relation[place[i], place[j]] for relation, place in zip(relations, places)]
            code = _joined(code, [np.tile(pairs, len(part)) for pairs, part in zip(of_pairs, labels)])
    return code


def _joined(code: np.ndarray, values: list[np.ndarray]) -> np.ndarray:
    """Numbers for pairs of a number and a value."""
    value = np.concatenate([part.reshape(-1) for part in values])
    return _numbered(code * (int(value.max(initial=0)) + 1) + value)


def _numbered(values: np.ndarray) -> np.ndarray:
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _pooled(matrices: list[np.ndarray]) -> Tensor:
    """A number per matrix of colours: equal for equal multisets over rows of the multisets in rows."""
    from graphkit.algorithms.kernels.colouring import group_multisets

    values: list[np.ndarray] = [matrix.reshape(-1) for matrix in matrices]
    widths = [np.full(matrix.shape[0], matrix.shape[1]) for matrix in matrices]
    for lengths in (np.concatenate(widths), np.array([matrix.shape[0] for matrix in matrices])):
        ptr = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        keys = np.concatenate(values).astype(np.int64)
        values = [group_multisets(keys, ptr, np.zeros(lengths.size, dtype=np.int64))[0]]
    return torch.from_numpy(values[0])
