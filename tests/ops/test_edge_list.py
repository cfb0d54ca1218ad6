"""Products along lists of edges, as operators that torch.compile takes as they are."""

import pytest
import torch

from graphkit.nn import GCNConv
from graphkit.ops.edge_list import edge_dot, edge_product


def _inputs(num_edges=20, dtype=torch.float64):
    torch.manual_seed(0)
    row, col = torch.randint(7, (num_edges,)), torch.randint(5, (num_edges,))
    values, x, a = torch.randn(num_edges), torch.randn(5, 3), torch.randn(7, 3)
    return row, col, *(part.to(dtype).requires_grad_() for part in (values, x, a))


def _dense(row, col, values):
    return torch.zeros(7, 5, dtype=values.dtype).index_put((row, col), values, accumulate=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])  # the last without a kernel
@pytest.mark.parametrize("num_edges", [0, 20])
def test_they_equal_dense_products(num_edges, dtype):
    row, col, values, x, a = _inputs(num_edges, dtype)
    tolerance = {} if dtype != torch.bfloat16 else {"rtol": 0.05, "atol": 0.05}
    torch.testing.assert_close(edge_product(row, col, values, x, 7), _dense(row, col, values) @ x, **tolerance)
    ones = torch.ones_like(values)
    torch.testing.assert_close(edge_product(row, col, None, x, 7), _dense(row, col, ones) @ x, **tolerance)
    torch.testing.assert_close(edge_dot(row, col, a, x), (a @ x.t())[row, col], **tolerance)


def test_derivatives_of_any_order_and_what_torch_asks_of_operators():
    row, col, values, x, a = _inputs()
    product, dot = torch.ops.graphkit.edge_product.default, torch.ops.graphkit.edge_dot.default
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        assert check(lambda v, x: product(row, col, v, x, 7), (values, x))
        assert check(lambda a, x: dot(row, col, a, x), (a, x))
    torch.library.opcheck(product, (row, col, values, x, 7))
    torch.library.opcheck(dot, (row, col, a, x))


def test_vmap_is_one_after_the_other():
    row, col, values, x, a = (part.detach() for part in _inputs())
    many = torch.stack([x, 2 * x, x - 1])
    expected = torch.stack([edge_product(row, col, values, one, 7) for one in many])
    torch.testing.assert_close(torch.func.vmap(lambda x: edge_product(row, col, values, x, 7))(many), expected)
    expected = torch.stack([edge_dot(row, col, a, one) for one in many])
    torch.testing.assert_close(torch.func.vmap(lambda x: edge_dot(row, col, a, x))(many), expected)


def _operators(graph):
    return {str(node.target) for node in graph.nodes if node.op == "call_function"}


def test_compiled_code_has_them_and_exported_programs_do_not():
    conv, x = GCNConv(4, 3), torch.randn(6, 4)
    edge_index = torch.randint(6, (2, 15))
    seen = []

    def backend(module, inputs):
        seen.append(_operators(module.graph))
        return module.forward

    compiled = torch.compile(conv, backend=backend, fullgraph=True)
    torch.testing.assert_close(compiled(x, edge_index), conv(x, edge_index))
    assert any("edge_product" in name for name in seen[0])
    exported = torch.export.export(conv, (x, edge_index))
    assert not any("graphkit" in name for name in _operators(exported.graph))
