"""Run folders: checkpoints and their failures, resuming, logs, results."""

from __future__ import annotations

import csv
import dataclasses
import errno
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from graphkit.core.files import save_tensors
from graphkit.models import GCN
from graphkit.training import Trainer
from graphkit.training.checkpoint import load_checkpoint, random_state, set_random_state
from graphkit.training.plots import plot_results
from graphkit.training.result import Result
from graphkit.transforms.rewiring import RandomEdges
from tests import tiny
from tests.training import runs
from tests.training.runs import train


def fit(run_dir, hidden=8, task=None, **settings):
    task = tiny.task("node multiclass") if task is None else task
    model = GCN.from_task(task, hidden_channels=hidden)
    return runs.fit(model, task, **{"checkpoint_seconds": 0.0, "run_dir": run_dir} | settings)[0]


# --- resuming ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["node", "graph"])
def test_a_longer_run_continues_a_finished_one(kind, tmp_path):
    train(kind, str(tmp_path), max_epochs=7)
    longer = train(kind, str(tmp_path), resume=True, max_epochs=12)
    straight = train(kind, None, max_epochs=12)
    assert longer.history == straight.history
    assert all(torch.equal(value, longer.weights[name]) for name, value in straight.weights.items())
    assert (longer.test, longer.best_epoch) == (straight.test, straight.best_epoch)
    assert len(list(csv.DictReader((tmp_path / "history.csv").open()))) == 12


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    first = fit(tmp_path)
    again = fit(tmp_path, resume=True)
    assert (again.history, again.test, again.val) == (first.history, first.test, first.val)


def test_resume_without_a_checkpoint_starts(tmp_path):
    assert fit(tmp_path, resume=True).epochs == 6


def test_a_new_run_in_an_old_folder_forgets_the_old_checkpoint(tmp_path):
    fit(tmp_path, max_epochs=9)
    fit(tmp_path, max_epochs=3, checkpoint_seconds=1e9, overwrite=True)
    assert len(load_checkpoint(tmp_path / "checkpoint.pt")["history"]) == 3
    assert len(list(csv.DictReader((tmp_path / "history.csv").open()))) == 3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"lr": 0.02},
            r"written with lr=0\.01, but this run has lr=0\.02; use the same settings, or another",
        ),
        ({"seed": 5}, "seed=0, but this run has seed=5"),
        ({"hidden": 16}, "model='GCN.*hidden_channels=8.*this run has model='GCN.*hidden_channels=16"),
        ({"weight_decay": 0.1}, r"weight_decay=0\.0"),
        ({"precision": "64-true"}, "precision='32-true'"),
        ({"task": tiny.node_task(seed=3)}, "task content="),
        ({"task": tiny.node_task(metric="accuracy").transform(RandomEdges(1, seed=1))}, "task=.*82 edges"),
    ],
)
def test_a_changed_setting_is_named(changed, message, tmp_path):
    fit(tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(ValueError, match=message):
        fit(tmp_path, resume=True, **changed)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


# --- damaged checkpoints ----------------------------------------------------------------------------------------------


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _foreign(path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, path)


def _text(path: Path) -> None:
    path.write_text("not a checkpoint")


class _Surprise:
    def __reduce__(self):
        return os.mkdir, ("surprise",)


def _code(path: Path) -> None:
    torch.save({"settings": {}, "surprise": _Surprise()}, path)


@pytest.mark.parametrize("damage", [_truncate, _flip_a_bit, _empty, _foreign, _text, _code])
def test_a_damaged_checkpoint_is_named(damage, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit(tmp_path)
    damage(tmp_path / "checkpoint.pt")
    with pytest.raises(
        ValueError,
        match=r"checkpoint .*checkpoint\.pt cannot be read \(.*delete it and train with",
    ):
        fit(tmp_path, resume=True)
    assert not (tmp_path / "surprise").exists(), "code from the checkpoint was run"


def test_every_flipped_byte_of_a_checkpoint_is_noticed_or_harmless(tmp_path):
    path = tmp_path / "c.pt"
    save_tensors(path, {"settings": {}, "weights": torch.arange(50.0)})
    good, expected = path.read_bytes(), torch.arange(50.0)
    assert torch.equal(load_checkpoint(path)["weights"], expected)
    for position in range(0, len(good), 37):
        content = bytearray(good)
        content[position] ^= 4
        path.write_bytes(content)
        try:
            state = load_checkpoint(path)
        except ValueError:
            continue
        assert torch.equal(state["weights"], expected), f"byte {position} changed the weights unnoticed"


def test_a_full_disk_while_checkpointing_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    fit(tmp_path, max_epochs=3)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    files = sorted(tmp_path.iterdir())
    original = torch.save

    def full(state, path, *rest):
        if "checkpoint" in str(path):
            Path(path).write_bytes(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        original(state, path, *rest)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"no space left on the disk while writing .*checkpoint\.pt; free some space"):
        fit(tmp_path, resume=True, max_epochs=6)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert sorted(tmp_path.iterdir()) == files
    monkeypatch.undo()
    assert fit(tmp_path, resume=True, max_epochs=6).history == fit(tmp_path / "other", max_epochs=6).history


def test_interrupted_while_writing_a_checkpoint(tmp_path, monkeypatch):
    fit(tmp_path, max_epochs=3)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_tensors(tmp_path / "checkpoint.pt", {})
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert not list(tmp_path.glob(".*tmp"))


def test_random_states_are_put_back():
    import random

    state = json.loads(json.dumps({k: v for k, v in random_state().items() if k in ("python", "numpy")}))
    full = random_state() | {"numpy": state["numpy"]}
    drawn = random.random(), np.random.rand(), torch.rand(1).item(), np.random.randn(), random.gauss(0, 1)
    set_random_state(full)
    assert drawn == (random.random(), np.random.rand(), torch.rand(1).item(), np.random.randn(), random.gauss(0, 1))


# --- logs and results -------------------------------------------------------------------------------------------------


def test_the_run_folder(tmp_path):
    result = fit(tmp_path / "deep" / "run")
    folder = tmp_path / "deep" / "run"
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "history.csv", "checkpoint.pt", "model.safetensors", "result.json"} <= names
    assert not [name for name in names if name.startswith(".")]
    rows = list(csv.DictReader((folder / "history.csv").open()))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 7))
    assert [float(row["val_accuracy"]) for row in rows] == [row["val_accuracy"] for row in result.history]
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    model = GCN(6, 8, out_channels=3)
    model.load_state_dict(weights)
    task = tiny.task("node multiclass")
    metric = task.new_metric()
    metric.update(*task.select(model.eval()(task.batches("test")[0]), task.batches("test")[0], "test"))
    assert metric.compute() == pytest.approx(result.test, abs=1e-7)
    config = json.loads((folder / "config.json").read_text())
    assert config["trainer"]["max_epochs"] == 6
    assert config["model"] == "GCN(6, hidden_channels=8, out_channels=3)"


