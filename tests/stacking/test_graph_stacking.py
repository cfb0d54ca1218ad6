"""Stacking over a graph: out of fold, along edges, on tasks and tables."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import KFold
from torch_geometric.data import Data
from torch_geometric.nn import CorrectAndSmooth

import graphkit as gk
from graphkit.stacking import GraphStacking, propagate_predictions


def blocks(n: int = 300, noise: float = 1.5, seed: int = 0, labels: str = "blocks") -> gk.NodeTask:
    """Two communities, with features that tell them apart badly."""
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=n)
    joined = rng.random((n, n)) < np.where(y[:, None] == y, 0.06, 0.01)
    edge_index = torch.from_numpy(np.stack(np.nonzero(np.triu(joined, 1) | np.triu(joined, 1).T)))
    x = y[:, None] + noise * rng.normal(size=(n, 3))
    if labels == "random":
        x, y = rng.normal(size=(n, 3)), rng.integers(2, size=n)
    target = "multiclass"
    y = torch.from_numpy(y)
    if labels == "numbers":
        y, target = y + 0.1 * torch.from_numpy(rng.normal(size=n)), "regression"
        y = y.float().view(-1, 1)
    data = Data(x=torch.from_numpy(x).float(), edge_index=edge_index, y=y)
    return gk.NodeTask("blocks", data, gk.Split.random(n, seed=seed), target)


def stacking(**options) -> GraphStacking:
    return GraphStacking([LogisticRegression()], **options)


def test_edges_help_and_one_layer_is_the_estimators_alone():
    task = blocks()
    alone, stacked = stacking(layers=1).fit(task), stacking(alpha=0.8).fit(task)
    assert stacked.score(task) > alone.score(task) + 0.1
    x, y, rows = task.data.x.double().numpy(), task.labels.numpy(), task.split.train.numpy()
    copies = []
    for seen, _ in alone_folds(rows, y):
        copies.append(LogisticRegression().fit(x[rows[seen]], y[rows[seen]]).predict_proba(x))
    rest = np.setdiff1d(np.arange(len(x)), rows)
    np.testing.assert_allclose(alone.fitted_[rest], np.mean(copies, axis=0)[rest], atol=1e-12)


def alone_folds(rows: np.ndarray, y: np.ndarray):
    from sklearn.model_selection import StratifiedKFold

    return list(StratifiedKFold(5, shuffle=True, random_state=0).split(rows, y[rows]))


def test_a_labelled_node_is_predicted_by_a_copy_that_has_not_seen_its_label():
    task = blocks()
    rows, y, x = task.split.train.numpy(), task.labels.numpy(), task.data.x.double().numpy()
    alone = stacking(layers=1).fit(task)
    for seen, unseen in alone_folds(rows, y):
        model = LogisticRegression().fit(x[rows[seen]], y[rows[seen]])
        np.testing.assert_allclose(alone.fitted_[rows[unseen]], model.predict_proba(x[rows[unseen]]), atol=1e-12)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_noise_stays_at_chance_on_test_and_out_of_fold(layers):
    """Boosting would know every label by heart; what it says of a node must not come from the node's own label."""
    test, trained = [], []
    for seed in range(4):
        task = blocks(400, seed=seed, labels="random")
        rows = task.split.train.numpy()
        model = GraphStacking([HistGradientBoostingClassifier(max_iter=30)], layers=layers).fit(task)
        test.append(model.score(task))
        trained.append((model.predict()[rows] == task.labels.numpy()[rows]).mean())
    assert abs(np.mean(test) - 0.5) < 0.09
    assert abs(np.mean(trained) - 0.5) < 0.07


