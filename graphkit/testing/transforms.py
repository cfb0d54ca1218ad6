"""Checks that every transform has to pass. Each takes a function that makes a fresh transform."""

from __future__ import annotations

import pickle
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.core.hashing import hash_data
from graphkit.core.validate import check_edge_index
from graphkit.testing.graphs import random_graph, relabelled
from graphkit.testing.symmetry import assert_close
from graphkit.transforms import Precompute, apply

Make = Callable[[], BaseTransform]


def example_graphs() -> Iterator[tuple[str, Data]]:
    """Graphs of every kind that a transform may meet, with a name for messages."""
    undirected = random_graph(8, 10, edge_dim=None)
    undirected.edge_index = torch.cat([undirected.edge_index, undirected.edge_index.flip(0)], dim=1).unique(dim=1)
    undirected.y = torch.arange(8) % 2
    yield "an undirected graph", undirected
    yield "a directed graph with edge features", random_graph(8, 14)
    yield "a weighted graph with isolated nodes", random_graph(8, 12, num_isolated=2, weighted=True, edge_dim=None)
    yield "a graph without edges", random_graph(4, 0, weighted=True)
    yield "a graph of one node", random_graph(1, 0, edge_dim=None)
    yield "a complete graph", random_graph(5, 20, edge_dim=None)


def check_valid_output(make: Make) -> None:
    """The new graph is sound: ids in range, one row per edge and per node, finite numbers."""
    for name, graph in example_graphs():
        out = make()(graph)
        num_nodes = int(out.num_nodes or 0)
        check_edge_index(out.edge_index, num_nodes, name)
        for key in ("edge_weight", "edge_attr"):
            if out.get(key) is not None:
                assert out[key].size(0) == out.num_edges, f"{name}: {out[key].size(0)} {key} for {out.num_edges} edges"
        if graph.get("edge_weight") is not None:
            assert out.get("edge_weight") is not None, f"{name}: edge_weight got lost"
        assert out.x.size(0) == num_nodes, f"{name}: x has {out.x.size(0)} rows for {num_nodes} nodes"
        x = out.x if out.x.layout == torch.strided else out.x.to_dense()
        assert bool(torch.isfinite(x).all()), f"{name}: x is not finite"
        assert graph.y is None or torch.equal(out.y, graph.y), f"{name}: labels changed"


def check_input_unchanged(make: Make) -> None:
    """The graph that goes in stays as it is."""
    for name, graph in example_graphs():
        before = hash_data(graph)
        make()(graph)
        assert hash_data(graph) == before, f"the transform changed its input: {name}"


def check_determinism(make: Make) -> None:
    """The same graph gives the same result, whatever the global random state, and leaves that state alone."""
    for name, graph in example_graphs():
        torch.manual_seed(0)
        first = make()(graph)
        torch.manual_seed(1)
        state = torch.get_rng_state()
        second = make()(graph)
        assert hash_data(first) == hash_data(second), f"two runs differ on {name}"
        assert torch.equal(torch.get_rng_state(), state), f"the transform uses the global random state on {name}"


def check_cache(make: Make) -> None:
    """A result from the cache equals a fresh one (cacheable transforms)."""
    transform = make()
    if not isinstance(transform, Precompute):
        return
    transform.expensive = True
    graphs = [graph for _, graph in example_graphs()]
    fresh = [hash_data(make()(graph)) for graph in graphs]
    with tempfile.TemporaryDirectory() as folder:
        for attempt in ("first", "second"):
            cached = [hash_data(graph) for graph in apply(transform, graphs, cache_dir=folder)]
            assert cached == fresh, f"the {attempt} run with a cache differs from one without"
        assert list(Path(folder).rglob("*.pt")), "results were not saved"


def check_config(make: Make) -> None:
    """``from_config(config())`` builds an equal transform with the same cache key (cacheable transforms)."""
    transform = make()
    if isinstance(transform, Precompute):
        again = type(transform).from_config(transform.config())
        assert again.config() == transform.config(), "config() changes on its way through from_config"
        assert again.cache_key() == transform.cache_key(), "equal transforms have different cache keys"


