"""All hops of a DRew layer at once, where they are what its kernels know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from graphkit.core.overriding import as_written
from graphkit.nn.linear import Linear
from graphkit.ops import SparsityPattern
from graphkit.ops.edge_sum import has_kernels
from graphkit.ops.hop_sets import hop_sets
from graphkit.ops.hop_sum import Hop, Moments, hop_sum


class Parts(NamedTuple):
    """What a hop makes of the sum over its pairs: linear map, batch normalisation, ReLU, rows of length 1.

    Attributes:
        linear: The linear map.
        bias: What is added to it, or ``None``.
        norm: The normalisation, or ``None``.
        act: The activation.
        factor: What the result is multiplied with.
        unit: Whether rows are divided by their length.
        loops: Whether each node is a neighbour of itself, and pairs have the weights of a graph convolution.
    """

    linear: Any
    bias: Tensor | None
    norm: Any
    act: nn.Module
    factor: float = 1.0
    unit: bool = False
    loops: bool = False


class KnownHop(NamedTuple):
    """A summand of a layer: its distance (0 for the nodes themselves), its delay, its weight in the sum, its parts."""

    distance: int
    delay: int
    alpha: float
    parts: Parts


def known(layer: nn.Module, hops: Sequence[KnownHop]) -> bool:
    """Whether all parts are such as the kernels know, alike, and without hooks."""
    norms = [hop.parts.norm for hop in hops]
    return (
        all(type(hop.parts.act) is nn.ReLU and type(hop.parts.linear) in (Linear, nn.Linear) for hop in hops)
        and all(_is_known(norm) and _mode(norm) == _mode(norms[0]) for norm in norms)
        and all(as_written(part) for part in layer.modules() if part is not layer)
    )


def _is_known(norm: Any) -> bool:
    return norm is None or (type(norm) is nn.BatchNorm1d and norm.momentum is not None)


def _mode(norm: Any) -> Any:
    """What the normalisations of all hops must have in common."""
    if norm is None:
        return None
    return norm.training, norm.track_running_stats, norm.running_mean is None, norm.affine, norm.eps


def takes(graph: SparsityPattern, states: Sequence[Tensor], hops: Sequence[KnownHop]) -> bool:
    """Whether the kernels take these tensors; what fits nowhere is left to the layers, which say so."""
    weights = [hop.parts.linear.weight for hop in hops]
    return (
        has_kernels(graph, *states, *weights)
        and not torch.is_autocast_enabled("cpu")
        and states[0].size(0) > 1  # one row has no variance
        and all(states[0].size(1) == weight.size(1) for weight in weights)
    )


def sum_at_once(
    graph: SparsityPattern, distance: Tensor, states: Sequence[Tensor], known: Sequence[KnownHop]
) -> Tensor:
    """The sum over hops, which the kernels know and whose tensors they take."""
    unit, loops = known[-1].parts.unit, known[-1].parts.loops
    sets = hop_sets(graph, distance, known[-1].distance, loops)
    hops = []
    for number, delay, alpha, parts in known:
        scale, shift = (None, None) if parts.norm is None else (parts.norm.weight, parts.norm.bias)
        own, weight = float(loops or number == 0), parts.linear.weight
        state = len(states) - 1 - delay
        hops.append(Hop(number, state, weight, parts.bias, scale, shift, alpha * parts.factor, own))
    norms = [hop.parts.norm for hop in known]
    if norms[0] is None:
        return hop_sum(sets, states, hops, None, unit)
    of_batch = norms[0].training or norms[0].running_mean is None
    like, shape = states[0], (len(hops), hops[0].weight.size(0))
    if of_batch:
        moments = Moments(like.new_empty(shape), like.new_empty(shape), True, norms[0].eps)
    else:
        means, variances = ([getattr(norm, name) for norm in norms] for name in ("running_mean", "running_var"))
        moments = Moments(torch.stack(means), torch.stack(variances), False, norms[0].eps)
    out = hop_sum(sets, states, hops, moments, unit)
    if norms[0].training and norms[0].track_running_stats:
        _follow(norms, moments, [hop.bias for hop in hops], like.size(0))
    return out


@torch.no_grad()
def _follow(norms: Sequence[Any], moments: Moments, biases: Sequence[Tensor | None], rows: int) -> None:
    """Let the running moments follow those of the batch, as torch does."""
    variances = moments.variance * (rows / (rows - 1))
    for norm, mean, variance, bias in zip(norms, moments.mean, variances, biases, strict=True):
        norm.num_batches_tracked.add_(1)
        norm.running_mean.lerp_(mean if bias is None else mean + bias, norm.momentum)
        norm.running_var.lerp_(variance, norm.momentum)
