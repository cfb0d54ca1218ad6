"""The goodness of forward-forward learning: how strongly a layer answers to what is judged."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch_geometric.data import Data

from graphkit.ops import sddmm
from graphkit.tasks import Task
from graphkit.training.strategies.labelled_graphs import LabelledGraphs


class ClassGoodness:
    """Of nodes, or of graphs in the mean over their nodes, each under right and wrong labels: the squared length."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def goodness(self, z: Tensor, graphs: LabelledGraphs, batch: Data) -> Tensor:
        """The goodness ``[V, n]`` of what is judged in each graph, from states ``[V, rows, H]``."""
        per_node = SquaredLengths.apply(z)
        if graphs.rows is not None:
            return per_node
        graph, _ = self.task.label_index(batch, "train")
        sums = per_node.new_zeros(graphs.count, batch.num_graphs).index_add(1, graph, per_node)
        return sums / torch.bincount(graph, minlength=batch.num_graphs)

    def sides(self, goodness: Tensor, batch: Data) -> tuple[Tensor, Tensor]:
        """The goodness of right labels and that of wrong ones."""
        return goodness[:1], goodness[1:]

    def scores(self, z: Tensor, graphs: LabelledGraphs, batch: Data) -> Tensor:
        """The mean instead of the sum over channels, by which layers are compared."""
        return self.goodness(z, graphs, batch) / z.size(-1)

    def outputs(self, scores: list[Tensor], batch: Data, stage: str) -> Tensor:
        """The task's outputs from the scores ``[V, n]`` of all layers; here each graph shows another class."""
        return self.task.target.outputs(self.task.spread(torch.stack(scores).sum(0).t(), batch, stage))


class PairGoodness(ClassGoodness):
    """Of pairs of nodes, links and others: the sum of the squares of the products of two nodes' entries."""

    def goodness(self, z: Tensor, graphs: LabelledGraphs, batch: Data) -> Tensor:
        pairs = self.task.pairs(batch)
        return torch.stack([sddmm(pairs, squares, squares) for squares in z.square()])  # type: ignore[arg-type]

    def sides(self, goodness: Tensor, batch: Data) -> tuple[Tensor, Tensor]:
        linked = self.task.target_labels(batch, "train") > 0
        return goodness[:, linked], goodness[:, ~linked]

    def scores(self, z: Tensor, graphs: LabelledGraphs, batch: Data) -> Tensor:
        return self.goodness(z, graphs, batch)

    def outputs(self, scores: list[Tensor], batch: Data, stage: str) -> Tensor:
        """What the mean of the layers' probabilities is the sigmoid of."""
        joined = torch.cat(scores)
        return (F.logsigmoid(joined).logsumexp(0) - F.logsigmoid(-joined).logsumexp(0)).unsqueeze(1)


class SquaredLengths(torch.autograd.Function):
    """The sum of squares of each row, with a gradient that takes a single pass over the rows."""

    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        ctx.save_for_backward(h)
        return torch.linalg.vector_norm(h, dim=-1).square()  # needs no copy of h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (h,) = ctx.saved_tensors
        return h * (2 * grad).unsqueeze(-1)
