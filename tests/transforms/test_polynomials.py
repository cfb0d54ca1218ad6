"""Features made of equivariant polynomials: what is written where, normalised how, for which graphs."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

from graphkit.algorithms import connected_multigraphs, equivariant_polynomials
from graphkit.transforms.features import EquivariantPolynomials, PPGNPolynomials


def from_networkx(graph: nx.Graph, **attributes: object) -> Data:
    adjacency = torch.from_numpy(nx.to_numpy_array(graph))
    return Data(edge_index=adjacency.nonzero().t().contiguous(), num_nodes=graph.number_of_nodes(), **attributes)


def dense(data: Data) -> np.ndarray:
    """``[channels, n, n]``."""
    n = data.num_nodes
    out = torch.zeros(n, n, data.polynomial_attr.size(1), dtype=torch.float64)
    out[tuple(data.polynomial_index)] = data.polynomial_attr.double()
    return out.permute(2, 0, 1).numpy()


GRAPH = nx.gnm_random_graph(9, 20, seed=1)


def test_nodes_and_graphs_get_columns():
    X = nx.to_numpy_array(GRAPH)
    data = from_networkx(GRAPH, x=torch.arange(9.0).double().view(-1, 1))
    counts = np.stack(equivariant_polynomials(X, connected_multigraphs(4, 1)), axis=1)
    out = EquivariantPolynomials(degree=4)(data).x.numpy()
    np.testing.assert_allclose(out[:, 1:], np.log1p(counts))
    np.testing.assert_array_equal(out[:, 0], np.arange(9))
    plain = EquivariantPolynomials(degree=4, normalize=None, channels=[3, 0])(data).x.numpy()
    np.testing.assert_array_equal(plain[:, 1:], counts[:, [3, 0]])
    of_graph = equivariant_polynomials(X, connected_multigraphs(3))
    out = EquivariantPolynomials(degree=3, pins="graph", normalize=None)(data).x.numpy()
    np.testing.assert_array_equal(out[:, 1:], np.tile(of_graph, (9, 1)))


def test_weights_directions_loops_and_relations():
    data = Data(edge_index=torch.tensor([[0, 1, 1, 2, 0], [1, 2, 1, 0, 1]]), num_nodes=3)
    data.edge_weight = torch.tensor([2.0, -3.0, 0.5, 1.0, 1.0])  # two edges from 0 to 1
    X = np.array([[0, 3, 0], [0, 0.5, -3], [1, 0, 0]])
    transform = EquivariantPolynomials(degree=3, multigraphs=True, directed=True, normalize=None)
    values = np.stack(equivariant_polynomials(X, transform.chosen()), axis=1)
    np.testing.assert_allclose(transform(data).x.numpy(), values, rtol=1e-6)
    log = EquivariantPolynomials(degree=3, multigraphs=True, directed=True)(data).x.numpy()
    np.testing.assert_allclose(log, np.sign(values) * np.log1p(abs(values)), rtol=1e-6)

    data.edge_type = torch.tensor([0, 1, 1, 0, 1])
    transform = EquivariantPolynomials(degree=2, multigraphs=True, num_relations=2, normalize=None)
    first, second = np.array([[0, 2, 0], [0, 0, 0], [1, 0, 0]]), np.array([[0, 1, 0], [0, 0.5, -3], [0, 0, 0]])
    values = np.stack(equivariant_polynomials([first, second], transform.chosen()), axis=1)
    np.testing.assert_allclose(transform(data).x.numpy(), values, rtol=1e-6)
    data.edge_type[0] = 2
    with pytest.raises(ValueError, match=r"num_relations=2, but the graph has an edge_type outside 0\.\.1"):
        transform(data)
    for kinds in (torch.full((5,), 0.5), torch.zeros(5, 1).long(), torch.zeros(3).long()):
        data.edge_type = kinds
        with pytest.raises(ValueError, match=f"an edge_type of {kinds.dtype} and shape .* give one integer for each"):
            transform(data)


def test_unit_normalisation_of_pairs():
    data = from_networkx(GRAPH, x=torch.zeros(9, 1).double())
    plain, unit = dense(PPGNPolynomials(normalize=None)(data)), dense(PPGNPolynomials()(data))
    length = np.linalg.norm(plain, axis=0)
    plain = plain / np.where(length == 0, 1, length)
    length = np.linalg.norm(plain.reshape(12, -1), axis=1)[:, None, None]
    np.testing.assert_allclose(unit, plain / np.where(length == 0, 1, length))


def test_transposed_partners_and_official_duplicates():
    data = from_networkx(GRAPH, x=torch.zeros(9, 1).double())
    ours = dense(PPGNPolynomials(normalize=None)(data))
    official = dense(PPGNPolynomials(normalize=None, official_duplicates=True)(data))
    for first, second in ((5, 6), (7, 8), (9, 10)):
        np.testing.assert_array_equal(ours[first], ours[second].T)
        np.testing.assert_array_equal(official[first], official[second])
        assert (ours[first] != ours[second]).any()
        np.testing.assert_array_equal(official[second], ours[second])


def test_rook_and_shrikhande_differ_in_the_channels_of_k4_alone():
    rook = nx.line_graph(nx.complete_bipartite_graph(4, 4))
    steps = [(0, 1), (1, 0), (1, 1)]
    torus = [((i, j), ((i + a) % 4, (j + b) % 4)) for i in range(4) for j in range(4) for a, b in steps]
    sums = [dense(PPGNPolynomials(normalize=None)(from_networkx(g))).sum((1, 2)) for g in (rook, nx.Graph(torus))]
    assert np.flatnonzero(sums[0] != sums[1]).tolist() == [1, 2, 3]


def test_channels_are_chosen_on_the_graphs_to_train_on():
    train = [from_networkx(g) for g in (nx.path_graph(4), nx.diamond_graph())]
    chosen = PPGNPolynomials(normalize=None).without_zeros(train)
    assert chosen.channels == [0, 4, 5, 6, 7, 8, 9, 10, 11]
    assert chosen.normalize is None
    test = chosen(from_networkx(nx.complete_graph(5)))
    np.testing.assert_array_equal(
        dense(test), dense(PPGNPolynomials(normalize=None)(from_networkx(nx.complete_graph(5))))[chosen.channels]
    )
    trees = EquivariantPolynomials(degree=4).without_zeros([from_networkx(nx.path_graph(5))])
    assert {len(h.nodes) - h.degree for h in trees.chosen()} == {1, 0}  # squares fold onto edges, triangles do not
    assert EquivariantPolynomials(channels=[3, 4]).without_zeros([from_networkx(nx.path_graph(2))]).channels == [3]


def test_pairs_follow_the_numbers_of_nodes():
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0)).tolist()
    renamed = nx.from_numpy_array(nx.to_numpy_array(GRAPH)[order][:, order])
    for transform in (PPGNPolynomials(), EquivariantPolynomials(degree=4, pins="pair")):
        first, second = (dense(transform(from_networkx(g, x=torch.zeros(9, 1).double()))) for g in (GRAPH, renamed))
        np.testing.assert_allclose(second, first[:, order][:, :, order], atol=1e-12)


def test_pairs_of_several_graphs_in_one_batch():
    graphs = [from_networkx(g) for g in (nx.complete_graph(4), nx.path_graph(3), nx.diamond_graph())]
    transform = PPGNPolynomials(normalize=None)
    batch = Batch.from_data_list([transform(g) for g in graphs])
    whole = dense(batch)
    for i, g in enumerate(graphs):
        own = slice(batch.ptr[i], batch.ptr[i + 1])
        np.testing.assert_array_equal(whole[:, own, own], dense(transform(g)))
        whole[:, own, own] = 0
    assert not whole.any()


@pytest.mark.parametrize("pins", ["graph", "node", "pair"])
def test_empty_graphs(pins):
    for n in (0, 1, 3):
        data = Data(x=torch.ones(n, 2), edge_index=torch.empty(2, 0, dtype=torch.long))
        out = EquivariantPolynomials(degree=3, pins=pins, normalize="unit")(data)
        if pins == "pair":
            assert out.polynomial_attr.shape == (0, 14)
        else:
            assert not out.x[:, 2:].any()
            assert out.x.size(0) == n


def test_refusals():
    with pytest.raises(ValueError, match="x is sparse; add features before SparseFeatures"):
        EquivariantPolynomials()(from_networkx(GRAPH, x=torch.eye(9).to_sparse_csr()))
    with pytest.raises(ValueError, match="did you mean 'node'"):
        EquivariantPolynomials(pins="nodes")
    with pytest.raises(ValueError, match="degree=0, must be at least 1"):
        EquivariantPolynomials(degree=0)
    with pytest.raises(ValueError, match=r"channel 12 does not exist, there are 0\.\.11"):
        PPGNPolynomials(channels=[0, 12])(from_networkx(GRAPH))
    with pytest.raises(ValueError, match=r"a channel without pins fills all 10,201 pairs of 101 nodes"):
        PPGNPolynomials(max_entries=10_000)(from_networkx(nx.lollipop_graph(4, 97)))
    with pytest.raises(IndexError, match="EquivariantPolynomials: edge_index names target node 7"):
        EquivariantPolynomials()(Data(edge_index=torch.tensor([[0], [7]]), num_nodes=3))
    with pytest.raises(ValueError, match="not finite"):
        EquivariantPolynomials()(
            Data(edge_index=torch.tensor([[0], [1]]), edge_weight=torch.tensor([float("nan")]), num_nodes=2)
        )
