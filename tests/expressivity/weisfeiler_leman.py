"""Plain, slow Weisfeiler-Leman refinement as an oracle."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np


def tells_apart(first, second, labels=0):
    """1-WL on all copies of each graph with so many labelled nodes."""
    graphs, colours, owner = [], [], []
    for number, graph in enumerate((first, second)):
        for chosen in permutations(range(graph.num_nodes), labels):
            marks = {node: 1 + place for place, node in enumerate(chosen)}
            graphs.append(graph)
            colours.append([(marks.get(node, 0), *graph.x[node].tolist()) for node in range(graph.num_nodes)])
            owner.append(number)
    neighbours = [[[] for _ in range(graph.num_nodes)] for graph in graphs]
    for lists, graph in zip(neighbours, graphs):
        for source, target in graph.edge_index.t().tolist():
            lists[target].append(source)
    known = 0
    while True:
        palette = {}
        colours = [
            [
                palette.setdefault((own[v], tuple(sorted(own[u] for u in lists[v]))), len(palette))
                for v in range(len(own))
            ]
            for own, lists in zip(colours, neighbours)
        ]
        if len(palette) == known:
            break
        known = len(palette)
    found = [Counter(), Counter()]
    for number, own in zip(owner, colours):
        found[number][tuple(sorted(own))] += 1
    return found[0] != found[1]


def folklore_tells_apart(first, second):
    """2-FWL."""
    matrices = []
    for graph in (first, second):
        matrix = 2 * np.eye(graph.num_nodes, dtype=np.int64)
        matrix[tuple(graph.edge_index.numpy())] = 1
        matrices.append(matrix)
    known = 0
    while True:
        rows = []
        for colour in matrices:
            over = np.sort(colour[:, None, :] * 10**7 + colour.T[None, :, :], axis=2)  # (u, w) and (w, v), all w
            rows.append(np.concatenate([colour.reshape(-1, 1), over.reshape(-1, len(colour))], 1))
        _, names = np.unique(np.concatenate(rows), axis=0, return_inverse=True)
        parts = names.reshape(2, -1)
        if not np.array_equal(*np.sort(parts, axis=1)):
            return True
        if names.max() + 1 == known:
            return False
        known = names.max() + 1
        matrices = [part.reshape(len(colour), -1) for part, colour in zip(parts, matrices)]
