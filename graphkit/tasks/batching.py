"""How a stream of events is divided into batches, which a model sees one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor

from graphkit.core.config import Configurable


class Batching(Configurable, ABC):
    """Divides the events of a part of the split; a subclass may change their order, but not that of a node's own.

    Attributes:
        default_size: The size of batches where the trainer names none; ``None`` where sizes are not a choice.
    """

    default_size: ClassVar[int | None] = None

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
