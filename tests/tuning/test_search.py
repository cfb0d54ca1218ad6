"""Searches: deterministic, resumable, shared, and blind to test labels until the winner is known."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import time
from collections import Counter

import optuna
import pandas as pd
import pytest
import torch
import yaml

import graphkit as gk
from graphkit.cli import main
from graphkit.recipes import Experiment, Recipe
from graphkit.training.loop import Loop
from graphkit.tuning import trials as of_trials
from graphkit.tuning.trials import counted

CONFIG = {"model": {"class_path": "GCN", "init_args": {"hidden_channels": 8}}, "task": "karate",
          "trainer": {"max_epochs": 4}}  # fmt: skip
SPACE = {"model.hidden_channels": [4, 8, 16], "trainer.lr": {"log": [0.001, 0.1]}, "model.act": ["relu", "tanh"]}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def search(trials=4, config=CONFIG, space=SPACE, seeds=2, **options):
    return gk.search(config, space, trials, seeds=seeds, **options)


def params(found):
    return [(trial.params, trial.value) for trial in found.study.trials]


class Broken(gk.models.GCN):
    """Wide ones cannot be built."""

    def __init__(self, in_channels, hidden_channels=8, num_layers=2, out_channels=None):
        super().__init__(in_channels, hidden_channels, num_layers, out_channels)
        if hidden_channels > 8:
            raise RuntimeError(f"no memory for {hidden_channels} channels")


BROKEN = CONFIG | {"model": f"{__name__}.Broken"}


# What is judged ------------------------------------------------------------------------------------------------------


def test_test_labels_are_read_for_the_winner_alone(monkeypatch):
    judged = []
    evaluate = Loop.evaluate
    monkeypatch.setattr(
        Loop, "evaluate", lambda self, stage, *more: judged.append(stage) or evaluate(self, stage, *more)
    )
    baselines = []
    baseline = gk.NodeTask.baseline
    monkeypatch.setattr(gk.NodeTask, "baseline", lambda self: baselines.append(len(judged)) or baseline(self))
    found = search(trials=3, seeds=2)
    of_trial = 4 + 1  # each epoch, and the best weights once more
    assert judged[: 3 * of_trial] == ["val"] * 3 * of_trial
    assert Counter(judged[3 * of_trial :])["test"] == found.winner.n == 2
    assert min(baselines) >= 3 * of_trial, "the baseline reads test labels, too"


def test_the_winner_is_the_best_by_validation_and_runs_with_fresh_seeds():
    found = search(trials=5, seed=7, seeds=3)
    values = [trial.value for trial in found.study.trials]
    assert found.val == max(values)
    first = found.study.trials[values.index(max(values))]
    assert found.best == first.params
    alone = Experiment.from_config(CONFIG, [f"--{key}={value}" for key, value in found.best.items()])
    assert found.experiment.config == alone.config
    assert alone.run(seed=7, progress=False).val == found.val
    assert [run["seed"] for run in found.winner.runs] == [8, 9, 10]
    for run in found.winner.runs:
        assert run["test"] == pytest.approx(100 * alone.run(seed=run["seed"], progress=False).test, abs=1e-5)


def test_errors_are_minimised():
    task = {"name": "gnp-sets", "num_train": 20, "num_val": 10, "num_test": 10, "num_extrapolation": 10}
    recipe = Recipe(
        "sets", {"model": "DeepSets", "task": task, "trainer": {"max_epochs": 2}, "unit": "log10", "seeds": 2}
    )
    found = gk.search(recipe, {"trainer.lr": [1e-5, 0.01]}, 2, "bruteforce")
    assert found.val == min(trial.value for trial in found.study.trials)
    assert found.winner.unit == "log10"
    assert found.winner.n == 2, "as many as the recipe has"


# Repeating and going on -----------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_trials_also_in_two_parts():
    whole = search(trials=4, seeds=1, folder="whole")
    search(trials=2, seeds=1, folder="parts")
    parts = search(trials=4, seeds=1, folder="parts")
    assert params(whole) == params(parts)
    assert whole.winner.runs[0]["test"] == parts.winner.runs[0]["test"]
    other = search(trials=1, seeds=1, folder="whole", seed=1)
    assert len(other.study.trials) == 1, "a search of its own in the same storage"
    assert params(other)[0] != params(whole)[0]


def test_a_finished_search_trains_nothing(monkeypatch):
    found = search()
    monkeypatch.setattr(Loop, "run", lambda *_: pytest.fail("trained again"))
    assert params(search()) == params(found)


def test_ctrl_c_leaves_a_search_that_goes_on(ctrl_c_in_epoch):
    whole = search(trials=4, folder="whole")
    ctrl_c_in_epoch(6)
    with pytest.raises(KeyboardInterrupt, match="1 of 4 trials of search are saved; the same command does the rest"):
        search(trials=4)
    found = search(trials=4)
    assert (found.num_trials, found.num_failed) == (4, 0)
    assert len(found.study.trials) == 5, "the interrupted one is there and does not count"
    assert whole.num_trials == 4


def _in_process(started, trials):
    evaluate = Loop.evaluate

    def slow(self, *given):
        started.set()
        time.sleep(0.05)
        return evaluate(self, *given)

    Loop.evaluate, of_trials.HEARTBEAT_SECONDS = slow, 1
    torch.set_num_threads(1)
    search(trials=trials)


def test_a_killed_search_goes_on_and_two_at_once_share_the_trials(monkeypatch):
    monkeypatch.setattr(of_trials, "HEARTBEAT_SECONDS", 1)
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    killed = context.Process(target=_in_process, args=(started, 100))
    killed.start()
    assert started.wait(60)
    os.kill(killed.pid, signal.SIGKILL)
    killed.join()
    (name,) = optuna.get_all_study_names("sqlite:///runs/search/search/trials.sqlite3")
    before = len(counted(optuna.load_study(study_name=name, storage="sqlite:///runs/search/search/trials.sqlite3")))
    goal = before + 8
    pair = [context.Process(target=_in_process, args=(started, goal)) for _ in range(2)]
    for process in pair:
        process.start()
    for process in pair:
        process.join(120)
    assert [process.exitcode for process in pair] == [0, 0]
    found = search(trials=goal)
    assert goal <= found.num_trials <= goal + 1
    assert [trial.state.name for trial in found.study.trials].count("RUNNING") == 0
    numbers = [trial.number for trial in found.study.trials]
    assert numbers == list(range(len(numbers)))


@pytest.mark.slow
def test_several_jobs():
    found = search(trials=5, jobs=2)
    assert found.num_trials == 5
    assert len({str(trial.params) for trial in found.study.trials}) > 3, "the processes do not draw the same"
    with pytest.raises(ValueError, match="search: jobs=2 needs a storage that processes share, not memory"):
        search(jobs=2, storage=optuna.storages.InMemoryStorage())


def test_one_job_is_the_default_on_any_number_of_cores(monkeypatch):
    monkeypatch.setattr("joblib.parallel.mp.cpu_count", lambda: 8)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "8")
    samplers = (optuna.samplers.RandomSampler(seed=3) for _ in range(2))
    drawn = [params(search(3, sampler=each, storage=optuna.storages.InMemoryStorage(), seeds=1)) for each in samplers]
    assert drawn[0] == drawn[1]


def test_a_space_without_a_file():
    with pytest.raises(ValueError, match=r"there is no file nowhere\.yaml"):
        search(space="nowhere.yaml")


# Failures and pruning -------------------------------------------------------------------------------------------------


def test_a_failed_trial_is_recorded_and_does_not_win():
    found = search(config=BROKEN, space={"model.hidden_channels": [4, 8, 16, 32]}, trials=4, sampler="bruteforce")
    assert (found.num_trials, found.num_finished, found.num_failed) == (4, 2, 2)
    frame = found.frame()
    failed = frame[frame.state == "failed"]
    assert set(failed.error) == {f"RuntimeError: no memory for {n} channels" for n in (16, 32)}
    assert frame.val_accuracy.isna().sum() == 2
    assert found.best["model.hidden_channels"] in (4, 8)


def test_if_all_fail_the_error_is_shown():
    with pytest.raises(
        RuntimeError, match="none of 2 trials was finished, 2 failed; the first by RuntimeError: no memory"
    ):
        search(config=BROKEN, space={"model.hidden_channels": [16, 32]}, trials=2)


def test_a_diverged_trial_fails():
    config = CONFIG | {"trainer": {"max_epochs": 3, "optimizer": "SGD"}}
    found = search(config=config, space={"trainer.lr": [1e-3, 1e38]}, trials=2, sampler="bruteforce")
    assert (found.num_finished, found.num_failed) == (1, 1)


def test_pruned_trials_end_early():
    prune = optuna.pruners.ThresholdPruner(lower=0.41, n_warmup_steps=3)
    space = {"model.act": ["relu", "tanh"], "model.hidden_channels": [2, 16]}
    found = search(trials=4, space=space, sampler="bruteforce", pruner=prune)
    assert found.num_pruned + found.num_finished == 4
    assert found.num_pruned >= 1
    for trial in found.study.trials:
        reports = trial.intermediate_values
        assert list(reports) == list(range(1, len(reports) + 1))
        assert all(reports[step] >= 0.41 for step in range(3, len(reports)))
        if trial.state.name == "PRUNED":
            assert reports[len(reports)] < 0.41
        else:
            assert trial.value == max(reports.values())
    with pytest.raises(RuntimeError, match="none of 1 trials was finished, 0 failed; use a milder pruner"):
        search(trials=1, pruner=optuna.pruners.ThresholdPruner(lower=2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "tpa"}, "unknown sampler 'tpa'; did you mean 'tpe'"),
        ({"sampler": "grid"}, "search: sampler='grid' needs arguments; pass an object, GridSampler(...)"),
        ({"pruner": "medium"}, "unknown pruner 'medium'; did you mean 'median'"),
        (
            {"pruner": "threshold", "trials": 1},
            "search: pruner='threshold' needs arguments; pass an object, ThresholdPruner(...)",
        ),
        ({"trials": 0}, "search: trials=0, must be at least 1"),
        ({"space": {"model.width": [1, 2]}}, "space: unknown argument 'model.width'"),
        ({"config": {"model": "GCN", "task": "krate"}}, "karate"),
    ],
)
def test_what_is_wrong_is_named_before_the_first_trial(options, message, monkeypatch):
    monkeypatch.setattr(Loop, "run", lambda *_: pytest.fail("trained"))
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        search(**options)


def test_a_recipe_of_several_cells_is_refused():
    several = Recipe("mine", CONFIG | {"variants": {"a": {}, "b": {"model": "GIN"}}})
    with pytest.raises(ValueError, match="it has 2 cells"):
        gk.search(several, SPACE)


# What comes out -------------------------------------------------------------------------------------------------------


def test_the_command_the_table_and_the_picture(tmp_path, capsys):
    nodes = pd.DataFrame({"id": range(30), "age": range(30), "team": ["a", "b"] * 15})
    edges = pd.DataFrame({"source": range(29), "target": range(1, 30)})
    (tmp_path / "tables").mkdir()
    nodes.to_csv("tables/nodes.csv", index=False)
    edges.to_csv("tables/edges.csv", index=False)
    config = CONFIG | {"task": {"folder": "tables", "label": "team"}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "space.yaml").write_text("model.hidden_channels: {log: [4, 16]}\nrewiring: [null, FoSR]\n")
    command = ["search", "mine.yaml", "--space", "space.yaml", "--trials", "3", "--seeds", "2", "--output", "best.yaml"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "3 trials, 3 finished, 0 pruned, 0 failed" in printed
    assert "over 2 fresh runs of the winner" in printed
    assert main(["train", "--config", "best.yaml", "--trainer.max_epochs", "1"]) == 0
    (tmp_path / "space.yaml").write_text("model.hiden: {log: [4, 16]}")
    assert main(command) == 2
    assert "unknown argument 'model.hiden'" in capsys.readouterr().err
    found = search(trials=3)
    assert list(found.frame().columns) == ["state", "val_accuracy", *SPACE, "epochs", "seconds", "error"]
    assert repr(found).startswith("SearchResult(search: 3 trials, 3 finished, 0 pruned, 0 failed; validation accuracy")
    assert "<td>3 trials, 3 finished, 0 pruned, 0 failed</td>" in found._repr_html_()
    found.plot(path="found.png")
    assert found.plot("costs").axes[0].get_xlabel() == "seconds of a trial"
    assert len(found.plot("costs").axes[0].texts) == found.num_finished
    assert (tmp_path / "found.png").stat().st_size > 1000
