"""Orthogonal matrices from unconstrained numbers."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor

from graphkit.core.constraints import OneOf
from graphkit.core.validate import check_choice

METHODS = ("householder", "cayley", "matrix_exp", "euler")
Orthogonal = Annotated[str, OneOf(METHODS)]


def num_orthogonal_params(d: int, method: str = "householder") -> int:
    """How many numbers :func:`orthogonal` takes for a ``d`` x ``d`` matrix.

    Raises:
        ValueError: If the method is unknown, or ``"euler"`` is asked for ``d`` other than 2 and 3.

    Example:
        >>> num_orthogonal_params(3), num_orthogonal_params(3, "cayley")
        (3, 6)
    """
    check_choice(method, METHODS, "orthogonal parametrisation")
    if d < 2:
        raise ValueError(f"orthogonal maps need a stalk dimension of at least 2, got {d}; use maps='diag'")
    if method == "euler" and d > 3:
        raise ValueError(f"Euler angles exist for stalk dimensions 2 and 3, got {d}; use 'householder'")
    return d * (d - 1) // 2 if method in ("householder", "euler") else d * (d + 1) // 2


def orthogonal(params: Tensor, d: int, method: str = "householder") -> Tensor:
    r"""Map numbers to orthogonal :math:`d \times d` matrices, as in the code of Neural Sheaf Diffusion.

    The numbers of one matrix fill a lower triangle row by row.

    - ``"householder"``: :math:`Q = H_0 H_1 \cdots H_{d-1}` with :math:`H_j = I - 2 u_j u_j^\top / |u_j|^2`, where
      :math:`u_j` is column :math:`j` of the strict triangle plus the identity. All :math:`d` reflections are used (the
      last flips one sign), so :math:`\det Q = (-1)^d` and zeros give :math:`-I`.
    - ``"cayley"``: :math:`Q = (I - A/2)^{-1} (I + A/2)` with :math:`A = T - T^\top`, :math:`T` the triangle with its
      diagonal (which cancels).
    - ``"matrix_exp"``: :math:`Q = e^A`.
    - ``"euler"``: :math:`d = 2`: the rotation by :math:`2 \pi p`; :math:`d = 3`: :math:`R_z R_y R_x` of such angles.

    Args:
        params: The numbers, components first.
        d: The size of the matrices, at least 2.
        method: One of the four (default: ``"householder"``).

    Shapes:
        - **params:** :math:`(k, m)` with :math:`k` as :func:`num_orthogonal_params` says
        - **output:** :math:`(d, d, m)`, row and column first

    Raises:
        ValueError: If the method is unknown or does not fit ``d``.

    Example:
        >>> orthogonal(torch.tensor([[0.25]]), 2, "euler").squeeze(-1).round()
        tensor([[-0., -1.],
                [ 1., -0.]])
    """
    k = num_orthogonal_params(d, method)
    if params.dim() != 2 or params.size(0) != k:
        raise ValueError(f"{method} maps of size {d} need params [{k}, m], got shape {list(params.shape)}")
    if method == "householder":
        return _householder(params, d)
    if method == "euler":
        return _euler(params, d)
    triangle = params.new_zeros(params.size(1), d, d)
    row, col = torch.tril_indices(d, d, device=params.device)
    triangle[:, row, col] = params.t()
    skew = (triangle - triangle.mT).to(torch.promote_types(params.dtype, torch.float32))  # solvers lack half types
    if method == "matrix_exp":
        q = torch.linalg.matrix_exp(skew)
    else:
        eye = torch.eye(d, dtype=skew.dtype, device=params.device)
        q = torch.linalg.solve_ex(eye - skew / 2, eye + skew / 2).result  # never singular, so nothing to check
    return q.permute(1, 2, 0).to(params.dtype)


def _householder(params: Tensor, d: int) -> Tensor:
    one = torch.ones_like(params[:1])
    q = torch.eye(d, dtype=params.dtype, device=params.device).unsqueeze(-1).expand(d, d, params.size(1))
    for j in range(d - 1):
        below = [i * (i - 1) // 2 + j for i in range(j + 1, d)]
        u = torch.cat([one, *(params[row : row + 1] for row in below)])  # an index would be copied to the device
        scaled = u * (2 / (u * u).sum(0))
        active = q[:, j:]  # the reflection leaves the columns before j alone
        active = active - (active * u).sum(1, keepdim=True) * scaled
        q = active if j == 0 else torch.cat([q[:, :j], active], dim=1)
    return torch.cat([q[:, :-1], -q[:, -1:]], dim=1)


def _euler(params: Tensor, d: int) -> Tensor:
    angle = 2 * math.pi * params
    cos, sin = angle.cos(), angle.sin()
    if d == 2:
        return torch.stack([torch.cat([cos, -sin]), torch.cat([sin, cos])])
    (cz, cy, cx), (sz, sy, sx) = cos, sin
    return torch.stack(
        [
            torch.stack([cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx]),
            torch.stack([sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx]),
            torch.stack([-sy, cy * sx, cy * cx]),
        ]
    )