def test_the_second_layer_reads_thinned_powers_and_the_features():
    task = blocks(60)
    model = stacking(steps=5, kernel="DAD", alpha=0.7).fit(task)
    first = stacking(layers=1).fit(task)
    steps = list(propagate_predictions(torch.from_numpy(first.fitted_), task.data.edge_index, None, 0.7, 5, "DAD"))
    features = np.concatenate([steps[t].numpy() for t in (0, 1, 2, 4, 5)] + [task.data.x.double().numpy()], axis=1)
    rows, y = task.split.train.numpy(), task.labels.numpy()
    copies = [LogisticRegression().fit(features[rows[s]], y[rows[s]]) for s, _ in alone_folds(rows, y)]
    rest = np.setdiff1d(np.arange(60), rows)
    expected = np.mean([copy.predict_proba(features[rest]) for copy in copies], axis=0)
    np.testing.assert_allclose(model.fitted_[rest], expected, atol=1e-10)


def test_regression_and_several_estimators():
    task = blocks(labels="numbers")
    model = GraphStacking([LinearRegression(), LinearRegression(fit_intercept=False)], alpha=0.8).fit(task)
    assert model.score(task) > GraphStacking([LinearRegression()], layers=1).fit(task).score(task) + 0.1
    assert model.outputs(task).shape == (300, 1)
    rows = task.split.train.numpy()
    one = GraphStacking([LinearRegression()], layers=1).fit(task)
    folds = KFold(5, shuffle=True, random_state=0).split(rows)
    x, y = task.data.x.double().numpy(), task.labels.numpy()[:, 0]
    copies = [LinearRegression().fit(x[rows[seen]], y[rows[seen]]).predict(x) for seen, _ in folds]
    rest = np.setdiff1d(np.arange(300), rows)
    np.testing.assert_allclose(one.predict()[rest], np.mean(copies, axis=0)[rest], atol=1e-10)
    with pytest.raises(AttributeError, match="a regression has no probabilities"):
        one.predict_proba()


@pytest.mark.parametrize(
    ("package", "classifier", "regressor", "options"),
    [
        ("lightgbm", "LGBMClassifier", "LGBMRegressor", {"n_estimators": 20, "verbose": -1, "n_jobs": 1}),
        ("catboost", "CatBoostClassifier", "CatBoostRegressor", {"iterations": 20, "verbose": 0, "thread_count": 1}),
    ],
)
def test_other_packages_trees_are_estimators_too(package, classifier, regressor, options):
    trees = pytest.importorskip(package)
    options |= {"allow_writing_files": False} if package == "catboost" else {}
    for labels, name in (("blocks", classifier), ("numbers", regressor)):
        task = blocks(labels=labels)
        estimator = getattr(trees, name)(**options)
        stacked, alone = (GraphStacking([estimator], layers=layers, alpha=0.8).fit(task) for layers in (2, 1))
        assert stacked.score(task) > alone.score(task) + 0.1
        assert stacked.outputs(task).shape == (300, task.num_outputs)


def test_outputs_are_those_of_a_model_of_the_task():
    task = blocks()
    model = stacking().fit(task)
    metric = task.fresh_metric()
    metric.update(model.outputs(task)[task.split.test], task.labels[task.split.test])
    assert metric.compute() == pytest.approx(model.score(task))
    torch.testing.assert_close(model.outputs(task).softmax(-1).double().numpy(), model.fitted_, atol=1e-6, rtol=0)


def test_a_table_of_numbers_categories_and_texts_with_gaps():
    task = blocks()
    y = task.labels.numpy()
    names = [f"n{i}" for i in range(300)]
    rng = np.random.default_rng(0)
    words = np.where(y[:, None] == 1, "graph edges and nodes", "fish in the sea").reshape(-1)
    table = pd.DataFrame(
        {
            "number": np.where(rng.random(300) < 0.1, np.nan, task.data.x[:, 0]),
            "flag": rng.random(300) < 0.5,
            "kind": pd.Series(rng.choice(["a", "b"], 300)).where(rng.random(300) > 0.1),
            "text": np.where(rng.random(300) < 0.4, words, "nothing much to say here"),
        },
        index=names,
    )
    source, target = task.data.edge_index.numpy()
    edges = pd.DataFrame({"source": np.array(names)[source], "target": np.array(names)[target]})
    labels = pd.Series(np.where(y == 1, "yes", "no"), index=names, dtype=object)
    hidden = labels.copy()
    hidden[rng.random(300) < 0.5] = None
    model = GraphStacking([HistGradientBoostingClassifier(max_iter=20)], alpha=0.8).fit(table, hidden, edges)
    unknown = hidden.isna().to_numpy()
    assert (model.predict()[unknown] == labels[unknown]).mean() > 0.85
    assert model.classes_.tolist() == ["no", "yes"]
    new = table.iloc[:10].assign(kind="never seen")
    some = edges[edges.source.isin(new.index) & edges.target.isin(new.index)]
    np.testing.assert_allclose(model.predict_proba(new, some).sum(axis=1), 1)


