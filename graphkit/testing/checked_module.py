"""What a check gets to work on: fresh instances of a module and one way to call them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import checks_of
from graphkit.core.reads import reads_of
from graphkit.models import PyGModel
from graphkit.models.base import required_by
from graphkit.models.call import CalledWithBatch
from graphkit.testing.graphs import random_graph

KINDS = ("layer", "aggregation", "model")


class CheckedModule:
    """Fresh, equal instances of one module, called on graphs.

    Args:
        make: Builds an instance.
        kind: ``"layer"`` is called with the graph's attributes that its ``forward`` names, ``"aggregation"`` with ``x``
            and the index of each node's graph, ``"model"`` with the whole graph.
    """

    def __init__(self, make: Callable[[], nn.Module], kind: str) -> None:
        self.make = make
        self.kind = kind

    def build(self, seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Module:
        """An instance with weights drawn from ``seed``, in evaluation mode."""
        torch.manual_seed(seed)
        module = self.make()
        if self.kind == "model" and not isinstance(module, CalledWithBatch):
            module = PyGModel(module)  # as the trainer does
        return module.to(dtype).eval()

    def prepare(self, module: nn.Module, data: Data) -> Data:
        """The graph with the structure that a model wants precomputed."""
        required = required_by(module)
        return data if required is None else required(data)

    def arguments(self, module: nn.Module, data: Data) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The positional and keyword arguments of one call."""
        if self.kind == "model":
            return (data,), {}
        index = data.batch if data.get("batch") is not None else data.x.new_zeros(data.x.size(0), dtype=torch.long)
        if self.kind == "aggregation":
            return (data.x, index), {}
        named: dict[str, Any] = {}
        inputs = checks_of(type(module)).inputs
        further = {} if inputs is None else inputs(data)
        reads = reads_of(module)
        for parameter in inspect.signature(module.forward).parameters.values():
            if parameter.name in further:
                named[parameter.name] = further[parameter.name]
            elif data.get(parameter.name) is not None and getattr(reads, parameter.name, True):
                named[parameter.name] = data[parameter.name]
            elif parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
                raise AssertionError(
                    f"{type(module).__name__}.forward needs {parameter.name!r}, which the graphs of the checks do not "
                    f"have (they have {', '.join(data.keys())}); give it by the class's checks = Checks(inputs=...)"
                )
        return (), named

    def call(self, module: nn.Module, data: Data) -> Tensor:
        """The output for a prepared graph or batch."""
        positional, named = self.arguments(module, data)
        return module(*positional, **named)

    def run(self, module: nn.Module, data: Data) -> Tensor:
        """Prepare and call."""
        return self.call(module, self.prepare(module, data))

    def takes(self, name: str) -> bool:
        """Whether a layer reads this (aggregations: no; models may use all of a graph)."""
        return self.kind == "model" or (self.kind == "layer" and getattr(reads_of(self.make()), name))

    def is_per_node(self, module: nn.Module) -> bool:
        """Whether outputs have one row per node rather than one per graph."""
        return self.run(module, random_graph(4, 6)).size(0) == 4
