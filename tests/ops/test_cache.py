"""The structure cache: shared where it may be, never stale."""

import gc
import threading

import numpy as np
import pytest
import torch

from graphkit import ops
from graphkit.ops.pattern import _cache

X = torch.tensor([[1.0], [10.0], [100.0]])


def test_hit_and_sizes():
    edge_index = torch.tensor([[0, 1], [1, 2]])
    first = ops.sparsity_pattern(edge_index, 3)
    assert ops.sparsity_pattern(edge_index, 3) is first
    assert ops.sparsity_pattern(edge_index, 4) is not first
    assert ops.sparsity_pattern(edge_index, (3, 4)).shape == (4, 3)
    assert ops.sparsity_pattern(edge_index, 3) is first
    assert ops.sparsity_pattern(edge_index.clone(), 3) is not first
    assert ops.sparsity_pattern(first) is first


def edit_in_place(edge_index):
    edge_index[0, 0] = 2


def edit_data(edge_index):
    edge_index.data[0, 0] = 2


def edit_numpy(edge_index):
    edge_index.numpy()[0, 0] = 2


def edit_by_set(edge_index):
    edge_index.set_(torch.tensor([[2, 1], [1, 2]]))


@pytest.mark.parametrize("edit", [edit_in_place, edit_data, edit_numpy, edit_by_set])
@pytest.mark.parametrize("use", [ops.spmm, lambda e, x: ops.gcn_norm(e, size=3, norm=None, add_self_loops=False) @ x])
def test_edits_are_noticed(edit, use):
    edge_index = torch.tensor([[0, 1], [1, 2]])
    assert use(edge_index, X).squeeze(1).tolist() == [0.0, 1.0, 10.0]
    edit(edge_index)
    assert use(edge_index, X).squeeze(1).tolist() == [0.0, 100.0, 10.0]


def test_an_edit_that_breaks_the_graph_is_refused():
    edge_index = torch.tensor([[0, 1], [1, 2]])
    ops.spmm(edge_index, X)
    edge_index.data[0, 0] = 7
    with pytest.raises(IndexError, match="7"):
        ops.spmm(edge_index, X)


def test_edits_of_a_sparse_tensor_and_of_weights_are_noticed():
    tensor = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 2.0], [0.0, 0.0, 0.0]]).to_sparse_csr()
    assert ops.spmm(tensor, X).squeeze(1).tolist() == [10.0, 200.0, 0.0]
    tensor.col_indices()[0] = 2
    tensor.values()[1] = 3.0
    assert ops.spmm(tensor, X).squeeze(1).tolist() == [100.0, 300.0, 0.0]
    edge_index, weight = torch.tensor([[0, 1], [1, 0]]), torch.tensor([1.0, 1.0])
    before = ops.gcn_norm(edge_index, weight, size=2).to_dense()
    assert ops.gcn_norm(edge_index, weight, size=2) is ops.gcn_norm(edge_index, weight, size=2)
    weight.numpy()[0] = 4.0
    assert not torch.equal(ops.gcn_norm(edge_index, weight, size=2).to_dense(), before)


def test_an_edit_between_forward_and_backward_does_not_change_the_gradient():
    edge_index, weight = torch.tensor([[0, 1], [1, 2]]), torch.ones(2)
    x = X.clone().requires_grad_()
    out = ops.spmm(edge_index, x, weight)
    edge_index.fill_(0)
    weight.fill_(5.0)
    out.sum().backward()
    assert x.grad.squeeze(1).tolist() == [1.0, 1.0, 0.0]


