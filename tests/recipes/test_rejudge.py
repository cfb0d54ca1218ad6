"""Kept results judged anew: by the recipe of today, with baselines, and without a run."""

from __future__ import annotations

import json

import pytest
import yaml

import graphkit as gk
from graphkit.cli import main
from graphkit.recipes import Recipe, RecipeResult, files, rejudge, rejudge_all, running

PAPER = {"value": 50.0, "paper": "A and B (2020)", "table": "Table 1", "split": "public"}
CONFIG = {"model": {"class_path": "GCN", "init_args": {"hidden_channels": 4}}, "task": "karate",
          "trainer": {"max_epochs": 2}, "seeds": 3}  # fmt: skip
SPREAD = {"spread": 1.0, "spread_kind": "standard error", "n": 3}


pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.fixture
def result():
    """A result as it was kept before there were baselines, by a recipe without a published value."""
    found = Recipe("mine", CONFIG).run(progress=False)
    for run in found.cell.runs:
        del run["baseline"]
    return found


def test_published_values_and_baselines_come_from_today(result, monkeypatch):
    monkeypatch.setattr(running, "_run_one", lambda *_: pytest.fail("a run was made"))
    before = [run["test"] for run in result.cell.runs]
    recipe = Recipe("mine", CONFIG | {"published": PAPER | SPREAD, "margin": 0.5, "note": "As told today."})
    rejudge(result, recipe)
    assert result.note == "As told today."
    assert result.cell.published == recipe.cell.published
    assert result.cell.verdict.margin == 0.5
    assert result.cell.baseline == pytest.approx(100 * gk.load("karate").baseline(), abs=1e-5)
    assert [run["test"] for run in result.cell.runs] == before
    rejudge(result, Recipe("mine", CONFIG | {"published": PAPER, "not_comparable": "Other  splits."}))
    assert result.cell.verdict.word == "not comparable"
    assert result.cell.verdict.reason == "Other splits."
    rejudge(result, Recipe("mine", CONFIG))
    assert result.cell.verdict.word == "no published value"


def test_another_configuration_is_not_comparable(result):
    told = result.note
    rejudge(result, Recipe("mine", CONFIG | {"trainer": {"max_epochs": 3}, "published": PAPER, "note": "New."}))
    assert result.note == told
    assert result.cell.verdict.reason.startswith("measured with another configuration than the recipe's of today")


def test_folds_are_found_again():
    model = {"class_path": "GCN", "init_args": {"hidden_channels": 4, "readout": "mean"}}
    config = CONFIG | {"model": model, "task": "csl", "seeds": 1, "splits": ["cv-5/0", "cv-5/1"]}
    measured = Recipe("mine", config).run(progress=False)
    assert measured.cell.overlap == 1 / 4
    assert [run["baseline"] for run in measured.cell.runs] == [10.0, 10.0]
    measured.cell.overlap = 0.0
    rejudge(measured, Recipe("mine", config))
    assert measured.cell.overlap == 1 / 4


def test_on_the_command_line(result, tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(CONFIG | {"published": PAPER}))
    assert main(["reproduce", "mine.yaml", "--judge"]) == 2
    assert "results/mine.json is not there" in capsys.readouterr().err
    saved = result.save()
    assert main(["reproduce", "mine.yaml", "--judge"]) == 0
    (cell,) = json.loads(saved.read_text())["cells"]
    assert cell["published"]["value"] == 50.0
    assert cell["baseline"] is not None
    assert f"verdict     {RecipeResult.load(saved).cell.verdict}" in capsys.readouterr().out
    assert main(["reproduce", "mine.yaml", "--judge", "--seeds", "3"]) == 2
    assert "--seeds is for runs, and --judge makes none" in capsys.readouterr().err


def test_all_results_at_once(result, tmp_path, monkeypatch, capsys):
    path = tmp_path / "recipes" / "mine" / "good.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(CONFIG | {"published": PAPER | {"confirmed": True}}))
    monkeypatch.setattr(files, "shipped", lambda kind: tmp_path / kind)
    result.save(tmp_path / "out" / "mine" / "good.json")
    other = result.save(tmp_path / "out" / "mine" / "good-on-another-split.json").read_text()
    report = rejudge_all("out")
    assert report.results["mine/good"].cell.published.confirmed
    assert (tmp_path / "out" / "mine" / "good-on-another-split.json").read_text() == other
    assert main(["reproduce", "--all", "--judge", "--output", "out"]) == 0
    assert report.summary() in capsys.readouterr().out
