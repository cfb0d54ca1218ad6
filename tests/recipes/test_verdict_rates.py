"""What the rule of verdicts promises, on simulated runs whose truth is known."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from graphkit.recipes import Published, judge
from graphkit.recipes.papers import SPREADS
from graphkit.recipes.statistics import Comparison

TRIALS = 400
MARGIN = 1.0
KINDS = list(SPREADS)


def published(rng, truth, std, n, kind):
    """What a paper prints about n runs."""
    runs = rng.normal(truth, std, n)
    spread = runs.std(ddof=1) / SPREADS[kind](n)
    return Published(float(runs.mean()), "P", "T", "S", spread=float(spread), spread_kind=kind, n=n)


def words(rng, difference, n, paper_n, std, paper_std, trials=TRIALS, **more):
    """How often each verdict is given, of runs whose true mean is by so much above the paper's."""
    found = Counter()
    for _ in range(trials):
        paper = published(rng, 80.0, paper_std, paper_n, KINDS[rng.integers(len(KINDS))])
        scores = rng.normal(80.0 + difference, std, n)
        found[judge(list(map(float, scores)), paper, "accuracy", **more).word] += 1
    return Counter({word: count / trials for word, count in found.items()})


def noise(trials):
    """Three standard errors of a share of 5 %."""
    return 3 * math.sqrt(0.05 * 0.95 / trials)


