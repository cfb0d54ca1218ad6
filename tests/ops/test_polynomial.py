"""Polynomial filters against powers of a dense matrix: values, derivatives of both orders, memory by blocks."""

from __future__ import annotations

import pytest
import torch

from graphkit.ops import gcn_norm, polynomial, polynomial_filter
from graphkit.testing import random_graph


def dense_filter(matrix, coefficients, x):
    powers = [x.flatten(1)]
    for _ in coefficients[1:]:
        powers.append(matrix @ powers[-1])
    return sum(c * h for c, h in zip(coefficients, powers, strict=True)).view_as(x)


@pytest.fixture(params=[False, True], ids=["unweighted", "weighted"])
def problem(request):
    graph = random_graph(9, 24, num_isolated=1, weighted=request.param)
    x = torch.randn(9, 2, 3, dtype=torch.float64, requires_grad=True)
    coefficients = torch.randn(5, dtype=torch.float64, requires_grad=True)
    return gcn_norm(graph.edge_index, graph.get("edge_weight"), size=9, dtype=torch.float64), coefficients, x


def test_values_and_gradients(problem, monkeypatch):
    monkeypatch.setattr(polynomial, "_COLUMNS", 4)  # several blocks
    matrix, coefficients, x = problem
    results = []
    for out in (polynomial_filter(matrix, coefficients, x), dense_filter(matrix.to_dense(), coefficients, x)):
        results.append([out, *torch.autograd.grad((out * out.cos()).sum(), [x, coefficients])])
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected)


def test_second_derivatives(problem):
    matrix, coefficients, x = problem
    assert torch.autograd.gradgradcheck(lambda x, c: polynomial_filter(matrix, c, x), (x, coefficients))


def test_weights_of_edges_get_gradients():
    graph = random_graph(9, 24, weighted=True)
    weight = graph.edge_weight.requires_grad_()
    coefficients = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)

    def filtered(weight):
        return polynomial_filter(gcn_norm(graph.edge_index, weight, size=9), coefficients, graph.x)

    assert torch.autograd.gradcheck(filtered, weight)


@pytest.mark.parametrize("shape", [(0, 3), (4, 0)])
def test_nothing_to_filter(shape):
    matrix = gcn_norm(torch.empty(2, 0, dtype=torch.long), size=shape[0])
    x, coefficients = torch.ones(shape, requires_grad=True), torch.ones(3, requires_grad=True)
    out = polynomial_filter(matrix, coefficients, x)
    assert out.shape == shape
    out.sum().backward()
    assert coefficients.grad.tolist() == [0.0] * 3


def test_powers_are_made_when_they_are_asked_for():
    products = []

    class Doubling:
        def matmul(self, h):
            products.append(1)
            return 2 * h

    powers = polynomial.powers(Doubling(), torch.ones(1), 5)
    assert [float(next(powers)) for _ in range(3)] == [1.0, 2.0, 4.0]
    assert len(products) == 2
