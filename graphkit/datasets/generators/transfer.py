r"""Graph transfer: can the label of a far node reach the source?

From `"On Over-Squashing in Message Passing Neural Networks" <https://arxiv.org/abs/2302.02941>`_ (ICML 2023). The
source is node 0, its features are zero; the target node carries a one-hot class, all other nodes all ones. The class
must be predicted *at the source*, so a model reads out at ``readout_mask`` and not over the whole graph.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import coalesce

from graphkit.core.constraints import Count, Interval, OneOf, Seed, checked
from graphkit.core.docstrings import arguments_of
from graphkit.datasets.generators.base import Generated, both_directions, extrapolating


def ring_edges(num_nodes: int) -> Tensor:
    """A cycle; each undirected edge once, as the authors' code emits them."""
    nodes = torch.arange(num_nodes)
    return torch.stack([nodes, (nodes + 1) % num_nodes])


def crossed_ring_edges(num_nodes: int) -> Tensor:
    """A cycle with crossing chords between opposite positions; the distance to the antipode stays ``num_nodes / 2``."""
    near = torch.arange(num_nodes // 2)
    first = torch.stack([near, num_nodes - 1 - near])
    second = torch.stack([near[2:], num_nodes + 1 - near[2:]])
    return torch.cat([ring_edges(num_nodes), first, second], dim=1)


def clique_path_edges(num_nodes: int) -> Tensor:
    """A clique on the first half, a path on the second, clique edges twice, as the authors have them."""
    half = num_nodes // 2
    clique = torch.combinations(torch.arange(half)).t()
    path = torch.arange(half - 1, num_nodes - 1)
    return torch.cat([clique, clique.flip(0), torch.stack([path, path + 1])], dim=1)


def tree_edges(depth: int, arity: int) -> Tensor:
    """A complete tree with nodes numbered breadth-first; each edge from parent to child."""
    child = torch.arange(1, sum(arity**level for level in range(depth + 1)))
    return torch.stack([(child - 1) // arity, child])


GRAPHS = {"ring": ring_edges, "crossed-ring": crossed_ring_edges, "clique-path": clique_path_edges}


@checked
def transfer(
    *,
    graph: Annotated[str, OneOf(GRAPHS)],
    num_nodes: Annotated[int, Interval(2)] = 10,
    num_classes: Annotated[int, Interval(2)] = 5,
    num_train: Count = 5000,
    num_val: Count = 500,
    num_test: Count = 500,
    duplicate_edges: bool = False,
    random_target: bool = False,
    seed: Seed = 0,
) -> Generated:
    """Transfer from the antipode of the source over a ring, or from the end of a path into a clique.

    Args:
        graph: ``"ring"``, ``"crossed-ring"`` or ``"clique-path"``.
        num_nodes: The number of nodes, even in the paper (default: 10).
        num_classes: The number of classes, which is also the number of features (default: 5).
        num_train: Training samples; all samples of one class are equal unless ``random_target`` is set (default: 5000).
        num_val: Validation samples (default: 500).
        num_test: Test samples (default: 500).
        duplicate_edges: Keep the repeated edges of the authors' generator, for parity with it (default: ``False``).
        random_target: Draw the target uniformly for every sample (default: ``False``).
        seed: The seed of ``random_target`` (default: 0).
    """
    edges = GRAPHS[graph](num_nodes)
    target = num_nodes - 1 if graph == "clique-path" else num_nodes // 2
    sizes = (num_train, num_val, num_test)
    return _transfer(edges, num_nodes, target, num_classes, sizes, duplicate_edges, random_target, seed)


@checked
@arguments_of(transfer)
def tree_transfer(
    *,
    depth: Count = 3,
    arity: Count = 2,
    num_classes: Annotated[int, Interval(2)] = 5,
    num_train: Count = 5000,
    num_val: Count = 500,
    num_test: Count = 500,
    random_target: bool = False,
    seed: Seed = 0,
) -> Generated:
    """Transfer from the last leaf of a complete tree to its root.

    Args:
        depth: The distance between root and leaves (default: 3).
        arity: The number of children per node (default: 2).
    """
    edges = tree_edges(depth, arity)
    size = edges.size(1) + 1
    return _transfer(edges, size, size - 1, num_classes, (num_train, num_val, num_test), False, random_target, seed)


def _transfer(
    edges: Tensor,
    num_nodes: int,
    target: int,
    num_classes: int,
    sizes: tuple[int, int, int],
    duplicate_edges: bool,
    random_target: bool,
    seed: int,
) -> Generated:
    edge_index = both_directions(edges)
    if not duplicate_edges:
        edge_index = coalesce(edge_index)
    mask = torch.zeros(num_nodes, dtype=torch.bool)
    mask[0] = True

    def sample(label: int, place: int) -> Data:
        x = torch.ones(num_nodes, num_classes)
        x[0] = 0.0
        x[place] = torch.eye(num_classes)[label]
        return Data(x=x, edge_index=edge_index, y=torch.tensor([label]), readout_mask=mask, target=place)

    labels = [position % num_classes for size in sizes for position in range(size)]
    if random_target:
        places = np.random.default_rng(seed).integers(1, num_nodes, len(labels)).tolist()
        graphs = [sample(label, place) for label, place in zip(labels, places)]
    else:
        distinct = [sample(label, target) for label in range(num_classes)]
        graphs = [distinct[label].clone("y") for label in labels]
    return Generated(graphs, extrapolating(sizes))
