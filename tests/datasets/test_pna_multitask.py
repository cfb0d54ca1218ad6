from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.utils import to_networkx

import graphkit as gk
from graphkit.datasets.generators import random_graphs
from graphkit.datasets.generators.pna_multitask import _samples

SMALL = {"num_train": 6, "num_val": 4, "num_test": 2, "num_extrapolation": 1}


def network(graph: np.ndarray) -> nx.Graph:
    return nx.from_numpy_array(graph)


@pytest.mark.parametrize("faithful", [True, False])
@pytest.mark.parametrize("n", [15, 70])
def test_targets_are_those_of_networkx(n: int, faithful: bool) -> None:
    seen = set()
    for sample in _samples(n, 60, faithful, np.random.default_rng(3)):
        adjacency = np.zeros((n, n), dtype=bool)
        adjacency[tuple(sample.edge_index)] = True
        graph = network(adjacency)
        lengths = dict(nx.all_pairs_shortest_path_length(graph))
        source = int(sample.x[:, 0].argmax())
        assert sample.x[:, 0].sum() == 1
        distance, eccentricity, laplacian = sample.node_targets.T
        assert distance.tolist() == [lengths[source].get(v, 0) for v in range(n)]
        assert eccentricity.tolist() == [max(lengths[v].values()) for v in range(n)]
        assert np.allclose(laplacian, nx.laplacian_matrix(graph).toarray() @ sample.x[:, 1])
        connected, diameter, radius = sample.graph_targets[0]
        bipartite = nx.is_bipartite(graph)
        assert connected == (nx.is_connected(graph) and not (faithful and bipartite))
        assert diameter == max(eccentricity)
        assert radius == pytest.approx(max(abs(np.linalg.eigvalsh(adjacency))))
        assert nx.number_of_isolates(graph) == 0
        seen.add((nx.is_connected(graph), bipartite))
    assert len(seen) >= 3 or n == 70, "the rule was not tried on all kinds of graphs"


def test_scaled_labels_sizes_and_splits() -> None:
    for level, row in (("graphs", 1), ("nodes", 15)):
        task = gk.load(f"pna-multitask-{level}", **SMALL)
        assert task.graphs[0].y.shape == (row, 3)
        assert task.split.sizes == (60, 20, 10)
        train = torch.cat([task.graphs[i].y for i in task.split.train.tolist()])
        assert train.abs().amax(0).tolist() == pytest.approx([1.0, 1.0, 1.0])
        nodes = torch.tensor([graph.num_nodes for graph in task.graphs])
        assert nodes[task.split.train].tolist() == [n for n in range(15, 25) for _ in range(6)]
        assert set(nodes[task.split.test].tolist()) == set(range(15, 20))
    far = gk.load("pna-multitask-graphs", "extrapolation/15", **SMALL)
    assert nodes[far.split.test].tolist() == [95, 96, 97, 98, 99]
    corrected = gk.load("pna-multitask-graphs", variant="corrected", **SMALL)
    assert corrected.split.sizes == (60, 20, 10)
    nodes = torch.tensor([graph.num_nodes for graph in corrected.graphs])
    assert set(nodes[corrected.split.val].tolist()) == set(range(15, 25))


def test_the_two_variants_differ_in_connectedness_only() -> None:
    faithful, corrected = (
        gk.datasets.load_graphs("pna-multitask-graphs", variant=v, **SMALL | {"num_train": 20})
        for v in ("faithful", "corrected")
    )
    for a, b in zip(faithful[:200], corrected[:200]):
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.y[:, 1:], b.y[:, 1:])
        assert a.y[0, 0] <= b.y[0, 0]
    assert any(a.y[0, 0] < b.y[0, 0] for a, b in zip(faithful[:200], corrected[:200]))


