"""Sparse arithmetic on graphs: products, group reductions and the sparsity pattern that they share."""

from graphkit.core.deprecation import renamed_members
from graphkit.ops import backend
from graphkit.ops.adjacency import unweighted_pattern, weighted_pattern
from graphkit.ops.attention import Scores, attention, attention_weights
from graphkit.ops.block import block_spmm
from graphkit.ops.edge_sum import edge_sum
from graphkit.ops.gated import edge_gated_mean, gated_mean
from graphkit.ops.matrix import SparseMatrix
from graphkit.ops.normalize import gcn_norm
from graphkit.ops.pattern import SparsityPattern, sparsity_pattern
from graphkit.ops.polynomial import polynomial_filter
from graphkit.ops.relu_sum import relu_sum
from graphkit.ops.rows import l2_normalize, row_softmax, row_sum
from graphkit.ops.segment import scatter, segment, softmax
from graphkit.ops.split import split_edges, split_pattern
from graphkit.ops.spmm import sddmm, spmm

__all__ = [
    "Scores",
    "SparseMatrix",
    "SparsityPattern",
    "attention",
    "attention_weights",
    "backend",
    "block_spmm",
    "edge_gated_mean",
    "edge_sum",
    "gated_mean",
    "gcn_norm",
    "l2_normalize",
    "polynomial_filter",
    "relu_sum",
    "row_softmax",
    "row_sum",
    "scatter",
    "sddmm",
    "segment",
    "softmax",
    "sparsity_pattern",
    "split_edges",
    "split_pattern",
    "spmm",
    "unweighted_pattern",
    "weighted_pattern",
]

__getattr__ = renamed_members(globals(), {"Structure": "SparsityPattern", "structure": "sparsity_pattern"})
