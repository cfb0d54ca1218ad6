"""What notebooks show: bars where somebody looks, and results, tasks and tables as HTML."""

from __future__ import annotations

import dataclasses
import sys
from types import SimpleNamespace

import pytest

import graphkit as gk
from graphkit.core.display import progress_bar, shows_progress
from graphkit.core.figures import new_figure
from graphkit.diagnostics.rewiring import compare_graphs
from graphkit.recipes import RecipeResult, Report, compare_runs
from graphkit.recipes.files import results_folder
from graphkit.recipes.tables import Table


@pytest.fixture(scope="module")
def task():
    return gk.load("karate")


@pytest.fixture(scope="module")
def result(task):
    model = gk.models.GCN(task.num_features, 4, out_channels=task.num_outputs)
    return gk.Trainer(max_epochs=60, progress=False).fit(model, task)


def test_a_result_is_short_in_a_prompt_and_whole_when_printed(result):
    score = f"accuracy {100 * result.test:.2f} % on 20 nodes"
    assert repr(result) == f"Result(GCN on karate, split public: test {score}, seed 0)"
    assert str(result).splitlines()[2] == f"  test        {score}"
    assert f"accuracy {100 * result.val:.2f} % on 10 nodes at epoch" in str(result)


def shown(result, task, folder):
    yield result
    yield task
    yield Table("<Scores>", ["a", "b"], [["1 < 2", "3"]])
    yield compare_runs({"<a>": [1.0, 2.0, 4.0], "b": [2.0, 5.0, 4.0]})
    yield compare_graphs(task.graphs, task.graphs)
    yield from (RecipeResult.load(results_folder(True) / f"{name}.json") for name in ("gcn/cora", "gnp/max-degree"))
    gin = gk.models.GIN(1, 2, out_channels=2, readout="sum")
    yield gk.expressivity.expressivity(gin, "pairs", folder=folder, progress=False)
    yield Report.of(results_folder(True)).only("gcn/cora")


def test_everything_that_reports_is_a_table_in_a_notebook(result, task, tmp_path):
    for value in shown(result, task, tmp_path):
        html = value._repr_html_()
        assert html.count("<table") == html.count("</table>") >= 1, value
        assert "<Scores>" not in html
        assert "<a>" not in html
        assert len(repr(value)) < 3000, type(value)


def test_a_figure_is_shown_without_pyplot():
    figure = new_figure(2, 1)
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_bars_show_on_terminals_and_in_notebooks(monkeypatch, capsys):
    assert not shows_progress()
    assert shows_progress(True)
    list(progress_bar([1, 2]))
    assert capsys.readouterr().err == ""
    list(progress_bar([1, 2], show=True))
    assert "2/2" in capsys.readouterr().err
    shell = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert shows_progress()
    assert not shows_progress(False)
    shell.config = {}  # IPython in a pipe
    assert not shows_progress()


def test_the_first_epoch_is_told_where_it_is_most_of_the_time(result):
    assert 0 < result.first_epoch_seconds <= result.seconds
    slow = dataclasses.replace(result, seconds=4.0, first_epoch_seconds=3.0, epochs=9)
    assert "4.0 s (3.0 s of them the first epoch, in which a machine compiles kernels that are new to it) on" in str(
        slow
    )
    even = dataclasses.replace(slow, first_epoch_seconds=1.5)
    assert "4.0 s on" in str(even)
