"""A network that predicts the parameters of other networks from what they compute."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.constraints import Checked, Count
from graphkit.metanetworks.computation import OPERATIONS, SIZES
from graphkit.ops import scatter


class GraphHyperNetwork(Checked, nn.Module):
    r"""Predicts all parameters of a network, which may be one that it never saw, from its computational graph.

    A small network after `"Parameter Prediction for Unseen Deep Architectures"
    <https://github.com/facebookresearch/ppuda>`_ (Knyazev, Drozdzal, Taylor, Romero-Soriano; NeurIPS 2021). Of each
    operation :math:`v`, :math:`h_v` is first the sum of embeddings of its codes; then, in each of :math:`T` rounds,

    .. math::
        h_v \leftarrow \mathrm{GRU}\Bigl(\bigl[\, \tfrac{1}{|N^-(v)|} \sum_{u \in N^-(v)} h_u \;\|\;
        \tfrac{1}{|N^+(v)|} \sum_{u \in N^+(v)} h_u \,\bigr],\; h_v\Bigr)

    reads what comes before, :math:`N^-(v)`, and after, :math:`N^+(v)`. A perceptron for each kind of parameter (matrix,
    kernel, factor, offset) makes of :math:`h_v` a block of the largest size, of which a parameter takes the first
    entries; where it is larger, the block is repeated. Matrices and kernels are multiplied by :math:`\sqrt{2 / n}` for
    :math:`n` inputs; a factor is :math:`2 \sigma(\cdot)`, an offset :math:`0.2 \tanh(\cdot)`.

    Where it differs from the paper: all nodes are updated at once in each round, not one after the other; no edges are
    added between operations that are far apart; blocks of a kind share one perceptron.

    Args:
        hidden_channels: The width of :math:`h` (default: 32).
        num_rounds: The number of rounds :math:`T` (default: 4).
        width: The largest number of rows and columns of a block (default: 32).
        kernel: The largest side of a kernel (default: 3).

    Shapes:
        - **input:** ``graph`` of :func:`computational_graph`, and ``module``, whose parameters' names and shapes count
        - **output:** each parameter by name, as :func:`torch.func.functional_call` takes them

    Raises:
        ValueError: If a parameter belongs to no operation of the graph.

    Example:
        >>> from graphkit.metanetworks import computational_graph
        >>> net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> parameters = GraphHyperNetwork()(computational_graph(net), net)
        >>> torch.func.functional_call(net, parameters, torch.ones(5, 3)).shape
        torch.Size([5, 2])
    """

    def __init__(
        self, hidden_channels: Count = 32, num_rounds: Count = 4, width: Count = 32, kernel: Count = 3
    ) -> None:
        super().__init__()
        h, self.num_rounds, self.width, self.kernel = hidden_channels, num_rounds, width, kernel
        self.embeddings = nn.ModuleList(nn.Embedding(count, h) for count in (len(OPERATIONS), SIZES, SIZES, SIZES))
        self.update = nn.GRUCell(2 * h, h)
        sizes = {"matrix": width**2, "kernel": width**2 * kernel**2, "factor": width, "offset": width}
        self.decoders = nn.ModuleDict(
            {
                kind: nn.Sequential(nn.Linear(h, 2 * h), nn.ReLU(), nn.Linear(2 * h, size))
                for kind, size in sizes.items()
            }
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights: torch's defaults, but so that predicted entries have a scale of about 1 before theirs."""
        for module in self.modules():
            if isinstance(module, nn.Embedding | nn.GRUCell | nn.Linear):
                module.reset_parameters()
        for decoder in self.decoders.values():
            last: Any = decoder[-1]  # type: ignore[index]
            nn.init.normal_(last.weight, std=1 / math.sqrt(last.in_features))
            nn.init.normal_(last.bias)

    def encode(self, graph: Data) -> Tensor:
        """The states of all operations ``[num_nodes, hidden_channels]``."""
        h = torch.stack([embed(codes) for embed, codes in zip(self.embeddings, graph.x.long().t())]).sum(0)
        source, target = graph.edge_index
        for _ in range(self.num_rounds):
            before = scatter(h[source], target, len(h), "mean")
            after = scatter(h[target], source, len(h), "mean")
            h = self.update(torch.cat([before, after], dim=1), h)
        return h

    def forward(self, graph: Data, module: nn.Module) -> dict[str, Tensor]:
        """The parameters; see the class for shapes."""
        h = self.encode(graph)
        place = {name: i for i, name in enumerate(graph.names) if name}
        parameters = {}
        for name, parameter in module.named_parameters():
            node = place.get(name, place.get(name.rpartition(".")[0]))
            if node is None:
                raise ValueError(
                    f"GraphHyperNetwork: {name!r} belongs to no operation of the graph, give the graph of the module"
                )
            parameters[name] = self._decode(h[node], name, parameter.shape)
        return parameters

    def _decode(self, h: Tensor, name: str, shape: torch.Size) -> Tensor:
        """A parameter of one operation."""
        if len(shape) < 2:
            kind = "factor" if name.endswith("weight") else "offset"
            block = _cut(self.decoders[kind](h), shape)
            return 2 * block.sigmoid() if kind == "factor" else 0.2 * block.tanh()
        kind = "matrix" if len(shape) == 2 else "kernel"
        sides = [self.width] * 2 + [self.kernel] * 2 * (kind == "kernel")
        flat = torch.Size([*shape[:2], shape[2], math.prod(shape[3:])]) if kind == "kernel" else shape
        return _cut(self.decoders[kind](h).view(sides), flat).reshape(shape) * math.sqrt(2 / math.prod(shape[1:]))


def _cut(block: Tensor, shape: torch.Size) -> Tensor:
    """The first entries along each axis, of a block that is repeated where it is too small."""
    repeats = [-(-size // side) for size, side in zip(shape, block.shape)]
    return block.repeat(repeats)[tuple(slice(size) for size in shape)]
