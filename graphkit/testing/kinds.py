"""Checks of single kinds of modules: direction of edges, empty groups, the contract of layered models."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from graphkit.models import LayeredModel
from graphkit.testing.graphs import random_graph
from graphkit.testing.subject import Subject
from graphkit.testing.symmetry import assert_close


def check_edge_direction(subject: Subject) -> None:
    """An edge carries its source's features into its target and nothing back (layers with ``edge_index``)."""
    if not subject.takes("edge_index"):
        return
    module = subject.build()
    graph = random_graph(3, 2)
    graph.edge_index = torch.tensor([[2, 0], [0, 1]])  # a source of degree 0 would have weight 0 in some layers
    graph.x.requires_grad_()
    out = subject.run(module, graph)
    to_source, to_target = (torch.autograd.grad(out[node].sum(), graph.x, retain_graph=True)[0] for node in (0, 1))
    assert bool((to_target[0] != 0).any()), "an edge's target does not see its source"
    assert bool((to_source[1] == 0).all()), "an edge's source sees its target; messages go from row 0 to row 1"


def check_edge_weights(subject: Subject) -> None:
    """An edge's weight changes its target's output (layers with ``edge_weight``)."""
    if not subject.takes("edge_weight"):
        return
    module = subject.build()
    graph = random_graph(weighted=True)
    before = subject.run(module, graph)
    graph.edge_weight = graph.edge_weight.clone()
    graph.edge_weight[0] += 1
    target = int(graph.edge_index[1, 0])
    assert not torch.allclose(subject.run(module, graph)[target], before[target]), "edge weights are ignored"


def check_empty_groups(subject: Subject) -> None:
    """A group without elements aggregates to zeros."""
    module = subject.build()
    x = random_graph(5, 0).x
    out = module(x, torch.tensor([1, 1, 1, 3, 3]), dim_size=5)
    assert out.size(0) == 5, f"dim_size=5 gives {out.size(0)} rows"
    assert bool((out[[0, 2, 4]] == 0).all()), "an empty group does not give zeros"
    alone = module(x[:3], torch.zeros(3, dtype=torch.long), dim_size=1)
    assert_close(out[1:2], alone, "a group's output depends on the other groups")


def check_layered_contract(subject: Subject) -> None:
    """``forward`` is ``decode(step(... encode))``, with one step per layer that uses this layer's weights alone."""
    model = subject.build()
    if not isinstance(model, LayeredModel):
        return
    graph = subject.prepare(model, random_graph(weighted=True))
    history: list[Any] = [model.encode(graph)]
    for i in range(len(model.layers)):
        history.append(model.step(i, list(history), graph))
    assert torch.equal(model.decode(history[-1], graph), model(graph)), "forward is not the composition of its parts"
    if model.shares_parameters:
        return
    for i in range(len(model.layers)):
        constant = [h.detach() if isinstance(h, torch.Tensor) else h for h in history[: i + 1]]
        model.zero_grad()
        model.step(i, constant, graph).sum().backward()
        for j, layer in enumerate(model.layers):
            moved = _has_gradient(layer)
            assert j == i or not moved, f"step {i} uses the weights of layer {j}; set shares_parameters = True"
            assert j != i or moved or not list(layer.parameters()), f"step {i} does not use the weights of its layer"


def _has_gradient(module: nn.Module) -> bool:
    return any(parameter.grad is not None for parameter in module.parameters())
