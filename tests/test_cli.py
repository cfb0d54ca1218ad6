"""The command line, end to end on small tasks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.shell import run, run_folder

SMALL = ["--trainer.max_epochs", "3"]


pytestmark = pytest.mark.usefixtures("own_folder")


# train


def test_train_prints_the_result_and_keeps_a_run_folder(capsys):
    assert run("train", "--model", "gcn", "--task", "karate", "--model.hidden_channels", "8", *SMALL) == 0
    printed = capsys.readouterr().out
    folder = run_folder()
    assert folder.name.startswith("karate-GCN-")
    result = json.loads((folder / "result.json").read_text())
    assert f"test        accuracy {100 * result['test']:.2f} %" in printed
    assert "GCN(34, hidden_channels=8, out_channels=4)" in printed
    assert str(folder) in printed
    assert len(result["history"]) == 3


def test_train_on_links(capsys):
    flags = "--task karate-links --split random-85-5-10/1 --model.hidden_channels 8 --trainer.batch_size 20"
    assert run("train", "--model", "GCN", *flags.split(), *SMALL) == 0
    printed = capsys.readouterr().out
    assert "roc_auc" in printed
    assert "GCN(34, hidden_channels=8, out_channels=8)" in printed
    assert run("data", "check", "karate-links") == 0
    assert run("train", "--model", "LinkPredictor", "--model.encoder", "MLP", "--task", "karate-links", *SMALL) == 0
    assert "LinkPredictor(MLP(34, out_channels=64))" in capsys.readouterr().out
    assert run("train", "--model", "NCNC", "--model.alpha", "0.5", "--task", "karate-links", *SMALL) == 0
    assert "NCNC(GCN(34, out_channels=64), alpha=0.5)" in capsys.readouterr().out


def test_train_on_subgraphs(capsys):
    flags = "--task karate --sampler NeighborSampler --sampler.num_neighbors [3,2] --trainer.batch_size 2"
    assert run("train", "--model", "GCN", *flags.split(), *SMALL) == 0
    assert "NeighborSampler([3, 2])" in json.loads((run_folder() / "config.json").read_text())["task"]
    assert run("train", "--model", "GCN", "--task", "karate", "--sampler", "GraphSAINTNode", *SMALL) == 2
    assert "sampler.num_draws" in capsys.readouterr().err
    assert run("list", "samplers") == 0
    assert "ClusterSampler" in capsys.readouterr().out


def test_every_class_argument_is_a_flag():
    flags = "--task minesweeper --task.rows 12 --task.columns=10 --split random-50-25-25/3 --model MLP --model.norm "
    flags += "layer_norm --features random-walk-pe --features.walk_length 3 --rewiring RandomEdges "
    flags += "--rewiring.num_edges 20 --strategy Backprop --trainer.lr 0.05 --trainer.loggers [csv,tensorboard]"
    weights = '{"layers.0.*": 5e-4}'
    assert run("train", *flags.split(), "--trainer.weight_decay", weights, *SMALL) == 0
    config = yaml.safe_load((run_folder() / "experiment.yaml").read_text())
    assert config["task"] == {"name": "minesweeper", "split": "random-50-25-25/3", "rows": 12, "columns": 10}
    assert config["features"] == {"class_path": "RandomWalkPE", "init_args": {"walk_length": 3}}
    assert config["rewiring"]["init_args"]["num_edges"] == 20
    assert config["strategy"] == {"class_path": "Backprop", "init_args": {}}
    assert config["trainer"]["lr"] == 0.05
    assert config["trainer"]["weight_decay"] == {"layers.0.*": 0.0005}
    assert config["trainer"]["loggers"] == ["csv", "tensorboard"]
    result = json.loads((run_folder() / "result.json").read_text())
    assert result["model"].startswith("MLP(10, ")  # 7 features and 3 return probabilities
    assert result["split"] == "random-50-25-25/3"


def test_pyg_models_and_own_modules_train(tmp_path):
    assert run("train", "--model", "torch_geometric.nn.GCN", "--task", "karate", *SMALL) == 0
    graphs = "--task.num_nodes 6 --task.num_train 10 --task.num_val 10 --task.num_test 10"
    assert run("train", "--model", "torch_geometric.nn.GIN", "--task", "ring-transfer", *graphs.split(), *SMALL) == 0
    (tmp_path / "mynets.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self, in_channels, out_channels, width: int = 3):\n"
        "        super().__init__()\n"
        "        self.a, self.b = torch.nn.Linear(in_channels, width), torch.nn.Linear(width, out_channels)\n"
        "    def forward(self, x):\n"
        "        return self.b(self.a(x).relu())\n"
    )
    assert run("train", "--model", "mynets.Net", "--model.width", "5", "--task", "karate", *SMALL) == 0
    names = {folder.name.split("-2")[0]: folder for folder in Path("runs").iterdir()}
    own = json.loads((names["karate-Net"] / "result.json").read_text())
    assert own["num_parameters"] == 34 * 5 + 5 + 5 * 4 + 4
    pyg = json.loads((names["karate-GCN"] / "result.json").read_text())
    assert pyg["num_parameters"] == 34 * 64 + 64 + 64 * 4 + 4


def test_a_run_of_an_own_class_predicts_in_the_folder_of_its_file(tmp_path, monkeypatch, capsys):
    (tmp_path / "stacked.py").write_text(
        "from graphkit.models import LayerStack\n"
        "from torch_geometric.nn import SAGEConv\n"
        "class Net(LayerStack):\n"
        "    def make_layer(self, in_channels, out_channels):\n"
        "        return SAGEConv(in_channels, out_channels)\n"
        "    def propagate(self, layer, h, batch):\n"
        "        return layer(h, batch.edge_index)\n"
    )
    assert run("train", "--model", "stacked.Net", "--task", "karate", *SMALL) == 0
    (folder,) = Path("runs").iterdir()
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(tmp_path)])
    monkeypatch.delitem(sys.modules, "stacked")  # as in another process
    capsys.readouterr()
    assert run("predict", str(folder)) == 0
    assert len(capsys.readouterr().out.splitlines()) == 35


def test_printed_config_trains_the_same(capsys):
    arguments = ["--model", "gcn", "--task", "karate", "--model.dropout", "0.5", "--features", "RandomWalkPE", *SMALL]
    assert run("train", *arguments, "--print_config") == 0
    printed = capsys.readouterr().out
    assert not Path("runs").exists()
    Path("config.yaml").write_text(printed)
    assert run("train", "--config", "config.yaml", "--print_config") == 0
    assert capsys.readouterr().out == printed
    assert run("train", *arguments, "--trainer.run_dir", "a") == 0
    assert run("train", "--config", "config.yaml", "--trainer.run_dir", "b") == 0
    first, second = (json.loads(Path(folder, "result.json").read_text()) for folder in "ab")
    assert first["history"] == second["history"]
    assert first["test"] == second["test"]


def test_flags_win_over_the_file_and_another_class_drops_its_arguments(capsys):
    Path("c.yaml").write_text(
        "model: {class_path: GCN, init_args: {hidden_channels: 7, residual: true}}\n"
        "task: {name: minesweeper, split: random-50-25-25/1, rows: 10}\n"
        "trainer: {max_epochs: 9, lr: 5e-3}\nseeds: 3\npublished: {value: 1.0, paper: P, table: T, split: S}\n"
    )
    flags = ["--model", "gcn", "--model.residual", "false", "--trainer.max_epochs=4", "--split", "2"]
    assert run("train", "--config", "c.yaml", *flags, "--print_config") == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["model"]["init_args"]["hidden_channels"] == 7
    assert config["model"]["init_args"]["residual"] is False
    assert config["task"] == {"name": "minesweeper", "split": 2, "rows": 10}
    assert (config["trainer"]["max_epochs"], config["trainer"]["lr"]) == (4, 0.005)
    assert run("train", "--config", "c.yaml", "--model", "MLP", "--task", "karate", "--print_config") == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["model"]["init_args"]["hidden_channels"] == 64
    assert config["task"] == {"name": "karate", "split": 0}


def test_resume_continues_to_the_same_end(capsys):
    whole = ["--model", "gcn", "--task", "karate", "--model.dropout", "0.5"]
    assert run("train", *whole, "--trainer.max_epochs", "6", "--trainer.run_dir", "whole") == 0
    assert run("train", *whole, "--trainer.max_epochs", "2", "--trainer.run_dir", "parts") == 0
    assert run("train", "--resume", "parts", "--trainer.max_epochs", "6") == 0
    first, second = (json.loads(Path(folder, "result.json").read_text()) for folder in ("whole", "parts"))
    assert first["history"] == second["history"]
    assert first["test"] == second["test"]
    assert run("train", "--resume", "parts", "--trainer.lr", "0.5") == 1
    assert "--trainer.lr 0.5; use the same settings" in capsys.readouterr().err
    assert run("train", "--resume", "nowhere") == 2
    assert "nowhere is not the folder of a run" in capsys.readouterr().err


def test_a_run_folder_is_replaced_only_on_demand(capsys):
    whole = ["--model", "gcn", "--task", "karate", "--trainer.run_dir", "mine"]
    assert run("train", *whole, *SMALL) == 0
    before = {path: path.read_bytes() for path in Path("mine").iterdir()}
    assert run("train", *whole, "--trainer.max_epochs", "4") == 1
    assert "continue it by --resume, replace it by --overwrite" in capsys.readouterr().err
    assert run("train", "--resume", "mine", "--trainer.lr", "0.5") == 1
    assert {path: path.read_bytes() for path in Path("mine").iterdir()} == before, "a refused run changes nothing"
    assert run("train", *whole, "--trainer.max_epochs", "4", "--overwrite") == 0
    assert yaml.safe_load(Path("mine/experiment.yaml").read_text())["trainer"]["max_epochs"] == 4
    assert run("train", "--model", "gcn", "--task", "karate", "--overwrite") == 2
    assert "name it by --trainer.run_dir" in capsys.readouterr().err


def test_two_runs_in_the_same_second_have_their_own_folders():
    for _ in range(2):
        assert run("train", "--model", "mlp", "--task", "karate", "--trainer.max_epochs", "1") == 0
    assert len(list(Path("runs").iterdir())) == 2


# errors


def test_list_has_one_line_each(capsys):
    for what, name, text in (
        ("models", "GCN", "raph convolution"),
        ("strategies", "Backprop", "radient"),
        ("rewirings", "RandomEdges", "edges"),
        ("features", "RandomWalkPE", "walk"),
        ("recipes", "gcn/cora", "81.5 %"),
    ):
        assert run("list", what) == 0
        lines = capsys.readouterr().out.splitlines()
        (line,) = [line for line in lines if line.split()[0] == name]
        assert text in line
        assert not any(mark in "".join(lines) for mark in ("``", ":class:", "`_"))


def test_list_tasks_says_what_is_at_hand(capsys, monkeypatch):
    monkeypatch.delenv("GRAPHKIT_MIRROR", raising=False)
    assert run("list", "tasks") == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "offline (generated)" in lines["karate"]
    assert "online" in lines["cora"]


def test_data_check_fetch_clear(capsys, mirror, tmp_path):
    assert run("data", "check", "texas") == 0
    assert "mirror" in capsys.readouterr().out
    assert run("data", "fetch", "texas") == 0
    assert run("data", "check", "texas") == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]} == {"local"}
    assert run("train", "--model", "mlp", "--task", "texas", "--trainer.max_epochs", "1") == 0
    assert (tmp_path / "data" / "processed" / "texas.pt").is_file()
    assert run("data", "clear", "texas") == 0
    assert not (tmp_path / "data" / "processed" / "texas.pt").exists()
    assert not [path for path in (tmp_path / "data" / "raw").rglob("*") if path.is_file()]


def test_help_and_version_need_no_torch():
    code = (
        "from graphkit.cli import main as m; m(['--help']); m(['--version']); import sys; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: graphkit COMMAND")
    assert done.stdout.endswith("False\n")


def test_train_help_shows_the_flags_of_the_chosen_classes(capsys):
    assert run("train", "--model", "gcn", "--task", "ring-transfer", "--help") == 0
    printed = capsys.readouterr().out
    for flag in ("--config", "--model.hidden_channels", "--task.num_nodes", "--trainer.patience", "--resume"):
        assert flag in printed


def test_the_process_itself(tmp_path):
    command = [sys.executable, "-m", "graphkit", "trian"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("graphkit: error: unknown command 'trian'")


def test_a_command_executes_nothing_of_the_current_folder(tmp_path):
    """Not even by ``python -m``, which puts that folder first, once it has found graphkit."""

    def python(*arguments):
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}
        return subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
        )

    of_python = python("-c", "import runpy, pkgutil, graphkit, sys; print(*sys.modules)").stdout.split()
    poison = "open('executed', 'a').write(__name__ + ' ')\nraise SystemExit('executed')"
    for name in sys.stdlib_module_names.difference(of_python):
        (tmp_path / f"{name}.py").write_text(poison)
    (tmp_path / "runs").touch()  # so that the demo has nowhere to write
    assert f"{Path('runs/demo')}" in python("-m", "graphkit.demo").stderr
    done = python("-m", "graphkit", "list", "models")
    assert not (tmp_path / "executed").exists(), (tmp_path / "executed").read_text()
    assert done.returncode == 0, done.stderr
    assert "GCN" in done.stdout


@pytest.mark.slow
def test_processes_of_a_command_import_nothing_from_the_current_folder(tmp_path):
    recipe = "model: mlp\ntask: karate\ntrainer: {max_epochs: 1}\nseeds: 2\n"
    (tmp_path / "mine.yaml").write_text(recipe)
    (tmp_path / "_multiprocessing.py").write_text("open('executed', 'w')\n")  # one that joblib's workers ask for
    assert run("reproduce", "mine.yaml", "--jobs", "2", "--output", "r.json") == 0
    assert not (tmp_path / "executed").exists()
    assert "PYTHONSAFEPATH" not in os.environ


def test_the_current_folder_is_searched_last_and_for_own_classes_only(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(tmp_path)])
    before = list(sys.path)
    for command in ("list models", "data list", "rewire karate --method RandomEdges --budget 1", "data check"):
        run(*command.split())
        assert sys.path == before
    (tmp_path / "ownnets.py").write_text("import torch\nclass Net(torch.nn.Linear):\n    pass\n")
    (tmp_path / "csv.py").write_text("raise SystemExit('executed')")
    run("train", "--model", "ownnets.Net", "--task", "karate", "--help")
    assert sys.path == [*before, str(tmp_path)]


def test_advise_on_tables_with_gaps_and_weights(tmp_path, capsys):
    nodes = [f"{i},{'' if i == 3 else i % 4},{'ab'[i % 2]}" for i in range(30)]
    (tmp_path / "nodes.csv").write_text("\n".join(["name,age,club", *nodes]))
    (tmp_path / "edges.csv").write_text("\n".join(["source,target,km", *(f"{i},{(i + 1) % 30},2" for i in range(30))]))
    assert run("advise", ".", "--label", "club") == 2
    assert "let them be filled: --impute mean" in capsys.readouterr().err
    assert run("advise", ".", "--label", "club", "--impute", "mean", "--edge_weight", "km") == 0
    assert "How sure:" in capsys.readouterr().out