def test_a_task_of_nodes_trains_in_batches_of_graphs() -> None:
    task = gk.load("pna-multitask-nodes", **SMALL)
    batch = next(iter(task.batches("train", batch_size=4)))
    assert batch.y.shape == (60, 3)
    model = gk.models.GCN.from_task(task, hidden_channels=4)
    prediction, label = task.select(model(batch), batch, "train")
    assert prediction.shape == label.shape == (60, 3)
    assert torch.equal(label[15:30], task.graphs[1].y)
    result = gk.Trainer(max_epochs=1, progress=False).fit(model, task)
    test = torch.cat([task.graphs[i].y for i in task.split.test.tolist()])
    out = torch.cat([model(b) for b in task.batches("test")])
    assert result.test == pytest.approx(float((out - test).square().mean()), rel=1e-4)
    task.graphs[3].y = task.graphs[3].y[:-1]
    with pytest.raises(ValueError, match=r"graph 3: readout_mask marks 15 nodes, but y has the shape \[14, 3\]"):
        task.with_split(task.split)


@pytest.mark.parametrize("n", [15, 16, 19, 24, 97])
def test_families(n: int) -> None:
    rng = np.random.default_rng(n)
    made = {family.__name__: network(family(n, rng)) for family in random_graphs.FAMILIES}
    for graph in made.values():
        assert graph.number_of_nodes() == n
        assert nx.number_of_selfloops(graph) == 0
    for name in ("power_law_tree", "line", "star", "caterpillar", "lobster"):
        assert nx.is_tree(made[name]), name
    assert nx.is_isomorphic(made["line"], nx.path_graph(n))
    assert nx.is_isomorphic(made["star"], nx.star_graph(n - 1))
    rows = max(d for d in range(1, n) if n % d == 0 and d * d <= n)
    assert nx.is_isomorphic(made["grid"], nx.grid_2d_graph(rows, n // rows))
    assert nx.is_isomorphic(made["caveman"], nx.caveman_graph(rows, n // rows))
    if n % 2 == 0:
        assert nx.is_isomorphic(made["ladder"], nx.ladder_graph(n // 2))
    assert nx.is_connected(made["ladder"])
    assert nx.is_connected(made["barabasi_albert"])
    inner = made["caterpillar"].subgraph(v for v, degree in made["caterpillar"].degree if degree > 1)
    assert all(degree <= 2 for _, degree in inner.degree)


def test_toggling_keeps_the_mean_number_of_edges() -> None:
    rng = np.random.default_rng(0)
    graph = random_graphs.line(40, rng)
    draws = np.stack([random_graphs.toggled(graph, rng) for _ in range(2000)])
    assert draws.sum((1, 2)).mean() / 2 == pytest.approx(39, rel=0.02)
    assert draws[:, graph].mean() == pytest.approx(0.9, abs=0.01)
    assert (draws == draws.transpose(0, 2, 1)).all()


def test_power_law_degrees() -> None:
    # given their sum, the share of the largest degrees is that of a brute-force draw
    rng = np.random.default_rng(0)
    n = 8
    ours = np.bincount([random_graphs.power_law_tree(n, rng).sum(0).max() for _ in range(3000)], minlength=n) / 3000
    drawn = rng.zipf(3.0, (400_000, n))
    drawn = drawn[drawn.sum(1) == 2 * (n - 1)]
    expected = np.bincount(drawn.max(1), minlength=n) / len(drawn)
    assert np.abs(ours - expected).max() < 0.03


def test_seeds() -> None:
    first, again, other = (gk.datasets.load_graphs("pna-multitask-graphs", seed=s, **SMALL) for s in (0, 0, 1))
    assert all(torch.equal(a.edge_index, b.edge_index) and torch.equal(a.y, b.y) for a, b in zip(first, again))
    assert not all(torch.equal(a.x, b.x) for a, b in zip(first, other))
    with pytest.raises(ValueError, match="variant='faithfull', did you mean 'faithful'"):
        gk.load("pna-multitask-graphs", variant="faithfull")


def test_networkx_reads_the_edges_as_undirected() -> None:
    graph = gk.datasets.load_graphs("pna-multitask-graphs", **SMALL)[0]
    assert graph.is_undirected()
    assert to_networkx(graph, to_undirected=True).number_of_edges() * 2 == graph.num_edges
