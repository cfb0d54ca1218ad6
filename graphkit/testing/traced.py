"""Checks of modules in the hands of ``torch.compile``, ``torch.export`` and ``torch.func``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import checks_of
from graphkit.testing.checked_module import CheckedModule
from graphkit.testing.graphs import random_graph
from graphkit.testing.symmetry import assert_close

Check = Callable[[CheckedModule], None]


def _told(check: Check) -> Check:
    """Make what torch says of a module that it cannot trace a failure of the check."""

    @wraps(check)
    def run(checked: CheckedModule) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check(checked)
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}") from error
        finally:
            torch._dynamo.reset()

    return run


def _compare(checked: CheckedModule, module: Any, compiled: Any) -> None:
    for graph in _graphs(checked, module):
        positional, named = checked.arguments(module, graph)
        assert_close(
            compiled(*positional, **named), module(*positional, **named), "compiled, the output is another one"
        )


@_told
def check_compiled(checked: CheckedModule) -> None:
    """``torch.compile`` makes one program without breaks, for graphs of any size."""
    module = checked.build()
    _compare(checked, module, torch.compile(module, fullgraph=True, dynamic=True, backend="eager"))


@_told
def check_compiled_in_pieces(checked: CheckedModule) -> None:
    """What makes no single program is compiled around the parts that cannot be, and gives the same."""
    module = checked.build()
    if "compiled" not in checks_of(type(module)).expected_failures:
        return
    _compare(checked, module, torch.compile(module, backend="eager"))


@_told
def check_exported(checked: CheckedModule) -> None:
    """``torch.export`` makes a program that needs no graphkit; models are exported as they are called by parts."""
    module = checked.build()
    graph = next(_graphs(checked, module))
    positional, named = checked.arguments(module, graph)
    if checked.kind == "model":
        values = graph.to_dict()
        positional = (values.pop("x"),)
        named = {key: value for key, value in values.items() if isinstance(value, Tensor)}
    program = torch.export.export(module, positional, named).module()
    assert_close(program(*positional, **named), module(*positional, **named), "exported, the output is another one")


@_told
def check_functional(checked: CheckedModule) -> None:
    """``vmap``, ``jvp``, ``jacrev`` and ``grad`` of ``torch.func`` agree with single calls and with each other."""
    module = checked.build()
    graph = next(_graphs(checked, module))

    def call(x: Tensor) -> Tensor:
        changed = graph.clone()
        changed.x = x
        return checked.call(module, changed)

    x = graph.x
    several = torch.vmap(call)(torch.stack([x, 2 * x]))
    assert_close(several, torch.stack([call(x), call(2 * x)]), "vmap gives another output than single calls")
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    out, along = torch.func.jvp(call, (x,), (direction,))[:2]
    assert_close(out, call(x), "jvp gives another output")
    jacobian = torch.func.jacrev(call)(x)
    assert_close(torch.tensordot(jacobian, direction, dims=2), along, "jacrev and jvp disagree")
    given = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(call(given).square().sum(), given, materialize_grads=True)
    found = torch.func.grad(lambda x: call(x).square().sum())(x)
    assert_close(found, expected, "torch.func.grad gives another gradient than backward")


def _graphs(checked: CheckedModule, module: nn.Module) -> Iterator[Data]:
    for num_nodes, num_edges in ((9, 20), (15, 33)):
        graph = random_graph(num_nodes, num_edges, weighted=True)
        graph.edge_index[:, 2] = 1  # a self-loop keeps its weight
        yield checked.prepare(module, graph)


TRACED: dict[str, Any] = {
    "compiled": check_compiled,
    "compiled_in_pieces": check_compiled_in_pieces,
    "exported": check_exported,
    "functional": check_functional,
}
