"""Parsers of the sets that test expressive power."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from graphkit.datasets.parsed import Collated, collate
from graphkit.datasets.raw import RawFiles

BREC_CATEGORIES = (
    ("basic", 60),
    ("regular", 50),
    ("strongly regular", 50),
    ("extension", 100),
    ("CFI", 100),
    ("4-vertex condition", 20),
    ("distance regular", 20),
)


def csl(raw: RawFiles) -> Collated:
    """The circular skip link graphs of the GNN benchmark."""
    raw.place("CSL/raw")
    dataset = raw.parse("GNNBenchmarkDataset", "CSL")
    graphs = [dataset[position] for position in range(len(dataset))]
    nodes = [graph.num_nodes for graph in graphs]
    tensors = {
        "x": torch.ones(sum(nodes), 1),
        "edge_index": torch.cat([graph.edge_index for graph in graphs], dim=1),
        "y": torch.tensor([int(graph.y) for graph in graphs]),
    }
    return collate(tensors, nodes, [graph.num_edges for graph in graphs])


def exp(raw: RawFiles) -> Collated:
    """EXP and CEXP of Abboud et al. (2021): pairs of graphs ``2i``, ``2i + 1`` with opposite labels."""
    lines = iter(raw.only.read_text().splitlines())
    types: list[int] = []
    sources: list[np.ndarray] = []
    targets: list[np.ndarray] = []
    nodes, edges, labels = [], [], []
    for _ in range(int(next(lines))):
        size, label = map(int, next(lines).split())
        links = 0
        for node in range(size):
            kind, degree, *neighbours = map(int, next(lines).split())
            types.append(kind)
            sources.append(np.full(degree, node))
            targets.append(np.asarray(neighbours, dtype=np.int64))
            links += degree
        nodes.append(size)
        edges.append(links)
        labels.append(label)
    tensors = {
        "x": torch.nn.functional.one_hot(torch.tensor(types), 2).float(),
        "edge_index": torch.from_numpy(np.stack([np.concatenate(sources), np.concatenate(targets)])).long(),
        "y": torch.tensor(labels),
    }
    return collate(tensors, nodes, edges)


def graph6(raw: RawFiles) -> Collated:
    """Graphs in McKay's graph6 format, one per line; every node has the constant feature 1."""
    return collate_edges([_decode(line.removeprefix(b">>graph6<<")) for line in raw.only.read_bytes().split()])


def brec(raw: RawFiles) -> Collated:
    """BREC of Wang and Zhang (2024): 400 pairs; ``pair`` and ``category`` tell which, graphs ``2i``, ``2i + 1``."""
    parsed = graph6(raw)
    count = parsed.counts["graphs"]
    parsed.tensors["pair"] = torch.arange(count) // 2
    parsed.tensors["category"] = torch.arange(len(BREC_CATEGORIES)).repeat_interleave(
        torch.tensor([2 * pairs for _, pairs in BREC_CATEGORIES])
    )
    parsed.slices["pair"] = parsed.slices["category"] = torch.arange(count + 1)
    return parsed


def _decode(line: bytes) -> tuple[int, np.ndarray]:
    values = np.frombuffer(line, dtype=np.uint8).astype(np.int64) - 63
    if values[0] == 63:  # more than 62 nodes: 18 bits of size
        size, values = int(values[1] << 12 | values[2] << 6 | values[3]), values[4:]
    else:
        size, values = int(values[0]), values[1:]
    bits = (values[:, None] >> np.arange(5, -1, -1)) & 1
    column, row = np.tril_indices(size, -1)  # the upper triangle column by column
    present = bits.reshape(-1)[: row.size].astype(bool)
    return size, np.stack([row[present], column[present]])


def collate_edges(graphs: Sequence[tuple[int, np.ndarray]]) -> Collated:
    """Featureless graphs from their sizes and undirected edges ``[2, m]``; both directions are stored."""
    both = [torch.from_numpy(np.concatenate([edges, edges[::-1]], axis=1)) for _, edges in graphs]
    nodes = [size for size, _ in graphs]
    tensors = {"x": torch.ones(sum(nodes), 1), "edge_index": torch.cat(both, dim=1)}
    return collate(tensors, nodes, [edges.size(1) for edges in both])
