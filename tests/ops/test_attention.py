"""Attention over edges: compiled kernels against the definition, for all forms of scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from graphkit.ops import Scores, attention, attention_weights
from tests import tiny

SOURCES, TARGETS, HEADS = 11, 9, 3
SIZE = (SOURCES, TARGETS)
FORMS = ["additive", "dynamic", "dot", "given"]


@pytest.fixture(scope="module")
def edges():
    """Parallel edges, a hub, sources and targets without edges."""
    return tiny.crowded_edges(SOURCES - 2, TARGETS - 2, 60, hub=25)


def inputs(form, edges, channels=5, with_edges=True, dtype=torch.float64, width=10):
    """Tensors of scores, the values and those of edges."""
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()

    of_head = () if form in ("additive", "given") else (width,)
    counts = {} if form == "given" else {"target": TARGETS, "source": SOURCES}
    if with_edges or form == "given":
        counts["edge"] = edges.size(1)
    parts = {name: draw(count, HEADS, *of_head) for name, count in counts.items()}
    if form == "dynamic":
        parts["weight"] = draw(HEADS, width)
    value = draw(SOURCES, HEADS, channels)
    return parts, value, draw(edges.size(1), HEADS, channels) if with_edges else None


def scores(form, parts):
    if form == "given":
        return Scores.given(parts["edge"])
    make = {"additive": Scores.additive, "dynamic": Scores.dynamic}.get(form)
    if make is None:
        return Scores.dot(parts["target"], parts["source"], parts.get("edge"))
    return make(**parts)


def definition(edges, form, parts, value, edge_value, normalize, over="targets"):
    """Edge by edge, as the docstrings have it."""
    source, target = edges
    of = {"target": target, "source": source, "edge": slice(None)}
    rows = [parts[name][of[name]] for name in of if name in parts]
    if form == "dot":
        c = (rows[0] * sum(rows[1:])).sum(-1) / parts["target"].size(-1) ** 0.5
    elif form == "given":
        c = rows[0]
    else:
        c = torch.nn.functional.leaky_relu(sum(rows), 0.2)
        c = (c * parts["weight"]).sum(-1) if form == "dynamic" else c
    if normalize is not None:
        p = c.exp() if normalize == "softmax" else (c + (c.square() + 4).sqrt()) / 2
        group = target if over == "targets" else source
        c = p / p.new_zeros(SOURCES, HEADS).index_add(0, group, p)[group]
    message = value[source] if edge_value is None else value[source] + edge_value
    return c, c.new_zeros(TARGETS, *value.shape[1:]).index_add(0, target, c.unsqueeze(-1) * message)


@pytest.mark.parametrize(("channels", "with_edges", "width"), [(5, True, 10), (16, False, 10), (72, False, 24)])
@pytest.mark.parametrize("over", ["targets", "sources"])
@pytest.mark.parametrize("normalize", [None, "softmax", "squareplus"])
@pytest.mark.parametrize("form", FORMS)
def test_values_and_gradients_are_those_of_the_definition(form, normalize, over, channels, with_edges, width, edges):
    parts, value, edge_value = inputs(form, edges, channels, with_edges, width=width)
    wanted = [x for x in (*parts.values(), value, edge_value) if x is not None]
    weights, expected = definition(edges, form, parts, value, edge_value, normalize, over)
    out = attention(edges, scores(form, parts), value, edge_value, normalize=normalize, over=over, size=SIZE)
    torch.testing.assert_close(out, expected)
    direction = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        torch.autograd.grad(out, wanted, direction), torch.autograd.grad(expected, wanted, direction, retain_graph=True)
    )
    found = attention_weights(edges, scores(form, parts), normalize=normalize, over=over, size=SIZE)
    torch.testing.assert_close(found, weights)
    direction = torch.randn(found.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(2))
    of_scores = list(parts.values())
    torch.testing.assert_close(
        torch.autograd.grad(found, of_scores, direction), torch.autograd.grad(weights, of_scores, direction)
    )


@pytest.mark.parametrize("normalize", ["softmax", "squareplus"])
@pytest.mark.parametrize("form", FORMS)
def test_first_and_second_derivatives(form, normalize, edges):
    parts, value, edge_value = inputs(form, edges[:, 22:28], channels=1)
    names = list(parts)

    def function(value, edge_value, *given):
        made = scores(form, dict(zip(names, given, strict=True)))
        return attention(edges[:, 22:28], made, value, edge_value, normalize=normalize, size=SIZE)

    assert gradcheck(function, (value, edge_value, *parts.values()), fast_mode=True)
    assert gradgradcheck(function, (value, edge_value, *parts.values()), fast_mode=True)


def gradients(edges, parts, value, edge_value, form="dynamic", **kwargs):
    given = [x for x in (*parts.values(), value, edge_value) if x is not None]
    out = attention(edges, scores(form, parts), value, edge_value, size=SIZE, **kwargs)
    return [out, *torch.autograd.grad(out.square().sum(), given)]


@pytest.mark.parametrize("form", ["additive", "dynamic", "dot"])
def test_code_for_the_very_sizes_gives_the_same(form, edges, monkeypatch):
    pytest.importorskip("numba")
    from graphkit.ops import attention_calls

    generator = torch.Generator().manual_seed(0)
    drawn = [
        torch.randn(count, 8, *[8] * (form != "additive"), generator=generator).requires_grad_()
        for count in (TARGETS, SOURCES)
    ]
    parts = dict(zip(("target", "source"), drawn, strict=True))
    if form == "dynamic":
        parts["weight"] = torch.randn(8, 8, generator=generator).requires_grad_()
    value = torch.randn(SOURCES, 8, 16, generator=generator).requires_grad_()
    usual = gradients(edges, parts, value, None, form)
    monkeypatch.setattr(attention_calls, "OWN_CODE", 0)
    for found, expected in zip(gradients(edges, parts, value, None, form), usual, strict=True):
        torch.testing.assert_close(found, expected)


def test_any_number_of_threads_gives_the_same_bits(edges):
    given = inputs("dynamic", edges, dtype=torch.float32)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            torch.manual_seed(3)
            results.append(gradients(edges, *given, dropout=0.4))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("over", ["targets", "sources"])
def test_dropout_drops_weights_and_keeps_the_mean(over, edges):
    made = Scores.given(torch.zeros(60, 1).double())
    torch.manual_seed(0)
    one = attention(edges, made, torch.eye(SOURCES).double().unsqueeze(1), dropout=0.25, over=over, size=SIZE)
    weights = attention_weights(edges, made, over=over, size=SIZE)
    alone = torch.zeros(TARGETS, SOURCES).double().index_put((edges[1], edges[0]), weights[:, 0], accumulate=True)
    share = (one[:, 0] / alone)[alone > 0]
    assert (share == 0).any()
    assert torch.isclose(share, torch.tensor(4 / 3).double()).any()
    draws = [
        attention(edges, made, torch.ones(SOURCES, 1, 1).double(), dropout=0.25, over=over, size=SIZE)
        for _ in range(300)
    ]
    torch.testing.assert_close(torch.stack(draws).mean(0)[:, 0, 0], alone.sum(1), atol=0.15, rtol=0)


def test_dropped_weights_have_no_gradient(edges):
    parts, value, edge_value = inputs("dynamic", edges)

    def function(*given):
        torch.manual_seed(0)
        made = Scores.dynamic(*given[:2], given[3], given[2])
        return attention(edges, made, *given[4:], dropout=0.4, size=SIZE)

    assert gradcheck(function, (*parts.values(), value, edge_value), fast_mode=True)
    assert gradgradcheck(function, (*parts.values(), value, edge_value), fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scores_of_any_size(dtype):
    edges = torch.tensor([[0, 1, 2, 0, 1, 0], [0, 0, 0, 1, 1, 2]])
    inf = float("inf")
    values = torch.tensor([[1e4], [1e4 - 1], [-1e4], [-inf], [-inf], [float("nan")]], dtype=dtype)
    weights = attention_weights(edges, Scores.given(values), size=3).squeeze(1)
    torch.testing.assert_close(weights[:3], torch.tensor([0.7310586, 0.2689414, 0.0], dtype=dtype), atol=1e-6, rtol=0)
    assert weights[3:5].tolist() == [0, 0]
    assert weights[5].isnan()


@pytest.mark.parametrize("form", FORMS)
def test_no_edges_no_nodes_and_half_precision(form, edges):
    parts, value, edge_value = inputs(form, edges[:, :0])
    out = attention(edges[:, :0], scores(form, parts), value, edge_value, size=SIZE)
    assert out.eq(0).all()
    for gradient in torch.autograd.grad(out.sum(), [value, *parts.values()]):
        assert gradient.eq(0).all()
    parts, value, edge_value = inputs(form, edges, dtype=torch.bfloat16)
    half = attention(edges, scores(form, parts), value, edge_value, size=SIZE)
    assert half.dtype == torch.bfloat16
    parts, value, edge_value = ({k: v.float() for k, v in parts.items()}, value.float(), edge_value.float())
    single = attention(edges, scores(form, parts), value, edge_value, size=SIZE)
    torch.testing.assert_close(half.float(), single, atol=0.3, rtol=0.1)


@pytest.mark.parametrize("form", FORMS)
def test_traced_attention_is_the_same(form, edges):
    parts, value, _ = inputs(form, edges, with_edges=False)
    names = list(parts)

    def function(value, *given):
        made = scores(form, dict(zip(names, given, strict=True)))
        return attention(edges, made, value, size=SIZE, over="sources").square().sum()

    given = [x.detach() for x in (value, *parts.values())]
    found = torch.func.grad(function, argnums=tuple(range(len(given))))(*given)
    expected = torch.autograd.grad(function(value, *parts.values()), [value, *parts.values()])
    torch.testing.assert_close(list(found), list(expected))


def test_what_does_not_fit_is_refused(edges):
    zeros, value = torch.zeros(5, 2), torch.zeros(5, 2, 3)
    edges = torch.tensor([[0, 1], [1, 4]])
    with pytest.raises(ValueError, match=r"attention: values have shape \[4, 2, 3\], but the graph has 5;"):
        attention(edges, Scores.additive(zeros, zeros), value[:4], size=5)
    with pytest.raises(ValueError, match=r"attention: value has shape \[5, 3\], expected \[num_sources, 2, channels\]"):
        attention(edges, Scores.additive(zeros, zeros), value[:, 0])
    with pytest.raises(ValueError, match=r"Scores: target, source and edge have shapes \[5, 2\], \[5, 3\]"):
        Scores.additive(zeros, torch.zeros(5, 3))
    with pytest.raises(ValueError, match=r"Scores: weight has shape \[2\], expected \[2, 3\]"):
        Scores.dynamic(value, value, torch.zeros(2))
    with pytest.raises(ValueError, match="unknown normalization 'max'"):
        attention(edges, Scores.additive(zeros, zeros), value, normalize="max")
    with pytest.raises(IndexError):
        attention(edges + 1, Scores.additive(zeros, zeros), value)


def test_the_exponential_is_right_to_the_last_place():
    numba = pytest.importorskip("numba")
    from graphkit.ops import lanes

    @numba.njit
    def all_of(x):
        out = np.empty_like(x)
        for i in range(x.size):
            out[i] = lanes.exp(x[i])
        return out

    x = np.linspace(-87, 80, 400_001, dtype=np.float32)
    exact = np.exp(x.astype(np.float64))
    assert np.max(np.abs(all_of(x) - exact) / np.spacing(exact.astype(np.float32))) < 1.5
    edge = np.array([0, -88, -np.inf, np.nan], dtype=np.float32)
    np.testing.assert_array_equal(all_of(edge), np.array([1, 0, 0, np.nan], dtype=np.float32))
