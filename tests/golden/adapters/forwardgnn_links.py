"""Forward learning of links by the strategies, as the trainer runs them on a link task."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit import LinkSplit, LinkTask
from graphkit.training.engine import Engine
from graphkit.training.strategies import ForwardForward, SingleForward, TopDownForward
from tests.golden.files import GoldenFile

TOLERANCE = 1e-8
STAGES = ("train", "val", "test")


def check_links(file: GoldenFile, mode: str, build: Any, load: Any, adam: Any) -> None:
    for updates in (0, 1, 3):
        _Run(file, mode, updates, build, load, adam).check()


def _strategy(file: GoldenFile, mode: str) -> Any:
    if mode == "link_ce":
        return SingleForward()
    if mode == "link_ff":
        return ForwardForward(theta=file.scalar("cfg.theta"))
    return TopDownForward(
        alternating=bool(file.scalar("cfg.alternating_update")),
        test_steps=int(file.scalar("cfg.test_time_steps")),
        counted_steps=file["cfg.storable_time_steps"].tolist(),
    )


def _pairs(file: GoldenFile, stage: str, linked: bool) -> Tensor:
    pairs, label = (file.tensor(f"{stage}_edge_{key}") for key in ("label_index", "label"))
    return pairs[:, (label > 0) == linked]


def _task(file: GoldenFile) -> LinkTask:
    """The file's links and negatives; its message edges must follow from them."""
    links = {stage: _pairs(file, stage, True) for stage in STAGES}
    negatives = {f"{stage}_negatives": _pairs(file, stage, False) for stage in STAGES}
    hidden = torch.cat([links["test"], links["test"].flip(0)], dim=1)
    edge_index = torch.cat([file.tensor("test_edge_index"), hidden], dim=1)
    data = Data(x=file.tensor("x"), edge_index=edge_index)
    task = LinkTask("golden", data, LinkSplit("golden", **links, **negatives))
    for stage in STAGES:
        found, expected = task.batches(stage)[0].edge_index, file.tensor(f"{stage}_edge_index")
        same = sorted(found.t().tolist()) == sorted(expected.t().tolist())
        assert same, f"golden file {file.path}: the split does not lead to the edges of {stage}_edge_index"
    return task


class _Run:
    """All layers trained by a number of updates each, and what comes of it."""

    def __init__(self, file: GoldenFile, mode: str, updates: int, build: Any, load: Any, adam: Any) -> None:
        self.file, self.mode, self.updates, self.adam = file, mode, updates, adam
        self.task = _task(file)
        self.model, self.strategy = build(file), _strategy(file, mode)
        engine = Engine("cpu", 1, "64-true", None)
        self.batches = {stage: engine.to_device(self.task.batches(stage)[0]) for stage in STAGES}
        self.strategy.configure_model(self.model, self.task, engine)
        self.strategy.setup(self.model, self.task, engine)
        load(file, self.model)

    def close(self, key: str, value: Tensor) -> None:
        self.file.assert_close(key, value.double(), TOLERANCE)

    def check(self) -> None:
        batch = self.batches["train"]
        for phase in self.strategy.phases():
            phase.optimizers = self.strategy.optimizers(phase, lambda parameters: self.adam(self.file, parameters))
            layers = range(len(self.model.layers)) if phase.upto_layer is None else [phase.upto_layer - 1]
            if self.updates == 1:
                self.check_outputs(layers)
            for _ in range(self.updates):
                logged = self.strategy.train_step(batch, phase)
            for i in layers if self.updates == 1 else []:
                self.close(f"step1.layer{i}.loss", logged.get(f"loss_layer_{i + 1}", logged["loss"]))
                for name, p in self.model.layers[i].named_parameters():
                    self.close(f"step1.layer{i}.grad.{name}", p.grad)
        for i, layer in enumerate(self.model.layers if self.updates else []):
            for name, p in layer.named_parameters():
                self.close(f"after{self.updates}.layer{i}.{name}", p)
        for stage in ("val", "test"):
            self.check_predictions(stage)

    # Before the step: what goes in and comes out ------------------------------------------------------------------

    @torch.no_grad()
    def check_outputs(self, layers: Any) -> None:
        batch, strategy = self.batches["train"], self.strategy
        if self.mode == "link_topdown":
            self.check_sweep(batch)
            return
        (i,) = layers
        if self.mode == "link_ce":
            h = strategy._below(batch, i)[0][-1]
        else:
            found = strategy._labelled(batch, "train")
            histories, _ = strategy._below(batch, i, "train", found)
            h = (strategy._bottom(found) if histories is None else histories)[0][-1]
        self.close(f"step1.layer{i}.input", h)
        self.check_output(i, self.model.step(i, [h], batch), batch)

    def check_sweep(self, batch: Data) -> None:
        states = self.strategy._start(batch)
        seen = states if self.strategy.alternating else list(states)

        def look(j: int, layer: Any, above: list[Tensor]) -> Tensor:
            z = layer()
            self.close(f"step1.layer{j}.x_prev", batch.x if j == 0 else seen[j - 1])
            if j + 1 < len(states):
                self.close(f"step1.layer{j}.x_next", seen[j + 1])
            self.check_output(j, z, batch)
            return z

        self.strategy._sweep(batch, states, look)

    def check_output(self, i: int, z: Tensor, batch: Data) -> None:
        self.close(f"step1.layer{i}.output", z)
        if self.mode == "link_ff":
            name, scores = "goodness", self.strategy.judge.goodness(z.unsqueeze(0), None, batch)[0]
        else:
            name, scores = "logit", self.strategy.logits(z, batch)[:, 1]
        self.close(f"step1.layer{i}.edge_{name}_pos", scores[batch.edge_label > 0])
        self.close(f"step1.layer{i}.edge_{name}_neg", scores[batch.edge_label == 0])

    # Predictions ---------------------------------------------------------------------------------------------------

    def check_predictions(self, stage: str) -> None:
        key, batch = f"eval{self.updates}.{stage}", self.batches[stage]
        out, label = self.task.select(self.strategy.predict(batch, None, stage), batch, stage)
        ahead = out[label > 0] - out[label == 0].t()
        self.close(f"{key}.auc", ((ahead > 0).double() + 0.5 * (ahead == 0).double()).mean())
        listed = torch.empty(label.numel(), dtype=torch.float64)  # the file's pairs may come in another order
        linked = self.file.tensor(f"{stage}_edge_label") > 0
        listed[linked], listed[~linked] = out[label > 0, 0].sigmoid(), out[label == 0, 0].sigmoid()
        self.close(f"{key}.scores", listed)
        if f"{key}.official_scores" in self.file:
            self.close(f"{key}.official_scores", listed / 2)
