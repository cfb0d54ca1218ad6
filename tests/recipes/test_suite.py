"""Suites: one recipe per task, every scenario of it, what a scenario does, a budget, and one table."""

from __future__ import annotations

import pytest
import torch
import yaml

import graphkit as gk
from graphkit.cli import main
from graphkit.recipes import Experiment, RecipeResult, Suite, load_suite
from graphkit.recipes.files import results_folder
from graphkit.recipes.running import task_of

SMALL = {
    "models": {"MLP": {"model": "MLP"}, "GCN": {"model": "GCN"}},
    "tasks": {
        "karate": {"task": {"name": "karate"}},
        "counts": {
            "task": {"name": "subgraph-counts", "num_train": 12, "num_val": 4, "num_test": 4},
            "scenarios": ["clean", "noisy"],
        },
    },
    "scenarios": {"clean": {}, "noisy": {"noisy": {"edges": 0.5}}, "few": {"few_shot": {"k": 1}}},
    "trainer": {"max_epochs": 2},
    "seeds": 2,
}


def test_every_model_runs_on_every_task_in_its_scenarios_and_nothing_twice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    suite = Suite("small", SMALL)
    assert suite.run("out", budget=0.0).results == {}  # a budget that is spent starts nothing
    first = suite.run("out")
    assert not first.failures
    assert {name: len(r.cells) for name, r in first.results.items()} == {
        "karate": 6,
        "counts": 4,
    }
    counts = RecipeResult.load(tmp_path / "out/small/counts.json")
    assert counts.command == "graphkit benchmark small"
    assert counts.metric == "r2"
    table = first.table()
    assert [row[:3] for row in table.rows[:3]] == [["karate", s, "accuracy (%)"] for s in ("clean", "noisy", "few")]
    cell = first.results["karate"].cells["few", "GCN"]
    assert table.rows[2][4] == f"{cell.mean:.2f} ± {cell.std:.2f}"
    monkeypatch.setattr(gk.Trainer, "fit", None)  # from here on nothing can train
    again = suite.run("out")
    assert str(again) == str(first)
    assert again.save().read_text().count("karate") == 3
    assert (tmp_path / "out/small.png").is_file()


def test_ranks_are_means_over_all_rows_and_the_better_score_comes_first(tmp_path):
    result = Suite("ranks", SMALL).run(tmp_path, folder=tmp_path / "runs")
    means = {"karate": [(50, 70), (60, 60), (80, 10)], "counts": [(0.1, 0.9), (0.2, 0.3)]}
    for name, rows in means.items():
        for cells, row in zip(result.results[name].points.values(), rows):
            for cell, mean in zip(cells.values(), row):
                cell.runs = [run | {"test": mean} for run in cell.runs]
    assert result.ranks() == {"MLP": (2 + 1.5 + 1 + 2 + 2) / 5, "GCN": (1 + 1.5 + 2 + 1 + 1) / 5}


