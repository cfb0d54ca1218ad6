"""Schedules of events by their rule."""

from __future__ import annotations

import torch

from graphkit.algorithms import t_batches
from tests.golden.files import GoldenFile

METHODS = ()
ORACLE = "independent computation"


def check(file: GoldenFile) -> None:
    check_schedule(file)


def check_schedule(file: GoldenFile) -> None:
    batch = t_batches(torch.stack([file.tensor("user"), file.tensor("item")]), bipartite=True)
    file.assert_close("tbatch", batch, 0)
    file.assert_close("order", batch.argsort(stable=True), 0)
    assert int(batch.max()) + 1 == file.scalar("num_batches"), f"{file.path}: num_batches"
    file.assert_close("tbatch_one_id_space", t_batches(torch.stack([file.tensor("src"), file.tensor("dst")])), 0)
