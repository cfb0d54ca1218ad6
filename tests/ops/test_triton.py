"""Triton's kernels in its interpreter against the definitions in plain operations, and compiled for GPUs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from graphkit import ops
from graphkit.ops import Scores, backend
from tests import tiny

pytest.importorskip("triton")
from benchmarks import tiles as tune
from graphkit.ops.triton import tiles

pytestmark = [pytest.mark.gpu] if torch.cuda.is_available() else []
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SOURCES, TARGETS = 9, 8


@pytest.fixture(scope="module")
def edges():
    """A hub of more entries than a tile has, parallel edges, sources and targets without any; not sorted."""
    return tiny.crowded_edges(SOURCES - 2, TARGETS - 3, 34, hub=20).to(DEVICE)


def draw(*shape, seed=1, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(DEVICE, dtype)


def operation(name, edges, dtype=torch.float64):
    return tune.operations(edges, (SOURCES, TARGETS), 3, dtype)[name]


NAMES = ["product", "max", "gated mean", "blocks", "dot attention", "additive attention", "given scores"]


def both_ways(function, inputs):
    """The result and the gradients of inputs, by the definitions and by Triton."""
    found = []
    for name in ("torch", "triton"):
        with backend.use_backend(name):
            leaves = [x.detach().clone().requires_grad_() for x in inputs]
            torch.manual_seed(0)
            out = function(*leaves)
            gradient = draw(*out.shape, seed=7, dtype=out.dtype)
            gradients = torch.autograd.grad(out, leaves, gradient, allow_unused=True, materialize_grads=True)
            found.append((out.detach(), *gradients))
    return found


def assert_same(function, *inputs, **tolerance):
    expected, ours = both_ways(function, inputs)
    for one, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(one, other, **tolerance)


@pytest.mark.parametrize("width", [1, 5, 130])
def test_product(edges, width):
    size = (SOURCES, TARGETS)
    x, weight = draw(SOURCES, width), draw(34, seed=2)
    assert_same(lambda x, w: ops.spmm(edges, x, w, size=size), x, weight)
    assert_same(lambda x: ops.spmm(edges, x, size=size), x)
    assert_same(lambda a, b: ops.sddmm(edges, a, b), draw(TARGETS, width), x)


@pytest.mark.parametrize("reduce", ["max", "min"])
@pytest.mark.parametrize("width", [1, 37])
def test_extremes_share_gradients_among_ties(edges, width, reduce):
    size = (SOURCES, TARGETS)
    x = draw(SOURCES, width).round()  # many ties
    assert_same(lambda x: ops.spmm(edges, x, reduce=reduce, size=size), x)
    assert_same(lambda x, w: ops.spmm(edges, x, w, reduce=reduce, size=size), x, draw(34, seed=2).sign())


def test_extremes_of_infinities_and_nan(edges):
    x = draw(SOURCES, 3)
    x[2], x[0, 0], x[1, 1] = -torch.inf, torch.inf, torch.nan
    assert_same(lambda x: ops.spmm(edges, x, reduce="max", size=(SOURCES, TARGETS)), x, equal_nan=True)


@pytest.mark.parametrize("width", [1, 37])
def test_gated_mean(edges, width):
    inputs = draw(TARGETS, width), draw(SOURCES, width, seed=2), draw(SOURCES, width, seed=3)
    assert_same(lambda a, b, x: ops.gated_mean(edges, a, b, x), *inputs)


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("width", [1, 20])
def test_blocks(edges, d, width):
    blocks, x = draw(34, d, 2, seed=2), draw(SOURCES, 2, width)
    assert_same(lambda b, x: ops.block_spmm(edges, b, x, size=(SOURCES, TARGETS)), blocks, x)
    transposed = draw(34, 2, d, seed=2)
    assert_same(lambda b, x: ops.block_spmm(edges, b.mT, x, size=(SOURCES, TARGETS)), transposed, x)


@pytest.mark.parametrize(("channels", "dressed"), [(1, True), (20, True), (20, False)])
@pytest.mark.parametrize("form", ["additive", "dynamic", "dot", "given"])
def test_attention(edges, form, dressed, channels):
    width = (2,) if form in ("additive", "given") else (2, 5)
    target, source, edge = draw(TARGETS, *width), draw(SOURCES, *width, seed=2), draw(34, *width, seed=3)
    value, of_edges, weight = draw(SOURCES, 2, channels, seed=4), draw(34, 2, channels, seed=5), draw(2, 5, seed=6)

    def attend(target, source, edge, weight, value, of_edges):
        extra = edge if dressed else None
        scores = {
            "additive": lambda: Scores.additive(target, source, extra),
            "dynamic": lambda: Scores.dynamic(target, source, weight, extra),
            "dot": lambda: Scores.dot(target, source, extra),
            "given": lambda: Scores.given(edge),
        }[form]()
        size, of_value = (SOURCES, TARGETS), of_edges if dressed else None
        return ops.attention(edges, scores, value, of_value, dropout=0.5 * dressed, size=size)

    assert_same(attend, target, source, edge, weight, value, of_edges)


def test_scores_of_minus_infinity_have_no_weight(edges):
    scores = draw(34, 1)
    scores[edges[1] == 1] = -torch.inf
    scores[3] = -torch.inf
    size = (SOURCES, TARGETS)
    assert_same(lambda c, v: ops.attention(edges, Scores.given(c), v, size=size), scores, draw(SOURCES, 1, 2))


@pytest.mark.parametrize("name", NAMES)
def test_graphs_without_edges_and_without_nodes(name):
    none = torch.empty(2, 0, dtype=torch.long, device=DEVICE)
    function, inputs = operation(name, none)
    assert_same(function, *inputs)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "additive attention"])  # drops by the dtype
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_narrow_numbers_are_added_in_single_precision(edges, name, dtype):
    function, inputs = operation(name, edges)
    with backend.use_backend("torch"):
        exact = function(*(x.to(dtype).double() for x in inputs))
    with backend.use_backend("triton"):
        out = function(*(x.to(dtype) for x in inputs))
    assert out.dtype == dtype
    torch.testing.assert_close(out.double(), exact, rtol=2 * torch.finfo(dtype).eps, atol=1e-5)


@pytest.mark.parametrize("name", ["gated mean", "blocks", "given scores"])
def test_derivatives_of_derivatives_are_those_of_the_definition(edges, name):
    function, inputs = operation(name, edges)
    with backend.use_backend("triton"):
        leaves = [x.clone().requires_grad_() for x in inputs]
        first = torch.autograd.grad(function(*leaves).square().sum(), leaves, create_graph=True)
        second = torch.autograd.grad(sum(x.square().sum() for x in first), leaves)
    with backend.use_backend("torch"):
        leaves = [x.clone().requires_grad_() for x in inputs]
        first = torch.autograd.grad(function(*leaves).square().sum(), leaves, create_graph=True)
        expected = torch.autograd.grad(sum(x.square().sum() for x in first), leaves)
    torch.testing.assert_close(second, expected)


def test_a_head_may_be_wider_than_a_tile(edges):
    few, size = edges[:, ::3], (SOURCES, TARGETS)
    target, source, value = draw(TARGETS, 1, 3), draw(SOURCES, 1, 3, seed=2), draw(SOURCES, 1, 300, seed=3)
    assert_same(lambda t, s, v: ops.attention(few, Scores.dot(t, s), v, size=size), target, source, value)


def test_all_kernels_compile_for_gpus_that_are_not_there(tmp_path):
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "tests.ops.compile_triton"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.splitlines()
    assert lines == [" ".join([architecture, *sorted(kernels())]) for architecture in ("80", "90")]


def kernels():
    """The names of all kernels that are started, by their files."""
    texts = [path.read_text() for path in Path(tiles.__file__).parent.glob("*.py")]
    return {name for text in texts for name in re.findall(r"(?:by_blocks|launch)\((_\w+), ", text)}


def test_tuning_measures_every_operation_and_leaves_the_sizes_as_they_were(monkeypatch, capsys):
    before = tiles.NUMBERS, tiles.WARPS
    times = {(128, 1): 3.0, (256, 1): 2.0}
    monkeypatch.setattr(tune, "SIZES", list(times))
    monkeypatch.setattr(tune, "WIDTHS", (4,))
    measured = lambda operation, name: 9.0 if name == "torch" else times[tiles.NUMBERS, tiles.WARPS]  # noqa: E731
    monkeypatch.setattr(tune, "milliseconds", measured)
    tune.main(DEVICE, nodes=5, edges=9)
    _, *lines = capsys.readouterr().out.splitlines()
    assert [line[:20].strip() for line in lines] == NAMES
    assert {line[20:] for line in lines} == {"     4     9.000     2.000     2.000  256, 1"}
    assert before == (tiles.NUMBERS, tiles.WARPS)