def settings(seed, count):
    """Numbers of runs and standard deviations, drawn at random."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield rng, *rng.integers(3, 40, 2).tolist(), *np.exp(rng.uniform(-2, 1.5, 2)).tolist()


def test_equivalent_errs_at_most_in_one_of_twenty():
    rates = []
    for rng, *sizes in settings(0, 8):
        for difference in (-MARGIN, MARGIN, 1.5 * MARGIN):
            rates.append(words(rng, difference, *sizes)["equivalent"])
    assert max(rates) <= 0.05 + noise(TRIALS)
    assert np.mean(rates) <= 0.05
    assert max(rates) > 0.02, "the test would not notice a rule that never says it"


def test_higher_and_lower_err_at_most_in_one_of_twenty():
    rates = []
    for rng, *sizes in settings(1, 8):
        found = words(rng, 0.0, *sizes)
        rates.append(found["higher"] + found["lower"])
    assert max(rates) <= 0.05 + noise(TRIALS)
    assert np.mean(rates) <= 0.05
    assert np.mean(rates) > 0.01


def test_fewer_runs_than_the_paper_are_never_consistent():
    for rng, n, paper_n, std, paper_std in settings(2, 8):
        found = words(rng, 0.0, n, paper_n, std, paper_std, trials=200)
        assert n >= paper_n or not found["consistent"]


@pytest.mark.parametrize("paper_n", [5, 10, 100])
def test_more_runs_make_no_worse_verdict_where_both_are_equal(paper_n):
    rng = np.random.default_rng(paper_n)
    for std, paper_std in ((0.5, 0.5), (3.0, 1.0), (1.0, 4.0)):
        found = [words(rng, 0.0, n, paper_n, std, paper_std) for n in (3, 10, 30, 100)]
        good = [each["equivalent"] + each["consistent"] for each in found]
        bad = [each["lower"] for each in found]
        slack = 3 * math.sqrt(0.5 / TRIALS)
        assert all(after >= before - slack for before, after in pairwise(good)), good
        assert good[-1] >= good[0]
        assert max(bad) <= 0.025 + noise(TRIALS)


def test_more_runs_of_the_same_mean_and_scatter_undo_no_verdict_and_the_remedy_is_true():
    rng = np.random.default_rng(5)
    for _ in range(400):
        spread, std = np.exp(rng.uniform(-3, 1.5, 2))
        paper = Published(80.0, "P", "T", "S", spread=float(spread), n=int(rng.choice([2, 3, 5, 10, 100])))
        overlap = float(rng.choice([0.0, 0.25]))
        few = Comparison(5, float(rng.normal()), float(std), overlap, paper, MARGIN, 5.0, True)
        found = [replace(few, n=n) for n in (5, 6, 8, 12, 20, 50, 200, 1000, 5000)]
        assert all(after.word != "too few runs" for before, after in pairwise(found) if before.word != "too few runs")
        assert all(after.word == "equivalent" for before, after in pairwise(found) if before.word == "equivalent")
        if few.word == "too few runs":
            more = int(few.remedy.split()[0]) if few.remedy[0].isdigit() else 0
            assert more == 0 or replace(few, n=5 + more).word != "too few runs"
            assert more == 1 or replace(few, n=5 + (more or 4000) - 1).word == "too few runs"


def test_the_rates_hold_for_several_runs_on_each_split_only_by_split():
    rng = np.random.default_rng(6)
    paper, splits = Published(80.0, "P", "T", "S"), np.repeat(np.arange(10), 5).tolist()
    rates = {}
    for given in (splits, None):
        scores = 80.0 + np.repeat(rng.normal(size=(TRIALS, 10)), 5, axis=1) + 0.3 * rng.normal(size=(TRIALS, 50))
        words = [judge(trial.tolist(), paper, "accuracy", margin=0.01, splits=given).word for trial in scores]
        rates[given is None] = (words.count("higher") + words.count("lower")) / TRIALS
    assert rates[False] <= 0.05 + noise(TRIALS)
    assert rates[True] > 0.2


def folds(rng, truth, std, n, overlap):
    """Scores on folds that share training data, with the correlation that Nadeau and Bengio assume."""
    shared = overlap / (1 + overlap)
    return truth + std * (math.sqrt(shared) * rng.normal() + math.sqrt(1 - shared) * rng.normal(size=n))


@pytest.mark.parametrize("overlap", [1 / 9, 1 / 4])
def test_the_rates_hold_for_folds_only_with_the_correction(overlap):
    rng = np.random.default_rng(3)
    paper = Published(80.0, "P", "T", "S")
    rates = {}
    for corrected in (overlap, 0.0):
        trials = [folds(rng, 80.0 + MARGIN, 1.0, 10, overlap) for _ in range(TRIALS)]
        found = Counter(judge(list(map(float, scores)), paper, "accuracy", overlap=corrected).word for scores in trials)
        trials = [folds(rng, 80.0, 1.0, 10, overlap) for _ in range(TRIALS)]
        equal = Counter(judge(list(map(float, scores)), paper, "accuracy", overlap=corrected).word for scores in trials)
        rates[corrected] = found["equivalent"] / TRIALS, (equal["higher"] + equal["lower"]) / TRIALS
    assert max(rates[overlap]) <= 0.05 + noise(TRIALS)
    assert min(rates[0.0]) > 0.08


@pytest.mark.parametrize("n", [2, 5, 10, 14, 15, 20])
def test_equal_runs_are_seldom_called_equivalent_by_luck(n):
    """One run in five is off by the metric's cap, and so the mean by the margin."""
    all_equal = 0.8**n
    found = judge([80.0] * n, Published(80.0, "P", "T", "S"), "accuracy").word
    assert found == "too few runs" or all_equal <= 0.05


@pytest.mark.parametrize("examples", [37, 251, 1000])
def test_the_rates_hold_for_shares_of_small_test_sets(examples):
    rng = np.random.default_rng(examples)
    paper = Published(80.0, "P", "T", "S")
    for n in (2, 3, 10):
        scores = 100 * rng.binomial(examples, 0.8 + 0.01, (TRIALS, n)) / examples
        rate = sum(judge(trial.tolist(), paper, "accuracy").word == "equivalent" for trial in scores) / TRIALS
        assert rate <= 0.05 + noise(TRIALS)


def test_a_baseline_is_beaten_by_chance_in_one_of_twenty_at_most():
    for rng, n, _, std, _ in settings(4, 6):
        scores = rng.normal(50.0, std, (TRIALS, n))
        paper = Published(50.0, "P", "T", "S")
        found = [judge(trial.tolist(), paper, "accuracy", baseline=50.0).word for trial in scores]
        assert found.count("not comparable") / TRIALS >= 0.95 - noise(TRIALS)
