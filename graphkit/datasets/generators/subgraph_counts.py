"""How often does a small pattern occur in a graph?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphkit.algorithms import enumerate_paths
from graphkit.core.constraints import Count, OneOf, Seed, checked
from graphkit.datasets.generators.base import Generated
from graphkit.datasets.generators.random_graphs import erdos_renyi
from graphkit.ops.indices import look_up

SIZES = (10, 20)
TOGETHER = 50  # graphs whose paths are enumerated at once


def cycles(length: int, graphs: Data) -> Tensor:
    """The number of cycles of each graph, as subgraphs: of paths whose ends are joined, each met from all its nodes."""
    paths = enumerate_paths(graphs.edge_index, graphs.num_nodes, length - 1, "simple")[-1].nodes.long()
    keys = (graphs.edge_index[0] * graphs.num_nodes + graphs.edge_index[1]).sort().values
    ends = paths[0] * graphs.num_nodes + paths[-1]
    found = look_up(keys, ends)[1]
    return torch.bincount(graphs.batch[paths[0, found]], minlength=graphs.num_graphs) // (2 * length)


def paths(length: int, graphs: Data) -> Tensor:
    """The number of simple paths with so many edges."""
    found = enumerate_paths(graphs.edge_index, graphs.num_nodes, length, "simple")[-1].nodes.long()
    return torch.bincount(graphs.batch[found[0]], minlength=graphs.num_graphs) // 2


def stars(leaves: int, graphs: Data) -> Tensor:
    """The number of nodes with so many of their neighbours."""
    degree = torch.bincount(graphs.edge_index[0], minlength=graphs.num_nodes)
    chosen = torch.ones_like(degree)
    for i in range(leaves):
        chosen = chosen * (degree - i) // (i + 1)
    return torch.zeros(graphs.num_graphs, dtype=torch.long).index_add(0, graphs.batch, chosen)


PATTERNS: dict[str, Callable[[Data], Tensor]] = {
    "triangles": partial(cycles, 3),
    "4-cycles": partial(cycles, 4),
    "5-cycles": partial(cycles, 5),
    "6-cycles": partial(cycles, 6),
    "3-paths": partial(paths, 3),
    "4-paths": partial(paths, 4),
    "3-stars": partial(stars, 3),
}


@checked
def subgraph_counts(
    *,
    pattern: Annotated[str, OneOf(PATTERNS)] = "triangles",
    num_train: Count = 600,
    num_val: Count = 200,
    num_test: Count = 200,
    seed: Seed = 0,
) -> Generated:
    """Random graphs of 10 to 20 nodes and mean degree 2 to 5; the label is the number of subgraphs of one kind.

    Subgraphs need not be induced. Labels are divided by their standard deviation over the training graphs.

    Args:
        pattern: ``"triangles"``, ``"4-cycles"``, ``"5-cycles"``, ``"6-cycles"``, ``"3-paths"``, ``"4-paths"`` (of so
            many edges) or ``"3-stars"`` (default: ``"triangles"``).
        num_train: Training graphs (default: 600).
        num_val: Validation graphs (default: 200).
        num_test: Test graphs (default: 200).
        seed: The seed (default: 0).
    """
    rng = np.random.default_rng(seed)
    graphs = []
    for n in rng.integers(SIZES[0], SIZES[1] + 1, num_train + num_val + num_test).tolist():
        edges = np.stack(erdos_renyi(n, rng, rng.uniform(2, 5) / (n - 1)).nonzero())
        graphs.append(Data(x=torch.ones(n, 1), edge_index=torch.from_numpy(edges)))
    parts = [graphs[i : i + TOGETHER] for i in range(0, len(graphs), TOGETHER)]
    counts = torch.cat([PATTERNS[pattern](Batch.from_data_list(part)) for part in parts]).float()
    scale = counts[:num_train].std(correction=0).clamp(min=1e-12)
    for graph, count in zip(graphs, counts):
        graph.y = (count / scale).view(1, 1)
    train, val, test = torch.arange(len(graphs)).split([num_train, num_val, num_test])
    return Generated(graphs, [(train, val, test)])
