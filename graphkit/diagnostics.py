"""What a graph and a network do to each other: energy by depth, graphs told apart, homophily in its several senses.

Homophily is measured on the simple undirected graph: directions, repeated edges and self-loops do not count. Labels are
integers; nodes of a negative label are left out together with their edges.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphkit import ops
from graphkit.models.base import LayeredModel
from graphkit.ops import SparseMatrix

__all__ = [
    "Separation",
    "adjusted_homophily",
    "class_insensitive_homophily",
    "cross_class_similarity",
    "dirichlet_energy",
    "edge_homophily",
    "energies",
    "label_informativeness",
    "node_homophily",
    "plot_energies",
    "separation",
]


def dirichlet_energy(x: Tensor, graph: Any, normalize: bool = False) -> Tensor:
    r"""Dirichlet energy: how much features differ along edges.

    .. math::
        E(X) = \tfrac12 \sum_{s \to t} \|x_t - x_s\|^2 \qquad \text{or} \qquad
        \tfrac12 \sum_{s \to t} \Big\| \tfrac{x_t}{\sqrt{d_t}} - \tfrac{x_s}{\sqrt{d_s}} \Big\|^2 \;\text{(normalize)}

    which is :math:`\mathrm{tr}\, X^\top L X` on an undirected graph that stores both directions. With the Laplacian
    :math:`\Delta` of a sheaf, given as a matrix, it is :math:`\mathrm{tr}\, X^\top \Delta X`.

    Args:
        x: Node features ``[num_nodes, channels]``, or stalks ``[num_nodes * d, channels]`` for a sheaf.
        graph: Edges ``[2, num_edges]``, or a Laplacian that multiplies ``x`` (``graph @ x``).
        normalize: Divide by roots of in-degrees, of 1 at least; edges only (default: ``False``).

    Example:
        >>> dirichlet_energy(torch.tensor([[0.0], [2.0]]), torch.tensor([[0, 1], [1, 0]]))
        tensor(4.)
    """
    if not isinstance(graph, Tensor) or graph.is_floating_point():
        return (x * (graph @ x)).sum()
    pattern = ops.structure(graph, x.size(0))
    if normalize:
        x = x * pattern.in_degree.clamp(min=1).to(x.dtype).rsqrt().unsqueeze(1)
    squares = x.square().sum(1)
    degree = (pattern.in_degree + pattern.out_degree).to(x.dtype)
    return (degree * squares).sum() / 2 - (x * (SparseMatrix(pattern) @ x)).sum()


@torch.no_grad()
def energies(model: LayeredModel, batch: Data, laplacian: Any = None, normalize: bool = False) -> list[float]:
    r"""The Dirichlet energy of each state of a layered model that has one row per node, in evaluation mode.

    Args:
        model: Any model that runs layer by layer.
        batch: The graph.
        laplacian: Measure with this operator instead of the graph, e.g. a sheaf Laplacian (default: the graph).
        normalize: As in :func:`dirichlet_energy` (default: ``False``).

    Returns:
        One number per state :math:`h_0, \dots, h_L`.

    Example:
        >>> from graphkit.models import GRAND
        >>> data = Data(x=torch.eye(3), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> before, after = energies(GRAND(3, 4), data)
        >>> after < before
        True
    """
    training = model.training
    model.eval()
    try:
        history: list[Any] = [model.encode(batch)]
        for i in range(len(model.layers)):
            history.append(model.step(i, history, batch))
    finally:
        model.train(training)
    states = [h.to_dense() if isinstance(h, SparseMatrix) else h for h in history]
    graph = batch.edge_index if laplacian is None else laplacian
    return [float(dirichlet_energy(h, graph, normalize)) for h in states]


def plot_energies(curves: dict[str, list[float]], path: str | os.PathLike[str] | None = None) -> Any:
    """Draw energies by layer on a logarithmic axis, one line per name.

    Args:
        curves: What :func:`energies` returned, by name.
        path: Where to write the picture (default: nowhere).

    Returns:
        The matplotlib figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    for name, values in curves.items():
        axes.semilogy(range(len(values)), values, marker="o", markersize=3, label=name)
    axes.set_xlabel("layer")
    axes.set_ylabel("Dirichlet energy")
    axes.legend()
    if path is not None:
        figure.savefig(path)
    return figure


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


@torch.no_grad()
def separation(
    model: LayeredModel,
    graphs: Sequence[Data],
    pairs: Iterable[tuple[int, int]] | None = None,
    tolerance: float = 1e-9,
    batch_size: int = 32,
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
        >>> found = separation(GCN(1, 8, readout="sum").double(), load_graphs("sr16"))
        >>> found.separated, found.pairs
        (0, 1)
    """
    dtype = next(model.parameters()).dtype
    required = model.required_transform()
    prepared = [graph if required is None else required(graph) for graph in graphs]
    prepared = [graph.clone().apply(lambda v: v.to(dtype) if v.is_floating_point() else v) for graph in prepared]
    training = model.training
    model.eval()
    try:
        starts = range(0, len(prepared), batch_size)
        rows = [model(Batch.from_data_list(prepared[start : start + batch_size])) for start in starts]
    finally:
        model.train(training)
    out = torch.cat(rows)
    if out.size(0) != len(prepared):
        raise ValueError(f"{len(prepared)} graphs gave {out.size(0)} rows of outputs; the model needs a readout")
    chosen = torch.tensor(list(combinations(range(len(prepared)), 2) if pairs is None else pairs)).view(-1, 2)
    first, second = out[chosen[:, 0]], out[chosen[:, 1]]
    scale = torch.maximum(first.norm(dim=1), second.norm(dim=1)).clamp(min=1)
    distances = (first - second).norm(dim=1) / scale
    return Separation(int((distances > tolerance).sum()), chosen.size(0), distances)


def edge_homophily(edge_index: Tensor, y: Tensor) -> float:
    """The share of edges that join equal labels.

    Example:
        >>> edge_homophily(torch.tensor([[0, 1], [1, 2]]), torch.tensor([0, 0, 1]))
        0.5
    """
    source, target = _simple(edge_index, y)
    return float((y[source] == y[target]).double().mean())


def node_homophily(edge_index: Tensor, y: Tensor, isolated_as_zero: bool = False) -> float:
    """The mean over nodes of the share of their neighbours with the same label.

    Args:
        edge_index: Edges ``[2, num_edges]``.
        y: Labels ``[num_nodes]``.
        isolated_as_zero: Count nodes without neighbours as 0, as PyG does, instead of leaving them out (default:
            ``False``).
    """
    source, target = _simple(edge_index, y)
    degree = torch.bincount(target, minlength=y.numel()).double()
    equal = torch.bincount(target[y[source] == y[target]], minlength=y.numel()).double()
    counted = y >= 0 if isolated_as_zero else degree > 0
    return float((equal / degree.clamp(min=1))[counted].mean())


def class_insensitive_homophily(edge_index: Tensor, y: Tensor) -> float:
    r""":math:`\frac{1}{C-1} \sum_k \max(0, h_k - n_k / n)` with :math:`h_k` the equal-label share of class :math:`k`.

    Lim et al.: `"Large Scale Learning on Non-Homophilous Graphs" <https://arxiv.org/abs/2110.14446>`_, NeurIPS 2021.
    """
    joint = _joint(edge_index, y)
    size = torch.bincount(y[y >= 0], minlength=joint.size(0)).double()
    share = joint.diagonal() / joint.sum(1).clamp(min=1)
    return float((share - size / size.sum()).clamp(min=0).sum() / (joint.size(0) - 1))


def adjusted_homophily(edge_index: Tensor, y: Tensor) -> float:
    r"""Edge homophily, corrected for class sizes: :math:`(h - \sum_k p_k^2) / (1 - \sum_k p_k^2)`.

    :math:`p_k` is the share of class :math:`k` among ends of edges; 1 is perfect, 0 what independent labels have.
    Platonov et al.: `"Characterizing Graph Datasets for Node Classification" <https://arxiv.org/abs/2209.06177>`_,
    NeurIPS 2023.
    """
    joint = _joint(edge_index, y)
    joint = joint / joint.sum()
    chance = joint.sum(1).square().sum()
    return float((joint.diagonal().sum() - chance) / (1 - chance))


def label_informativeness(edge_index: Tensor, y: Tensor) -> float:
    r"""How much a neighbour's label tells: mutual information over entropy for the ends of a random edge, in [0, 1].

    Platonov et al.: `"Characterizing Graph Datasets for Node Classification" <https://arxiv.org/abs/2209.06177>`_,
    NeurIPS 2023.
    """
    joint = _joint(edge_index, y)
    joint = joint / joint.sum()
    marginal = joint.sum(1)
    entropy = -torch.special.xlogy(marginal, marginal).sum()
    information = torch.special.xlogy(joint, joint).sum() + 2 * entropy
    return float(information / entropy)


def cross_class_similarity(edge_index: Tensor, y: Tensor) -> Tensor:
    r"""Mean cosine of the neighbours' label histograms between the nodes of two classes, ``[classes, classes]``.

    Ma, Liu, Shah, Tang: `"Is Homophily a Necessity for Graph Neural Networks?" <https://arxiv.org/abs/2106.06134>`_,
    ICLR 2022. A node without neighbours has cosine 0 with every node, pairs of a node with itself count. The mean of
    products is a product of sums, so the cost is :math:`O(|E| + |V| C)` and no pair of nodes is ever formed.
    """
    source, target = _simple(edge_index, y)
    classes = int(y.max()) + 1
    counts = torch.bincount(target * classes + y[source], minlength=y.numel() * classes).view(-1, classes).double()
    unit = counts / counts.norm(dim=1, keepdim=True).clamp(min=1)
    known = y >= 0
    sums = unit.new_zeros(classes, classes).index_add(0, y[known], unit[known])
    means = sums / torch.bincount(y[known], minlength=classes).clamp(min=1).unsqueeze(1)
    return means @ means.t()


def _simple(edge_index: Tensor, y: Tensor) -> Tensor:
    """Both directions of every edge of the simple graph between labelled nodes."""
    if y.dim() != 1 or y.is_floating_point():
        raise ValueError(f"homophily needs one integer label per node, got y of shape {list(y.shape)} and {y.dtype}")
    pattern = ops.structure(edge_index, y.numel())
    row, col = pattern.row, pattern.col
    kept = (row != col) & (y[row] >= 0) & (y[col] >= 0)
    if not bool(kept.any()):
        raise ValueError("homophily is undefined: no edge joins two different labelled nodes")
    low, high = torch.minimum(row, col)[kept], torch.maximum(row, col)[kept]
    pair = (low * y.numel() + high).unique()
    low, high = pair // y.numel(), pair % y.numel()
    return torch.stack([torch.cat([low, high]), torch.cat([high, low])])


def _joint(edge_index: Tensor, y: Tensor) -> Tensor:
    """How many edge ends join each pair of classes, both directions counted, ``[classes, classes]``."""
    source, target = _simple(edge_index, y)
    classes = int(y.max()) + 1
    return torch.bincount(y[target] * classes + y[source], minlength=classes**2).view(classes, classes).double()
