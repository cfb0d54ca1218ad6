"""A run folder belongs to one run: locked, never a mixture, whole or named as damaged."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torch_geometric

import graphkit as gk
from graphkit.training.checkpoint import load_checkpoint
from tests import tiny
from tests.training import runs


def fit(run_dir, **settings):
    return runs.fit(**{"max_epochs": 3, "run_dir": run_dir, "checkpoint_seconds": 0.0} | settings)[0]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- whose folder -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", ["result.json", "model.safetensors", "model.pt", "checkpoint.pt"])
def test_a_folder_that_holds_a_run_is_refused(left, tmp_path):
    fit(tmp_path)
    for name in {"result.json", "model.safetensors", "model.pt", "checkpoint.pt"} - {left}:
        (tmp_path / name).unlink()
    before = content(tmp_path)
    message = rf"run_dir='.*' holds a run \({left}\); continue it by fit\(\.\.\., resume=True\), replace it by fit"
    with pytest.raises(ValueError, match=message):
        fit(tmp_path, seed=1)
    if left != "checkpoint.pt":
        with pytest.raises(ValueError, match=r"holds a run .*, but no checkpoint\.pt to continue from"):
            fit(tmp_path, resume=True)
    assert content(tmp_path) == before
    assert fit(tmp_path, seed=1, overwrite=True).test == fit(None, seed=1).test


def test_overwriting_leaves_nothing_of_the_old_run_and_all_of_the_user(tmp_path):
    fit(tmp_path, max_epochs=5, loggers=("csv", "tensorboard"))
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / ".model.safetensors.abc.tmp").write_text("half")
    fit(tmp_path, overwrite=True)
    names = {path.name for path in tmp_path.iterdir()}
    of_weights = {"model.safetensors", "model.pt"}
    assert names == {"config.json", "history.csv", "checkpoint.pt", "result.json", "run.lock", "notes.txt"} | of_weights
    assert len(list(csv.DictReader((tmp_path / "history.csv").open()))) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"run_dir": ""}, r"^Trainer: run_dir='', must name a folder; leave it out to write no files$"),
        ({"run_dir": None, "overwrite": True}, "overwrite=True needs run_dir"),
        ({"resume": True, "overwrite": True}, "resume=True continues .* overwrite=True replaces it; choose one"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        fit(**{"run_dir": "run"} | settings)
    assert not list(tmp_path.iterdir())


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(ValueError, match=r"run_dir='.*run' is a file, must be a folder"):
        fit(tmp_path / "run")
    assert (tmp_path / "run").read_text() == "mine"


def test_files_of_the_user_are_no_run_to_be_replaced(tmp_path):
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "config.json").write_text("mine")
    before = content(tmp_path)
    with pytest.raises(ValueError, match=r"holds a run \(tensorboard, config\.json\)"):
        fit(tmp_path)
    assert {name: text for name, text in content(tmp_path).items() if name != "run.lock"} == before


def test_two_runs_at_once(tmp_path):
    process = runs.start("node", tmp_path, at_call=50, pause=0.01, checkpoint_seconds=0.0, max_epochs=60)
    for choice in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(RuntimeError, match=r"run_dir='.*' is in use by another run; wait for its end, or choose"):
            fit(tmp_path, **choice)
    process.kill()
    process.join()
    done = len(load_checkpoint(tmp_path / "checkpoint.pt")["history"])
    assert 0 < done < 60
    assert fit(tmp_path, overwrite=True).test == fit(None).test, "the lock of a killed run must be free"


# --- killed -----------------------------------------------------------------------------------------------------------


def _runs_in(folder: Path) -> set[float]:
    """The learning rates of all runs of which something is in the folder; they differ from run to run."""
    found = set()
    for name in ("config.json", "result.json"):
        if (folder / name).exists():
            content = json.loads((folder / name).read_text())
            found.add(content.get("config", content)["trainer"]["lr"])
    if (folder / "checkpoint.pt").exists():
        found.add(load_checkpoint(folder / "checkpoint.pt")["settings"]["lr"])
    if (folder / "history.csv").exists():
        found |= {float(row["lr"]) for row in csv.DictReader((folder / "history.csv").open())}
    for name in ("model.safetensors", "model.pt"):
        if (folder / name).exists():
            weights = gk.load_weights(runs.fit(max_epochs=1)[1], folder / name).state_dict()
            same = [lr for lr in (0.01, 0.5) if all(map(torch.equal, weights.values(), _weights(lr).values()))]
            assert same, f"{name} holds weights of no run"
            found |= set(same)
    return found


def _weights(lr: float) -> dict[str, torch.Tensor]:
    return runs.fit(max_epochs=3, lr=lr, seed=0)[1].state_dict()


@pytest.mark.parametrize("choice", ["overwrite", "resume"])
def test_a_kill_at_any_instant_leaves_the_files_of_one_run(choice, tmp_path):
    torch.set_num_threads(1)
    settings = {"max_epochs": 3, "lr": 0.01, "checkpoint_seconds": 1e9}
    fit(tmp_path / "old", **settings)
    settings |= {"overwrite": True, "lr": 0.5} if choice == "overwrite" else {"resume": True, "max_epochs": 6}
    seen = set()
    for change in range(1, 60, 1 if choice == "overwrite" else 2):
        folder = tmp_path / str(change)
        shutil.copytree(tmp_path / "old", folder)
        process = runs.context().Process(target=runs.killed_at, args=(change, str(folder), settings))
        process.start()
        process.join(60)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        found = _runs_in(folder) if choice == "overwrite" else {0.01}
        assert len(found) <= 1, f"killed at change {change}, the folder holds two runs: {sorted(os.listdir(folder))}"
        seen |= found
        if choice == "resume" and (folder / "result.json").exists():
            told = gk.Result.load(folder / "result.json").epochs
            assert told == json.loads((folder / "config.json").read_text())["trainer"]["max_epochs"]
        if change % 4 == 0:  # and the next run finds no trace of the kill
            assert fit(folder, **settings).history == fit(None, **settings | {choice: False}).history
            assert not list(folder.glob(".*"))
    assert process.exitcode == 0
    assert change > 10
    assert seen == ({0.01, 0.5} if choice == "overwrite" else {0.01})


# --- deleted, full, linked --------------------------------------------------------------------------------------------


class _Deleting(gk.strategies.Backprop):
    """Deletes the run folder in the second epoch."""

    def __init__(self, folder: Path, then=lambda: None) -> None:
        super().__init__()
        self.folder, self.then = folder, then

    def on_epoch_start(self, epoch: int) -> None:
        if epoch == 2:
            shutil.rmtree(self.folder)
            self.then()

    def __repr__(self) -> str:
        return "_Deleting()"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # TensorBoard's own
def test_a_folder_deleted_during_the_run_is_made_again(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "run"
    strategy = _Deleting(folder)
    with pytest.warns(UserWarning, match=r"run folder .*run was deleted during the run; its files are written anew"):
        result = fit(folder, strategy=strategy, max_epochs=4, loggers=("csv", "tensorboard"))
    assert gk.Result.load(folder / "result.json") == result
    assert json.loads((folder / "config.json").read_text())["trainer"]["max_epochs"] == 4
    assert [int(row["epoch"]) for row in csv.DictReader((folder / "history.csv").open())] == [1, 2, 3, 4]
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train_loss")] == [0, 1, 2, 3]
    assert len(load_checkpoint(folder / "checkpoint.pt")["history"]) == 4


def test_a_folder_taken_over_by_another_run_is_left_to_it(tmp_path):
    folder = tmp_path / "run"
    strategy = _Deleting(folder, then=lambda: strategy.__dict__.update(other=_hold(folder)))
    with pytest.raises(RuntimeError, match="is in use by another run"):
        fit(folder, strategy=strategy, loggers=())
    assert [path.name for path in folder.iterdir()] == ["run.lock"]
    strategy.other.release()


def _hold(folder: Path):
    from filelock import FileLock

    folder.mkdir()
    lock = FileLock(folder / "run.lock")
    lock.acquire(blocking=False)
    return lock


FULL = """
import sys, torch
from tests.training import runs
try:
    runs.fit(run_dir=sys.argv[1] + "/run", checkpoint_seconds=0.0, model=runs.Wide(), warm_start=True)
