"""Sums over distances of means over the nodes there whose weights are gates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from graphkit.ops.fused import Kernels
from graphkit.ops.gated import by_ends
from graphkit.ops.hop_sets import HopSets


def hop_gates(
    sets: HopSets, logit: Tensor, source_logits: Sequence[Tensor], values: Sequence[Tensor], alpha: float, eps: float
) -> Tensor:
    r"""The sum of :func:`~graphkit.ops.gated_mean` over the distances 1, 2, ..., by kernels of the CPU.

    Gates are computed once on the way forward and once on the way back; sums over distances are made where they are.

    Args:
        sets: The pairs at each distance, without self-loops of their own.
        logit: The logits of targets ``[num_nodes, channels]``, in single or double precision as all others.
        source_logits: Those of sources, for each distance.
        values: What is averaged, for each distance.
        alpha: The factor of each mean.
        eps: What is added to sums of gates.
    """
    work = _HopGates(sets, alpha, eps)
    return Kernels(work.forward, work.backward, work.definition)(logit, *source_logits, *values)


class _HopGates:
    """The sum both ways, of the logits of targets, and of sources' logits and values for each distance."""

    def __init__(self, sets: HopSets, alpha: float, eps: float) -> None:
        self.sets, self.alpha, self.eps = sets, alpha, eps

    def _each(self, inputs: Sequence[Any]) -> list[tuple[int, Any, Any]]:
        half = len(inputs) // 2
        return [(self.sets.number(k), inputs[k], inputs[half + k]) for k in range(1, half + 1)]

    def forward(self, logit: Tensor, *others: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The sum; exponentials of logits, means, and sums of gates with ``eps``."""
        from graphkit.ops import hop_gate_kernels as kernels

        each = self._each((logit, *others))
        target, out = kernels.exponentials(logit), torch.zeros_like(logit, memory_format=torch.contiguous_format)
        sources, means, totals = (out.new_empty(len(each), *out.shape) for _ in range(3))
        run = kernels.Run(self.sets, target, out)
        for place, (hop, source_logit, value) in enumerate(each):
            kernels.exponentials(source_logit, sources[place])
            run.add_mean(hop, self.alpha, self.eps, sources[place], value, means[place], totals[place])
        return out, (target, sources, means, totals)

    def backward(self, inputs: Sequence[Tensor], kept: Sequence[Tensor], grad: Tensor) -> list[Tensor]:
        """The gradients of all logits and values."""
        from graphkit.ops import hop_gate_kernels as kernels

        target, sources, means, totals = kept
        of_target, run = torch.zeros_like(target), kernels.Run(self.sets, target, grad.contiguous())
        of_sources, of_values = [], []
        for place, (hop, _, value) in enumerate(self._each(inputs)):
            of_source, of_value = torch.zeros_like(target), torch.zeros_like(target)
            ways = (of_target, of_source, of_value)
            run.add_mean_backward(hop, self.alpha, sources[place], value, means[place], totals[place], *ways)
            of_sources.append(of_source)
            of_values.append(of_value)
        return [of_target, *of_sources, *of_values]

    def definition(self, *inputs: Any) -> Tensor:
        """The sum again, in operations that have derivatives of any order."""
        each = self._each(inputs)
        means = [by_ends(self.sets.pattern(hop), self.eps, inputs[0], source, value) for hop, source, value in each]
        return self.alpha * sum(means[1:], start=means[0])
