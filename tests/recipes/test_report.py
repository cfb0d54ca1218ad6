"""Results as people see them: rows in order, counts apart, one content in every format."""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from io import StringIO

import pytest

from graphkit.cli import main
from graphkit.recipes import CellResult, Published, RecipeResult, Report
from graphkit.recipes.drawing import Bar, Row, draw_intervals
from graphkit.recipes.entries import Count
from graphkit.recipes.tables import Linked, Table

PAPER = {"paper": "A & B (2020)", "table": "Table 1", "split": "public", "spread": 0.5, "n": 5, "url": "https://a.b/c"}


def result(name, mean, published, confirmed, **options):
    runs = [
        {"seed": seed, "split": "public", "split_hash": "0", "test": mean + offset, "seconds": 20.0}
        for seed, offset in enumerate((-0.4, -0.2, 0.0, 0.2, 0.4))
    ]
    paper = None if published is None else Published(published, confirmed=confirmed, **PAPER)
    cell = CellResult("GCN", paper, "accuracy", "%", "hash", runs=runs, **options)
    return RecipeResult(name, "karate", {("", ""): cell}, date="2026-01-01")


@pytest.fixture
def report(tmp_path):
    results = [
        result("gcn/cora", 81.5, 81.4, True),
        result("gcn/lower", 70.0, 75.0, True),
        result("gcn/higher", 80.0, 75.0, True),
        result("gcn/unconfirmed", 60.0, 60.0, False),
        result("gcn/alone", 50.0, None, False),
        result("gin/cora", 81.5, 81.4, True, not_comparable="another split"),
    ]
    for found in results:
        found.save(tmp_path / f"{found.recipe}.json")
    return Report.of(tmp_path)


def test_a_section_per_method_in_the_order_of_standardised_differences(report):
    gcn, gin = report.methods()
    assert [row[0] for row in gcn.table.rows] == ["higher", "cora", "lower", "unconfirmed", "alone"]
    assert gcn.table.rows[1] == ["cora", "81.4 ± 0.5", "81.50 ± 0.39 %", "5", "equivalent", "2 min"]
    assert [row[4] for row in gcn.table.rows] == ["higher", "equivalent", "lower", "equivalent", "—"]
    assert gcn.table.rows[3][1] == "60 ± 0.5 (unconfirmed)"
    assert (gcn.table.rows[1][0].url, gcn.table.rows[1][1].url) == (f"{report.recipes}/gcn/cora.yaml", "https://a.b/c")
    assert gcn.table.rows[2][0].url == "", "no recipe of graphkit's, no link"
    assert [row[4] for row in gin.details.rows] == ["another split"]


def test_confirmed_and_unconfirmed_values_are_counted_apart(report):
    assert report.summary() == (
        "1 of 4 confirmed values are equivalent or consistent (1 higher, 1 lower, 1 not comparable). "
        "1 of 1 unconfirmed values are equivalent or consistent."
    )
    count = Count.of(report.entries())
    assert count.confirmed == Counter(["equivalent", "higher", "lower", "not comparable"])
    assert count.short() == "1 of 4 confirmed; 1 of 1 unconfirmed"
    assert str(Count.of([])) == "Nothing published to compare with."


def test_every_format_tells_the_same(report):
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(StringIO(report.csv()))
    assert frame.shape[0] == 6
    cora = frame[frame.recipe == "gcn/cora"].iloc[0]
    assert (cora["mean"], cora["published value"], cora["verdict"]) == (81.5, 81.4, "equivalent")
    low, high = report.entries()[1].cell.verdict.interval
    assert (cora["difference low"], cora["difference high"]) == pytest.approx((low, high))
    for text in (report.text(), report.latex().replace(r"$\pm$", "±").replace(r"\%", "%"), report.markdown()):
        assert re.search(r"cora\S* +[|&]? *\[?81\.4 ± 0\.5\S* +[|&]? *81\.50 ± 0\.39 %", text)
    page = report.html()
    assert '<td data-title="verdict" class="verdict not-comparable">not comparable</td>' in page
    assert "A &amp; B (2020)" in page
    assert page.count("data:image/png;base64,") == 2
    assert report.costs() == [], "of one model there is nothing to compare"