def frames(n, seed):
    rng = np.random.default_rng(seed)
    ids = [f"n{number}" for number in range(n)]
    nodes = pd.DataFrame({"size": rng.random(n), "kind": rng.choice(["u", "v"], n)}, index=pd.Index(ids, name="id"))
    return nodes, pd.DataFrame({"source": rng.choice(ids, 3 * n), "target": rng.choice(ids, 3 * n)})


def test_new_tables_are_read_as_those_of_the_task():
    (nodes, edges), (new, further) = frames(40, 0), frames(9, 1)
    task = gk.NodeTask.from_pandas(nodes.assign(topic=np.where(nodes["size"] > 0.5, "x", "y")), edges, "topic")
    fitted = stacking(folds=2).fit(task)
    found = fitted.predict_proba(new, further)
    turned = fitted.predict_proba(new[["kind", "size"]], further)
    np.testing.assert_array_equal(found, turned)  # columns go by name
    graph = task.tables.graph(new, further).data
    np.testing.assert_array_equal(found, fitted.predict_proba(graph.x.numpy(), graph.edge_index))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            ["size"],
            "X has no column 'kind', but it was fitted on a frame with that; give a frame with the columns size",
        ),
        (None, "X has no column 'size'"),
    ],
)
def test_new_tables_without_the_columns_of_fit_are_refused(columns, message):
    (nodes, edges), (new, further) = frames(40, 0), frames(9, 1)
    fitted = stacking(folds=2).fit(nodes, np.where(nodes["size"] > 0.5, "x", "y"), edges)
    with pytest.raises(ValueError, match=message):
        fitted.predict(
            new.to_numpy() if columns is None else new[columns], np.zeros((2, 0), int) if columns is None else further
        )


def test_new_tables_that_nothing_tells_how_to_read_are_refused():
    new, further = frames(9, 1)
    fitted = stacking(folds=2).fit(blocks(60))
    with pytest.raises(ValueError, match=r"fitted on task 'blocks', which was not made of tables.*; give a NodeTask"):
        fitted.predict(new, further)
    with pytest.raises(ValueError, match="X has 2 features, but it was fitted on 3; give the same ones"):
        fitted.predict(np.ones((9, 2)), np.zeros((2, 0), int))
    numbers = stacking(folds=2).fit(np.random.default_rng(0).random((40, 2)), np.arange(40) % 2, np.zeros((2, 0), int))
    with pytest.raises(ValueError, match=r"X holds what is no number .*; give such columns, or fit it on a frame"):
        numbers.predict(new, further)


def test_it_is_an_estimator_of_scikit_learn():
    model = stacking(layers=3, alpha=0.5)
    assert clone(model).get_params()["alpha"] == 0.5
    task = blocks()
    assert np.array_equal(model.fit(task).fitted_, clone(model).fit(task).fitted_)
    smooth = CorrectAndSmooth(2, 0.8, 2, 0.8)
    smoothed = stacking(smooth=smooth).fit(task)
    plain = stacking().fit(task)
    rows, y = task.split.train, task.labels[task.split.train]
    soft = smooth.correct(torch.from_numpy(plain.fitted_), y, rows, task.data.edge_index)
    expected = smooth.smooth(soft, y, rows, task.data.edge_index)
    np.testing.assert_allclose(smoothed.fitted_, expected.numpy())


