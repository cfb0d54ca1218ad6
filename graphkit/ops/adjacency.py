"""The weights of a graph's edges, wherever they stand: beside the edges, or as values of a sparse adjacency matrix."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.typing import SparseTensor

from graphkit.core.caching import of_tensor
from graphkit.core.devices import CPU, Asked, ask_ahead
from graphkit.ops.pattern import Size, SparsityPattern, sparsity_pattern
from graphkit.ops.traced import tracing


def weighted_pattern(
    graph: Tensor | SparsityPattern, weight: Tensor | None = None, size: Size = None
) -> tuple[SparsityPattern, Tensor | None]:
    """The pattern of a graph and the weights of its edges, which are the values of a sparse adjacency matrix.

    Args:
        graph: As in :func:`sparsity_pattern`. Gradients flow back to a sparse tensor, except to a CSC leaf.
        weight: One weight per edge, of a graph that has no values (default: all ones).
        size: As in :func:`sparsity_pattern` (default: from the graph).

    Returns:
        The pattern, and one weight per edge in floating point, or ``None`` for all ones.

    Raises:
        ValueError: If there are weights besides the values, or not one per edge, or torch cannot give a gradient to the
            values.

    Example:
        >>> adjacency = torch.tensor([[0.0, 2.0], [0.0, 0.0]]).to_sparse_csr()
        >>> weighted_pattern(adjacency)[1]
        tensor([2.])
    """
    values = None
    if isinstance(graph, SparseTensor):
        values = graph.coo()[2]
    elif isinstance(graph, Tensor) and graph.layout != torch.strided:
        graph, values = _with_values(graph)
    if values is None:
        if weight is not None and weight.is_floating_point() and not tracing():
            ask_ahead(ask_sign, weight)
        pattern = sparsity_pattern(graph, size)
        if weight is not None:
            check_weights(weight, pattern.num_edges)
        return pattern, weight
    if weight is not None:
        raise ValueError("a sparse adjacency matrix carries its own values; leave edge weights out, or pass edge_index")
    return sparsity_pattern(graph, size), values if values.is_floating_point() else values.float()


def unweighted_pattern(graph: Tensor | SparsityPattern, size: Size, where: str) -> SparsityPattern:
    """The pattern of a graph, for what reads no weights: refuses a sparse adjacency matrix with values but 1.

    Args:
        graph: As in :func:`sparsity_pattern`.
        size: As in :func:`sparsity_pattern`.
        where: The place named in messages.

    Raises:
        ValueError: If there are weights.
    """
    pattern, values = weighted_pattern(graph, None, size)
    if values is not None and bool((values != 1).any()):
        raise ValueError(
            f"{where} reads no edge weights, but the adjacency matrix has values other than 1, such as "
            f"{float(values[values != 1][0]):g}; pass edge_index, or ones"
        )
    return pattern


def check_weights(weight: Tensor, num_edges: int) -> None:
    """Check that there is one weight per edge, in floating point.

    Raises:
        ValueError, TypeError: Otherwise.
    """
    if weight.dim() != 1 or weight.numel() != num_edges:
        raise ValueError(
            f"edge weights have shape {list(weight.shape)}, but the graph has {num_edges} edges; pass one weight per "
            f"edge, shape [{num_edges}]"
        )
    if not weight.is_floating_point():
        raise TypeError(f"edge weights have dtype {weight.dtype}, but must be floating point; use weight.float()")


def ask_sign(weight: Tensor) -> Asked:
    """Whether a weight is negative."""
    return of_tensor(weight, "negative", lambda: Asked([(weight.detach() < 0).any()]))


def may_be_negative(weight: Tensor) -> bool:
    """Whether a weight is negative, as far as that is known of a device; a CPU is quick to see what follows."""
    return weight.device == CPU or bool(ask_sign(weight).values[0])


def part_of_weights(part: Tensor, whole: Tensor) -> Tensor:
    """Some of the weights, of which nobody need ask whether one is negative if none of the whole is."""
    if part.device != CPU:
        of_tensor(part, "negative", lambda: ask_sign(whole))
    return part


def _with_values(graph: Tensor) -> tuple[Tensor, Tensor]:
    """A sparse tensor whose values are known to autograd, and these values."""
    if graph.layout == torch.sparse_csc and graph.requires_grad and graph.is_leaf:
        raise ValueError("torch cannot accumulate gradients in a CSC tensor; use tensor.to_sparse_csr()")
    if graph.layout == torch.sparse_coo:
        if graph.requires_grad:
            graph = graph.coalesce()
        return graph, graph.values() if graph.is_coalesced() else graph._values()
    return graph, graph.values()
