"""Mini-batches of an order of training examples."""

from __future__ import annotations

import torch
from torch import Tensor


def split_order(order: Tensor, size: int) -> list[Tensor]:
    """Parts of one size; a last part of one joins the part before: batch norms cannot be trained on one row.

    Example:
        >>> [part.tolist() for part in split_order(torch.arange(5), 2)]
        [[0, 1], [2, 3, 4]]
    """
    parts = list(order.split(size))
    if size > 1 and len(parts) > 1 and parts[-1].numel() == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts
