"""gk.compare: trained as the trainer does, tested as compare_runs does, saved run by run, refused before the first."""

from __future__ import annotations

import copy

import pytest
import torch
from lightning_fabric.loggers import CSVLogger
from torch import nn

import graphkit as gk
from graphkit.recipes import compare_runs, running

KARATE = gk.load("karate")
SHORT = gk.Trainer(max_epochs=4, progress=False)


def narrow(task):
    return gk.models.GCN.from_task(task, hidden_channels=3)


@pytest.fixture
def trainings(monkeypatch):
    """The seeds of the runs that were really trained."""
    seeds = []
    original = running._run_one
    monkeypatch.setattr(running, "_run_one", lambda *arguments: seeds.append(arguments[1]) or original(*arguments))
    return seeds


def test_scores_are_those_of_the_trainer_and_differences_those_of_compare_runs():
    forward = {"model": gk.models.GCN, "strategy": "SingleForward", "lr": 0.05}
    balanced = gk.NodeTask("karate", KARATE.data, KARATE.split, class_weight="balanced")
    weighed = {"model": gk.models.GCN, "task": lambda task: balanced.with_split(task.split)}
    models = {"plain": gk.models.GCN, "forward": forward, "narrow": narrow, "weighed": weighed}
    comparison = gk.compare(models, KARATE, seeds=[0, 3], trainer=SHORT, against="plain")
    expected = {name: [] for name in models}
    for seed in (0, 3):
        for name, build, task, changes in (
            ("plain", gk.models.GCN.from_task, KARATE, {}),
            ("forward", gk.models.GCN.from_task, KARATE, {"strategy": "SingleForward", "lr": 0.05}),
            ("narrow", narrow, KARATE, {}),
            ("weighed", gk.models.GCN.from_task, balanced, {}),
        ):
            trainer = gk.Trainer(max_epochs=4, progress=False, seed=seed, **changes)
            expected[name].append(100 * trainer.fit(build(task), task).test)
    assert {name: list(scores) for name, scores in comparison.scores.items()} == expected
    alone = compare_runs(expected, "plain")
    assert comparison.differences == alone.differences
    assert comparison.ranks == alone.ranks
    assert (comparison.unit, comparison.metric, comparison.task) == ("%", "accuracy", "karate")
    assert [run["seed"] for run in comparison.runs] == [0, 3] * 4
    assert comparison.baseline == pytest.approx(100 * KARATE.baseline())


def test_an_instance_is_copied_and_stays_as_it_is():
    model, trainer = gk.models.GCN.from_task(KARATE), copy.deepcopy(SHORT)
    before = copy.deepcopy(model.state_dict())
    gk.compare({"a": model, "b": narrow}, KARATE, seeds=2, trainer=trainer)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert not hasattr(trainer, "_fitted")


def test_splits_divide_the_same_data():
    splits = gk.Split.k_fold(34, 4)
    comparison = gk.compare(["GCN", "MLP"], KARATE, splits, seeds=2, trainer=SHORT)
    assert comparison.overlap == pytest.approx(9 / 25)  # the largest fold
    assert [len(scores) for scores in comparison.scores.values()] == [4, 4]  # means over seeds
    assert len(comparison.runs) == 16
    named = gk.compare(["GCN", "MLP"], "minesweeper", 2, seeds=1, trainer=gk.Trainer(max_epochs=1, progress=False))
    assert [run["split"] for run in named.runs[:2]] == ["random-50-25-25/0", "random-50-25-25/1"]
    assert named.overlap == pytest.approx(1 / 3, abs=0.01)


def test_finished_runs_are_not_repeated(tmp_path, trainings):
    models = {
        "gcn": gk.models.GCN.from_task(KARATE),
        "rewired": {"model": narrow, "transform": gk.rewiring.RandomEdges(3)},
    }
    first = gk.compare(models, KARATE, seeds=2, trainer=SHORT, run_dir=tmp_path)
    assert len(trainings) == 4
    models["gcn"] = gk.models.GCN.from_task(KARATE)  # with other weights, which are drawn anew anyway
    models["wide"] = gk.models.GCN.from_task(KARATE, hidden_channels=9)
    more = gk.compare(models, KARATE, seeds=3, trainer=SHORT, run_dir=tmp_path)
    assert trainings[4:] == [("public", 2), ("public", 2), ("public", 0), ("public", 1), ("public", 2)]
    assert list(more.scores["gcn"][:2]) == list(first.scores["gcn"])
    gk.compare(models, KARATE, seeds=3, trainer=gk.Trainer(max_epochs=4, lr=0.5, progress=False), run_dir=tmp_path)
    assert len(trainings) == 9 + 9
    other = gk.NodeTask("karate", KARATE.data, KARATE.split, class_weight="balanced")
    gk.compare(models, other, seeds=3, trainer=SHORT, run_dir=tmp_path)
    assert len(trainings) == 18 + 9


