"""Graph metanetworks: the graph of a network, its way back, and two layers with states of edges."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from graphkit.metanetworks import EDGE_TYPES, graph_to_state_dict, module_to_graph
from graphkit.models import MetaNetwork
from tests.golden.files import GoldenFile

METHODS = ("MetaNetwork",)
ORACLE = "authors' code"

TOLERANCE = 1e-10
NORMS = {"batch norm gamma": nn.BatchNorm2d, "layer norm gamma": nn.LayerNorm, "instance norm gamma": nn.InstanceNorm2d}


class FeedForward(nn.Module):
    """A residual block of two linear maps."""

    def __init__(self, first: nn.Linear, second: nn.Linear) -> None:
        super().__init__()
        self.lin1, self.lin2 = first, second

    def forward(self, x: Tensor) -> Tensor:
        return x + self.lin2(torch.relu(self.lin1(x)))


def check(file: GoldenFile) -> None:
    net = _network(file)
    graph = module_to_graph(net, bias="loop" if file.scalar("bias_as_self_loop") else "node")
    file.assert_close("node_feature", graph.x, 0)
    file.assert_close("edge_feature", graph.edge_attr, 0)
    assert torch.equal(graph.edge_index, file.tensor("edge_index")), f"{file.path}: edge_index"
    state = graph_to_state_dict(graph, net)
    assert sum(value.numel() for name, value in state.items() if f"net.{name}" in file) == file.scalar("num_parameters")
    assert all(torch.equal(state[key[4:]], file.tensor(key)) for key in file if key.startswith("net."))

    first, last = (file.tensor(f"mpnn.convs.{i}.node_model.node_mlp_2.0.weight") for i in (0, 1))
    model = MetaNetwork(graph.x.size(1), len(first), 2, len(last), graph.edge_attr.size(1)).double()
    with torch.no_grad():
        for i, layer in enumerate(model.layers):
            names = {
                "edge": "edge_model.edge_mlp",
                "message": "node_model.node_mlp_1",
                "update": "node_model.node_mlp_2",
            }
            for part, name in names.items():
                for key in ("weight", "bias"):
                    value = file.tensor(f"mpnn.convs.{i}.{name}.0.{key}")
                    getattr(getattr(layer, part).layers[0], key).copy_(value)
    file.assert_close("mpnn_node_out", model(graph), TOLERANCE)
    model.readout = "edges"
    file.assert_close("mpnn_edge_out", model(graph), TOLERANCE)


def _network(file: GoldenFile) -> nn.Sequential:
    """The network whose parameters the file has."""
    weights = {key.removeprefix("net."): file[key] for key in file if key.startswith("net.")}
    kinds = [EDGE_TYPES[code] for code in dict.fromkeys(file["edge_feature"][:, 2].astype(int).tolist())]
    norm = next((kind for kind in kinds if kind.endswith("gamma")), "")
    last = max(int(name.partition(".")[0]) for name in weights)
    net = nn.Sequential(*(_layer(weights, i, norm) for i in range(last + 1))).double()
    net.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()}, strict=False)
    return net


def _layer(weights: dict[str, np.ndarray], i: int, norm: str) -> nn.Module:
    if f"{i}.lin1.weight" in weights:
        return FeedForward(*(_linear(weights, f"{i}.{part}") for part in ("lin1", "lin2")))
    weight = weights.get(f"{i}.weight")
    if weight is None:
        return nn.Identity()
    if weight.ndim == 1:
        return nn.GroupNorm(1, len(weight)) if norm == "group norm gamma" else _norm(NORMS[norm], len(weight))
    if weight.ndim == 2:
        return _linear(weights, str(i))
    conv = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}[weight.ndim]
    return conv(weight.shape[1], weight.shape[0], weight.shape[2:], bias=f"{i}.bias" in weights)


def _norm(cls: type, width: int) -> nn.Module:
    return cls(width, affine=True) if cls is nn.InstanceNorm2d else cls(width)


def _linear(weights: dict[str, np.ndarray], name: str) -> nn.Linear:
    outs, ins = weights[f"{name}.weight"].shape
    return nn.Linear(ins, outs, bias=f"{name}.bias" in weights)
