"""What DeepWalk and LINE draw in expectation, and what NetMF factorises."""

from __future__ import annotations

import numpy as np
import torch

from graphkit.algorithms import expected_pair_counts, netmf_matrix
from graphkit.algorithms.embedding.adjacency import adjacency
from graphkit.algorithms.embedding.line import negative_weights
from graphkit.algorithms.kernels.alias import alias_tables
from tests.golden.files import GoldenFile

METHODS = ("DeepWalk", "Node2Vec", "LINE", "NetMF")
ORACLE = "independent computation"

TOLERANCE = 1e-10


def check(file: GoldenFile) -> None:
    ends = torch.stack([file.tensor("edge_row"), file.tensor("edge_col")]).long()
    graph = (ends, file.tensor("edge_weight"), int(file.scalar("num_nodes")))
    window = int(file.scalar("window"))
    counts = expected_pair_counts(*graph, walk_length=int(file.scalar("walk_length_nodes")), window=window)
    file.assert_close("expected_pair_count", counts, TOLERANCE)
    file.assert_close("netmf_matrix_b1", netmf_matrix(*graph, window=window, dtype=torch.float64), TOLERANCE)
    matrix = adjacency(*graph, "line")
    file.assert_close("line_negative_prob", _drawn(negative_weights(matrix)), TOLERANCE)
    matrix.data = _drawn(matrix.data)
    file.assert_close("line_edge_prob", matrix.toarray()[tuple(ends.numpy())], TOLERANCE)


def _drawn(weight: np.ndarray) -> np.ndarray:
    """The probabilities that the table of some weights stands for."""
    keep, other = alias_tables(np.array([0, weight.size]), weight)
    return (keep + np.bincount(other, 1 - keep, weight.size)) / weight.size
