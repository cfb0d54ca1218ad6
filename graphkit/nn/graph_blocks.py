"""Rows of nodes as one dense block per graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from graphkit.core.caching import of_tensor
from graphkit.core.devices import read
from graphkit.ops.indices import occurrence


class _Layout(NamedTuple):
    """The place ``[num_nodes]`` of each node among all rows of all blocks, and the blocks' number and height."""

    place: Tensor
    num_graphs: int
    height: int


def by_graph(function: Callable[..., Tensor], rows: tuple[Tensor, ...], batch: Tensor | None) -> Tensor:
    """What a function of blocks ``[num_graphs, most_nodes, channels]`` says of each node; missing rows are 0.

    Args:
        function: From a block for each of ``rows`` to a block of results.
        rows: Tensors ``[num_nodes, channels]``.
        batch: The graph of each node, in any order; ``None`` for one graph.
    """
    if batch is None:
        return function(*(part.unsqueeze(0) for part in rows)).squeeze(0)
    place, num_graphs, height = of_tensor(batch, "blocks", lambda: _layout(batch))
    joined = torch.cat(rows, dim=1)
    blocks = joined.new_zeros(num_graphs * height, joined.size(1)).index_copy(0, place, joined)
    parts = blocks.view(num_graphs, height, joined.size(1)).split([part.size(1) for part in rows], dim=2)
    return function(*parts).flatten(0, 1).index_select(0, place)


def _layout(batch: Tensor) -> _Layout:
    if batch.numel() == 0:
        return _Layout(batch.long(), 0, 0)
    rank = occurrence(batch)
    last, highest = read(batch.max(), rank.max())
    return _Layout(batch * (highest + 1) + rank, last + 1, highest + 1)
