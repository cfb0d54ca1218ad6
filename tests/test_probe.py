"""Logistic regression on embeddings, by the protocol of the papers."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.multiclass import OneVsRestClassifier

from graphkit.diagnostics import probe


def test_scores_are_those_of_scikit_learn_with_the_known_number_of_labels():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 6))
    y = x @ rng.normal(size=(6, 5)) + rng.normal(size=(120, 5)) > 0.8
    y[np.arange(120), rng.integers(5, size=120)] = True
    (found,) = probe(torch.from_numpy(x), torch.from_numpy(y), shares=[0.4], repeats=3, C=0.5, seed=7)
    for repeat in range(3):
        order = np.random.default_rng([7, repeat]).permutation(120)
        known, rest = order[:48], order[48:]
        model = OneVsRestClassifier(LogisticRegression(C=0.5, max_iter=200)).fit(x[known], y[known])
        predicted = np.zeros((72, 5), bool)
        for row, score in enumerate(model.predict_proba(x[rest])):
            predicted[row, np.argsort(-score)[: y[rest][row].sum()]] = True
        assert found.micro[repeat] == pytest.approx(f1_score(y[rest], predicted, average="micro"))
        assert found.macro[repeat] == pytest.approx(f1_score(y[rest], predicted, average="macro"))


def test_random_labels_stay_at_chance_and_more_labels_help():
    x, y = torch.randn(300, 8, generator=torch.Generator().manual_seed(0)), torch.arange(300) % 3
    assert np.mean(probe(x, y, shares=[0.5])[0].micro) == pytest.approx(1 / 3, abs=0.06)
    told = x + 0.8 * torch.eye(8)[y]
    few, many = probe(told, y, shares=[0.05, 0.8])
    assert np.mean(many.micro) > np.mean(few.micro) + 0.05


def test_labels_without_nodes_and_nodes_without_labels_are_left_out():
    y = torch.zeros(40, 3)
    y[:20, 0], y[20:38, 2] = 1, 1
    (found,) = probe(torch.cat([y, torch.zeros(40, 1)], 1), y, shares=[0.5], repeats=2)
    assert found.micro == found.macro == [1.0, 1.0]
    with pytest.raises(ValueError, match="must have one row per node"):
        probe(torch.ones(3, 2), torch.ones(4))


def test_a_column_of_classes_is_classes_and_minus_one_is_no_class():
    x, y = torch.randn(60, 8, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 3
    expected = probe(x, y, shares=[0.5], repeats=2)
    assert expected[0].micro != [1.0, 1.0]
    assert probe(x, y.view(-1, 1), shares=[0.5], repeats=2) == expected, "as OGB has them"
    unknown = torch.cat([y, torch.full((7,), -1)])
    assert probe(torch.cat([x, x[:7]]), unknown, shares=[0.5], repeats=2) == expected


@pytest.mark.parametrize(
    ("y", "told"),
    [
        (torch.tensor([[0, 1.0], [1, torch.nan], [1, 0]]), "torch.float32 of shape [3, 2] with nan"),
        (torch.tensor([[0, 1], [1, -1], [1, 0]]), "torch.int64 of shape [3, 2] with -1"),
        (torch.tensor([0.5, 1, 2]), "torch.float32 of shape [3] with 0.5"),
    ],
)
def test_what_is_neither_classes_nor_0_and_1_is_refused(y, told):
    with pytest.raises(ValueError, match=re.escape(f"probe: y is {told}, must be integers [num_nodes], or 0 and 1")):
        probe(torch.ones(3, 2), y)


def test_embeddings_are_checked():
    y = torch.arange(6) % 2
    with pytest.raises(ValueError, match="probe: feature 1 of node 2 is nan"):
        probe(torch.ones(6, 2).index_put((torch.tensor([2]), torch.tensor([1])), torch.tensor(torch.nan)), y)
    sparse = torch.eye(6).to_sparse_csr()
    assert str(probe(sparse, y, [0.5], repeats=2)) == str(probe(torch.eye(6), y, [0.5], repeats=2))
