"""Parsers of streams of events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from graphkit.datasets.parsed import Collated
from graphkit.datasets.raw import RawFiles


def events(raw: RawFiles, *, columns: Sequence[int], delimiter: str, header: int, unit: float = 1.0) -> Collated:
    """A table of events; nodes are numbered anew in the order of their ids.

    ``columns`` are those of source, destination and time, and of messages, which are divided by ``unit``; the first
    ``header`` lines say no event.
    """
    table = np.loadtxt(raw.only, delimiter=delimiter, skiprows=header, usecols=columns, ndmin=2)
    nodes, ends = np.unique(table[:, :2].astype(np.int64), return_inverse=True)
    order = np.argsort(table[:, 2], kind="stable")
    time, messages = table[order, 2], table[order, 3:] / unit
    tensors = {
        "x": torch.empty(nodes.size, 0),
        "edge_index": torch.from_numpy(ends.reshape(-1, 2)[order].T.copy()),
        "edge_time": torch.from_numpy(time.astype(np.int64) if (time % 1 == 0).all() else time),
    }
    return Collated(tensors | ({"edge_attr": torch.from_numpy(messages).float()} if messages.size else {}))
