"""Checks of single kinds of modules: direction of edges, layers of other libraries, empty groups, layered models."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.models import LayeredModel
from graphkit.testing.checked_module import CheckedModule
from graphkit.testing.graphs import random_graph
from graphkit.testing.symmetry import assert_close


def check_edge_direction(checked: CheckedModule) -> None:
    """An edge carries its source's features into its target and nothing back (layers with ``edge_index``)."""
    if not checked.takes("edge_index"):
        return
    module = checked.build()
    graph = random_graph(3, 2)
    graph.edge_index = torch.tensor([[2, 0], [0, 1]])  # a source of degree 0 would have weight 0 in some layers
    graph.x.requires_grad_()
    out = checked.run(module, graph)
    some = torch.randn(out.size(1), generator=torch.Generator().manual_seed(1), dtype=out.dtype)  # rows may sum to 0
    to_source, to_target = (torch.autograd.grad(out[node] @ some, graph.x, retain_graph=True)[0] for node in (0, 1))
    assert bool((to_target[0] != 0).any()), "an edge's target does not see its source"
    assert bool((to_source[1] == 0).all()), "an edge's source sees its target; messages go from row 0 to row 1"


def check_same_as(checked: CheckedModule, other: partial[nn.Module]) -> None:
    """Outputs and gradients are those of another library's layer with the same arguments and the same state dict."""
    ours, theirs = checked.build(), other().double().eval()
    name = type(theirs).__name__
    try:
        theirs.load_state_dict(ours.state_dict())
    except RuntimeError as error:
        raise AssertionError(f"the state dict is not that of {name}: {error}") from error
    for weighted in (False, True):
        given = checked.arguments(ours, random_graph(9, 24, num_isolated=1, weighted=weighted))[1]
        given = {key: value for key, value in given.items() if key in inspect.signature(theirs.forward).parameters}
        results: list[dict[str, Tensor]] = []
        for module in (ours, theirs):
            read = {key: value.clone().requires_grad_() for key, value in given.items() if value.is_floating_point()}
            out = module(**given | read)
            some = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=out.dtype)
            read |= module.named_parameters()
            grads = torch.autograd.grad((out * some).sum(), [*read.values()], allow_unused=True, materialize_grads=True)
            results.append({"output": out} | {f"gradient of {key}": grad for key, grad in zip(read, grads)})
        for what, value in results[0].items():
            assert_close(value, results[1][what], f"another {what} than {name} gives")


def check_empty_groups(checked: CheckedModule) -> None:
    """A group without elements aggregates to zeros."""
    module = checked.build()
    x = random_graph(5, 0).x
    out = module(x, torch.tensor([1, 1, 1, 3, 3]), dim_size=5)
    assert out.size(0) == 5, f"dim_size=5 gives {out.size(0)} rows"
    assert bool((out[[0, 2, 4]] == 0).all()), "an empty group does not give zeros"
    alone = module(x[:3], torch.zeros(3, dtype=torch.long), dim_size=1)
    assert_close(out[1:2], alone, "a group's output depends on the other groups")


def check_layered_contract(checked: CheckedModule) -> None:
    """``forward`` is ``decode(step(... encode))``, with one step per layer that uses this layer's weights, if any."""
    model = checked.build()
    if not isinstance(model, LayeredModel):
        return
    graph = checked.prepare(model, random_graph(weighted=True))
    out = model.decode(_history(model, graph)[-1], graph)
    assert torch.equal(out, model(graph)), "forward is not the composition of its parts"
    for i, (layer, used) in enumerate(zip(model.layers, weights_by_step(model, graph))):
        if any(parameter.requires_grad for parameter in layer.parameters()):
            assert used & _names(model, layer), f"step {i} does not use the weights of its layer"


def check_separate_layers(checked: CheckedModule) -> None:
    """A step uses the weights of its own layer and of no other, except those that are parts of both."""
    model = checked.build()
    if not isinstance(model, LayeredModel):
        return
    graph = checked.prepare(model, random_graph(weighted=True))
    for i, used in enumerate(weights_by_step(model, graph)):
        for j, layer in enumerate(model.layers):
            others = used & _names(model, layer) - _names(model, model.layers[i])
            assert not others, f"step {i} uses the weights of layer {j}: {', '.join(sorted(others))}"


def weights_by_step(model: LayeredModel, graph: Data) -> list[set[str]]:
    """The names of the trainable weights that each step reads, as autograd sees them.

    Args:
        model: The model.
        graph: A graph with what the model wants precomputed.
    """
    history = _history(model, graph)
    weights = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    by_step = []
    for i in range(len(model.layers)):
        out = model.step(i, [h.detach() if isinstance(h, Tensor) else h for h in history[: i + 1]], graph)
        grads: Any = [None] * len(weights)
        if out.requires_grad:
            grads = torch.autograd.grad(out.sum(), list(weights.values()), allow_unused=True)
        by_step.append({name for name, grad in zip(weights, grads) if grad is not None})
    return by_step


def _history(model: LayeredModel, graph: Data) -> list[Any]:
    """The states of a forward pass."""
    history: list[Any] = [model.encode(graph)]
    for i in range(len(model.layers)):
        history.append(model.step(i, list(history), graph))
    return history


def _names(model: nn.Module, layer: nn.Module) -> set[str]:
    """The names by which a model knows the weights of one layer."""
    own = {id(parameter) for parameter in layer.parameters()}
    return {name for name, parameter in model.named_parameters() if id(parameter) in own}
