"""Rows of nodes as one dense block per graph."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch_geometric.utils import to_dense_batch


def by_graph(function: Callable[..., Tensor], rows: tuple[Tensor, ...], batch: Tensor | None) -> Tensor:
    """What a function of blocks ``[num_graphs, most_nodes, channels]`` says of each node; missing rows are 0.

    Args:
        function: From a block for each of ``rows`` to a block of results.
        rows: Tensors ``[num_nodes, channels]``.
        batch: The graph of each node, in any order; ``None`` for one graph.
    """
    if batch is None:
        return function(*(part.unsqueeze(0) for part in rows)).squeeze(0)
    if bool((batch[1:] < batch[:-1]).any()):
        order = batch.argsort(stable=True)
        return by_graph(function, tuple(part[order] for part in rows), batch[order])[order.argsort()]
    joined, real = to_dense_batch(torch.cat(rows, dim=1), batch)
    return function(*joined.split([part.size(1) for part in rows], dim=2))[real]
