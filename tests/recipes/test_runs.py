"""Runs of recipes: in parallel, interrupted, kept, repeated where they are damaged."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from joblib import parallel_config

import graphkit as gk
from graphkit.core.locks import locked
from graphkit.datasets import MissingFilesError
from graphkit.recipes import Experiment, Recipe, running
from tests.recipes.small import changed
from tests.training import runs

pytestmark = pytest.mark.usefixtures("own_folder")


def test_parallel_runs_give_the_same_numbers():
    recipe = Recipe("mine", changed())
    one = recipe.run(progress=False, folder="one")
    two = recipe.run(progress=False, folder="two", jobs=2)
    for first, second in zip(one.cell.runs, two.cell.runs, strict=True):
        assert {**first, "seconds": 0} == {**second, "seconds": 0}


@pytest.fixture(params=["dask", "ray"])
def cluster(request):
    """The name by which joblib calls into a local cluster of two processes."""
    if request.param == "dask":
        distributed = pytest.importorskip("distributed")
        with (
            distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as workers,
            distributed.Client(workers),
        ):
            yield "dask"
    else:
        ray = pytest.importorskip("ray")
        pytest.importorskip("ray.util.joblib").register_ray()
        ray.init(num_cpus=2, include_dashboard=False)
        yield "ray"
        ray.shutdown()


def test_a_cluster_gives_the_same_numbers(cluster, trainings):
    recipe = Recipe("mine", changed())
    here = recipe.run(progress=False, folder="here")
    assert trainings == [0, 1, 2]
    with parallel_config(cluster, n_jobs=2):
        there = recipe.run(progress=False, folder="there")
    assert trainings == [0, 1, 2]  # no training in this process
    for first, second in zip(here.cell.runs, there.cell.runs, strict=True):
        assert {**first, "seconds": 0} == {**second, "seconds": 0}


def test_finished_seeds_are_kept_and_damaged_ones_repeated(trainings, tmp_path):
    recipe = Recipe("mine", changed())
    first = recipe.run(seeds=2, progress=False)
    assert trainings == [0, 1]
    again = recipe.run(progress=False)
    assert trainings == [0, 1, 2]
    assert again.cell.runs[:2] == first.cell.runs
    kept = tmp_path / "runs" / "reproduce" / "mine"
    whole = (kept / "seed-1" / "result.json").read_text()
    (kept / "seed-1" / "result.json").write_text(whole[: len(whole) // 2])
    (kept / "seed-2" / "result.json").write_text("[1]")
    repeated = recipe.run(progress=False)
    assert trainings == [0, 1, 2, 1, 2]
    without_time = [[{**run, "seconds": 0} for run in result.cell.runs] for result in (again, repeated)]
    assert without_time[0] == without_time[1]
    recipe.run(progress=False, fresh=True)
    assert trainings[5:] == [0, 1, 2]
    Recipe("mine", changed(trainer={"max_epochs": 5})).run(progress=False)  # another configuration
    assert trainings[8:] == [0, 1, 2]


def _run_recipe(output):
    recipe = Recipe("mine", changed(trainer={"max_epochs": 30}))
    Path(output).write_text(json.dumps(recipe.run(progress=False).cell.runs))


def test_two_processes_at_once_share_the_runs(tmp_path):
    processes = [runs.context().Process(target=_run_recipe, args=(tmp_path / name,)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    first, second = (json.loads((tmp_path / name).read_text()) for name in "ab")
    assert len(first) == 3
    assert first == second, "their times are the same, too: each run was trained once"
    assert sorted(path.name for path in Path("runs").rglob("*") if path.is_file()) == ["result.json"] * 3


def test_who_waits_says_so_and_a_flipped_digit_is_noticed(trainings, caplog):
    recipe = Recipe("mine", changed(seeds=1))
    first = recipe.run(progress=False)
    path = Path("runs/reproduce/mine/seed-0/result.json")
    content = json.loads(path.read_text())
    content["run"]["test"] += 0.01
    path.write_text(json.dumps(content))
    with locked(path.parent / f"{content['key']}.lock", ""):
        thread = threading.Thread(target=lambda: recipe.run(progress=False))
        thread.start()
        thread.join(1)
        assert thread.is_alive()
    thread.join()
    assert "result.json is damaged (its checksum is wrong); the run is repeated" in caplog.text
    assert "another process trains split 0, seed 0 in" in caplog.text
    assert trainings == [0, 0]
    assert json.loads(path.read_text())["run"]["test"] == pytest.approx(first.cell.runs[0]["test"] / 100)


def test_threads_give_the_same_numbers():
    recipe = Recipe("mine", changed())
    one = recipe.run(progress=False, folder="one")
    with parallel_config("threading", n_jobs=3):
        two = recipe.run(progress=False, folder="two")
    for first, second in zip(one.cell.runs, two.cell.runs, strict=True):
        assert {**first, "seconds": 0} == {**second, "seconds": 0}


def test_pyg_models_read_where_the_task_says():
    sizes = {"num_nodes": 6, "num_train": 4, "num_val": 4, "num_test": 4}
    for name, options, readout in (("ring-transfer", sizes, "mask"), ("csl", {}, "mean")):
        model = {"class_path": "torch_geometric.nn.GIN", "init_args": {"hidden_channels": 4, "num_layers": 2}}
        experiment = Experiment.from_config({"model": model, "task": {"name": name, **options}})
        task = experiment.load_task()
        model = experiment.build_model(task)
        assert model.readout == readout
        assert model(next(iter(task.batches("val", 3)))).shape == (3, task.num_outputs)


def test_ctrl_c_keeps_what_is_finished(monkeypatch, trainings):
    recipe = Recipe("mine", changed())
    original = running.Experiment.build_trainer

    def build(self, **changes):
        if changes.get("seed") == 2:
            raise KeyboardInterrupt
        return original(self, **changes)

    with monkeypatch.context() as patch:
        patch.setattr(running.Experiment, "build_trainer", build)
        with pytest.raises(KeyboardInterrupt, match="2 of 3 runs of mine are saved"):
            recipe.run(progress=False)
    assert recipe.run(progress=False).cell.n == 3
    assert trainings == [0, 1, 2]


def test_ctrl_c_within_a_run_keeps_its_epochs(ctrl_c_in_epoch, tmp_path):
    recipe = Recipe("mine", changed(trainer={"max_epochs": 6}))
    epochs = ctrl_c_in_epoch(8)  # the second of the second run
    with pytest.raises(KeyboardInterrupt, match="1 of 3 runs of mine are saved"):
        recipe.run(progress=False)
    result = recipe.run(progress=False)
    assert epochs == [0] * 6 + [1] * 6 + [2] * 6
    whole = recipe.run(progress=False, folder=tmp_path / "whole")
    without_time = [[{**run, "seconds": 0} for run in each.cell.runs] for each in (result, whole)]
    assert without_time[0] == without_time[1]
    assert sorted(path.name for path in Path("runs").rglob("*") if path.is_file()) == ["result.json"] * 3


def test_every_split_with_every_seed():
    task = {"name": "minesweeper", "rows": 12, "columns": 12}
    recipe = Recipe("mine", changed(task=task, splits=[0, "random-50-25-25/1"], seeds=[3, 5]))
    result = recipe.run(progress=False)
    assert [(run["split"], run["seed"]) for run in result.cell.runs] == [
        ("random-50-25-25/0", 3),
        ("random-50-25-25/0", 5),
        ("random-50-25-25/1", 3),
        ("random-50-25-25/1", 5),
    ]
    assert result.cell.split == "random-50-25-25/0, random-50-25-25/1"
    assert result.cell.split_hash not in {run["split_hash"] for run in result.cell.runs}


def test_tasks_are_loaded_when_their_runs_begin_and_missing_splits_are_refused_before(trainings, monkeypatch):
    original, loaded = Experiment.load_task, []

    def load_task(self, split=None):
        loaded.append((split, len(trainings)))
        return original(self, split)

    monkeypatch.setattr(Experiment, "load_task", load_task)
    task = {"name": "minesweeper", "rows": 12, "columns": 12}
    recipe = Recipe("mine", changed(task=task, splits=3, seeds=2))
    running._task.cache_clear()
    result = recipe.run(progress=False)
    names = [f"random-50-25-25/{index}" for index in range(3)]
    assert loaded == [(names[0], 0), (names[1], 2), (names[2], 4)]
    tasks = [gk.load(split=name, **task) for name in names]
    assert [run["baseline"] for run in result.cell.runs[::2]] == [
        pytest.approx(100 * task.baseline(), abs=1e-4) for task in tasks
    ]

    def missing(name, splits, **options):
        raise MissingFilesError("gone")

    monkeypatch.setattr(running, "load_splits", missing)
    assert recipe.run(progress=False, fresh=True).missing
    assert len(trainings) == 6


def test_a_number_of_splits_is_so_many_of_the_tasks_family():
    task = {"name": "minesweeper", "split": "random-50-25-25/7"}
    assert Recipe("mine", changed(task=task, splits=2)).splits == ["random-50-25-25/0", "random-50-25-25/1"]
    assert Recipe("mine", changed(task=task, splits=None)).splits == ["random-50-25-25/7"]


def test_integers_of_numpy_are_integers():
    recipe = Recipe("mine", changed(seeds=np.int64(2), trainer={"max_epochs": np.int32(1)}))
    assert recipe.seeds == [0, 1]
    assert [run["seed"] for run in recipe.run(seeds=[np.int64(4)], progress=False).cell.runs] == [4]
