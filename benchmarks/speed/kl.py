"""Colour refinement on a large graph, and ID-MPNN against dense matrices."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import permutations
from typing import Any

import networkx as nx
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import to_networkx

from benchmarks.speed.common import Benchmark, benchmark, random_graph
from graphkit.algorithms import weisfeiler_leman
from graphkit.models import KLGNN

# ---------------------------------------------------------------------- 1-WL


def _both_ways(num_nodes: int, num_edges: int) -> Data:
    """A uniform graph of ``num_edges`` edges, half of them the others backwards."""
    edges = random_graph(num_nodes, num_edges // 2)
    return Data(edge_index=torch.cat([edges, edges.flip(0)], dim=1).unique(dim=1), num_nodes=num_nodes)


def _with_dictionaries(graph: Data) -> Tensor:
    """Refinement by dictionaries of tuples, all nodes in every round."""
    into: list[list[int]] = [[] for _ in range(graph.num_nodes)]
    for source, target in graph.edge_index.t().tolist():
        into[target].append(source)
    colour, count = [0] * graph.num_nodes, 1
    while True:
        names: dict[Any, int] = {}
        rows = ((own, tuple(sorted([colour[u] for u in seen]))) for own, seen in zip(colour, into))
        colour = [names.setdefault(row, len(names)) for row in rows]
        if len(names) == count:
            return torch.tensor(colour)
        count = len(names)


def _networkx(network: nx.Graph, rounds: int) -> None:
    nx.weisfeiler_lehman_graph_hash(network, iterations=rounds)


@benchmark("one_wl", goal=20.0, of="KLWL")
def one_wl() -> Benchmark:
    """1-WL: a uniform graph of 200k nodes and 1M edges; the details have a path of 1M nodes."""
    graph = _both_ways(200_000, 1_000_000)
    rounds, network = weisfeiler_leman(graph).iterations, to_networkx(graph, to_undirected=True)
    return Benchmark(
        ours=lambda: weisfeiler_leman(graph).partitions[0][0].double(),
        opponent=lambda: _with_dictionaries(graph).double(),
        against="dictionaries of tuples in Python",
        beside=("networkx.weisfeiler_lehman_graph_hash, as many rounds", lambda: _networkx(network, rounds)),
        rounds=3,
        tolerance=0,
        details=_large,
    )


def _large() -> dict[str, Any]:
    """Seconds for a path of 1M nodes, which takes half a million rounds."""
    steps = torch.arange(999_999)
    path = torch.stack([steps, steps + 1])
    graph = Data(edge_index=torch.cat([path, path.flip(0)], dim=1), num_nodes=1_000_000)
    start = time.perf_counter()
    colouring = weisfeiler_leman(graph)
    row = {"seconds": time.perf_counter() - start, "rounds": colouring.iterations, "classes": colouring.num_classes}
    return {"path_1M_nodes": row}


# ---------------------------------------------------------------------- ID-MPNN

NODES, HIDDEN, NODE_TYPES, EDGE_TYPES = 23, 64, 28, 4


def _strip(hops: int) -> Data:
    """A path of 23 nodes with edges between nodes up to ``hops`` steps apart, random codes of nodes and edges."""
    generator = torch.Generator().manual_seed(hops)
    pairs = [(i, i + h) for h in range(1, hops + 1) for i in range(NODES - h)]
    edges = torch.tensor(pairs).t()
    kinds = torch.randint(1, EDGE_TYPES, (edges.size(1),), generator=generator)
    x = torch.randint(NODE_TYPES, (NODES, 1), generator=generator).float()
    return Data(x=x, edge_index=torch.cat([edges, edges.flip(0)], dim=1), edge_attr=torch.cat([kinds, kinds]))


Sum = Callable[[Tensor], Tensor]  # over neighbours, of states times what their edges are embedded as


def _network(model: KLGNN, batch: Batch, subsets: Tensor, of_graphs: Sum, of_copies: Sum, of_sets: Sum) -> Tensor:
    """The same network from its sums over neighbours.

    Args:
        model: The network.
        batch: Graphs of ``NODES`` nodes.
        subsets: The sets of this step.
        of_graphs: Sums of states ``[graphs, NODES, channels]``.
        of_copies: Sums of states ``[sets, orders, NODES, channels]``.
        of_sets: Sums of states ``[sets, NODES, channels]``.
    """
    h = model.encode(batch).view(batch.num_graphs, NODES, HIDDEN)
    for block in model.layers:
        h = h + block(of_graphs(h))
    graph = subsets[0] // NODES
    orders = _orders(model)
    label = torch.full((graph.numel(), len(orders), NODES), model.l)
    place = (subsets % NODES).t()[:, None].expand(-1, len(orders), -1)
    z = model.label_encoder(label.scatter(2, place, orders.expand(graph.numel(), -1, -1)))
    for block in model.id_layers:
        z = z + block(of_copies(z))
    u = model.fuse_in(h[graph] * model.id_out(z.mean(1)))
    for block in model.global_layers:
        u = u + block(of_sets(u))
    g = torch.stack([part.amax(0) for part in model.subgraph_out(u.sum(1)).split(torch.bincount(graph).tolist())])
    for block in model.regression_layers:
        g = g + block(g)
    return model.head(g)


def _orders(model: KLGNN) -> Tensor:
    """All orders of the labels."""
    return torch.tensor(list(permutations(range(model.l))))


def _dense(model: KLGNN, batch: Batch, subsets: Tensor, expand: Tensor) -> Tensor:
    """By dense matrices of embedded edges per set, as the authors compute it; ``expand`` is the graph of each of them.

    They may be made for more sets than this step's, which come first.
    """
    codes = torch.zeros(batch.num_graphs, NODES, NODES, dtype=torch.long)
    source, target = batch.edge_index
    codes[target // NODES, target % NODES, source % NODES] = batch.edge_attr
    edges = model.edge_encoder(codes) * (codes > 0).unsqueeze(-1)
    of_set = edges[expand][: subsets.size(1)]
    return _network(
        model,
        batch,
        subsets,
        lambda h: torch.einsum("gvud,gud->gvd", edges, h),
        lambda z: torch.einsum("svud,spud->spvd", of_set, z),
        lambda u: torch.einsum("svud,sud->svd", of_set, u),
    )


class _Product(MessagePassing):
    def forward(self, x: Tensor, edge_index: Tensor, edge: Tensor) -> Tensor:
        return self.propagate(edge_index, x=x, edge=edge)

    def message(self, x_j: Tensor, edge: Tensor) -> Tensor:
        return x_j * edge


def _copied(model: KLGNN, batch: Batch, subsets: Tensor) -> Tensor:
    """By PyG's message passing, on a disjoint union of labelled copies."""
    conv, graph, edge = _Product(), subsets[0] // NODES, model.edge_encoder(batch.edge_attr)
    ends, owner = batch.edge_index % NODES, batch.edge_index[0] // NODES
    of_graph = [(owner == g).nonzero()[:, 0] for g in range(batch.num_graphs)]

    def sums(graphs: Tensor) -> Sum:
        entries = torch.cat([of_graph[g] for g in graphs.tolist()])
        copy = torch.arange(graphs.numel()).repeat_interleave(owner.bincount()[graphs])
        union, weight = ends[:, entries] + NODES * copy, edge[entries]
        return lambda x: conv(x.reshape(-1, HIDDEN), union, weight).view_as(x)

    of_graphs = sums(torch.arange(batch.num_graphs))
    return _network(model, batch, subsets, of_graphs, sums(graph.repeat_interleave(len(_orders(model)))), sums(graph))


