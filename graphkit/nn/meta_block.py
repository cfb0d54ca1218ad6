"""The layer of graph metanetworks: edges have states, too."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn.resolver import activation_resolver
from torch_geometric.utils import scatter

from graphkit.core.checks import Checks
from graphkit.core.constraints import Activation, Checked, Count
from graphkit.core.overriding import as_written
from graphkit.nn.perceptron import Perceptron


class MetaBlock(Checked, nn.Module):
    r"""A message-passing layer with states of nodes and of edges, PyG's ``MetaLayer`` with perceptrons.

    .. math::
        e'_{uv} = m_1([x_u, x_v, e_{uv}]), \qquad
        x'_v = m_3\big(\big[x_v, \tfrac{1}{d_v} \sum_{u \to v} m_2([x_u, e'_{uv}])\big]\big)

    with an activation after each of the perceptrons. What the first linear map of a perceptron makes of a node is
    computed once per node and then gathered, not once per edge.

    Args:
        node_channels: Size of nodes' states.
        edge_channels: Size of edges' states.
        out_channels: Size of both afterwards, and of what is between.
        num_layers: The number of linear maps of each perceptron (default: 1).
        act: The activation, by PyG's names (default: ``"relu"``).
        last: Whether there is none after the perceptrons (default: ``False``).

    Shapes:
        - **input:** ``x`` ``[num_nodes, node_channels]``, ``e`` ``[num_edges, edge_channels]``, ``edge_index``
        - **output:** ``[num_nodes, out_channels]`` and ``[num_edges, out_channels]``

    Example:
        >>> import torch
        >>> x, e = MetaBlock(3, 6, 4)(torch.ones(3, 3), torch.ones(2, 6), torch.tensor([[0, 1], [1, 2]]))
        >>> x.shape, e.shape
        (torch.Size([3, 4]), torch.Size([2, 4]))
    """

    checks = Checks(skip="it returns states of edges, too; checked with MetaNetwork")

    def __init__(
        self,
        node_channels: Count,
        edge_channels: Count,
        out_channels: Count,
        num_layers: Count = 1,
        act: Activation = "relu",
        last: bool = False,
    ) -> None:
        super().__init__()
        c = out_channels
        self.node_channels, self.edge_channels = node_channels, edge_channels
        self.edge = Perceptron(2 * node_channels + edge_channels, c, c, num_layers, act)
        self.message = Perceptron(node_channels + c, c, c, num_layers, act)
        self.update = Perceptron(node_channels + c, c, c, num_layers, act)
        self.activation = nn.Identity() if last else activation_resolver(act)

    def reset_parameters(self) -> None:
        """Draw new weights: Glorot uniform, zeros for biases."""
        for module in (self.edge, self.message, self.update):
            module.reset_parameters()

    def forward(self, x: Tensor, e: Tensor, edge_index: Tensor) -> tuple[Tensor, Tensor]:
        """New states; see the class for shapes."""
        source, target = edge_index
        e = self._rows(self.edge, (x, source), (x, target), (e, None))
        messages = self._rows(self.message, (x, source), (e, None))
        return self._rows(self.update, (x, None), (scatter(messages, target, 0, x.size(0), "mean"), None)), e

    def _rows(self, perceptron: Perceptron, *parts: tuple[Tensor, Tensor | None]) -> Tensor:
        """The perceptron on rows that are put together of parts, gathered by an index or not."""
        if not (as_written(perceptron) and as_written(perceptron.layers[0])):
            rows = [part if index is None else part.index_select(0, index) for part, index in parts]
            return self.activation(perceptron(torch.cat(rows, dim=1)))
        first = perceptron.layers[0]
        weights = first.weight.split([part.size(1) for part, _ in parts], dim=1)  # type: ignore[operator]
        out: Tensor = first.bias  # type: ignore[assignment]
        for (part, index), weight in zip(parts, weights):
            product = F.linear(part, weight)
            out = out + (product if index is None else product.index_select(0, index))
        for layer in list(perceptron.layers)[1:]:
            out = layer(perceptron.activation(out))
        return self.activation(out)
