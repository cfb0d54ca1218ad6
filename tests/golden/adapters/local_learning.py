"""Forward-forward and other local rules in closed form: states, losses, gradients of each layer at the given weights.

A training step with the learning rate 0 leaves every gradient where it can be compared.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit import NodeTask, Split
from graphkit.models import GCN
from graphkit.nn import GCNConv
from graphkit.training.engine import Engine
from graphkit.training.strategies import (
    DirectFeedbackAlignment,
    ForwardForward,
    LayerCollaborationFF,
    ScalableFF,
    TargetProjection,
)
from tests.golden.files import GoldenFile

METHODS = ("DirectFeedbackAlignment", "ForwardForward", "LayerCollaborationFF", "ScalableFF", "TargetProjection")
ORACLE = "independent computation"

TOLERANCE = 1e-9


def check(file: GoldenFile) -> None:
    _check_forward_forward(file)
    _check_symba(file)
    for gamma in ("all", "prev"):
        _check_collaboration(file, gamma)
    for rule in ("tpsgd_l2", "tpsgd_l1", "drtp"):
        _check_projections(file, rule, TargetProjection(rule.removeprefix("tpsgd_")))
    for rule, spread in (("dfa", False), ("dfa_graph", True)):
        _check_projections(file, rule, DirectFeedbackAlignment(spread))
    for goodness, name in (("linear", "mono_forward"), ("square", "sff_node")):
        _check_heads(file, goodness, name)


def _task(file: GoldenFile) -> NodeTask:
    """The golden nodes to train on; validation and test are of no interest here."""
    train = file.tensor("train_mask").bool()
    others = (~train).nonzero().view(-1)
    data = Data(x=file.tensor("x"), edge_index=file.tensor("edge_index"), y=file.tensor("y"))
    split = Split("golden", train.nonzero().view(-1), others[:1], others[1:])
    k = int(file.scalar("num_classes"))
    return NodeTask("golden", data, split, num_outputs=k, allow_missing_classes=True)


def _model(weights: list[Tensor], biases: list[Tensor] | None, readout: str | None) -> GCN:
    """Convolutions with the given weights ``[in, out]``."""
    sizes = [weights[0].size(0), weights[0].size(1), len(weights), weights[-1].size(1)]
    model = GCN(*sizes, bias=biases is not None, readout=readout).double()
    for i, weight in enumerate(weights):
        model.layers[i] = GCNConv(*weight.shape, bias=biases is not None).double()
        state = {"lin.weight": weight.t()} | ({"bias": biases[i]} if biases else {})
        model.layers[i].load_state_dict(state)
    return model


def _ready(strategy: Any, task: NodeTask, model: GCN, lr: float = 0.0) -> list[Any]:
    """The strategy's phases, with plain gradient descent."""
    engine = Engine("cpu", 1, "64-true", None)
    strategy.configure_model(model, task, engine)
    strategy.setup(model, task, engine)
    phases = strategy.phases()
    for phase in phases:
        phase.optimizers = strategy.optimizers(phase, lambda own: torch.optim.SGD([p for _, p in own], lr=lr))
    return phases


def _forward_forward(file: GoldenFile, strategy: Any, lr: float = 0.0) -> tuple[GCN, list[Any], Data]:
    """The two layers of part A with the file's weights and wrong labels."""
    weights, biases = ([file.tensor(f"{name}{i}") for i in range(2)] for name in ("W", "b"))
    task = _task(file)
    model = _model(weights, biases, "nodes")
    model._widths[0] -= task.num_classes  # the columns of the label are among the weights' rows
    model.added_inputs = [task.num_classes, 0]
    phases = _ready(strategy, task, model, lr)
    wrong = file.tensor("wrong_label").unsqueeze(1).expand(-1, max(1, task.num_classes - 1))
    strategy.load_state_dict({"negatives": wrong.contiguous()})
    return model, phases, next(iter(task.batches("train")))


def _compare_layer(file: GoldenFile, key: str, model: GCN, i: int, loss: Tensor, stepped: bool = False) -> None:
    layer = model.layers[i]
    file.assert_close(f"{key}.loss", loss.double(), TOLERANCE)
    file.assert_close(f"{key}.grad_W", layer.lin.weight.grad.t(), TOLERANCE)
    if f"{key}.grad_b" in file:
        file.assert_close(f"{key}.grad_b", layer.bias.grad, TOLERANCE)
        if stepped:
            file.assert_close(f"{key}.W_after_sgd", layer.lin.weight.t(), TOLERANCE)
            file.assert_close(f"{key}.b_after_sgd", layer.bias, TOLERANCE)


def _check_forward_forward(file: GoldenFile) -> None:
    for i in range(2):  # each layer from the given weights
        strategy = ForwardForward(theta=file.scalar("theta"), num_negatives=1)
        model, phases, batch = _forward_forward(file, strategy, float(file.scalar("lr")))
        _check_states(file, strategy, model, batch)
        loss = strategy.train_step(batch, phases[i])["loss"]
        _compare_layer(file, f"ff.layer{i}", model, i, loss, stepped=True)


