"""Runs compared in pairs: the tests of scipy where runs are independent, error rates as promised where they are not."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from scipy import stats

import graphkit as gk
from graphkit.datasets.splits import resampling_ratio
from graphkit.recipes import CellResult, RecipeResult, compare_runs
from graphkit.recipes.statistics import mean_interval

RNG = np.random.default_rng(0)
SCORES = {name: RNG.normal(mean, 2.0, 8) for name, mean in (("GCN", 80.0), ("GIN", 78.0), ("GAT", 80.5))}


def test_one_pair_of_independent_runs_is_the_paired_t_test():
    ((name, found),) = compare_runs({"GCN": SCORES["GCN"], "GIN": SCORES["GIN"]}, against="GCN").differences
    expected = stats.ttest_rel(SCORES["GIN"], SCORES["GCN"])
    assert (name, found.against, found.n) == ("GIN", "GCN", 8)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.p_corrected == found.p
    assert found.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.mean / found.standard_error == pytest.approx(expected.statistic)
    interval = stats.ttest_1samp(SCORES["GCN"], 0.0).confidence_interval(0.95)
    mean, half_width = mean_interval(SCORES["GCN"])
    assert (mean - half_width, mean + half_width) == pytest.approx(tuple(interval))


def test_many_pairs_are_corrected_together_and_say_the_same_as_their_intervals():
    comparison = compare_runs(SCORES)
    assert [(name, found.against) for name, found in comparison.differences] == [
        ("GIN", "GCN"),
        ("GAT", "GCN"),
        ("GAT", "GIN"),
    ]
    for name, found in comparison.differences:
        single = stats.ttest_rel(SCORES[name], SCORES[found.against])
        assert found.p_corrected == pytest.approx(min(1.0, 3 * single.pvalue))
        assert found.interval == pytest.approx(tuple(single.confidence_interval(1 - 0.05 / 3)))
        assert (found.p_corrected < 0.05) == (found.interval[0] > 0 or found.interval[1] < 0)


def test_folds_are_corrected_by_the_ratio_of_test_to_training_examples():
    plain, folds = (compare_runs(SCORES, {"GIN": "GAT"}, overlap=overlap) for overlap in (0.0, 0.25))
    ((_, before),), ((_, after),) = plain.differences, folds.differences
    assert after.mean == before.mean
    assert after.standard_error == pytest.approx(before.standard_error * math.sqrt(1 + 8 * 0.25))
    assert after.p > before.p


def error_rate(overlap: float) -> float:
    """How often equal methods are called different, whose runs are means of examples that the folds share."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(400):
        shared, own = rng.normal(0.0, math.sqrt(0.2), 1), rng.normal(0.0, math.sqrt(0.8), 10)
        ours = 80.0 + shared + own  # correlation 0.2, what Nadeau and Bengio assume where a fifth is tested
        comparison = compare_runs({"a": np.full(10, 80.0), "b": ours}, overlap=overlap)
        wrong += comparison.differences[0][1].p_corrected < 0.05
    return wrong / 400


def test_correlated_runs_do_not_make_differences_of_nothing():
    assert error_rate(overlap=0.2 / 0.8) == pytest.approx(0.05, abs=0.025)
    assert error_rate(overlap=0.0) > 0.15


def test_among_many_equal_methods_at_most_one_comparison_in_twenty_finds_something():
    rng = np.random.default_rng(2)
    found = [
        min(d.p_corrected for _, d in compare_runs(dict(enumerate(rng.normal(0, 1, (8, 10)))), "0").differences)
        for _ in range(300)
    ]
    assert np.mean(np.array(found) < 0.05) < 0.075


def test_ranks_are_means_over_runs_with_ties_shared():
    scores = {"a": [3.0, 1.0], "b": [2.0, 1.0], "c": [1.0, 0.0]}
    assert compare_runs(scores).ranks == {"a": 1.25, "b": 1.75, "c": 3.0}
    assert compare_runs(scores, higher_is_better=False).ranks == {"a": 2.75, "b": 2.25, "c": 1.0}


def test_words_follow_the_direction_of_the_metric():
    far = {"a": [1.0, 1.1, 0.9, 1.0], "b": [2.0, 2.1, 1.9, 2.2], "c": [1.0, 1.2, 0.8, 1.05]}
    words = {name: found for name, found in compare_runs(far, "a").differences}
    assert [words["b"].word(), words["b"].word(higher_is_better=False)] == ["better", "worse"]
    assert words["c"].word() == "undecided"


