"""A multilayer perceptron."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch_geometric.nn.resolver import activation_resolver

from graphkit.core.checks import Checks
from graphkit.core.constraints import Activation, Channels, Checked, Count, Probability
from graphkit.nn.linear import Linear
from graphkit.ops.dropout import dropout


class Perceptron(Checked, nn.Module):
    """Multilayer perceptron: linear maps with activations in between; edges are not used.

    Args:
        in_channels: Size of each input row; -1 takes it from the first input.
        hidden_channels: Size of the rows in between.
        out_channels: Size of each output row.
        num_layers: The number of linear maps (default: 2).
        act: The activation, by PyG's names (default: ``"relu"``).
        dropout: The probability of dropping an entry after each activation (default: 0).

    Shapes:
        - **input:** ``x`` ``[*, in_channels]``
        - **output:** ``[*, out_channels]``

    Example:
        >>> import torch
        >>> Perceptron(4, 8, 2)(torch.ones(3, 4)).shape
        torch.Size([3, 2])
    """

    checks = Checks([{}, {"num_layers": 1}, {"num_layers": 3, "act": "elu"}])

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count,
        out_channels: Count,
        num_layers: Count = 2,
        act: Activation = "relu",
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        widths = [in_channels] + [hidden_channels] * (num_layers - 1) + [out_channels]
        self.layers = nn.ModuleList(Linear(*pair) for pair in pairwise(widths))
        self.activation, self.dropout = activation_resolver(act), dropout

    def reset_parameters(self) -> None:
        """Draw new weights: Glorot uniform, zeros for biases."""
        for layer in self.layers:
            layer.reset_parameters()  # type: ignore[operator]

    def forward(self, x: Tensor) -> Tensor:
        """The last linear map's results; see the class for shapes."""
        for layer in self.layers[:-1]:
            x = dropout(self.activation(layer(x)), self.dropout, self.training)
        return self.layers[-1](x)
