"""Streams of events: what comes again, and how much a memory misses that is written once per batch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.utils.num_nodes import maybe_num_nodes

from graphkit.algorithms import t_batches
from graphkit.core.constraints import Count, checked
from graphkit.core.figures import new_figure, nth_colour, save_figure
from graphkit.core.validate import check_edge_index
from graphkit.ops.indices import occurrence


@dataclass(frozen=True)
class Recurrence:
    """How much of a stream repeats what was before.

    Attributes:
        recurring: The share of pairs of the past that have an event later, too.
        surprise: The share of pairs with a later event that had none in the past.
        surprising_events: The share of later events whose pair had none in the past.
        new_nodes: The share of later events with a node that had none in the past.
    """

    recurring: float
    surprise: float
    surprising_events: float
    new_nodes: float


@dataclass(frozen=True)
class Staleness:
    """What a memory does not know of a batch's events when it predicts them, by the size of batches.

    Attributes:
        batch_size: The sizes ``[k]``.
        missed: For the ends of events, the mean number of earlier events of the same node in the same batch ``[k]``.
        stale: The share of ends with at least one ``[k]``.
        depth: The number of t-batches, in which no event is missed (:func:`~graphkit.algorithms.t_batches`).
        mean_t_batch: Their mean size.
    """

    batch_size: Tensor
    missed: Tensor
    stale: Tensor
    depth: int
    mean_t_batch: float


@checked
def recurrence(past: Tensor, later: Tensor) -> Recurrence:
    r"""Which pairs of nodes have events again, and which are new.

    With the sets :math:`P` and :math:`L` of (source, destination) of past and later events,

    .. math::
        \mathrm{recurring} = \frac{|P \cap L|}{|P|}, \qquad \mathrm{surprise} = \frac{|L \setminus P|}{|L|}.

    Where little is surprising, remembering pairs answers most (:class:`~graphkit.models.EdgeBank`).

    Args:
        past: Events ``[2, n]``, e.g. those of training.
        later: Events ``[2, m]``, e.g. those of the test.

    Raises:
        TypeError, ValueError, IndexError: If these are no pairs of ids, or there are none.

    Example:
        >>> recurrence(torch.tensor([[0, 0, 1], [1, 1, 2]]), torch.tensor([[0, 2, 0], [1, 3, 1]]))
        Recurrence(recurring=0.5, surprise=0.5, surprising_events=0.3333333333333333, new_nodes=0.3333333333333333)
    """
    for name, events in (("past", past), ("later", later)):
        _check(events, f"recurrence: {name}")
        if not events.size(1):
            raise ValueError(f"recurrence: {name} has no events; give at least one")
    size = int(torch.cat([past, later], 1).max()) + 1
    before, after = (events[0].long() * size + events[1] for events in (past, later))
    distinct = after.unique()
    new = ~torch.isin(later.contiguous(), past.contiguous()).all(0)  # torch fails on others
    return Recurrence(
        recurring=_share(torch.isin(before.unique(), distinct)),
        surprise=_share(~torch.isin(distinct, before)),
        surprising_events=_share(~torch.isin(after, before)),
        new_nodes=_share(new),
    )


@checked
def staleness(edge_index: Tensor, batch_sizes: Sequence[Count], bipartite: bool = False) -> Staleness:
    """How many events a memory misses that is written once per batch, and how far the order of events reaches.

    A model that remembers answers for all events of a batch from what was before it, so it knows nothing of earlier
    events of the same nodes in the batch. The larger batches are, the more these are: the argument of
    :class:`~graphkit.nn.temporal.PRES`. t-batches miss none, and are as many as the longest chain of events.

    Args:
        edge_index: The events ``[2, E]`` (sources, targets) in the order of time.
        batch_sizes: The sizes of batches to look at.
        bipartite: Whether sources and targets are numbered apart (default: ``False``).

    Raises:
        TypeError, ValueError, IndexError: If ``edge_index`` holds no ids, or there are no events.

    Example:
        >>> chain = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
        >>> measured = staleness(chain, [1, 2, 4])
        >>> measured.missed.tolist(), measured.depth
        ([0.0, 0.25, 0.375], 4)
    """
    _check(edge_index, "staleness")
    if not edge_index.size(1):
        raise ValueError("staleness: there are no events; give at least one")
    depth = int(t_batches(edge_index, bipartite).max()) + 1
    size = int(edge_index.max()) + 1
    src, dst = edge_index.long()
    node, number = torch.stack([src, dst + size * bipartite], 1).view(-1), torch.arange(src.numel(), device=src.device)
    once = torch.stack([torch.ones_like(src, dtype=torch.bool), node[::2] != node[1::2]], 1).view(-1)
    node, number = node[once], number.repeat_interleave(2)[once]  # both ends of an event may be the same node
    missed = [occurrence(number // batch_size * 2 * size + node).double() for batch_size in batch_sizes]
    sizes = torch.tensor(list(batch_sizes), device=edge_index.device)
    means = torch.stack([part.mean() for part in missed])
    shares = torch.stack([part.clamp(max=1).mean() for part in missed])
    return Staleness(sizes, means, shares, depth, src.numel() / depth)


@checked
def plot_staleness(curves: dict[str, Staleness], path: str | os.PathLike[str] | None = None) -> Any:
    """Draw what is missed against the size of batches, a line per name, with the mean size of t-batches as a cross.

    Args:
        curves: What :func:`staleness` returned, by name.
        path: Where to write the picture (default: nowhere).

    Returns:
        The matplotlib figure.
    """
    figure = new_figure(9, 3.5)
    panels = {"missed": "events missed per end of an event", "stale": "share of ends that miss any"}
    for axes, (part, label) in zip(figure.subplots(1, 2), panels.items()):
        for number, (name, measured) in enumerate(curves.items()):
            axes.plot(
                measured.batch_size.cpu(),
                getattr(measured, part).cpu(),
                marker="o",
                color=nth_colour(number),
                label=name,
            )
            axes.plot(measured.mean_t_batch, 0, marker="x", color=nth_colour(number))
        axes.set_xscale("log")
        axes.set_xlabel("batch size (x: mean t-batch)")
        axes.set_ylabel(label)
    figure.axes[0].legend()
    save_figure(figure, path)
    return figure


def _check(edge_index: Tensor, where: str) -> None:
    check_edge_index(edge_index, maybe_num_nodes(edge_index), where)


def _share(values: Tensor) -> float:
    return float(values.double().mean())