def test_an_edit_that_would_change_a_gradient_is_an_error():
    src, index = torch.ones(2, 1, requires_grad=True), torch.tensor([1, 0])
    out = ops.scatter(src, index, 2)
    index.fill_(0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_entries_die_with_the_tensor_and_its_address_can_be_reused():
    gc.collect()
    before = len(_cache)
    for value in range(3):
        edge_index = torch.tensor([[value], [0]])
        assert ops.spmm(edge_index, X).squeeze(1).tolist() == [float(10**value), 0.0, 0.0]
        assert len(_cache) == before + 1
        del edge_index
        assert len(_cache) == before
    memory = np.zeros((2, 1), dtype=np.int64)
    for value in range(3):  # same memory, new tensor
        memory[0, 0] = value
        assert ops.spmm(torch.from_numpy(memory), X).squeeze(1).tolist() == [float(10**value), 0.0, 0.0]


def test_no_reference_cycles():
    gc.collect()
    gc.disable()
    try:
        before = len(_cache)
        edge_index = torch.randint(50, (2, 200))
        x, weight = torch.randn(50, 4, requires_grad=True), torch.rand(200, requires_grad=True)
        for _ in range(2):
            ops.spmm(edge_index, x, weight, "max").sum().backward()
            out = ops.spmm(edge_index, x, weight)
            torch.autograd.grad(torch.autograd.grad(out.square().sum(), x, create_graph=True)[0].sum(), weight)
            (ops.gcn_norm(edge_index, size=50) @ x).sum().backward()
            ops.softmax(weight, edge_index[1]).sum().backward()
        matrix = ops.gcn_norm(edge_index, size=50)
        assert matrix.T.T is matrix
        assert not any(isinstance(thing, ops.SparsityPattern) for thing in gc.garbage)
        alive = count(ops.SparsityPattern)
        del edge_index, out, matrix
        assert len(_cache) == before
        assert count(ops.SparsityPattern) < alive
        remaining = count(ops.SparsityPattern)
        gc.collect()
        assert count(ops.SparsityPattern) == remaining  # nothing had waited for the collector
    finally:
        gc.enable()


def count(kind):
    return sum(type(thing) is kind for thing in gc.get_objects())


def test_threads_agree():
    edge_index = torch.randint(100, (2, 1000), generator=torch.Generator().manual_seed(0))
    perms, errors = [], []

    def work():
        try:
            for _ in range(20):
                perms.append(ops.sparsity_pattern(edge_index, 100).T.csc_perm)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert all(torch.equal(perm, perms[0]) for perm in perms)


def test_what_is_cached_with_inputs_counts_as_long_as_they_stay():
    pattern = ops.sparsity_pattern(torch.tensor([[0, 1], [1, 2]]), 3)
    weight, calls = torch.tensor([1.0, 2.0]), []

    def total(copy):
        calls.append(copy)
        return float(copy.sum())

    assert [pattern.cached("total", total, weight) for _ in range(2)] == [3.0, 3.0]
    weight[0] = 5
    assert [pattern.cached("total", total, w) for w in (weight, weight.clone(), weight.double())] == [7.0, 7.0, 7.0]
    assert len(calls) == 3, "equal contents are a hit, other contents or another dtype are none"
    assert calls[0].tolist() == [1.0, 2.0], "the copy is private"


def test_what_is_cached_under_inference_mode_can_be_trained_with():
    pattern = ops.sparsity_pattern(torch.tensor([[0, 1], [1, 2]]), 3)
    with torch.inference_mode():
        weight = torch.tensor([1.0, 2.0])
        half = pattern.cached("half", lambda copy: copy / 2, weight)
        view = pattern.cached("view", lambda copy: copy[:1], weight)
    assert not half.is_inference()
    assert not view.is_inference()
    x = torch.ones(2, requires_grad=True)
    (half * x).sum().backward()
    assert x.grad.tolist() == [0.5, 1.0]


def test_a_pattern_on_another_device_caches_anew():
    pattern = ops.sparsity_pattern(torch.tensor([[0, 1], [1, 2]]), 3)
    pattern.cached("mark", lambda: 1)
    assert pattern.to("meta").cached("mark", lambda: 2) == 2


def test_old_names_warn():
    with pytest.warns(FutureWarning, match="SparsityPattern"):
        assert ops.Structure is ops.SparsityPattern
    with pytest.warns(FutureWarning, match="sparsity_pattern"):
        assert ops.structure is ops.sparsity_pattern
    matrix = ops.SparseMatrix.from_edges(torch.tensor([[0], [1]]))
    with pytest.warns(FutureWarning, match="pattern"):
        assert matrix.structure is matrix.pattern
