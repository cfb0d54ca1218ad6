"""Loggers by name and by hand: each hears of the arguments once, of every epoch once, and of the end."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from graphkit.training import Trainer, load_run, loggers
from tests.training import runs
from tests.training.test_callbacks import Once, fail


class Memory:
    """What Fabric's interface asks of a logger, kept in lists."""

    version = "of mine"
    fails_at = -1

    def __init__(self):
        self.params, self.rows, self.ends = [], [], []

    def log_hyperparams(self, params):
        self.params.append(params)

    def log_metrics(self, metrics, step=None):
        if step == self.fails_at:
            raise OSError("no network")
        self.rows.append((step, metrics))

    def save(self):
        pass

    def finalize(self, status):
        self.ends.append(status)

    def steps(self):
        return [step for step, _ in self.rows]


def numbers(history):
    return [{key: value for key, value in row.items() if isinstance(value, float)} for row in history]


@pytest.mark.parametrize("has_folder", [True, False])
def test_a_logger_hears_of_arguments_epochs_and_the_end(has_folder, tmp_path):
    log = Memory()
    result, _ = runs.fit(loggers=[log], max_epochs=5, run_dir=tmp_path if has_folder else None, validate_every=2)
    assert log.rows == list(enumerate(numbers(result.history)))
    assert log.rows[0][1].keys() == {"train_loss", "lr"}
    assert log.ends == ["success"]
    (params,) = log.params
    assert params["trainer"]["max_epochs"] == 5
    assert params["trainer"]["loggers"] == ["Memory"]
    assert params["model"] == result.model
    assert result.task in params["task"]
    assert not (tmp_path / "history.csv").exists()


def test_a_failed_run_says_so_and_logs_its_last_epoch():
    log = Memory()
    with pytest.raises(RuntimeError, match="pruned"):
        runs.fit(loggers=[log], callbacks=[Once(3, fail)])
    assert log.steps() == [0, 1, 2]
    assert log.ends == ["failed"]


def test_a_resumed_run_logs_nothing_twice_and_what_is_missing(tmp_path):
    """The second part has logged epochs that no checkpoint knows, so the third trains them again."""
    parts, late = [Memory(), Memory(), Memory()], Memory()
    settings = {"run_dir": tmp_path, "checkpoint_seconds": 1000.0}
    runs.fit(loggers=parts[:1], max_epochs=2, **settings)
    with pytest.raises(RuntimeError, match="pruned"):
        runs.fit(loggers=parts[1:2], callbacks=[Once(4, fail)], resume=True, max_epochs=6, **settings)
    result, _ = runs.fit(loggers=[parts[2], late], resume=True, max_epochs=6, **settings)
    assert [part.steps() for part in parts] == [[0, 1], [2, 3], [4, 5]]
    assert [row for part in parts for row in part.rows] == late.rows == list(enumerate(numbers(result.history)))
    assert [len(log.params) for log in (*parts, late)] == [1, 0, 0, 1]  # one log has one set of arguments
    fresh = Memory()
    runs.fit(loggers=[fresh], overwrite=True, max_epochs=3, **settings)
    assert (fresh.steps(), len(fresh.params)) == ([0, 1, 2], 1)


def test_a_logger_that_fails_ends_the_run_and_hears_the_rest_when_it_is_resumed(tmp_path):
    first, second = Memory(), Memory()
    first.fails_at = 3
    settings = {"run_dir": tmp_path, "checkpoint_seconds": 0.0, "max_epochs": 6}
    with (
        pytest.warns(UserWarning, match=r"_Loggers\.on_exception has failed: OSError\('no network'\)"),
        pytest.raises(OSError, match="no network"),
    ):
        runs.fit(loggers=[first], **settings)
    runs.fit(loggers=[second], resume=True, **settings)
    assert first.steps() + second.steps() == list(range(6))
    assert (first.ends, second.ends) == (["failed"], ["success"])


