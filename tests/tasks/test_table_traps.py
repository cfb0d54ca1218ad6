"""Tables whose meaning would be guessed wrong without a word."""

from __future__ import annotations

import datetime
import decimal
import warnings

import numpy as np
import pytest
import torch

import graphkit as gk
from graphkit.tasks.tables import Tables
from tests.tasks.papers import COUNT, make, tables, trained

pd = pytest.importorskip("pandas")
nx = pytest.importorskip("networkx")


# --- what would be silently wrong -------------------------------------------------------------------------------------


def test_a_constant_column_stays_constant():
    nodes, edges = tables()
    task = make(nodes.assign(year=0.1), edges, standardize=True)  # 0.1 is not the mean of thirty
    later = task.tables.graph(nodes.assign(year=0.1001), edges).data
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


# --- columns that are taken for others --------------------------------------------------------------------------------


def test_ids_of_edges_are_no_ends(tmp_path):
    nodes, edges = tables(ids=list(range(COUNT)))
    edges = edges[:COUNT].assign(number=range(COUNT))
    first = edges[["number", "citing", "cited"]]
    with pytest.raises(
        ValueError,
        match=r"column 'number' has another value in every row, as ids of edges .* 'citing' and 'cited' name",
    ):
        make(nodes, first)
    expected = make(nodes, edges.drop(columns="number")).data.edge_index
    with pytest.warns(UserWarning, match="no use is made of column 'number'"):
        assert torch.equal(make(nodes, first, ends=["citing", "cited"]).data.edge_index, expected)
    called = first.rename(columns={"citing": "source", "cited": "target"})
    with pytest.warns(UserWarning, match="no use is made of column 'number'"):
        assert torch.equal(make(nodes, called).data.edge_index, expected), "names say more than places"
    assert torch.equal(make(nodes, first, edge_weight="number").data.edge_index, expected), "it is a weight"
    nodes.to_csv(tmp_path / "nodes.csv", index=False)
    first.to_csv(tmp_path / "edges.csv", index=False)
    with pytest.raises(ValueError, match="column 'number' has another value in every row, as ids of edges"):
        gk.NodeTask.from_csv(tmp_path, "topic")
    read = gk.NodeTask.from_csv(tmp_path, "topic", edge_weight="number")
    assert torch.equal(read.data.edge_index, expected)


def test_truth_values_take_nothing_else():
    nodes, edges = tables()
    task = make()
    later = task.tables.graph(nodes.assign(open=[0, 1.0, True] * 10), edges).data
    assert later.x[:3, 3].tolist() == [0, 1, 1]
    for odd in (7, "yes", 0.5):
        with pytest.raises(ValueError, match=f"column 'open' of 'p0' is {odd!r}, but was true or false in training"):
            task.tables.graph(nodes.assign(open=odd), edges)
    assert Tables.from_config(task.tables.config()) == task.tables


def test_missing_weights_are_not_to_be_imputed():
    nodes, edges = tables()
    weight = np.where(edges.index == 5, np.nan, 1.0)
    with pytest.raises(
        ValueError, match=r"column 'weight' has 1 missing values, e\.g\. of 5; fill them, or leave these"
    ):
        make(nodes, edges.assign(weight=weight), edge_weight="weight")


def test_a_part_of_a_task_is_none_of_tables():
    task = make()
    trainer = trained(task)
    for data in (tables(), task.data, [task.data]):
        with pytest.raises(
            ValueError, match="predict: stage='val' is a part of a task, which a graph or table has not"
        ):
            trainer.predict(data, "val")
        with pytest.raises(ValueError, match="embed: stage='test' is a part of a task, which a graph or table has not"):
            trainer.embed(data, "test")


def test_exact_decimals_are_numbers():
    nodes, edges = tables()
    exact = nodes.assign(year=[decimal.Decimal(i) / 4 for i in range(COUNT)])
    assert torch.equal(make(exact, edges).data.x, make(nodes.assign(year=np.arange(COUNT) / 4), edges).data.x)
    scored = make(exact, edges, label="year", features=["open"])
    assert (scored.target.name, scored.labels[3].item()) == ("regression", 0.75)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], r"column 'topic' holds \[1, 2\], a list, which is no class; give a column for each part: label="),
        (datetime.date(2020, 1, 1), r"column 'topic' holds datetime.date\(2020, 1, 1\), a date, .*; make texts of it"),
    ],
)
def test_labels_that_are_no_classes(value, message):
    nodes, edges = tables()
    for options in ({}, {"target": "multiclass"}):
        with pytest.raises(ValueError, match=message):
            make(nodes.assign(topic=[value] * COUNT), edges, **options)


def test_numbers_written_as_texts_are_refused():
    nodes = pd.DataFrame({"age": [f"{20 + i},5" for i in range(30)], "topic": ["a", "b", "c"] * 10})
    edges = pd.DataFrame({"source": range(29), "target": range(1, 30)})
    with pytest.raises(ValueError, match=r"column 'age' holds numbers as texts, e.g. '20,5'; make numbers of them"):
        gk.NodeTask.from_pandas(nodes, edges, label="topic")
    nodes["age"] = [str(i % 5) for i in range(30)]  # codes of categories
    assert gk.NodeTask.from_pandas(nodes, edges, label="topic").num_features == 5


@pytest.mark.parametrize("blank", ["", " "])
def test_an_empty_text_is_no_class(blank):
    nodes = pd.DataFrame({"age": range(30), "topic": ["a", "b", blank] * 10})
    edges = pd.DataFrame({"source": range(29), "target": range(1, 30)})
    with pytest.raises(ValueError, match="which would be a class; leave unknown labels empty"):
        gk.NodeTask.from_pandas(nodes, edges, label="topic")
