"""Values and gradients of every operation are bit-equal for any number of threads."""

from collections.abc import Callable
from unittest import mock

import pytest
import torch
from torch import Tensor

from graphkit import ops
from graphkit.ops import Scores, SparseMatrix, backend

NODES, EDGES, CHANNELS = 700, 6000, 37
GENERATOR = torch.Generator().manual_seed(0)
EDGE_INDEX = torch.randint(NODES, (2, EDGES), generator=GENERATOR)
KIND = torch.randint(3, (EDGES,), generator=GENERATOR)
PATTERN = ops.sparsity_pattern(EDGE_INDEX, NODES)
SORTED = EDGE_INDEX[1].sort().values
PTR = PATTERN.rowptr


def leaf(*shape: int) -> Tensor:
    """Few distinct values, so that extremes tie."""
    return (4 * torch.randn(*shape, generator=GENERATOR)).round().div(3).requires_grad_()


X, Y, WEIGHT = leaf(NODES, CHANNELS), leaf(NODES, CHANNELS), leaf(EDGES)
PER_EDGE, BLOCKS, HEADS, LOGITS = leaf(EDGES, CHANNELS), leaf(EDGES, 3, 2), leaf(NODES, 4, 5), leaf(EDGES, 4)

CALLS: dict[str, Callable[[], list[Tensor]]] = {
    "attention": lambda: [
        ops.attention(EDGE_INDEX, Scores.dot(HEADS, HEADS), HEADS, over=over) for over in ("targets", "sources")
    ],
    "attention_weights": lambda: [ops.attention_weights(EDGE_INDEX, Scores.given(LOGITS), size=NODES)],
    "block_spmm": lambda: [ops.block_spmm(EDGE_INDEX, BLOCKS, X[:, :36].reshape(NODES, 2, 18))],
    "edge_gated_mean": lambda: [ops.edge_gated_mean(EDGE_INDEX, PER_EDGE, X)],
    "edge_sum": lambda: [ops.edge_sum(EDGE_INDEX, X, Y, PER_EDGE)],
    "gated_mean": lambda: [ops.gated_mean(EDGE_INDEX, X, Y, X)],
    "gcn_norm": lambda: [ops.gcn_norm(EDGE_INDEX, WEIGHT.square() + 1, size=NODES).values],
    "l2_normalize": lambda: [ops.l2_normalize(X)],
    "polynomial_filter": lambda: [
        ops.polynomial_filter(SparseMatrix.from_edges(EDGE_INDEX, size=NODES), torch.tensor([1.0, 0.5, 0.25]), X)
    ],
    "relu_sum": lambda: [ops.relu_sum(EDGE_INDEX, X, Y, PER_EDGE)],
    "row_softmax": lambda: [ops.row_softmax(PATTERN, LOGITS)],
    "row_sum": lambda: [ops.row_sum(PATTERN, LOGITS)],
    "scatter": lambda: [ops.scatter(PER_EDGE, index, NODES, how) for index in (EDGE_INDEX[1], SORTED) for how in HOW],
    "sddmm": lambda: [ops.sddmm(EDGE_INDEX, X, Y)],
    "segment": lambda: [ops.segment(PER_EDGE, PTR, how) for how in HOW],
    "softmax": lambda: [ops.softmax(LOGITS, index, dim_size=NODES) for index in (EDGE_INDEX[1], SORTED)],
    "spmm": lambda: [ops.spmm(EDGE_INDEX, X, WEIGHT, how) for how in ("sum", "mean", "max", "min")],
}
HOW = ("sum", "mean", "max", "min", "logsumexp")
# what only looks at patterns, in whole numbers
EXACT = {"backend", "sparsity_pattern", "split_edges", "split_pattern", "unweighted_pattern", "weighted_pattern"}


def test_every_operation_is_there() -> None:
    functions = {name for name in ops.__all__ if not isinstance(getattr(ops, name), type)}
    assert functions == CALLS.keys() | EXACT


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("large", [backend.LARGE, 0])  # from which number on graphkit's own kernels work
def test_bit_equal_for_any_number_of_threads(name: str, large: int) -> None:
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            with mock.patch.object(backend, "LARGE", large):
                out = CALLS[name]()
                inputs = [X, Y, WEIGHT, PER_EDGE, BLOCKS, HEADS, LOGITS]
                total = sum(part.double().square().sum() for part in out)
                gradients = torch.autograd.grad(total, inputs, allow_unused=True)
            results.append([*out, *(gradient for gradient in gradients if gradient is not None)])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(mine, its) for mine, its in zip(results[0], other, strict=True))
