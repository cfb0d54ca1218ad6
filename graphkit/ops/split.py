"""The edges of one kind, as graphs of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from graphkit.ops.structure import Size, structure


def split_edges(edge_index: Tensor, kind: Tensor, kinds: Sequence[int], size: Size = None) -> list[Tensor]:
    """The edges of each kind, e.g. of each distance or bond type, sorted by target and then by source.

    The results are kept with the graph's structure, so the next call returns the same tensors, whose own structures
    are then known as well; they are checked by content like all that is kept there.

    Args:
        edge_index: All edges ``[2, E]``.
        kind: One integer per edge, ``[E]``.
        kinds: The kinds wanted.
        size: The number of nodes (default: from the graph).

    Raises:
        ValueError: If ``kind`` is not one integer per edge.

    Example:
        >>> edge_index = torch.tensor([[0, 1, 2], [1, 2, 0]])
        >>> [edges.tolist() for edges in split_edges(edge_index, torch.tensor([1, 2, 1]), [1, 3])]
        [[[2, 0], [0, 1]], [[], []]]
    """
    graph = structure(edge_index, size)
    if kind.dim() != 1 or kind.numel() != edge_index.size(1) or kind.is_floating_point():
        raise ValueError(
            f"kinds of edges have dtype {kind.dtype} and shape {list(kind.shape)}; pass one integer for each of the "
            f"{edge_index.size(1)} edges"
        )
    found = graph.memo.get("split_edges")
    if found is None or found[0].dtype != kind.dtype or not torch.equal(found[0], kind):
        with torch.inference_mode(False), torch.no_grad():
            found = graph.memo["split_edges"] = kind.clone(), {}
    copy, parts = cast(tuple[Tensor, dict[int, Tensor]], found)
    with torch.inference_mode(False), torch.no_grad():
        for value in kinds:
            if value not in parts:
                chosen = (graph.to_csr(copy) == value).nonzero().squeeze(1)
                parts[value] = torch.stack([graph.col[chosen], graph.row[chosen]])
    return [parts[value] for value in kinds]
