"""All recipes within a budget: what is done is skipped, what fails stops nothing, one table shows everything."""

from __future__ import annotations

import json
import math
from html.parser import HTMLParser

import pytest
import yaml
from scipy import stats

import graphkit as gk
from graphkit.cli import main
from graphkit.recipes import OutOfTime, Recipe, Report, RunOptions, files, reproduce_all, running
from graphkit.recipes.reproducing import is_done

PAPER = {"value": 50.0, "paper": "A & B (2020)", "table": "Table 1", "split": "public", "confirmed": True}
CONFIG = {
    "model": {"class_path": "GCN", "init_args": {"hidden_channels": 4}},
    "task": "karate",
    "trainer": {"max_epochs": 2},
    "seeds": 2,
}
MLP = {"model": {"class_path": "MLP"}, "published": PAPER}
FILES = {
    "mine/good": CONFIG | {"published": PAPER},
    "mine/compared": CONFIG | {"variants": {"GCN": {}, "MLP": MLP}},
    "mine/swept": CONFIG
    | {"variants": {"GCN": {}, "MLP": MLP}, "points": {"1": {}, "2": {"trainer": {"max_epochs": 1}}}},
    "mine/broken": CONFIG | {"trainer": {"max_epochs": 2, "lr": 1e30}},
}


@pytest.fixture(autouse=True)
def _own_recipes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path / "data"))
    for name, content in FILES.items():
        path = tmp_path / "recipes" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content, sort_keys=False))
    monkeypatch.setattr(files, "shipped", lambda kind: tmp_path / kind)


@pytest.fixture
def trainings(monkeypatch):
    """How many runs were really trained."""
    runs = []
    original = running._run_one
    monkeypatch.setattr(running, "_run_one", lambda *arguments: runs.append(arguments) or original(*arguments))
    return runs


def test_everything_in_one_table_and_nothing_twice(tmp_path, trainings):
    report = reproduce_all("out", progress=False)
    assert len(trainings) == 2 + 4 + 8 + 1  # the broken one stops at its first run
    assert list(report.failures) == ["mine/broken"]
    assert report.failures["mine/broken"].startswith("failed: ")
    (section,) = report.methods()
    measured = {row[0]: row for row in section.table.rows}
    assert set(measured) == {"good", "compared: MLP", "swept: MLP at 1", "swept: MLP at 2"}
    (good,) = json.loads((tmp_path / "out" / "mine" / "good.json").read_text())["cells"]
    half_width = stats.t.isf(0.025, 1) * good["std"] / math.sqrt(2)
    assert measured["good"][1:] == [
        "50",
        f"{good['mean']:.2f} ± {half_width:.2f} %",
        "2",
        good["verdict"]["word"],
        "0 s",
    ]
    assert (measured["good"][0].url, measured["good"][1].url) == (f"{report.recipes}/mine/good.yaml", "")
    assert [[row[0] for row in part.table.rows] for part in report.comparisons()] == [["GCN", "MLP"]]
    assert [list(part.table.header) for part in report.sweeps()] == [["variant", "1 ± std", "2 ± std"]]

    again = reproduce_all("out", progress=False)
    assert len(trainings) == 16  # only the broken one was tried again
    assert again.results == report.results


def test_the_report_as_markdown_and_as_one_page(tmp_path):
    report = reproduce_all("out", progress=False)
    text = (tmp_path / "out" / "reproduced.md").read_text()
    assert text == report.markdown()
    assert report.summary() in text
    assert f"| [good]({report.recipes}/mine/good.yaml) | 50 | " in text
    assert "| mine/broken | failed: " in text
    page = (tmp_path / "out" / "reproduced.html").read_text()
    assert "A &amp; B (2020)" in page
    assert page.count("data:image/png;base64,") == 4  # the method, comparison, sweep, scores by cost
    HTMLParser().feed(page)


def test_a_spent_budget_keeps_runs_and_the_next_call_goes_on(monkeypatch, trainings):
    now = [0.0]
    monkeypatch.setattr(running.time, "monotonic", lambda: now[0])
    original = running._run_one

    def one_second(*arguments):
        now[0] += 1.0
        return original(*arguments)

    monkeypatch.setattr(running, "_run_one", one_second)
    first = reproduce_all("out", budget=3.0, progress=False)
    assert sum("runs of" in reason for reason in first.failures.values()) == 1
    assert sum(reason.startswith("not started") for reason in first.failures.values()) >= 2
    done = len(trainings)
    monkeypatch.setattr(running, "_run_one", original)
    second = reproduce_all("out", progress=False)
    assert len(trainings) - done <= 15 - done + 1
    assert len(second.results) == 3


