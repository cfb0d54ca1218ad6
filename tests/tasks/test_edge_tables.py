"""Labels of edges in the user's tables: what a task holds, predictions by the ids of both ends, refusals, files."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch

import graphkit as gk
from graphkit.cli import main
from tests.tasks.papers import tables, write

pd = pytest.importorskip("pandas")


def rated(**columns):
    """Each citation has a kind, which its ends' topics tell, and a year; the rest of its table is left out."""
    nodes, edges = tables()
    topic = nodes.set_index("paper").topic
    edges["kind"] = np.where(topic[edges.citing].values == topic[edges.cited].values, "same", "other")
    edges["year"] = np.arange(60) % 7
    return nodes, edges.assign(**columns)


def make(nodes=None, edges=None, **options):
    given = rated()
    arguments = {"id": "paper", "label": "kind", "edge_features": ["year"]} | options
    return gk.EdgeTask.from_pandas(
        given[0] if nodes is None else nodes, given[1] if edges is None else edges, **arguments
    )


def trained(task, **settings):
    trainer = gk.Trainer(max_epochs=3, progress=False, **settings)
    trainer.fit(gk.models.LinkPredictor.from_task(task, "GCN", hidden_channels=8), task)
    return trainer


@pytest.mark.parametrize("directed", [False, True])
def test_labels_and_features_stand_at_their_edges(directed):
    _, edges = rated()
    task = make(directed=directed)
    assert task.undirected != directed
    assert task.tables.classes == ("other", "same")
    assert task.num_features == 7, "topics of nodes are features like others"
    assert task.edges.size(1) == (60 if directed else 120)
    for stage in ("train", "val", "test"):
        (batch,) = task.batches(stage)
        for pair, y, year in zip(batch.edge_label_index.t().tolist(), batch.edge_label, batch.edge_label_attr):
            row = edges[(edges.citing == f"p{pair[0]}") & (edges.cited == f"p{pair[1]}")].iloc[0]
            assert (task.tables.classes[int(y)], year.item()) == (row.kind, row.year)
    assert sum(task.judged_ids(stage).numel() for stage in ("train", "val", "test")) == 60
    classes = [np.bincount(task.batches(stage)[0].edge_label) for stage in ("train", "val", "test")]
    assert all(count.min() > 0 for count in classes), "stratified"


def test_columns_splits_and_times_tell_the_parts():
    _, edges = rated()
    edges["part"] = np.array(["train", "val", "test"])[np.arange(60) % 3]
    told = make(edges=edges, split="part")
    assert told.batches("val")[0].edge_label.numel() == 20
    by_time = make(split=gk.Split.by_time(edges.year))
    years = [by_time.batches(stage)[0].edge_label_attr for stage in ("train", "val", "test")]
    assert years[0].max() < years[1].min()
    assert years[1].max() < years[2].min()


def test_missing_labels_are_in_no_part_and_predicted():
    _, edges = rated()
    edges.loc[:9, "kind"] = None
    task = make(edges=edges)
    assert sum(task.judged_ids(stage).numel() for stage in ("train", "val", "test")) == 50
    assert trained(task).predict(task, None).shape == (60, 2)


def test_numbers_are_regressed():
    nodes, edges = rated()
    task = make(nodes, edges.assign(score=edges.year / 2 + 0.25), label="score", edge_features=[], edge_weight="year")
    assert (task.target.name, task.metric, task.num_outputs) == ("regression", "mae", 1)
    assert trained(task).predict(task)[0].shape == (12, 1)


def test_rows_that_repeat_an_edge():
    nodes, edges = rated(part="train")
    edges["part"] = np.array(["train", "val", "test"])[np.arange(60) % 3]
    both = pd.concat([edges, edges[:3].rename(columns={"citing": "cited", "cited": "citing"})], ignore_index=True)
    assert make(nodes, both, split="part").batches("train")[0].edge_label.numel() == 20, "the same edge, once"
    both.loc[60, "part"] = "test"
    with pytest.raises(ValueError, match="rows 0 and 60 are the same edge, but in different parts of split 'part'"):
        make(nodes, both, split="part")
    both.loc[60, ["part", "kind"]] = "train", "same" if both.kind[0] == "other" else "other"
    with pytest.warns(UserWarning, match="1 pairs of nodes have several edges with other numbers; all of them count"):
        assert make(nodes, both, split="part").batches("train")[0].edge_label.numel() == 21


