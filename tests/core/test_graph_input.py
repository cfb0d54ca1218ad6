"""What users give for a graph: converted without loss, or refused with the remedy."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn import GCN
from torch_geometric.transforms import ToSparseTensor

import graphkit as gk
from graphkit.core.graph_input import as_graph
from tests import tiny

EDGES = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])


def _data(**changes):
    return Data(**{"x": torch.eye(4, 3), "edge_index": EDGES, "y": torch.arange(4) % 2} | changes)


WEIGHTS = torch.tensor([2.0, 3.0, 4.0, 5.0])
CONVERTED = {
    "arrays": {"x": np.eye(4, 3, dtype=np.float32), "edge_index": EDGES.numpy(), "y": np.arange(4) % 2},
    "big-endian arrays": {"edge_index": EDGES.numpy().astype(">i8")},
    "unsigned ids": {"edge_index": EDGES.numpy().astype(np.uint32)},
    "lists": {"x": torch.eye(4, 3).tolist(), "edge_index": EDGES.tolist(), "y": [0, 1, 0, 1]},
    "int32": {"edge_index": EDGES.int()},
    "int16": {"edge_index": EDGES.short()},
    "truth values": {"x": torch.eye(4, 3).bool()},
    "a pair": {"edge_index": (EDGES[0].tolist(), EDGES[1].tolist())},
}


@pytest.mark.parametrize("given", CONVERTED)
def test_what_converts_without_loss_is_converted(given):
    data = _data(**CONVERTED[given])
    got = as_graph(data, "here")
    assert got.x.dtype == torch.float32
    for key, value in _data().to_dict().items():
        assert torch.equal(got[key], value), key
    assert all(data[key] is value for key, value in CONVERTED[given].items()), "the user's graph is not changed"


def test_a_graph_in_order_is_handed_through():
    data = _data()
    assert as_graph(data, "here") is data


@pytest.mark.parametrize("weight", [WEIGHTS.long(), WEIGHTS[:, None], WEIGHTS.long().tolist(), WEIGHTS.numpy()])
def test_weights_become_a_row_of_floats(weight):
    got = as_graph(_data(edge_weight=weight), "here").edge_weight
    assert got.dtype == torch.float32
    assert torch.equal(got, WEIGHTS)


def test_float64_is_kept_for_the_trainer_to_decide():
    assert as_graph(_data(x=np.ones((4, 3))), "here").x.dtype == torch.float64


def test_a_scipy_matrix_of_features_stays_sparse():
    x = as_graph(_data(x=sp.coo_array(np.eye(4, 3))), "here").x
    assert x.layout == torch.sparse_csr
    assert torch.equal(x.to_dense(), torch.eye(4, 3, dtype=torch.float64))


@pytest.mark.parametrize("layout", [torch.sparse_csr, torch.sparse_coo])
def test_an_adjacency_matrix_becomes_edges_with_weights(layout):
    data = ToSparseTensor(attr="edge_weight", layout=layout)(_data(edge_weight=WEIGHTS, time=torch.arange(4)))
    assert "edge_index" not in data
    got = as_graph(data, "here")
    assert "adj_t" not in got
    weight_of = {(s, t): w for s, t, w in zip(*got.edge_index.tolist(), got.edge_weight.tolist(), strict=True)}
    assert weight_of == {(0, 1): 2, (1, 2): 3, (2, 3): 4, (3, 0): 5}


def test_values_of_one_are_no_weights():
    assert "edge_weight" not in as_graph(ToSparseTensor()(_data()), "here")


def _node_task(data):
    ids = torch.arange(4)
    return gk.NodeTask("t", data, gk.Split("s", ids[:2], ids[2:3], ids[3:]))


@pytest.mark.parametrize("place", [_node_task, gk.features.RandomWalkPE(2), gk.rewiring.FoSR(1)])
@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (HeteroData(), TypeError, r"the graph is a HeteroData, not a PyG Data; convert it by \.to_homogeneous\(\)"),
        (nx.path_graph(3), TypeError, "the graph is a Graph, .*torch_geometric.utils.from_networkx"),
        ([_data()], TypeError, r"the graph is a list, not a PyG Data; give one graph, such as dataset\[0\]"),
        (_data(edge_index=sp.eye_array(4)), TypeError, "edge_index is a .*utils.from_scipy_sparse_matrix"),
        (_data(edge_index=nx.path_graph(4)), TypeError, "edge_index is a Graph .*utils.from_networkx"),
        (_data(edge_index=torch.eye(4).to_sparse()), TypeError, "belongs to data.adj_t, its rows being targets"),
        (_data(edge_index=EDGES.float()), TypeError, r"edge_index has dtype torch.float32.*use edge_index.long\(\)"),
        (_data(edge_index=-EDGES), IndexError, "edge_index names source node -3"),
        (_data(edge_index=EDGES.t()), ValueError, r"edge_index has shape \[4, 2\]"),
        (_data(edge_index=[[0, 1], [1]]), TypeError, "edge_index is a list that cannot become a tensor"),
        (
            _data(y=["a", "b", "a", "b"]),
            TypeError,
            "y holds strings, e.g. 'a'; map them to ids.*numpy.unique",
        ),
        (_data(edge_weight=WEIGHTS[:3]), ValueError, "edge_weight has 3 rows for 4 edges"),
        (_data(edge_weight=torch.ones(4, 2)), ValueError, "edge_weight is .* several numbers belong to edge_attr"),
        (_data(edge_weight=WEIGHTS * float("nan")), ValueError, "edge_weight of edge 0 is not finite"),
        (_data(adj_t=torch.eye(4).to_sparse()), ValueError, "adj_t beside edge_index, .*; del data.adj_t"),
    ],
)
def test_what_does_not_convert_is_refused(place, data, error, message):
    with pytest.raises(error, match=message):
        place(data)


def test_weights_of_another_name_are_named():
    with pytest.warns(UserWarning, match="task 't': models do not read data.weight; call it edge_weight if it is that"):
        _node_task(_data(weight=WEIGHTS))


GRAPHS = [tiny.graph(4 + i % 2, 5, seed=i) for i in range(6)]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "edge_attr",
            lambda g: torch.ones(g.num_edges, 2),
            "graph 3 has edge_attr, but graph 0 has not; give it",
        ),
        ("edge_weight", lambda g: torch.ones(g.num_edges), "graph 3 has edge_weight, but graph 0 has not"),
        ("pos", lambda g: torch.ones(g.num_nodes, 3), "graph 3 has pos, but graph 0 has not"),
        ("time", lambda g: torch.ones(g.num_edges), "graph 3 has time, but graph 0 has not"),
        ("x", lambda g: g.x.double(), r"x of graph 3 is torch.float64 of shape \['n', 6\], but torch.float32 of"),
        ("x", lambda g: None, r"graphs differ in their number of features|graph 0 has x, but graph 3 has not"),
    ],
)
def test_graphs_of_a_set_are_alike(key, value, message):
    graphs = [graph.clone() for graph in GRAPHS]
    for number, graph in enumerate(graphs):
        graph.y = number % 2
    nodes = graphs[3].num_nodes
    graphs[3][key] = value(graphs[3])
    graphs[3].num_nodes = nodes
    ids = torch.arange(6)
    with pytest.raises(ValueError, match=message):
        gk.GraphTask("t", graphs, gk.Split("s", ids[:2], ids[2:4], ids[4:]))


@pytest.mark.parametrize("kind", ["edge_attr", "edge_weight"])
def test_what_all_but_the_first_graph_have_is_not_lost(kind):
    graphs = [graph.clone() for graph in GRAPHS]
    for number, graph in enumerate(graphs):
        graph.y = number % 2
        if number:
            graph[kind] = torch.ones(graph.num_edges)
    ids = torch.arange(6)
    with pytest.raises(ValueError, match=f"graph 1 has {kind}, but graph 0 has not"):
        gk.GraphTask("t", graphs, gk.Split("s", ids[:2], ids[2:4], ids[4:]))


def test_a_task_of_graphs_needs_a_list_of_them():
    from torch_geometric.data import Batch

    split = gk.Split("s", [0], [1], [2])
    with pytest.raises(TypeError, match=r"graphs is a DataBatch, not a list of PyG Data; use batch.to_data_list\(\)"):
        gk.GraphTask("t", Batch.from_data_list(GRAPHS), split)
    with pytest.raises(TypeError, match="task 't', graph 0: the graph is a Tensor, not a PyG Data"):
        gk.GraphTask("t", torch.ones(3, 2), split)


@pytest.mark.parametrize("edge_index", [torch.empty(2, 0), [[], []], np.empty((2, 0))])
def test_no_edges_of_any_dtype_are_no_edges(edge_index):
    got = as_graph(_data(edge_index=edge_index), "here").edge_index
    assert got.dtype == torch.int64
    assert got.shape == (2, 0)


def test_large_features_are_finite_although_their_sum_is_not():
    data = _data(x=torch.full((4, 3), 3e38))
    assert torch.equal(_node_task(data).data.x, data.x)


@pytest.mark.parametrize("make", [lambda: gk.models.GCN(5, 4, out_channels=2), lambda: GCN(5, 4, 2, 2)])
def test_models_of_another_width_are_named(make):
    with pytest.raises(ValueError, match=r"features have the shape \[4, 3\], but in_channels=5"):
        gk.Trainer(max_epochs=1, progress=False).fit(make(), _node_task(_data()))
