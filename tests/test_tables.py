"""Tables of the user become a task, and what comes in or goes out keeps the user's ids; wrong tables are refused."""

from __future__ import annotations

import datetime
import json
import sys
import warnings

import numpy as np
import pytest
import torch
from torch_geometric.transforms import NormalizeFeatures

import graphkit as gk
from graphkit.tasks.tables import Tables
from tests import tiny

pd = pytest.importorskip("pandas")
nx = pytest.importorskip("networkx")

COUNT = 30
KINDS_OF_IDS = {
    "text": [f"p{i}" for i in range(COUNT)],
    "numbers": [1000 - 7 * i for i in range(COUNT)],
    "dates": list(pd.date_range("2020-01-01", periods=COUNT)),
    "python dates": [datetime.date(2020, 1, 1) + datetime.timedelta(days=i) for i in range(COUNT)],
    "decimals": [i / 2 for i in range(COUNT)],
    "mixed": [i if i % 2 else f"n{i}" for i in range(COUNT)],
    "tuples": [(i, "a") for i in range(COUNT)],
}


def tables(ids=None, seed=0):
    """Nodes of a ring with chords, whose topic is told by their venue most of the time."""
    generator = np.random.default_rng(seed)
    ids = KINDS_OF_IDS["text"] if ids is None else ids
    topic = np.array(["art", "bio", "chem"])[np.arange(COUNT) % 3]
    nodes = pd.DataFrame({"year": generator.normal(size=COUNT), "venue": np.where(topic == "art", "x", "y")})
    nodes.insert(0, "paper", pd.Series(ids, dtype=object).infer_objects())
    nodes["open"], nodes["topic"] = generator.random(COUNT) < 0.5, topic
    pairs = [(i, (i + step) % COUNT) for i in range(COUNT) for step in (1, 3)]
    edges = pd.DataFrame({"citing": [ids[i] for i, _ in pairs], "cited": [ids[j] for _, j in pairs]})
    return nodes, edges


def make(nodes=None, edges=None, **options):
    given = tables()
    nodes, edges = given[0] if nodes is None else nodes, given[1] if edges is None else edges
    return gk.NodeTask.from_pandas(nodes, edges, **{"id": "paper", "label": "topic"} | options)


def trained(task, **settings):
    trainer = gk.Trainer(**{"max_epochs": 3, "progress": False} | settings)
    trainer.fit(gk.models.GCN.from_task(task, hidden_channels=8), task)
    return trainer


# --- what a task of tables holds --------------------------------------------------------------------------------------


def test_columns_become_features_labels_and_edges():
    task = make()
    nodes, edges = tables()
    expected = np.stack([nodes.year, nodes.venue == "x", nodes.venue == "y", nodes.open], axis=1).astype(np.float32)
    assert torch.equal(task.data.x, torch.from_numpy(expected))
    assert [task.tables.classes[y] for y in task.data.y] == list(nodes.topic)
    number = {name: i for i, name in enumerate(nodes.paper)}
    both = {(number[i], number[j]) for i, j in edges.itertuples(index=False)}
    both |= {(j, i) for i, j in both}
    assert set(map(tuple, task.data.edge_index.t().tolist())) == both
    assert task.data.num_edges == len(both)
    assert task.split.sizes == (18, 6, 6)
    assert "multiclass with 3 outputs" in task.describe()


def test_directed_edges_lead_from_source_to_target():
    nodes, edges = tables()
    task = make(directed=True)
    ids = list(nodes.paper)
    assert [(ids[i], ids[j]) for i, j in task.data.edge_index.t().tolist()] == list(edges.itertuples(index=False))


@pytest.mark.parametrize("kind", KINDS_OF_IDS)
def test_ids_of_any_type_and_in_any_order(kind):
    ids = KINDS_OF_IDS[kind]
    nodes, edges = tables(ids)
    split = gk.Split("rows", range(18), range(18, 24), range(24, 30))
    trainer = trained(make(nodes, edges, split=split))
    one = trainer.predict((nodes, edges))
    assert list(one.index) == list(nodes.paper)
    shuffled = nodes.sample(frac=1, random_state=1)
    other = trainer.predict((shuffled, edges.sample(frac=1, random_state=2)))
    assert list(other.index) == list(shuffled.paper)
    aligned = other.loc[list(one.index)]
    assert list(aligned.prediction) == list(one.prediction)
    np.testing.assert_allclose(aligned["p(bio)"], one["p(bio)"], atol=1e-5)


