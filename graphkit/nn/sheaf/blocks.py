"""Many small matrices at once, components first.

A stack of :math:`m` matrices is a tensor ``[rows, columns, m]``: each of its few components is one long vector, and
products of tiny matrices become a handful of vectorised operations.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphkit.nn.sheaf.eigenvectors import eigh
from graphkit.nn.sheaf.graph import SheafGraph
from graphkit.ops import backend
from graphkit.ops.traced import tracing


def gather_ends(a: Tensor, b: Tensor | None, graph: SheafGraph) -> Tensor:
    """``a`` at the node of each end plus ``b`` at the node opposite: ``[c, num_nodes]`` to ``[c, num_ends]``."""
    out = _Incidence.apply(a, graph, False, False)
    return out if b is None else out + _Incidence.apply(b, graph, True, False)


def sum_ends(x: Tensor, graph: SheafGraph) -> Tensor:
    """The sum over the ends of each node: ``[c, num_ends]`` to ``[c, num_nodes]``."""
    return _Incidence.apply(x, graph, False, True)


def transpose_product(a: Tensor, b: Tensor) -> Tensor:
    r"""The products :math:`A_i^\top B_i`: ``[q, c, m]`` and ``[q, d, m]`` to ``[c, d, m]``."""
    return _Product.apply(a.transpose(0, 1), b)


def product(a: Tensor, b: Tensor) -> Tensor:
    r"""The products :math:`A_i B_i`: ``[c, q, m]`` and ``[q, d, m]`` to ``[c, d, m]``."""
    return _Product.apply(a, b)


def transport(maps: Tensor, x: Tensor, transpose: bool = False) -> Tensor:
    r"""Apply one matrix per stalk, :math:`Q_i X_i` or :math:`Q_i^\top X_i`, by fused multiply-adds of whole vectors.

    Args:
        maps: The matrices, components first.
        x: The stalks.
        transpose: Whether matrices are transposed (default: ``False``).

    Shapes:
        - **maps:** ``[d, d, *]``
        - **x, output:** ``[*, d, channels]``

    Example:
        >>> quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]]).view(2, 2, 1)
        >>> transport(quarter, torch.tensor([[[1.0], [2.0]]])).flatten().tolist()
        [-2.0, 1.0]
    """
    maps = maps.transpose(0, 1) if transpose else maps
    if tracing():
        return torch.einsum("ik...,...kc->...ic", maps, x)
    return _Transport.apply(maps, x)


def rotate(cos: Tensor, sin: Tensor, x: Tensor, inverse: bool = False) -> Tensor:
    r"""Turn one plane per stalk, :math:`(x_0 \cos - x_1 \sin, x_0 \sin + x_1 \cos)`, without a matrix anywhere.

    Args:
        cos: The cosines of the angles.
        sin: Their sines.
        x: The stalks.
        inverse: Whether to turn the other way (default: ``False``).

    Shapes:
        - **cos, sin:** ``[*]``
        - **x, output:** ``[*, 2, channels]``

    Example:
        >>> rotate(torch.zeros(1), torch.ones(1), torch.tensor([[[1.0], [2.0]]])).flatten().tolist()
        [-2.0, 1.0]
    """
    if tracing():
        (a, b), c, s = x.unbind(-2), cos.unsqueeze(-1), (-sin if inverse else sin).unsqueeze(-1)
        return torch.stack([a * c - b * s, a * s + b * c], dim=-2)
    return _Rotation.apply(cos, sin, x, -1.0 if inverse else 1.0)


def inverse_sqrt(b: Tensor, cut: float = 0.0) -> Tensor:
    r"""Inverse square roots :math:`B^{-1/2}` of symmetric positive semi-definite matrices.

    The gradient is the exact one (Daleckii and Krein), at repeated eigenvalues, too, where differentiating through the
    eigenvectors gives NaN: with :math:`B = V \operatorname{diag}(\lambda) V^\top` and :math:`G` the gradient of
    :math:`B^{-1/2}`,

    .. math::
        \nabla_B = V (K \circ V^\top G V) V^\top, \qquad
        K_{ij} = \frac{-1}{\sqrt{\lambda_i \lambda_j} (\sqrt{\lambda_i} + \sqrt{\lambda_j})}

    Args:
        b: The matrices.
        cut: Eigenvalues up to ``cut`` times the largest count as 0, and so does their inverse root (default: 0, for
            matrices that are known to be definite).

    Shapes:
        - **b, output:** :math:`(m, d, d)`

    Example:
        >>> inverse_sqrt(torch.diag(torch.tensor([4.0, 16.0]))[None])
        tensor([[[0.5000, 0.0000],
                 [0.0000, 0.2500]]])
    """
    return _InverseSqrt.apply(b, cut)


class _Incidence(torch.autograd.Function):
    """The sum over the ends of each node (or over those opposite), or its transpose: the number of each end's node."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, graph: SheafGraph, other: bool, summed: bool) -> Tensor:
        ctx.graph, ctx.other, ctx.summed = graph, other, summed
        if summed:
            return backend.csr_mm(graph.incidence(x.dtype, other), x.t().contiguous()).t().contiguous()
        return x.index_select(1, graph.other if other else graph.node)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return _Incidence.apply(grad, ctx.graph, ctx.other, not ctx.summed), None, None, None


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        out = a[:, 0, None] * b[None, 0]
        for k in range(1, a.size(1)):
            out.addcmul_(a[:, k, None], b[None, k])
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        a, b = ctx.saved_tensors
        grad_a = _Product.apply(grad, b.transpose(0, 1)) if ctx.needs_input_grad[0] else None
        grad_b = _Product.apply(a.transpose(0, 1), grad) if ctx.needs_input_grad[1] else None
        return grad_a, grad_b


