"""The closed form of linear diffusion, by uniformisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphkit.core.devices import CPU
from graphkit.ops import SparseMatrix, backend

_LONGEST = 300.0  # the Poisson weights of one piece must not underflow


def exact_diffusion(
    matrix: SparseMatrix,
    z: Tensor,
    rate: Tensor,
    duration: float,
    source: Tensor | None = None,
    strength: Tensor | None = None,
    norm: float | None = None,
    fastest: float | None = None,
) -> Tensor:
    r"""Solve :math:`\dot z = s (A z - z) + \beta b` up to rounding.

    With :math:`N \sim \mathrm{Poisson}(sT)` (uniformisation of a Markov chain)

    .. math::
        z(T) = \sum_k P(N = k) \, A^k z(0) + \beta \sum_k \frac{P(N > k)}{s} \, A^k b

    cut where the rest is below the rounding error. One sequence of products (Horner) serves both sums; gradients are
    exact, for the five tensors, and take as many products again. How many products there are follows from the size of
    :math:`sT`, for which the host waits for a device, unless it is told of a bound.

    Args:
        matrix: :math:`A`.
        z: :math:`z(0)`, ``[num_nodes, channels]``.
        rate: :math:`s`, a scalar of either sign.
        duration: :math:`T`.
        source: :math:`b`, ``[num_nodes, channels]`` (default: none).
        strength: :math:`\beta`, a scalar (default: none, so no source).
        norm: A norm of :math:`A`, or more (default: computed).
        fastest: The largest :math:`s` there can be, if that is positive, by which a device computes (default:
            :math:`s` itself).

    Example:
        >>> swap = SparseMatrix.from_edges(torch.tensor([[0, 1], [1, 0]]))
        >>> exact_diffusion(swap, torch.tensor([[1.0], [0.0]]), torch.tensor(1.0), 50.0)
        tensor([[0.5000],
                [0.5000]])
    """
    wide = torch.promote_types(matrix.dtype or z.dtype, torch.promote_types(z.dtype, torch.float32))
    if z.dtype != wide or matrix.dtype not in (None, wide):  # many terms are summed: not in half types
        wide_source = None if source is None else source.to(wide)
        given = wide_source, strength, norm, fastest
        return exact_diffusion(matrix.to(wide), z.to(wide), rate, duration, *given).to(z.dtype)
    if source is None or strength is None:
        source = strength = None
    if norm is None:
        norm = float(_norm(matrix)) if matrix.requires_grad else matrix.cached("norm", lambda: float(_norm(matrix)))
    speed = float(rate.detach()) if fastest is None or z.device == CPU else fastest
    norm = max(1.0, norm)
    pieces = max(1, math.ceil(abs(speed) * duration * norm / _LONGEST))
    piece = duration / pieces
    count = _num_terms(abs(speed * piece) * norm, speed * piece, torch.finfo(z.dtype).eps)
    weights, source_weights = _poisson(rate.double(), piece, count)
    of_source = None if strength is None else source_weights * strength.double()
    values = matrix.values if matrix.requires_grad else None
    for _ in range(pieces):
        z = _Polynomial.apply(z, weights, source, of_source, values, matrix)
    return z


def _poisson(rate: Tensor, duration: float, count: int) -> tuple[Tensor, Tensor]:
    r"""The weights :math:`P(N=k)` and :math:`P(N>k)/s = T \sum_{j \ge k} P(N=j)/(j+1)`, the latter safe at s = 0."""
    mean = rate * duration
    order = torch.arange(1, count + 1, dtype=torch.float64, device=rate.device)
    weights = torch.exp(-mean) * torch.cat([torch.ones_like(order[:1]), (mean / order[:-1]).cumprod(0)])
    return weights, duration * (weights / order).flip(0).cumsum(0).flip(0)


def _num_terms(growth: float, mean: float, eps: float) -> int:
    """How many terms leave a rest below ``eps``, if each power of the matrix grows by ``growth / mean``."""
    term, k = math.exp(-mean), 0
    while k <= growth or term > eps * (1 - growth / (k + 1)):
        k += 1
        term *= growth / k
    return k + 1


def _norm(matrix: SparseMatrix) -> Tensor:
    """A bound on how much a power of the matrix can grow, if that is more than 1."""
    pattern = matrix.pattern
    if pattern.num_edges == 0:
        return torch.ones((), device=pattern.device)
    if matrix.values is None:
        return pattern.in_degree.max()
    absolute = matrix.values.detach().abs()
    rows = absolute.new_zeros(matrix.shape[0]).index_add_(0, pattern.row, absolute)
    columns = absolute.new_zeros(matrix.shape[1]).index_add_(0, pattern.col, absolute)
    return torch.minimum(rows.max(), columns.max())


class _Polynomial(torch.autograd.Function):
    r"""``sum_k p_k A^k z + sum_k q_k A^k b`` by Horner's scheme, which keeps what the gradient of ``A`` needs.

    With :math:`W_i = p_{i+1} z + q_{i+1} b + A W_{i+1}` the result is :math:`W_{-1}`, and with
    :math:`U_i = (A^\top)^i g` the gradients are :math:`\sum_i U_i W_i^\top` (sampled at the pattern),
    :math:`\sum_i p_i U_i` and :math:`\langle U_i, z \rangle`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        z: Tensor,
        p: Tensor,
        b: Tensor | None,
        q: Tensor | None,
        values: Tensor | None,
        matrix: SparseMatrix,
    ) -> Tensor:
        csr, partial = matrix.csr(z.dtype), []
        if b is None or q is None:
            terms = [(z, _factors(p, z))]
        elif z.data_ptr() == b.data_ptr():
            terms = [(z, _factors(p + q, z))]
        else:
            terms = [(z, _factors(p, z)), (b, _factors(q, z))]
        out = _combine(None, terms, len(p) - 1)
        for i in range(len(p) - 2, -1, -1):
            if values is not None:
                partial.append(out)
            out = _combine(backend.csr_mm(csr, out), terms, i)
        ctx.matrix = matrix
        ctx.save_for_backward(z, p, b, q, values, *partial)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        z, p, b, q, values, *partial = ctx.saved_tensors
        needs_z, needs_p, needs_b, needs_q = ctx.needs_input_grad[:4]
        matrix: SparseMatrix = ctx.matrix
        fixed = matrix if values is None else SparseMatrix(matrix.pattern, values.detach())
        transposed, pattern = fixed.T.csr(z.dtype), matrix.pattern.ones(z.dtype)
        grad_z = torch.zeros_like(z) if needs_z else None
        grad_b = torch.zeros_like(z) if needs_b else None
        grad_values = None if values is None else torch.zeros_like(values)
        of_z, of_b = _factors(p, z), None if q is None else _factors(q, z)
        dots: dict[str, list[Tensor]] = {"p": [], "q": []}
        power = grad.contiguous()
        for i in range(len(p)):
            if i > 0:
                if grad_values is not None:
                    grad_values += backend.csr_sampled(pattern, power, partial[-i])
                power = backend.csr_mm(transposed, power)
            if grad_z is not None:
                _add(grad_z, power, of_z[i])
            if grad_b is not None and of_b is not None:
                _add(grad_b, power, of_b[i])
            if needs_p:
                dots["p"].append(torch.dot(power.view(-1), z.reshape(-1)))
            if needs_q:
                shared = needs_p and b.data_ptr() == z.data_ptr()
                dots["q"].append(dots["p"][-1] if shared else torch.dot(power.view(-1), b.reshape(-1)))
        grad_p = torch.stack(dots["p"]).to(p.dtype) if needs_p else None
        grad_q = torch.stack(dots["q"]).to(q.dtype) if needs_q else None
        return grad_z, grad_p, grad_b, grad_q, grad_values, None


def _factors(numbers: Tensor, of: Tensor) -> Sequence[float | Tensor]:
    """Single numbers to multiply with; those of a device stay there."""
    return numbers.tolist() if numbers.device == CPU else numbers.to(of.dtype).unbind()


def _combine(out: Tensor | None, terms: list[tuple[Tensor, Sequence[float | Tensor]]], i: int) -> Tensor:
    for tensor, factors in terms:
        out = tensor * factors[i] if out is None else _add(out, tensor, factors[i])
    assert out is not None
    return out


def _add(out: Tensor, x: Tensor, factor: float | Tensor) -> Tensor:
    return out.add_(x, alpha=factor) if isinstance(factor, float) else out.addcmul_(x, factor)
