"""Products against dense matrices, on every kind of input and on generated graphs."""

from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric import EdgeIndex

from graphkit import ops
from graphkit.ops import backend

REDUCTIONS = ["sum", "mean", "max", "min"]


@st.composite
def graphs(draw):
    """A bipartite graph with edges, weights and features, small enough for dense oracles."""
    num_sources, num_targets = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    edge = st.tuples(st.integers(0, num_sources - 1), st.integers(0, num_targets - 1))
    edges = draw(st.lists(edge, max_size=25))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    edge_index = torch.tensor(edges, dtype=torch.int64).view(-1, 2).t()
    weight = torch.randn(len(edges), generator=generator, dtype=torch.float64)
    x = torch.randn(num_sources, draw(st.integers(1, 4)), generator=generator, dtype=torch.float64)
    if draw(st.booleans()):  # few distinct values, so that extremes tie
        x, weight = x.round(), weight.sign()
    return edge_index, weight, x, (num_sources, num_targets)


def oracle(edge_index, weight, x, size, reduce):
    """Aggregation one target at a time."""
    rows = []
    for target in range(size[1]):
        incoming = edge_index[1] == target
        messages = x[edge_index[0, incoming]] * weight[incoming].unsqueeze(1)
        if not incoming.any():
            rows.append(0 * x.sum(0))
        elif reduce in ("sum", "mean"):
            rows.append(getattr(messages, reduce)(0))
        else:
            rows.append(getattr(messages, f"a{reduce}")(0))  # amax and amin share gradients evenly
    return torch.stack(rows)


