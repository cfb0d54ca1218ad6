"""How a stream of events is divided into batches, which a model sees one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor

from graphkit.algorithms import t_batches
from graphkit.core.config import Configurable
from graphkit.core.constraints import Count


class Batching(Configurable, ABC):
    """Divides the events of a part of the split; a subclass may change their order, but not that of a node's own.

    Attributes:
        default_size: The size of batches where the trainer names none; ``None`` where sizes are not a choice.
        consecutive: Whether batches follow each other in time. Where they do not, validation and test have batches of a
            :class:`FixedSize`, as nothing of the future may be seen there.
    """

    default_size: ClassVar[int | None] = None
    consecutive: ClassVar[bool] = True

    @abstractmethod
    def batches(self, src: Tensor, dst: Tensor, t: Tensor, batch_size: int | None) -> Iterable[Tensor]:
        """The positions of the events of each batch, every event in one of them.

        Args:
            src: The sources ``[n]`` of the events, in the order of time.
            dst: Their destinations ``[n]``.
            t: Their times ``[n]``.
            batch_size: The trainer's ``batch_size``, or :attr:`default_size`.
        """


class FixedSize(Batching):
    """So many events at a time in the order of time, as PyG's ``TemporalDataLoader``: 200, or the trainer's size.

    Events of the same time may be in two batches, and then those of the first are past for those of the second.

    Example:
        >>> events = torch.arange(5)
        >>> [part.tolist() for part in FixedSize().batches(events, events, events, 2)]
        [[0, 1], [2, 3], [4]]
    """

    default_size = 200

    def batches(self, src: Tensor, dst: Tensor, t: Tensor, batch_size: int | None) -> Iterable[Tensor]:
        return torch.arange(src.numel()).split(batch_size or src.numel())


class TBatch(Batching):
    r"""t-batches: no node occurs twice in one, each node's events keep their order, and there are as few as can be.

    The batches of `JODIE <https://github.com/claws-lab/jodie>`_ (Kumar, Zhang, Leskovec, KDD 2019), by
    :func:`~graphkit.algorithms.t_batches`, for training: whatever the ends of an event have had before has changed
    their memory when it is their turn, as if events came one by one. Of other nodes, which are neighbours or
    negatives, later events may have been seen; windows bound by how much. A node with many events makes many small
    batches, so look at their number (a task tells it when it is printed). Validation and test are divided by a
    :class:`FixedSize`.

    The official code takes one step of its optimizer per window; here every batch is one.

    Args:
        num_windows: Into how many windows of equal length the time is divided, between which no events are exchanged;
            the official code has 500 (default: 1).
        bipartite: Whether sources and destinations never meet, as users and items, and their ids are counted apart
            (default: ``False``).

    Example:
        >>> src, dst, t = torch.tensor([0, 2, 0, 3]), torch.tensor([1, 3, 2, 4]), torch.arange(4)
        >>> [part.tolist() for part in TBatch().batches(src, dst, t, None)]
        [[0, 1], [2, 3]]
    """

    consecutive = False

    def __init__(self, num_windows: Count = 1, bipartite: bool = False) -> None:
        self.num_windows = num_windows
        self.bipartite = bipartite

    def batches(self, src: Tensor, dst: Tensor, t: Tensor, batch_size: int | None) -> Iterable[Tensor]:
        """The t-batches; those of more than ``batch_size`` events are divided."""
        batch = t_batches(torch.stack([src, dst]), self.bipartite, t, self.num_windows)
        parts = batch.argsort(stable=True).split(batch.bincount().tolist())
        return [piece for part in parts for piece in part.split(batch_size or part.numel())]
