"""What one answer for all reaches: beside scikit-learn's, and beside a module that gives it to the trainer."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torchmetrics.classification import BinaryAUROC, MulticlassAUROC, MulticlassF1Score

import graphkit as gk
from graphkit import metrics
from graphkit.recipes import Recipe
from graphkit.tasks import Target, targets
from graphkit.transforms.rewiring import RandomEdges
from tests import tiny

scores = pytest.importorskip("sklearn.metrics")
dummy = pytest.importorskip("sklearn.dummy")

ROWS, TRAIN, TEST = 60, slice(0, 24), slice(36, 60)
RNG = np.random.default_rng(3)


def _with_gaps(labels):
    return np.where(RNG.random(labels.shape) < 0.2, np.nan, labels).astype(np.float32)


LABELS = {
    "multiclass": np.append(range(4), RNG.choice(4, ROWS - 4, p=[0.2, 0.4, 0.3, 0.1])),
    "binary": (RNG.random(ROWS) < 0.7).astype(np.float32),
    "multilabel": _with_gaps(RNG.random((ROWS, 3)) < [0.2, 0.6, 0.8]),
    "regression": _with_gaps(RNG.normal([3.0, -50.0], [1.0, 20.0], (ROWS, 2))),
}


def node_task(target, metric=None, labels=None, **arguments):
    y = torch.as_tensor(LABELS[target] if labels is None else labels)
    ids = torch.arange(ROWS)
    data = Data(x=torch.randn(ROWS, 2), edge_index=torch.stack([ids, ids.roll(1)]), y=y)
    split = gk.Split("own", ids[TRAIN], ids[24:36], ids[TEST])
    return gk.NodeTask("nodes", data, split, target, metric, **arguments)


def graph_task(target, metric=None):
    """The same labels, of graphs with a node each."""
    alike = node_task(target)
    edges = torch.empty(2, 0, dtype=torch.long)
    graphs = [Data(x=alike.data.x[i : i + 1], edge_index=edges, y=alike.labels[i : i + 1]) for i in range(ROWS)]
    return gk.GraphTask("graphs", graphs, alike.split, target, metric)


def sampled_task(target, metric=None):
    return node_task(target, metric).sampled(gk.samplers.NeighborSampler([2]))


def link_task(target, metric):
    """Each link to judge has five negatives of its own."""
    pairs = torch.combinations(torch.arange(40))[torch.randperm(780, generator=torch.Generator().manual_seed(0))].T
    links, others = pairs[:, :50], pairs[:, 50:].reshape(2, -1, 5)
    split = gk.LinkSplit("own", *links.split([30, 10, 10], dim=1), others[:, :10], others[:, 10:20])
    return gk.LinkTask("links", Data(x=torch.randn(40, 2), edge_index=links, num_nodes=40), split, metric)


# A module that gives one answer -------------------------------------------------------------------------------------


def furthest(out, label):
    return (out - label.view_as(out)).abs().max()


furthest.higher_is_better = False

OWN = {
    "multiclass": [MulticlassF1Score(4, average="weighted"), MulticlassAUROC(4), nn.functional.cross_entropy],
    "binary": [BinaryAUROC, furthest],
    "multilabel": [],
    "regression": [],
    "link": [BinaryAUROC(), furthest],
}
JUDGING = [
    (target, metric)
    for target in OWN
    for name, cls in metrics.registry.classes().items()
    if cls.__module__.startswith("graphkit.") and (not cls.targets or target in cls.targets)
    for metric in [name.replace("@K", "@3")]
] + [(target, metric) for target, own in OWN.items() for metric in own]


class OneAnswer(nn.Module):
    """The same outputs for every node, graph or pair, which no step can change."""

    def __init__(self, answer, task):
        super().__init__()
        self.answer, self.of = nn.Parameter(answer), task.kind

    def forward(self, batch):
        size = {"node": "num_nodes", "graph": "num_graphs"}.get(self.of)
        rows = batch.edge_label_index.size(1) if size is None else getattr(batch, size)
        return self.answer.repeat(rows, 1)


def test_every_kind_of_target_is_here():
    ours = {name for name, cls in targets.registry.classes().items() if cls.__module__.startswith("graphkit.")}
    assert ours - {"ranking"} == OWN.keys()  # which has no constant answer: its baseline is popularity


@pytest.mark.parametrize(
    ("make", "target", "metric"),
    [
        pytest.param(make, target, metric, id=f"{make.__name__} {target} {getattr(metric, '__name__', metric)}")
        for make in (node_task, graph_task, sampled_task, link_task)
        for target, metric in JUDGING
        if (make is link_task) == (target == "link")
    ],
)
def test_a_module_that_gives_the_answer_reaches_the_baseline(make, target, metric):
    task = make(target, metric)
    training = torch.zeros(1) if target == "link" else task.target.constant(task.labels[task.split.train])
    model = OneAnswer(training, task)
    settings = {"optimizer": "SGD", "lr": 1e-30, "max_epochs": 1, "batch_size": None if make is node_task else 100}
    result = gk.Trainer(**settings, warm_start=True, progress=False).fit(model, task)
    assert result.baseline == result.test == task.baseline()


# scikit-learn's answers, column by column -----------------------------------------------------------------------------


def _column(labels, cls, **arguments):
    """Known test labels of a column, scikit-learn's prediction, and for classes the probability of 1."""
    train, test = (part[~np.isnan(part)] for part in (labels[TRAIN], labels[TEST]))
    fitted = cls(**arguments).fit(np.zeros((len(train), 1)), train)
    rows = np.zeros((len(test), 1))
    ones = fitted.predict_proba(rows)[:, -1] if cls is dummy.DummyClassifier else None
    return test, fitted.predict(rows), ones