def test_an_interrupted_comparison_goes_on(tmp_path, monkeypatch, trainings):
    original = running._run_one

    def stop_at_the_third(*arguments):
        if len(trainings) == 2:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(running, "_run_one", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt, match=r"2 of 3 runs of GCN-\w+ are saved in .*; the same command does"):
        gk.compare(["GCN", "MLP"], KARATE, seeds=3, trainer=SHORT, run_dir=tmp_path)
    monkeypatch.setattr(running, "_run_one", original)
    gk.compare(["GCN", "MLP"], KARATE, seeds=3, trainer=SHORT, run_dir=tmp_path)
    assert len(trainings) == 6


def test_processes_give_the_same_bits():
    models = {"a": narrow, "b": lambda task: gk.models.MLP.from_task(task, hidden_channels=4)}
    one, two = (gk.compare(models, KARATE, seeds=2, trainer=SHORT, jobs=jobs) for jobs in (1, 2))
    assert [run["val"] for run in one.runs] == [run["val"] for run in two.runs]
    assert one.differences == two.differences


def test_a_table_a_picture_and_latex():
    comparison = gk.compare(["GCN", "MLP"], KARATE, seeds=2, trainer=SHORT)
    head, names, *_, last = str(comparison).splitlines()
    assert head == "karate: test accuracy (%) on 20 nodes, 2 runs each"
    assert names.startswith("method  mean ± 95 %")
    assert last == "baseline 40.00 %, ignoring the input"
    assert comparison.plot().axes[0].get_xlabel() == "test accuracy (%)"
    costs = comparison.plot("costs").axes[0]
    assert sorted(text.get_text() for text in costs.texts) == ["GCN", "MLP"]
    assert costs.get_xlabel() == "seconds of a run"
    assert r"\toprule" in comparison.latex()
    assert list(comparison.frame()["method"]) == ["GCN", "MLP"]
    assert "<table" in comparison._repr_html_()


class Own(nn.Module):
    def __init__(self, wrong):
        super().__init__()


BOTH = {"a": narrow, "b": "MLP"}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"models": ["GCN"]}, ValueError, "compare: 1 models, must be at least 2"),
        ({"models": ["GCN", gk.models.GCN]}, ValueError, "2 models are called GCN; give a dict with a name for each"),
        ({"models": ["GCN", lambda task: None]}, ValueError, r"models\[1\] is a function without a name"),
        ({"models": ["GCN", 3]}, TypeError, r"compare: models\[1\]=3, must be a model, its class or name"),
        ({"models": ["GCN", "MLPP"]}, ValueError, r"models\[1\]: unknown model 'MLPP'; did you mean 'MLP'"),
        ({"models": ["GCN", {"lr": 1}]}, ValueError, r"models\[1\]: the key 'model' is missing"),
        (
            {"models": {"a": "GCN", "b": {"model": "MLP", "lrr": 1}}},
            ValueError,
            r"models\['b'\]: unknown key 'lrr'; did",
        ),
        ({"models": ["GCN", {"model": "MLP", "seed": 1}]}, ValueError, "unknown key 'seed'"),
        ({"models": ["GCN", {"model": "MLP", "lr": -1}]}, ValueError, r"models\[1\]: lr=-1, must be positive"),
        (
            {"models": ["GCN", {"model": "MLP", "transform": 1}]},
            TypeError,
            "transform=1, must be of type BaseTransform",
        ),
        ({"models": ["GCN", {"model": "MLP", "task": 1}]}, TypeError, "task=1, must be of type Callable"),
        ({"models": ["GCN", {"model": "MLP", "task": lambda task: 1}]}, ValueError, "MLP: task made 1, must be a task"),
        ({"models": ["GCN", gk.models.GCN(3, 4, out_channels=4)]}, ValueError, "2 models are called GCN"),
        ({"models": {"a": "GCN", "b": gk.models.GCN(3, 4, out_channels=4)}}, ValueError, "compare: b: .*in_channels=3"),
        ({"models": ["GCN", Own]}, TypeError, "compare: Own: .*'wrong'"),
        ({"models": {"a": "GCN", "b": lambda task: 1}}, TypeError, "compare: b: fit: model=1, must be"),
        ({"splits": 3}, TypeError, r"splits=3 of the task 'karate', must be a list of gk.Split"),
        ({"splits": []}, ValueError, r"splits=\[\], must not be empty"),
        ({"splits": [KARATE.split] * 2}, ValueError, "some have the same name"),
        ({"task": "karate", "splits": ["publik"]}, ValueError, "unknown split family 'publik'"),
        ({"task": "karat"}, ValueError, "unknown dataset 'karat'"),
        ({"seeds": 1}, ValueError, "compare: 1 run of each model, must be at least 2"),
        ({"seeds": [1, 1]}, ValueError, r"seeds=\[1, 1\] repeats a seed"),
        ({"seeds": 0}, ValueError, "compare: seeds=0, must be at least 1"),
        ({"against": "c"}, ValueError, "compare: against: unknown method 'c'"),
        ({"trainer": gk.Trainer(run_dir="x")}, ValueError, "trainer.run_dir='x', but each run has its own"),
        ({"trainer": gk.Trainer(loggers=[CSVLogger("x")])}, ValueError, "but runs are not logged; use a callback"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_first_run(arguments, error, message, trainings):
    with pytest.raises(error, match=message):
        gk.compare(**{"models": BOTH, "task": KARATE, "seeds": 2, "trainer": SHORT} | arguments)
    assert trainings == []