def _check_states(file: GoldenFile, strategy: ForwardForward, model: GCN, batch: Data) -> None:
    found = strategy._labelled(batch, "train")
    histories = strategy._bottom(found)
    for v, sign in enumerate(("pos", "neg")):
        file.assert_close(f"x_{sign}", found.graph(v).x, TOLERANCE)
    with torch.no_grad():
        for i in range(2):
            out = strategy.outputs(i, found, histories, None)()
            for v, sign in enumerate(("pos", "neg")):
                file.assert_close(f"ff.layer{i}.{sign}.output", out[v], TOLERANCE)
                file.assert_close(f"ff.layer{i}.{sign}.goodness", out[v].square().sum(1), TOLERANCE)
            histories = strategy.advance(i, found, histories, out)


def _check_symba(file: GoldenFile) -> None:
    strategy = ForwardForward(num_negatives=1, loss="symba", alpha=file.scalar("symba.alpha"))
    model, phases, batch = _forward_forward(file, strategy)
    for i, phase in enumerate(phases):
        loss = strategy.train_step(batch, phase)["loss"]
        _compare_layer(file, f"symba.layer{i}", model, i, loss)


def _check_collaboration(file: GoldenFile, name: str) -> None:
    gamma = {"all": "all", "prev": "preceding"}[name]
    strategy = LayerCollaborationFF(gamma, theta=file.scalar("theta"), num_negatives=1)
    model, (phase,), batch = _forward_forward(file, strategy)
    logged = strategy.train_step(batch, phase)
    for i in range(2):
        _compare_layer(file, f"collab_{name}.layer{i}", model, i, logged[f"loss_layer_{i + 1}"])
        for sign in ("pos", "neg"):
            goodness = [file.tensor(f"ff.layer{j}.{sign}.goodness") for j in range(2)]
            others = [g for j, g in enumerate(goodness) if (j != i if name == "all" else j < i)]
            expected = sum(others) if others else torch.zeros_like(goodness[0])
            file.assert_close(f"collab_{name}.layer{i}.{sign}.gamma", expected, TOLERANCE)
        rate = float(file.scalar("lr"))
        layer = model.layers[i]
        file.assert_close(
            f"collab_{name}.layer{i}.W_after_sgd", (layer.lin.weight - rate * layer.lin.weight.grad).t(), TOLERANCE
        )
        file.assert_close(f"collab_{name}.layer{i}.b_after_sgd", layer.bias - rate * layer.bias.grad, TOLERANCE)


def _network(file: GoldenFile) -> list[Tensor]:
    return [file.tensor(f"V{i}") for i in range(3)]


def _check_projections(file: GoldenFile, key: str, strategy: TargetProjection) -> None:
    task = _task(file)
    model = _model(_network(file), None, None)
    (phase,) = _ready(strategy, task, model)
    strategy.load_state_dict({"projections": [file.tensor(f"tp.P{i}") for i in range(2)]})
    batch = next(iter(task.batches("train")))
    logged = strategy.train_step(batch, phase)
    for i in range(2):
        file.assert_close(f"{key}.layer{i}.grad", model.layers[i].lin.weight.grad.t(), TOLERANCE)
        if f"{key}.layer{i}.loss" in file:
            file.assert_close(f"{key}.layer{i}.loss", logged[f"loss_layer_{i + 1}"].double(), TOLERANCE)
    file.assert_close("output.grad_true_error", model.layers[2].lin.weight.grad.t(), TOLERANCE)
    history = [batch.x]
    for i in range(3):
        history.append(model.step(i, history, batch))
        file.assert_close(f"net.layer{i}.output", history[-1] if i < 2 else history[-1].softmax(1), TOLERANCE)
    torch.testing.assert_close(strategy.predict(batch).softmax(1), file.tensor("net.layer2.output"))


def _check_heads(file: GoldenFile, goodness: str, name: str) -> None:
    task = _task(file)
    model = _model(_network(file)[:2], None, "nodes")
    strategy = ScalableFF(goodness, layer_norm=False)
    (phase,) = _ready(strategy, task, model)
    for i, head in enumerate(strategy.heads):
        head.load_state_dict({"weight": file.tensor(f"head.M{i}").t()})
    batch = next(iter(task.batches("train")))
    seen: list[Tensor] = []
    with torch.no_grad():
        strategy._run(batch, lambda b, out: seen.append(out))
    logged = strategy.train_step(batch, phase)
    for i in range(2):
        key = f"{name}.layer{i}"
        file.assert_close(f"{key}.class_goodness", seen[i], TOLERANCE)
        file.assert_close(f"{key}.loss", logged[f"loss_block_{i + 1}"].double(), TOLERANCE)
        file.assert_close(f"{key}.grad_M", strategy.heads[i].weight.grad.t(), TOLERANCE)
        file.assert_close(f"{key}.grad_V", model.layers[i].lin.weight.grad.t(), TOLERANCE)
        if goodness == "square":
            file.assert_close(f"sff_graph.layer{i}.class_goodness", seen[i].mean(0), TOLERANCE)