class _Transport(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(maps, x)
        out = torch.empty_like(x)
        for row, to in zip(maps, out.unbind(-2), strict=True):
            torch.mul(row[0].unsqueeze(-1), x[..., 0, :], out=to)
            for k in range(1, maps.size(1)):
                to.addcmul_(row[k].unsqueeze(-1), x[..., k, :])
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        maps, x = ctx.saved_tensors
        grad_maps = grad_x = None
        if ctx.needs_input_grad[0]:
            of_rows = [[(g * v).sum(-1) for v in x.unbind(-2)] for g in grad.unbind(-2)]
            grad_maps = torch.stack([torch.stack(row) for row in of_rows])
        if ctx.needs_input_grad[1]:
            grad_x = _Transport.apply(maps.transpose(0, 1), grad)
        return grad_maps, grad_x


class _Rotation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, cos: Tensor, sin: Tensor, x: Tensor, sign: float) -> Tensor:
        ctx.save_for_backward(cos, sin, x)
        ctx.sign = sign
        (a, b), c, s = x.unbind(-2), cos.unsqueeze(-1), sin.unsqueeze(-1)
        out = torch.empty_like(x)
        first, second = out.unbind(-2)
        torch.mul(a, c, out=first).addcmul_(b, s, value=-sign)
        torch.mul(b, c, out=second).addcmul_(a, s, value=sign)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        cos, sin, x = ctx.saved_tensors
        grad_cos = grad_sin = grad_x = None
        (a, b), (g, h) = x.unbind(-2), grad.unbind(-2)
        if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
            grad_cos = torch.addcmul(g * a, h, b).sum(-1)
            grad_sin = ctx.sign * torch.addcmul(h * a, g, b, value=-1).sum(-1)
        if ctx.needs_input_grad[2]:
            grad_x = _Rotation.apply(cos, sin, grad, -ctx.sign)
        return grad_cos, grad_sin, grad_x, None


class _InverseSqrt(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, b: Tensor, cut: float) -> Tensor:
        values, vectors = eigh(b)
        if cut > 0:
            positive = values > cut * values.amax(-1, keepdim=True).clamp(min=torch.finfo(b.dtype).tiny)
            inverse_root = values.where(positive, 1.0).rsqrt() * positive
        else:
            inverse_root = values.rsqrt()
        ctx.save_for_backward(inverse_root, vectors)
        return (vectors * inverse_root.unsqueeze(-2)) @ vectors.mT

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        r, vectors = ctx.saved_tensors
        left, right = r.unsqueeze(-1), r.unsqueeze(-2)
        # -1 / (sqrt(a b) (sqrt(a) + sqrt(b))) with r = 1 / sqrt(a); 0 between eigenvalues that count as 0
        total = left + right
        kernel = -((left * right) ** 2) / total.where(total > 0, 1.0)
        grad = (grad + grad.mT) / 2
        return vectors @ (kernel * (vectors.mT @ grad @ vectors)) @ vectors.mT, None
