"""Schedules of event streams."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch_geometric.utils.num_nodes import maybe_num_nodes

from graphkit.core.constraints import Count, checked
from graphkit.core.devices import on_cpu
from graphkit.core.validate import check_edge_index


@checked
@on_cpu
def t_batches(
    edge_index: Tensor, bipartite: bool = False, time: Tensor | None = None, num_windows: Count = 1
) -> Tensor:
    r"""The smallest number of batches of events in which no node occurs twice and each node's events keep their order.

    The batches of `JODIE <https://github.com/claws-lab/jodie>`_ (Kumar, Zhang, Leskovec, KDD 2019). In the order of
    time, the event of :math:`u` and :math:`v` goes into the batch

    .. math::
        b = 1 + \max(\mathrm{last}_u, \mathrm{last}_v), \qquad \mathrm{last}_u, \mathrm{last}_v \leftarrow b,

    with :math:`\mathrm{last} = -1` at first. There are as many batches as events in the longest chain of which each
    shares a node with the one before, so a node with many events makes many batches. One pass, :math:`O(E)`.

    Args:
        edge_index: The events ``[2, E]`` (sources, targets) in the order of time.
        bipartite: Whether sources and targets are numbered apart, as users and items are (default: ``False``).
        time: Their times ``[E]``, whose order is checked and of which windows are made (default: ``None``).
        num_windows: Into how many windows of equal length the time is divided; the schedule begins anew in each,
            behind all batches of those before. The official code has 500 (default: 1).

    Returns:
        The number of each event's batch ``[E]``.

    Raises:
        TypeError, ValueError, IndexError: If ``edge_index`` holds no ids, or there is no time for the windows, or it
            is not in order.

    Example:
        >>> t_batches(torch.tensor([[0, 2, 0, 3], [1, 3, 2, 4]])).tolist()
        [0, 0, 1, 1]
    """
    from graphkit.algorithms.kernels import events as kernels

    size = maybe_num_nodes(edge_index)
    check_edge_index(edge_index, size, "t_batches")
    if time is None and num_windows > 1:
        raise ValueError(f"t_batches: num_windows={num_windows} are windows of time; give time")
    starts = np.zeros(0, np.int64) if time is None else _starts(time, edge_index.size(1), num_windows)
    source, target = edge_index.numpy()
    return torch.from_numpy(kernels.t_batches(source, target, starts, size, size, bipartite))


def _starts(time: Tensor, num_events: int, num_windows: int) -> np.ndarray:
    """The first event of each window but the first one."""
    if time.shape != (num_events,):
        raise ValueError(f"t_batches: time has shape {list(time.shape)}, but there are {num_events} events")
    backwards = (time.diff() < 0).nonzero()
    if backwards.numel():
        raise ValueError(f"t_batches: event {int(backwards[0]) + 1} is earlier than the one before; sort them by time")
    times = time.double().numpy()
    borders = np.linspace(times[0], times[-1], num_windows + 1)[1:-1] if num_events else times[:0]
    return np.searchsorted(times, borders)
