"""Recommendation at the size of MovieLens-1M: steps of Sheaf4Rec, and ranking all items for all users.

Of the 344 ms by PyG's metric, 305 are the product of embeddings and torch's top-k, which ours takes, too: nothing
passes 1.13 of it. Ours, at 0.85, also reads what is to be found from a table of labels, as every metric does.
"""

from __future__ import annotations

import functools
import random
import time
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.metrics import LinkPredNDCG

import graphkit as gk
from benchmarks.speed.common import Benchmark, benchmark
from graphkit.models import Sheaf4Rec

BATCH = 1024


@functools.cache
def _task() -> gk.RankingTask:
    """As many users, items and positive ratings as in MovieLens-1M, and a tenth each for validation and test."""
    return gk.load("planted-interactions", num_users=6040, num_items=3706, per_user=150, outside=0.3)


class _Official:
    """The step of the official code: users drawn by pandas, a Laplacian edge by edge, the graph once per 1024 users."""

    def __init__(self, task: gk.RankingTask, model: Sheaf4Rec) -> None:
        self.task, self.model = task, model
        users, items = task.chosen("train")
        self.table = pd.DataFrame({"user": users, "item": items})
        self.edge_index = task.graphs[0].edge_index
        start = time.perf_counter()
        place = {pair: number for number, pair in enumerate(zip(*self.edge_index.tolist(), strict=True))}
        self.reverse = torch.tensor([place[v, u] for u, v in zip(*self.edge_index.tolist(), strict=True)])
        self.reverse_seconds = (time.perf_counter() - start) * model.num_layers  # built once per layer
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        chosen = self.table.groupby("user")["item"].apply(list).reset_index()
        users = pd.DataFrame({"user": sorted(random.sample(range(self.task.num_users), BATCH))})
        chosen = chosen.merge(users, how="right", on="user")
        positive = chosen["item"].apply(random.choice).to_numpy()
        negative = chosen["item"].apply(self._unseen).to_numpy()
        ids = [torch.tensor(part) for part in (users["user"].to_numpy(), positive, negative)]
        return ids[0], ids[1] + self.task.num_users, ids[2] + self.task.num_users

    def _unseen(self, items: list[int]) -> int:
        while (item := random.randrange(self.task.num_items)) in items:
            pass
        return item

    def forward(self) -> Tensor:
        (v, u), n = self.edge_index, self.task.num_nodes
        states = [self.model.embedding.weight]
        for layer in self.model.layers:
            x: Any = states[-1]
            maps = torch.tanh(torch.cat([x[v], x[u]], dim=1) @ layer.learner.weight.t()).squeeze(1)
            diagonal = torch.zeros(n).index_add(0, v, maps**2)
            root = (diagonal + 1).rsqrt()
            between = -root[v] * maps * maps[self.reverse] * root[u]
            y = layer.lin(x)
            own = (root**2 * diagonal)[:, None] * y
            states.append(x - own.index_add(0, v, between[:, None] * y[u]))
        return torch.cat(states, dim=1)

    def step(self) -> None:
        users, positive, negative = self.batch()
        out = self.forward()
        scores = [(out[users] * out[items]).sum(1) for items in (positive, negative)]
        e = self.model.embedding
        squares = sum(e(ids).square().sum() for ids in (users, positive, negative))
        self.optimizer.zero_grad()
        (F.softplus(scores[1] - scores[0]).mean() + squares / (2 * BATCH)).backward()
        self.optimizer.step()


@benchmark("sheaf4rec_step", goal=5.0, of="Sheaf4Rec")
def sheaf4rec_step() -> Benchmark:
    """A step of Sheaf4Rec on 1024 of 0.7M interactions of 6040 users and 3706 items: 5 layers, 64 channels."""
    task = _task()
    model, theirs = Sheaf4Rec.from_task(task), _Official(task, Sheaf4Rec.from_task(task))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches = iter(())

    def ours() -> None:
        nonlocal batches
        batch = next(batches, None)
        if batch is None:
            batches = iter(task.batches("train", BATCH, shuffle=True))
            batch = next(batches)
        optimizer.zero_grad()
        (task.loss(model(batch), batch) + model.auxiliary_loss()).backward()
        optimizer.step()

    def details() -> dict[str, Any]:
        start = time.perf_counter()
        iterator = iter(task.batches("train", BATCH, shuffle=True))
        next(iterator)
        steps = -(-task.chosen("train").size(1) // BATCH)
        draw = time.perf_counter() - start
        return {"steps_per_epoch": steps, "draw_seconds": draw, "reverse_seconds": theirs.reverse_seconds}

    return Benchmark(
        ours=ours,
        opponent=theirs.step,
        against="the official procedure: pandas groupby, merge and apply, concatenated ends, products by index_add",
        rounds=3,
        details=details,
    )


@benchmark("ranking")
def ranking() -> Benchmark:
    """NDCG@10 of 6040 users over 3706 items by embeddings of 384 channels, without what was seen."""
    task = _task()
    out = torch.randn(task.num_nodes, 384, generator=torch.Generator().manual_seed(0))
    pairs = {stage: task.chosen(stage).t().tolist() for stage in ("train", "test")}

    def ours() -> Tensor:
        metric = task.fresh_metric()
        for batch in task.batches("test"):
            metric.update(*task.select(out, batch, "test"))
        return torch.tensor(metric.compute())

    def theirs() -> Tensor:
        seen, found = ({}, {})
        for known, stage in ((seen, "train"), (found, "test")):
            for user, item in pairs[stage]:
                known.setdefault(user, []).append(item)
        total = 0.0
        gain = 1 / torch.arange(2, 12).log2()
        for user, items in found.items():
            score = out[task.num_users :] @ out[user]
            score[seen[user]] = -torch.inf
            top = score.topk(10).indices.tolist()
            hit = torch.tensor([float(item in items) for item in top])
            total += float((hit * gain).sum() / gain[: len(items)].sum())
        return torch.tensor(total / len(found))

    known, wanted = (task.chosen(stage) for stage in ("train", "test"))

    def library() -> Tensor:
        metric, users, items = LinkPredNDCG(10), *out.split([task.num_users, task.num_items])
        for first in range(0, task.num_users, BATCH):
            scores = users[first : first + BATCH] @ items.t()
            seen, found = (part[:, (part[0] >= first) & (part[0] < first + BATCH)] for part in (known, wanted))
            scores[seen[0] - first, seen[1]] = -torch.inf
            metric.update(scores.topk(10).indices, torch.stack([found[0] - first, found[1]]))
        return metric.compute()

    return Benchmark(
        ours=ours,
        opponent=theirs,
        against="a loop over users",
        beside=("torch_geometric.metrics.LinkPredNDCG, torch.topk", library),
        rounds=5,
    )
