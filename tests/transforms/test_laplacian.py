"""Laplacian eigenvectors: decompositions by numpy, small graphs, graphs in parts."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

from graphkit.transforms import Hops, LaplacianEigenvectors
from graphkit.transforms.features import LaplacianPE


def data_of(graph, dtype=torch.float64):
    edges = torch.tensor([*graph.edges, *[edge[::-1] for edge in graph.edges]], dtype=torch.long).view(-1, 2).t()
    return Data(x=torch.ones(graph.number_of_nodes(), 1, dtype=dtype), edge_index=edges)


@pytest.mark.parametrize("seed", range(5))
def test_eigenpairs_of_the_normalised_laplacian(seed):
    graph = nx.gnp_random_graph(9, 0.3, seed=seed)  # isolated nodes and several parts among them
    dense = nx.normalized_laplacian_matrix(graph).toarray()
    out = LaplacianEigenvectors(9)(data_of(graph))
    vectors, values = out.laplacian_vectors.numpy(), out.laplacian_values.numpy()
    np.testing.assert_allclose(values, np.tile(np.linalg.eigvalsh(dense), (9, 1)), atol=1e-9)
    np.testing.assert_allclose(dense @ vectors, vectors * values, atol=1e-9)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(9), atol=1e-9)
    assert (vectors[np.abs(vectors).round(9).argmax(0), range(9)] > 0).all()


def test_direction_duplicates_and_loops_do_not_count():
    graph = nx.path_graph(4)
    plain = LaplacianEigenvectors(4)(data_of(graph))
    messy = Data(x=plain.x, edge_index=torch.tensor([[1, 0, 2, 2, 3], [0, 1, 1, 3, 3]]))
    assert torch.equal(LaplacianEigenvectors(4)(messy).laplacian_vectors, plain.laplacian_vectors)


def test_missing_columns_are_marked_and_batches_are_put_together():
    graphs = [LaplacianEigenvectors(3)(data_of(nx.path_graph(n), torch.float32)) for n in (2, 5, 1)]
    batch = Batch.from_data_list(graphs)
    assert batch.laplacian_vectors.shape == (8, 3)
    assert batch.laplacian_vectors.dtype == torch.float32
    assert batch.laplacian_values.isnan().sum(1).tolist() == [1, 1, 0, 0, 0, 0, 0, 2]
    assert torch.equal(batch.laplacian_values.isnan(), batch.laplacian_vectors.isnan())


def test_hop_pairs_are_put_together_like_edges():
    graphs = [Hops(2)(data_of(nx.path_graph(n))) for n in (3, 1, 2)]
    batch = Batch.from_data_list(graphs)
    together = Hops(2)(Data(edge_index=batch.edge_index, num_nodes=6))
    assert torch.equal(batch.hop_index, together.hop_index)
    assert torch.equal(batch.hop_distance, together.hop_distance)


@pytest.mark.parametrize(
    "graph",
    [
        nx.path_graph(1100),  # eigenvalues close to 0 and to each other
        nx.grid_2d_graph(33, 33),  # pairs of equal eigenvalues
        nx.disjoint_union_all([nx.random_regular_graph(3, 1040, seed=0), nx.path_graph(60), nx.empty_graph(2)]),
    ],
)
def test_iterated_eigenpairs_are_those_of_the_dense_matrix(graph):
    graph = nx.convert_node_labels_to_integers(graph)
    dense = nx.normalized_laplacian_matrix(graph).toarray()
    expected, every = np.linalg.eigh(dense)
    found = LaplacianEigenvectors(6)(data_of(graph))
    values, vectors = found.laplacian_values[0].numpy(), found.laplacian_vectors.numpy()
    np.testing.assert_allclose(values, expected[:6], atol=1e-10)
    np.testing.assert_allclose(dense @ vectors, vectors * values, atol=1e-7)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(6), atol=1e-9)
    same = every[:, expected < values[-1] + 1e-6]  # with all directions of the largest eigenvalue
    np.testing.assert_allclose(same @ (same.T @ vectors), vectors, atol=1e-3)
    assert torch.equal(LaplacianEigenvectors(6)(data_of(graph)).laplacian_vectors, found.laplacian_vectors)


def test_components_of_a_large_graph_come_first():
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    out = LaplacianEigenvectors(3)(Data(x=torch.ones(1500, 1), edge_index=edges))
    assert out.laplacian_values.unique().tolist() == [0]
    expected = torch.tensor([1, 2**0.5, 1]) / 2
    assert torch.allclose(out.laplacian_vectors[:3, 0], expected)
    assert out.laplacian_vectors[3:, 1:].nonzero().tolist() == [[0, 0], [1, 1]]


def test_as_features_without_the_first_and_padded_with_zeros():
    data = data_of(nx.path_graph(4))
    vectors = LaplacianEigenvectors(4)(data).laplacian_vectors
    x = LaplacianPE(6)(data).x
    assert x.dtype == torch.float64
    assert torch.equal(x, torch.cat([data.x, vectors[:, 1:], torch.zeros(4, 3, dtype=torch.float64)], dim=1))
    assert torch.equal(LaplacianPE(6)(Data(edge_index=data.edge_index, num_nodes=4)).x, x[:, 1:].float())
    data.x = torch.eye(4).to_sparse_csr()
    with pytest.raises(ValueError, match="LaplacianPE: x is sparse; add features before SparseFeatures"):
        LaplacianPE()(data)


def test_a_graph_without_nodes_has_no_rows():
    empty = Data(x=torch.ones(0, 2), edge_index=torch.empty(2, 0, dtype=torch.long))
    assert LaplacianPE(3)(empty).x.shape == (0, 5)
    assert LaplacianEigenvectors(3)(empty).laplacian_values.shape == (0, 3)
