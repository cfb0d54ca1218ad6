"""Communities: graphs whose nodes have labels and nothing else, or texts."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import coalesce, remove_self_loops

from graphkit.core.constraints import Count, Interval, Seed, UnitInterval, checked
from graphkit.datasets.generators.base import Generated, both_directions

_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprst" for vowel in "aeiou"]


@checked
def communities(
    *,
    num_nodes: Annotated[int, Interval(10)] = 2000,
    num_labels: Annotated[int, Interval(2)] = 20,
    labels_per_node: Annotated[float, Interval(1)] = 1.5,
    degree: Count = 10,
    noise: UnitInterval = 0.2,
    seed: Seed = 0,
) -> Generated:
    """Groups that overlap: a node's labels are the groups it belongs to, and it has no features.

    A node is in one group and, by a Poisson draw, in some more. Both ends of an edge are in one group, drawn by how
    active they are, whose distribution has a heavy tail, but for edges of noise between any two nodes.

    Args:
        num_nodes: The number of nodes (default: 2000).
        num_labels: The number of groups, of unequal sizes (default: 20).
        labels_per_node: The mean number of groups that a node is in, less what is drawn twice (default: 1.5).
        degree: The mean degree, less what is drawn twice (default: 10).
        noise: The share of edges that are noise (default: 0.2).
        seed: The seed (default: 0).
    """
    rng = np.random.default_rng(seed)
    size = rng.dirichlet(np.full(num_labels, 3.0))
    member = np.zeros((num_nodes, num_labels), dtype=bool)
    for node, count in enumerate(1 + rng.poisson(labels_per_node - 1, num_nodes)):
        member[node, rng.choice(num_labels, count, p=size)] = True
    edges = _edges(member, num_nodes * degree // 2, noise, rng)
    return Generated([Data(edge_index=edges, y=torch.from_numpy(member).float(), num_nodes=num_nodes)])


@checked
def texts(
    *,
    num_nodes: Annotated[int, Interval(10)] = 1000,
    num_classes: Annotated[int, Interval(2)] = 5,
    title_length: Count = 4,
    text_length: Count = 30,
    on_topic: UnitInterval = 0.15,
    degree: Count = 4,
    noise: UnitInterval = 0.4,
    seed: Seed = 0,
) -> Generated:
    """Texts that refer to one another: a node has a ``title`` and a ``text``, and its class is what these are about.

    Words are syllables put together. Each class has a hundred of its own, of which it uses some more than others, and
    a thousand are common to all.

    Args:
        num_nodes: The number of texts (default: 1000).
        num_classes: The number of topics (default: 5).
        title_length: The number of words of a title (default: 4).
        text_length: The number of words of a text (default: 30).
        on_topic: The share of words that are the topic's own (default: 0.15).
        degree: The mean degree, less what is drawn twice (default: 4).
        noise: The share of edges that join texts of any topics (default: 0.4).
        seed: The seed (default: 0).
    """
    rng = np.random.default_rng(seed)
    y = rng.integers(num_classes, size=num_nodes)
    words = np.array(["".join(rng.choice(_SYLLABLES, 4)) for _ in range(1000 + 100 * num_classes)])
    common = (1 / np.arange(1, 1001)) / (1 / np.arange(1, 1001)).sum()
    own = (1 / np.arange(1, 101)) / (1 / np.arange(1, 101)).sum()

    def text(topic: int, length: int) -> str:
        kind = rng.random(length) < on_topic
        drawn = np.where(kind, 1000 + 100 * topic + rng.choice(100, length, p=own), rng.choice(1000, length, p=common))
        return " ".join(words[drawn])

    data = Data(edge_index=_edges(np.eye(num_classes, dtype=bool)[y], num_nodes * degree // 2, noise, rng))
    data.y, data.num_nodes = torch.from_numpy(y), num_nodes
    data.title = [text(topic, title_length) for topic in y]
    data.text = [text(topic, text_length) for topic in y]
    return Generated([data])


def _edges(member: np.ndarray, count: int, noise: float, rng: np.random.Generator) -> Tensor:
    """Undirected edges within groups, and some anywhere, between nodes some of which are far more active."""
    active = rng.pareto(2.5, len(member)) + 1
    groups = [np.arange(len(member)), *(np.flatnonzero(column) for column in member.T if column.any())]
    weight = np.array([noise, *(len(group) for group in groups[1:])], dtype=float)
    weight[1:] *= (1 - noise) / weight[1:].sum()
    ends = []
    for group, of_group in zip(groups, rng.multinomial(count, weight), strict=True):
        share = active[group] / active[group].sum()
        ends.append(rng.choice(group, (2, of_group), p=share))
    edges, _ = remove_self_loops(torch.from_numpy(np.concatenate(ends, axis=1)))
    return coalesce(both_directions(edges))
