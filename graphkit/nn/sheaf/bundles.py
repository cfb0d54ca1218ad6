"""Flat bundles: orthogonal frames of nodes, and the layers that diffuse heat between them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch_geometric.nn.resolver import activation_resolver

from graphkit.core.checks import Checks
from graphkit.core.overriding import check_as_written
from graphkit.nn.heterophily_modules import FeedForwardModule
from graphkit.nn.linear import torch_linear
from graphkit.nn.sheaf.blocks import rotate, transport
from graphkit.nn.sheaf.orthogonal import orthogonal
from graphkit.ops.dropout import dropout

Heat = Callable[[Tensor], Tensor]


class Frames:
    r"""The orthogonal maps :math:`O_v^b` of each node and bundle, from numbers that a learner predicts.

    Euler angles are taken as they are, without the factor :math:`2 \pi` of :func:`~graphkit.nn.sheaf.orthogonal`; in
    two dimensions no matrix is ever made.

    Args:
        numbers: The numbers ``[num_nodes, num_bundles * k]``.
        num_bundles: The number of bundles.
        dim: The dimension of a bundle.
        method: The parametrisation.
    """

    def __init__(self, numbers: Tensor, num_bundles: int, dim: int, method: str) -> None:
        self.shape = (numbers.size(0), num_bundles, dim, -1)
        self.angles = numbers if method == "euler" and dim == 2 else None
        if self.angles is not None:
            self.cos, self.sin = numbers.cos(), numbers.sin()
            return
        numbers = numbers.reshape(numbers.size(0) * num_bundles, -1).t()
        maps = orthogonal(numbers / (2 * math.pi) if method == "euler" else numbers, dim, method)
        self.maps = maps.view(dim, dim, -1, num_bundles)

    def into(self, x: Tensor) -> Tensor:
        r"""Features ``[num_nodes, channels]`` in the common frame, :math:`O x`."""
        return self._apply(x, inverse=False)

    def back(self, x: Tensor) -> Tensor:
        r"""Features in the frames of nodes, :math:`O^\top x`."""
        return self._apply(x, inverse=True)

    def _apply(self, x: Tensor, inverse: bool) -> Tensor:
        stalks = x.view(self.shape)
        if self.angles is None:
            return transport(self.maps, stalks, transpose=inverse).flatten(1)
        return rotate(self.cos, self.sin, stalks, inverse).flatten(1)


class ResidualBundle(nn.Module):
    r"""The layer for heterophilous graphs, :math:`x + O^\top \mathrm{FFN}([u \,\|\, H O u])` with :math:`u` normed.

    Args:
        channels: The width of states.
        ego: What the perceptron reads beside what is diffused: ``"plain"`` :math:`u`, ``"rotated"`` :math:`O u`, or
            ``None`` for nothing.
        multiplier: The width of the perceptron.
        rate: The probability of dropping an entry.
    """

    checks = Checks(skip="it is a part; checked with BuNN")

    def __init__(self, channels: int, ego: str | None, multiplier: int, rate: float) -> None:
        super().__init__()
        self.ego = ego
        self.norm = nn.LayerNorm(channels)
        self.ffn = FeedForwardModule(channels * (1 + (ego is not None)), channels, multiplier, rate)

    def forward(self, x: Tensor, frames: Frames, heat: Heat) -> Tensor:
        u = self.norm(x)
        rotated = frames.into(u)
        parts = {None: (), "plain": (u,), "rotated": (rotated,)}[self.ego]
        return x + frames.back(self.ffn(torch.cat([*parts, heat(rotated)], dim=1) if parts else heat(rotated)))


class PaperBundle(nn.Module):
    r"""The paper's layer, :math:`\sigma(O^\top (H (O x W^\top) + b))`.

    Args:
        channels: The width of states.
        act: The activation :math:`\sigma`, by PyG's names, or ``None``.
        rate: The probability of dropping an entry.
    """

    checks = Checks(skip="it is a part; checked with BuNN")

    def __init__(self, channels: int, act: str | None, rate: float) -> None:
        super().__init__()
        self.lin, self.rate = torch_linear(channels, channels), rate
        self.activation = nn.Identity() if act is None else activation_resolver(act)

    def forward(self, x: Tensor, frames: Frames, heat: Heat) -> Tensor:
        check_as_written(self, "lin")
        x = cast(Tensor, dropout(x, self.rate, self.training))
        return self.activation(frames.back(heat(frames.into(x) @ self.lin.weight.t()) + self.lin.bias))


class LongRangeBundle(nn.Module):
    r"""The layer of the long-range benchmark, :math:`\mathrm{norm}(\mathrm{dropout}(x + O^\top (W H O x + b)))`.

    Args:
        channels: The width of states.
        residual: Whether the input is added.
        batch_norm: Whether there is a norm.
        rate: The probability of dropping an entry.
    """

    checks = Checks(skip="it is a part; checked with BuNN")

    def __init__(self, channels: int, residual: bool, batch_norm: bool, rate: float) -> None:
        super().__init__()
        self.lin, self.residual, self.rate = torch_linear(channels, channels), residual, rate
        self.norm = nn.BatchNorm1d(channels) if batch_norm else None

    def forward(self, x: Tensor, frames: Frames, heat: Heat) -> Tensor:
        out = frames.back(self.lin(heat(frames.into(x))))
        out = cast(Tensor, dropout(x + out if self.residual else out, self.rate, self.training))
        return out if self.norm is None else self.norm(out)
