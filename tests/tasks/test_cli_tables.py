"""The command line on a user's tables: train, and predict in another run of the program."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import yaml

import graphkit as gk
from graphkit.cli import main
from graphkit.recipes import Experiment
from tests.tasks.papers import tables, write

pd = pytest.importorskip("pandas")


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nodes, edges = tables()
    write(nodes, edges.assign(year=2000))


def train(*flags):
    arguments = "--model GCN --data papers --task.label topic --task.edge_weight year --trainer.run_dir run"
    return main(["train", *arguments.split(), "--trainer.max_epochs", "3", *flags])


def test_train_and_predict(capsys):
    assert train("--task.categorical", "[open]", "--model.hidden_channels", "8") == 0
    assert "task        papers, split random/0" in capsys.readouterr().out
    assert main(["predict", "run", "papers", "--output", "out.csv"]) == 0
    assert "30 predictions in out.csv" in capsys.readouterr().out
    written = pd.read_csv("out.csv", index_col="paper")
    expected = gk.load_run("run").predict("papers")
    pd.testing.assert_frame_equal(written, expected, check_dtype=False, check_index_type=False)
    assert main(["predict", "run", "papers"]) == 0
    printed = pd.read_csv(io.StringIO(capsys.readouterr().out), index_col="paper")
    pd.testing.assert_frame_equal(printed, written)
    assert main(["predict", "run", "--stage", "val"]) == 0
    part = pd.read_csv(io.StringIO(capsys.readouterr().out), index_col="paper")
    task = gk.NodeTask.from_csv("papers", "topic", edge_weight="year", categorical=["open"])
    assert list(part.index) == list(task.ids[task.split.val.numpy()])
    assert (part.prediction == part.label).mean() == pytest.approx(gk.load_run("run").result.val)


def test_an_interrupted_run_is_to_be_continued_first(capsys):
    assert train() == 0
    Path("run/result.json").unlink()
    assert main(["predict", "run"]) == 1
    assert "run run has not ended; continue it by graphkit train --resume run" in capsys.readouterr().err


def test_predictions_make_the_folder_they_go_to(capsys):
    assert train() == 0
    assert main(["predict", "run", "papers", "--output", "new/deep/out.csv"]) == 0
    assert len(pd.read_csv("new/deep/out.csv")) == 30


def test_columns_that_are_separated_otherwise_are_recognised(capsys):
    pd.read_csv("papers/nodes.csv").to_csv("papers/nodes.csv", index=False, sep=";")
    assert train() == 1
    assert "nodes has no column 'topic'; it has 'paper;" in (told := capsys.readouterr().err)
    assert told.rstrip().endswith("columns seem to be separated by ';', must be by ','")


def test_a_run_of_tables_is_resumed_and_configured_by_file():
    assert train() == 0
    assert main(["train", "--resume", "run", "--trainer.max_epochs", "5"]) == 0
    assert gk.load_run("run").result.epochs == 5
    config = yaml.safe_load(Path("run/experiment.yaml").read_text())
    assert config["task"]["folder"] == "papers"
    assert Experiment.from_config(config).config["task"] == config["task"]
    assert main(["train", "--config", "run/experiment.yaml", "--trainer.run_dir", "again"]) == 0
    assert gk.load_run("again").result.test == gk.load_run("run").result.test


def test_features_and_transforms_are_applied_to_new_tables(capsys):
    Path("plus.yaml").write_text("transforms: [torch_geometric.transforms.NormalizeFeatures]\n")
    assert train("--features", "RandomWalkPE", "--features.walk_length", "3", "--config", "plus.yaml") == 0
    capsys.readouterr()
    assert main(["predict", "run", "papers"]) == 0
    assert len(pd.read_csv(io.StringIO(capsys.readouterr().out))) == 30


def test_predict_of_a_dataset(capsys):
    assert (
        main(["train", "--model", "MLP", "--task", "karate", "--trainer.max_epochs", "2", "--trainer.run_dir", "run"])
        == 0
    )
    capsys.readouterr()
    assert main(["predict", "run"]) == 0
    assert len(pd.read_csv(io.StringIO(capsys.readouterr().out))) == 34


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("train --model GCN --data papers", 1, "label"),
        ("train --model GCN --data papers --task.label topic --task.lable x", 2, "did you mean 'task.label'"),
        ("train --model GCN --data paper --task.label topic", 2, "task: paper is no folder; give one with nodes.csv"),
        (
            "train --model GCN --data papers --task cora",
            2,
            "--task names a dataset, --data a folder of tables; give one",
        ),
        ("train --model GCN --data papers --task.label topik", 1, "nodes has no column 'topik'"),
        (
            "train --model GCN --data papers/nodes.csv --task.label topic",
            2,
            "is one of two tables; give their folder, papers",
        ),
        ("predict nothing papers", 1, "run nothing has no config.json"),
        ("predict nothing", 2, "there is no folder nothing; give that of a finished run"),
        ("train --model GCN --task papers", 2, "'papers' is no name of a dataset; files of your own are"),
        ("predict run paper", 2, "paper is no folder; give one with nodes.csv and edges.csv"),
        ("predict run papers --stage val", 2, "--stage names a part of the run's own task; leave it out, or DATA"),
    ],
)
def test_what_is_wrong_is_told(arguments, code, message, capsys):
    assert main(arguments.split()) == code
    assert message in capsys.readouterr().err


def test_recommend_prints_the_best_items(capsys):
    from tests.tasks.test_ranking_task import table

    table().to_csv("films.csv", index=False)
    flags = "--model LightGCN --data films.csv --task.user who --task.item what --task.rating stars --task.threshold 2"
    shares = "--task.val 0.2 --task.test 0.2 --trainer.max_epochs 2 --trainer.run_dir run"
    assert main(["train", *flags.split(), *shares.split()]) == 0
    assert "task        films, split random/0" in capsys.readouterr().out
    assert main(["recommend", "run", "--user", "u03", "u00", "--k", "2"]) == 0
    printed = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert printed.user.tolist() == ["u03", "u03", "u00", "u00"]
    task = gk.RankingTask.from_csv("films.csv", "who", "what", rating="stars", threshold=2, val=0.2, test=0.2)
    best = gk.load_run("run", task=task).predict(task, None, as_frame=True)
    assert printed["item"].tolist() == [*best.loc["u03"]["item"][:2], *best.loc["u00"]["item"][:2]]
    assert main(["recommend", "run", "--user", "u99"]) == 2
    assert "task 'films' has no user 'u99'; it has 12, such as 'u00'" in capsys.readouterr().err
    assert train("--trainer.run_dir", "nodes") == 0
    assert main(["recommend", "nodes", "--user", "1"]) == 2
