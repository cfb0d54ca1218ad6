"""Dropout for dense and sparse features."""

from __future__ import annotations

from torch import Tensor

from graphkit.ops import SparseMatrix
from graphkit.ops.dropout import dropout as dense_dropout


def dropout(x: Tensor | SparseMatrix, p: float, training: bool) -> Tensor | SparseMatrix:
    r"""Zero each entry with probability ``p`` and scale the others by :math:`1/(1-p)` while training.

    On sparse features only the non-zeros are drawn; a zero stays zero either way, so the result has the same
    distribution as dense dropout.

    Args:
        x: Features ``[num_nodes, channels]``, dense or a :class:`~graphkit.ops.SparseMatrix`.
        p: The probability of a zero.
        training: Whether to drop at all.
    """
    if isinstance(x, SparseMatrix):
        return x.dropout(p, training)
    return dense_dropout(x, p, training)
