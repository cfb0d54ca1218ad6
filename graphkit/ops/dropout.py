"""Dropout of dense and sparse features, with cheap random numbers on the CPU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fx import Proxy

_LEVELS = 2**16


def dropout(x: Any, p: float = 0.5, training: bool = True) -> Any:
    r"""Zero each entry with probability ``p`` and scale the others by :math:`1/(1-p)` while training.

    On the CPU the mask takes 16 random bits per entry instead of a full random number, which makes it about four times
    faster than torch's; ``p`` is rounded to a multiple of :math:`2^{-16}` and the scale follows the rounded value. On
    other devices, and in compiled code, this is torch's own dropout. On sparse features only the non-zeros are drawn; a
    zero stays zero either way, so the result has the same distribution.

    Args:
        x: Any tensor, or a :class:`~graphkit.ops.SparseMatrix`.
        p: The probability of a zero, in [0, 1) (default: 0.5).
        training: Whether to drop at all (default: ``True``).

    Raises:
        ValueError: If ``p`` is no such probability.

    Example:
        >>> dropout(torch.ones(3), p=0.5, training=False)
        tensor([1., 1., 1.])
    """
    if not 0 <= p < 1:
        raise ValueError(f"dropout: p={p}, must be in [0, 1)")
    if p > 0 and isinstance(x, Proxy):  # PyG's to_hetero, which warns of an argument called training
        return F.dropout(x, p, training=training)  # type: ignore[arg-type]
    if not training or p == 0.0:
        return x
    if not isinstance(x, Tensor):
        return x.dropout(p)
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(x, p)
    dropped = min(round(p * _LEVELS), _LEVELS - 1)
    count = x.numel()
    words = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = words.view(torch.int16)[:count].view(x.shape)
    mask = (bits >= dropped - _LEVELS // 2).to(x.dtype)
    return x * mask.mul_(_LEVELS / (_LEVELS - dropped))