def test_runs_without_scatter():
    """Equal differences say little while they are few, and never that nothing else can come."""
    scores = {"a": [0.1, 0.2, 0.3], "b": [0.1, 0.2, 0.3], "c": [1.1, 1.2, 1.3]}  # equal but for rounding
    ((_, same), (_, apart)) = compare_runs(scores, "a").differences
    assert (same.p, same.interval, same.word()) == (1.0, (0.0, 0.0), "undecided")
    assert (apart.mean, apart.word()) == (pytest.approx(1.0), "undecided")
    t = 1 / math.sqrt((1 - 0.05 ** (1 / 3)) / 3)
    assert apart.p == pytest.approx(2 * stats.t.sf(t, 2))
    assert apart.p == pytest.approx(compare_runs({"a": [1.0] * 3, "b": [1e3] * 3}).differences[0][1].p)
    often = compare_runs({"a": [1.0] * 10, "b": [2.0] * 10}).differences[0][1]
    assert (often.word(), often.p > 0) == ("better", True)
    assert often.interval[0] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({"a": [1.0, 2.0]},), "compare_runs: 1 methods, must be at least 2"),
        (({"a": [1.0], "b": [2.0]},), "compare_runs: a has 1 runs, must be at least 2"),
        (({"a": [1.0, 2.0], "b": [2.0, 3.0, 4.0]},), "compare_runs: b has 3 runs, but a has 2; give pairs"),
        (({"a": [1.0, 2.0], "b": [2.0, "3"]},), r"compare_runs: scores\['b'\]=\[2.0, '3'\], must be numbers in a row"),
        (({"a": [1.0, 2.0], "b": [2.0, math.nan]},), "b has the score nan at place 1, must be finite"),
        (({"GCN": [1.0, 2.0], "b": [2.0, 3.0]}, "GCM"), "against: unknown method 'GCM'; did you mean 'GCN'?"),
        (({"a": [1.0, 2.0], "b": [2.0, 3.0]}, {"b": "b"}), "against: b is compared with itself"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        compare_runs(*arguments)


@pytest.mark.parametrize("overlap", [-0.1, math.inf, math.nan])
def test_a_wrong_overlap_is_refused(overlap):
    with pytest.raises(ValueError, match=r"compare_runs: overlap=.*, must be"):
        compare_runs(SCORES, overlap=overlap)


def test_the_table_says_why_an_interval_is_wide_or_nothing():
    alike = compare_runs({"a": [1.0] * 3, "b": [3.0] * 3, "c": [1.0, 2.0, 4.0]}, against="a", overlap=0.25)
    few, overlap, equal, differences = alike.table().notes
    assert few == "intervals are wide because n = 3: Student's t has 2 degrees of freedom"
    assert overlap == "intervals are wider by test / train = 0.25, since splits share training data"
    assert equal == "± 0 of a, b: all 3 scores are equal, which does not show how much they scatter"
    assert differences == "the 3 differences of b to a are equal; intervals allow for a share of 0.63 without"
    assert str(alike).endswith(differences)
    assert compare_runs(SCORES).table().notes == []


def test_the_table_in_pandas_and_back():
    pandas = pytest.importorskip("pandas")
    frame = compare_runs(pandas.DataFrame(SCORES), "GCN", overlap=0.1).frame()
    assert list(frame["method"]) == ["GCN", "GIN", "GAT"]
    assert frame.loc[1, "mean"] == pytest.approx(SCORES["GIN"].mean())
    found = dict(compare_runs(SCORES, "GCN", overlap=0.1).differences)["GIN"]
    assert tuple(frame.loc[1, ["difference", "low", "high", "p", "corrected p"]]) == pytest.approx(
        (found.mean, *found.interval, found.p, found.p_corrected)
    )


def test_a_table_with_a_column_of_words_is_refused():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"GCN": [1.0, 2.0], "seed": ["one", "two"]})
    with pytest.raises(ValueError, match=r"compare_runs: scores=.*, the column 'seed' must be numbers in a row"):
        compare_runs(frame)


def test_without_pandas_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    comparison = compare_runs(SCORES)
    assert "GAT" in str(comparison)
    with pytest.raises(ImportError, match=r"data frame needs pandas, .*pip install 'graphkit-pyg\[tables\]'"):
        comparison.frame()


def compared(task, splits, **variants):
    """A result whose variants are compared with the first."""
    first = next(iter(variants))
    cells = {}
    for name, scores in variants.items():
        runs = [{"seed": 0, "split": split, "split_hash": split, "test": float(score), "seconds": 1.0}
                for split, score in zip(splits, scores, strict=True)]  # fmt: skip
        against = "" if name == first else first
        cells["", name] = CellResult("GCN", None, "accuracy", "%", "hash", against=against, runs=runs)
    return RecipeResult("mine/compared", task, cells)


@pytest.mark.parametrize(
    ("task", "family", "ratio"),
    [("mutag", "cv-10", 1 / 9), ("mutag", "random-80-10-10", 1 / 9), ("cora", "geom-gcn", 497 / (1192 + 796))],
)
def test_variants_of_a_recipe_are_corrected_by_what_their_splits_share(task, family, ratio):
    splits = [f"{family}/{i}" for i in range(8)]
    found = compared(task, splits, **SCORES).differences()
    assert found == dict(compare_runs(SCORES, "GCN", overlap=ratio).differences)
    assert resampling_ratio(gk.datasets.card(task), splits) == pytest.approx(ratio)
    assert resampling_ratio(gk.datasets.card(task), splits[:1]) == 0


def test_only_shared_and_finite_runs_are_compared():
    result = compared("mutag", [f"cv-10/{i}" for i in range(8)], **SCORES)
    result.cells["", "GIN"].runs[0]["test"] = math.inf
    assert list(result.differences()) == ["GAT"]
    del result.cells["", "GAT"].runs[2:]
    assert result.differences()["GAT"].n == 2
    del result.cells["", "GAT"].runs[1:]
    assert result.differences() == {}


def test_a_picture_with_the_differences_beside_the_means(tmp_path):
    figure = compare_runs(SCORES, "GCN").plot(path=tmp_path / "compared.png")
    assert (tmp_path / "compared.png").stat().st_size > 5000
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["GCN", "GIN to GCN", "GAT to GCN"]
    gap = SCORES["GAT"].mean() - SCORES["GCN"].mean()
    assert any(line.get_xdata()[0] == pytest.approx(gap) for line in right.lines if len(line.get_xdata()) == 1)
