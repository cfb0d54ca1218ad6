"""Negative weights of edges, which some models refuse: met before anything is trained."""

from __future__ import annotations

import torch
from torch import nn
from torch_geometric.data import Batch, Data

from graphkit.core.reads import reads_of
from graphkit.tasks import STAGES, Task
from graphkit.training.checkpoint import random_state, set_random_state
from graphkit.training.engine import Engine
from graphkit.training.lifecycle import evaluation
from graphkit.training.strategies.base import Strategy


def try_negative_weights(
    network: nn.Module, task: Task, strategy: Strategy, engine: Engine, batch_size: int | None, test: bool
) -> None:
    """Predict, once, every batch in which the weights of a node's edges have a negative sum.

    Whether a model refuses such a node is decided by its normalisation, deep inside; without this it would say so when
    it comes to the batch, which may be the test after all training. Other tasks cost nothing.

    Args:
        network: The model.
        task: The task, prepared for it.
        strategy: The strategy, set up.
        engine: What moves batches.
        batch_size: The trainer's.
        test: Whether the test part will be read.

    Raises:
        ValueError: If the model refuses one; the message names the task, the part, the graph and the edge.
    """
    if not reads_of(network).edge_weight or not any(_any_negative(graph) for graph in task.graphs):
        return
    before = random_state()
    for stage in STAGES if test else STAGES[:2]:
        with evaluation(network, strategy, stage):
            for batch in task.batches(stage, batch_size):
                if _any_degree_negative(batch) and (error := _refused(strategy, engine, batch, stage)):
                    where = _culprit(task, strategy, engine, stage) if task.joins_graphs else f"{stage}: {error}"
                    raise ValueError(f"task {task.name!r}, {where}") from error
    set_random_state(before)


def _refused(strategy: Strategy, engine: Engine, batch: Data, stage: str) -> ValueError | None:
    try:
        strategy.predict(engine.to_device(batch), stage=stage)
    except ValueError as error:
        return error
    return None


def _culprit(task: Task, strategy: Strategy, engine: Engine, stage: str) -> str:
    """The graph of a batch that is refused by itself, too, with its own numbers of nodes, and why."""
    numbers = [n for n in getattr(task.split, stage).tolist() if _any_degree_negative(task.graphs[n])]
    errors = ((n, _refused(strategy, engine, Batch.from_data_list([task.graphs[n]]), stage)) for n in numbers)
    return next(f"graph {number}: {error}" for number, error in errors if error is not None)


def _any_negative(graph: Data) -> bool:
    weight = graph.get("edge_weight")
    return weight is not None and bool((weight < 0).any())


def _any_degree_negative(graph: Data) -> bool:
    if not _any_negative(graph):
        return False
    weight = graph.edge_weight.view(-1)
    degrees = torch.stack(
        [weight.new_zeros(int(graph.num_nodes or 0)).index_add(0, e, weight) for e in graph.edge_index]
    )
    return bool((degrees < 0).any())
