"""What comes out of a task of tables has the user's ids, in another process, too."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch_geometric.transforms import (
    AddRandomWalkPE,
    BaseTransform,
    Compose,
    Constant,
    LinearTransformation,
    LocalDegreeProfile,
    NormalizeFeatures,
    ToUndirected,
)

import graphkit as gk
from graphkit.tasks.tables import Tables
from tests import tiny
from tests.tasks.papers import COUNT, KINDS_OF_IDS, make, tables, trained

pd = pytest.importorskip("pandas")
nx = pytest.importorskip("networkx")


# --- predictions ------------------------------------------------------------------------------------------------------


def test_predictions_come_by_id_with_the_names_of_classes():
    nodes, _ = tables()
    task = make()
    trainer = trained(task)
    outputs, labels = trainer.predict(task)
    table = trainer.predict(task, as_frame=True)
    assert list(table.columns) == ["prediction", "p(art)", "p(bio)", "p(chem)", "label"]
    assert list(table.index) == [nodes.paper[i] for i in task.split.test.tolist()]
    assert table.index.name == "paper"
    assert list(table.label) == [nodes.topic[i] for i in task.split.test.tolist()]
    assert list(table.prediction) == [task.tables.classes[i] for i in outputs.argmax(1).tolist()]
    np.testing.assert_allclose(table.filter(like="p(").sum(axis=1), 1, atol=1e-5)
    assert torch.equal(labels, task.data.y[task.split.test])
    whole = trainer.predict(task, stage=None, as_frame=True)
    pd.testing.assert_frame_equal(whole, trainer.predict(tables()), check_names=False)


@pytest.mark.parametrize("own_negatives", [False, True])
@pytest.mark.parametrize("sampled", [False, True])
def test_scores_of_links_come_by_the_ids_of_both_ends(own_negatives, sampled):
    made = make()
    split = gk.LinkSplit.random(made.data.edge_index, COUNT)
    if own_negatives:
        val, test = (torch.stack([part, part.flip(1)], dim=2) for part in (split.val_negatives, split.test_negatives))
        split = replace(split, val_negatives=val, test_negatives=test)
    links = gk.LinkTask("links", made.data, split)
    links.ids = made.ids
    links = links.sampled(gk.samplers.NeighborSampler([-1, -1])) if sampled else links
    trainer = trained(links)
    frame = trainer.predict(links, as_frame=True)
    ends = torch.tensor([made.ids.get_indexer(frame.index.get_level_values(end)).tolist() for end in (0, 1)])
    assert torch.equal(ends[:, frame.label.to_numpy() == 1], split.test)
    asked = links.stage_graph("test").clone()
    asked.edge_label_index = ends
    np.testing.assert_allclose(frame["p(link)"], trainer.predict(asked).sigmoid().view(-1), atol=1e-6)


def test_other_tasks_have_frames_by_number():
    task = tiny.task("node binary")
    table = trained(task).predict(task, "val", as_frame=True)
    assert list(table.index) == task.split.val.tolist()
    assert list(table.columns) == ["prediction", "p(1)", "label"]
    links = tiny.task("link")
    frame = trained(links).predict(links, as_frame=True)
    assert list(frame.columns) == ["p(link)", "label"]
    judged = torch.cat([links.split.test, links.split.test_negatives], dim=1)
    assert list(frame.index) == list(map(tuple, judged.T.tolist()))
    with pytest.raises(
        ValueError, match="task 'tiny node binary' was not made of tables, so how to read others is not"
    ):
        trained(task).predict(tables())


def test_new_tables_are_read_as_the_old_ones_in_another_process(tmp_path):
    task = make()
    trainer = trained(task, run_dir=tmp_path)
    new_nodes, new_edges = tables(seed=9)
    new_nodes = new_nodes[new_nodes.venue == "y"].drop(columns="topic")
    new_edges = new_edges[new_edges.citing.isin(new_nodes.paper) & new_edges.cited.isin(new_nodes.paper)]
    run = gk.load_run(tmp_path)
    assert run.task.tables == task.tables
    pd.testing.assert_frame_equal(run.predict((new_nodes, new_edges)), trainer.predict((new_nodes, new_edges)))
    with pytest.raises(ValueError, match=r"column 'venue' of 'p1' is 'z', which training has not seen; .*'x', 'y'"):
        run.predict((new_nodes.assign(venue="z"), new_edges))
    with pytest.raises(ValueError, match="nodes has no column 'venue'"):
        run.predict((new_nodes.drop(columns="venue"), new_edges))
    with pytest.raises(ValueError, match="column 'year' holds no numbers, unlike the table that was trained on"):
        run.predict((new_nodes.assign(year="late"), new_edges))


def test_tables_are_plain_values():
    made = make(categorical=["open"]).tables
    assert Tables.from_config(json.loads(json.dumps(made.config()))) == made


def test_a_folder_of_files_keeps_ids_as_they_stand(tmp_path):
    nodes, edges = tables([f"{i:03}" for i in range(COUNT)])
    nodes.to_csv(tmp_path / "nodes.csv", index=False)
    edges.to_csv(tmp_path / "edges.csv", index=False)
    task = gk.NodeTask.from_csv(tmp_path, label="topic")
    assert task.name == tmp_path.name
    assert torch.allclose(task.data.x, make(nodes, edges).data.x)
    predicted = trained(task).predict(tmp_path)
    assert list(predicted.index) == list(nodes.paper)
    (tmp_path / "edges.csv").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"edges\.csv is missing; a folder of tables has nodes\.csv and edges\.csv"
    ):
        gk.NodeTask.from_csv(tmp_path, label="topic")


# --- networkx ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("directed", [False, True])
def test_a_networkx_graph(directed):
    graph = nx.DiGraph() if directed else nx.Graph()
    graph.add_nodes_from((("n", i), {"size": float(i), "team": "ab"[i % 2]}) for i in range(20))
    graph.add_edges_from((("n", i), ("n", (i + 1) % 20), {"w": i + 1.0}) for i in range(20))
    task = gk.NodeTask.from_networkx(graph, "team", edge_weight="w")
    assert task.data.num_edges == (20 if directed else 40)
    assert list(task.ids) == list(graph.nodes)
    assert torch.equal(task.data.x[:, 0], torch.arange(20.0))
    weights = {tuple(pair): w for pair, w in zip(task.data.edge_index.t().tolist(), task.data.edge_weight.tolist())}
    assert weights[3, 4] == 4
    assert list(trained(task).predict(graph).index) == list(graph.nodes)


def test_an_attribute_that_some_nodes_lack():
    graph = nx.path_graph(10)
    nx.set_node_attributes(graph, {i: i % 2 for i in range(10)}, "team")
    nx.set_node_attributes(graph, {3: 1.0}, "size")
    with pytest.raises(ValueError, match="column 'size' has 9 missing values"):
        gk.NodeTask.from_networkx(graph, "team")


def test_attributes_called_as_the_ends():
    graph = nx.path_graph(10)
    nx.set_node_attributes(graph, {i: i % 2 for i in range(10)}, "team")
    nx.set_edge_attributes(graph, 1.0, "source")
    with pytest.raises(
        ValueError, match="edge 0 -> 1 has an attribute called 'source' or 'target', as its ends; rename"
    ):
        gk.NodeTask.from_networkx(graph, "team")


def test_an_index_of_several_levels():
    nodes, edges = tables(KINDS_OF_IDS["tuples"])
    levels = nodes.set_index(pd.MultiIndex.from_tuples(nodes.paper)).drop(columns="paper")
    task = make(levels, edges, id=None)
    assert torch.equal(task.data.edge_index, make().data.edge_index)
    assert list(trained(task).predict((levels, edges)).index) == KINDS_OF_IDS["tuples"]


def rings(count=20):
    graphs = []
    for i in range(count):
        graph = nx.cycle_graph(4 + i % 3) if i % 2 else nx.star_graph(4)
        nx.set_node_attributes(graph, dict(graph.degree), "degree")
        graph.graph["shape"] = "ring" if i % 2 else "star"
        graphs.append(graph)
    return graphs


def test_networkx_graphs(tmp_path):
    task = gk.GraphTask.from_networkx(rings(), "shape")
    assert task.split.sizes == (12, 4, 4)
    assert torch.equal(task.graphs[0].x[:, 0], torch.tensor([4.0, 1, 1, 1, 1]))
    trainer = gk.Trainer(max_epochs=100, lr=0.03, progress=False, run_dir=tmp_path)
    assert trainer.fit(gk.models.GIN.from_task(task, hidden_channels=8), task).test == 1.0
    predicted = gk.load_run(tmp_path).predict(rings(3))
    assert list(predicted.prediction) == ["star", "ring", "star"]
    assert list(predicted.index) == [0, 1, 2]
    one = gk.load_run(tmp_path).predict(rings(2)[1])
    assert list(one.prediction) == ["ring"]
    with pytest.raises(ValueError, match="some graphs are directed; all must be, or none"):
        gk.GraphTask.from_networkx([*rings(), nx.DiGraph()], "shape")
    with pytest.raises(ValueError, match="there are no graphs"):
        gk.GraphTask.from_networkx([], "shape")


# --- transforms, and numbers of other sizes ---------------------------------------------------------------------------


def test_new_tables_go_through_the_transforms_of_the_task(tmp_path):
    task = make().transform(gk.features.RandomWalkPE(walk_length=3)).transform(gk.rewiring.VirtualNode())
    trainer = trained(task, run_dir=tmp_path)
    predicted = trainer.predict(tables())
    assert list(predicted.index) == list(tables()[0].paper)
    pd.testing.assert_frame_equal(predicted, trainer.predict(task, stage=None, as_frame=True), check_names=False)
    pd.testing.assert_frame_equal(gk.load_run(tmp_path).predict(tables()), predicted)


@pytest.mark.parametrize(
    "transform",
    [
        NormalizeFeatures(["x"]),
        Compose([ToUndirected(reduce="max"), Constant(2.0, cat=True)]),
        AddRandomWalkPE(3, attr_name=None),
        LocalDegreeProfile(),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_transforms_of_pyg_are_built_again(tmp_path, transform):
    task = make().transform(transform)
    trainer = trained(task, run_dir=tmp_path)
    pd.testing.assert_frame_equal(gk.load_run(tmp_path).predict(tables()), trainer.predict(tables()))


class Shift(BaseTransform):
    """A transform that keeps its argument under another name, or changes."""

    def __init__(self, by=1.0):
        self.shift = by

    def forward(self, data):
        data.x = data.x + self.shift
        return data


class Counts(BaseTransform):
    def __init__(self, calls=0):
        self.calls = calls
        self.seen = []

    def forward(self, data):
        self.seen.append(data.num_nodes)
        return data


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (Shift(2.0), "Shift does not keep the argument 'by' of its constructor under that name"),
        (Counts(), "Counts has changed since it was built, or keeps something else than its arguments"),
        (LinearTransformation(torch.eye(2)), "LinearTransformation: matrix is a Tensor, which is no plain value"),
    ],
)
def test_a_transform_that_does_not_tell_its_arguments(tmp_path, transform, message):
    task = make().transform(transform)
    trainer = trained(task, run_dir=tmp_path)
    assert trainer.predict(tables()).shape == (30, 4)
    with pytest.raises(ValueError, match=rf"the folder cannot build the task \({message}\); give it: load_run"):
        gk.load_run(tmp_path)
    pd.testing.assert_frame_equal(gk.load_run(tmp_path, task=task).predict(tables()), trainer.predict(tables()))


def test_sparse_features_are_applied_once():
    nodes, edges = tables()
    wide = pd.concat([nodes, pd.DataFrame(np.eye(COUNT, 200), columns=[f"w{i}" for i in range(200)])], axis=1)
    task = make(wide, edges)
    assert trained(task).predict((wide, edges)).shape == (30, 4)


def test_standardized_numbers(tmp_path):
    nodes, edges = tables()
    nodes["year"] = 2000 + np.arange(COUNT)
    nodes["same"] = 7.5
    task = make(nodes, edges, standardize=True)
    year, same, *others = task.data.x[:, [0, -1, 1, 2, 3]].unbind(1)
    assert year.mean().abs() < 1e-5
    assert year.std(correction=0) == pytest.approx(1)
    assert torch.equal(same, torch.zeros(COUNT))
    assert all(set(column.tolist()) == {0, 1} for column in others)
    trained(task, run_dir=tmp_path)
    later = gk.load_run(tmp_path).task.tables.graph(nodes.assign(year=2014.5), edges).data
    assert later.x[:, 0].abs().max() == 0


def test_a_task_of_other_tables_is_told(tmp_path):
    trained(make(standardize=True), run_dir=tmp_path)
    with pytest.warns(
        UserWarning, match="hold other values, categories or classes than those of the run, so new tables"
    ):
        gk.load_run(tmp_path, task=make(tables(seed=5)[0], standardize=True))


def test_edges_named_by_categories():
    nodes, edges = tables()
    task = make(nodes, edges.astype("category"))
    assert torch.equal(task.data.edge_index, make().data.edge_index)


# --- texts ------------------------------------------------------------------------------------------------------------


def written(seed=0):
    """Nodes with a column of texts, of which one is missing."""
    nodes, edges = tables(seed=seed)
    words = {"art": "paint and colour", "bio": "cells and plants", "chem": "acids and salts"}
    nodes["abstract"] = [f"{words[topic]} {row}" for row, topic in enumerate(nodes.topic)]
    nodes.loc[4, "abstract"] = None
    return nodes, edges


def test_texts_are_kept_for_transforms_and_read_from_new_tables_in_another_process(tmp_path):
    nodes, edges = written()
    task = make(nodes, edges, texts=["abstract"], features=["year"])
    assert task.data.abstract == nodes.abstract.fillna("").tolist()
    assert task.num_features == 1
    task = task.transform(gk.features.TextEmbedding("abstract", encoder="hashing", dim=16))
    trainer = trained(task, run_dir=tmp_path / "run")
    assert task.num_features == 17
    new = written(seed=3)
    new[0]["abstract"] = new[0].abstract.where(new[0].topic == "art", "12")  # looks like a number in a file
    expected = trainer.predict(new)
    for name, table in zip(("nodes", "edges"), new, strict=True):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    pd.testing.assert_frame_equal(gk.load_run(tmp_path / "run").predict(tmp_path), expected)
    of_files = gk.NodeTask.from_csv(tmp_path, "topic", features=["year"], texts=["abstract"])
    assert of_files.data.abstract == new[0].abstract.fillna("").tolist()


def test_predictions_by_columns_of_one_graph_alone_are_warned_about():
    task = make(*written(), texts=["abstract"], features=["year"])
    for transform in (gk.features.TextEmbedding("abstract", dim=4), gk.features.DeepWalk(dim=4)):
        trainer = trained(task.transform(transform))
        with pytest.warns(UserWarning, match=f"what {type(transform).__name__} makes of other tables cannot be"):
            trainer.predict(written(seed=3))


@pytest.mark.parametrize(
    ("column", "options", "message"),
    [
        ("year", {"features": ["open"]}, "column 'year' of 'p0' is .*, must be a text"),
        ("abstract", {"features": ["abstract"]}, "column 'abstract' is named in texts and as something else"),
        ("topic", {}, "column 'topic' is named in texts and as something else"),
        ("nothing", {}, "nodes has no column 'nothing'"),
        ("x", {}, "column 'x' cannot be an attribute of a graph; rename it"),
        ("my text", {}, "column 'my text' cannot be an attribute of a graph"),
    ],
)
def test_columns_that_cannot_be_texts(column, options, message):
    nodes, edges = written()
    nodes = nodes.assign(x="a", **{"my text": "b"})
    with pytest.raises((TypeError, ValueError), match=message):
        make(nodes, edges, texts=[column], **{"features": ["year"]} | options)


def test_edge_tasks_have_texts_of_nodes():
    nodes, edges = written()
    edges["kind"] = np.where(np.arange(len(edges)) % 2, "cites", "refutes")
    task = gk.EdgeTask.from_pandas(nodes, edges, "kind", id="paper", features=["year"], texts=["abstract"])
    assert task.transform(gk.features.TextEmbedding("abstract", dim=4)).num_features == 5