@pytest.mark.parametrize("large", [backend.LARGE, 0])  # from which number on graphkit's own kernels work
@settings(max_examples=60, deadline=None)
@given(graph=graphs(), reduce=st.sampled_from(REDUCTIONS))
def test_spmm_and_its_gradients_equal_the_oracle(large, graph, reduce):
    edge_index, weight, x, size = graph
    weight.requires_grad_(), x.requires_grad_()
    expected = oracle(edge_index, weight, x, size, reduce)
    seed = torch.randn_like(expected)
    with mock.patch.object(backend, "LARGE", large):
        ours = ops.spmm(edge_index, x, weight, reduce, size)
        gradients = torch.autograd.grad(ours, (x, weight), seed)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    for mine, other in zip(
        gradients,
        torch.autograd.grad(expected, (x, weight), seed, materialize_grads=True),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_structure_describes_the_graph(graph):
    edge_index, weight, _, size = graph
    s = ops.sparsity_pattern(edge_index, size)
    assert torch.equal(s.edge_index(), edge_index)
    assert torch.equal(s.T.edge_index(), edge_index.flip(0))
    assert torch.equal(s.in_degree, torch.bincount(edge_index[1], minlength=size[1]))
    assert torch.equal(s.out_degree, torch.bincount(edge_index[0], minlength=size[0]))
    assert torch.equal(s.to_edges(s.to_csr(weight)), weight)
    assert torch.equal(s.row[s.csc_perm], s.csc_row)
    assert torch.equal(s.T.col, s.csc_row)
    assert torch.equal(s.T.to_csr(weight), s.to_csc(s.to_csr(weight)))
    dense = torch.zeros(size[1], size[0], dtype=torch.float64).index_put_(
        (edge_index[1], edge_index[0]), weight, accumulate=True
    )
    matrix = ops.SparseMatrix.from_edges(edge_index, weight, size)
    for ours, expected in ((matrix, dense), (matrix.T, dense.t())):
        torch.testing.assert_close(ours.to_dense(), expected, rtol=1e-12, atol=1e-12)
        assert ours.shape == tuple(expected.shape)
    assert matrix.is_symmetric <= bool(torch.allclose(dense, dense.t()) if size[0] == size[1] else False)


@settings(max_examples=30, deadline=None)
@given(graphs(), st.integers(1, 3), st.integers(1, 3))
def test_sddmm_and_block_spmm_equal_the_oracle(graph, d, e):
    edge_index, _, x, size = graph
    source, target = edge_index
    a = torch.randn(size[1], x.size(1), dtype=torch.float64)
    torch.testing.assert_close(ops.sddmm(edge_index, a, x), (a[target] * x[source]).sum(1), rtol=1e-12, atol=1e-12)
    blocks = torch.randn(edge_index.size(1), d, e, dtype=torch.float64)
    features = torch.randn(size[0], e, 3, dtype=torch.float64)
    expected = torch.zeros(size[1], d, 3, dtype=torch.float64).index_add(0, target, blocks @ features[source])
    ours = ops.block_spmm(edge_index, blocks, features, size)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


def every_format(edge_index, weight, num_nodes):
    coo = torch.sparse_coo_tensor(edge_index.flip(0), weight, (num_nodes, num_nodes))
    return {
        "edge_index": (edge_index, weight),
        "non-contiguous": (edge_index.t().contiguous().t(), weight),
        "int32": (edge_index.int(), weight),
        "EdgeIndex": (EdgeIndex(edge_index, sparse_size=(num_nodes, num_nodes)), weight),
        "EdgeIndex without size": (EdgeIndex(edge_index), weight),
        "SparsityPattern": (ops.sparsity_pattern(edge_index, num_nodes), weight),
        "SparseMatrix": (ops.SparseMatrix.from_edges(edge_index, weight, num_nodes), None),
        "uncoalesced COO": (coo, None),
        "COO": (coo.coalesce(), None),
        "CSR": (coo.coalesce().to_sparse_csr(), None),
        "CSC": (coo.coalesce().to_sparse_csc(), None),
    }


FORMATS = list(every_format(torch.zeros(2, 1, dtype=torch.int64), torch.ones(1), 1))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_format_gives_the_same(name, dtype):
    generator = torch.Generator().manual_seed(0)
    edge_index = torch.randperm(36, generator=generator)[:20]
    edge_index = torch.stack([edge_index % 6, edge_index // 6])
    weight, x = torch.rand(20, dtype=dtype), torch.randn(6, 3, dtype=dtype)
    expected = torch.zeros(6, 6, dtype=dtype).index_put_((edge_index[1], edge_index[0]), weight) @ x
    graph, weight = every_format(edge_index, weight, 6)[name]
    out = ops.spmm(graph, x, weight)
    assert out.dtype == dtype
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize("layout", [torch.sparse_csr, torch.sparse_coo])
def test_gradient_reaches_a_sparse_tensor(layout):
    dense = torch.tensor([[0.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    x = torch.randn(2, 3, dtype=torch.float64)
    tensor = dense.to_sparse(layout=layout).requires_grad_()
    seed = torch.randn(2, 3, dtype=torch.float64)
    ops.spmm(tensor, x).backward(seed)
    torch.testing.assert_close(tensor.grad.to_dense(), (seed @ x.t()) * (dense != 0))


@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize(("num_nodes", "channels"), [(0, 3), (4, 3), (4, 0)])
def test_no_edges_no_nodes_no_channels(reduce, num_nodes, channels):
    edge_index = torch.empty(2, 0, dtype=torch.int64)
    x = torch.randn(num_nodes, channels, requires_grad=True)
    weight = torch.empty(0, requires_grad=True)
    out = ops.spmm(edge_index, x, weight, reduce)
    out.sum().backward()
    assert out.shape == x.shape
    assert not out.any()
    assert not x.grad.any()
    assert weight.grad.shape == (0,)
    assert ops.sddmm(edge_index, x, x).shape == (0,)


def test_no_channels_but_edges():
    edge_index = torch.tensor([[0, 1], [1, 0]])
    x = torch.randn(2, 0)
    assert ops.spmm(edge_index, x).shape == (2, 0)
    assert ops.sddmm(edge_index, x, x).tolist() == [0.0, 0.0]


def test_non_contiguous_and_expanded_inputs():
    edge_index = torch.tensor([[0, 1, 2, 3], [1, 2, 0, 0]])
    x = torch.randn(3, 4, dtype=torch.float64).t().requires_grad_()
    torch.testing.assert_close(ops.spmm(edge_index, x), ops.spmm(edge_index, x.contiguous()))
    ops.spmm(edge_index, x).sum().backward()  # the gradient of sum() is an expanded scalar
    assert x.grad.tolist() == [[1.0] * 3, [1.0] * 3, [1.0] * 3, [1.0] * 3]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_low_precision(dtype, reduce):
    edge_index = torch.randint(9, (2, 30), generator=torch.Generator().manual_seed(0))
    x, weight = torch.randn(9, 4), torch.rand(30)
    inputs = [t.to(dtype).requires_grad_() for t in (x, weight)]
    ours = ops.spmm(edge_index, *inputs, reduce)
    ours.sum().backward()
    exact = [t.detach().double().requires_grad_() for t in inputs]
    expected = ops.spmm(edge_index, *exact, reduce)
    assert ours.dtype == dtype
    torch.testing.assert_close(ours.double(), expected, rtol=2e-2, atol=2e-2)
    assert all(torch.isfinite(t.grad).all() for t in inputs)


def test_mixed_precision_is_promoted_and_autocast_keeps_out():
    edge_index = torch.tensor([[0, 1], [1, 0]])
    x, weight = torch.randn(2, 3, dtype=torch.float64, requires_grad=True), torch.rand(2, requires_grad=True)
    assert ops.spmm(edge_index, x, weight).dtype == torch.float64
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = ops.spmm(edge_index, x.float(), weight)
        ops.sddmm(edge_index, x.float(), x.float()).sum().backward()
        low = ops.spmm(edge_index, x.bfloat16(), weight)
    out.sum().backward()
    low.sum().backward()
    assert out.dtype == torch.float32


def test_inference_mode_then_training():
    edge_index = torch.tensor([[0, 1, 2], [1, 2, 2]])
    with torch.inference_mode():
        ops.gcn_norm(edge_index, size=3) @ torch.ones(3, 1)
        ops.spmm(edge_index, torch.ones(3, 1), torch.ones(3), "mean")
    x, weight = torch.ones(3, 1, requires_grad=True), torch.ones(3, requires_grad=True)
    (ops.gcn_norm(edge_index, size=3) @ x).sum().backward()
    ops.spmm(edge_index, x, weight, "mean").sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda e, x: ops.spmm(e, x, torch.ones(3)), ValueError, r"\[3\].*2 edges"),
        (lambda e, x: ops.spmm(e, x, torch.ones(2, 1)), ValueError, r"\[2, 1\].*2 edges"),
        (lambda e, x: ops.spmm(e, x, torch.ones(2).long()), TypeError, "floating point"),
        (lambda e, x: ops.spmm(e.float(), x), TypeError, "float32.*long"),
        (lambda e, x: ops.spmm(e.t()[:1], x), ValueError, r"\[1, 2\]"),
        (lambda e, x: ops.spmm(e + 3, x), IndexError, "source node 4.*3 source nodes"),
        (lambda e, x: ops.spmm(e - 1, x), IndexError, "-1"),
        (lambda e, x: ops.spmm(e, x, size=(4, 3)), ValueError, "4 columns"),
        (lambda e, x: ops.spmm(e, x, reduce="avg"), ValueError, "avg"),
        (lambda e, x: ops.spmm(e, x.long()), TypeError, r"x\.float"),
        (lambda e, x: ops.spmm(e, x[0, 0]), ValueError, "shape"),
        (lambda e, x: ops.spmm(ops.SparseMatrix.from_edges(e, size=3), x, torch.ones(2)), ValueError, "own values"),
        (lambda e, x: ops.spmm(torch.eye(3).to_sparse_csr(), x[:2]), ValueError, "3 columns"),
        (lambda e, x: ops.sparsity_pattern(torch.eye(3).to_sparse_csr(), 4), ValueError, "4 sources.*3 sources"),
        (lambda e, x: ops.spmm(torch.eye(3).to_sparse_csc().requires_grad_(), x), ValueError, "to_sparse_csr"),
        (lambda e, x: ops.sparsity_pattern([[0], [1]]), TypeError, "list"),
        (lambda e, x: ops.sddmm(e, x, x[:, :1]), ValueError, "equally many columns"),
        (lambda e, x: ops.sddmm(ops.sparsity_pattern(e, 3), x, x[:2]), ValueError, "one row per node"),
        (lambda e, x: ops.block_spmm(e, torch.ones(2, 2, 3), x), ValueError, "blocks"),
        (lambda e, x: ops.block_spmm(e, torch.ones(1, 2, 2), torch.ones(3, 2, 1)), ValueError, "one block per edge"),
        (lambda e, x: ops.sparsity_pattern(e, (3, 4)).with_self_loops(), ValueError, "add_self_loops=False"),
    ],
)
def test_errors_name_value_and_remedy(call, error, message):
    with pytest.raises(error, match=message):
        call(torch.tensor([[0, 1], [1, 2]]), torch.ones(3, 2))


class Spy:
    """Counts the calls of a function and passes them on."""

    def __init__(self, owner, name):
        self.calls, original = 0, getattr(owner, name)

        def counted(*args, **kwargs):
            self.calls += 1
            return original(*args, **kwargs)

        self.patch = mock.patch.object(owner, name, counted)

    def __enter__(self):
        self.patch.start()
        return self

    def __exit__(self, *_):
        self.patch.stop()


def test_the_fast_kernels_run():
    """A silent fallback to gathering messages would pass every other test."""
    edge_index = torch.randint(50, (2, 200), generator=torch.Generator().manual_seed(0))
    x, weight = torch.randn(50, 8, requires_grad=True), torch.rand(200, requires_grad=True)
    with (
        Spy(torch.Tensor, "addmm_") as mkl,
        Spy(torch.sparse, "mm") as native,
        Spy(torch.sparse, "sampled_addmm") as sampled,
        Spy(torch.Tensor, "index_add_") as index_add,
        Spy(torch.Tensor, "scatter_reduce_") as scatter_reduce,
    ):
        ops.spmm(edge_index, x, weight).sum().backward()
        assert (mkl if ops.backend.available()["mkl"] else native).calls == 2  # forward and transpose
        assert sampled.calls == 1
        before = native.calls
        ops.spmm(edge_index, x, weight, "max")
        assert native.calls == before + 1
        index = torch.arange(50).repeat_interleave(4)
        ops.scatter(torch.randn(200, 8), index, 50)
        ops.scatter(torch.randn(200, 8), index, 50, "max")
        assert index_add.calls == scatter_reduce.calls == 0


def test_works_without_mkl():
    edge_index = torch.randint(50, (2, 200), generator=torch.Generator().manual_seed(0))
    x, weight = torch.randn(50, 8, dtype=torch.float64), torch.rand(200, dtype=torch.float64)
    expected = ops.spmm(edge_index, x, weight)
    with mock.patch.object(ops.backend, "_HAS_MKL", False), Spy(torch.Tensor, "addmm_") as mkl:
        ours = ops.spmm(edge_index, x, weight)
        assert mkl.calls == 0
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


def test_memory_that_held_nan_does_not_leak_into_a_product():
    edge_index = torch.tensor([[0], [1]])
    for _ in range(20):
        torch.full((3, 4), torch.nan)
        assert ops.spmm(edge_index, torch.ones(3, 4)).tolist() == [[0.0] * 4, [1.0] * 4, [0.0] * 4]


def test_a_constant_layer_is_two_products_and_nothing_else():
    edge_index = torch.tensor([[0, 1, 2, 1], [1, 0, 1, 2]])
    x = torch.randn(3, 2, requires_grad=True)
    matrix = ops.gcn_norm(edge_index, size=3)
    assert matrix.is_symmetric
    assert matrix.T is matrix
    directed = ops.gcn_norm(edge_index[:, :3].clone(), size=3)
    assert directed.T is directed.T
    assert directed.T.T is directed
    assert directed.csr(torch.float32) is directed.csr(torch.float32)
    for constant in (matrix, directed):
        (constant @ x).sum().backward()
        with mock.patch.object(torch.Tensor, "index_select") as gather:
            (constant @ x).sum().backward()
            assert not gather.called


def test_sparse_features_share_their_structure_through_dropout():
    dense = torch.rand(30, 40, generator=torch.Generator().manual_seed(0)) * (torch.arange(40) % 5 == 0)
    features = ops.SparseMatrix.from_tensor(dense.to_sparse_csr())
    dropped = features.dropout(0.5)
    assert dropped.pattern is features.pattern
    assert features.dropout(0.5, training=False) is features
    stays = dropped.values != 0
    torch.testing.assert_close(dropped.values[stays], 2 * features.values[stays])
    assert 0.3 < stays.float().mean() < 0.7
    weight = torch.randn(40, 4, requires_grad=True)
    seed = torch.randn(30, 4)
    (gradient,) = torch.autograd.grad(dropped @ weight, weight, seed)
    torch.testing.assert_close(gradient, dropped.to_dense().t() @ seed)
    assert features.density == pytest.approx(0.2)


def test_block_spmm_of_a_single_edge_between_blocks_of_one_row():
    blocks = torch.tensor([[[1.0, 2.0, 3.0]]])  # its expanded ids are a view with stride 0
    x = torch.arange(18.0).view(6, 3, 1)
    for _ in range(20):  # memory beyond a single number was read before, with random consequences
        out = ops.block_spmm(torch.tensor([[5], [5]]), blocks, x.clone())
        assert out.squeeze().tolist() == [0, 0, 0, 0, 0, 15 + 2 * 16 + 3 * 17]
