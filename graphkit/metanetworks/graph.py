"""The parameter graph as it grows: neurons, and blocks of edges that are the entries of one parameter; and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.constraints import checked

NODE_TYPES = (
    "neuron", "bias", "channel", "channel bias", "batch norm gamma", "batch norm beta", "layer norm gamma",
    "layer norm beta", "group norm gamma", "group norm beta", "instance norm gamma", "instance norm beta", "attention",
    "attention bias", "deep sets", "deep sets bias", "triplanar",
)  # fmt: skip
EDGE_TYPES = (
    "linear weight", "linear bias", "conv weight", "conv bias", "residual", "batch norm gamma", "batch norm beta",
    "layer norm gamma", "layer norm beta", "group norm gamma", "group norm beta", "instance norm gamma",
    "instance norm beta", "triplanar",
)  # fmt: skip
RESIDUAL = EDGE_TYPES.index("residual")
POSITIONS = 3

Bias = Literal["node", "loop"]


@dataclass
class Neurons:
    """The neurons or channels that a value in a network consists of.

    Args:
        layer: The number of layers before them.
        ids: Their nodes; unknown of an input whose size nobody has told yet (default: ``None``).
        flat: Whether several entries per channel were flattened (default: ``False``).
    """

    layer: int
    ids: Tensor | None = None
    flat: bool = False


@dataclass
class Block:
    """Edges: the entries of one parameter in their order, or without a name edges of value 1 beside parameters."""

    name: str | None
    source: Tensor
    target: Tensor
    layer: int
    type: str
    position: Tensor


class ParameterGraph:
    """Nodes and edges so far.

    Args:
        bias: Whether biases, gammas and betas are edges of a node of their own, or loops.
    """

    def __init__(self, bias: Bias) -> None:
        self.bias = bias
        self.nodes: list[list[int]] = []
        self.blocks: list[Block] = []

    def place(self, count: int, layer: int, type: str) -> Tensor:
        """New nodes."""
        self.nodes += [[layer, -1, NODE_TYPES.index(type)]] * count
        return torch.arange(len(self.nodes) - count, len(self.nodes))

    def inputs(self, value: Neurons, count: int, type: str) -> Tensor:
        """The nodes of a value, which are placed now if it is an input that nothing has read before."""
        if value.ids is None:
            value.ids = self.place(count, value.layer, type)
            self.number(value)
        return value.ids

    def number(self, value: Neurons) -> None:
        """Give inputs or outputs their numbers, as they are no more to be exchanged."""
        for order, node in enumerate([] if value.ids is None else value.ids.tolist()):
            self.nodes[node] = [self.nodes[node][0], order, self.nodes[node][2]]

    def connect(
        self, name: str | None, source: Tensor, target: Tensor, layer: int, type: str, position: Tensor | None = None
    ) -> None:
        """Edges in the order of a parameter's entries; ``position`` ``[num, up to 3]`` tells parallel ones apart."""
        places = torch.full((source.numel(), POSITIONS), -1)
        if position is not None:
            places[:, : position.size(1)] = position
        self.blocks.append(Block(name, source, target, layer, type, places))

    def vector(self, name: str, target: Tensor, layer: int, node_layer: int, node: str, edge: str) -> None:
        """A parameter with an entry per neuron: edges of a new node, or loops."""
        source = target if self.bias == "loop" else self.place(1, node_layer, node).expand(target.numel())
        self.connect(name, source, target, layer, edge)

    def data(self, module: nn.Module) -> Data:
        """The graph, its edges in the order of the module's parameters; others follow those made before them."""
        parameters = dict(module.named_parameters(remove_duplicate=False))
        _check_named_once(parameters, self.blocks)
        number, last = {name: i for i, name in enumerate(parameters)}, -1
        keys = []
        for block in self.blocks:
            last = last if block.name is None else number[block.name]
            keys.append(last)
        blocks = [self.blocks[i] for i in sorted(range(len(keys)), key=keys.__getitem__)]
        like = next(iter(parameters.values()), torch.empty(0))
        values, rest = [], []
        for block in blocks:
            count = block.source.numel()
            values.append(like.new_ones(count) if block.name is None else parameters[block.name].reshape(-1))
            type_and_layer = torch.tensor([[block.layer, EDGE_TYPES.index(block.type)]]).expand(count, 2)
            rest.append(torch.cat([type_and_layer, block.position], dim=1))
        ends = torch.stack([torch.cat([getattr(b, end) for b in blocks]) for end in ("source", "target")])
        edge_attr = torch.cat([torch.cat(values).unsqueeze(1), torch.cat(rest).to(like)], dim=1)
        return Data(x=torch.tensor(self.nodes).to(like), edge_index=ends.to(like.device), edge_attr=edge_attr)


def _check_named_once(parameters: dict[str, nn.Parameter], blocks: list[Block]) -> None:
    used = [block.name for block in blocks if block.name is not None]
    for name, parameter in parameters.items():
        if used.count(name) != 1:
            often = "never" if name not in used else f"{used.count(name)} times"
            raise ValueError(f"module_to_graph: parameter {name!r} is read {often}, must be read by one layer, once")
        if other := next((n for n, p in parameters.items() if p is parameter and n != name), None):
            raise ValueError(f"module_to_graph: parameters {name!r} and {other!r} are the same, must be two")
    if not used:
        raise ValueError("module_to_graph: the module has no parameters, must have some")


@checked
def graph_to_state_dict(graph: Data, module: nn.Module) -> dict[str, Tensor]:
    """The weights that the edges of a parameter graph stand for, as ``module.load_state_dict`` takes them.

    Args:
        graph: A graph by :func:`module_to_graph`, of which the first column of ``edge_attr`` may have changed.
        module: A module with the parameters that the graph was made of; buffers are taken from it. It stays as it is.

    Raises:
        ValueError: If the graph has another number of parameters than the module.

    Example:
        >>> from graphkit.metanetworks import module_to_graph
        >>> net = nn.Linear(3, 2)
        >>> graph = module_to_graph(net)
        >>> graph.edge_attr = 2 * graph.edge_attr
        >>> torch.equal(graph_to_state_dict(graph, net)["bias"], 2 * net.bias)
        True
    """
    values = graph.edge_attr[:, 0][graph.edge_attr[:, 2] != RESIDUAL]
    state, parameters = module.state_dict(), dict(module.named_parameters())
    sizes = [parameter.numel() for parameter in parameters.values()]
    if values.numel() != sum(sizes):
        raise ValueError(
            f"graph_to_state_dict: the graph has {values.numel()} parameters, but the module {sum(sizes)}; give the "
            "module that the graph was made of"
        )
    parts = zip(parameters.items(), values.split(sizes))
    return state | {name: part.view_as(parameter).to(parameter.dtype) for (name, parameter), part in parts}
