"""Generalised norm pooling: sum, mean, max, min and what lies between, with trainable exponents."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch_geometric.nn.resolver import activation_resolver

from graphkit import ops
from graphkit.core.checks import Checks
from graphkit.core.constraints import Activation, Count, Interval, NonNegative
from graphkit.nn.aggr.base import SetAggregation
from graphkit.nn.aggr.sets import Sets, find_sets

_LOG_ZERO = -1e30  # finite, so that 0 * log(0) is 0
# Relative to the scale of its set a power is between exp(-30) and 1. That of a zero stands out as exp(-70), too small
# to be seen in a sum, or for a negative exponent as exp(70), too large to be missed. Single precision holds them all.
_SAFE, _ZERO, _DIVERGED = 30.0, 50.0, 70.0


def gnp(
    x: Tensor,
    p: Tensor | float,
    q: Tensor | float,
    index: Tensor | None = None,
    ptr: Tensor | None = None,
    dim_size: int | None = None,
) -> Tensor:
    r"""Pool non-negative elements by a generalised norm, per channel.

    .. math::
        y_S = |S|^{-q} \Big( \sum_{i \in S} x_i^{\,p} \Big)^{1/p}

    :math:`p = 1, q = 0` is the sum, :math:`p = q = 1` the mean, :math:`p \to \infty, q = 0` the maximum and
    :math:`p \to -\infty, q = 0` the minimum. Where the formula has no value the limit is taken: an empty set gives 0,
    and so does one with a zero if :math:`p < 0`. Zeros count in :math:`|S|`. Evaluated through logarithms with the
    extreme of each set taken out, so no power can overflow; a result beyond the range of the dtype becomes about its
    largest number, without derivatives.

    Args:
        x: Non-negative elements.
        p: The exponent, not 0: a number, or one per channel.
        q: The exponent of the size: a number, or one per channel.
        index: The set of each element, in any order (default: ``ptr`` tells).
        ptr: Start of each set of consecutive elements, then their number (default: ``index`` tells).
        dim_size: The number of sets (default: the largest index plus one).

    Shapes:
        - **x:** :math:`(E, F)`
        - **p, q:** :math:`(F)`, :math:`(1)` or :math:`()`
        - **output:** :math:`(N, F)`

    Raises:
        ValueError: If an element is negative, ``p`` is 0 or a shape does not fit.

    Example:
        >>> x = torch.tensor([[3.0], [4.0], [5.0]])
        >>> gnp(x, 2.0, 0.0, torch.tensor([0, 0, 2])).tolist()
        [[5.0], [0.0], [5.0]]
    """
    if x.dim() != 2:
        raise ValueError(f"gnp: x has shape {list(x.shape)}, expected [num_elements, channels]")
    if bool((x < 0).any()):
        raise ValueError(f"gnp: x has negative elements (smallest {float(x.min()):.3g}); apply relu or abs first")
    p, q = (torch.as_tensor(value, dtype=x.dtype, device=x.device) for value in (p, q))
    if bool((p == 0).any()):
        raise ValueError("gnp: p=0 is a pole of the norm; use another exponent")
    if index is None and ptr is None:
        index = x.new_zeros(x.size(0), dtype=torch.long)
    if dim_size is None and ptr is not None:
        dim_size = ptr.numel() - 1
    if dim_size is None:
        dim_size = int(index.max()) + 1 if index is not None and index.numel() > 0 else 0
    return _norms(x, [(p.view(-1), q.view(-1))], find_sets(index, ptr, dim_size, x.size(0)))[0]


class GNPAggregation(SetAggregation):
    r"""Generalised norm pooling with a positive and a negative exponent, mixed by a linear map.

    From `"Learning to Pool in Graph Neural Networks for Extrapolation" <https://arxiv.org/abs/2106.06210>`_ (Ko, Kwon
    and Shin, 2021).

    .. math::
        y_S = W \big[\, N(S; p_+, q_+) \,\|\, N(S; p_-, q_-) \,\big], \qquad
        N(S; p, q) = |S|^{-q} \Big( \sum_{x \in S} v(x)^{\,p} \Big)^{1/p}

    .. math::
        p_+ = \mathrm{softplus}(a_+) + p_{\min}, \qquad p_- = -\mathrm{softplus}(a_-) - p_{\min}, \qquad
        v(x) = \mathrm{act}(x) + \varepsilon

    per channel. It contains sum, mean, maximum, minimum, root mean square and harmonic mean (see :func:`gnp`, also for
    empty sets and zeros), which is why what it learns can carry over to larger graphs. An exponent cannot cross its
    pole at 0 by gradient descent, hence two of them. They begin as :math:`p_\pm = \pm 1`, :math:`q = 0`: a sum and a
    harmonic sum. Exclude ``raw_p`` and ``q`` from weight decay, which would pull them towards :math:`p_{\min}` and 0.

    There is no official code, and only the paper's abstract could be checked; parametrisation and initial values are
    graphkit's. :math:`W` has no bias, so that empty sets give 0.

    Args:
        per_channel: Whether each channel has exponents of its own (default: ``False``).
        act: The activation that makes elements non-negative, by PyG's names; it does nothing where they are already.
            ``"relu"`` gives zeros, which silence the negative branch; ``"softplus"`` does not (default: ``"relu"``).
        eps: Added to each element (default: 0).
        p_min: The smallest absolute value of an exponent (default: 0.1).

    Cost: :math:`O(|E| F)`: a logarithm per element, and an exponential per element and branch.

    Example:
        >>> aggregation = GNPAggregation(4, 8)
        >>> aggregation(torch.ones(5, 4), torch.tensor([0, 0, 0, 2, 2]), dim_size=3).shape
        torch.Size([3, 8])
    """

    checks = Checks([{"eps": 1e-7}, {"act": "softplus", "per_channel": True}])

    def __init__(
        self,
        in_channels: Count,
        out_channels: Count,
        per_channel: bool = False,
        act: Activation = "relu",
        eps: NonNegative = 0.0,
        p_min: Annotated[float, Interval(0, 1, "neither")] = 0.1,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.per_channel = in_channels, out_channels, per_channel
        self.act, self.eps, self.p_min = act, eps, p_min
        self.activation = activation_resolver(act)
        self.raw_p = nn.Parameter(torch.empty(2, in_channels if per_channel else 1))
        self.q = nn.Parameter(torch.empty(2, in_channels if per_channel else 1))
        self.lin = nn.Linear(2 * in_channels, out_channels, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Exponents 1 and -1, no division by the size, and torch's default for the linear map."""
        nn.init.constant_(self.raw_p, math.log(math.expm1(1 - self.p_min)))
        nn.init.zeros_(self.q)
        self.lin.reset_parameters()

    @property
    def p(self) -> Tensor:
        """The positive and the negative exponent ``[2, in_channels or 1]``."""
        size = nn.functional.softplus(self.raw_p) + self.p_min
        return torch.stack([size[0], -size[1]])

    def aggregate(self, x: Tensor, sets: Sets) -> Tensor:
        x = self.activation(x)
        branches = _norms(x + self.eps if self.eps else x, zip(self.p, self.q), sets)
        return self.lin(torch.cat(branches, dim=-1))


