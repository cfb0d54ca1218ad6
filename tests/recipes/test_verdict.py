"""The verdict on a published value: against scipy's tests on the raw numbers, by hand, and where nothing is normal."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from graphkit.datasets import card, cards
from graphkit.datasets.splits import fold_overlap
from graphkit.metrics import find
from graphkit.recipes import CellResult, Published, RecipeResult, Verdict, judge
from graphkit.recipes.verdict import practical


def paper(value=80.0, spread=None, n=None, kind="std", unit="%"):
    return Published(value, paper="P", table="T", split="S", spread=spread, n=n, spread_kind=kind, unit=unit)


def normal(mean, std, n):
    """Scores with exactly this mean and unbiased standard deviation."""
    scores = np.arange(n) - (n - 1) / 2
    return list(mean + std * scores / scores.std(ddof=1))


# The tests


@pytest.mark.parametrize(("ours", "theirs"), [((80.5, 1.0, 10), (1.4, 6)), ((78.0, 0.3, 4), (2.0, 20))])
def test_intervals_are_those_of_scipy_on_the_raw_numbers(ours, theirs):
    first, second = normal(*ours), normal(80.0, *theirs)
    verdict = judge(first, paper(80.0, *theirs), "accuracy")
    expected = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert verdict.interval == pytest.approx([expected.low, expected.high], abs=1e-9)
    assert verdict.difference == pytest.approx(ours[0] - 80.0)
    assert verdict.half_width == pytest.approx((expected.high - expected.low) / 2)


@pytest.mark.parametrize("mean", np.linspace(79.0, 81.0, 21))
def test_equivalent_means_that_both_one_sided_tests_reject(mean):
    ours, theirs = (mean, 0.9, 12), (80.0, 0.7, 9)
    below = stats.ttest_ind_from_stats(*ours, 79.0, *theirs[1:], equal_var=False, alternative="greater").pvalue
    above = stats.ttest_ind_from_stats(*ours, 81.0, *theirs[1:], equal_var=False, alternative="less").pvalue
    found = judge(normal(*ours), paper(*theirs), "accuracy")
    assert (found.word == "equivalent") == (max(below, above) <= 0.05)


def test_an_exact_published_value_is_tested_by_a_single_sample():
    scores = normal(80.4, 0.8, 7)
    for exact in (paper(), paper(spread=0.5), paper(n=10), paper(spread=0.5, n=1), paper(spread=0.0, n=10)):
        expected = stats.ttest_1samp(np.array(scores) - 80.0, 0.0).confidence_interval(0.95)
        assert judge(scores, exact, "accuracy").interval == pytest.approx([expected.low, expected.high])


@pytest.mark.parametrize(
    ("kind", "std"),
    [
        ("std", 1.2),
        ("unknown", 1.2),
        ("population std", 1.2649110640673518),  # 1.2 sqrt(10 / 9)
        ("standard error", 3.794733192202055),  # 1.2 sqrt(10)
        ("two standard errors", 1.8973665961010275),
    ],
)
def test_what_is_printed_behind_the_value(kind, std):
    published = paper(spread=1.2, n=10, kind=kind)
    assert published.std == pytest.approx(std)
    assert published.standard_error == pytest.approx(std / math.sqrt(10))
    theirs = normal(80.0, 1.2649110640673518, 10)
    if kind == "population std":
        assert np.std(theirs) == pytest.approx(1.2)


def test_folds_of_one_cross_validation_share_training_data():
    scores = normal(80.0, 1.0, 10)
    error = math.sqrt(1 / 10 + 1 / 9)
    expected = stats.t.ppf(0.975, 9) * error
    assert judge(scores, paper(), "accuracy", overlap=1 / 9).half_width == pytest.approx(expected)
    words = {judge(normal(80.0, 2.0, n), paper(), "accuracy", overlap=1 / 9).word for n in (10, 1000)}
    assert words == {"too few runs"}
    assert "folds of one cross-validation stay alike" in judge(scores, paper(), "accuracy", overlap=0.5).reason


def test_the_overlap_of_folds_is_that_of_their_sizes():
    ratios = {}
    for name, dataset in cards().items():
        for family in dataset.splits:
            splits = [f"{family.name}/{index}" for index in range(family.count or 2)]
            if ratio := fold_overlap(dataset, splits):
                ratios[name, family.name] = ratio
                sizes = family.expected_sizes(0)
                assert not sizes or ratio == pytest.approx(sizes[2] / (sizes[0] + sizes[1]), abs=0.02)
    assert ratios["csl", "cv-5"] == 1 / 4
    assert ratios["enzymes", "errica"] == ratios["mutag", "cv-10"] == 1 / 9
    assert {name.rstrip("0123456789-") for _, name in ratios} == {"cv", "errica", "dgcnn", "forwardgnn"}
    assert fold_overlap(card("csl"), ["cv-5/0"]) == 0  # seeds on a single fold


def test_each_split_counts_once_with_the_mean_of_its_runs():
    splits = ["a", "a", "b", "b", "c", "c", "d", "d"]
    found = judge([80, 82, 78, 77, 83, 84, 80, 81], paper(spread=2.0, n=4), "accuracy", splits=splits, baseline=50.0)
    assert found == judge([81, 77.5, 83.5, 80.5], paper(spread=2.0, n=4), "accuracy", splits=list("abcd"))
    each = [50, 52, 60, 58, 50, 50, 50, 50]
    assert found == judge(
        [80, 82, 78, 77, 83, 84, 80, 81], paper(spread=2.0, n=4), "accuracy", splits=splits, baseline=each
    )
    lonely = judge([80, 82, 70, 69, 84, 85], paper(), "accuracy", splits=splits[:6])
    assert lonely.reason.endswith("more splits would do")
    one = judge([80, 82, 78, 77], paper(spread=2.0, n=4), "accuracy", splits=["a"] * 4)
    assert one == judge([80, 82, 78, 77], paper(spread=2.0, n=4), "accuracy")
    with pytest.raises(ValueError, match="splits: 1 of them, must be as many as the 2 scores"):
        judge([80.0, 81.0], paper(), "accuracy", splits=["a"])


def test_a_difference_is_not_better_known_than_the_published_value():
    """Welch's own interval widens with more runs of ours once the published value dominates it."""
    theirs = paper(spread=1.0, n=3)
    widths = [judge(normal(80.0, 2.0, n), theirs, "accuracy").half_width for n in (5, 20, 100, 1000, 5000)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == pytest.approx(stats.t.isf(0.025, 2) / math.sqrt(3))


# The words


@pytest.mark.parametrize(
    ("scores", "published", "word"),
    [
        (normal(80.3, 0.5, 10), paper(spread=0.5, n=10), "equivalent"),
        (normal(80.9, 0.1, 10), paper(spread=0.1, n=10), "equivalent"),  # though the interval excludes 0
        (normal(81.5, 0.5, 10), paper(spread=0.5, n=10), "higher"),
        (normal(78.5, 0.5, 10), paper(spread=0.5, n=10), "lower"),
        (normal(80.5, 2.0, 10), paper(spread=2.0, n=10), "consistent"),
        (normal(80.5, 2.0, 9), paper(spread=2.0, n=10), "too few runs"),  # fewer than the paper's
        (normal(80.5, 2.0, 10), paper(spread=0.5, n=10), "too few runs"),  # wider than twice the published spread
        (normal(80.5, 9.0, 10), paper(spread=9.0, n=10), "too few runs"),  # wider than the cap
        (normal(80.5, 2.0, 10), paper(spread=2.0), "too few runs"),  # without n nothing is consistent
        (normal(80.5, 2.0, 10), paper(n=10), "too few runs"),
        ([80.0], paper(spread=2.0, n=10), "too few runs"),
        ([], paper(spread=2.0, n=10), "too few runs"),
        ([80.0, math.nan, 81.0], paper(spread=2.0, n=10), "not comparable"),
        (normal(80.0, 0.5, 10), None, "no published value"),
    ],
)
def test_words(scores, published, word):
    verdict = judge(scores, published, "accuracy")
    assert verdict.word == word
    assert verdict.good == (word in ("equivalent", "consistent", "higher"))
    assert str(verdict).startswith(word)
    assert "\n" not in str(verdict)


def test_of_errors_higher_means_better():
    published = paper(0.25, spread=0.002, n=4, unit="")
    better, worse = (judge(normal(mean, 0.002, 4), published, "mae") for mean in (0.20, 0.30))
    assert (better.word, better.difference) == ("higher", pytest.approx(-0.05))
    assert worse.word == "lower"
    assert judge(normal(0.252, 0.002, 4), published, "mae").word == "equivalent"


def test_scores_may_be_arrays():
    scores, published = normal(80.3, 0.5, 10), paper(spread=0.5, n=10)
    plain = judge(scores, published, "accuracy", baseline=[50.0] * 10)
    assert judge(np.array(scores), published, "accuracy", baseline=np.full(10, 50.0)) == plain


def test_margins_are_facts_of_the_metrics():
    assert practical("accuracy", paper()) == (1.0, 5.0)
    assert practical("roc_auc", paper()) == pytest.approx((0.5, 2.5))
    assert practical("hits@20", paper()) == practical("mrr", paper()) == practical("average_precision", paper())
    assert practical("mae", paper(0.2, unit="")) == pytest.approx((0.01, 0.05))
    assert practical("mse", paper(-2.0, unit="log10")) == (0.1, 0.5)
    assert practical("mcc", paper(0.8, unit="")) == (0.01, 0.05)
    assert practical("accuracy", paper(), 0.25) == (0.25, 5.0)
    with pytest.raises(ValueError, match=r"margin: 1.5, must be a number above 0 and at most the 1 of accuracy"):
        judge([80.0, 80.0], paper(), "accuracy", margin=1.5)
    assert practical("rmse", paper(0.0, unit="")) == (0.05, 0.25)
    assert find("rmse").relative


def test_more_runs_that_would_do_do():
    published = paper(spread=0.8, n=5)
    assert judge(normal(80.4, 2.0, 6), published, "accuracy").reason == "4 more runs would do"
    words = [judge(normal(80.4, 2.0, n), published, "accuracy").word for n in range(6, 11)]
    assert words == ["too few runs"] * 4 + ["consistent"]
    hopeless = judge(normal(80.4, 2.0, 6), paper(spread=9.0, n=5), "accuracy")
    assert hopeless.reason == "no number of runs would do: the published spread alone is wider"


def test_not_comparable_says_why_and_keeps_the_difference():
    verdict = judge(normal(80.0, 0.5, 10), paper(spread=0.5, n=10), "accuracy", not_comparable="other splits")
    assert (verdict.word, verdict.reason, verdict.difference) == ("not comparable", "other splits", pytest.approx(0))
    assert verdict.interval is not None
    assert judge([80.0], paper(), "accuracy", not_comparable="other splits").word == "not comparable"


@pytest.mark.parametrize(("baseline", "comparable"), [(79.0, True), (79.9, False), (80.0, False), (90.0, False)])
def test_nobody_learns_from_a_model_that_does_not_beat_the_majority(baseline, comparable):
    scores = normal(80.0, 0.5, 10)
    verdict = judge(scores, paper(), "accuracy", baseline=baseline)
    assert (verdict.word != "not comparable") == comparable
    better = stats.ttest_1samp(scores, baseline, alternative="greater").pvalue <= 0.05
    assert better == comparable
    each = [baseline + score - 80.0 for score in scores]  # by split: differences do not scatter
    assert (judge(scores, paper(), "accuracy", baseline=each).word != "not comparable") == (baseline < 80)


def test_baselines_of_other_runs_are_refused():
    with pytest.raises(ValueError, match="judge: baseline has 3 values, but there are 2 scores"):
        judge([80.0, 81.0], paper(), "accuracy", baseline=[50.0, 50.0, 50.0])


def test_errors_must_be_below_the_baseline():
    scores, published = normal(0.30, 0.01, 10), paper(0.30, unit="")
    assert judge(scores, published, "mae", baseline=0.5).word == "equivalent"
    assert judge(scores, published, "mae", baseline=0.2).word == "not comparable"


@pytest.mark.parametrize(
    ("scores", "value", "unit", "message"),
    [
        (
            [0.81, 0.82],
            81.5,
            "%",
            r"scores up to 0\.82 seem to be shares, but the published value is 81\.5 %; multiply",
        ),
        ([81.0, 82.0], 0.815, "", r"scores up to 82 seem to be percent, but the published value is 0\.815; divide"),
    ],
)
def test_shares_beside_percent_are_told_of(scores, value, unit, message):
    paper = Published(value, paper="A and B (2020)", table="T", split="S", unit=unit)
    with pytest.warns(UserWarning, match=message):
        judge(scores, paper, "accuracy")


@pytest.mark.parametrize(
    ("scores", "value", "unit", "metric"),
    [
        ([81.0, 0.9], 81.5, "%", "accuracy"),  # one run that failed
        ([0.81, 0.82], 0.815, "", "accuracy"),
        ([0.5, 0.8], 0.9, "%", "accuracy"),
        ([3.0, 2.0], 0.5, "", "mae"),
    ],
)
def test_scores_in_the_unit_of_the_published_value_are_not(scores, value, unit, metric, recwarn):
    judge(scores, Published(value, paper="A and B (2020)", table="T", split="S", unit=unit), metric)
    assert not recwarn.list


def test_equal_runs_show_no_scatter():
    perfect = paper(100.0, spread=0.0, n=10)
    words = {n: judge([100.0] * n, perfect, "accuracy").word for n in range(2, 31)}
    assert {n for n, word in words.items() if word == "equivalent"} == set(range(15, 31))
    assert judge([100.0] * 5, perfect, "accuracy").reason == "10 more runs would do"
    assert judge([52.0] * 20, paper(33.8), "accuracy", baseline=52.0).word == "not comparable"


# In results


def cell(scores, published, **more):
    runs = [{"seed": seed, "split": "public", "split_hash": "0", "test": score, "seconds": 1.0, **more}
            for seed, score in enumerate(scores)]  # fmt: skip
    return CellResult("GCN", published, "accuracy", "%", "hash", runs=runs)


def test_a_result_keeps_its_verdict_and_judges_its_runs_again(tmp_path):
    published = paper(spread=0.5, n=10, kind="population std")
    result = RecipeResult("mine", "karate", {("", ""): cell(normal(80.3, 0.5, 10), published, baseline=50.0)})
    read = RecipeResult.load(result.save(tmp_path / "mine.json"))
    assert read.cell == result.cell
    assert read.cell.baseline == 50.0
    content = result.content()["cells"][0]["verdict"]
    assert content["word"] == "equivalent"
    assert list(content) == ["word", "difference", "margin", "cap", "interval", "reason", "rule"]
    assert f"verdict     {result.cell.verdict}" in str(result)
    assert "baseline    50.00 %" in str(result)
    assert repr(result) == str(result)
    assert repr(result.cell) == f"CellResult(GCN: 80.30 ± 0.50 (std) %, n=10; {result.cell.verdict})"
    assert (
        str(result.cell.verdict) == "equivalent: difference +0.30 points, 95 % interval [-0.18, +0.78], margin 1 point"
    )


def test_results_and_recipes_with_old_keys_are_read():
    old = {"value": 80.0, "paper": "P", "table": "T", "split": "S", "std": 0.5, "n": 10, "verified": True}
    with pytest.warns(FutureWarning, match=r"published\.(std|verified) is now published\.(spread|confirmed)"):
        published = Published.from_config(old)
    assert (published.spread, published.confirmed) == (0.5, True)
    runs = cell(normal(80.3, 0.5, 10), None).runs
    content = {"model": "GCN", "published": old, "tolerance": 0.5, "config_hash": "h", "against": "", "runs": runs,
               "verdict": "reproduced", "difference": 0.3}  # fmt: skip
    assert CellResult.from_content(content, "accuracy", "%").verdict.word == "equivalent"


def test_no_runs_have_no_difference():
    assert cell([], paper()).verdict == Verdict(
        "too few runs", margin=1.0, cap=5.0, reason="2 are the least", unit="points"
    )