def test_the_deadline_of_a_single_recipe():
    with pytest.raises(OutOfTime, match="0 of 2 runs of mine/good are saved in runs/reproduce/mine/good"):
        gk.recipes.load("mine/good").run(deadline=0.0, progress=False)
    assert not RunOptions(deadline=0.0).has_time
    assert RunOptions().has_time


def test_done_means_the_same_experiment_with_all_runs(tmp_path):
    path = tmp_path / "result.json"
    good = Recipe("mine", CONFIG)
    assert not is_done(good, path)
    good.run(progress=False).save(path)
    assert is_done(good, path)
    assert is_done(Recipe("mine", CONFIG | {"published": PAPER, "note": "other words"}), path)
    assert not is_done(Recipe("mine", CONFIG | {"seeds": 3}), path)
    assert not is_done(Recipe("mine", CONFIG | {"trainer": {"max_epochs": 3}}), path)
    assert not is_done(Recipe("mine", FILES["mine/compared"]), path)
    path.write_text(path.read_text()[:100])
    assert not is_done(good, path)


@pytest.mark.parametrize("file", ["good", "compared", "swept"])
def test_fewer_seeds_never_replace_a_whole_result(tmp_path, capsys, file):
    path = tmp_path / "mine" / f"{file}.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(FILES[f"mine/{file}"], sort_keys=False))
    saved = tmp_path / "results" / f"{file}.json"
    assert main(["reproduce", str(path), "--seeds", "1"]) == 0  # nothing is there yet
    assert main(["reproduce", str(path)]) == 0
    whole = saved.read_bytes()
    assert main(["reproduce", str(path), "--seeds", "1"]) == 0
    assert saved.read_bytes() == whole
    assert "holds all seeds of the recipe; --output FILE keeps this result" in capsys.readouterr().out
    assert main(["reproduce", str(path), "--seeds", "1", "--output", "one.json"]) == 0
    assert (tmp_path / "one.json").exists()


def test_a_damaged_result_is_named(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x.json").write_text('{"recipe": ')
    with pytest.raises(ValueError, match=r"x\.json is not a result file"):
        Report.of(tmp_path / "out")


def test_on_the_command_line(capsys):
    assert main(["reproduce", "--all", "--output", "out", "--budget", "0s"]) == 0
    assert "not started: the budget was spent" in capsys.readouterr().out
    assert main(["reproduce", "--all", "--output", "out"]) == 1  # one recipe fails
    printed = capsys.readouterr().out
    assert "mine/broken: failed: " in printed
    assert "of 4 confirmed values are equivalent or consistent" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reproduce"], "expected a recipe, or --all"),
        (["reproduce", "mine/good", "--all"], "expected a recipe, or --all"),
        (["reproduce", "mine/good", "--budget", "2h"], "--budget is for --all"),
        (["reproduce", "--all", "--budget", "soon"], "expected a time such as 2h"),
        (["reproduce", "--all", "--seeds", "2"], "--seeds is for a single recipe"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", [["reproduce", "mine/good"], ["search", "mine/good", "--space", "s.yaml"]])
def test_resume_is_answered_by_what_the_command_does_anyway(command, capsys):
    assert main([*command, "--resume"]) == 2
    assert "there is no --resume: the same command again goes on where it stopped" in capsys.readouterr().err


def test_an_interrupted_command_says_how_it_goes_on(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Recipe, "run", interrupted)
    assert main(["reproduce", "recipes/mine/good.yaml"]) == 130
    assert capsys.readouterr().err == "graphkit: interrupted; the same command again goes on where it stopped\n"


def test_where_a_result_goes(tmp_path, capsys):
    assert main(["reproduce", "recipes/mine/good.yaml", "--output", "here.csv"]) == 2
    assert (
        "a result is kept as JSON; name a file that ends in .json, and print it by --table" in capsys.readouterr().err
    )
    assert main(["reproduce", "recipes/mine/good.yaml", "--output", "folder/"]) == 0
    assert (tmp_path / "folder" / "mine" / "good.json").is_file()
    assert main(["reproduce", "--table", "csv", "--output", "nowhere.csv"]) == 2
    assert "with --table it names where results lie" in capsys.readouterr().err


def test_pictures_of_what_reproduce_has_written(tmp_path, capsys):
    assert main(["reproduce", "recipes/mine/good.yaml", "--output", "one.json"]) == 0
    assert main(["plot", "one.json"]) == 0
    (seed,) = sorted((tmp_path / "runs").rglob("seed-0"))
    assert main(["plot", str(seed)]) == 2
    assert "keeps the scores of one run of a recipe, of which there are no curves" in capsys.readouterr().err
    assert main(["plot", "two.json"]) == 1
    assert "there is no file two.json; give the one that a run of the recipe has saved" in capsys.readouterr().err
