"""Forward learning of links: the machinery of the node strategies with the losses of pairs."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data

from graphkit import NodeTask, Split
from graphkit.training.engine import Engine
from graphkit.training.strategies import TopDownForward
from graphkit.training.strategies.layerwise import Layerwise, evaluating, normalize_rows
from tests.golden.files import GoldenFile

TOLERANCE = 1e-8


class _Pairs:
    """Scores and losses of pairs of nodes."""

    def __init__(self, file: GoldenFile, mode: str) -> None:
        self.is_ff = mode == "link_ff"
        self.theta = float(file.scalar("cfg.theta")) if self.is_ff else 0.0
        self.name = "edge_goodness" if self.is_ff else "edge_logit"

    def scores(self, z: Tensor, batch: Data) -> Tensor:
        products = z[batch.edge_label_index[0]] * z[batch.edge_label_index[1]]
        return products.square().sum(1) if self.is_ff else products.sum(1)

    def loss(self, scores: Tensor, batch: Data) -> Tensor:
        label = batch.edge_label
        if not self.is_ff:
            return F.binary_cross_entropy_with_logits(scores, label)
        return F.softplus(self.theta - scores[label > 0]).mean() + F.softplus(scores[label == 0] - self.theta).mean()


class _Greedy(Layerwise):
    """Layer after layer on normalised states."""

    pairs: _Pairs

    def shown(self, h: Any) -> Any:
        return normalize_rows(h)

    def train_step(self, batch: Data, phase: Any) -> dict[str, Tensor]:
        i = phase.upto_layer - 1
        below = self.kept("below", batch, i, lambda: self.climb(batch, i))
        z = self.local(i, batch, below)()
        loss = self.pairs.loss(self.pairs.scores(z, batch), batch)
        self.engine.optimize(loss, phase.optimizers[0])
        self.seen = {i: (z.detach(), loss.detach(), {"input": below[-1]})}
        return {}

    def predict(self, batch: Data, upto_layer: int | None = None, stage: str = "test") -> Tensor:
        found: list[Tensor] = []
        self.climb(
            batch, self.num_layers, visit=lambda _, z: found.append(self.pairs.scores(z, batch) - self.pairs.theta)
        )
        return torch.stack(found).sigmoid().mean(0)


class _TopDown(TopDownForward):
    """Without virtual nodes, so that the last layer hears nothing from above."""

    pairs: _Pairs
    top_width = 0  # type: ignore[assignment]

    def graph(self, batch: Data) -> Data:
        return batch

    def train_step(self, batch: Data, phase: Any) -> dict[str, Tensor]:
        self.states = self._start(batch) if self.states is None else self.states
        states, self.seen = self.states, {}
        alternating = self.alternating

        def learn(j: int, layer: Any, above: list[Tensor]) -> Tensor:
            z = layer()
            loss = self.pairs.loss(self.pairs.scores(z, batch), batch)
            self.engine.optimize(loss, phase.optimizers[j])
            old = states if alternating else before
            inputs = {"x_prev": batch.x if j == 0 else old[j - 1]}
            if j + 1 < len(states):
                inputs["x_next"] = old[j + 1]
            self.seen[j] = (z.detach(), loss.detach(), dict(inputs))
            return z.detach()

        before = list(states)
        self._sweep(batch, states, learn)
        return {}

    @torch.no_grad()
    def predict(self, batch: Data, upto_layer: int | None = None, stage: str = "test") -> Tensor:
        found: list[Tensor] = []

        def look(j: int, layer: Any, above: list[Tensor]) -> Tensor:
            z = layer()
            if step in self.counted_steps:
                found.append(self.pairs.scores(z, batch).sigmoid())
            return z

        with evaluating(self.model):
            states = self._start(batch)
            for step in range(self.test_steps):  # noqa: B007
                self._sweep(batch, states, look)
        return torch.stack(found).mean(0)


def check_links(file: GoldenFile, mode: str, build: Any, load: Any, adam: Any) -> None:
    for updates in (0, 1, 3):
        _check_run(file, mode, updates, build(file), load, adam)


def _check_run(file: GoldenFile, mode: str, updates: int, model: Any, load: Any, adam: Any) -> None:
    strategy: Any = _Greedy()
    if mode == "link_topdown":
        strategy = _TopDown(
            alternating=bool(file.scalar("cfg.alternating_update")),
            test_steps=int(file.scalar("cfg.test_time_steps")),
            counted_steps=file["cfg.storable_time_steps"].tolist(),
        )
    strategy.pairs = _Pairs(file, mode)
    batches = {stage: _batch(file, stage) for stage in ("train", "val", "test")}
    task = _stand_in(batches["train"])
    engine = Engine("cpu", 1, "64-true", None)
    strategy.adapt(model, task, engine)
    strategy.setup(model, task, engine)
    load(file, model)
    for phase in strategy.phases():
        phase.optimizers = strategy.optimizers(phase, lambda parameters: adam(file, parameters))
        for _ in range(updates):
            strategy.train_step(batches["train"], phase)
            if updates == 1:
                _check_step(file, strategy, model, batches["train"])
    if updates:
        for i, layer in enumerate(model.layers):
            for name, p in layer.named_parameters():
                file.assert_close(f"after{updates}.layer{i}.{name}", p, TOLERANCE)
    for stage in ("val", "test"):
        scores, key = strategy.predict(batches[stage]), f"eval{updates}.{stage}"
        file.assert_close(f"{key}.scores", scores, TOLERANCE)
        if f"{key}.official_scores" in file:
            file.assert_close(f"{key}.official_scores", scores / 2, TOLERANCE)
        label = batches[stage].edge_label
        ahead = scores[label > 0].unsqueeze(1) - scores[label == 0].unsqueeze(0)
        auc = ((ahead > 0).double() + 0.5 * (ahead == 0).double()).mean()
        file.assert_close(f"{key}.auc", auc, TOLERANCE)


def _check_step(file: GoldenFile, strategy: Any, model: Any, batch: Data) -> None:
    for i, (z, loss, inputs) in strategy.seen.items():
        key = f"step1.layer{i}"
        file.assert_close(f"{key}.output", z, TOLERANCE)
        file.assert_close(f"{key}.loss", loss, TOLERANCE)
        for name, value in inputs.items():
            file.assert_close(f"{key}.{name}", value, TOLERANCE)
        scores = strategy.pairs.scores(z, batch)
        for sign, chosen in (("pos", batch.edge_label > 0), ("neg", batch.edge_label == 0)):
            file.assert_close(f"{key}.{strategy.pairs.name}_{sign}", scores[chosen], TOLERANCE)
        for name, p in model.layers[i].named_parameters():
            file.assert_close(f"{key}.grad.{name}", p.grad, TOLERANCE)


def _batch(file: GoldenFile, stage: str) -> Data:
    return Data(
        x=file.tensor("x"),
        edge_index=file.tensor(f"{stage}_edge_index"),
        edge_label_index=file.tensor(f"{stage}_edge_label_index"),
        edge_label=file.tensor(f"{stage}_edge_label").double(),
    )


def _stand_in(batch: Data) -> NodeTask:
    """A node task on the same graph: setting a strategy up needs one."""
    n = batch.num_nodes
    data = Data(x=batch.x, edge_index=batch.edge_index, y=torch.arange(n) % 2)
    ids = torch.arange(n)
    return NodeTask("links", data, Split("all", ids[:-2], ids[-2:-1], ids[-1:]))
