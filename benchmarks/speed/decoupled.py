"""Decoupled networks: training steps and preprocessing against the official procedure, written with PyG's operators."""

from __future__ import annotations

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
import torch
import torch.nn.functional as F
from torch_geometric.data import Data
from torch_geometric.nn import MessagePassing, SimpleConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.utils import to_scipy_sparse_matrix

import graphkit as gk
from benchmarks.speed.common import Benchmark, benchmark
from benchmarks.speed.grand import CLASSES, FEATURES, NODES, cora_like

HIDDEN, HOPS, SMOOTHING_HOPS = 64, 10, 20


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


def _official_combination(data: Data) -> torch.Tensor:
    """All hops kept, components one by one, and a Python loop over nodes and hops for the weighted sums."""
    x, size = data.x, NODES
    adjacency = to_scipy_sparse_matrix(data.edge_index, num_nodes=size).tocsr()
    closed = adjacency + scipy.sparse.eye(size, dtype=np.float32)
    degree = np.asarray(closed.sum(1)).ravel()
    scale = scipy.sparse.diags((degree**-0.5).astype(np.float32))
    matrix = scale @ closed @ scale
    hops = [x]
    for _ in range(SMOOTHING_HOPS):
        hops.append(torch.from_numpy(matrix @ hops[-1].numpy()))
    limit = torch.empty_like(x)
    count, labels = scipy.sparse.csgraph.connected_components(adjacency, directed=False)
    for component in range(count):
        members = torch.from_numpy(labels == component)
        share = torch.from_numpy(degree.astype(np.float32)) * members
        limit[members] = share @ x / share.sum()
    scores = [F.cosine_similarity(h, x, eps=1e-10) * (1 - F.cosine_similarity(h, limit, eps=1e-10)) for h in hops]
    weights = torch.stack(scores, dim=1).softmax(1)
    rows = []
    for i in range(size):
        row = torch.zeros(x.size(1))
        for k in range(SMOOTHING_HOPS + 1):
            row += weights[i, k] * hops[k][i]
        rows.append(row)
    return torch.stack(rows)


@benchmark("dgmlp_features", goal=6.0, of="DGMLP")
def dgmlp_features() -> Benchmark:
    """DGMLP's averages of 20 hops at Cora's size, which are made once."""
    data, transform = cora_like(), gk.transforms.NodeAdaptiveCombination(SMOOTHING_HOPS)
    return Benchmark(
        ours=lambda: transform(data).combined_x,
        opponent=lambda: _official_combination(data),
        against="the official procedure: scipy products, a loop over nodes and hops",
        rounds=5,
    )


@benchmark("gpr_filter", goal=1 / 1.3, of="HLGNN")
def gpr_filter() -> Benchmark:
    """HL-GNN's propagation over 20 hops, forward and backward with all gradients, at Cora's size and width."""
    data = cora_like()
    x, conv = data.x.requires_grad_(), gk.nn.GPRConv(SMOOTHING_HOPS)
    matrix = gk.ops.gcn_norm(data.edge_index, size=NODES).csr(torch.float32)

    def ours() -> None:
        torch.autograd.grad(conv(x, data.edge_index).sum(), [x, conv.temp])

    def products() -> None:
        h = x.detach()
        for _ in range(2 * SMOOTHING_HOPS):
            h = matrix @ h

    simple, (edge_index, weight) = SimpleConv(), gcn_norm(data.edge_index, num_nodes=NODES)

    def library() -> None:
        states = [x]
        for _ in range(SMOOTHING_HOPS):
            states.append(simple(states[-1], edge_index, weight))
        torch.autograd.grad(sum(w * h for w, h in zip(conv.temp, states)).sum(), [x, conv.temp])

    return Benchmark(
        ours=ours,
        opponent=products,
        against="as many bare CSR products of torch, and no sums",
        beside=("torch_geometric.nn.SimpleConv per hop", library),
    )


def _official_patterns(data: Data) -> torch.Tensor:
    """Products of adjacency matrices as sparse matrices, scaled by the sums of their rows, then propagation."""
    size, x = data.num_nodes, data.x.numpy()
    out = to_scipy_sparse_matrix(data.edge_index, num_nodes=size).tocsr().astype(np.float32)
    eye, into = scipy.sparse.eye(size, dtype=np.float32, format="csr"), out.T.tocsr()
    results = np.empty((size, 6, 2, x.shape[1]), np.float32)
    for i, sides in enumerate([(out + eye,), (into + eye,), (out, out), (out, into), (into, out), (into, into)]):
        matrix = sides[0] if len(sides) == 1 else sides[0] @ sides[1]
        degree = np.asarray(matrix.sum(1)).ravel()
        scale = scipy.sparse.diags(np.where(degree > 0, degree.clip(1) ** -0.5, 0).astype(np.float32))
        matrix = (scale @ matrix @ scale).tocsr()
        h = x
        for k in range(2):
            h = results[:, i, k] = matrix @ ((1 + np.log(1 / (k + 1)) + 1e-6) * h).astype(np.float32)
    return torch.from_numpy(results)


@benchmark("adpa_patterns", goal=5.0, of="ADPA")
def adpa_patterns() -> Benchmark:
    """ADPA's six directed patterns, two steps: 20k nodes, 70k edges, a hub that 10k nodes point to, 16 features."""
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(20_000, (2, 60_000), generator=generator)
    to_hub = torch.stack([torch.arange(1, 10_001), torch.zeros(10_000, dtype=torch.long)])
    edge_index = torch.cat([edges, to_hub], dim=1).unique(dim=1)
    data = Data(x=torch.rand(20_000, 16, generator=generator), edge_index=edge_index)
    transform = gk.transforms.DirectedPatterns(K=2)
    return Benchmark(
        ours=lambda: transform(data).pattern_x,
        opponent=lambda: _official_patterns(data),
        against="the official procedure: products of scipy's matrices, of which one has 100 million entries",
        rounds=3,
    )
