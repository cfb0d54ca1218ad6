"""GCN normalisation against a dense computation."""

import pytest
import torch

from graphkit import ops

EDGES = torch.tensor([[0, 1, 2, 2, 3, 1], [1, 0, 2, 1, 0, 0]])  # a self-loop at 2, a duplicate edge, node 4 isolated
WEIGHT = torch.tensor([0.5, 1.0, 2.5, 1.5, 0.25, 3.0], dtype=torch.float64)


def dense(weight, fill, norm, add_self_loops):
    adjacency = torch.zeros(5, 5, dtype=torch.float64).index_put((EDGES[1], EDGES[0]), weight, accumulate=True)
    if add_self_loops:
        missing = torch.ones(5, dtype=torch.bool)
        missing[EDGES[0, EDGES[0] == EDGES[1]]] = False
        adjacency = adjacency + fill * torch.diag(missing.double())
    degree = adjacency.sum(1)
    if norm == "row":
        return torch.where(degree > 0, 1 / degree, 0.0).unsqueeze(1) * adjacency
    factor = torch.where(degree > 0, degree.rsqrt(), 0.0)
    return factor.unsqueeze(1) * adjacency * factor if norm == "sym" else adjacency


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("fill", [1.0, 2.0])
@pytest.mark.parametrize("norm", ["sym", "row", None])
@pytest.mark.parametrize("add_self_loops", [True, False])
def test_equals_the_dense_matrix(weight, fill, norm, add_self_loops):
    ours = ops.gcn_norm(EDGES, weight, fill=fill, norm=norm, add_self_loops=add_self_loops, size=5, dtype=torch.float64)
    expected = dense(torch.ones(6, dtype=torch.float64) if weight is None else weight, fill, norm, add_self_loops)
    torch.testing.assert_close(ours.to_dense(), expected, rtol=1e-14, atol=1e-14)


def test_constant_matrices_are_kept():
    assert ops.gcn_norm(EDGES, size=5) is ops.gcn_norm(EDGES, size=5)
    assert ops.gcn_norm(EDGES, size=5) is not ops.gcn_norm(EDGES, size=5, fill=2.0)
    assert ops.gcn_norm(EDGES, size=5).dtype == torch.float32
    assert ops.gcn_norm(EDGES, size=5, dtype=torch.float64).dtype == torch.float64
    assert ops.gcn_norm(EDGES, WEIGHT, size=5) is ops.gcn_norm(EDGES, WEIGHT.clone(), size=5)
    learned = WEIGHT.clone().requires_grad_()
    assert ops.gcn_norm(EDGES, learned, size=5) is not ops.gcn_norm(EDGES, learned, size=5)


def test_undirected_graphs_give_a_symmetric_matrix():
    edge_index = torch.cat([EDGES, EDGES.flip(0)], dim=1)
    matrix = ops.gcn_norm(edge_index, torch.cat([WEIGHT, WEIGHT]), size=5)
    assert torch.equal(matrix.to_dense(), matrix.to_dense().t())


def test_a_bipartite_graph_can_be_row_normalised():
    matrix = ops.gcn_norm(torch.tensor([[0, 1, 2], [0, 0, 1]]), norm="row", add_self_loops=False, size=(3, 2))
    assert matrix.to_dense().tolist() == [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.gcn_norm(EDGES, -WEIGHT, size=5), "node 0 has the negative weighted in-degree -3.25"),
        (lambda: ops.gcn_norm(EDGES, WEIGHT[:3], size=5), r"\[3\].*6 edges"),
        (lambda: ops.gcn_norm(EDGES, norm="left", size=5), "left"),
        (lambda: ops.gcn_norm(EDGES, size=(5, 6)), "norm='row'"),
        (lambda: ops.gcn_norm(EDGES, size=(5, 6), norm="row"), "add_self_loops=False"),
    ],
)
def test_errors_name_value_and_remedy(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_negative_degree_names_the_edge_that_weighs_most():
    edges, weight = torch.tensor([[1, 2, 3, 3], [0, 0, 0, 2]]), torch.tensor([4.0, -3.0, -3.5, -9.0])
    message = r"node 0 has the negative weighted in-degree -1.5, .*: its edge with node 3 has the weight -3.5; use non"
    with pytest.raises(ValueError, match=message):
        ops.gcn_norm(edges[:, :3], weight[:3])
    with pytest.raises(ValueError, match=r"node 2 .* its edge with node 3 has the weight -9; use"):
        ops.gcn_norm(edges[:, 1:].flip(1)[:, :1], weight[3:])
    with pytest.raises(ValueError, match="in-degree -1, which has no square root; use non"):
        ops.gcn_norm(torch.tensor([[0], [1]]), fill=-1.0)  # a loop's fault


def test_numbers_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="gcn_norm: fill=nan, must be finite"):
        ops.gcn_norm(torch.tensor([[0], [1]]), fill=float("nan"))
    with pytest.raises(ValueError, match="l2_normalize: eps=-1, must be at least 0"):
        ops.l2_normalize(torch.ones(2, 2), -1)
