"""Inference by nodes that act in their own time, on old news of each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.algorithms.sampling.subgraphs import Subgraph, SubgraphSource
from graphkit.core.attributes import attributes_of, take
from graphkit.core.constraints import Count, NonNegativeInt, Seed, checked
from graphkit.core.evaluating import evaluating
from graphkit.models.base import LayeredModel, required_by

Schedule = Literal["stale", "random", "partial"]


@dataclass(frozen=True)
class Asynchrony:
    """What nodes told that acted in their own time, beside what the model tells.

    Attributes:
        score: The metric of the asynchronous outputs.
        synchronous: The metric of the model's own.
        change: The norm of the difference of outputs, relative to that of the model's own.
        ticks: How long the nodes acted.
    """

    score: float
    synchronous: float
    change: float
    ticks: int


@checked
@torch.no_grad()
def asynchronous(
    model: LayeredModel,
    task: Any,
    delay: NonNegativeInt = 0,
    schedule: Schedule = "partial",
    seed: Seed = 0,
    stage: Literal["train", "val", "test"] = "test",
    max_ticks: Count = 10_000,
) -> Asynchrony:
    r"""Run a model node by node, in evaluation mode, and compare with running it as a whole.

    After `"Graph Neural Networks Gone Hogwild" <https://arxiv.org/abs/2407.00494>`_ (Solodova, Richardson, Oktay,
    Adams, ICLR 2025). At every tick some nodes act, each on its own state and on what others have sent before, up to
    ``delay`` ticks ago; how long ago is drawn for each pair of nodes and each tick.

    - A model with layers: a node that acts computes its next layer, on the latest state up to that layer that has
      arrived from each other node and has the width that this layer reads, or zeros. It ends when all have computed
      all layers.
    - A model with ``local_update(batch, delay)``, which returns a function from states and a part of the graph to
      states (:class:`~graphkit.models.EnergyGNN`): a node that acts updates its state by it, all start at zeros. It
      ends when updates change no state any more.

    Args:
        model: Any model whose layers say how far they reach (``model.num_hops``), or with ``local_update``.
        task: The task, of which this stage is judged.
        delay: How many ticks old news may be (default: 0).
        schedule: Who acts at a tick: ``"stale"`` for all, ``"random"`` for each with the probability 1/2,
            ``"partial"`` for each once, at a random tick, in every ``delay + 1`` ticks (default: ``"partial"``).
        seed: The seed of the draws (default: 0).
        stage: What is judged (default: ``"test"``).
        max_ticks: The largest number of ticks (default: 10000).

    Raises:
        TypeError: If the model cannot be run node by node.

    Example:
        >>> from graphkit.datasets import load
        >>> task = load("chains", length=5)
        >>> from graphkit.models import EnergyGNN
        >>> model = EnergyGNN.from_task(task, tol=1e-6)
        >>> asynchronous(model, task, delay=2).change < 1e-3
        True
    """
    if not hasattr(model, "local_update") and model.num_hops is None:
        raise TypeError(
            f"asynchronous: the layers of this {type(model).__name__} may read the whole graph, so it cannot be run "
            "node by node; use a model such as GCN, GAT or EnergyGNN"
        )
    transform = required_by(model)
    task = task if transform is None else task.transform(transform)
    generator = torch.Generator().manual_seed(seed)
    metrics, squares, ticks = (task.fresh_metric(), task.fresh_metric()), torch.zeros(2), 0
    with evaluating(model):
        for batch in task.batches(stage):
            run = _Run(model, batch, delay, schedule, generator, max_ticks)
            states = run.implicit() if hasattr(model, "local_update") else run.layers()
            outputs = model.decode(states, batch), model(batch)
            for metric, out in zip(metrics, outputs, strict=True):
                metric.update(*task.judged(lambda batch, stage, out=out: out, batch, stage))
            squares += torch.stack([(outputs[0] - outputs[1]).square().sum(), outputs[1].square().sum()]).cpu()
            ticks = max(ticks, run.ticks)
    change = float((squares[0] / squares[1]).sqrt()) if squares[1] > 0 else 0.0
    return Asynchrony(metrics[0].compute(), metrics[1].compute(), change, ticks)


class _Run:
    """Nodes of one batch; each has a copy of its neighbourhood, and all copies are computed as one graph."""

    def __init__(
        self,
        model: Any,
        batch: Data,
        delay: int,
        schedule: Schedule,
        generator: torch.Generator,
        max_ticks: int,
    ) -> None:
        self.model, self.batch = model, batch
        self.delay, self.schedule, self.generator, self.max_ticks = delay, schedule, generator, max_ticks
        self.size, self.ticks = int(batch.num_nodes or 0), 0
        hops = 2 if hasattr(model, "local_update") else model.num_hops
        part = _neighbourhoods(batch.edge_index, self.size, hops)
        self.part, self.nodes, self.roots = _data_of(batch, part), part.nodes, part.roots
        self.is_own = torch.zeros(part.nodes.numel(), dtype=torch.bool)
        self.is_own[self.roots] = True

    def layers(self) -> Tensor:
        """The last states of nodes that compute their layers one by one."""
        model, depth = self.model, len(self.model.layers)
        first = model.encode(self.batch)
        states = [first if isinstance(first, Tensor) else first.to_dense()]
        when = [torch.full((self.size,), -1 - self.delay)]  # the tick at which each node computed each layer
        done = torch.zeros(self.size, dtype=torch.long)
        for active in self._acting():
            for i in done[active].unique().tolist():
                if i == depth:
                    continue
                views = self._views(states, when, i)
                out = model.step(i, views, self.part)[self.roots]
                if len(states) == i + 1:
                    states.append(torch.zeros_like(out))
                    when.append(torch.full((self.size,), self.max_ticks))
                acting = active & (done == i)
                states[i + 1][acting], when[i + 1][acting] = out[acting], self.ticks
            done[active] = (done[active] + 1).clamp(max=depth)
            if bool((done == depth).all()):
                break
        return states[-1]

    def _views(self, states: list[Tensor], when: list[Tensor], i: int) -> list[Tensor]:
        """Each state up to ``i`` as the copies know it: one's own, and of others the latest that has arrived."""
        now = self.ticks - 1 - self._ages()
        views = []
        for layer, state in enumerate(states[: i + 1]):
            view = torch.zeros_like(state)[self.nodes]
            for earlier, at in zip(states[: layer + 1], when):
                if earlier.size(1) == state.size(1):
                    arrived = at[self.nodes] <= now
                    view = torch.where(arrived[:, None], earlier[self.nodes], view)
            views.append(torch.where(self.is_own[:, None], state[self.nodes], view))
        return views

    def implicit(self) -> Tensor:
        """The states of nodes that update them again and again."""
        update = self.model.local_update(self.batch, self.delay)
        h = torch.zeros_like(self.model.encode(self.batch))
        past, quiet = [h] * (self.delay + 1), 0
        for active in self._acting():
            known = torch.stack(past)[self._ages(), self.nodes]
            new = update(torch.where(self.is_own[:, None], h[self.nodes], known), self.part)[self.roots]
            quiet = quiet + 1 if (new - h).norm() <= torch.finfo(h.dtype).eps * h.norm() else 0
            h = torch.where(active[:, None], new, h)
            past = [h, *past[:-1]]
            if quiet > 2 * self.delay:
                break
        return h

    def _ages(self) -> Tensor:
        """How old the news is that each copy has, in ticks."""
        return torch.randint(self.delay + 1, self.nodes.shape, generator=self.generator)

    def _acting(self) -> Iterator[Tensor]:
        """The nodes that act at each tick."""
        window = self.delay + 1
        turn = torch.zeros(self.size, dtype=torch.long)
        for tick in range(self.max_ticks):
            self.ticks = tick + 1
            if tick % window == 0 and self.schedule == "partial":
                turn = torch.randint(window, (self.size,), generator=self.generator)
            if self.schedule == "random":
                yield torch.rand(self.size, generator=self.generator) < 0.5
            else:
                yield turn == tick % window if self.schedule == "partial" else torch.ones(self.size, dtype=torch.bool)


def _neighbourhoods(edge_index: Tensor, size: int, hops: int) -> Subgraph:
    """The disjoint union of what is so many hops around each node, whatever the direction of edges."""
    both = torch.cat([edge_index, edge_index.flip(0)], dim=1)
    roots = torch.arange(size)
    nodes, sizes = SubgraphSource(both, size).hop_sets(roots, hops)
    return SubgraphSource(edge_index, size).neighborhoods(roots, nodes, sizes)


def _data_of(batch: Data, part: Subgraph) -> Data:
    out = Data(edge_index=part.edge_index, num_nodes=part.nodes.numel())
    for key in attributes_of("node", batch, "asynchronous"):
        if key != "batch":  # the copies are one graph, of which no readout is asked
            out[key] = batch[key][part.nodes]
    for key in attributes_of("edge", batch, "asynchronous"):
        out[key] = take(batch[key], part.edges, key)
    return out
