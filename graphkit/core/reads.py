"""What a module or transform reads of a graph."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch_geometric.data import Data

from graphkit.core.constraints import checked


@checked
@dataclass(frozen=True)
class Reads:
    """What a layer, model or transform reads: ``reads`` of its class, narrowed by instances whose arguments decide.

    Args:
        x: Node features (default: ``True``).
        edge_index: Edges (default: ``True``).
        direction: Which way edges go; without, the reverse of every edge gives the same (default: ``True``).
        edge_weight: Edge weights (default: ``False``).
        edge_attr: Edge features (default: ``False``).
        edge_label_index: Pairs of nodes, to score them (default: ``False``).

    Example:
        >>> class Weightless:
        ...     def forward(self, x, edge_index): ...
        >>> reads_of(Weightless()).edge_weight
        False
    """

    x: bool = True
    edge_index: bool = True
    direction: bool = True
    edge_weight: bool = False
    edge_attr: bool = False
    edge_label_index: bool = False


class UnreadWarning(UserWarning):
    """A graph has something that a model or transform does not read."""


def says_something(data: Data, name: str) -> bool:
    """Whether a graph has an attribute with values; edge weights of one say nothing."""
    value = data.get(name)
    return value is not None and value.numel() > 0 and (name != "edge_weight" or bool((value != 1).any()))


def unread(reads: Reads, data: Data) -> list[str]:
    """What a graph tells in vain: ``"edge_weight"``, or the ``"direction"`` of edges without their reverse.

    Repeated edges count once: whatever does not read directions makes them one.

    Example:
        >>> unread(Reads(direction=False), Data(edge_index=torch.tensor([[0], [1]]), edge_weight=torch.ones(1)))
        ['direction']
    """
    told = ["edge_weight"] if not reads.edge_weight and says_something(data, "edge_weight") else []
    if reads.direction:
        return told
    edge_index = data.get("edge_index")  # of a mapped graph it would take all files to tell
    if edge_index is not None:
        there, back = (edge_index * int(data.num_nodes or 0) + edge_index.flip(0)).sort(dim=1).values
        if not torch.equal(there, back) and not torch.equal(there.unique_consecutive(), back.unique_consecutive()):
            told.append("direction")
    return told


def reads_of(module: Any) -> Reads:
    """What a module says that it reads, or the arguments of its ``forward`` do, with PyG's ``supports_...`` of models.

    A module that takes a whole batch, and says nothing, may read everything.
    """
    declared = getattr(module, "reads", None)
    if isinstance(declared, Reads):
        return declared
    names = inspect.signature(module.forward).parameters
    if not {"x", "input", "edge_index"} & names.keys():
        return Reads(edge_weight=True, edge_attr=True, edge_label_index=True)
    widths = [part.edge_dim for part in module.modules() if hasattr(part, "edge_dim")] if "edge_attr" in names else []
    return Reads(
        x="x" in names or "input" in names,
        edge_index="edge_index" in names,
        direction="edge_index" in names,
        edge_weight="edge_weight" in names and getattr(module, "supports_edge_weight", True),
        edge_attr="edge_attr" in names
        and getattr(module, "supports_edge_attr", True)
        and (not widths or any(width is not None for width in widths)),
        edge_label_index="edge_label_index" in names,
    )
