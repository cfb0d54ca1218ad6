"""Real data through the mirror: counts as published, parity with PyG, no network."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import networkx as nx
import pytest
import torch

import graphkit.datasets as datasets
from graphkit.datasets import loading
from graphkit.datasets.catalog import Card
from graphkit.datasets.splits import Request, choose, make_split
from graphkit.tasks import EventTask, GraphTask, LinkTask, NodeTask
from tests.datasets.conftest import Toy

# Seconds to minutes each.
LARGE = {
    "aids", "amazon-computers", "chameleon", "coauthor-cs", "coauthor-physics", "collab", "dblp", "dd", "ecoli",
    "facebook-pages", "graph8c", "imdb-binary", "imdb-multi", "mutagenicity", "nci1", "nci109", "ogbg-molbace",
    "ogbg-molbbbp", "ogbg-molhiv-rebuilt", "ogbl-ddi", "pb", "peptides-func", "power", "proteins", "reddit-binary",
    "router", "squirrel", "squirrel-traffic", "sr351668", "yeast", "zinc-rebuilt",
}  # fmt: skip
NOT_AT_HAND = {
    "amazon-ratings", "blogcatalog", "cora-full", "facebook-books", "jodie-lastfm", "jodie-mooc", "jodie-reddit",
    "jodie-wikipedia", "movielens-100k", "movielens-1m", "ogbg-molhiv", "ogbg-molpcba", "ogbl-collab", "ogbl-ppa",
    "ogbn-arxiv", "ogbn-products", "ogbn-proteins", "peptides-struct", "ppi-homo-sapiens", "pubmed", "pubmed-full",
    "pubmed-full-links", "pubmed-links", "qm9-ggnn", "questions", "reddit-multi-5k", "roman-empire", "tgbl-enron",
    "tgbl-lastfm", "tgbl-subreddit", "tgbl-uci", "tgbl-wiki", "wikics",
    "yahoo-movies", "zinc",
}  # fmt: skip


def _cases() -> list[object]:
    cases = []
    for name, card in datasets.cards().items():
        if card.loader and name not in NOT_AT_HAND:
            cases.append(pytest.param(card, id=name, marks=[pytest.mark.slow] if name in LARGE else []))
    return cases


@pytest.mark.parametrize("card", _cases())
def test_a_set_at_hand_has_its_published_counts_and_splits(card: Card, real: Path) -> None:
    if card.extra:
        pytest.importorskip(card.extra)
    graphs, stored = loading._graphs(card, {})  # compares with the card's counts when it parses
    assert len(graphs) == card.expect.get("graphs", 1)
    assert sum(graph.num_nodes for graph in graphs) == card.expect["nodes"]
    assert sum(graph.num_edges for graph in graphs) == card.expect["edges"]
    assert {graph.num_features for graph in graphs} == {card.expect["features"]}
    assert all(graph.x.dtype == torch.float32 for graph in graphs)
    if card.kind == "list":
        return
    task = datasets.load(card.name)
    assert isinstance(task, {"node": NodeTask, "graph": GraphTask, "link": LinkTask, "event": EventTask}[card.kind])
    assert task.name == card.name
    assert task.metric == card.metric
    if card.target == "link":
        for family in card.splits:
            datasets.load(card.name, f"{family.name}/0")  # compares with the card's sizes
        return
    assert task.num_outputs == (1 if card.target == "binary" else card.expect["outputs"])
    for family in card.splits:
        for index in range(family.count or 2):
            wanted = f"{family.name}/{index}"
            request = Request(card, *choose(card, wanted), graphs, stored)
            split = make_split(request)  # compares with the card's sizes
            missing = card.target == "multiclass" and request.labels[split.train].unique().numel() < task.num_outputs
            assert not missing or family.allow_missing_classes, split.name


def test_every_set_without_raw_files_says_what_is_missing(real: Path) -> None:
    state = datasets.available()
    assert {name for name, value in state.items() if value == "missing"} == NOT_AT_HAND
    assert datasets.check("pubmed")["planetoid_partial/PubMed/raw/ind.pubmed.allx"] == "missing"
    with pytest.raises((FileNotFoundError, AssertionError), match=r"ind\.pubmed\.allx|network"):
        datasets.load("pubmed")


def test_the_mirror_is_never_written(real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path))
    before = {path: os.stat(path).st_mtime_ns for path in (real / "webkb").rglob("*")}
    datasets.load("texas")
    assert {path: os.stat(path).st_mtime_ns for path in (real / "webkb").rglob("*")} == before


@pytest.mark.parametrize(("name", "split"), [("cora", "geom-gcn"), ("citeseer", "public")])
def test_planetoid_parity(name: str, split: str, real: Path, tmp_path: Path) -> None:
    from torch_geometric.datasets import Planetoid

    folder = {"cora": "Cora", "citeseer": "CiteSeer"}[name]
    inner = f"{folder}/geom-gcn/raw" if split == "geom-gcn" else f"{folder}/raw"
    shutil.copytree(real / "planetoid" / inner, tmp_path / inner)
    theirs = Planetoid(str(tmp_path), folder, split=split)[0]
    for index in range(10 if split == "geom-gcn" else 1):
        task = datasets.load(name, split=f"{split}/{index}")
        for stage in ("train", "val", "test"):
            mask = theirs[f"{stage}_mask"]
            mask = mask[:, index] if mask.dim() == 2 else mask
            assert torch.equal(getattr(task.split, stage), mask.nonzero().view(-1))
    ours = datasets.load(name).data
    assert torch.equal(ours.x, theirs.x)
    assert torch.equal(ours.edge_index, theirs.edge_index)
    assert torch.equal(ours.y, theirs.y)


def test_links_of_a_known_graph(real: Path) -> None:
    task = datasets.load("cora-links", "random-70-10-20/3")
    assert task.split.name == "random-70-10-20/3"
    assert task.split.sizes == (3696, 527, 1055)
    assert task.metric == "hits@100"
    assert datasets.load("cora-links").metric == "roc_auc"
    cora = datasets.load("cora").data
    assert torch.equal(task.graphs[0].x, cora.x)
    assert not {"y", "train", "val", "test"} & set(task.batches("test")[0].keys())
    assert task.split.train_negatives is None
    fixed = datasets.load("cora-ml-links", "forwardgnn/1").split
    assert fixed.train_negatives is not None
    assert fixed.train_negatives.size(1) == fixed.sizes[0]
    assert [split.hash for split in datasets.load_splits("cora-ml-links", ["forwardgnn/1"])] == [fixed.hash]


@pytest.mark.slow
def test_ogb_parity_of_links(real: Path) -> None:
    parts = {
        stage: torch.load(real / f"ogb/ogbl_ddi/split/target/{file}.pt", weights_only=False)
        for stage, file in (("train", "train"), ("val", "valid"), ("test", "test"))
    }
    task = datasets.load("ogbl-ddi")
    assert task.batches("train")[0].num_edges == task.batches("test")[0].num_edges == 2 * 1067911
    for stage, part in parts.items():
        assert torch.equal(getattr(task.split, stage), torch.as_tensor(part["edge"]).t())
        if stage != "train":
            assert torch.equal(task.split.negatives(stage), torch.as_tensor(part["edge_neg"]).t())


def test_tu_parity_and_options(real: Path, tmp_path: Path) -> None:
    from torch_geometric.datasets import TUDataset

    shutil.copytree(real / "tu" / "ENZYMES", tmp_path / "ENZYMES")
    for options, width in (({}, 3), ({"use_node_attr": True}, 21)):
        theirs = TUDataset(str(tmp_path), "ENZYMES", **options)
        ours = datasets.load("enzymes", **options).graphs
        assert ours[0].num_features == width
        for a, b in list(zip(ours, theirs))[::50]:
            assert torch.equal(a.x, b.x)
            assert torch.equal(a.edge_index, b.edge_index)
            assert torch.equal(a.y, b.y)
    degree = datasets.load("enzymes", features="degree").graphs[3]
    counted = torch.bincount(degree.edge_index[0], minlength=degree.num_nodes)
    assert torch.equal(degree.x.argmax(1), counted)
    assert datasets.load("enzymes", features="constant").num_features == 1
    with pytest.raises(ValueError, match=r"features='degrees', did you mean 'degree'"):
        datasets.load("enzymes", features="degrees")
    with pytest.raises(TypeError, match=r"has no option 'cleaned'; its options are: features, use_node_attr"):
        datasets.load("enzymes", cleaned=True)


def test_lists_of_graphs_are_not_tasks(real: Path) -> None:
    with pytest.raises(ValueError, match=r"'brec' is a list of graphs .*; use graphkit\.datasets\.load_graphs"):
        datasets.load("brec")


def test_graph6_as_networkx_reads_it(real: Path) -> None:
    lines = (real / "expressive/BREC/brec_400_pairs.g6").read_bytes().split()
    graphs = datasets.load_graphs("brec")
    for position in (0, 1, 119, 230, 560, 719, 799):  # up to 198 nodes: the long form of the size
        expected = nx.from_graph6_bytes(lines[position])
        ours = graphs[position]
        assert ours.num_nodes == expected.number_of_nodes()
        assert {(a, b) for a, b in ours.edge_index.t().tolist() if a < b} == {
            tuple(sorted(edge)) for edge in expected.edges
        }
    assert [int(graph.pair) for graph in graphs[:4]] == [0, 0, 1, 1]
    assert torch.bincount(torch.cat([graph.category for graph in graphs])).tolist() == [
        120, 100, 100, 200, 200, 40, 40
    ]  # fmt: skip
    assert all(graph.num_nodes == 10 for graph in graphs[:120])
    assert all(graph.num_nodes == 63 for graph in graphs[720:760])


def test_sr25_is_strongly_regular(real: Path) -> None:
    for graph in datasets.load_graphs("sr25")[:3]:
        adjacency = torch.zeros(25, 25).index_put(tuple(graph.edge_index), torch.tensor(1.0))
        common = adjacency @ adjacency
        expected = 12 * torch.eye(25) + 5 * adjacency + 6 * (1 - adjacency - torch.eye(25))
        assert torch.equal(common, expected)


def test_exp_pairs_have_opposite_labels(real: Path) -> None:
    graphs = datasets.load_graphs("exp")
    for first, second in zip(graphs[::2], graphs[1::2]):
        assert int(first.y) + int(second.y) == 1
        assert first.num_nodes == second.num_nodes
    assert all(graph.is_undirected() for graph in graphs[:20])


def test_the_filtered_sets_are_others_than_the_raw_ones(real: Path) -> None:
    directed, undirected = datasets.load("chameleon-filtered-directed").data, datasets.load("chameleon-filtered").data
    assert not directed.is_undirected()
    assert undirected.is_undirected()
    assert torch.equal(directed.x, undirected.x)


def test_the_only_page_of_a_class_has_no_label(real: Path) -> None:
    task = datasets.load("texas-4-classes")
    assert (task.labels == -1).sum() == 1
    assert task.num_outputs == 4


def test_a_wrong_split_is_refused_before_any_work(toy: Toy) -> None:
    with pytest.raises(ValueError, match="dataset 'toy': unknown split family 'publik'; did you mean 'public'"):
        datasets.load("toy", split="publik")
    assert not toy.data.exists()


def test_default_split_and_seeds(toy: Toy) -> None:
    assert datasets.load("toy").split.name == "public/0"
    assert datasets.load("toy", 1).split.name == "public/1"
    assert datasets.load("toy", "random/12").split.sizes == (4, 2, 2)


def test_a_missing_extra_is_named_before_any_work(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = replace(datasets.card("toy"), extra="no_such_package")
    monkeypatch.setattr(loading.catalog, "card", lambda name: changed)
    with pytest.raises(ImportError, match=r"by the package no_such_package, .*pip install 'graphkit-pyg\[no_such"):
        datasets.load("toy")
    assert not toy.local.exists()
