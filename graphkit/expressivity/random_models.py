"""Models with random weights: a way to build them, and what happens to graphs before."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn.inits import reset
from torch_geometric.transforms import BaseTransform

from graphkit.core.attributes import attributes_of
from graphkit.diagnostics.separation import graph_outputs, prepare
from graphkit.models import PyGModel
from graphkit.recipes.config import find_class
from graphkit.testing import relabelled

OUTPUTS = 16  # BREC's embeddings

Factory = Callable[[int], nn.Module]


@dataclass(frozen=True)
class NamedModel:
    """Builds a model of a class that is known by name.

    Its size of inputs is given by the graphs; it has 16 outputs, as in BREC, and sums over nodes unless another readout
    is among the arguments.

    Args:
        class_path: As in ``graphkit list models``, or the import path of any PyG or own module.
        init_args: Its arguments (default: none).
    """

    class_path: str
    init_args: Mapping[str, Any] | None = None

    def __call__(self, in_channels: int) -> nn.Module:
        cls = find_class("model", self.class_path)
        known = inspect.signature(cls).parameters
        sizes = {"in_channels": in_channels, "out_channels": OUTPUTS, "readout": "sum"}
        given = {key: value for key, value in (self.init_args or {}).items() if value is not None or key not in sizes}
        module = cls(**{key: value for key, value in sizes.items() if key in known} | given)
        node_level = cls.__module__.startswith("torch_geometric.")
        return PyGModel(module, readout="sum") if node_level else module


class RandomModels:
    """A family of models with random weights, in double precision.

    Args:
        model: A function from the number of node features to a model with one output row per graph; or a model, whose
            weights are drawn anew by ``reset_parameters``.
        transform: Any PyG transform, applied to every graph and every relabelled copy (default: none). What it adds as
            further attributes of nodes is joined to ``x``; what it does not define (NaN) is 0.
    """

    def __init__(self, model: Factory | nn.Module, transform: BaseTransform | None = None) -> None:
        self.factory = partial(_redrawn, model) if isinstance(model, nn.Module) else model
        self.transform = transform

    def build(self, in_channels: int, seed: int) -> nn.Module:
        """The model with the weights of one seed."""
        torch.manual_seed(seed)
        return self.factory(in_channels).double()

    def prepare(self, graphs: Sequence[Data]) -> list[Data]:
        """The graphs with features and the structure that the model wants."""
        described = [self._describe(graph) for graph in graphs]
        return prepare(self.build(described[0].num_features, 0), described)

    def outputs(self, prepared: Sequence[Data], seed: int) -> Tensor:
        """One row per graph, in double precision, with the random weights of one seed.

        Raises:
            ValueError: If there is not one finite row per graph.
        """
        out = graph_outputs(self.build(prepared[0].num_features, seed), prepared)
        if not torch.isfinite(out).all():
            raise ValueError("the model's outputs are not finite; use fewer layers or a normalisation")
        return out

    def _describe(self, graph: Data) -> Data:
        graph = copy.copy(graph)
        graph.x = graph.x.double()
        if self.transform is None:
            return graph
        before = set(graph.keys())
        graph = self.transform(graph)
        added = [
            key
            for key in sorted(attributes_of("node", graph, str(self.transform)))
            if key not in before and graph[key].is_floating_point()
        ]
        columns = [graph[key].nan_to_num().double().view(graph.num_nodes, -1) for key in added]
        graph.x = torch.cat([graph.x, *columns], dim=1)
        return graph


def copies(graph: Data, count: int, seed: int) -> list[Data]:
    """Copies of a graph with nodes and edges in random order."""
    generator = torch.Generator().manual_seed(seed)

    def order(size: int) -> Tensor:
        return torch.randperm(size, generator=generator)

    return [relabelled(graph, order(int(graph.num_nodes or 0)), order(graph.num_edges)) for _ in range(count)]


@contextmanager
def reproducible() -> Iterator[None]:
    """Double precision by default and one thread, so that numbers are equal anywhere; all is as before afterwards."""
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)


def _redrawn(model: nn.Module, in_channels: int) -> nn.Module:
    """A given model with new weights."""
    model = copy.deepcopy(model)
    reset(model)
    return model
