"""Schedules of events by their rule, and PRES event by event."""

from __future__ import annotations

import torch

from graphkit.algorithms import t_batches
from graphkit.nn.temporal import PRES
from graphkit.nn.temporal.pres import incoherence
from tests.golden.files import GoldenFile

METHODS = ()
ORACLE = "independent computation"

TOLERANCE = 1e-8


def check(file: GoldenFile) -> None:
    (check_schedule if "tbatch" in file else check_pres)(file)


def check_schedule(file: GoldenFile) -> None:
    batch = t_batches(torch.stack([file.tensor("user"), file.tensor("item")]), bipartite=True)
    file.assert_close("tbatch", batch, 0)
    file.assert_close("order", batch.argsort(stable=True), 0)
    assert int(batch.max()) + 1 == file.scalar("num_batches"), f"{file.path}: num_batches"
    file.assert_close("tbatch_one_id_space", t_batches(torch.stack([file.tensor("src"), file.tensor("dst")])), 0)


def check_pres(file: GoldenFile) -> None:
    measured, num_nodes = file.tensor("measured"), int(file.scalar("num_nodes"))
    pres = PRES(num_nodes, measured.size(1), weight=float(file.scalar("gamma")), learn_weight=False).double()
    memory, last, out = measured.new_zeros(num_nodes, measured.size(1)), measured.new_zeros(num_nodes), []
    for node, time, update in zip(file.tensor("node"), file.tensor("time"), measured):
        ids, elapsed = node.view(1), (time - last[node]).view(1)
        previous = memory[ids]
        fused = pres(ids, previous, update.unsqueeze(0), elapsed)
        out.append((pres.predict(ids, previous, elapsed), fused, incoherence(previous, fused)))
        pres.observe(ids, previous, fused, elapsed)
        memory[node], last[node] = fused[0], time
    for key, values in zip(("predicted", "fused", "coherence"), zip(*out)):
        file.assert_close(key, torch.cat(values), TOLERANCE)
    for key, value in {"final_memory": memory, "last_time": last, **dict(pres.named_buffers())}.items():
        file.assert_close(key, value, TOLERANCE)