def test_models_of_a_dataset_stand_side_by_side_with_what_they_cost(tmp_path):
    for recipe, model, mean, seconds in (
        ("a/cheap", "GCN", 80.0, 1.0),
        ("b/dear", "GAT", 82.0, 9.0),
        ("b/dearer", "GAT", 82.0, 10.0),
        ("c/worse", "MLP", 79.0, 2.0),
        ("c/cheapest", "MLP", 70.0, 0.5),
    ):
        found = result(recipe, mean, None, False)
        (cell,) = found.cells.values()
        cell.model = model
        for run in cell.runs:
            run |= {"seconds": seconds} | ({"num_parameters": 1234} if model == "GAT" else {})
        found.save(tmp_path / f"{recipe}.json")
    (section,) = Report.of(tmp_path).costs()
    assert section.title == "Zachary's karate club, public split"
    assert [[row[0], row[1], row[4], row[5], row[6]] for row in section.table.rows] == [
        ["GAT", "b/dear", "9 s", "1,234", "●"],
        ["GAT", "b/dearer", "10 s", "1,234", ""],
        ["GCN", "a/cheap", "1 s", "—", "●"],
        ["MLP", "c/worse", "2 s", "—", ""],
        ["MLP", "c/cheapest", "0 s", "—", "●"],
    ]
    assert section.table.rows[0][2] == "82.00 ± 0.39 %"
    (axes,) = section.figures[0]().axes
    front = axes.lines[0]
    assert (list(front.get_xdata()), list(front.get_ydata())) == ([0.5, 1.0, 9.0], [70.0, 80.0, 82.0])
    assert len(axes.texts) == 5


def test_text_and_html_need_no_pandas(report, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert report.summary() in report.text()
    assert report.html()
    for needs in (report.csv, report.latex):
        with pytest.raises(ImportError, match=r"graphkit-pyg\[tables\]"):
            needs()


def test_cells_are_escaped_and_linked():
    table = Table("T", ["a|b", "verdict"], [[Linked("x_1 & <y>", "https://a.b/?c&d"), "too few runs"], ["n|m", "—"]])
    assert table.text() == "a|b        verdict\nx_1 & <y>  too few runs\nn|m        —"
    assert "| [x_1 & <y>](https://a.b/?c&d) | too few runs |\n| n\\|m | — |" in table.markdown()
    assert '<a href="https://a.b/?c&amp;d">x_1 &amp; &lt;y&gt;</a>' in table.html()
    assert 'class="verdict too-few-runs"' in table.html()
    pytest.importorskip("pandas")
    assert r"x\_1 \& <y> & too few runs \\" in table.latex()


def test_notes_stand_below_a_table_in_every_form():
    table = Table("T", ["a", "b"], [["1", "2"]], ["± is 95 % of x_1 & <y>", "two"])
    assert table.text() == "a  b\n1  2\n± is 95 % of x_1 & <y>\ntwo"
    assert table.markdown().endswith("| 1 | 2 |\n\n± is 95 % of x_1 & <y>\n\ntwo")
    assert "</table><p>± is 95 % of x_1 &amp; &lt;y&gt;</p><p>two</p>" in table.html()
    pytest.importorskip("pandas")
    assert table.latex().endswith("\\end{tabular}\n\\par $\\pm$ is 95 \\% of x\\_1 \\& <y>\n\\par two\n")


def test_a_picture_tells_verdicts_by_marker_and_unconfirmed_ones_hollow():
    rows = [
        Row("a", {"measured": Bar(1.0, (0.5, 1.5)), "published": Bar(1.1)}, Bar(-0.1, (-0.6, 0.4)), "equivalent", 1.0),
        Row("b", {"measured": Bar(2.0), "published": Bar(1.0)}, Bar(1.0), "lower", 1.0, hollow=True),
    ]
    left, right = draw_intervals(rows, "score").axes
    points = {line.get_label(): line for line in right.lines if line.get_marker() not in ("None", "")}
    assert {label: line.get_marker() for label, line in points.items()} == {"equivalent": "o", "lower": "v"}
    assert points["lower"].get_markerfacecolor() == "white"
    assert points["equivalent"].get_markerfacecolor() != "white"
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in points.values()] == [(-0.1, 0), (1.0, 1)]
    assert "published, unconfirmed" in left.get_legend_handles_labels()[1]
    low, high = left.get_xlim()
    assert low < 0.5
    assert high > 2.0
    alone = draw_intervals([Row("a", {"measured": Bar.around(1.0, math.nan)})], "score")
    assert len(alone.axes) == 1


def test_on_the_command_line(report, capsys):
    assert main(["reproduce", "--table", "text", "--output", str(report.folder)]) == 0
    assert capsys.readouterr().out == report.text() + "\n"
    assert main(["reproduce", "gcn/cora", "--table", "text", "--output", str(report.folder)]) == 0
    printed = capsys.readouterr().out
    assert "81.50 ± 0.39 %" in printed
    assert "lower" not in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table", "excel"], "invalid choice: 'excel'"),
        (["--table", "csv", "--all"], "--all changes results, but --table prints the results that are there"),
        (["gcn/pubmed", "--table", "csv"], "no result of gcn/pubmed; measure it with `graphkit reproduce gcn/pubmed`"),
    ],
)
def test_wrong_arguments(report, arguments, message, capsys):
    try:
        code = main(["reproduce", *arguments, "--output", str(report.folder)])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert message in capsys.readouterr().err


def test_an_empty_folder_is_told(tmp_path, capsys):
    assert main(["reproduce", "--table", "csv", "--output", str(tmp_path)]) == 2
    assert "there are no results" in capsys.readouterr().err
