"""Checks of strategies: weights change or are named, frozen ones rest, runs repeat, labels stay hidden."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.models import GCN
from graphkit.tasks import GraphTask, NodeTask, Split, Task
from graphkit.testing.graphs import random_graph
from graphkit.training import Result, Trainer
from graphkit.training.strategies import Strategy

Make = Callable[[], Strategy]


def unnamed_weights(trainer: Trainer, model: nn.Module, task: Task) -> tuple[Result, list[str]]:
    """Train, with weight decay, and list the trainable weights that stay as they are without a warning of ``fit``."""
    strategy, weights = trainer.strategy, dict[str, Tensor]()
    trainer.restore_best = False  # training that makes nothing better is to be seen, too
    setup = strategy.setup

    def remember(model: nn.Module, *rest: Any) -> None:
        setup(model, *rest)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.requires_grad:
                    weights[name] = parameter.add_(0.01).clone()  # so that weight decay changes what is trained

    strategy.setup = remember  # type: ignore[method-assign, assignment]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = trainer.fit(model, task)
    told = " ".join(str(warning.message) for warning in caught if "weights of" in str(warning.message))
    after = dict(strategy.model.named_parameters())
    same = [name for name, before in weights.items() if name not in after or torch.equal(after[name], before)]
    return result, [name for name in same if name.removeprefix("module.").partition(".")[0] not in told]


def check_weights(make: Make, task: Task, model: nn.Module) -> None:
    """Every trainable weight changes in an epoch, or the trainer names it."""
    _, unnamed = unnamed_weights(_trainer(make, weight_decay=0.1), model, task)
    assert not unnamed, f"weights stay as they are, and no warning names them: {', '.join(unnamed)}"


def check_frozen_weights(make: Make, task: Task, model: nn.Module) -> None:
    """A weight with ``requires_grad=False`` stays bit-equal, weight decay or not, or is refused by that word."""
    names = [name for name, _ in model.named_parameters() if name.endswith("bias")]
    before = {name: model.get_parameter(name).requires_grad_(False).clone() for name in names}
    try:
        _trainer(make, weight_decay=0.1).fit(model, task)
    except ValueError as error:
        if "frozen" not in str(error):
            raise
    for name, value in before.items():
        assert torch.equal(model.get_parameter(name), value), f"the frozen weight {name} has changed"


def check_repetition(make: Make, task: Task, model: nn.Module) -> None:
    """A trainer that is used again, after another model, gives what a new one gives."""
    used, other = _trainer(make), copy.deepcopy(model)
    used.fit(GCN.from_task(task, hidden_channels=5, num_layers=3, readout=model.readout), task)
    again, fresh = used.fit(model, task), _trainer(make).fit(other, task)
    assert again.history == fresh.history, "a second run with the same strategy differs from one with a new strategy"


def check_hidden_labels(make: Make, task: Task, model: nn.Module) -> None:
    """Predictions do not depend on the labels that they are judged by."""
    trainer = _trainer(make)
    trainer.fit(model, task)
    for batch in task.batches("test"):
        changed, rows = copy.copy(batch), batch.get("test_index", slice(None))
        changed.y = batch.y.clone()
        changed.y[rows] = (changed.y[rows] + 1) % 3
        with torch.no_grad():
            model.eval()
            one, other = (trainer.strategy.predict(each, stage="test")[rows] for each in (batch, changed))
        assert torch.equal(one, other), "predictions read the labels that they are judged by"


def check_new_graphs(make: Make, task: Task, model: nn.Module) -> None:
    """A graph without labels is predicted."""
    trainer, graph = _trainer(make), _graph(9, seed=1)
    trainer.fit(model, task)
    shape, rows = list(trainer.predict(graph).shape), 1 if task.joins_graphs else 9
    assert shape == [rows, task.num_outputs], f"predictions of a new graph have the shape {shape}"


def check_state_dict(make: Make, task: Task, model: nn.Module) -> None:
    """``load_state_dict`` puts back what ``state_dict`` returned: predictions are as before."""
    trainer = _trainer(make)
    trainer.fit(model, task)
    state, (before, _) = copy.deepcopy(trainer.strategy.state_dict()), trainer.predict(task)
    trainer.strategy.load_state_dict(state)
    assert torch.equal(trainer.predict(task)[0], before), "predictions change when the state is put back"


STRATEGY_CHECKS = {
    "weights": check_weights,
    "frozen_weights": check_frozen_weights,
    "repetition": check_repetition,
    "hidden_labels": check_hidden_labels,
    "new_graphs": check_new_graphs,
    "state_dict": check_state_dict,
}


def strategy_cases(make: Make) -> Iterator[tuple[str, Callable[[], None]]]:
    """All checks of a strategy by name, on each of two small tasks that it is for.

    Args:
        make: Builds the strategy.
    """
    for task, readout in _tasks():
        model = GCN.from_task(task, hidden_channels=8, num_layers=2, readout=readout)
        try:
            make().check(model, task)
        except (TypeError, ValueError):
            continue
        for name, check in STRATEGY_CHECKS.items():
            given = make, task, copy.deepcopy(model)
            yield f"{name}-{task.kind}", lambda check=check, given=given: check(*given)  # type: ignore[misc]


def _trainer(make: Make, **settings: Any) -> Trainer:
    return Trainer(max_epochs=2, lr=0.05, strategy=make(), accelerator="cpu", progress=False, **settings)


def _graph(num_nodes: int, seed: int) -> Data:
    graph = random_graph(num_nodes, 3 * num_nodes, edge_dim=None, seed=seed)
    graph.x = graph.x.float()
    return graph


def _tasks() -> Iterator[tuple[Task, str]]:
    ids = torch.arange(24)
    split = Split("checks", ids[:12], ids[12:18], ids[18:])
    graph = _graph(24, seed=0)
    graph.y = ids % 3
    yield NodeTask("nodes", graph, split), "nodes"
    graphs = [_graph(4 + i % 3, seed=i) for i in range(24)]
    for i, graph in enumerate(graphs):
        graph.y = torch.tensor([i % 3])
    yield GraphTask("graphs", graphs, split), "mean"
