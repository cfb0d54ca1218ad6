"""Generalised norm pooling: sum, mean, max, min and what lies between, with trainable exponents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor, nn
from torch_geometric.nn.resolver import activation_resolver

from graphkit.core.checks import Checks
from graphkit.core.constraints import Activation, Count, Interval, NonNegative
from graphkit.nn.aggr.base import SetAggregation
from graphkit.nn.aggr.sets import Sets, find_sets
from graphkit.ops.fused import Kernels
from graphkit.ops.segment import reduce_groups

_LOG_ZERO = -1e30  # finite, so that 0 * log(0) is 0


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
    p, q = (torch.as_tensor(value, dtype=x.dtype, device=x.device).view(1, -1) for value in (p, q))
    if bool((p == 0).any()):
        raise ValueError("gnp: p=0 is a pole of the norm; use another exponent")
    if index is None and ptr is None:
        index = x.new_zeros(x.size(0), dtype=torch.long)
    if dim_size is None and ptr is not None:
        dim_size = ptr.numel() - 1
    if dim_size is None:
        dim_size = int(index.max()) + 1 if index is not None and index.numel() > 0 else 0
    return _norms(x, p, q, find_sets(index, ptr, dim_size, x.size(0)))


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
        return self.lin(_norms(x + self.eps if self.eps else x, self.p, self.q, sets))


def _norms(x: Tensor, p: Tensor, q: Tensor, sets: Sets) -> Tensor:
    """The norms of each set ``[N, B * F]``, for exponents ``[B, F or 1]``, side by side."""
    work = _Norms(sets)
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64):
        return work.definition(x, p, q)
    return Kernels(work.forward, work.backward, work.definition)(x, p, q)


class _Norms:
    """The norms both ways, and again in operations that have derivatives of any order."""

    def __init__(self, sets: Sets) -> None:
        self.sets = sets

    def forward(self, x: Tensor, p: Tensor, q: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The norms; logarithms, and of sets their extremes, sums of powers, moments and what has a derivative."""
        from graphkit.ops import norm_kernels as kernels

        exponents = p.expand(-1, x.size(1)).contiguous()
        logs, top, total, moment = kernels.sums(self.sets.starts, self.sets.rows, x, exponents)
        zero = (total == 0) | (total == math.inf)
        total.masked_fill_(zero, 1.0)
        exponent = total.log().div_(p.unsqueeze(1)).add_(top).sub_(q.unsqueeze(1) * self.sets.log_sizes(x.dtype))
        beyond = exponent > _largest(x.dtype)
        out = exponent.clamp_(max=_largest(x.dtype)).exp_().masked_fill_(zero, 0.0)
        return out.transpose(0, 1).flatten(1), (logs, exponents, top, total, moment, out.masked_fill(beyond, 0.0))

    def backward(self, inputs: Sequence[Tensor], kept: Sequence[Tensor], grad: Tensor) -> tuple[Tensor, ...]:
        """The gradients of elements and of both exponents."""
        from graphkit.ops import norm_kernels as kernels

        x, p, q = inputs
        logs, exponents, top, total, moment, slope = kept
        weight = slope * grad.unflatten(1, (p.size(0), -1)).transpose(0, 1)
        share = weight / total
        of_x = kernels.backward(self.sets.starts, self.sets.rows, x, logs, exponents, top, share)
        of_p = ((share * moment).sum(1) * exponents - (weight * total.log()).sum(1)) / exponents.square()
        of_q = -(weight * self.sets.log_sizes(x.dtype)).sum(1)
        return of_x, of_p.sum_to_size(p.shape), of_q.sum_to_size(q.shape)

    def definition(self, x: Tensor, p: Tensor, q: Tensor) -> Tensor:
        """The norms from differentiable operations."""
        log = torch.threshold(x, 0, 1.0).log() + (x <= 0).to(x.dtype) * _LOG_ZERO
        size = self.sets.sizes.unsqueeze(1)
        norms = []
        for power, of_size in zip(p, q):
            top = reduce_groups(power * log, self.sets, "logsumexp") / power
            exponent = top - of_size * self.sets.log_sizes(x.dtype)
            norms.append(exponent.clamp(max=_largest(x.dtype)).exp().masked_fill(size == 0, 0.0))
        return torch.cat(norms, dim=1)


def _largest(dtype: torch.dtype) -> float:
    """The logarithm of a number close to the largest one."""
    return math.log(torch.finfo(dtype).max) - 0.01