def test_the_index_is_the_id_unless_a_column_is():
    nodes, _ = tables()
    by_index = make(nodes.set_index("paper"), id=None)
    assert torch.equal(by_index.data.x, make().data.x)
    assert torch.equal(by_index.data.edge_index, make().data.edge_index)
    assert by_index.ids.equals(make().ids)


def test_isolated_nodes_self_loops_and_no_edges():
    nodes, edges = tables()
    few = edges[:2]
    loop = pd.concat([few, pd.DataFrame({"citing": ["p5"], "cited": ["p5"]})])
    assert make(edges=loop).data.edge_index.t().tolist() == [[0, 1], [0, 3], [5, 5], [1, 0], [3, 0]]
    none = make(edges=edges[:0])
    assert none.data.edge_index.shape == (2, 0)
    assert trained(none).predict((nodes, edges[:0])).shape == (30, 4)


def test_both_directions_of_an_undirected_edge_count_once():
    _, edges = tables()
    back = edges.rename(columns={"citing": "cited", "cited": "citing"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        listed_twice = make(edges=pd.concat([edges, back[["citing", "cited"]]]))
    assert torch.equal(listed_twice.data.edge_index, make().data.edge_index)


def test_repeated_edges_count_once_and_several_edges_are_told():
    _, edges = tables()
    with pytest.warns(UserWarning, match="edges: 5 rows repeat another one; each edge counts once"):
        assert make(edges=pd.concat([edges, edges[:5]])).data.num_edges == 120
    weighed = edges.assign(weight=1.0)
    again = pd.concat([weighed, weighed[:3].assign(weight=2.0)])
    with pytest.warns(UserWarning, match="3 pairs of nodes have several edges with other numbers; all of them count"):
        task = make(edges=again, edge_weight="weight")
    assert task.data.num_edges == 126
    assert task.data.edge_weight.sum() == 120 + 12


def test_weights_and_features_of_edges():
    _, edges = tables()
    edges = edges.assign(weight=np.arange(60), kind=["a", "b"] * 30)
    task = make(edges=edges, edge_weight="weight", edge_features=["kind"])
    assert torch.equal(task.data.edge_weight, torch.arange(60.0).repeat(2))
    assert torch.equal(task.data.edge_attr[:60], torch.eye(2).repeat(30, 1))
    assert torch.equal(task.data.edge_attr[60:], task.data.edge_attr[:60])
    with pytest.warns(UserWarning, match="edges: no use is made of column 'weight', 'kind'; name it in edge_features"):
        make(edges=edges)


def test_numbers_that_are_categories():
    nodes, _ = tables()
    nodes["code"] = np.arange(COUNT) % 4 * 10
    task = make(nodes, features=["code"], categorical=["code"])
    assert torch.equal(task.data.x, torch.eye(4)[torch.arange(COUNT) % 4])
    assert task.tables.features[0].categories == (0, 10, 20, 30)


def test_missing_features_are_refused_or_filled():
    nodes, edges = tables()
    nodes.loc[4, "year"], nodes.loc[5, "venue"] = np.nan, None
    nodes["open"] = nodes["open"].astype("boolean")
    nodes.loc[6, "open"] = pd.NA
    with pytest.raises(ValueError, match=r"column 'year' has 1 missing values, e\.g\. of 'p4'; fill them, or let them"):
        make(nodes)
    for impute, expected in (("mean", nodes.year.mean()), ("median", nodes.year.median())):
        task = make(nodes, impute=impute)
        assert task.data.x[4, 0].item() == pytest.approx(expected, rel=1e-5)
        assert task.data.x[5, 1:3].tolist() == [0, 1], "the most frequent venue is y"
    new = nodes.copy()
    new["year"] = np.nan
    task = make(nodes, impute="mean")
    data, _ = task.tables.graph(new, edges)
    assert torch.allclose(data.x[:, 0], task.data.x[4, 0]), "new tables are filled as the old one was"


def test_missing_labels_are_in_no_part():
    nodes, _ = tables()
    nodes.loc[:9, "topic"] = None
    task = make(nodes)
    assert (task.data.y[:10] == -1).all()
    assert task.split.sizes == (12, 4, 4)
    assert min(int(getattr(task.split, stage).min()) for stage in ("train", "val", "test")) == 10
    predicted = trained(task).predict(task, stage=None, as_frame=True)
    assert list(predicted.index) == list(nodes.paper)
    assert set(predicted.prediction) <= {"art", "bio", "chem"}


@pytest.mark.parametrize(
    ("values", "target", "kind", "classes"),
    [
        ([5, 7] * 15, None, "multiclass", (5, 7)),
        ([True, False] * 15, None, "multiclass", (False, True)),
        (pd.Categorical(["u", "v"] * 15), None, "multiclass", ("u", "v")),
        ([0.5, 1.5] * 15, None, "regression", None),
        ([1.0, 2.0] * 15, "regression", "regression", None),
        ([1.0, 2.0] * 15, "multiclass", "multiclass", (1, 2)),
        (["no", "yes"] * 15, "binary", "binary", ("no", "yes")),
        (["no", "yes"] * 15, gk.tasks.targets.Binary, "binary", ("no", "yes")),
        ([3, 4] * 15, "regression", "regression", None),
    ],
)
def test_kinds_of_labels(values, target, kind, classes):
    nodes, edges = tables()
    task = make(nodes.assign(topic=values), target=target)
    assert (task.target.name, task.tables.classes) == (kind, classes)
    predicted = trained(task).predict((nodes, edges))
    if classes is None:
        assert list(predicted.columns) == ["prediction"]
    else:
        assert set(predicted.prediction) <= set(classes)


def test_several_labels():
    nodes, _ = tables()
    nodes = nodes.assign(red=[0, 1] * 15, round=[1, 0, 1] * 10).drop(columns="topic")
    task = make(nodes, label=["red", "round"])
    predicted = trained(task).predict(task, as_frame=True)
    assert list(predicted.columns) == ["red", "round", "label(red)", "label(round)"]
    assert predicted[["red", "round"]].to_numpy().min() >= 0
    assert predicted["label(red)"].tolist() == nodes.red.iloc[task.split.test.tolist()].tolist()
    amounts = make(nodes.assign(red=0.3, round=2.5), label=["red", "round"])
    assert amounts.target.name == "regression"


def test_a_column_tells_the_split():
    nodes, _ = tables()
    nodes["part"] = ["train", "train", "val", "test", None] * 6
    task = make(nodes, split="part")
    assert task.split.sizes == (12, 6, 6)
    assert task.num_features == make().num_features
    nodes.loc[3, "part"] = "tset"
    with pytest.raises(ValueError, match=r"column 'part': unknown part of a split 'tset'; did you mean 'test'\?"):
        make(nodes, split="part")


# --- what is refused --------------------------------------------------------------------------------------------------


def changed(nodes=None, edges=None):
    given = tables()
    return (given[0] if nodes is None else nodes(given[0])), (given[1] if edges is None else edges(given[1]))


def put(name, row, value):
    def change(table):
        table[name] = table[name].astype(object)
        table.loc[row, name] = value
        return table.infer_objects()

    return change


def with_weights(odd):
    return lambda edges: edges.assign(weight=[1.0, odd] * 30)


WEIGHED = {"edge_weight": "weight"}


@pytest.mark.parametrize(
    ("nodes", "edges", "options", "message"),
    [
        (put("paper", 3, "p2"), None, {}, r"nodes: id 'p2' is repeated \(1 such rows\); give each node one row"),
        (put("paper", 3, None), None, {}, "nodes: row 3 has no id"),
        (None, put("cited", 7, "p99"), {}, "1 rows name a 'cited' that is no node, e.g. 'p99'; give it a row among"),
        (None, put("cited", 7, 12), {}, "that is no node, e.g. 12, a int, but ids are str; give it"),
        (None, put("citing", 7, None), {}, "edges: row 7 has no 'citing'"),
        (put("year", 5, np.inf), None, {}, "nodes: column 'year' of 'p5' is inf, must be finite"),
        (None, with_weights(np.nan), WEIGHED, "edges: column 'weight' has 30 missing values, e.g. of 1"),
        (None, with_weights(np.inf), WEIGHED, "edges: column 'weight' of 1 is inf, must be finite"),
        (None, None, WEIGHED, r"edges has no column 'weight'; it has 'citing', 'cited'"),
        (None, None, {"label": "tpoic"}, "nodes has no column 'tpoic'; it has 'paper', 'year'"),
        (None, None, {"id": "paperr"}, "nodes has no column 'paperr'"),
        (None, None, {"features": ["yaer"]}, "nodes has no column 'yaer'"),
        (None, None, {"features": ["topic"]}, "nodes: column 'topic' is label and feature; choose one"),
        (None, None, {"ends": ["citing"]}, r"edges: the ends are \['citing'\], must be two columns"),
        (None, None, {"categorical": ["topic"]}, "categorical names 'topic', which is no feature"),
        (None, None, {"split": "part"}, "nodes has no column 'part'"),
        (lambda n: n.assign(day=pd.Timestamp("2020")), None, {}, "column 'day' is of datetime64.*, which is neither"),
        (lambda n: n.assign(wave=1j), None, {}, "column 'wave' is of complex128, which is neither"),
        (None, lambda e: e.assign(weight="a"), WEIGHED, "edges: column 'weight' holds texts, but weights are numbers"),
        (None, None, {"ends": ["citing", "citing"]}, r"the ends are \['citing', 'citing'\], must be two columns"),
        (lambda n: n.assign(empty=None), None, {}, "nodes: column 'empty' has no value at all; leave it out"),
        (lambda n: n.assign(topic=None), None, {}, "column 'topic' has no label at all"),
        (lambda n: n.assign(topic=[1.0, 2.0] * 15), None, {}, "whole numbers as floats, which may be classes"),
        (lambda n: n.assign(topic="a"), None, {"target": "binary"}, "'topic' has 1 values, a binary label has two"),
        (None, None, {"target": "regression"}, r"a regression label is a number, but \['topic'\] holds others"),
        (lambda n: n[:0], None, {}, "nodes has no rows"),
        (lambda n: n.set_axis(["paper", "x", "x", "open", "topic"], axis=1), None, {}, "two columns are called 'x'"),
        (None, None, {"impute": "mode"}, "impute='mode', .*choose from: mean, median, most_frequent"),
    ],
)  # fmt: skip
def test_wrong_tables_are_refused(nodes, edges, options, message):
    nodes, edges = changed(nodes, edges)
    with pytest.raises((TypeError, ValueError), match=message):
        make(nodes, edges, **options)


def test_texts_that_are_no_categories():
    ids = [f"p{i}" for i in range(300)]
    nodes = pd.DataFrame({"paper": ids, "title": [f"On {i}" for i in range(300)], "topic": ["a", "b", "c"] * 100})
    edges = pd.DataFrame({"citing": ids[:-1], "cited": ids[1:]})
    with pytest.raises(
        ValueError, match="column 'title' has 300 different texts in 300 rows; leave it out by features="
    ):
        make(nodes, edges)
    assert make(nodes, edges, categorical=["title"]).num_features == 300


def test_what_is_no_table():
    with pytest.raises(TypeError, match="nodes is a dict, must be a pandas DataFrame"):
        make({"a": [1]})


def test_without_pandas_the_extra_is_named(monkeypatch, tmp_path):
    nodes, edges = tables()
    monkeypatch.setitem(sys.modules, "pandas", None)
    for call in (lambda: gk.NodeTask.from_pandas(nodes, edges, "topic"), lambda: gk.NodeTask.from_csv(tmp_path, "a")):
        with pytest.raises(
            ImportError, match=r"needs pandas, an optional package: pip install 'graphkit-pyg\[tables\]'"
        ):
            call()


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


def test_other_tasks_have_frames_by_number():
    task = tiny.task("node binary")
    table = trained(task).predict(task, "val", as_frame=True)
    assert list(table.index) == task.split.val.tolist()
    assert list(table.columns) == ["prediction", "p(1)", "label"]
    links = tiny.task("link")
    assert list(trained(links).predict(links, as_frame=True).columns) == ["p(link)", "label"]
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


def test_a_transform_that_does_not_tell_its_arguments(tmp_path):
    task = make().transform(NormalizeFeatures())
    trainer = trained(task, run_dir=tmp_path)
    assert trainer.predict(tables()).shape == (30, 4)
    with pytest.raises(ValueError, match="NormalizeFeatures does not keep the arguments of its constructor"):
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
    later, _ = gk.load_run(tmp_path).task.tables.graph(nodes.assign(year=2014.5), edges)
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


# --- what would be silently wrong -------------------------------------------------------------------------------------


def test_a_constant_column_stays_constant():
    nodes, edges = tables()
    task = make(nodes.assign(year=0.1), edges, standardize=True)  # 0.1 is not the mean of thirty
    later, _ = task.tables.graph(nodes.assign(year=0.1001), edges)
    assert torch.allclose(later.x[:, 0], torch.tensor(1e-4), rtol=0.01)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, "Float64"])
