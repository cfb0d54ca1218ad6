"""The command line, wrongly used or interrupted: one line, an exit code, and the traceback only on demand."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphkit.cli import main
from tests.shell import run, run_folder

pytestmark = pytest.mark.usefixtures("own_folder")


BASE = ["train", "--model", "gcn", "--task", "karate"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "did you mean 'train'?"),
        (["compare"], "unknown command 'compare'; did you mean 'benchmark'?"),
        (["train", "--model", "GraphSAGE", "--task", "karate"], "PyG's is called torch_geometric.nn.GraphSAGE"),
        ([*BASE, "--rewiring", "AddSelfLoops"], "PyG's is called torch_geometric.transforms.AddSelfLoops"),
        (["train"], "train needs a model and a task, e.g. graphkit train --model GCN --task cora"),
        (["train", "--data", "."], "train needs a model, e.g. graphkit train --model GCN"),
        (["train", "--model", "gcn"], "train needs a task, e.g. graphkit train --task cora"),
        (["train", "--model", "gcm", "--task", "karate"], "unknown model 'gcm'; did you mean 'GCN'?"),
        (["train", "--model", "gcn", "--task", "karat"], "unknown dataset 'karat'; did you mean 'karate'?"),
        (["train", "--model", "gcn", "--task", "sr16"], "dataset 'sr16' is a list of graphs to tell apart"),
        ([*BASE, "--split", "9"], "split 9 of family 'public' does not exist"),
        ([*BASE, "--model.hiden_channels", "8"], "did you mean 'model.hidden_channels'?"),
        ([*BASE, "--trainer.epochs=8"], "did you mean 'trainer.max_epochs'?"),
        ([*BASE, "--task.rows", "8"], "unknown argument 'task.rows'"),
        ([*BASE, "--modle.dropout", "8"], "unknown argument 'modle.dropout'; did you mean 'model.dropout'?"),
        ([*BASE, "--model.in_channels", "8"], "model.in_channels is filled from the task"),
        ([*BASE, "--model.hidden_channels", "wide"], "model.hidden_channels: expected int, got 'wide'"),
        (
            ["train", "--model", "GCN", "--data", ".", "--task.label", "y", "--task.features", "age"],
            "task.features: expected a list such as '[age]' or null, got 'age'",
        ),
        ([*BASE, "--trainer.patience", "soon"], "trainer.patience: expected int or null, got 'soon'"),
        ([*BASE, "--trainer.lr=-1"], "Trainer: --trainer.lr -1.0, must be positive"),
        ([*BASE, "--model.dropout", "1.5"], "GCN: --model.dropout 1.5, must be in [0, 1)"),
        ([*BASE, "--model.dropout"], "--model.dropout: expected one argument"),
        ([*BASE, "--strategy", "backprob"], "unknown strategy 'backprob'; did you mean 'Backprop'?"),
        ([*BASE, "--model", "no.such.Net"], "model: no.such.Net: cannot import no.such here"),
        ([*BASE, "--model", "torch_geometric.nn.GCM"], "did you mean 'GCN'?"),
        ([*BASE, "--model", "torch.optim.Adam"], "is not a subclass of torch.nn"),
        ([*BASE, "--config", "absent.yaml"], "there is no file absent.yaml"),
        ([*BASE, "stray"], "unrecognized arguments: stray"),
        (["reproduce", "gcn/coro"], "unknown recipe 'gcn/coro'; did you mean 'gcn/cora'?"),
        (["reproduce", "cora"], "choose from: appnp/cora, dagnn/cora, "),
        (["reproduce", "gcn/cora", "--seed", "1"], "unrecognized arguments: --seed 1; did you mean --seeds?"),
        (["reproduce", "gcn/cora", "--seeds", "many"], "--seeds: expected a number of at least 1"),
        (["reproduce", "gcn/cora", "--split", "publik"], "did you mean 'public'?"),
        (["list", "modles"], "did you mean 'models'?"),
        (["data", "check", "coro"], "unknown dataset 'coro'; did you mean 'cora'?"),
        (["data"], "data needs one of list, check, fetch, clear"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments, message, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("graphkit: error: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not Path("runs").exists()


def test_an_argument_without_a_type_is_missed_by_its_name(capsys):
    Path("untyped_net.py").write_text(
        "import torch\nclass Net(torch.nn.Linear):\n    def __init__(self, width, bias=None):\n"
        "        super().__init__(width, 4)\n"
    )
    assert main(["train", "--model", "untyped_net.Net", "--task", "karate"]) == 2
    assert "the following arguments are required: model.width" in capsys.readouterr().err
    assert (
        main(["train", "--model", "untyped_net.Net", "--model.width", "34", *BASE[3:], "--trainer.max_epochs", "1"])
        == 0
    )


def test_a_bad_config_file_is_named(capsys):
    Path("broken.yaml").write_text("model: [GCN\n")
    assert run("train", "--config", "broken.yaml") == 2
    assert "broken.yaml is not valid YAML" in capsys.readouterr().err
    Path("list.yaml").write_text("- GCN\n")
    assert run("train", "--config", "list.yaml") == 2
    assert "list.yaml: expected keys such as model" in capsys.readouterr().err


def test_failures_are_exit_code_1_and_debug_shows_the_traceback(capsys):
    failing = [*BASE, "--trainer.lr", "1e30", "--trainer.optimizer", "SGD", "--trainer.max_epochs", "20"]
    assert main(failing) == 1
    error = capsys.readouterr().err
    assert "loss is nan" in error or "loss is inf" in error
    assert "Traceback" not in error
    with pytest.raises(FloatingPointError):
        main([*failing, "--debug"])


def test_missing_data_is_a_failure_that_names_the_file(capsys, monkeypatch):
    monkeypatch.delenv("GRAPHKIT_MIRROR", raising=False)
    monkeypatch.setattr("urllib.request.urlopen", _offline)
    assert run("train", "--model", "gcn", "--task", "cora") == 1
    assert "planetoid/Cora/raw/ind.cora.x" in capsys.readouterr().err


def _offline(*_: object, **__: object) -> None:
    import urllib.error

    raise urllib.error.URLError("no network")


def test_ctrl_c_is_130_and_says_how_to_go_on(capsys, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("graphkit.training.Trainer.fit", interrupted)
    assert run(*BASE) == 130
    assert f"continue with: graphkit train --resume {run_folder()}" in capsys.readouterr().err


# list, data, doctor
