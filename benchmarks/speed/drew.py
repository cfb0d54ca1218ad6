"""DRew against a plain implementation: masks, degrees and gathers anew for every hop of every layer.

The authors' code does the same work within GraphGym's layers; the plain one has none of their overhead.

Both multiply the same dense matrices: every layer has maps of its own for every hop, 120 of them, three products each
with the backward pass. One such product of 2400 rows takes 0.21 ms at 64 channels, 0.27 at 59 and 0.46 at 83 where a
1024 x 1024 one takes 22.5 ms. So the products alone take 77 ms of DRew-GCN's pass (the plain one: 370 ms; no ratio can
pass 4.8), 111 ms of DRew-GIN's with its 15 maps more (290 ms; 2.6), and 375 ms of DRew-GatedGCN's, which has two maps
per hop (1340 ms; 3.6). There, a gate for every pair and channel, 99 million of them each way, takes bare loops another
25 ms forward and 51 ms backward, and no ratio can pass 3.0. Three times the plain one is out of reach for DRew-GIN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import coo_array
from scipy.sparse.csgraph import shortest_path
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.utils import scatter

from benchmarks.speed.common import Benchmark, benchmark
from graphkit.algorithms import hop_pairs
from graphkit.models import DRew

GRAPHS, NODES, LAYERS = 16, 150, 15


def _edges(seed: int) -> Tensor:
    """A path of 50 nodes and 100 random attachments, largest degree 3: as long and thin as peptides."""
    rng = np.random.default_rng(seed)
    edges = [(i, i + 1) for i in range(49)]
    degree = np.bincount(np.ravel(edges), minlength=NODES)
    for node in range(50, NODES):
        other = int(rng.choice(np.flatnonzero(degree[:node] < 3)))
        edges.append((node, other))
        degree[[node, other]] += 1
    return torch.tensor(edges + [edge[::-1] for edge in edges]).t().contiguous()


def _batch(width: int, num_graphs: int) -> Data:
    graphs = []
    for seed in range(num_graphs):
        graph = Data(x=torch.randn(NODES, width), edge_index=_edges(seed))
        graph.hop_index, graph.hop_distance = hop_pairs(graph.edge_index, NODES, LAYERS)
        graphs.append(graph)
    return Batch.from_data_list(graphs)


def _states(model: DRew, x: Tensor, batch: Data) -> Tensor:
    """Our network without encoder and head, on a batch that it has not seen before."""
    new = batch.clone()
    history = [x]
    for t in range(LAYERS):
        history.append(model.step(t, history, new))
    return history[-1]


def _plain(model: DRew, x: Tensor, batch: Data) -> Tensor:
    hop = {"gcn": _plain_gcn, "gin": _plain_gin, "gatedgcn": _plain_gated}[model.conv]
    edge_index, distance, history = batch.hop_index.long(), batch.hop_distance, [x]
    for t in range(LAYERS):
        layer, state = model.layers[t], history[-1]
        z = 0
        for k in range(1, t + 2):
            source, target = edge_index[:, distance == k]
            z = z + hop(layer.conv, k, state, history[t - (k - 1)], source, target)
        if model.conv == "gin":
            history.append((z + layer.conv.mlp(state)).relu())
        elif model.conv == "gcn":
            history.append(F.normalize(state + z.relu(), dim=1))
        else:
            history.append(state + layer.norm(z + layer.conv.A(state)).relu())
    return history[-1]


def _plain_gcn(conv: torch.nn.Module, k: int, state: Tensor, x: Tensor, source: Tensor, target: Tensor) -> Tensor:
    layer, n = conv.convs[k - 1], x.size(0)
    loops = torch.arange(n)
    source, target = torch.cat([source, loops]), torch.cat([target, loops])
    scale = scatter(torch.ones(len(target)), target, dim_size=n).rsqrt()
    messages = (scale[source] * scale[target])[:, None] * layer.conv.lin(x)[source]
    return F.normalize(layer.norm(scatter(messages, target, dim_size=n)).relu(), dim=1)


def _plain_gin(conv: torch.nn.Module, k: int, state: Tensor, x: Tensor, source: Tensor, target: Tensor) -> Tensor:
    return conv.convs[k - 1].mlp(scatter(x[source], target, dim_size=x.size(0)))


def _plain_gated(conv: torch.nn.Module, k: int, state: Tensor, x: Tensor, source: Tensor, target: Tensor) -> Tensor:
    n, maps = x.size(0), conv.convs[0]
    value, logit, own = maps.B(x), maps.E(x), conv.D(state)
    above = scatter((own[target] + logit[source]).sigmoid() * value[source], target, dim_size=n)
    return above / (scatter((own[target] + logit[source]).sigmoid(), target, dim_size=n) + 1e-6)


def _passes(
    conv: str, width: int, num_graphs: int = GRAPHS
) -> tuple[Callable[[], tuple[Tensor, ...]], Callable[[], tuple[Tensor, ...]]]:
    """One pass forward and backward of ours and of the plain network, with the same weights."""
    torch.manual_seed(0)
    batch = _batch(width, num_graphs)
    model = DRew(width, width, LAYERS, conv=conv)
    x = batch.x.requires_grad_()
    direction = torch.randn(x.shape)
    inputs = [x, *(p for p in model.layers.parameters() if p.requires_grad)]

    def run(network: Callable[[DRew, Tensor, Data], Tensor]) -> tuple[Tensor, ...]:
        out = network(model, x, batch)  # whose squares are constant for DRew-GCN, hence another direction
        return out.detach(), torch.cat([g.flatten() for g in torch.autograd.grad(out, inputs, direction)])

    return lambda: run(_states), lambda: run(_plain)


def _register(conv: str, width: int, goal: float) -> None:
    def make() -> Benchmark:
        ours, opponent = _passes(conv, width)
        return Benchmark(
            ours=ours,
            opponent=opponent,
            against="masks, degrees and gathers anew for every hop of every layer",
            rounds=5,
            tolerance=2e-2,  # 15 batch-normalised layers in single precision
        )

    make.__doc__ = (
        f"DRew ({conv}), forward and backward: {GRAPHS} graphs of {NODES} nodes, {LAYERS} layers of {width} channels, "
        "nu = 1, every pass on a new batch."
    )
    benchmark(f"drew_{conv}", goal=goal, of="DRew")(make)


def _scipy_hops(graphs: list[Tensor]) -> None:
    for source, target in graphs:
        shortest_path(coo_array((np.ones(source.numel()), (source, target)), (NODES, NODES)).tocsr(), unweighted=True)


@benchmark("drew_hops", goal=4.0, of="DRew")
def drew_hops() -> Benchmark:
    """All pairs up to 15 hops apart in 16 graphs of 150 nodes."""
    graphs = [_edges(seed) for seed in range(GRAPHS)]

    def dense() -> Tensor:
        distances = []
        for edge_index in graphs:
            adjacency = torch.zeros(NODES, NODES)
            adjacency[edge_index[0], edge_index[1]] = 1
            reached, ball = torch.eye(NODES, dtype=torch.bool), torch.eye(NODES)
            distance = torch.zeros(NODES, NODES, dtype=torch.uint8)
            for k in range(1, LAYERS + 1):
                ball = ((ball @ adjacency) > 0).float()
                new = (ball > 0) & ~reached
                distance[new], reached = k, reached | new
            distances.append(distance.t()[distance.t() > 0])
        return torch.cat(distances).float()

    return Benchmark(
        ours=lambda: torch.cat([hop_pairs(edge_index, NODES, LAYERS)[1] for edge_index in graphs]).float(),
        opponent=dense,
        against="products of dense adjacency matrices",
        beside=("scipy.sparse.csgraph.shortest_path", lambda: _scipy_hops(graphs)),
    )


for _conv, _width, _goal in (("gcn", 64, 2.7), ("gin", 59, 1.8), ("gatedgcn", 83, 2.6)):
    _register(_conv, _width, _goal)
