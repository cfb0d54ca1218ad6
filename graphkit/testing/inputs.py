"""Checks of what modules read of a graph, and in which forms they take it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.reads import reads_of
from graphkit.testing.checked_module import CheckedModule
from graphkit.testing.graphs import random_graph
from graphkit.testing.symmetry import assert_close

LAYOUTS = (torch.sparse_coo, torch.sparse_csr, torch.sparse_csc)

PERTURBATIONS: dict[str, Callable[[Data], Tensor]] = {
    "x": lambda data: random_graph(seed=1).x,
    "edge_index": lambda data: random_graph(seed=1).edge_index,
    "direction": lambda data: data.edge_index.flip(0),
    "edge_weight": lambda data: data.edge_weight.flip(0),
    "edge_attr": lambda data: data.edge_attr.flip(0),
    "edge_label_index": lambda data: data.edge_label_index.flip(1),
}


def check_reads(checked: CheckedModule, graph: Data | None = None) -> None:
    """What a module says that it reads changes its output; what it does not read leaves every bit alone."""
    module = checked.build()
    graph = random_graph(weighted=True) if graph is None else graph
    graph.edge_label_index = torch.tensor([[0, 1, 2], [3, 4, 7]])
    before = checked.run(module, graph)
    for name, other in PERTURBATIONS.items():
        changed = graph.clone()
        changed["edge_index" if name == "direction" else name] = other(graph)
        same = torch.equal(checked.run(module, changed), before)
        read = getattr(reads_of(module), name)
        assert not (same and read), f"{name} is said to be read, but another one changes nothing"
        assert same or read, f"{name} is said not to be read, but another one changes the output"


def check_sparse_adjacency(checked: CheckedModule) -> None:
    """A sparse adjacency matrix is the edges, with its values as weights, which get a gradient (layers)."""
    if not checked.takes("edge_index"):
        return
    module = checked.build()
    graph = random_graph(weighted=True)
    weighted = checked.takes("edge_weight")
    for layout in LAYOUTS:
        results = []
        for sparse in (False, True):
            weight = (graph.edge_weight if weighted else torch.ones_like(graph.edge_weight)).clone().requires_grad_()
            given, edge_attr = graph.clone(), graph.edge_attr
            given.edge_weight = weight
            if sparse:
                given.edge_index = _adjacency(graph.edge_index, weight, graph.num_nodes, layout)
                given.edge_weight = None
                given.edge_attr = edge_attr[_order(graph.edge_index, layout)]
            out = checked.call(module, given)
            total = out.square().sum() + 0 * weight.sum()
            results.append((out, torch.autograd.grad(total, weight)[0]))
        assert_close(results[1][0], results[0][0], f"{layout}: another output than edge_index gives")
        if weighted:
            assert_close(results[1][1], results[0][1], f"{layout}: another gradient of the values than of edge_weight")
            continue
        given.edge_index = _adjacency(graph.edge_index, graph.edge_weight, graph.num_nodes, layout)
        try:
            out = checked.call(module, given)
        except ValueError as error:
            if "reads no" not in str(error):
                raise AssertionError(f"{layout}: values are refused without a clear word: {error}") from error
        else:
            assert not torch.allclose(out, results[1][0]), f"{layout}: values that are not read are taken silently"


def check_static_graph(checked: CheckedModule) -> None:
    """Several features of one graph ``x [B, N, F]`` are aggregated over its nodes, as in PyG, or refused (layers)."""
    if not checked.takes("x"):
        return
    module = checked.build()
    graphs = [random_graph(4, 8, weighted=True) for _ in range(6)]  # more than nodes, so that nothing runs out of range
    for seed, graph in enumerate(graphs):
        graph.x = random_graph(4, 0, seed=seed).x
    arguments = [checked.arguments(module, graph)[1] for graph in graphs]
    joined = {
        key: torch.stack([given[key] for given in arguments]) if key.startswith("x") else value
        for key, value in arguments[0].items()
    }
    try:
        out = module(**joined)
    except ValueError as error:
        if "x has shape [6, 4, 5]" not in str(error):
            raise AssertionError(f"a static graph is refused without a clear word: {error}") from error
        return
    expected = torch.stack([module(**given) for given in arguments])
    assert_close(out, expected, "a static graph gives another output than its features one after the other")
    assert out.is_contiguous(), "the output for a static graph has no view"


def _adjacency(edge_index: Tensor, weight: Tensor, num_nodes: int | None, layout: torch.layout) -> Tensor:
    n = num_nodes or 0
    matrix = torch.sparse_coo_tensor(edge_index.flip(0), weight, (n, n)).coalesce()
    if layout == torch.sparse_coo:
        return matrix
    return matrix.to_sparse_csr() if layout == torch.sparse_csr else matrix.to_sparse_csc()


def _order(edge_index: Tensor, layout: torch.layout) -> Tensor:
    """Which edge each stored value belongs to."""
    first, second = edge_index if layout == torch.sparse_csc else edge_index.flip(0)
    return (first * (int(edge_index.max()) + 1) + second).argsort()
