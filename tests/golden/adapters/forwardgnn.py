"""Forward learning of graph networks: inputs, outputs, losses, gradients, weights after steps, predictions.

By the strategies as the trainer runs them; of nodes here, of links in :mod:`tests.golden.adapters.forwardgnn_links`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import GATConv

from graphkit import NodeTask, Split
from graphkit.models import GCN
from graphkit.models.stack import LayerStack
from graphkit.training.engine import Engine
from graphkit.training.strategies import ForwardForward, SingleForward, TopDownForward
from tests import tiny
from tests.golden.adapters.forwardgnn_links import check_links
from tests.golden.files import GoldenFile

METHODS = ("ForwardForward", "SingleForward", "TopDownForward")
ORACLE = "authors' code"

TOLERANCE = 1e-8
HEADS = 4


class _GAT(tiny.PyGStack):
    def make_layer(self, in_channels: int, out_channels: int) -> nn.Module:
        return GATConv(in_channels, out_channels // HEADS, heads=HEADS)


MODELS = {"GCN": GCN, "SAGE": tiny.SAGEStack, "GAT": _GAT}


def check(file: GoldenFile) -> None:
    mode = str(file.scalar("cfg.mode"))
    if mode.startswith("link_"):
        check_links(file, mode, _build, load_initial_weights, adam)
        return
    for updates in (0, 1, 3):
        _Run(file, mode, updates).check()


def _build(file: GoldenFile) -> LayerStack:
    model = MODELS[str(file.scalar("cfg.gnn"))]
    return model(
        file["x"].shape[1],
        int(file.scalar("cfg.hidden")),
        num_layers=int(file.scalar("cfg.num_layers")),
        readout="nodes",
    ).double()


def load_initial_weights(file: GoldenFile, model: LayerStack) -> None:
    for position, layer in enumerate(model.layers):
        prefix = f"init.layer{position}."
        layer.load_state_dict({key[len(prefix) :]: file.tensor(key) for key in file if key.startswith(prefix)})


def adam(file: GoldenFile, parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(
        [p for _, p in parameters],
        lr=file.scalar("cfg.lr"),
        betas=(file.scalar("cfg.adam_beta1"), file.scalar("cfg.adam_beta2")),
        eps=file.scalar("cfg.adam_eps"),
        weight_decay=file.scalar("cfg.weight_decay"),
    )


def _strategy(file: GoldenFile, mode: str) -> Any:
    options: dict[str, Any] = {}
    if "cfg.append_label" in file:
        options["append_label"] = str(file.scalar("cfg.append_label"))
    if "cfg.aug_edge_direction" in file:
        options["bidirectional"] = str(file.scalar("cfg.aug_edge_direction")) == "bidirection"
    if mode.startswith("ff_"):
        labels = {"ff_label_append": "appended", "ff_virtual_node": "virtual"}[mode]
        return ForwardForward(
            labels,
            theta=file.scalar("cfg.theta"),
            num_negatives=int(file.scalar("cfg.num_negs")),
            reveal_validation=True,
            **options,
        )
    options["temperature"] = file.scalar("cfg.temperature")
    if mode == "sf":
        return SingleForward(**options)
    if mode == "sf_top2loss":
        return TopDownForward("loss", **options)
    return TopDownForward(
        "input",
        alternating=bool(file.scalar("cfg.alternating_update")),
        test_steps=int(file.scalar("cfg.test_time_steps")),
        counted_steps=file["cfg.storable_time_steps"].tolist(),
        **options,
    )


class _Run:
    """All layers trained by a number of updates each, and what comes of it."""

    def __init__(self, file: GoldenFile, mode: str, updates: int) -> None:
        self.file, self.mode, self.updates = file, mode, updates
        data = Data(x=file.tensor("x"), edge_index=file.tensor("edge_index"), y=file.tensor("y"))
        masks = [file.tensor(f"{stage}_mask") for stage in ("train", "val", "test")]
        self.task = NodeTask(
            "golden",
            data,
            Split.from_masks("golden", *masks),
            num_outputs=int(file.scalar("cfg.num_classes")),
            allow_missing_classes=True,
        )
        clip = file.scalar("cfg.grad_max_norm") if "cfg.grad_max_norm" in file else None
        engine = Engine("cpu", 1, "64-true", clip)
        self.model, self.strategy = _build(file), _strategy(file, mode)
        self.strategy.configure_model(self.model, self.task, engine)
        self.strategy.setup(self.model, self.task, engine)
        load_initial_weights(file, self.model)
        names = {"virtual_x": "virtual_x", "negatives": "neg_classes", "states": None}
        state = {name: names[name] and file.tensor(names[name]) for name in self.strategy.state_dict()}
        self.strategy.load_state_dict(state)
        self.batch = next(iter(self.task.batches("train")))

    def close(self, key: str, value: Tensor | float) -> None:
        value = torch.as_tensor(value, dtype=torch.float64) if not isinstance(value, Tensor) else value
        self.file.assert_close(key, value, TOLERANCE)

    def check(self) -> None:
        losses: dict[int, list[float]] = {i: [] for i in range(len(self.model.layers))}
        for phase in self.strategy.phases():
            phase.optimizers = self.strategy.optimizers(phase, lambda parameters: adam(self.file, parameters))
            layers = list(losses) if phase.upto_layer is None else [phase.upto_layer - 1]
            if self.updates == 1:
                self.check_before(layers)
            for _ in range(self.updates):
                logged = self.strategy.train_step(self.batch, phase)
                for i in layers:
                    losses[i].append(float(logged.get(f"loss_layer_{i + 1}", logged["loss"])))
            if self.updates == 1:
                self.check_after(layers, losses)
        if self.updates == 3:
            for i, values in losses.items():
                self.close(f"train3.layer{i}.loss", torch.tensor(values, dtype=torch.float64))
        if self.updates:
            for i, layer in enumerate(self.model.layers):
                for name, p in layer.named_parameters():
                    self.close(f"after{self.updates}.layer{i}.{name}", p)
        for stage in ("val", "test"):
            self.check_predictions(stage)

    def check_after(self, layers: list[int], losses: dict[int, list[float]]) -> None:
        for i in layers:
            self.close(f"step1.layer{i}.loss", losses[i][0])
            for name, p in self.model.layers[i].named_parameters():
                self.close(f"step1.layer{i}.grad.{name}", p.grad)

    # Before the step: what goes in and comes out ------------------------------------------------------------------

    def check_before(self, layers: list[int]) -> None:
        with torch.no_grad():
            if self.mode.startswith("ff_"):
                self.check_labelled_graphs(layers[0])
            elif self.mode == "sf":
                self.check_single_forward(layers[0])
            else:
                self.check_top_down()

    def check_labelled_graphs(self, i: int) -> None:
        found = self.strategy._labelled(self.batch, "train")
        histories, _ = self.strategy._below(self.batch, i, "train", found)
        histories = self.strategy._bottom(found) if histories is None else histories
        n = self.batch.num_nodes
        judged = self.strategy.outputs(i, found, histories, found.rows)()
        goodness = self.strategy.judge.goodness(judged, found, self.batch)
        theta = self.strategy.theta
        for v in range(found.count):
            key = f"step1.layer{i}." + (f"neg{v - 1}" if v else "pos")
            h = histories[v][-1]
            z = self.model.step(i, [h], found.graph(v))
            self.close(f"{key}.input", h)
            self.close(f"{key}.output", z)
            self.close(f"{key}.goodness_sum", z.square().sum(1))
            torch.testing.assert_close(judged[v], z[found.rows], atol=TOLERANCE, rtol=0)
            torch.testing.assert_close(goodness[v], z.square().sum(1)[:n][found.rows], atol=TOLERANCE, rtol=0)
            if f"{key}.edge_index" in self.file:
                self.close(f"{key}.edge_index", found.graph(v).edge_index)
        softplus = nn.functional.softplus
        self.close(f"step1.layer{i}.loss_pos", softplus(theta - goodness[0]).mean())
        self.close(f"step1.layer{i}.loss_neg", softplus(goodness[1:] - theta).mean(1))

    def check_single_forward(self, i: int) -> None:
        graph = self.strategy.graph(self.batch)
        history, _ = self.strategy._below(self.batch, i)
        z = self.model.step(i, history, graph)
        self.close(f"step1.layer{i}.output", z)
        self.close(f"step1.layer{i}.edge_index", graph.edge_index)
        raw = self.file.tensor(f"step1.layer{i}.input")
        torch.testing.assert_close(history[-1], self.strategy.normalize_input(raw), atol=TOLERANCE, rtol=0)
        rows = self.strategy._rows(self.batch, "train")
        torch.testing.assert_close(self.strategy.local(i, graph, history, rows)(), z[rows], atol=TOLERANCE, rtol=0)

    def check_top_down(self) -> None:
        """The states before the step, and the outputs: those of a sweep that does not learn."""
        strategy, graph = self.strategy, self.strategy.graph(self.batch)
        states = strategy._start(self.batch)
        to_loss = self.mode == "sf_top2loss"
        if to_loss:
            self.close("step1.edge_index", graph.edge_index)
            for j, state in enumerate([strategy._bottom(self.batch), *states]):
                self.close(f"step1.state{j}", state)

        def look(j: int, layer: Any, above: list[Tensor]) -> Tensor:
            z = layer()
            key = f"step1.layer{j}."
            self.close(key + "output", z)
            if not to_loss:
                self.close(key + "edge_index", graph.edge_index)
                self.close(key + "x_prev", graph.x if j == 0 else seen[j - 1])
                last = j + 1 == len(states)
                self.close(key + "x_next", strategy.labels(self.batch) if last else seen[j + 1])
            return z

        seen = states if getattr(strategy, "alternating", False) and not to_loss else list(states)
        strategy._sweep(self.batch, states, look)

    # Predictions ---------------------------------------------------------------------------------------------------

    def check_predictions(self, stage: str) -> None:
        key = f"eval{self.updates}.{stage}"
        batch = next(iter(self.task.batches(stage)))
        out, y = self.task.select(self.strategy.predict(batch, None, stage), batch, stage)
        if f"{key}.num_terms" in self.file:
            out = out.exp() * self.file.scalar(f"{key}.num_terms")
        self.close(f"{key}.scores", out)
        self.close(f"{key}.pred", out.argmax(1))
        self.close(f"{key}.acc_percent", 100 * (out.argmax(1) == y).double().mean())
        if self.mode == "sf" and self.updates == 0:
            history = [self.strategy.normalize_input(self.strategy.graph(batch).x)]
            for i in range(len(self.model.layers)):
                history, _ = self.strategy._below(batch, i)
                self.close(f"eval0.layer{i}.output", self.model.step(i, history, self.strategy.graph(batch)))