def test_ids_that_floats_would_round_are_refused(dtype):
    start = 2**24 if dtype == np.float32 else 2**53
    nodes, edges = tables([start + i for i in range(COUNT)])
    with pytest.raises(ValueError, match=rf"edges: column 'citing' holds ids as .*, which names .* up to {start} only"):
        make(nodes, edges.astype({"citing": dtype}))
    with pytest.raises(ValueError, match="nodes: column 'paper' holds ids as"):
        make(nodes.astype({"paper": dtype}), edges)
    nodes, edges = tables(list(range(COUNT)))
    assert torch.equal(make(nodes, edges.astype({"citing": dtype})).data.edge_index, make().data.edge_index)


def test_numbers_that_single_precision_makes_equal_are_told():
    nodes, edges = tables()
    seconds = 1.7e9 + np.arange(COUNT)
    with pytest.warns(UserWarning, match="nodes: column 'year' has 30 different .* leaves 1; standardize=True, or sub"):
        make(nodes.assign(year=seconds), edges)
    with pytest.warns(UserWarning, match="column 'topic' has 30 different numbers, of which single precision leaves 1"):
        make(nodes.assign(topic=seconds + 0.5), edges)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(nodes.assign(year=seconds), edges, standardize=True)
        make(nodes.assign(year=[0.3, 0.1 + 0.2] * (COUNT // 2)), edges)
        make(nodes.assign(year=100_000 + np.arange(COUNT)), edges)


def test_a_class_called_minus_one_is_told():
    nodes, edges = tables()
    with pytest.warns(UserWarning, match="column 'topic' has -1, a class like others here; leave unknown labels empty"):
        make(nodes.assign(topic=np.arange(COUNT) % 3 - 1), edges)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(nodes.assign(topic=np.arange(COUNT) % 2 * 2 - 1), edges)


def test_ids_that_are_forgotten_are_told():
    nodes, edges = tables(list(range(COUNT)))
    nodes = nodes[::-1].reset_index(drop=True)
    with pytest.warns(UserWarning, match="all ends stand in the column 'paper' of nodes, too, .* pass id='paper'"):
        make(nodes, edges, id=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(nodes, edges, id=None, features=["year"])
        make(nodes.set_index("paper"), edges, id=None)


def test_texts_that_look_like_numbers_in_a_later_file(tmp_path):
    nodes, edges = tables()
    task = make(nodes.assign(venue=["01", "2", "x"] * (COUNT // 3)), edges)
    later = nodes.assign(venue=["01", "2"] * (COUNT // 2))
    later.to_csv(tmp_path / "nodes.csv", index=False)
    edges.to_csv(tmp_path / "edges.csv", index=False)
    trainer = trained(task)
    pd.testing.assert_frame_equal(trainer.predict(tmp_path), trainer.predict((later, edges)))


def test_several_labels_that_are_texts():
    nodes, edges = tables()
    with pytest.raises(
        ValueError, match=r"a multilabel or regression label is a number, but \['venue', 'topic'\] holds others"
    ):
        make(nodes, edges, label=["venue", "topic"])


def test_missing_labels_of_any_kind_are_in_no_part():
    for labels in (pd.Series([1, 0, None] * 5, dtype="Int64"), list(np.array([1, 0, -1] * 5)), [1, 0, pd.NaT] * 5):
        assert sum(gk.Split.random(15, stratify=labels).sizes) == 10


@pytest.mark.parametrize("directed", [False, True])
def test_networkx_graphs_of_the_other_kind_are_refused(directed):
    ring = nx.cycle_graph(COUNT, create_using=nx.DiGraph if directed else nx.Graph)
    nx.set_node_attributes(ring, {i: {"share": i / COUNT, "topic": "ab"[i % 2]} for i in ring})
    trainer = trained(gk.NodeTask.from_networkx(ring, "topic"))
    other = ring.to_undirected() if directed else ring.to_directed()
    kind = "directed" if directed else "undirected"
    with pytest.raises(ValueError, match=rf"but edges of task 'graph' are {kind}; give graph.to_{kind}\(\)"):
        trainer.predict(other)
    assert trainer.predict(other.to_directed() if directed else other.to_undirected()).shape == (COUNT, 3)