CLASSES = {
    "accuracy": lambda y, p, s: scores.accuracy_score(y, p),
    "f1_macro": lambda y, p, s: scores.f1_score(y, p, average="macro"),
    "f1_micro": lambda y, p, s: scores.f1_score(y, p, average="micro"),
    "balanced_accuracy": lambda y, p, s: scores.balanced_accuracy_score(y, p),
    "mcc": lambda y, p, s: scores.matthews_corrcoef(y, p),
    "roc_auc": lambda y, p, s: scores.roc_auc_score(y, s),
    "average_precision": lambda y, p, s: scores.average_precision_score(y, s),
}
NUMBERS = {
    "mae": scores.mean_absolute_error,
    "mse": scores.mean_squared_error,
    "rmse": scores.root_mean_squared_error,
    "r2": scores.r2_score,
}
OF_ONES = {"f1_macro": lambda y, p, s: scores.f1_score(y, p)}  # of each column, the class 1
COLUMNS = {name: each for name, each in (CLASSES | OF_ONES).items() if name != "f1_micro"}


@pytest.mark.parametrize(
    ("target", "metric"),
    [
        (target, metric)
        for target, names in {"multiclass": CLASSES, "binary": CLASSES, "multilabel": COLUMNS}.items()
        for metric in names
        if target != "multiclass" or metric not in ("roc_auc", "average_precision")
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_classes_as_scikit_learn_judges_its_dummy(target, metric):
    labels = np.asarray(LABELS[target], dtype=float).reshape(ROWS, -1)
    score = (COLUMNS if target == "multilabel" else CLASSES)[metric]
    columns = [score(*_column(column, dummy.DummyClassifier, strategy="prior")) for column in labels.T]
    assert node_task(target, metric).baseline() == pytest.approx(np.mean(columns), abs=1e-6)


@pytest.mark.parametrize("metric", NUMBERS)
def test_numbers_as_scikit_learn_judges_its_dummy(metric):
    columns = [_column(column, dummy.DummyRegressor) for column in LABELS["regression"].T]
    expected = np.mean([NUMBERS[metric](y, mean) for y, mean, _ in columns])
    assert node_task("regression", metric).baseline() == pytest.approx(expected, rel=1e-5)


def test_several_columns_together():
    """Pooled counts, and rows that are right as a whole: column 0 is 0 for all, the others 1."""
    test = LABELS["multilabel"][TEST]
    answer = np.array([0, 1, 1])
    hits, known = (test == answer), ~np.isnan(test)
    right = (hits | ~known).all(1)[known.any(1)].mean()
    assert node_task("multilabel", "exact_match").baseline() == pytest.approx(right)
    true = (hits & (answer == 1)).sum()
    named = (known & (answer == 1)).sum() + (test == 1).sum()
    assert node_task("multilabel", "f1_micro").baseline() == pytest.approx(2 * true / named)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("roc_auc", 0.5), ("average_precision", 1 / 6), ("hits@3", 0.0), ("hits@50", 0.0), ("mrr", 1 / 3.5)],
)
def test_links_are_ties(metric, expected):
    assert link_task("link", metric).baseline() == pytest.approx(expected)


# What it depends on -------------------------------------------------------------------------------------------------


def test_frequencies_are_those_of_known_labels_of_training():
    task = node_task("multiclass")
    constant = task.target.constant(torch.tensor([2, 2, -1, 1, -1, -1, 2, 0]))
    torch.testing.assert_close(constant.softmax(0), torch.tensor([0.2, 0.2, 0.6, 0.0]))
    columns = torch.tensor([[1.0, math.nan], [math.nan, math.nan], [0.0, math.nan], [1.0, math.nan]])
    shares = node_task("multilabel").target.constant(columns).sigmoid()
    torch.testing.assert_close(shares, torch.tensor([2 / 3, 1 / 2]))
    torch.testing.assert_close(node_task("regression").target.constant(5 * columns), torch.tensor([10 / 3, 0.0]))