except OSError as error:
    print(error)
"""


def test_a_full_disk_at_the_first_checkpoint_names_the_file_and_the_space(tmp_path):
    """On a real small disk, where the system lets us have one."""
    script = f"mount -t tmpfs -o size=300k none {tmp_path} && exec {sys.executable} -c '{FULL}' {tmp_path}"
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(done.stderr)
    expected = (
        r"no space left on the disk while writing \S+/run/checkpoint\.pt; free .* \(0\.\d MiB are free in \S+/run"
    )
    assert re.search(expected, done.stdout), done.stderr


def test_logs_do_not_follow_links(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim.csv").write_text("precious")
    folder = tmp_path / "run"
    fit(folder)
    for name in ("history.csv", "config.json", "model.safetensors", "result.json"):
        (folder / name).unlink()
        (folder / name).symlink_to(outside / "victim.csv")
    fit(folder, max_epochs=5, resume=True)
    fit(folder, max_epochs=5, overwrite=True)
    (folder / "tensorboard").symlink_to(outside)
    with pytest.raises(ValueError, match=r"tensorboard is a symbolic link, must be .* of this run; remove the link"):
        fit(folder, max_epochs=7, resume=True, loggers=("tensorboard",))
    fit(folder, overwrite=True, loggers=("tensorboard",))
    assert (outside / "victim.csv").read_text() == "precious"
    assert [path.name for path in outside.iterdir()] == ["victim.csv"]


# --- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "build",
    [
        lambda task: gk.models.GCN.from_task(task, hidden_channels=8),
        lambda task: torch_geometric.nn.GCN(task.num_features, 8, 2, out_channels=task.num_outputs),
        lambda task: gk.models.PyGModel(torch_geometric.nn.GCN(task.num_features, 8, 2, out_channels=task.num_outputs)),
    ],
)
def test_weights_load_into_a_new_model_of_the_user(build, tmp_path):
    task = tiny.task("node multiclass")
    trained = build(task)
    fit(tmp_path, model=trained, task=task)
    fresh = gk.load_weights(build(task), tmp_path / "model.safetensors")
    assert runs.same(fresh, trained)
    build(task).load_state_dict(safetensors.torch.load_file(tmp_path / "model.safetensors"))
    by_old_name = build(task)
    by_old_name.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    assert runs.same(by_old_name, trained)
    with pytest.raises(ValueError, match=r"weights .*model\.safetensors do not fit Linear; build the model"):
        gk.load_weights(torch.nn.Linear(2, 2), tmp_path / "model.safetensors")


def test_every_flipped_byte_of_weights_is_noticed_or_harmless(tmp_path):
    path = tmp_path / "model.safetensors"
    _, model = runs.fit(max_epochs=2, run_dir=tmp_path)
    good = path.read_bytes()
    other = runs.fit(max_epochs=1)[1]
    noticed = 0
    for position in range(0, len(good), 11):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        try:
            gk.load_weights(other, path)
        except ValueError as error:
            noticed += "model.safetensors" in str(error)
        else:
            assert runs.same(other, model), f"byte {position} changed the weights unnoticed"
    assert noticed
    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(
        ValueError, match=r"weights .*model\.safetensors cannot be read \(.*\); restore a copy, or write them again by"
    ):
        gk.load_weights(model, path)


@pytest.mark.parametrize(
    "lost", sorted(load for load in ("phase", "finished", "model", "optimizers", "random", "history"))
)
def test_a_checkpoint_that_lacks_something_says_what(lost, tmp_path):
    fit(tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del state[lost]
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(
        ValueError, match=rf"checkpoint .*checkpoint\.pt cannot be continued \(it lacks '{lost}'\); restore"
    ):
        fit(tmp_path, resume=True)
