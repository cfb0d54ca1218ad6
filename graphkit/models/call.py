"""The two ways to call a model: with a batch, or with its parts as PyG's models take them."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.fx import Proxy
from torch_geometric.data import Data
from torch_geometric.data.data import BaseData


def as_batch(
    name: str,
    x: Data | Tensor,
    edge_index: Tensor | None,
    edge_weight: Tensor | None,
    edge_attr: Tensor | None,
    batch: Tensor | None,
    further: dict[str, Any],
) -> Data:
    """The batch that a model was called with, or one of its parts.

    Raises:
        TypeError: If there are parts beside a batch, no edges, or neither a batch nor features.
    """
    more = {} if isinstance(further, Proxy) else further  # PyG's to_hetero, which follows the call by torch.fx
    parts = {"edge_index": edge_index, "edge_weight": edge_weight, "edge_attr": edge_attr, "batch": batch, **more}
    parts = {key: value for key, value in parts.items() if value is not None}
    if not isinstance(x, Tensor | BaseData | Proxy):
        raise TypeError(
            f"{name}: x is a {type(x).__name__}, must be a PyG Data, or a tensor of features, dense or sparse"
        )
    if isinstance(x, BaseData):
        if parts:
            raise TypeError(f"{name}: {next(iter(parts))} stands in the batch already; pass it there")
        return x
    if edge_index is None:
        raise TypeError(f"{name}: x is a tensor, so edge_index is needed; or pass a PyG Data")
    return Data(x=x, **parts)
