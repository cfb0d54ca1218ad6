"""Sparse arithmetic on graphs: products, group reductions and the structure that they share."""

from graphkit.ops import backend
from graphkit.ops.block import block_spmm
from graphkit.ops.gated import gated_mean
from graphkit.ops.matrix import SparseMatrix
from graphkit.ops.normalize import gcn_norm
from graphkit.ops.rows import l2_normalize
from graphkit.ops.segment import scatter, segment, softmax
from graphkit.ops.split import split_edges
from graphkit.ops.spmm import sddmm, spmm
from graphkit.ops.structure import Structure, structure

__all__ = [
    "SparseMatrix",
    "Structure",
    "backend",
    "block_spmm",
    "gated_mean",
    "gcn_norm",
    "l2_normalize",
    "scatter",
    "sddmm",
    "segment",
    "softmax",
    "split_edges",
    "spmm",
    "structure",
]
