"""Eigenvectors of many small symmetric matrices, for which the host does not wait."""

from __future__ import annotations

import torch
from torch import Tensor

_SWEEPS = 5  # through all pairs of coordinates, and one more for every third coordinate


def eigh(b: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues ``[m, d]``, in any order, and eigenvectors ``[m, d, d]`` of symmetric matrices ``[m, d, d]``.

    From a device torch's own would make the host wait. There matrices are turned until they are diagonal, by Jacobi's
    rotations of two coordinates, components first: in every round each coordinate has another partner, as in a round
    robin, so that a round is a handful of operations on long vectors whatever the number of coordinates.
    """
    if b.device.type == "cpu":
        return torch.linalg.eigh(b)
    size = b.size(-1)
    even = size + size % 2  # with a coordinate of zeros, which is never turned, where one has no partner
    half, sweeps = even // 2, _SWEEPS + size // 3 if size > 2 else 1
    both = b.new_zeros(2 * even, even, len(b))
    both[:size, :size] = b.permute(1, 2, 0)
    both[even:].diagonal().fill_(1)
    negligible = torch.finfo(b.dtype).eps * torch.linalg.vector_norm(b, dim=(1, 2))  # turning by it would not end
    for _ in range(sweeps * (even - 1)):
        first, second = both[:half], both[half:even]
        gap = (second[:, half:].diagonal() - first[:, :half].diagonal()).t()
        off = 2 * first[:, half:].diagonal().t()
        length = torch.hypot(gap, off)
        tangent = off / (gap + length.copysign(gap)).where(length > 0, 1.0) * (off.abs() > negligible)
        cos = (1 + tangent.square()).rsqrt()
        sin = tangent * cos
        both = _turn(both.transpose(0, 1), cos, sin).transpose(0, 1)
        both = torch.cat([_turn(both[:even], cos, sin), both[even:]])
    return both[:size, :size].diagonal(), both[even : even + size, :size].permute(2, 0, 1)


def _turn(rows: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate each row of the first half with that opposite, and give all but the first row their next partners."""
    half, cos, sin = len(cos), cos.unsqueeze(1), sin.unsqueeze(1)
    first, second = rows[:half], rows[half:]
    first, second = cos * first - sin * second, sin * first + cos * second
    return torch.cat([first[:1], second[:1], first[1:-1], second[1:], first[max(1, half - 1) :]])