@pytest.mark.parametrize(
    ("scenario", "change"),
    [
        ({"noisy": {"edges": 0.5, "seed": 3}}, lambda task: task.noisy(edges=0.5, seed=3)),
        ({"imbalanced": {"ratio": 3}}, lambda task: task.imbalanced(3)),
        ({"noisy": {"labels": 0.1}, "few_shot": {"k": 1}}, lambda task: task.noisy(labels=0.1).few_shot(1)),
    ],
)
def test_a_scenario_is_what_the_task_s_method_gives(scenario, change):
    config = {"model": "GCN", "task": "csl"}
    experiment = Experiment.from_config(config | {"scenario": scenario})
    got, expected = task_of(experiment, 1), change(gk.load("csl", 1))
    assert got.content_hash == expected.content_hash
    assert torch.equal(got.split.train, expected.split.train)
    assert got.split.name == "cv-5/1"
    plain = Experiment.from_config(config)
    assert experiment.hash != plain.hash == Experiment.from_config(config | {"scenario": {}}).hash


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scenarios": {"clean": {}, "odd": {"noise": {}}}}, "unknown method 'noise'; did you mean 'noisy'?"),
        ({"scenarios": {"clean": {}, "odd": {"noisy": {"edge": 1}}}}, "did you mean 'edges'?"),
        ({"scenarios": {"clean": {}, "odd": {"noisy": {"edges": 2}}}}, r"noisy: edges=2, must be"),
        ({"scenarios": {"clean": {}, "odd": {"few_shot": {}}}}, "few_shot needs k"),
        ({"scenarios": {"clean": {}, "odd": {"few_shot": 3}}}, "expected arguments by name, got 3"),
        ({"tasks": {"a": {"task": {"name": "karate"}, "scenarios": ["klean"]}}}, "tasks.a: unknown scenario 'klean'"),
        ({"tasks": {"a": {"task": {"name": "karat"}}}}, "tasks.a: points.clean: variants.MLP: unknown dataset 'karat'"),
        ({"tasks": {}}, "tasks: expected names"),
        ({"models": ["GCN"]}, "models: expected names"),
        ({"variants": {}}, "'variants' belongs to recipes; a suite has 'models'"),
        ({"epochs": 3}, "unknown key 'epochs'"),
    ],
)
def test_what_is_wrong_in_a_suite_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        Suite("odd", SMALL | change)


def test_scenarios_that_a_task_does_not_have_are_refused_before_the_first_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    counts = {"task": SMALL["tasks"]["counts"]["task"]}
    links = {"task": {"name": "karate-links"}, "scenarios": ["clean", "few"]}
    for name, task, why in (("counts", counts, "needs one class"), ("links", links, "is for graphs and nodes")):
        (tmp_path / "odd.yaml").write_text(yaml.safe_dump(SMALL | {"tasks": {name: task}}))
        assert main(["benchmark", "odd.yaml"]) == 2
        error = capsys.readouterr().err
        assert f"tasks.{name}: few: " in error
        assert why in error
        assert f"leave it out: tasks.{name}.scenarios" in error
    assert not (tmp_path / "runs").exists()


def test_the_command_takes_a_file_and_a_budget(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mine = SMALL | {"tasks": {"karate": {"task": {"name": "karate"}}}, "scenarios": {"clean": {}}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mine))
    assert main(["benchmark", "mine.yaml", "--budget", "soon"]) == 2
    assert main(["benchmark", "robustnes"]) == 2
    assert "did you mean 'robustness'?" in capsys.readouterr().err
    assert main(["benchmark", "mine.yaml", "--budget", "0s"]) == 0
    assert "not started: the budget was spent" in capsys.readouterr().out
    assert main(["benchmark", "mine.yaml"]) == 0
    assert "mean rank" in capsys.readouterr().out
    assert (tmp_path / "results/mine/karate.json").is_file()


def test_differences_are_tested_in_scenarios_of_several_splits(tmp_path):
    models = {"MLP": {"model": "MLP"}, "GCN": {"model": "GCN", "against": "MLP"}}
    config = SMALL | {"models": models, "tasks": {"csl": {"task": {"name": "csl"}}}, "splits": 2, "seeds": 1}
    config["scenarios"] = {"few": {"few_shot": {"k": 2}}}
    result = Suite("splits", config).run(tmp_path, folder=tmp_path / "runs").results["csl"]
    assert result.differences("few")["GCN"].n == 2


def test_the_shipped_suite_is_sound_and_its_results_are_of_today():
    suite = load_suite("robustness")
    suite.check()
    for name, recipe in suite.recipes.items():
        stored = RecipeResult.load(results_folder(True) / suite.name / f"{name}.json")
        assert {key: cell.config_hash for key, cell in stored.cells.items()} == {
            key: cell.experiment.hash for key, cell in recipe.cells.items()
        }
