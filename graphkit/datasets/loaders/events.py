"""Parsers of streams of events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from graphkit.datasets.parsed import Collated
from graphkit.datasets.raw import RawFiles


def events(
    raw: RawFiles,
    *,
    columns: Sequence[int],
    delimiter: str,
    header: int,
    unit: float = 1.0,
    messages_from: int | None = None,
    label: int | None = None,
    bipartite: bool = False,
) -> Collated:
    """A table of events; nodes are numbered anew in the order of their ids.

    ``columns`` are those of source, destination and time, and of messages, which are divided by ``unit``; more of these
    stand from column ``messages_from`` on. The first ``header`` lines say no event. What is positive in the column
    ``label`` has the label 1. If ``bipartite``, sources and destinations are of two kinds, sources first.
    """
    table = np.loadtxt(raw.only, delimiter=delimiter, skiprows=header, ndmin=2)
    table = table[np.argsort(table[:, columns[2]], kind="stable")]
    ends = table[:, columns[:2]].astype(np.int64)
    if bipartite:
        ends[:, 1] += ends[:, 0].max() + 1 - ends[:, 1].min()
    nodes, ends = np.unique(ends, return_inverse=True)
    time, further = table[:, columns[2]], range(messages_from or table.shape[1], table.shape[1])
    messages = table[:, [*columns[3:], *further]] / unit
    tensors = {
        "x": torch.empty(nodes.size, 0),
        "edge_index": torch.from_numpy(ends.reshape(-1, 2).T.copy()),
        "edge_time": torch.from_numpy(time.astype(np.int64) if (time % 1 == 0).all() else time),
    }
    if messages.size:
        tensors["edge_attr"] = torch.from_numpy(messages).float()
    if label is not None:
        tensors["edge_label"] = torch.from_numpy(table[:, label] > 0).float()
    return Collated(tensors)
