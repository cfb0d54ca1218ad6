"""Training steps of decoupled networks against the official procedure, written with PyG's operators."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch_geometric.data import Data
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.conv.gcn_conv import gcn_norm

import graphkit as gk
from benchmarks.speed.common import Benchmark, benchmark
from benchmarks.speed.grand import CLASSES, FEATURES, cora_like

HIDDEN, HOPS = 64, 10


class Propagation(MessagePassing):
    """The official layer: norms anew in every pass, one row per edge and hop, all hops stacked."""

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor, proj: torch.nn.Module) -> torch.Tensor:
        """The gated sum of all hops."""
        edge_index, norm = gcn_norm(edge_index, None, x.size(0), dtype=x.dtype)
        states = [x]
        for _ in range(HOPS):
            states.append(self.propagate(edge_index, x=states[-1], norm=norm))
        stacked = torch.stack(states, dim=1)
        return (torch.sigmoid(proj(stacked)).transpose(1, 2) @ stacked).squeeze(1)

    def message(self, x_j: torch.Tensor, norm: torch.Tensor) -> torch.Tensor:
        """A neighbour's state, times the norm of its edge."""
        return norm.view(-1, 1) * x_j


def _gradients(model: gk.models.DAGNN, out: torch.Tensor, data: Data) -> tuple[torch.Tensor, ...]:
    loss = F.cross_entropy(out, data.y)
    return (loss.detach(), *torch.autograd.grad(loss, list(model.parameters())))


@benchmark("dagnn_step", goal=4.0, of="DAGNN")
def dagnn_step() -> Benchmark:
    """DAGNN, forward and backward: 10 hops at Cora's size, 64 channels, bag-of-words features."""
    data, layer = cora_like(), Propagation()
    torch.manual_seed(0)
    model = gk.models.DAGNN(FEATURES, HIDDEN, CLASSES, K=HOPS)
    sparse = gk.transforms.SparseFeatures()(data)

    def official() -> tuple[torch.Tensor, ...]:
        hidden = F.linear(data.x, model.lin_in.weight, model.lin_in.bias).relu()
        scores = F.linear(hidden, model.lin_out.weight, model.lin_out.bias)
        return _gradients(model, layer(scores, data.edge_index, model.layers[0].proj), data)

    return Benchmark(
        ours=lambda: _gradients(model, model(sparse), data),
        opponent=official,
        against="the official layer on torch_geometric.nn.MessagePassing, dense features",
    )
