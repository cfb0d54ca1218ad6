"""Predictions that go along edges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from graphkit.core.constraints import NonNegativeInt, Probability, checked
from graphkit.ops import SparseMatrix

Kernel = Literal["DAD", "AD", "DA"]


@checked
def propagate_predictions(
    y: Tensor,
    edge_index: Tensor,
    edge_weight: Tensor | None = None,
    alpha: Probability = 0.95,
    steps: NonNegativeInt = 50,
    kernel: Kernel = "DA",
) -> Iterator[Tensor]:
    r"""All iterates of smoothed predictions, from :math:`Y_0 = Y` to :math:`Y_T`.

    .. math::
        Y_{t+1} = \alpha P Y_t + (1 - \alpha) Y_0, \qquad
        P \in \{D^{-1/2} A D^{-1/2}, \; A D^{-1}, \; D^{-1} A\}

    which go to :math:`(1 - \alpha)(I - \alpha P)^{-1} Y_0`: personalised PageRank. :math:`A_{ts}` is the weight of the
    edge from :math:`s` to :math:`t`, without added self-loops, and degrees :math:`D` (row sums) are at least 1, so an
    isolated node has :math:`(1 - \alpha) Y_0`.

    Args:
        y: Predictions ``[num_nodes, num_outputs]``.
        edge_index: Edges ``[2, num_edges]``.
        edge_weight: Weights ``[num_edges]``, not negative (default: ones).
        alpha: The share :math:`\alpha` of the neighbours (default: 0.95).
        steps: The number of steps :math:`T` (default: 50).
        kernel: ``"DAD"``, ``"AD"`` or ``"DA"``, the three matrices above (default: ``"DA"``).

    Shapes:
        - **output:** ``steps + 1`` times ``[num_nodes, num_outputs]``

    Example:
        >>> pair = torch.tensor([[0, 1], [1, 0]])
        >>> [round(float(y[0, 0]), 2) for y in propagate_predictions(torch.eye(2), pair, steps=2)]
        [1.0, 0.05, 0.95]
    """
    weight = torch.ones(edge_index.size(1)) if edge_weight is None else edge_weight
    matrix = SparseMatrix.from_edges(edge_index, weight.to(y.dtype), (y.size(0), y.size(0)))
    degree = matrix.row_sum().clamp(min=1)
    match kernel:
        case "DAD":
            matrix = matrix.scale(degree.rsqrt(), degree.rsqrt())
        case "AD":
            matrix = matrix.scale(right=degree.reciprocal())
        case _:
            matrix = matrix.scale(left=degree.reciprocal())
    return _iterates(y, matrix, alpha, steps)


def _iterates(y: Tensor, matrix: SparseMatrix, alpha: float, steps: int) -> Iterator[Tensor]:
    state = y
    yield state
    for _ in range(steps):
        state = alpha * (matrix @ state) + (1 - alpha) * y
        yield state
