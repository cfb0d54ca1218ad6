from __future__ import annotations

import math

import pytest
import torch

from graphkit.ops.dropout import dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_of_zeros_and_scale(p: float) -> None:
    torch.manual_seed(0)
    y = dropout(torch.ones(1000, 1001), p)
    assert (y == 0).double().mean().item() == pytest.approx(p, abs=2e-3)
    survivors = y[y != 0]
    assert torch.allclose(survivors, torch.full_like(survivors, 1 / (1 - p)), rtol=1e-4)


def test_entries_are_independent() -> None:
    torch.manual_seed(0)
    mask = (dropout(torch.ones(400_000), 0.5) != 0).double()
    for lag in (1, 2, 3, 4, 8):  # four masks share one random word
        correlation = torch.corrcoef(torch.stack([mask[:-lag], mask[lag:]]))[0, 1]
        assert abs(correlation.item()) < 0.01


def test_gradient_uses_the_same_mask() -> None:
    torch.manual_seed(0)
    x = torch.randn(50, 3, dtype=torch.float64, requires_grad=True)
    y = dropout(x, 0.3)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.allclose(gradient * x, y)


def test_off_and_odd_sizes() -> None:
    x = torch.randn(5)
    assert dropout(x, 0.5, training=False) is x
    assert dropout(x, 0.0) is x
    assert dropout(torch.empty(0, 3), 0.5).shape == (0, 3)
    assert dropout(x.t(), 0.5).shape == (5,)


def test_same_seed_same_mask() -> None:
    torch.manual_seed(1)
    first = dropout(torch.ones(99), 0.4)
    torch.manual_seed(1)
    assert torch.equal(first, dropout(torch.ones(99), 0.4))


@pytest.mark.parametrize("p", [2.0, 1.0, -0.5, math.nan])
@pytest.mark.parametrize("training", [True, False])
def test_what_is_no_probability_is_refused(p, training):
    with pytest.raises(ValueError, match=r"dropout: p=.*, must be in \[0, 1\)"):
        dropout(torch.ones(3), p, training)
