"""Tables of the user become a task: what it holds, and what is refused."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
import torch

import graphkit as gk
from tests.tasks.papers import COUNT, KINDS_OF_IDS, make, tables, trained

pd = pytest.importorskip("pandas")
nx = pytest.importorskip("networkx")


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
    data = task.tables.graph(new, edges).data
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
        ValueError,
        match=r"'title' has 300 different texts in 300 rows; name it as id=, in texts for .*, leave it out",
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
