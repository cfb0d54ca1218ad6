"""Golden tests compute everything, whatever earlier runs have kept in graphkit's data folder."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _nothing_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path))