def test_loggers_of_fabric_and_several_of_a_class(tmp_path):
    from lightning_fabric.loggers import CSVLogger

    given = [CSVLogger(tmp_path, name="one"), CSVLogger(tmp_path, name="two")]
    result, model = runs.fit(loggers=given, max_epochs=3, run_dir=tmp_path / "run")
    assert result.config["trainer"]["loggers"] == ["CSVLogger", "CSVLogger 2"]
    for logger in given:
        rows = list(csv.DictReader(Path(logger.log_dir, "metrics.csv").read_text().splitlines()))
        assert [float(row["train_loss"]) for row in rows] == [row["train_loss"] for row in result.history]
    run = load_run(tmp_path / "run")
    assert run.trainer.loggers == ()
    assert runs.same(run.model, model)


def test_loggers_change_no_bit(tmp_path):
    plain = runs.train("node", None, max_epochs=4)
    logged = runs.train("node", str(tmp_path), max_epochs=4, loggers=["csv", Memory()])
    assert logged.history == plain.history


def test_tensorboard_has_the_arguments_and_goes_on(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = {"run_dir": tmp_path, "loggers": ["tensorboard"], "checkpoint_seconds": 0.0}
    with pytest.raises(RuntimeError, match="pruned"):
        runs.fit(callbacks=[Once(3, fail)], max_epochs=6, **settings)
    result, _ = runs.fit(resume=True, max_epochs=6, **settings)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    losses = events.Scalars("train_loss")
    assert [event.step for event in losses] == list(range(6))
    assert [event.value for event in losses] == pytest.approx([row["train_loss"] for row in result.history])
    assert any("hparams" in tag for tag in events.summary_metadata)


def test_mlflow_keeps_one_run_over_a_resume(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("pytorch_lightning")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    settings = {"run_dir": tmp_path / "run", "loggers": ["mlflow"], "checkpoint_seconds": 0.0}
    with pytest.raises(RuntimeError, match="pruned"):
        runs.fit(callbacks=[Once(3, fail)], max_epochs=6, **settings)
    result, _ = runs.fit(resume=True, max_epochs=6, **settings)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/run/mlflow.db")
    experiment = client.get_experiment_by_name("graphkit")
    (run,) = client.search_runs([experiment.experiment_id])
    points = client.get_metric_history(run.info.run_id, "train_loss")
    assert [(p.step, p.value) for p in points] == [(i, row["train_loss"]) for i, row in enumerate(result.history)]
    assert run.data.params["trainer/max_epochs"] == "6"
    assert run.info.status == "FINISHED"


def test_wandb_offline_has_a_run_per_fit(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    pytest.importorskip("pytorch_lightning")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("one", "two"):
        runs.fit(run_dir=tmp_path / name, loggers=["csv", "wandb"], max_epochs=3)
        assert wandb.run is None  # ended, so that the next fit does not write into it
        (file,) = (tmp_path / name / "wandb").glob("offline-run-*/run-*.wandb")
        assert file.stat().st_size > 0


def test_comet_offline(tmp_path, monkeypatch):
    pytest.importorskip("comet_ml")
    pytest.importorskip("pytorch_lightning")
    monkeypatch.setenv("COMET_START_ONLINE", "0")
    runs.fit(run_dir=tmp_path, loggers=["comet"], max_epochs=3)
    assert list((tmp_path / "comet").glob("*.zip"))


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow", "comet"])
def test_what_is_not_installed_is_refused_at_once_with_the_remedy(name, monkeypatch, tmp_path):
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=rf"Trainer: loggers\[0\]='{name}', needs .*pip install 'graphkit-pyg\[{name}"):
        Trainer(loggers=[name], run_dir=tmp_path)


@pytest.mark.parametrize("wrong", [Memory, object(), 3, None])
def test_what_is_no_logger_is_refused_at_once(wrong):
    with pytest.raises(ValueError, match=r"Trainer: loggers\[0\]=.*, must be a name \(csv, .* or a Logger as of"):
        Trainer(loggers=[wrong])


def test_a_run_with_a_logger_that_is_not_installed_here_can_be_loaded(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    runs.fit(run_dir=tmp_path, loggers=["csv", "tensorboard"])
    assert load_run(tmp_path).trainer.loggers == ("csv", "tensorboard")
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    assert load_run(tmp_path).trainer.loggers == ("csv",)