def test_it_is_compared_beside_networks(tmp_path):
    task = blocks()
    models = {"GCN": gk.models.GCN, "stacked": stacking(alpha=0.8), "alone": {"model": stacking(layers=1)}}
    given = {"seeds": 2, "trainer": gk.Trainer(max_epochs=5), "run_dir": tmp_path, "progress": False}
    comparison = gk.compare(models, task, **given)
    assert comparison.scores["stacked"][0] == pytest.approx(100 * clone(models["stacked"]).fit(task).score(task))
    assert np.mean(comparison.scores["stacked"]) > np.mean(comparison.scores["alone"])
    again = gk.compare(models | {"stacked": stacking(alpha=0.1)}, task, **given)
    assert list(again.scores["alone"]) == list(comparison.scores["alone"])
    assert list(again.scores["stacked"]) != list(comparison.scores["stacked"])
    with pytest.raises(ValueError, match=r"models\['b'\]: lr is for networks"):
        gk.compare({"a": stacking(), "b": {"model": stacking(), "lr": 0.1}}, task)
    with pytest.raises(TypeError, match="GraphStacking takes node tasks"):
        gk.compare([stacking(), gk.models.GIN], "mutag")


@pytest.mark.parametrize(("unknown", "warns"), [(-1, True), (np.nan, False)])
def test_minus_one_is_a_class_and_told_of(unknown, warns):
    x, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20.0) % 2
    y[15:] = unknown
    model = GraphStacking([LogisticRegression()], layers=1, folds=2)
    with pytest.warns(UserWarning, match="y has -1, a class like others here") if warns else nullcontext():
        model.fit(x, y, edges=np.stack([np.arange(19), np.arange(1, 20)]))
    assert model.classes_.tolist() == ([-1, 0, 1] if warns else [0, 1])


@pytest.mark.parametrize("dtype", ["string", "category", "object"])
def test_labels_of_pandas_are_missing_as_it_says(dtype):
    x, y = np.random.default_rng(0).normal(size=(20, 2)), pd.Series(["a", "b"] * 8 + [None] * 4, dtype=dtype)
    edges = np.stack([np.arange(19), np.arange(1, 20)])
    model = GraphStacking([LogisticRegression()], layers=1, folds=2).fit(x, y, edges=edges)
    assert model.classes_.tolist() == ["a", "b"]
    assert model.score(x, y, edges=edges) == np.mean(model.predict(x, edges=edges)[:16] == y[:16].astype(str))


def test_refusals():
    task = blocks(60)
    table = task.data.x.numpy()
    edges = task.data.edge_index.numpy()
    for given, message in [
        ((task, task.labels), "a task has its own labels and edges"),
        ((table, task.labels), "edges are missing"),
        ((table, None, edges), "y is missing"),
        ((table, np.ones(3), edges), r"y has shape \(3,\), must be \(60,\)"),
        ((table, np.full(60, np.nan), edges), "no label that is known"),
        ((table, task.labels.numpy(), edges + 60), "node 119|119"),
        ((table[0], task.labels.numpy(), edges), "must be a table of two axes"),
    ]:
        with pytest.raises((ValueError, IndexError), match=message):
            stacking().fit(*given)
    with pytest.raises(ValueError, match="folds=50, must be in"):
        stacking(folds=50).fit(task)
    with pytest.raises(ValueError, match="must be classifiers or regressors alone"):
        GraphStacking([LogisticRegression(), LinearRegression()]).fit(task)
    names = pd.DataFrame(table, index=[f"n{i}" for i in range(60)])
    with pytest.raises(ValueError, match="edge 0 has the source 'x', not in the index of X"):
        stacking().fit(names, task.labels.numpy(), pd.DataFrame({"source": ["x"], "target": ["n0"]}))
    featureless = gk.NodeTask("bare", Data(edge_index=task.data.edge_index, y=task.labels, num_nodes=60), task.split)
    with pytest.raises(ValueError, match="no features"):
        stacking().fit(featureless)