def test_the_first_of_classes_that_occur_equally_often_wins_as_in_scikit_learn():
    labels = np.tile([1, 0, 2], 20)
    fitted = dummy.DummyClassifier().fit(labels[:, None], labels)
    task = node_task("multiclass", labels=labels)
    assert task.target.constant(task.labels[TRAIN]).argmax() == fitted.predict([[0]])[0]
    assert task.baseline() == pytest.approx((labels[TEST] == 0).mean())


def test_a_class_that_training_lacks_has_a_finite_score():
    labels = np.append(np.zeros(24, int), [0, 1, 2] * 12)
    task = node_task("multiclass", nn.functional.cross_entropy, labels=labels, allow_missing_classes=True)
    assert task.baseline() == pytest.approx(-2 / 3 * math.log(1e-12), rel=1e-4)
    ones = node_task("binary", "roc_auc", labels=np.append(np.ones(24), [0, 1] * 18), allow_missing_classes=True)
    assert ones.baseline() == 0.5


def test_weights_and_losses_are_not_those_of_the_metric():
    plain = node_task("multiclass").baseline()
    assert node_task("multiclass", class_weight="balanced").baseline() == plain
    assert node_task("multiclass", loss=nn.CrossEntropyLoss(label_smoothing=0.1)).baseline() == plain
    assert node_task("multilabel", pos_weight=7.0).baseline() == node_task("multilabel").baseline()


def test_it_follows_the_split():
    task = node_task("regression")
    other = gk.Split("other", task.split.test, task.split.val, task.split.train)
    before, after = task.baseline(), task.with_split(other).baseline()
    turned = np.concatenate([LABELS["regression"][TEST], LABELS["regression"][24:36], LABELS["regression"][TRAIN]])
    assert after == pytest.approx(node_task("regression", labels=turned).baseline()) != before
    assert task.transform(RandomEdges(2)).baseline() == before


# Where there is none ------------------------------------------------------------------------------------------------


class Silent(Target):
    """An own target that says no constant."""

    name = "silent"

    def loss(self, prediction, label, weight=None):
        return (prediction.view(-1) - label).square().mean()


def correlation(out, label):
    return np.corrcoef(out, label)[0, 1] if out.std() > 0 else float("nan")


def picky(out, label):
    if out.numel() > 1 and out.min() == out.max():
        raise ZeroDivisionError("no spread")
    return out.mean()


def test_there_may_be_none(recwarn):
    labels = np.arange(ROWS, dtype=np.float32)
    assert node_task(Silent, furthest, labels=labels).baseline() is None
    assert node_task("regression", correlation, labels=labels).baseline() is None
    assert not recwarn.list
    task = node_task("regression", picky, labels=labels)
    with pytest.warns(UserWarning, match=r"task 'nodes': metric picky fails where all answers are alike \(no spread\)"):
        result = gk.Trainer(max_epochs=2, progress=False).fit(gk.models.MLP.from_task(task, hidden_channels=4), task)
    assert result.baseline is None
    assert "baseline    picky unknown, ignoring the input" in str(result)


# Where it is kept ---------------------------------------------------------------------------------------------------


def test_results_keep_it(tmp_path):
    task = tiny.task("node regression")
    trainer = gk.Trainer(max_epochs=2, progress=False, run_dir=tmp_path / "run")
    result = trainer.fit(gk.models.MLP.from_task(task, hidden_channels=4), task)
    assert f"baseline    mae {task.baseline():.4f}, ignoring the input" in str(result)
    path = tmp_path / "run" / "result.json"
    assert gk.Result.load(path) == result
    content = json.loads(path.read_text())
    assert content.pop("baseline") == result.baseline == task.baseline()
    del content["sha256"]
    path.write_text(json.dumps(content))
    assert gk.Result.load(path).baseline is None, "files from before it was kept can be read"


@pytest.mark.parametrize(
    ("task", "unit"),
    [
        ("karate", "%"),
        ({"name": "gnp-sets", "num_train": 9, "num_val": 9, "num_test": 9, "num_extrapolation": 9}, "log10"),
    ],
    ids=["%", "log10"],
)
def test_runs_of_recipes_have_it_in_their_unit(task, unit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = {"class_path": "MLP", "init_args": {"hidden_channels": 4}}
    recipe = Recipe("mine", {"model": model, "task": task, "trainer": {"max_epochs": 1}, "unit": unit, "seeds": [0]})
    (run,) = recipe.run(progress=False).cell.runs
    score = recipe.cell.experiment.load_task().baseline()
    assert run["baseline"] == pytest.approx(100 * score if unit == "%" else math.log10(score), abs=1e-5)
    assert recipe.run(progress=False).cell.runs == [run], "a run that is kept gets it, too"
