"""Whom two nodes both know, and whom only one of them knows, for many pairs of nodes at once."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit.algorithms.paths import searched_neighbours
from graphkit.core.constraints import NonNegativeInt, checked
from graphkit.core.validate import check_edge_index
from graphkit.ops import SparsityPattern, sparsity_pattern


@checked
def neighbourhoods(graph: Tensor | SparsityPattern, num_nodes: NonNegativeInt) -> SparsityPattern:
    r"""The neighbours :math:`N(i)` of each node: row :math:`i` of a symmetric pattern without repetitions.

    Directions and repetitions of an edge do not count; a node with a self-loop is its own neighbour. Cached with the
    graph's pattern.

    Args:
        graph: Edges ``[2, num_edges]``, or anything else that :func:`graphkit.ops.sparsity_pattern` takes.
        num_nodes: The number of nodes.

    Raises:
        TypeError, IndexError: If ``graph`` does not hold ids of nodes.

    Example:
        >>> neighbourhoods(torch.tensor([[0, 0, 2], [1, 1, 0]]), num_nodes=3).col.split([2, 1, 1])
        (tensor([1, 2]), tensor([0]), tensor([0]))
    """
    given = sparsity_pattern(graph, num_nodes)
    # a graph that is its own must not refer to itself, or it would never be freed
    return given.cached("neighbourhoods", lambda: _simple(given)) or given


@checked
def common_neighbours(graph: Tensor | SparsityPattern, pairs: Tensor, num_nodes: NonNegativeInt) -> SparsityPattern:
    r"""The common neighbours :math:`N(i) \cap N(j)` of pairs of nodes, as a pattern of pairs by nodes.

    ``SparseMatrix(common_neighbours(...)) @ h`` is their sum of ``h``. Memory is that of the result and of a few
    numbers per node and per pair.

    Args:
        graph: Edges ``[2, num_edges]``, or the neighbours of each node as :func:`neighbourhoods` gives them.
        pairs: Pairs of nodes ``[2, num_pairs]``, in any order.
        num_nodes: The number of nodes.

    Returns:
        A :class:`~graphkit.ops.SparsityPattern` with a row per pair, whose columns are the common neighbours in order.

    Raises:
        TypeError, IndexError: If ``graph`` or ``pairs`` do not hold ids of nodes.

    Cost: :math:`O(\sum_{(i, j)} \min(d_i, d_j) + |V| + |E|)` with the numbers of neighbours :math:`d`.

    Example:
        >>> square = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
        >>> common = common_neighbours(square, torch.tensor([[0, 0, 1], [2, 1, 3]]), num_nodes=4)
        >>> common.rowptr.tolist(), common.col.tolist()
        ([0, 2, 2, 4], [1, 3, 0, 2])
    """
    rowptr, nodes = _computed("common", graph, pairs, num_nodes)
    return SparsityPattern(rowptr, nodes, None, num_nodes)


@checked
def joint_neighbours(
    graph: Tensor | SparsityPattern, pairs: Tensor, num_nodes: NonNegativeInt
) -> tuple[SparsityPattern, Tensor]:
    r"""The neighbours :math:`N(i) \cup N(j)` of either node of each pair, and whose neighbours they are.

    Args:
        graph: Edges ``[2, num_edges]``, or the neighbours of each node as :func:`neighbourhoods` gives them.
        pairs: Pairs of nodes ``[2, num_pairs]``, in any order.
        num_nodes: The number of nodes.

    Returns:
        A :class:`~graphkit.ops.SparsityPattern` with a row per pair, whose columns are the neighbours in order; and for
        each entry 0 for a common neighbour, 1 for one of :math:`i` alone and 2 for one of :math:`j` alone, int8.

    Raises:
        TypeError, IndexError: If ``graph`` or ``pairs`` do not hold ids of nodes.

    Cost: :math:`O(\sum_{(i, j)} (d_i + d_j))` with the numbers of neighbours :math:`d`.

    Example:
        >>> path = torch.tensor([[0, 1, 2], [1, 2, 3]])
        >>> near, side = joint_neighbours(path, torch.tensor([[0], [2]]), num_nodes=4)
        >>> near.col.tolist(), side.tolist()
        ([1, 3], [0, 2])
    """
    rowptr, nodes, side = _computed("joint", graph, pairs, num_nodes)
    return SparsityPattern(rowptr, nodes, None, num_nodes), side


@checked
def distinct_pairs(graph: Tensor | SparsityPattern, pairs: Tensor, num_nodes: NonNegativeInt) -> tuple[Tensor, Tensor]:
    r"""Each unordered pair once, and which of them each given pair is.

    Args:
        graph: Edges ``[2, num_edges]``, or the neighbours of each node as :func:`neighbourhoods` gives them. The node
            of more neighbours comes first in each pair, and pairs with the same first node follow one another, whose
            common neighbours are found quickly.
        pairs: Pairs of nodes ``[2, num_pairs]``.
        num_nodes: The number of nodes.

    Returns:
        The distinct pairs ``[2, num_distinct]`` and a position among them for each pair, ``[num_pairs]``.

    Raises:
        TypeError, IndexError: If ``graph`` or ``pairs`` do not hold ids of nodes.

    Example:
        >>> distinct_pairs(torch.tensor([[0, 1], [1, 2]]), torch.tensor([[2, 0, 1], [1, 1, 2]]), num_nodes=3)
        (tensor([[1, 1],
                [2, 0]]), tensor([0, 1, 0]))
    """
    first, second, inverse = _computed("distinct", graph, pairs, num_nodes)
    return torch.stack([first, second]), inverse


def _simple(graph: SparsityPattern) -> SparsityPattern | None:
    """The symmetric pattern without repetitions, ``None`` if that is the graph itself."""
    row, col = graph.row, graph.col
    repeated = (row[1:] == row[:-1]) & (col[1:] == col[:-1])
    if graph.is_symmetric and not bool(repeated.any()):
        return None
    n = graph.num_rows
    keys = torch.cat([row * n + col, col * n + row]).unique()
    return sparsity_pattern(torch.stack([keys % n, keys // n]) if n > 0 else keys.new_empty(2, 0), n)


def _computed(what: str, graph: Tensor | SparsityPattern, pairs: Tensor, num_nodes: int) -> tuple[Tensor, ...]:
    """By compiled kernels on the CPU; elsewhere by search in sorted lists, with the same result."""
    near = graph if isinstance(graph, SparsityPattern) else neighbourhoods(graph, num_nodes)
    check_edge_index(pairs, num_nodes, f"{_NAMES[what]}: pairs")
    first, second = pairs.long().contiguous()
    if pairs.device.type != "cpu":
        return getattr(searched_neighbours, what)(near, first, second)
    from graphkit.algorithms.kernels import common_neighbours as kernels

    arrays = [ids.numpy() for ids in (near.rowptr, near.col, first, second)]
    return tuple(torch.from_numpy(part) for part in getattr(kernels, what)(*arrays))


_NAMES = {"common": "common_neighbours", "joint": "joint_neighbours", "distinct": "distinct_pairs"}
