"""Restriction maps, roots and Laplacians of sheaves against dense algebra, and what they refuse."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch_geometric.data import Data
from torch_geometric.explain.algorithm.utils import set_masks

from graphkit.models import SheafDiffusion
from graphkit.nn import sheaf
from graphkit.nn.sheaf.blocks import product, transpose_product

KINDS = ["diag", "bundle", "general"]
EDGES = torch.tensor([[0, 1, 1, 2, 2, 0, 3, 2, 3, 4], [1, 0, 2, 1, 0, 2, 2, 3, 4, 3]])
N = 6  # the last node is isolated


def random_maps(kind, d, seed=0, num_edges=10):
    generator = torch.Generator().manual_seed(seed)
    if kind == "diag":
        return torch.randn(num_edges, d, generator=generator, dtype=torch.float64)
    if kind == "general":
        return torch.randn(num_edges, d, d, generator=generator, dtype=torch.float64)
    params = torch.randn(d * (d - 1) // 2, num_edges, generator=generator, dtype=torch.float64)
    return sheaf.orthogonal(params, d).permute(2, 0, 1)


def dense_coboundary(edge_index, maps, n):
    """The matrix of x -> F_v x_v - F_u x_u, one block row per undirected edge."""
    full = torch.diag_embed(maps) if maps.dim() == 2 else maps
    column = {pair: e for e, pair in enumerate(zip(*edge_index.tolist(), strict=True))}
    pairs = [pair for pair in column if pair[0] < pair[1]]
    q, d = full.shape[1:]
    out = maps.new_zeros(len(pairs) * q, n * d)
    for row, (v, u) in enumerate(pairs):
        out[row * q : (row + 1) * q, v * d : (v + 1) * d] = full[column[v, u]]
        out[row * q : (row + 1) * q, u * d : (u + 1) * d] = -full[column[u, v]]
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_laplacian_is_coboundary_squared(kind):
    maps = random_maps(kind, 3)
    delta = dense_coboundary(EDGES, maps, N)
    laplacian = sheaf.sheaf_laplacian(EDGES, maps, kind, normalize=None, size=N)
    torch.testing.assert_close(laplacian.to_dense(), delta.t() @ delta)
    x = torch.randn(N, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(laplacian.energy(x), (delta @ x.view(N * 3, 4)).square().sum(0))


def test_rectangular_maps():
    maps = torch.randn(EDGES.size(1), 2, 3, dtype=torch.float64)
    delta = dense_coboundary(EDGES, maps, N)
    laplacian = sheaf.sheaf_laplacian(EDGES, maps, normalize=None, size=N)
    torch.testing.assert_close(laplacian.to_dense(), delta.t() @ delta)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_takes_away_what_an_edge_brings(kind):
    """The layer is a matrix whose block (target, source) is multiplied by the mask of the edge."""
    laplacian = sheaf.sheaf_laplacian(EDGES, random_maps(kind, 2), kind, low_pass=True, high_pass=True, size=N)
    conv = sheaf.SheafConv(4, 1, act=None).double()
    mask, dense = torch.rand(10, dtype=torch.float64), laplacian.to_dense().view(N, 4, N, 4)
    for (source, target), value in zip(EDGES.t().tolist(), mask, strict=True):
        dense[target, :, source] *= value
    set_masks(conv, mask, EDGES, apply_sigmoid=False)
    x = torch.randn(N, 4, 1, dtype=torch.float64)
    expected = x.flatten() - dense.view(4 * N, 4 * N) @ conv.mix(x).flatten()
    torch.testing.assert_close(conv(x, x, laplacian).flatten(), expected)
    set_masks(conv, mask[:3], EDGES)
    with pytest.raises(ValueError, match="SheafConv has an edge mask for 3 edges, but was called with 10"):
        conv(x, x, laplacian)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_mask_has_a_gradient_through_the_adjoint_equation(frozen):
    graph, gradients = Data(x=torch.randn(N, 3, dtype=torch.float64), edge_index=EDGES), []
    for adjoint in (None, "rk4"):
        torch.manual_seed(0)
        flow = {"time": 1.0, "solver": "rk4", "step_size": 0.1, "adjoint": adjoint, "frozen": frozen}
        model = SheafDiffusion(3, 4, out_channels=2, **flow).double()
        mask = torch.full((10,), 0.3, dtype=torch.float64, requires_grad=True)
        set_masks(model, mask, EDGES)
        gradients += torch.autograd.grad(model(graph).square().sum(), mask)
    assert bool(gradients[0].all())
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-5, atol=1e-9)


def test_hooks_on_messages_are_refused():
    conv = sheaf.GivenSheafConv(1, 2, 2)
    conv.register_message_forward_hook(lambda *given: None)
    with pytest.raises(ValueError, match="GivenSheafConv multiplies with a Laplacian; hooks on messages"):
        conv(torch.ones(N, 1, 2), sheaf.sheaf_laplacian(EDGES, torch.ones(10, 1), "diag", size=N))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(KINDS),
    d=st.integers(2, 4),
    normalize=st.sampled_from(["block", "degree", None]),
    low=st.booleans(),
    high=st.booleans(),
)
def test_symmetric_and_positive_semidefinite(seed, kind, d, normalize, low, high):
    laplacian = sheaf.sheaf_laplacian(
        EDGES, random_maps(kind, d, seed), kind, None, normalize, low_pass=low, high_pass=high, size=N
    )
    dense = laplacian.to_dense()
    torch.testing.assert_close(dense, dense.t(), rtol=0, atol=1e-14)
    eigenvalues = torch.linalg.eigvalsh(dense)
    assert eigenvalues[0] > -1e-9
    if normalize == "block":
        assert eigenvalues[-1] < 2 + 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_kernel_of_the_trivial_sheaf_is_the_constants(kind):
    ones = torch.ones(EDGES.size(1), 2, dtype=torch.float64)
    maps = ones if kind == "diag" else torch.diag_embed(ones)
    laplacian = sheaf.sheaf_laplacian(EDGES, maps, kind, normalize=None, size=5)
    values, vectors = torch.linalg.eigh(laplacian.to_dense())
    assert int((values < 1e-9).sum()) == 2  # one constant per stalk coordinate: the graph is connected
    kernel = vectors[:, :2].view(5, 2, 2)
    torch.testing.assert_close(kernel, kernel[:1].expand(5, 2, 2))


def test_signs_that_separate_two_classes():
    classes = torch.tensor([0, 1, 1, 0, 1])
    sign = 1.0 - 2.0 * ((classes[EDGES[0]] != classes[EDGES[1]]) & (EDGES[0] < EDGES[1])).double()
    laplacian = sheaf.sheaf_laplacian(EDGES, sign[:, None], "diag", normalize=None, size=5)
    values, vectors = torch.linalg.eigh(laplacian.to_dense())
    assert values[0].abs() < 1e-9 < values[1]
    assert torch.equal(vectors[:, 0] * vectors[0, 0] > 0, classes == classes[0])


def test_gauge_equivariance_of_bundles():
    q = random_maps("bundle", 3, 1)
    gauge = random_maps("bundle", 3, 2, N)
    rotated = q @ gauge[EDGES[0]].mT  # the same sheaf in other coordinates of every stalk
    x = torch.randn(N, 3, 2, dtype=torch.float64)
    before = sheaf.sheaf_laplacian(EDGES, q, "bundle", size=N) @ x
    after = sheaf.sheaf_laplacian(EDGES, rotated, "bundle", size=N) @ (gauge @ x)
    torch.testing.assert_close(after, gauge @ before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalize", ["block", "degree", None])
def test_gradients(kind, normalize):
    x = torch.randn(N, 4, 2, dtype=torch.float64)
    start = random_maps(kind, 2).requires_grad_()
    scale = torch.linspace(0.5, 1.5, EDGES.size(1), dtype=torch.float64).view(-1, *[1] * (start.dim() - 1))

    def diffuse(maps, x):
        laplacian = sheaf.sheaf_laplacian(
            EDGES, maps * scale, kind, None, normalize, low_pass=True, high_pass=True, size=N
        )
        return laplacian @ x

    gradcheck(diffuse, (start.detach().requires_grad_(), x.requires_grad_()))


def test_a_second_product_has_the_right_gradient_too():
    maps = random_maps("diag", 2)
    x = torch.randn(N, 2, 1, dtype=torch.float64, requires_grad=True)
    laplacian = sheaf.sheaf_laplacian(EDGES, maps, "diag", size=N)
    gradcheck(lambda x: laplacian @ (laplacian @ x).tanh(), (x,))


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0], [2.0, 2.0, 5.0], [1.0, 1.0 + 1e-13, 3.0], [0.5, 2.0, 9.0]])
def test_inverse_square_root_at_repeated_eigenvalues(values):
    basis, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    b = (basis * torch.tensor(values, dtype=torch.float64)) @ basis.t()

    def root(b):
        return sheaf.inverse_sqrt((b + b.mT) / 2)

    out = root(b[None])[0]
    torch.testing.assert_close(out @ out @ b, torch.eye(3, dtype=torch.float64))
    gradcheck(root, (b[None].requires_grad_(),))


def test_pseudo_inverse_root_keeps_the_range():
    b = torch.diag(torch.tensor([4.0, 0.0, 1.0], dtype=torch.float64))[None].requires_grad_()
    root = sheaf.inverse_sqrt(b, cut=1e-10)
    torch.testing.assert_close(root[0].diagonal(), torch.tensor([0.5, 0.0, 1.0], dtype=torch.float64))
    root.sum().backward()
    assert torch.isfinite(b.grad).all()


@pytest.mark.parametrize("method", ["householder", "cayley", "matrix_exp", "euler"])
@pytest.mark.parametrize("d", [2, 3])
def test_orthogonal_maps(method, d):
    k = sheaf.num_orthogonal_params(d, method)
    params = torch.randn(k, 5, dtype=torch.float64, requires_grad=True)
    q = sheaf.orthogonal(params, d, method).permute(2, 0, 1)
    torch.testing.assert_close(q @ q.mT, torch.eye(d, dtype=torch.float64).expand(5, d, d))
    gradcheck(lambda p: sheaf.orthogonal(p, d, method), (params,))


def test_products_of_small_matrices():
    a, b = torch.randn(2, 3, 5, dtype=torch.float64), torch.randn(2, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(transpose_product(a, b), torch.einsum("qcm,qdm->cdm", a, b))
    torch.testing.assert_close(product(a.transpose(0, 1), b), torch.einsum("qcm,qdm->cdm", a, b))
    gradcheck(transpose_product, (a.requires_grad_(), b.requires_grad_()))


def test_edge_order_does_not_matter():
    order = torch.tensor([3, 9, 0, 7, 1, 2, 8, 6, 4, 5])
    maps = random_maps("general", 2)
    one = sheaf.sheaf_laplacian(EDGES, maps, size=N).to_dense()
    other = sheaf.sheaf_laplacian(EDGES[:, order], maps[order], size=N).to_dense()
    torch.testing.assert_close(one, other)


def test_graph_is_prepared_once_and_not_stale():
    edges = EDGES.clone()
    graph = sheaf.sheaf_graph(edges, N)
    assert sheaf.sheaf_graph(edges, N).entry is graph.entry
    edges[:, [0, 1]] = torch.tensor([[0, 5], [5, 0]])
    assert sheaf.sheaf_graph(edges, N).degree.tolist() != graph.degree.tolist()


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([[0, 1, 1], [1, 0, 2]], r"both directions of every edge, but 1 -> 2 has no reverse \(1 missing"),
        ([[0, 1, 2], [1, 0, 2]], r"without self-loops, but node 2 has one \(1 in all\)"),
        ([[0, 1, 0, 1], [1, 0, 1, 0]], r"once per direction, but the edge 0 -> 1 is repeated"),
        ([[0, 1, 0], [1, 0, 1]], r"once per direction, but some edges are repeated"),
    ],
)
def test_graphs_that_carry_no_sheaf(edges, message):
    with pytest.raises(ValueError, match=message + r".*Undirected\(\)"):
        sheaf.sheaf_graph(torch.tensor(edges), 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: sheaf.sheaf_laplacian(EDGES, random_maps("diag", 2), "general"),
            r"need shape \[E, q, d\] with E = 10",
        ),
        (lambda: sheaf.sheaf_laplacian(EDGES, torch.ones(3, 2), "diag"), r"E = 10, got \[3, 2\]"),
        (lambda: sheaf.sheaf_laplacian(EDGES, torch.ones(10, 2), "diagonal"), "did you mean 'diag'"),
        (lambda: sheaf.sheaf_laplacian(EDGES, torch.ones(10, 2), "diag", normalize="row"), "normalize='row'"),
        (lambda: sheaf.sheaf_laplacian(EDGES, torch.ones(10, 2), "diag", torch.ones(10)), "belong to bundle maps"),
        (
            lambda: sheaf.sheaf_laplacian(EDGES, random_maps("bundle", 2), "bundle", torch.arange(10.0).double()),
            "same in both directions",
        ),
        (lambda: sheaf.num_orthogonal_params(1), "stalk dimension of at least 2, got 1; use maps='diag'"),
        (lambda: sheaf.num_orthogonal_params(4, "euler"), "stalk dimensions 2 and 3, got 4"),
        (lambda: sheaf.orthogonal(torch.ones(2, 5), 3), r"need params \[3, m\], got shape \[2, 5\]"),
        (
            lambda: sheaf.sheaf_laplacian(EDGES, torch.ones(10, 2), "diag") @ torch.ones(5, 3, 1),
            "stalks of dimension 2",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
