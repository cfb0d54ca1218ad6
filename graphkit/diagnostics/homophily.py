"""Homophily in its several senses, measured on the simple undirected graph, or refused where it is undefined."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit import ops
from graphkit.core.constraints import checked


@checked
def edge_homophily(edge_index: Tensor, y: Tensor) -> float:
    """The share of edges that join equal labels.

    Args:
        edge_index: Edges ``[2, num_edges]``.
        y: Labels ``[num_nodes]``.

    Example:
        >>> edge_homophily(torch.tensor([[0, 1], [1, 2]]), torch.tensor([0, 0, 1]))
        0.5
    """
    source, target, y = _simple(edge_index, y)
    return float((y[source] == y[target]).double().mean())


@checked
def node_homophily(edge_index: Tensor, y: Tensor, isolated_as_zero: bool = False) -> float:
    """The mean over nodes of the share of their neighbours with the same label.

    Args:
        edge_index: Edges ``[2, num_edges]``.
        y: Labels ``[num_nodes]``.
        isolated_as_zero: Count nodes without neighbours as 0, as PyG does, instead of leaving them out (default:
            ``False``).
    """
    source, target, y = _simple(edge_index, y)
    degree = torch.bincount(target, minlength=y.numel()).double()
    equal = torch.bincount(target[y[source] == y[target]], minlength=y.numel()).double()
    counted = y >= 0 if isolated_as_zero else degree > 0
    return float((equal / degree.clamp(min=1))[counted].mean())


@checked
def class_insensitive_homophily(edge_index: Tensor, y: Tensor) -> float:
    r""":math:`\frac{1}{C-1} \sum_k \max(0, h_k - n_k / n)` with :math:`h_k` the equal-label share of class :math:`k`.

    Lim et al.: `"Large Scale Learning on Non-Homophilous Graphs" <https://arxiv.org/abs/2110.14446>`_, NeurIPS 2021.

    Raises:
        ValueError: If all labels are of one class, of which chance knows as much as the edges.
    """
    joint, y = _joint(edge_index, y), _class_ids(y)
    size = torch.bincount(y[y >= 0], minlength=joint.size(0)).double()
    _check_classes(size, "class_insensitive_homophily", "all labels are")
    share = joint.diagonal() / joint.sum(1).clamp(min=1)
    return float((share - size / size.sum()).clamp(min=0).sum() / (joint.size(0) - 1))


@checked
def adjusted_homophily(edge_index: Tensor, y: Tensor) -> float:
    r"""Edge homophily, corrected for class sizes: :math:`(h - \sum_k p_k^2) / (1 - \sum_k p_k^2)`.

    :math:`p_k` is the share of class :math:`k` among ends of edges; 1 is perfect, 0 what independent labels have.
    Platonov et al.: `"Characterizing Graph Datasets for Node Classification" <https://arxiv.org/abs/2209.06177>`_,
    NeurIPS 2023.

    Raises:
        ValueError: If all ends of edges are of one class, of which chance knows as much as the edges.
    """
    joint = _joint(edge_index, y)
    _check_classes(joint.sum(1), "adjusted_homophily", "all ends of edges are")
    joint = joint / joint.sum()
    chance = joint.sum(1).square().sum()
    return float((joint.diagonal().sum() - chance) / (1 - chance))


@checked
def label_informativeness(edge_index: Tensor, y: Tensor) -> float:
    r"""How much a neighbour's label tells: mutual information over entropy for the ends of a random edge, in [0, 1].

    Platonov et al.: `"Characterizing Graph Datasets for Node Classification" <https://arxiv.org/abs/2209.06177>`_,
    NeurIPS 2023.

    Args:
        edge_index: Edges ``[2, num_edges]``.
        y: Labels ``[num_nodes]``.

    Raises:
        ValueError: If all ends of edges are of one class, of which chance knows as much as the edges.
    """
    joint = _joint(edge_index, y)
    _check_classes(joint.sum(1), "label_informativeness", "all ends of edges are")
    joint = joint / joint.sum()
    marginal = joint.sum(1)
    entropy = -torch.special.xlogy(marginal, marginal).sum()
    information = torch.special.xlogy(joint, joint).sum() + 2 * entropy
    return float(information / entropy)


@checked
def cross_class_similarity(edge_index: Tensor, y: Tensor) -> Tensor:
    r"""Mean cosine of the neighbours' label histograms between the nodes of two classes, ``[classes, classes]``.

    Ma, Liu, Shah, Tang: `"Is Homophily a Necessity for Graph Neural Networks?" <https://arxiv.org/abs/2106.06134>`_,
    ICLR 2022. A node without neighbours has cosine 0 with every node, pairs of a node with itself count. The mean of
    products is a product of sums, so the cost is :math:`O(|E| + |V| C)` and no pair of nodes is ever formed.
    """
    source, target, y = _simple(edge_index, y)
    classes = int(y.max()) + 1
    counts = torch.bincount(target * classes + y[source], minlength=y.numel() * classes).view(-1, classes).double()
    unit = counts / counts.norm(dim=1, keepdim=True).clamp(min=1)
    known = y >= 0
    sums = unit.new_zeros(classes, classes).index_add(0, y[known], unit[known])
    means = sums / torch.bincount(y[known], minlength=classes).clamp(min=1).unsqueeze(1)
    return means @ means.t()


def _simple(edge_index: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both directions of every edge of the simple graph between labelled nodes, and the labels in 64 bits."""
    y = _class_ids(y)
    pattern = ops.sparsity_pattern(edge_index, y.numel())
    row, col = pattern.row, pattern.col
    between_labelled = (row != col) & (y[row] >= 0) & (y[col] >= 0)
    if not bool(between_labelled.any()):
        raise ValueError("homophily is undefined: no edge joins two different labelled nodes")
    low, high = torch.minimum(row, col)[between_labelled], torch.maximum(row, col)[between_labelled]
    pair = (low * y.numel() + high).unique()
    low, high = pair // y.numel(), pair % y.numel()
    return torch.cat([low, high]), torch.cat([high, low]), y


def _class_ids(y: Tensor) -> Tensor:
    """The labels in 64 bits: numbers of pairs of classes are made of them."""
    if y.dim() != 1 or y.is_floating_point():
        raise ValueError(f"homophily needs one integer label per node, got y of shape {list(y.shape)} and {y.dtype}")
    return y.long()


def _check_classes(sizes: Tensor, measure: str, whose: str) -> None:
    """Refuse what compares with chance where chance is certain."""
    if int((sizes > 0).sum()) < 2:
        raise ValueError(
            f"{measure} is undefined: {whose} of class {int(sizes.argmax())}, must be of at least two classes"
        )


def _joint(edge_index: Tensor, y: Tensor) -> Tensor:
    """How many edge ends join each pair of classes, both directions counted, ``[classes, classes]``."""
    source, target, y = _simple(edge_index, y)
    classes = int(y.max()) + 1
    return torch.bincount(y[target] * classes + y[source], minlength=classes**2).view(classes, classes).double()