def _norms(x: Tensor, exponents: Iterable[tuple[Tensor, Tensor]], sets: Sets) -> list[Tensor]:
    log, span = _Log.apply(x)
    return [_Norm.apply(log, p, q, sets, span) for p, q in exponents]


class _Log(torch.autograd.Function):
    """The logarithm of non-negative elements, finite at 0, and an interval with all of 0 and the true logarithms."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, tuple[float, float]]:
        log = torch.threshold(x, 0, 1.0).log_()  # processors are slow at the logarithm of 0
        if log.is_cuda:  # which would be waited for
            low, high = 0.0, math.inf
        else:
            low, high = (float(end) for end in torch.aminmax(log)) if log.numel() > 0 else (0.0, 0.0)
        ctx.save_for_backward(x)
        return log.add_((x <= 0).to(log.dtype), alpha=_LOG_ZERO), (min(low, 0.0), max(high, 0.0))

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: None) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.ops.aten.threshold_backward(grad, x, 0).div_(torch.threshold(x, 0, 1.0))


class _Norm(torch.autograd.Function):
    """The norm of elements given by their logarithms, with its derivatives in closed form."""

    @staticmethod
    def forward(ctx: Any, log: Tensor, p: Tensor, q: Tensor, sets: Sets, span: tuple[float, float]) -> Tensor:
        low, high = span
        positive = p > 0
        in_range = high < math.inf and float(p.abs().max()) * (high - low) < _SAFE
        if in_range:  # one scale for all sets keeps every exponential in range
            top = away = torch.where(positive, high, low).to(log.dtype).expand(1, -1)
        else:
            top = torch.where(positive, sets.reduce(log, "max"), sets.reduce(log, "min"))
            top.masked_fill_(top <= _LOG_ZERO / 2, 0.0)
            away = sets.gather(top)
        scaled = torch.sub(log, away).mul_(p).clamp_(-_DIVERGED, _DIVERGED)
        power = scaled.exp()
        total = sets.reduce(power, "sum")
        zero = (total < math.exp(-_ZERO)) | (total > math.exp(_ZERO))
        total.masked_fill_(zero, 1.0)
        log_size = sets.sizes.clamp(min=1).to(log.dtype).log_().unsqueeze(1)
        exponent = top + total.log() / p - q * log_size
        largest = _largest(log.dtype)
        beyond = exponent > largest
        out = exponent.clamp_(max=largest).exp_().masked_fill_(zero, 0.0)
        ctx.sets = sets
        ctx.save_for_backward(log, p, q, scaled, power, total, out, beyond, log_size)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        log, p, q, scaled, power, total, out, beyond, log_size = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody wants second derivatives
            composite = _composite(log, p, q, ctx.sets)
            return *torch.autograd.grad(composite, (log, p, q), grad, create_graph=True), None, None
        weight = (grad * out).masked_fill_(beyond, 0.0)
        grad_log = ctx.sets.gather(weight / total).mul_(power)
        slope = ((grad_log * scaled).sum(0) - (weight * total.log()).sum(0)) / p.square()
        return grad_log, slope.sum_to_size(p.shape), -(weight * log_size).sum(0).sum_to_size(q.shape), None, None


def _composite(log: Tensor, p: Tensor, q: Tensor, sets: Sets) -> Tensor:
    """The same from differentiable operations."""
    size = sets.sizes.to(log.dtype).unsqueeze(1)
    exponent = ops.scatter(p * log, sets.index, sets.num_sets, "logsumexp") / p - q * size.clamp(min=1).log()
    return exponent.clamp(max=_largest(log.dtype)).exp().masked_fill(size == 0, 0.0)


def _largest(dtype: torch.dtype) -> float:
    """The logarithm of a number close to the largest one."""
    return math.log(torch.finfo(dtype).max) - 0.01
