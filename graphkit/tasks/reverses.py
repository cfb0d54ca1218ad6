"""Undirected edges, which graphs hold in both directions."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from torch import Tensor


def edges_once(edge_index: Tensor, part: Tensor, labels: Tensor, features: Tensor | None, place: str) -> Tensor:
    """The ids of undirected edges, each once: of its two directions the one that comes first.

    Args:
        edge_index: Edges in both directions ``[2, num_edges]``, and loops; several between two nodes are told apart by
            all that follows.
        part: The part of the split that each is in ``[num_edges]``.
        labels: Their labels ``[num_edges, ...]``.
        features: Their features, which may differ by direction.
        place: What messages begin with.

    Raises:
        ValueError: If an edge has no reverse, or that is in another part or has another label.
    """
    source, target = edge_index.numpy()
    low, high, back, loop = np.minimum(source, target), np.maximum(source, target), source > target, source == target
    alike = np.column_stack([part, labels.reshape(source.size, -1).double()])
    further = [] if features is None else [features.reshape(source.size, -1).double()]
    order = np.lexsort([*np.column_stack([alike, *further]).T[::-1], back, high, low])
    order = order[~loop[order]]
    there, reverse = order[~back[order]], order[back[order]]
    ends = np.stack([low, high])
    if not np.array_equal(ends[:, there], ends[:, reverse]):
        count = Counter(map(tuple, ends[:, there].T.tolist()))
        count.subtract(map(tuple, ends[:, reverse].T.tolist()))
        u, v = next(pair for pair, surplus in count.items() if surplus)
        raise ValueError(
            f"{place}: not every edge between {u} and {v} has its reverse, as in an undirected graph; add it with the "
            "same label, or say undirected=False"
        )
    differ = ~np.isclose(alike[there], alike[reverse], rtol=0, atol=0, equal_nan=True).all(1)
    if differ.any():
        e, r = there[differ.argmax()], reverse[differ.argmax()]
        what = "are in different parts of the split" if part[e] != part[r] else "have different labels"
        raise ValueError(
            f"{place}: edges {source[e]} -> {target[e]} and {source[r]} -> {target[r]} {what}, but are one in an "
            "undirected graph; treat both alike (Split.random_edges does), or say undirected=False"
        )
    return torch.from_numpy(np.sort(np.concatenate([np.flatnonzero(loop), np.minimum(there, reverse)])))


def reversed_share(edge_index: Tensor, some: Tensor, others: Tensor) -> float:
    """The share of ``some`` edges, by id and without loops, whose reverse is among the ``others``."""
    source, target = edge_index[:, some][:, edge_index[0, some] != edge_index[1, some]]
    size = int(edge_index.max()) + 1
    return float(
        torch.isin(target * size + source, edge_index[0, others] * size + edge_index[1, others]).float().mean()
    )
