"""Binary operators :math:`f(a, b)` that an LCM aggregation can learn."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Count
from graphkit.nn.aggr.gru_pairs import symmetric_gru


class GRUOperator(Checked, nn.GRUCell):
    r"""A GRU cell that reads :math:`a` in state :math:`b`.

    .. math::
        r = \sigma(W_{ir} a + b_{ir} + W_{hr} b + b_{hr}), \quad
        z = \sigma(W_{iz} a + b_{iz} + W_{hz} b + b_{hz}), \quad
        n = \tanh(W_{in} a + b_{in} + r \odot (W_{hn} b + b_{hn}))

    .. math::
        f(a, b) = (1 - z) \odot n + z \odot b

    Args:
        channels: The width of operands and result.

    Shapes:
        - **a, b, output:** ``[n, channels]``

    Example:
        >>> GRUOperator(4)(torch.ones(3, 4), torch.zeros(3, 4)).shape
        torch.Size([3, 4])
    """

    checks = Checks(skip="a part of an aggregation, checked with it")

    def __init__(self, channels: Count) -> None:
        super().__init__(channels, channels)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:  # type: ignore[override]
        """The new state."""
        return super().forward(a, b)

    def symmetrised(self, a: Tensor, b: Tensor) -> Tensor:
        r""":math:`\frac12 (f(a, b) + f(b, a))`, faster than by two calls."""
        return symmetric_gru(a, b, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)


class MLPOperator(Checked, nn.Module):
    r"""A perceptron with one hidden layer on both operands.

    .. math::
        f(a, b) = W_2 \, \mathrm{ReLU}(W_1 [a \,\|\, b] + b_1) + b_2

    Args:
        channels: The width of operands and result.
        hidden_channels: The width of the hidden layer (default: ``2 * channels``).

    Shapes:
        - **a, b, output:** ``[n, channels]``

    Example:
        >>> MLPOperator(4)(torch.ones(3, 4), torch.zeros(3, 4)).shape
        torch.Size([3, 4])
    """

    checks = Checks(skip="a part of an aggregation, checked with it")

    def __init__(self, channels: Count, hidden_channels: Count | None = None) -> None:
        super().__init__()
        hidden_channels = 2 * channels if hidden_channels is None else hidden_channels
        self.lin1 = nn.Linear(2 * channels, hidden_channels)
        self.lin2 = nn.Linear(hidden_channels, channels)

    def reset_parameters(self) -> None:
        """Draw new weights: torch's default for linear maps."""
        self.lin1.reset_parameters()
        self.lin2.reset_parameters()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """The perceptron's output."""
        return self.lin2(self.lin1(torch.cat([a, b], dim=-1)).relu())
