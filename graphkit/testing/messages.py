"""Checks of layers that are PyG's message passing: edge masks, hooks, flow, pairs of features."""

from __future__ import annotations

import inspect
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks
from torch_geometric.nn import MessagePassing

from graphkit.core.checks import derives_from_graphkit
from graphkit.core.reads import reads_of
from graphkit.testing.checked_module import CheckedModule
from graphkit.testing.graphs import random_graph
from graphkit.testing.symmetry import assert_close

HOOKS = [name for name in vars(MessagePassing) if name.startswith("register_") and name.endswith("_hook")]
NOT_ALWAYS = ("message_and_aggregate", "edge_update")  # the steps that PyG's own layers take in some calls only


def check_masked_model(checked: CheckedModule) -> None:
    """Edge masks reach the output of a model that reads edges: ones change nothing, and have a gradient; or refused."""
    module, graph = checked.build(), random_graph(weighted=True)
    if not reads_of(module).edge_index:
        return
    graph = checked.prepare(module, graph)
    gradient = _gradient_of_ones(checked, module, graph, checked.call(module, graph))
    assert gradient is None or bool(gradient.any()), "the model reads edges, but their masks have no effect"


def check_edge_masks(checked: CheckedModule) -> None:
    """In explain mode edges have masks: ones change nothing, a 0 takes one away, all have gradients; or refused."""
    module, graph = _message_passing(checked), _graph()
    if module is None:
        return
    expected = checked.call(module, graph)
    gradient = _gradient_of_ones(checked, module, graph, expected)
    if gradient is None:
        return
    assert bool((gradient != 0).all()), (
        f"edges {(gradient == 0).nonzero().flatten().tolist()} have a mask without effect"
    )
    for edge in range(graph.num_edges):
        hidden = _masked(checked, module, graph, torch.arange(graph.num_edges).ne(edge).double())
        changed = (hidden - expected).abs().amax(1).nonzero().flatten().tolist()
        assert int(graph.edge_index[1, edge]) in changed, f"edge {edge} is hidden, and its target does not notice"
    assert_close(checked.call(module, graph), expected, "a mask that was cleared leaves something behind")


def check_message_hooks(checked: CheckedModule) -> None:
    """Hooks of steps that are taken see and change what is sent, or are refused when the layer is called."""
    module, graph = _message_passing(checked), _graph()
    if module is None:
        return
    expected = checked.call(module, graph)
    working = [name for name in HOOKS if _hook_works(checked, module, graph, expected, name)]
    if "register_message_forward_hook" not in working:
        return
    handle = module.register_message_forward_hook(lambda layer, given, messages: 0 * messages)
    out = checked.call(module, graph)
    handle.remove()
    assert not torch.allclose(out, expected), "messages that a hook has changed are not used"
    assert_close(checked.call(module, graph), expected, "a removed hook leaves something behind")


def _hook_works(checked: CheckedModule, module: Any, graph: Data, expected: Tensor, name: str) -> bool:
    """Whether a hook is called, or else refused when it is registered or the layer is called."""
    step = next((step for step in NOT_ALWAYS if step in name), None)
    if step is not None and not derives_from_graphkit(type(module)) and not _takes(checked, module, graph, step):
        return False
    seen: list[Any] = []
    try:
        handle = getattr(module, name)(lambda *given: seen.append(given))
    except TypeError as error:
        _assert_told("never runs", error)
        return False
    try:
        out = checked.call(module, graph)
    except ValueError as error:
        _assert_told("would have no effect", error)
        return False
    finally:
        handle.remove()
    assert seen, f"a hook by {name} is never called"
    assert_close(out, expected, f"a hook by {name} changes the output")
    return True


def _takes(checked: CheckedModule, module: Any, graph: Data, step: str) -> bool:
    """Whether a method of the layer is called."""
    with patch.object(module, step, side_effect=getattr(module, step)) as method:
        checked.call(module, graph)
    return method.called


def check_flow(checked: CheckedModule) -> None:
    """With the other flow, messages go from row 1 of ``edge_index`` to row 0."""
    module, graph = _message_passing(checked), _graph()
    if module is None:
        return
    expected = checked.call(module, graph)
    module.flow = "target_to_source"
    flipped = graph.clone()
    flipped.edge_index = graph.edge_index.flip(0)
    assert_close(checked.call(module, flipped), expected, "flipped edges with the other flow give another output")
    mask = torch.arange(graph.num_edges).ne(2).double()
    try:
        there = _masked(checked, module, flipped, mask)
    except ValueError:  # refused, as check_edge_masks knows
        return
    module.flow = "source_to_target"
    assert_close(there, _masked(checked, module, graph, mask), "an edge mask means other edges with the other flow")


def check_bipartite(checked: CheckedModule) -> None:
    """Features may be a pair, of sources and of targets, as in PyG, or the pair is refused."""
    module, graph = _message_passing(checked), random_graph(7, 16)
    if module is None or "x" not in inspect.signature(module.forward).parameters:
        return
    kept = graph.edge_index[1] < 4  # targets are the first nodes
    graph.edge_index, graph.edge_attr = graph.edge_index[:, kept], graph.edge_attr[kept]
    graph.edge_weight = torch.rand(graph.edge_index.size(1), dtype=torch.float64)
    named = checked.arguments(module, graph)[1]
    x = named.pop("x")
    try:
        out = module((x, x[:4]), **named)
    except ValueError as error:
        _assert_told("does not support bipartite message passing", error)
        return
    assert_close(out, module(x, **named)[:4], "a pair of features gives another output than all nodes")
    reverse = {**named, "edge_index": graph.edge_index.flip(0)}
    module.flow = "target_to_source"
    assert_close(module((x[:4], x), **reverse), out, "a pair of features means something else with the other flow")


def _graph() -> Data:
    """A graph with a self-loop, and no other edges that a layer takes together."""
    graph = random_graph(5, 8, weighted=True)
    graph.edge_index[:, 3] = 2
    return graph


def _message_passing(checked: CheckedModule) -> Any:
    module = checked.build()
    return module if isinstance(module, MessagePassing) else None


def _assert_told(word: str, error: Exception) -> None:
    """What a layer cannot take it refuses by an error that has this word."""
    if word not in str(error):
        raise AssertionError(f"refused without a clear word: {error}") from error


def _masked(checked: CheckedModule, module: nn.Module, graph: Data, mask: Tensor) -> Tensor:
    set_masks(module, mask, graph.edge_index, apply_sigmoid=False)
    try:
        return checked.call(module, graph)
    finally:
        clear_masks(module)


def _gradient_of_ones(checked: CheckedModule, module: nn.Module, graph: Data, expected: Tensor) -> Tensor | None:
    """The gradient of masks of ones, which change nothing, by what comes of them; ``None`` where they are refused."""
    mask = torch.ones(graph.num_edges, dtype=torch.float64, requires_grad=True)
    try:
        out = _masked(checked, module, graph, mask)
    except ValueError as error:
        _assert_told("edge masks are for", error)
        return None
    assert_close(out, expected, "an edge mask of ones changes the output")
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=out.dtype)
    return torch.autograd.grad((out * weight).sum(), mask, materialize_grads=True)[0]


MESSAGES = {
    "edge_masks": check_edge_masks,
    "message_hooks": check_message_hooks,
    "flow": check_flow,
    "bipartite": check_bipartite,
}
