"""Links of the user's tables: what a task holds, parts by a column, pairs that are asked for, refusals, files."""

from __future__ import annotations

import copy

import networkx as nx
import numpy as np
import pytest
import torch

import graphkit as gk
from graphkit.cli import main
from tests.tasks.papers import tables, write

pd = pytest.importorskip("pandas")

PARTS = np.array(["train", "train", "val", "test"])[np.arange(60) % 4]


def make(nodes=None, edges=None, **options):
    given = tables()
    return gk.LinkTask.from_pandas(
        given[0] if nodes is None else nodes, given[1] if edges is None else edges, **{"id": "paper"} | options
    )


def trained(task, **settings):
    trainer = gk.Trainer(max_epochs=3, progress=False, **settings)
    trainer.fit(gk.models.LinkPredictor.from_task(task, "GCN", hidden_channels=8), task)
    return trainer


def pairs_of(part):
    """The rows of the edge table in a part, as sets of two ids."""
    _, edges = tables()
    return {frozenset(row) for row in edges[part == PARTS].itertuples(index=False)}


def test_no_column_has_to_be_a_label():
    task = make()
    assert task.num_features == 7, "topics are features like others"
    assert task.split.sizes == (51, 3, 6)
    assert task.split.undirected
    assert not make(directed=True).split.undirected
    nodes, edges = tables()
    graph = gk.NodeTask.from_pandas(nodes, edges, id="paper", label="topic").data
    by_hand = gk.LinkSplit.random(graph.edge_index, graph.num_nodes, seed=3)
    assert make(seed=3).split.hash == by_hand.hash


def test_a_column_tells_the_parts():
    _, edges = tables()
    task = make(edges=edges.assign(part=PARTS), split="part")
    for stage in ("train", "val", "test"):
        pairs = task.by_ids(getattr(task.split, stage), task.ids)
        assert set(map(frozenset, pairs)) == pairs_of(stage)
        assert pairs.names == ["citing", "cited"]
    links = {frozenset(row) for row in edges.itertuples(index=False)}
    for negatives in (task.split.val_negatives, task.split.test_negatives):
        assert links.isdisjoint(map(frozenset, task.by_ids(negatives, task.ids)))
        assert negatives.size(1) == 15


def test_a_link_of_no_part_carries_messages_and_is_never_drawn_as_none():
    _, edges = tables()
    edges["part"] = np.where(np.arange(60) < 20, PARTS, None)
    task = make(edges=edges, split="part")
    assert task.split.sizes == (10, 5, 5)
    assert task.stage_graph("train").num_edges == 2 * (60 - 10)
    links = {frozenset(row) for row in tables()[1].itertuples(index=False)}
    for seed in range(20):
        drawn = task.draw_negatives(torch.Generator().manual_seed(seed))
        hidden = pairs_of("val") | pairs_of("test")
        assert (links - hidden).isdisjoint(map(frozenset, task.by_ids(drawn, task.ids)))


def test_rows_that_repeat_a_link_are_in_one_part():
    _, edges = tables()
    edges["part"] = PARTS
    back = edges[:1].rename(columns={"citing": "cited", "cited": "citing"}).assign(part="test")
    with pytest.raises(ValueError, match="rows 0 and 60 are the same edge, but in different parts of split 'part'"):
        make(edges=pd.concat([edges, back], ignore_index=True), split="part")


def test_pairs_that_are_asked_for(tmp_path):
    task = make()
    trainer = trained(task, run_dir=tmp_path)
    nodes, edges = tables()
    asked = pd.DataFrame({"citing": ["p3", "p3", "p9"], "cited": ["p7", "p4", "p9"]})
    found = trainer.predict((nodes, edges, asked))
    assert list(found.index) == [("p3", "p7"), ("p3", "p4"), ("p9", "p9")]
    assert list(found.columns) == ["p(link)"]
    graph = copy.copy(task._data)  # all edges are known now
    graph.edge_label_index = torch.tensor([[3, 3, 9], [7, 4, 9]])
    np.testing.assert_allclose(found["p(link)"], trainer.predict(graph).sigmoid().view(-1), rtol=1e-6)
    pd.testing.assert_frame_equal(gk.load_run(tmp_path).predict((nodes, edges, asked)), found)
    with pytest.raises(ValueError, match=r"asked by 3 tables, \(nodes, edges, pairs\), got 2"):
        trainer.predict((nodes, edges))
    with pytest.raises(ValueError, match=r"pairs: 1 rows name a 'cited' that is no node, e.g. 'p99'; give it a row"):
        trainer.predict((nodes, edges, asked.assign(cited=["p7", "p4", "p99"])))


@pytest.mark.parametrize("options", [{"label": "topic"}, {"target": "binary"}])
def test_labels_are_refused(options):
    with pytest.raises(ValueError, match="label and target are not read, as every edge is a link"):
        make(**options)


@pytest.mark.parametrize("cls", [gk.NodeTask, gk.EdgeTask])
def test_labels_of_others_are_missed(cls):
    with pytest.raises(
        ValueError, match=r"the column of labels is not told, as by label='(topic|cited)'; (nodes|edges) has"
    ):
        cls.from_pandas(*tables(), id="paper")


def test_a_networkx_graph():
    task = gk.LinkTask.from_networkx(nx.karate_club_graph(), edge_weight="weight")
    assert sum(task.split.sizes) == 78
    assert task.data.edge_weight.max() == 7


def test_train_and_predict_in_a_shell(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(*tables())
    flags = "--model LinkPredictor --data papers --task.kind link --task.metric hits@3 --trainer.max_epochs 2"
    assert main(["train", *flags.split(), "--trainer.run_dir", "run"]) == 0
    assert "test        hits@3" in capsys.readouterr().out
    assert main(["predict", "run", "--stage", "test"]) == 0
    assert capsys.readouterr().out.startswith("citing,cited,p(link),label\n")
    assert main(["predict", "run", "papers"]) == 1
    assert (
        "papers/pairs.csv is missing; a folder of tables has nodes.csv and edges.csv and pairs.csv"
        in capsys.readouterr().err
    )
    pd.DataFrame({"citing": ["p1"], "cited": ["p20"]}).to_csv("papers/pairs.csv", index=False)
    assert main(["predict", "run", "papers"]) == 0
    assert capsys.readouterr().out.startswith("citing,cited,p(link)\np1,p20,0.")
    assert main(["train", "--model", "GCN", "--data", "papers"]) == 1
    assert "not told, as by --task.label topic; nodes has" in capsys.readouterr().err
