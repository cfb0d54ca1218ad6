"""Routing by local policies: against a walker in plain Python, shortest paths, and what is refused."""

import networkx as nx
import pytest
import torch

import graphkit as gk
from graphkit.algorithms import greedy_forwarding, greedy_tensile, route, routing_features


def graph(n=40, density=2.5, **options):
    (data,) = gk.datasets.load_graphs("geometric", num_nodes=n, density=density, **options)
    data.pos = data.pos.double()
    return data


def walked(data, policy, origin, destination):
    """The length of one packet's way, node by node; infinite after as many hops as there are nodes."""
    node, length, neighbours = origin, 0.0, nx.Graph(data.edge_index.T.tolist()).adj
    for _ in range(data.num_nodes):
        others = torch.tensor(sorted(neighbours[node]))
        ends = (torch.full_like(others, end) for end in (origin, destination, node))
        scores = policy(routing_features(data.pos, *ends, others)).view(-1).tolist()
        best = int(others[scores.index(max(scores))])
        length += float((data.pos[node] - data.pos[best]).norm())
        node = best
        if node == destination:
            return length
    return float("inf")


def coarse(features):
    """A policy with many ties, whose packets go in circles."""
    return (-features[:, 3] - features[:, 2]).round()[:, None]


@pytest.mark.parametrize("policy", [greedy_forwarding, greedy_tensile, coarse])
def test_every_packet_goes_as_it_would_alone(policy):
    data = graph(18, family="spanner")
    pairs = torch.stack([torch.arange(60) % 18, torch.arange(60) * 7 % 17 % 18])
    routes = route(data.edge_index, data.pos, policy, pairs[:, pairs[0] != pairs[1]])
    expected = [walked(data, policy, *pair) for pair in routes.pairs.T.tolist()]
    torch.testing.assert_close(routes.length, torch.tensor(expected, dtype=torch.double))
    assert (routes.delivery < 1) == (policy is coarse)


def test_shortest_paths_and_shares():
    data = graph()
    weighted = nx.Graph()
    weighted.add_weighted_edges_from(
        (u, v, float((data.pos[u] - data.pos[v]).norm())) for u, v in data.edge_index.T.tolist()
    )
    lengths = dict(nx.all_pairs_dijkstra_path_length(weighted))
    routes = route(data.edge_index, data.pos, greedy_forwarding)
    shortest = torch.tensor([lengths[u][v] for u, v in routes.pairs.T.tolist()], dtype=torch.double)
    torch.testing.assert_close(routes.shortest, shortest)
    good = routes.length * routes.straight <= 1.05 * shortest**2
    assert routes.near_shortest(0.05) == pytest.approx(good.double().mean().item())
    came = routes.length.isfinite()
    assert routes.stretch == pytest.approx((routes.length[came] / shortest[came]).mean().item())


def test_the_way_that_is_left_leads_along_shortest_paths():
    data = graph(30)
    routes = route(data.edge_index, data.pos, greedy_forwarding)
    distance = torch.zeros(30, 30, dtype=torch.double)
    distance[*routes.pairs] = routes.shortest
    for destination in range(30):
        pairs = routes.pairs[:, routes.pairs[1] == destination]

        def best(features, destination=destination):
            found = (torch.cdist(data.pos, data.pos[destination : destination + 1]) - features[:, 2]).abs()
            node = (torch.cdist(data.pos, data.pos[destination : destination + 1]) - features[:, 0]).abs().argmin(0)
            other = found.argmin(0)
            return -((data.pos[node] - data.pos[other]).norm(dim=1) + distance[other, destination])

        ways = route(data.edge_index, data.pos, best, pairs)
        torch.testing.assert_close(ways.length, ways.shortest)


def test_packets_without_a_way():
    pos = torch.tensor([[0.0, 0], [1, 0], [2, 0], [3, 0]])
    routes = route(torch.tensor([[0], [1]]), pos, greedy_forwarding, torch.tensor([[0, 0, 2], [1, 3, 3]]))
    assert routes.length.tolist() == [1, torch.inf, torch.inf] == routes.shortest.tolist()
    assert routes.delivery == pytest.approx(1 / 3) == routes.near_shortest()


def test_what_is_refused():
    pos, edges = torch.tensor([[0.0, 0], [1, 0], [1, 0]]), torch.tensor([[0, 1], [1, 2]])
    for pairs in ([[1], [2]], [[1], [1]]):
        with pytest.raises(ValueError, match="route: origin and destination of a pair are the same node, or at"):
            route(edges, pos, greedy_forwarding, torch.tensor(pairs))
    with pytest.raises(IndexError, match="route: pairs"):
        route(edges, pos, greedy_forwarding, torch.tensor([[0], [3]]))
    with pytest.raises(ValueError, match=r"route: the policy returned \[2, 2\] for features \[2, 4\]"):
        route(edges, pos, lambda f: f[:, :2], torch.tensor([[0], [1]]))


def test_graphs_in_the_plane():
    disk, spanner = graph(seed=1), graph(seed=1, family="spanner", stretch=1.3)
    assert torch.equal(disk.pos, spanner.pos)
    assert spanner.num_edges < 0.7 * disk.num_edges
    joined = (torch.cdist(disk.pos, disk.pos) <= 1).fill_diagonal_(False)
    assert disk.edge_index.unique(dim=1).tolist() == joined.nonzero().T.tolist()
    ends = disk.pos[disk.edge_index]
    torch.testing.assert_close(disk.edge_weight.double(), (ends[0] - ends[1]).norm(dim=1), rtol=1e-5, atol=1e-6)
    before, after = (route(g.edge_index, g.pos, greedy_forwarding).shortest for g in (disk, spanner))
    assert 1.1 < float((after / before).max()) <= 1.3 + 1e-9
    with pytest.raises(ValueError, match=r"geometric: 1000 graphs of num_nodes=60 and density=0.1 were not connected"):
        graph(60, 0.1)


def test_the_task_of_routing():
    task = gk.load("routing", num_nodes=20, num_pairs=10, num_holders=2)
    x, y = task.graphs[0].x, -task.labels[:, 0]
    assert (x[:, 1::2] > 1 - 1e-5).all()  # a triangle's two sides over the third
    assert (y >= x[:, 2] - 1e-5).all()
    assert (y > 0).all()
    assert (y >= x[:, 0] - 1e-5).all()
    train, val, test = task.split.train, task.split.val, task.split.test
    assert train[-1] + 1 == val[0]
    assert val[-1] + 1 == test[0]
    assert torch.equal(gk.load("routing", num_nodes=20, num_pairs=10, num_holders=2).labels, task.labels)


def test_a_model_is_a_policy():
    data, model = graph(20), gk.models.MLP(4, 8, out_channels=1).double().eval()
    routes = route(data.edge_index, data.pos, model)
    expected = route(data.edge_index, data.pos, lambda f: model(f, torch.empty(2, 0, dtype=torch.long)))
    assert torch.equal(routes.length, expected.length)