def _id_mpnn(l: int, rate: float, max_distance: int | None, expand: bool) -> Benchmark:  # noqa: E741
    torch.manual_seed(0)
    model = KLGNN(
        1,
        HIDDEN,
        out_channels=1,
        l=l,
        rate=rate,
        max_distance=max_distance,
        readout="max",
        node_types=[NODE_TYPES],
        edge_types=EDGE_TYPES,
    )
    transform = model.required_transform()
    batch = Batch.from_data_list([transform(_strip(1)), transform(_strip(2))])
    parameters = list(model.parameters())

    def sets() -> tuple[Tensor, Tensor]:
        (copies,) = model.copies(batch)
        drawn = copies.subsets
        rest = batch.subset_index[0].long() // NODES
        return drawn, torch.cat([drawn[0] // NODES, rest[drawn.size(1) :]]) if expand else drawn[0] // NODES

    def run(network: Callable[[], Tensor]) -> tuple[Tensor, ...]:
        torch.manual_seed(1)  # the same sets for all
        out = network()
        gradients = torch.autograd.grad(out.square().sum(), parameters)
        return out.detach(), gradients[0], gradients[-1]

    return Benchmark(
        ours=lambda: run(lambda: model(batch.clone())),  # a clone: no copies were kept of it
        opponent=lambda: run(lambda: _dense(model, batch, *sets())),
        against="dense matrices of embedded edges per set" + (", made for all sets before some are drawn" * expand),
        beside=(
            "torch_geometric.nn.MessagePassing on labelled copies",
            lambda: run(lambda: _copied(model, batch, sets()[0])),
        ),
        rounds=3,
        tolerance=1e-2,  # float32 through 22 layer norms; tests compare in double precision
    )


@benchmark("id_mpnn_2_labels", goal=3.0, of="KLGNN")
def id_mpnn_2_labels() -> Benchmark:
    """ID-MPNN for ZINC (hid 64, 8/5/5/4 layers), l=2, all 2 x 253 sets, forward and backward: two 23-node strips."""
    return _id_mpnn(2, 1.0, None, False)


@benchmark("id_mpnn_4_labels", goal=3.0, of="KLGNN")
def id_mpnn_4_labels() -> Benchmark:
    """The same, l=4, rate .1 of 355 + 2915 sets of nodes up to 6 hops apart."""
    return _id_mpnn(4, 0.1, 6, True)


@benchmark("id_mpnn_4_labels_sampled_first", goal=None, of="KLGNN")
def id_mpnn_4_labels_sampled_first() -> Benchmark:
    """The same against dense matrices of the sampled sets alone."""
    return _id_mpnn(4, 0.1, 6, False)
