"""Splits that a user draws: shares, classes in each part, folds, columns of masks."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkit import Split


def parts(split):
    return [getattr(split, stage).tolist() for stage in ("train", "val", "test")]


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(8, 60), min_size=1, max_size=4),
    val=st.floats(0.1, 0.35),
    test=st.floats(0.1, 0.35),
    seed=st.integers(0, 1000),
)
def test_every_class_has_its_share_in_every_part(counts, val, test, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    split = Split.random(labels.size, val, test, seed, stratify=labels)
    assert sorted(chain(*parts(split))) == list(range(labels.size))
    for ids, share in zip(parts(split), (1 - val - test, val, test), strict=True):
        for label, count in enumerate(counts):
            assert abs((labels[ids] == label).sum() - share * count) <= 2.5
        assert abs(len(ids) - share * labels.size) <= 1.5


def test_a_draw_depends_on_its_seed_alone():
    assert Split.random(50, seed=3).hash == Split.random(50, seed=3).hash != Split.random(50, seed=4).hash
    torch.manual_seed(0)
    before = torch.rand(1)
    torch.manual_seed(0)
    Split.random(50)
    assert torch.equal(torch.rand(1), before)
    assert Split.random(10).num_examples == 10
    assert Split.random(10, name="mine").name == "mine"


@pytest.mark.parametrize("missing", [None, float("nan"), -1])
def test_examples_without_a_label_are_in_no_part(missing):
    labels = [missing if i % 3 == 0 else i % 3 for i in range(60)]
    for split in [Split.random(60, stratify=labels), *Split.k_fold(60, 4, stratify=labels)]:
        assert sorted(chain(*parts(split))) == [i for i in range(60) if i % 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"val": 0.5, "test": 0.5}, "val=0.5 and test=0.5 leave nothing for training"),
        ({"val": 1.2}, r"val=1\.2, must be in \(0, 1\)"),
        ({"num_examples": 2}, "part is empty"),
        ({"stratify": [0, 1]}, "stratify has 2 labels for 20 examples"),
        ({"stratify": list(range(20))}, "stratify has 20 different labels of 20; these are no classes"),
        ({"stratify": [0] * 19 + [1], "test": 0.9, "val": 0.05}, "has too few members for three parts"),
    ],
)
def test_what_cannot_be_drawn(arguments, message):
    with pytest.raises(ValueError, match=message):
        Split.random(**{"num_examples": 20} | arguments)


@pytest.mark.parametrize("stratified", [True, False])
def test_folds(stratified):
    labels = np.repeat(["a", "b"], [20, 30])
    splits = Split.k_fold(50, 5, seed=1, stratify=labels if stratified else None)
    assert [split.name for split in splits] == [f"5-fold-1/{i}" for i in range(5)]
    tests = [split.test.tolist() for split in splits]
    assert sorted(chain(*tests)) == list(range(50))
    for i, split in enumerate(splits):
        assert split.sizes == (30, 10, 10)
        assert split.val.tolist() == tests[(i + 1) % 5]
        if stratified:
            assert (labels[split.test] == "a").sum() == 4
    with pytest.raises(ValueError, match="4 examples are fewer than 5 folds"):
        Split.k_fold(4, 5)
    with pytest.raises(ValueError, match="k=2, must be at least 3"):
        Split.k_fold(20, 2)


@pytest.mark.parametrize("kind", [torch.as_tensor, np.asarray, lambda masks: masks.tolist()])
def test_all_columns_of_masks(kind):
    given = [Split.random(40, seed=seed) for seed in range(10)]
    masks = {stage: torch.zeros(40, 10, dtype=torch.bool) for stage in ("train", "val", "test")}
    for column, split in enumerate(given):
        for stage, mask in masks.items():
            mask[getattr(split, stage), column] = True
    made = Split.from_masks("ten", *(kind(mask) for mask in masks.values()), split="all")
    assert [split.hash for split in made] == [split.hash for split in given]
    assert [split.name for split in made] == [f"ten/{i}" for i in range(10)]
    shared = Split.from_masks("ten", masks["train"], masks["val"], masks["test"], split="all")
    assert shared[9].hash == given[9].hash


def test_a_test_mask_that_all_splits_share():
    """As PyG's WikiCS has it."""
    masks = torch.eye(4, dtype=torch.bool)[:, :2]
    made = Split.from_masks("wiki", masks, masks.flip(1), torch.tensor([False, False, True, True]), split="all")
    assert [split.test.tolist() for split in made] == [[2, 3], [2, 3]]
    one = torch.tensor([True, False, False, False])
    with pytest.raises(ValueError, match=r"split='all' needs masks \[num_nodes, num_splits\] of equally many columns"):
        Split.from_masks("none", one, one, one, split="all")