def test_predictions_come_by_the_ids_of_both_ends(tmp_path):
    task = make()
    trainer = trained(task, run_dir=tmp_path)
    known = trainer.predict(task, as_frame=True)
    assert list(known.index.names) == ["citing", "cited"]
    assert list(known.columns) == ["prediction", "p(other)", "p(same)", "label"]
    _, edges = rated()
    labels = edges.set_index(["citing", "cited"]).kind
    assert (known.label == labels[known.index]).all()
    everything = trainer.predict(task, stage=None, as_frame=True)
    assert set(everything.index) == set(labels.index)
    new_nodes, new_edges = rated()
    new_edges = new_edges[:20].drop(columns="kind")  # of these alone
    found = trainer.predict((new_nodes, new_edges))
    assert list(found.index) == list(zip(new_edges.citing, new_edges.cited)), "a row for each row of the table"
    assert found["p(same)"].between(0, 1).all()
    pd.testing.assert_frame_equal(gk.load_run(tmp_path).predict((new_nodes, new_edges)), found)
    repeated = pd.concat([new_edges, new_edges[:2]], ignore_index=True)
    with pytest.warns(UserWarning, match="2 rows repeat another one"):
        again = trainer.predict((new_nodes, repeated))
    np.testing.assert_allclose(again["p(same)"].values[20:], found["p(same)"].values[:2], rtol=1e-5)


def test_new_tables_go_through_the_transforms_of_the_task(tmp_path):
    """A rewiring changes what carries messages, not which edges are asked for."""
    task = make().transform(gk.rewiring.FoSR(num_edges=5)).transform(gk.rewiring.VirtualNode())
    trainer = trained(task, run_dir=tmp_path)
    found = trainer.predict(rated())
    assert len(found) == 60
    expected = trainer.predict(task, None, as_frame=True).loc[found.index]
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5)
    pd.testing.assert_frame_equal(gk.load_run(tmp_path).predict(rated()), found)


def test_a_networkx_graph():
    graph = nx.karate_club_graph()
    for u, v in graph.edges:
        graph.edges[u, v]["same"] = graph.nodes[u]["club"] == graph.nodes[v]["club"]
    task = gk.EdgeTask.from_networkx(graph, "same", edge_weight="weight")
    assert (task.num_outputs, task.undirected, task.edges.size(1)) == (2, True, 156)
    predicted = trained(task).predict(graph)
    assert list(predicted.index) == list(graph.edges)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "knid"}, "edges has no column 'knid'; it has 'citing', 'cited', 'kind', 'year'"),
        ({"edge_features": ["kind"]}, "edges: column 'kind' is label and feature; choose one"),
        ({"split": "part"}, "edges has no column 'part'"),
    ],
)
def test_wrong_columns_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_train_and_predict_in_a_shell(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(*rated())
    flags = "--model LinkPredictor --data papers --task.kind edge --task.label kind --task.edge_features [year]"
    assert main(["train", *flags.split(), "--trainer.max_epochs", "2", "--trainer.run_dir", "run"]) == 0
    assert main(["predict", "run", "papers", "--output", "out.csv"]) == 0
    assert "60 predictions in out.csv" in capsys.readouterr().out
    written = pd.read_csv("out.csv", index_col=["citing", "cited"])
    pd.testing.assert_frame_equal(written, gk.load_run("run").predict("papers"), check_dtype=False)
    assert main(["predict", "run", "--stage", "test"]) == 0
    assert capsys.readouterr().out.startswith("citing,cited,prediction,p(other),p(same),label\n")


def test_labels_of_the_test_teach_nothing():
    nodes, edges = rated()
    edges["part"] = np.array(["train", "val", "test"])[np.arange(60) % 3]
    weights = []
    for kind in ("same", "other"):
        edges.loc[edges.part == "test", "kind"] = kind
        task = make(nodes, edges, split="part", allow_missing_classes=True)
        weights.append([p.clone() for p in trained(task)._fitted.parameters()])
    assert all(map(torch.equal, *weights))
