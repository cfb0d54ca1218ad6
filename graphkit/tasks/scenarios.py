"""Harder variants of a task: noise, classes of unlike size, few examples."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Self

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.constraints import Count, Interval, Seed, UnitInterval, checked
from graphkit.tasks.base import Task
from graphkit.tasks.negatives import link_keys, pairs_of, sample_negatives

Level = Annotated[float, Interval(0)]


class Scenarios(Task):
    """Tasks whose graphs and training labels can be disturbed or thinned out; each call returns a new task.

    Validation and test keep their labels and examples. Noise in edges and features is in all graphs; choose it before
    features that are computed of graphs, and before :meth:`Task.sampled`.
    """

    @abstractmethod
    def with_labels(self, labels: Tensor) -> list[Data]:
        """The graphs with other labels."""

    @abstractmethod
    def training_rows(self) -> Tensor:
        """The rows of :attr:`labels` to train on."""

    @checked
    def noisy(self, *, edges: UnitInterval = 0.0, features: Level = 0.0, labels: Level = 0.0, seed: Seed = 0) -> Self:
        """The task with noise.

        Args:
            edges: The share of each graph's edges that lead to random places instead, between nodes that had none; both
                directions of an edge move together, with its features and weight, and loops stay (default: 0).
            features: The standard deviation of what is added to node features, normally distributed, as a multiple of
                each column's own over all graphs (default: 0).
            labels: Of training labels, the share that are another class instead, drawn uniformly; of regression the
                standard deviation of what is added, as a multiple of the labels' own (default: 0).
            seed: The seed (default: 0).

        Raises:
            ValueError: If there are no dense features to disturb, labels of such a kind have no noise, the share of
                labels is above 1, or the task is sampled.

        Example:
            >>> import graphkit as gk
            >>> task = gk.load("karate")
            >>> noisy = task.noisy(edges=0.5)
            >>> noisy.graphs[0].num_edges == task.graphs[0].num_edges, noisy.name
            (True, 'karate, noisy: edges 0.5')
        """
        self._refuse_sampled("noisy")
        rng = np.random.default_rng(seed)
        graphs = self.with_labels(self._noisy_labels(labels, rng)) if labels else [copy.copy(g) for g in self.graphs]
        if features:
            self._disturb(graphs, features, rng)
        if edges:
            for graph in graphs:
                graph.edge_index = _moved(graph.edge_index, graph.num_nodes or 0, edges, rng)
        levels = {"edges": edges, "features": features, "labels": labels}
        told = ", ".join(f"{name} {level:g}" for name, level in levels.items() if level)
        task = self._changed(graphs, self.split)
        task.name = f"{self.name}, noisy: {told}" if told else self.name
        return task

    @checked
    def imbalanced(self, ratio: Annotated[float, Interval(1)], seed: Seed = 0) -> Self:
        r"""The task with classes of unlike size in the training part.

        Of :math:`K` classes in the order of their size, the :math:`k`-th keeps at most :math:`n_1 r^{-(k-1)/(K-1)}`
        examples, where :math:`n_1` is the size of the largest: the last one is :math:`r` times as small.

        Args:
            ratio: How many times as many examples the largest class has as the smallest, :math:`r`.
            seed: The seed that draws the examples that are kept (default: 0).

        Raises:
            ValueError: If labels are no classes, or the task is sampled.

        Example:
            >>> import graphkit as gk
            >>> gk.load("csl").imbalanced(4).split.sizes[0]
            51
        """
        classes = self._classes("imbalanced")
        count = torch.bincount(classes)
        order = count.argsort(descending=True, stable=True)
        order = order[count[order] > 0]
        share = torch.linspace(0, 1, len(order)) if len(order) > 1 else torch.zeros(1)
        kept = torch.zeros_like(count)
        kept[order] = (count.max() * float(ratio) ** -share).round().long().clamp(min=1)
        return self._thinned(classes, kept, f"imbalanced-{ratio:g}", seed)

    @checked
    def few_shot(self, k: Count, seed: Seed = 0) -> Self:
        """The task with a few training examples per class.

        Args:
            k: The number of examples.
            seed: The seed that draws them (default: 0).

        Raises:
            ValueError: If labels are no classes, a class has fewer examples, or the task is sampled.

        Example:
            >>> import graphkit as gk
            >>> gk.load("csl").few_shot(2).split.sizes[0]
            20
        """
        classes = self._classes("few_shot")
        count = torch.bincount(classes)
        if bool(((count > 0) & (count < k)).any()):
            scarce = int(((count > 0) & (count < k)).nonzero()[0])
            raise ValueError(
                f"task {self.name!r}: few_shot({k}), but class {scarce} has {int(count[scarce])} training examples; "
                "choose fewer"
            )
        return self._thinned(classes, torch.full_like(count, k), f"few-shot-{k}", seed)

    def _classes(self, what: str) -> Tensor:
        """The class of each training example."""
        self._refuse_sampled(what)
        rows = self.training_rows()
        if not self.target.num_classes or len(rows) != len(self.split.train):
            raise ValueError(
                f"task {self.name!r}: {what} needs one class per training example, but labels are {self.target}"
            )
        return self.target.class_ids(self.labels[rows])

    def _thinned(self, classes: Tensor, kept: Tensor, name: str, seed: int) -> Self:
        """The task with so many training examples of each class."""
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(classes)))
        place = torch.empty_like(order)
        for label in classes.unique():
            members = order[classes[order] == label]
            place[members] = torch.arange(len(members))
        train = self.split.train[place < kept[classes]]
        return self.with_split(replace(self.split, name=f"{self.split.name}/{name}", train=train))

    def _noisy_labels(self, level: float, rng: np.random.Generator) -> Tensor:
        rows, labels = self.training_rows(), self.labels.clone()
        if not self.target.num_classes:
            if not labels.is_floating_point() or type(self.target).name != "regression":
                raise ValueError(f"task {self.name!r}: labels={level:g}, but {self.target} labels have no noise")
            noise = torch.from_numpy(rng.standard_normal(labels[rows].shape)).to(labels)
            known = labels[rows]
            spread = (known - known.nanmean(0)).square().nanmean(0).sqrt()
            labels[rows] = known + level * spread * noise
            return labels
        if level > 1:
            raise ValueError(f"task {self.name!r}: labels={level:g}, must be a share of at most 1 of classes")
        wrong = rows[torch.from_numpy(rng.permutation(len(rows)))[: round(level * len(rows))]]
        step = torch.from_numpy(rng.integers(1, self.target.num_classes, len(wrong)))
        other = (self.target.class_ids(labels[wrong]) + step) % self.target.num_classes
        labels[wrong] = other.view(labels[wrong].shape).to(labels)
        return labels

    def _disturb(self, graphs: Sequence[Data], level: float, rng: np.random.Generator) -> None:
        if any(graph.x is None or graph.x.layout != torch.strided for graph in graphs):
            raise ValueError(f"task {self.name!r}: features={level:g} needs dense node features; make them dense first")
        spread = torch.cat([graph.x.double() for graph in graphs]).std(0, correction=0)
        for graph in graphs:
            noise = torch.from_numpy(rng.standard_normal(tuple(graph.x.shape)))
            graph.x = graph.x + (level * spread * noise).to(torch.promote_types(graph.x.dtype, torch.float32))

    def _refuse_sampled(self, what: str) -> None:
        if self.sampler is not None:
            raise ValueError(f"task {self.name!r} is sampled; call {what} before sampled")


def _moved(edge_index: Tensor, n: int, share: float, rng: np.random.Generator) -> Tensor:
    """Edges of which a share joins other pairs of nodes, which had none."""
    keys, pair = link_keys(edge_index, n, undirected=True).unique(return_inverse=True)
    movable = (keys // n != keys % n).nonzero().view(-1)
    count = min(round(share * movable.numel()), n * (n - 1) // 2 - movable.numel())
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    fresh = sample_negatives(keys[movable], n, count, True, generator)
    moved = movable[torch.randperm(movable.numel(), generator=generator)[:count]]
    low, high = pairs_of(keys.index_copy(0, moved, link_keys(fresh, n, undirected=True))[pair], n)
    forward = edge_index[0] <= edge_index[1]
    return torch.where(forward, torch.stack([low, high]), torch.stack([high, low]))
