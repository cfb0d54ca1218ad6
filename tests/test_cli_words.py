"""Messages of commands speak of flags where those of Python speak of arguments."""

import pandas as pd
import pytest

from graphkit.cli import main
from graphkit.cli.wording import in_flags, offer, shell_words

pytestmark = pytest.mark.usefixtures("own_folder")


FLAGS = [
    *("--overwrite", "--resume", "--seed", "--features", "--sampler"),
    *("--model.norm", "--model.depth", "--strategy.depth", "--trainer.seed", "--trainer.scheduler_kwargs"),
    *("--task.impute", "--task.features"),
]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("fill them: impute='mean'", "fill them: --task.impute mean"),
        ("use norm=None, or norm='row sum'", "use --model.norm null, or --model.norm 'row sum'"),
        ("leave it out by features=[...]", "leave it out by --task.features"),
        ("scheduler_kwargs={'T_max': 3}, must", "--trainer.scheduler_kwargs '{\"T_max\": 3}', must"),
        ("replace it by fit(..., overwrite=True), or", "replace it by --overwrite, or"),
        ("continue it by fit(..., resume=True)", "continue it by --resume"),
        ("train with resume=False, overwrite=True", "train with no --resume, --overwrite"),
        ("seed=-1, must be at least 0", "--seed -1, must be at least 0"),  # the command's own comes first
        ("such as gk.features.FastRP()", "such as --features FastRP"),
        (
            "subgraphs: task.sampled(gk.samplers.NeighborSampler([15, 10]))",
            "subgraphs: --sampler NeighborSampler --sampler.num_neighbors '[15, 10]'",
        ),
        *((same, same) for same in ("depth=3", "width=2", "Split.random_edges(seed=1)", "norm=tensor(3)", "")),
    ],
)
def test_arguments_become_the_flags_that_set_them(said, told):
    with shell_words():
        offer(lambda: FLAGS)
        assert in_flags(said) == told
    assert in_flags(said) == said  # outside of a command nothing is changed


def test_a_wrong_configuration_does_not_hide_its_message():
    def refuse() -> list[str]:
        raise ValueError("no such model")

    with shell_words():
        offer(refuse)
        offer(lambda: FLAGS)
        assert in_flags("norm='row'") == "--model.norm row"


@pytest.fixture
def tables(tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    nodes = {"id": range(12), "size": [None, *map(float, range(11))], "topic": ["a", "b"] * 6}
    pd.DataFrame(nodes).to_csv(folder / "nodes.csv", index=False)
    pd.DataFrame({"source": range(11), "target": range(1, 12)}).to_csv(folder / "edges.csv", index=False)
    return folder


def test_the_remedy_that_train_tells_helps(tables, capsys):
    command = ["train", "--model", "GCN", "--data", str(tables), "--task.label", "topic", "--trainer.max_epochs", "1"]
    assert main(command) == 1
    remedy = capsys.readouterr().err.strip().rpartition(": ")[2]
    assert remedy == "--task.impute mean"
    assert main([*command, *remedy.split(), "--trainer.run_dir", "here"]) == 0
    assert main([*command, *remedy.split(), "--trainer.run_dir", "here"]) == 1
    assert "continue it by --resume, replace it by --overwrite" in capsys.readouterr().err
    assert main([*command, *remedy.split(), "--trainer.run_dir", "here", "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--model", "GCN", "--task", "karate", "--trainer.lr=-1"], "--trainer.lr -1.0, must be positive"),
        (["rewire", "karate", "--method", "SDRF", "--tau", "-3"], "SDRF: --tau -3, must be positive"),
        (["expressivity", "GIN", "--model.dropout", "1.5"], "GIN: --model.dropout 1.5, must be in [0, 1)"),
    ],
)
def test_every_command_knows_the_flags_of_its_classes(arguments, message, capsys):
    assert main(arguments) > 0
    assert message in capsys.readouterr().err


def test_debug_shows_what_python_says():
    with pytest.raises(Exception, match=r"lr=-1\.0"):
        main(["train", "--debug", "--model", "GCN", "--task", "karate", "--trainer.lr=-1"])


def test_what_has_no_label_is_predicted_by_its_ids(tables, capsys):
    nodes = pd.read_csv(tables / "nodes.csv").assign(size=1.0, id=[f"n{i}" for i in range(12)])
    nodes.loc[[3, 8], "topic"] = None
    nodes.to_csv(tables / "nodes.csv", index=False)
    ends = pd.read_csv(tables / "edges.csv").map(lambda end: f"n{end}")
    ends.to_csv(tables / "edges.csv", index=False)
    train = ["train", "--model", "GCN", "--data", str(tables), "--task.label", "topic", "--trainer.max_epochs", "1"]
    assert main([*train, "--trainer.run_dir", "run"]) == 0
    for stage, name in (([], "all.csv"), (["--stage", "unlabelled"], "some.csv")):
        assert main(["predict", "run", *stage, "--output", name]) == 0
    every, some = (pd.read_csv(name, index_col=0) for name in ("all.csv", "some.csv"))
    assert list(some.index) == ["n3", "n8"]
    pd.testing.assert_frame_equal(some, every.loc[some.index])
