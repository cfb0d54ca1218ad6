"""Graphs that a model tells apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data, Dataset

from graphkit.core.constraints import Count, NonNegative, checked
from graphkit.core.evaluating import evaluating
from graphkit.models.base import LayeredModel, required_by


@dataclass(frozen=True)
class Separation:
    """Which pairs of graphs a model tells apart.

    Attributes:
        separated: How many pairs it tells apart.
        pairs: How many pairs there are.
        distances: The relative distance of each pair ``[pairs]``.
    """

    separated: int
    pairs: int
    distances: Tensor


@checked
def separation(
    model: LayeredModel,
    graphs: Sequence[Data] | Dataset,
    pairs: Iterable[tuple[int, int]] | None = None,
    tolerance: NonNegative = 1e-9,
    batch_size: Count = 32,
) -> Separation:
    r"""How many pairs of graphs a model tells apart, in evaluation mode; usually one with random weights.

    The distance of two graphs is that of the model's outputs :math:`y`, relative to their size:
    :math:`\|y_i - y_j\| / \max(1, \|y_i\|, \|y_j\|)`, because sums make outputs, and their rounding, large. Use a model
    in double precision: the rounding of single precision exceeds the tolerance.

    Args:
        model: A model with one output row per graph.
        graphs: The graphs; they are given the structure and the precision that the model wants.
        pairs: Positions of the graphs to compare (default: all pairs).
        tolerance: The distance from which on two graphs count as told apart (default: 1e-9).
        batch_size: Graphs per forward pass (default: 32).

    Raises:
        ValueError: If the outputs do not have one row per graph.

    Example:
        >>> from graphkit.datasets import load_graphs
        >>> from graphkit.models import GCN
        >>> result = separation(GCN(1, 8, readout="sum").double(), load_graphs("sr16"))
        >>> result.separated, result.pairs
        (0, 1)
    """
    out = graph_outputs(model, prepare(model, graphs), batch_size)
    chosen = torch.tensor(list(combinations(range(len(graphs)), 2) if pairs is None else pairs)).view(-1, 2)
    first, second = out[chosen[:, 0]], out[chosen[:, 1]]
    scale = torch.maximum(first.norm(dim=1), second.norm(dim=1)).clamp(min=1)
    distances = (first - second).norm(dim=1) / scale
    return Separation(int((distances > tolerance).sum()), chosen.size(0), distances)


def prepare(model: nn.Module, graphs: Sequence[Data]) -> list[Data]:
    """The graphs with the structure and the precision that a model wants.

    Args:
        model: A model; one without ``required_transform()`` wants no structure.
        graphs: The graphs; they are not changed.
    """
    dtype = next((parameter.dtype for parameter in model.parameters()), torch.get_default_dtype())
    required = required_by(model)
    prepared = [graph if required is None else required(graph) for graph in graphs]
    return [graph.clone().apply(lambda v: v.to(dtype) if v.is_floating_point() else v) for graph in prepared]


@torch.no_grad()
def graph_outputs(model: nn.Module, graphs: Sequence[Data], batch_size: int = 32) -> Tensor:
    """A model's outputs in evaluation mode, one row per graph.

    Args:
        model: A model with one output row per graph.
        graphs: The graphs, as :func:`prepare` returns them.
        batch_size: Graphs per forward pass (default: 32).

    Raises:
        ValueError: If the outputs do not have one row per graph.
    """
    with evaluating(model):
        starts = range(0, len(graphs), batch_size)
        rows = [model(Batch.from_data_list(list(graphs[start : start + batch_size]))) for start in starts]
    out = torch.cat(rows)
    if out.size(0) != len(graphs):
        raise ValueError(f"{len(graphs)} graphs gave {out.size(0)} rows of outputs; the model needs a readout")
    return out.view(len(graphs), -1)
