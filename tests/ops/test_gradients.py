"""First and second derivatives of every operation, against finite differences."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from graphkit import ops

EDGES = torch.tensor([[0, 1, 2, 2, 4, 0, 3, 2], [1, 1, 0, 1, 0, 1, 3, 0]])  # unsorted, with duplicates and a loop
NUM_NODES = 6  # node 5 is isolated


def leaf(*shape):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()


def check(function, *inputs):
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)


@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min"])
@pytest.mark.parametrize("shape", [(NUM_NODES,), (NUM_NODES, 3), (NUM_NODES, 2, 2)])
def test_spmm(reduce, shape):
    check(lambda x, w: ops.spmm(EDGES, x, w, reduce), leaf(*shape), leaf(8))
    check(lambda x: ops.spmm(EDGES, x, reduce=reduce), leaf(*shape))


def test_sddmm():
    check(lambda a, b: ops.sddmm(EDGES, a, b), leaf(NUM_NODES, 3), leaf(NUM_NODES, 3).detach().cos().requires_grad_())


def test_sddmm_of_one_tensor_with_itself():
    check(lambda a: ops.sddmm(EDGES, a, a), leaf(NUM_NODES, 3))


@pytest.mark.parametrize(("d", "e"), [(1, 1), (2, 2), (3, 2)])
def test_block_spmm(d, e):
    check(lambda b, x: ops.block_spmm(EDGES, b, x), leaf(8, d, e), leaf(NUM_NODES, e, 2))


@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min", "logsumexp"])
@pytest.mark.parametrize("name", ["torch", "torch_scatter"])
def test_reductions(reduce, name):
    if not ops.backend.available()[name]:
        pytest.skip(f"{name} is not installed")
    index, ptr = torch.tensor([3, 0, 3, 1, 0, 3, 3]), torch.tensor([0, 2, 2, 6, 7])
    with ops.backend.use_backend(name):
        check(lambda src: ops.scatter(src, index, 5, reduce), leaf(7, 2))
        check(lambda src: ops.scatter(src, index.sort().values, 5, reduce), leaf(7, 2))
        check(lambda src: ops.segment(src, ptr, reduce), leaf(7, 2))


@pytest.mark.parametrize("name", ["torch", "torch_scatter"])
def test_softmax(name):
    if not ops.backend.available()[name]:
        pytest.skip(f"{name} is not installed")
    index, ptr = torch.tensor([3, 0, 3, 1, 0, 3, 3]), torch.tensor([0, 2, 2, 6, 7])
    with ops.backend.use_backend(name):
        check(lambda src: ops.softmax(src, index), leaf(7, 2))
        check(lambda src: ops.softmax(src, ptr=ptr), leaf(7, 2))


@pytest.mark.parametrize("norm", ["sym", "row", None])
@pytest.mark.parametrize("add_self_loops", [True, False])
def test_gcn_norm(norm, add_self_loops):
    weight = torch.linspace(0.5, 2.0, 8, dtype=torch.float64).requires_grad_()
    check(
        lambda w, x: ops.gcn_norm(EDGES, w, norm=norm, add_self_loops=add_self_loops, size=NUM_NODES) @ x,
        weight,
        leaf(NUM_NODES, 2),
    )


def test_sparse_matrix():
    def pipeline(w, left, right):
        matrix = ops.SparseMatrix.from_edges(EDGES, w, NUM_NODES).scale(left, right)
        return matrix.to_dense() + matrix.T.to_dense() + matrix.row_sum()

    check(pipeline, leaf(8), leaf(NUM_NODES), leaf(NUM_NODES))
