from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.utils import to_networkx

import graphkit.datasets as datasets
from graphkit.datasets.generators import GENERATORS
from graphkit.datasets.generators.expressive import csl_edges
from graphkit.datasets.generators.minesweeper import grid_edges, minesweeper_features

DIRECTED = ("tree-neighbors-match", "zero-shot", "digits-mlps", "digits-cnns", "sine-networks", "planted-interactions")


@pytest.mark.parametrize("name", [name for name, card in datasets.cards().items() if card.generator])
def test_a_generated_card_needs_nothing_and_says_the_truth(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHKIT_DATA", "/no/such/place")
    monkeypatch.delenv("GRAPHKIT_MIRROR", raising=False)
    card = datasets.card(name)
    graphs = datasets.load_graphs(name)
    assert len(graphs) == card.expect.get("graphs", 1)
    if "nodes" in card.expect:
        assert sum(graph.num_nodes for graph in graphs) == card.expect["nodes"]
        assert sum(graph.num_edges for graph in graphs) == card.expect["edges"]
    assert {graph.num_features for graph in graphs} == {card.expect["features"]}
    if "outputs" in card.expect:
        outputs = {graph.y.size(1) for graph in graphs} if graphs[0].y.dim() == 2 else {_num_classes(graphs)}
        assert outputs == {card.expect["outputs"]}
    assert all(graph.is_undirected() for graph in graphs[:20]) or name in DIRECTED
    assert all(graph.is_coalesced() for graph in graphs[:20]) or name in ("karate", *DIRECTED)
    assert datasets.check(name) == {}
    assert datasets.available()[name] == "generated"


def _num_classes(graphs: list[Data]) -> int:
    return max(int(graph.y.max()) for graph in graphs) + 1


@pytest.mark.parametrize("name", ["minesweeper", "csl", "tree-neighbors-match", "ring-transfer"])
def test_equal_options_give_equal_data_and_another_seed_another(name: str) -> None:
    options = {"tree-neighbors-match": {"depth": 2}, "ring-transfer": {"random_target": True, "num_train": 50}}
    given = options.get(name, {})

    def content(**more: int) -> list[torch.Tensor]:
        return [graph.x for graph in datasets.load_graphs(name, **given, **more)] + [
            graph.edge_index for graph in datasets.load_graphs(name, **given, **more)
        ]

    assert all(torch.equal(a, b) for a, b in zip(content(), content()))
    assert not all(torch.equal(a, b) for a, b in zip(content(), content(seed=1)))


def test_unknown_options_and_impossible_values() -> None:
    with pytest.raises(TypeError, match=r"dataset 'csl' has no option 'size'; its options are: num_nodes, skips"):
        datasets.load("csl", size=3)
    with pytest.raises(TypeError, match="dataset 'karate' has no option 'seed'; it has no options"):
        datasets.load("karate", seed=1)
    with pytest.raises(ValueError, match="dataset 'ring-transfer': num_nodes=1, must be at least 2"):
        datasets.load("ring-transfer", num_nodes=1)
    with pytest.raises(ValueError, match="depth=1, must be at least 2"):
        datasets.load("tree-neighbors-match", depth=1)
    with pytest.raises(ValueError, match=r"dataset 'minesweeper': mines=20, must be in \[0, 1\]"):
        datasets.load("minesweeper", mines=20)


# Transfer: edges, features and distances are compared with the authors' generator in tests/golden ---------------------


def test_transfer_samples() -> None:
    task = datasets.load("ring-transfer", num_nodes=8, num_train=10, num_val=5, num_test=5)
    assert task.split.sizes == (10, 5, 5)
    assert task.labels.tolist() == [0, 1, 2, 3, 4] * 4
    graph = task.graphs[2]
    assert graph.readout_mask.nonzero().view(-1).tolist() == [0]
    assert graph.x[0].tolist() == [0.0] * 5
    assert graph.x[4].tolist() == [0.0, 0.0, 1.0, 0.0, 0.0]
    assert (graph.x[[1, 2, 3, 5, 6, 7]] == 1).all()
    batch = next(iter(task.batches("train", batch_size=4)))
    assert batch.readout_mask.sum() == 4


def test_the_random_target_moves() -> None:
    graphs = datasets.load_graphs("clique-path", num_nodes=10, num_train=300, random_target=True)
    assert {graph.target for graph in graphs} == set(range(1, 10))
    for graph in graphs[:20]:
        assert graph.x[graph.target].sum() == 1
        assert graph.x[0].sum() == 0


def test_duplicate_edges_are_kept_on_demand() -> None:
    duplicated = datasets.load_graphs("clique-path", num_nodes=8, num_train=5, duplicate_edges=True)[0]
    assert duplicated.num_edges == 32
    assert datasets.load_graphs("clique-path", num_nodes=8, num_train=5)[0].num_edges == 20


# Tree-NeighborsMatch --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depth", "count"),
    [
        (2, 96),
        (3, 8000),
        pytest.param(4, 16000, marks=pytest.mark.slow),
        pytest.param(5, 32000, marks=pytest.mark.slow),
    ],
)
def test_tree_examples_follow_the_label_rule(depth: int, count: int) -> None:
    task = datasets.load("tree-neighbors-match", depth=depth, one_hot=False)
    leaves = 2**depth
    assert len(task.graphs) == count
    assert task.num_outputs == leaves
    assert sum(task.split.sizes) == count
    assert abs(task.split.train.numel() - 0.8 * count) <= 1
    for graph in task.graphs[:: max(1, count // 200)]:
        assert graph.num_nodes == 2 ** (depth + 1) - 1
        assert graph.num_edges == 2 ** (depth + 1) - 2 + graph.num_nodes  # child to parent, and self-loops
        keys, values = graph.x.long().unbind(1)
        with_value = values.nonzero().view(-1)
        assert sorted(values[with_value].tolist()) == list(range(1, leaves + 1))
        assert keys[with_value].tolist() == list(range(1, leaves + 1))
        answer = values[with_value[keys[with_value] == keys[0]]]
        assert graph.y.tolist() == [int(answer) - 1]


def test_tree_examples_are_distinct_and_stratified() -> None:
    task = datasets.load("tree-neighbors-match", depth=2, one_hot=False)
    assert len({tuple(graph.x.view(-1).tolist()) for graph in task.graphs}) == 96
    counts = torch.bincount(task.labels[task.split.train])
    assert counts.max() - counts.min() <= 1


def test_one_hot_is_the_same_information() -> None:
    plain = datasets.load_graphs("tree-neighbors-match", depth=2, one_hot=False)
    coded = datasets.load_graphs("tree-neighbors-match", depth=2)
    for a, b in zip(plain[::10], coded[::10]):
        assert b.x.shape == (7, 10)
        assert torch.equal(a.x, b.x.view(7, 2, 5).argmax(2).float())


# Minesweeper ----------------------------------------------------------------------------------------------------------


def test_minesweeper_statistics() -> None:
    graph = datasets.load_graphs("minesweeper", seed=4)[0]
    assert graph.y.sum() == 2000
    assert graph.x[:, 0].sum() == 5000
    hidden = graph.x[:, 0] == 1
    assert (graph.x[hidden, 1:] == 0).all()
    assert (graph.x[~hidden, 1:].sum(1) == 1).all()
    # what is hidden says nothing about mines
    assert 0.17 < graph.y[hidden].float().mean() < 0.23
    neighbours = {tuple(edge) for edge in graph.edge_index.t().tolist()}
    row, column = 37, 0
    around = [(r, c) for r in (36, 37, 38) for c in (0, 1) if (r, c) != (row, column)]
    assert {pair for pair in neighbours if pair[0] == 3700} == {(3700, r * 100 + c) for r, c in around}
    for node in (~hidden).nonzero().view(-1)[:50].tolist():
        mines = sum(int(graph.y[other]) for source, other in neighbours if source == node)
        assert graph.x[node, 1 + min(mines, 5)] == 1


def test_the_official_field_follows_our_rule(real: object) -> None:
    official = datasets.load("minesweeper-official").data
    assert torch.equal(minesweeper_features(official.edge_index, official.y, official.x[:, 0] == 1), official.x)
    ours = {tuple(edge) for edge in grid_edges(100, 100).t().tolist()}
    theirs = {tuple(edge) for edge in official.edge_index.t().tolist() if edge[0] < edge[1]}
    assert {tuple(sorted(edge)) for edge in ours} == theirs
    assert len(ours) == 39402
    assert official.y.sum() == 2000
    assert official.x[:, 0].sum() == 5000


# Expressive power -----------------------------------------------------------------------------------------------------


def test_csl_classes_are_pairwise_different_and_copies_are_equal() -> None:
    graphs = datasets.load_graphs("csl", copies=2)
    networks = [to_networkx(graph, to_undirected=True) for graph in graphs]
    assert all(degree == 4 for network in networks for _, degree in network.degree)
    by_class = list(zip(networks[::2], networks[1::2]))
    assert len(by_class) == 10
    for first, copy in by_class:
        assert nx.is_isomorphic(first, copy)
    # closed walks of all lengths are an invariant that tells all ten classes apart
    spectra = [np.round(np.linalg.eigvalsh(nx.to_numpy_array(first)), 6) for first, _ in by_class]
    assert all(not np.allclose(a, b) for a, b in itertools.combinations(spectra, 2))
    assert not torch.equal(graphs[0].edge_index, graphs[1].edge_index)


def test_csl_skips_that_are_equal_up_to_sign_give_the_same_graph() -> None:
    assert torch.equal(csl_edges(41, 3), csl_edges(41, 38))


@pytest.mark.parametrize(("options", "sizes"), [({"copies": 5}, (30, 10, 10)), ({"skips": [2, 3]}, (18, 6, 6))])
def test_options_of_a_generator_may_change_the_sizes_that_its_card_tells(options, sizes) -> None:
    task = datasets.load("csl", **options)
    assert task.split.sizes == sizes
    assert task.baseline() == pytest.approx(1 / task.num_outputs)
    assert [split.sizes for split in datasets.load_splits("csl", ["cv-5/3"], **options)] == [sizes]


def test_csl_folds() -> None:
    task = datasets.load("csl", split=4)
    assert task.split.name == "cv-5/4"
    assert torch.bincount(task.labels[task.split.test]).tolist() == [3] * 10


def test_sr16_pair() -> None:
    rook, shrikhande = (to_networkx(graph, to_undirected=True) for graph in datasets.load_graphs("sr16"))
    for network in (rook, shrikhande):
        assert nx.is_strongly_regular(network)
        assert (network.number_of_nodes(), network.number_of_edges()) == (16, 48)
    assert not nx.is_isomorphic(rook, shrikhande)
    assert max(len(clique) for clique in nx.find_cliques(rook)) == 4
    assert max(len(clique) for clique in nx.find_cliques(shrikhande)) == 3


def test_karate_is_networkx_own() -> None:
    graph = to_networkx(datasets.load_graphs("karate")[0], to_undirected=True)
    assert set(map(frozenset, graph.edges)) == set(map(frozenset, nx.karate_club_graph().edges))
    task = datasets.load("karate")
    assert task.labels[task.split.train].sort().values.tolist() == [0, 1, 2, 3]


def test_every_generator_has_a_card() -> None:
    assert {card.generator for card in datasets.cards().values() if card.generator} == set(GENERATORS)