def check_repr(make: Make) -> None:
    """``repr`` is the same for equal transforms and shows no memory address."""
    first, second = repr(make()), repr(make())
    assert " at 0x" not in first, f"repr shows a memory address: {first}"
    assert first == second, f"equal transforms print differently: {first} and {second}"


def check_pickle(make: Make) -> None:
    """A pickled copy, as parallel processes get it, gives the same result."""
    transform = make()
    graph = random_graph()
    restored = pickle.loads(pickle.dumps(transform))
    assert hash_data(restored(graph)) == hash_data(transform(graph)), "a pickled copy gives another result"


def check_dtype(make: Make) -> None:
    """Features and edge weights keep their precision."""
    for dtype in (torch.float32, torch.float64):
        graph = random_graph(weighted=True)
        graph.x, graph.edge_weight = graph.x.to(dtype), graph.edge_weight.to(dtype)
        out = make()(graph)
        assert out.x.dtype == dtype, f"x was {dtype} and became {out.x.dtype}"
        assert out.edge_weight.dtype == dtype, f"edge_weight was {dtype} and became {out.edge_weight.dtype}"


def check_gradients_wanted(make: Make) -> None:
    """Numbers that require a gradient are numbers as any other."""
    graph = random_graph(weighted=True)
    plain = make()(graph.clone())
    for key in ("x", "edge_weight", "edge_attr"):
        graph[key].requires_grad_()
    out = make()(graph)
    assert_close(_dense(out.x).detach(), _dense(plain.x), "features are others where a gradient is wanted")
    assert_close(_adjacency(out).detach(), _adjacency(plain), "edges are others where a gradient is wanted")


def check_permutation(make: Make) -> None:
    """Relabelled nodes give the relabelled result: the same features and the same edges with the same weights."""
    for name, graph in example_graphs():
        order = torch.randperm(int(graph.num_nodes or 0), generator=torch.Generator().manual_seed(0))
        renamed, plain = make()(relabelled(graph, order)), make()(graph)
        assert_close(_dense(renamed.x), _dense(plain.x)[order], f"features of {name}")
        assert_close(_adjacency(renamed), _adjacency(plain)[order][:, order], f"edges of {name}")


def check_reads(make: Make) -> None:
    """What a transform says not to read changes neither features nor which nodes are joined (``transform.reads``)."""
    graph = random_graph(8, 12, weighted=True, edge_dim=None)
    transform = make()
    if not isinstance(transform, Precompute) or not transform.reads.edge_index:
        return
    for name, changed in (("edge_weight", graph.edge_weight.flip(0)), ("direction", graph.edge_index.flip(0))):
        if getattr(transform.reads, name):
            continue
        other = graph.clone()
        other["edge_index" if name == "direction" else name] = changed
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            before, after = transform(graph), transform(other)
        assert any(f"does not read {name.replace('direction', 'the direction')}" in str(w.message) for w in told), name
        assert torch.equal(_dense(before.x), _dense(after.x)), f"{name} is said not to be read, but changes features"
        pairs = [torch.stack([out.edge_index.amin(0), out.edge_index.amax(0)]).unique(dim=1) for out in (before, after)]
        assert torch.equal(*pairs), f"{name} is said not to be read, but changes which nodes are joined"


def _dense(x: Tensor) -> Tensor:
    return x if x.layout == torch.strided else x.to_dense()


def _adjacency(graph: Data) -> Tensor:
    n = int(graph.num_nodes or 0)
    weight = graph.get("edge_weight")
    weight = torch.ones(graph.num_edges, dtype=torch.float64) if weight is None else weight
    return torch.zeros(n, n, dtype=weight.dtype).index_put(tuple(graph.edge_index), weight, accumulate=True)


TRANSFORM = {
    "valid_output": check_valid_output,
    "input_unchanged": check_input_unchanged,
    "determinism": check_determinism,
    "cache": check_cache,
    "config": check_config,
    "repr": check_repr,
    "pickle": check_pickle,
    "dtype": check_dtype,
    "gradients_wanted": check_gradients_wanted,
    "permutation": check_permutation,
    "reads": check_reads,
}
