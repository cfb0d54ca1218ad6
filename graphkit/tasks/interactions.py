"""A user's interactions of users with items, checked."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.attributes import attributes_of
from graphkit.core.graph_input import as_tensor
from graphkit.tasks.split import without_masks


def checked_types(types: Any, place: str) -> Tensor:
    """The types of nodes, users before items."""
    name, remedy = f"{place}: data.node_type", "must be 0 for each user and then 1 for each item [num_nodes]"
    if types is None:
        raise ValueError(f"{name} is missing, {remedy}")
    types = as_tensor(types, name)
    if types.dim() != 1 or types.layout != torch.strided or types.is_floating_point() or types.is_complex():
        raise ValueError(f"{name} is {types.dtype} of shape {list(types.shape)} ({types.layout}), {remedy}")
    if types.unique().tolist() != [0, 1] or bool((types.diff() < 0).any()):
        raise ValueError(f"{name} {remedy}, but has other values or another order")
    return types.long()


def check_pairs(pairs: Tensor, num_users: int, num_items: int, place: str) -> None:
    """Refuse interactions ``[2, n]``, users and items counted from 0, that lead elsewhere or are repeated."""
    users, items = pairs
    odd = (users >= num_users) | (items < 0)
    if odd.any():
        column = int(odd.nonzero()[0])
        raise ValueError(
            f"{place}: edge {column} leads from node {int(users[column])} to node {int(items[column]) + num_users}, "
            f"but interactions lead from users (0..{num_users - 1}) to items; leave their reverses out"
        )
    keys = users * num_items + items
    if keys.unique().numel() < keys.numel():
        raise ValueError(f"{place}: a pair of user and item is repeated; give each interaction once")


def without_edges(data: Data, place: str) -> Data:
    """A shallow copy without what belongs to edges, and without labels."""
    graph, unread = without_masks(data), ("edge_weight", "edge_attr", "edge_label", "edge_label_index")
    for key in ("y", *unread, *attributes_of("edge", data, place)):
        if graph.pop(key, None) is not None and key in unread:
            warnings.warn(f"{place}: data.{key} is not read, as interactions are all alike", stacklevel=4)
    return graph