def test_tensorboard_logs_can_be_read(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = fit(tmp_path, loggers=("csv", "tensorboard"))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.value for event in events.Scalars("train_loss")] == pytest.approx(
        [row["train_loss"] for row in result.history]
    )
    assert [event.step for event in events.Scalars("lr")] == list(range(6))


def test_results_survive_a_file(tmp_path):
    result = fit(None)
    result.save(tmp_path / "r.json")
    assert Result.load(tmp_path / "r.json") == result
    assert json.loads((tmp_path / "r.json").read_text())["split_hash"] == result.split_hash
    for content in ("{", '{"test": 1}', "[]"):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(ValueError, match=r"bad\.json is not a result of graphkit"):
            Result.load(tmp_path / "bad.json")
    for wrong, name in (({"test": math.nan}, "test=nan"), ({"history": "none"}, "history='none'")):
        dataclasses.replace(result, **wrong).save(tmp_path / "bad.json")
        with pytest.raises(ValueError, match=rf"bad\.json is not a result.*Result: {name}, must be"):
            Result.load(tmp_path / "bad.json")


def test_every_flipped_byte_of_a_result_is_noticed_or_harmless(tmp_path):
    path = tmp_path / "result.json"
    result = fit(None, max_epochs=2)
    result.save(path)
    good, noticed = path.read_bytes(), 0
    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        try:
            assert Result.load(path) == result, f"byte {position} changed the result unnoticed"
        except ValueError as error:
            noticed += "result.json" in str(error)
    assert noticed > len(good) / 2


def test_results_say_what_matters():
    result = fit(None, max_epochs=3)
    text = str(result)
    assert f"accuracy {100 * result.test:.2f} %" in text
    items = result.judged["val"]
    assert f"accuracy {100 * result.val:.2f} % on {items} at epoch {result.best_epoch} (3 trained)" in text
    assert result.split_hash in text
    assert "seed 0" in text
    assert f"{result.num_parameters:,} parameters" in text
    assert {"torch", "graphkit", "python"} <= result.versions.keys()
    regression = fit(None, task=tiny.task("node regression"))
    assert f"mae {regression.test:.4f}" in str(regression)


def test_the_picture_is_not_blank(tmp_path):
    from matplotlib.image import imread

    result = train("greedy", None, max_epochs=5)
    result.plot(tmp_path / "curves.png")
    picture = imread(tmp_path / "curves.png")[..., :3]
    assert min(picture.shape[:2]) > 300
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
    curves = (np.ptp(picture, axis=2) > 0.3).sum()
    assert curves > 200, "there are no coloured curves"
    figure = plot_results([result, result])
    lengths = [len(line.get_xdata()) for line in figure.axes[0].lines]
    assert lengths == [len(result.history), len(result.history), 2] * 2  # 2: the line between the phases


def test_no_run_dir_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit(None)
    assert not list(tmp_path.iterdir())


def test_numbers_of_numpy_stay_numbers(tmp_path):
    task = tiny.task("node multiclass")
    numbers = {"max_epochs": np.int64(1), "lr": np.float32(0.5), "warm_start": np.bool_(False)}
    settings = {"optimizer_kwargs": {"eps": np.float64(1e-8)}, "progress": False, "run_dir": tmp_path / "r"}
    Trainer(**numbers, **settings).fit(GCN.from_task(task, hidden_channels=4), task)
    written = json.loads((tmp_path / "r" / "config.json").read_text())
    for arguments in (written["trainer"], written["rebuild"]["trainer"]["init_args"]):
        assert {name: arguments[name] for name in numbers} == {"max_epochs": 1, "lr": 0.5, "warm_start": False}
        assert arguments["optimizer_kwargs"] == {"eps": 1e-8}
