"""Sums over distances of what each makes of the nodes there: product, linear map, normalisation, activation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkit.ops.fused import Kernels
from graphkit.ops.hop_sets import HopSets
from graphkit.ops.matrix import SparseMatrix


class Hop(NamedTuple):
    r"""One summand :math:`\alpha \, \ell \big( \mathrm{ReLU} ( \mathrm{BN} ( P x W^\top + b ) ) \big)`.

    Attributes:
        distance: Which pairs :math:`P` has; 0 for none.
        state: Which of the states :math:`x` is.
        weight: :math:`W`.
        bias: :math:`b`, or ``None``.
        scale: The factors of the batch normalisation, or ``None`` if there is none.
        shift: What it adds.
        alpha: :math:`\alpha`.
        own: How often a node counts among its own sources, besides the pairs.
    """

    distance: int
    state: int
    weight: Tensor
    bias: Tensor | None
    scale: Tensor | None
    shift: Tensor | None
    alpha: float
    own: float


class Moments(NamedTuple):
    """Means and variances ``[num_hops, channels]`` of what is normalised: of the batch, or those that are given."""

    mean: Tensor
    variance: Tensor
    of_batch: bool
    eps: float


def hop_sum(
    sets: HopSets, states: Sequence[Tensor], hops: Sequence[Hop], moments: Moments | None, unit: bool
) -> Tensor:
    r"""The sum of hops, by kernels of the CPU that keep one row per node and hop for the way back.

    Args:
        sets: The pairs; each row and column of :math:`P` is divided by the root of the degree if they have loops.
        states: What the hops read, each ``[num_nodes, channels]``, all in single or all in double precision.
        hops: The summands.
        moments: What batch normalisations take, without the bias; filled with those of the batch if it takes these. No
            hop is normalised if there are none.
        unit: Whether rows are divided by their length, :math:`\ell`.
    """
    work = _HopSum(sets, len(states), hops, moments, unit)
    parts = [part for hop in hops for part in (hop.weight, hop.bias, hop.scale, hop.shift)]
    return Kernels(work.forward, work.backward, work.definition)(*states, *parts)


class _HopSum:
    """The sum both ways, of states and then of four parts of each hop: weight, bias, scale and shift."""

    def __init__(
        self, sets: HopSets, num_states: int, hops: Sequence[Hop], moments: Moments | None, unit: bool
    ) -> None:
        self.sets, self.num_states, self.moments, self.unit = sets, num_states, moments, unit
        self.plan = [(sets.number(hop.distance), hop.state, hop.alpha, hop.own) for hop in hops]

    @property
    def of_batch(self) -> bool:
        return self.moments is not None and self.moments.of_batch

    def forward(self, *inputs: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The sum; of each hop the product, and the four numbers by which each channel goes on from it."""
        from graphkit.ops import hop_kernels as kernels

        states, weights = inputs[: self.num_states], inputs[self.num_states :: 4]
        z = states[0].new_empty(len(weights), states[0].size(0), weights[0].size(0))
        out = torch.zeros_like(z[0])
        maps = self._maps(z, *(inputs[self.num_states + kind :: 4] for kind in (1, 2, 3)))
        run = kernels.Run(self.sets, z, maps, out)
        found = self.moments if self.of_batch else None
        for place, (hop, state, alpha, own) in enumerate(self.plan):
            torch.mm(states[state], weights[place].t(), out=run.rows)
            run.product(place, hop, own)
            if found is not None:
                run.standardize(place, found.eps, found.variance)
            run.add_rows(place, alpha, self.unit)
        if found is not None:
            found.mean.copy_(maps[2])
        return out, (z, *maps)

    def _maps(self, like: Tensor, biases: Any, scales: Any, shifts: Any) -> tuple[Tensor, ...]:
        r"""For each hop and channel factor :math:`f`, summand :math:`s`, mean :math:`m` and :math:`1 / \sigma`.

        A product :math:`z` becomes :math:`f z + s`. Of scale :math:`c` and shift :math:`d` normalisation makes
        :math:`f = c / \sigma` and :math:`s = d - f m`; where moments of the batch are to be found first, these are
        still :math:`c` and :math:`d`.
        """
        shape = like.size(0), like.size(2)
        bias, factor, summand = (
            like.new_full(shape, default) if each[0] is None else torch.stack(each)
            for each, default in ((biases, 0.0), (scales, 1.0), (shifts, 0.0))
        )
        if self.moments is None or self.moments.of_batch:
            mean, inverse = torch.zeros_like(bias), torch.ones_like(bias)
            return factor, summand if self.of_batch else summand.add_(bias), mean, inverse
        mean, inverse = self.moments.mean - bias, (self.moments.variance + self.moments.eps).rsqrt_()
        factor.mul_(inverse)
        return factor, summand.addcmul_(mean, factor, value=-1), mean, inverse

    def backward(self, inputs: Sequence[Any], kept: Sequence[Tensor], grad: Tensor) -> list[Tensor | None]:
        """The gradients of states and of parts."""
        from graphkit.ops import hop_kernels as kernels

        z, *maps = kept
        factor, _, _, inverse = maps
        states, parts = inputs[: self.num_states], inputs[self.num_states :]
        of_states: list[Tensor | None] = [None] * len(states)
        of_parts: list[Tensor | None] = []
        run = kernels.Run(self.sets, z, maps, grad.contiguous())
        for place, (hop, state, alpha, own) in enumerate(self.plan):
            weight, bias, scale, shift = parts[4 * place : 4 * place + 4]
            of_summand, of_factor = map(torch.from_numpy, run.add_rows_backward(place, alpha, self.unit, self.of_batch))
            run.product_backward(hop, own)
            x, known = states[state], of_states[state]
            if x.requires_grad:
                of_states[state] = run.rows @ weight if known is None else known.addmm_(run.rows, weight)
            of_bias = None
            if bias is not None:  # a mean of the batch takes it away again
                of_bias = torch.zeros_like(bias) if self.of_batch else of_summand * factor[place]
            of_scale = None if scale is None else of_factor * inverse[place]
            of_parts += [run.rows.t() @ x, of_bias, of_scale, None if shift is None else of_summand]
        return [*of_states, *of_parts]

    def definition(self, *inputs: Any) -> Tensor:
        """The sum again, in operations that have derivatives of any order."""
        states, parts = inputs[: self.num_states], inputs[self.num_states :]
        sums = []
        for place, (hop, state, alpha, own) in enumerate(self.plan):
            weight, bias, scale, shift = parts[4 * place : 4 * place + 4]
            y = self._product(hop, own, F.linear(states[state], weight))
            y = y if bias is None else y + bias
            if self.moments is not None:
                mean, variance = (None if self.of_batch else each[place] for each in self.moments[:2])
                y = F.batch_norm(y, mean, variance, scale, shift, self.of_batch, eps=self.moments.eps)
            sums.append(alpha * (F.normalize(y.relu(), dim=1) if self.unit else y.relu()))
        return sum(sums[1:], start=sums[0])

    def _product(self, hop: int, own: float, x: Tensor) -> Tensor:
        pairs = SparseMatrix(self.sets.pattern(hop))
        scale = self.sets.scales(x.dtype)[hop].unsqueeze(1)
        return scale * (pairs.matmul(scale * x) + own * scale * x)
