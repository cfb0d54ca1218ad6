"""Connection maps: shared work against the plain way, and the random controls."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from graphkit.testing import random_graph
from graphkit.transforms import ConnectionMaps, Undirected
from graphkit.transforms.connection_maps import tangent_bases

GRAPH = Undirected()(random_graph(12, 30, num_isolated=2, edge_dim=None))


def test_bases_are_the_principal_directions_around_each_node():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(12, 40, generator=generator, dtype=torch.float64)
    x[:, 20:] = 0
    bases, used = tangent_bases(x, GRAPH.edge_index, 2)
    distance = torch.cdist(x, x)
    neighbours = {i: set() for i in range(12)}
    for i, j in GRAPH.edge_index.t().tolist():
        neighbours[i].add(j)
    for i in range(12):
        own = sorted(neighbours[i])
        others = [j for j in distance[i].argsort().tolist() if j != i and j not in own]
        assert used[i].tolist() == own + others[: max(0, 2 - len(own))]
        left = torch.linalg.svd((x[used[i]] - x[i]).t(), full_matrices=False)[0][:, :2]
        torch.testing.assert_close(bases[i] @ bases[i].t(), left @ left.t())


def test_equally_near_nodes_are_borrowed_in_order_and_lost_ranks_keep_bases_orthonormal():
    x = torch.zeros(6, 4)
    x[3:, 0] = 1.0
    bases, used = tangent_bases(x, torch.tensor([[0, 1], [1, 0]]), 3)
    assert used[0].tolist() == [1, 2, 3]
    assert used[5].tolist() == [3, 4, 0]
    torch.testing.assert_close(bases.mT @ bases, torch.eye(3).expand(6, 3, 3))


@pytest.mark.parametrize("connection", ["features", "random_nodes", "random_edges"])
def test_transports_are_orthogonal_and_agree_in_both_directions(connection):
    maps = ConnectionMaps(2, connection)(GRAPH).restriction_maps
    torch.testing.assert_close(maps.mT @ maps, torch.eye(2, dtype=maps.dtype).expand_as(maps))
    position = {pair: e for e, pair in enumerate(zip(*GRAPH.edge_index.tolist(), strict=True))}
    for (i, j), e in position.items():
        there, back = maps[e].mT @ maps[position[j, i]], maps[position[j, i]].mT @ maps[e]
        torch.testing.assert_close(there, back.mT)


def test_controls_follow_their_seed_and_ignore_the_features():
    other = GRAPH.clone()
    other.x = torch.randn(GRAPH.x.shape, dtype=torch.float64)
    for connection in ("random_nodes", "random_edges"):
        drawn = ConnectionMaps(2, connection)(GRAPH).restriction_maps
        assert torch.equal(drawn, ConnectionMaps(2, connection)(other).restriction_maps)
        assert not torch.equal(drawn, ConnectionMaps(2, connection, seed=1)(GRAPH).restriction_maps)
    features = ConnectionMaps(2)
    assert not torch.allclose(features(GRAPH).restriction_maps, features(other).restriction_maps)


def test_random_edge_maps_are_uniform():
    """Mean 0 and as many reflections as rotations, as Haar's measure has it."""
    n = 200
    pairs = torch.triu_indices(n, n, 1)
    graph = Data(x=torch.ones(n, 3), edge_index=torch.cat([pairs, pairs.flip(0)], dim=1))
    maps = ConnectionMaps(2, "random_edges")(graph).restriction_maps[: pairs.size(1)]
    assert float(maps.mean(0).abs().max()) < 0.02
    assert abs(float((torch.linalg.det(maps) > 0).double().mean()) - 0.5) < 0.02


def test_unknown_connection():
    with pytest.raises(ValueError, match="connection='feature'"):
        ConnectionMaps(2, "feature")
