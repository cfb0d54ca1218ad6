"""Fixtures of tests of recipes."""

from __future__ import annotations

import pytest

import graphkit as gk


@pytest.fixture
def trainings(monkeypatch):
    """The seeds that were really trained."""
    seeds = []
    original = gk.Trainer.fit

    def fit(self, *arguments, **options):
        seeds.append(self.seed)
        return original(self, *arguments, **options)

    monkeypatch.setattr(gk.Trainer, "fit", fit)
    return seeds
