"""Which axis of the features counts nodes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch_geometric.data.data import BaseData

from graphkit.core.constraints import Channels
from graphkit.ops import SparseMatrix

Widths = Channels | tuple[Channels, Channels]  # of the features of sources and of targets


def static_graphs(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let a ``forward`` that works on nodes first take features as PyG's layers do.

    They may be those of static graphs, ``[*, num_nodes, channels]``, a sparse tensor, or a pair of those of sources and
    targets, where the layer is ``bipartite``; its ``forward`` gets a pair ``(source, target)``, whatever its flow.
    """

    @wraps(forward)
    def moved(self: Any, x: Any, *args: Any, **kwargs: Any) -> Tensor:
        if isinstance(x, tuple | list):
            return _of_pair(forward, self, x, args, kwargs)
        if isinstance(x, Tensor) and x.dim() < 2:
            raise ValueError(f"{type(self).__name__}: x has shape {list(x.shape)}, expected [num_nodes, channels]")
        x = of_layout(self, x)
        check_width(self, x)
        try:
            if not isinstance(x, Tensor) or x.dim() == 2:
                return forward(self, x, *args, **kwargs)
            if not getattr(self, "takes_static", True):
                refuse_static(self, x)
            dim = getattr(self, "node_dim", -2)
            return forward(self, x.movedim(dim, 0), *args, **kwargs).movedim(0, dim).contiguous()
        except (RuntimeError, TypeError):
            explain_dtype(self, x, _weight_in(forward, args, kwargs))
            raise

    return moved


def _of_pair(forward: Callable[..., Tensor], layer: Any, x: Any, args: Any, kwargs: Any) -> Tensor:
    if not getattr(layer, "bipartite", False):
        refuse_pair(layer)
    if len(x) != 2:
        raise ValueError(f"{type(layer).__name__}: expected a pair of features (x_source, x_target) of dense tensors")
    for part in x:
        if part is not None:
            check_width(layer, part)
            if part.dim() != 2 and not layer.takes_static:
                refuse_static(layer, part)
    dim = layer.node_dim
    parts = [part if part is None or part.dim() == 2 else part.movedim(dim, 0) for part in x]
    source, target = parts if layer.flow == "source_to_target" else parts[::-1]
    if source is None:
        raise ValueError(f"{type(layer).__name__}: the features that messages start from are None")
    try:
        out = forward(layer, (source, target), *args, **kwargs)
    except (RuntimeError, TypeError):
        explain_dtype(layer, source, _weight_in(forward, args, kwargs))
        raise
    return out if out.dim() == 2 else out.movedim(0, dim).contiguous()


def one_graph(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let a ``forward`` refuse static graphs."""

    @wraps(forward)
    def checked(self: Any, x: Any, *args: Any, **kwargs: Any) -> Tensor:
        states = x if isinstance(x, list | tuple) else [x]
        state = states[-1]
        if states is x and not (self.takes_states and all(other.shape == state.shape for other in states)):
            refuse_pair(self)
        if states is not x:
            state = x = of_layout(self, x)
        if len(state.shape) != 2:
            refuse_static(self, state)
        check_width(self, state)
        try:
            return forward(self, x, *args, **kwargs)
        except (RuntimeError, TypeError):
            explain_dtype(self, state, _weight_in(forward, args, kwargs))
            raise

    return checked


def of_layout(layer: Any, x: Any) -> Any:
    """Dense features, or sparse ones as a matrix where the layer takes them."""
    if isinstance(x, Tensor) and x.layout == torch.strided:
        return x
    if not hasattr(x, "shape") or not hasattr(x, "matmul"):
        remedy = "pass data.x, data.edge_index" if isinstance(x, BaseData) else "pass a tensor"
        raise TypeError(f"{type(layer).__name__}: x is a {type(x).__name__}, must be node features; {remedy}")
    if not getattr(layer, "takes_sparse", True):
        raise TypeError(f"{type(layer).__name__}: x is a sparse matrix, must be a dense tensor; use x.to_dense()")
    return SparseMatrix.from_tensor(x) if isinstance(x, Tensor) else x


def refuse_static(layer: Any, x: Any) -> NoReturn:
    """Say that a layer knows one set of features of a graph."""
    raise ValueError(
        f"{type(layer).__name__}: x has shape {list(x.shape)}, expected [num_nodes, channels]; of several features of "
        "one graph, pass one after the other"
    )


def refuse_pair(layer: Any) -> NoReturn:
    """Say, as PyG does, that a layer knows one set of nodes."""
    raise ValueError(
        f"{type(layer).__name__} received a tuple of node features as input while this layer does not support "
        "bipartite message passing; take another layer, such as GINConv or MPNNConv"
    )


def widths_of(in_channels: Any) -> tuple[int, int]:
    """The widths of the features of sources and of targets, which are the same unless a pair is given."""
    return tuple(in_channels) if isinstance(in_channels, tuple | list) else (in_channels, in_channels)


def pair_of(x: Any) -> tuple[Any, Any]:
    """The features of sources and of targets, which are the same unless a pair is given; targets may be ``None``."""
    return x if isinstance(x, tuple) else (x, x)


def check_width(layer: Any, x: Any) -> None:
    """Check that features have the width that a layer was built for, if it was built for one."""
    wanted = getattr(layer, "in_channels", -1)
    if isinstance(wanted, int) and wanted != -1 and (not x.shape or x.shape[-1] != wanted):
        raise ValueError(
            f"{type(layer).__name__}: features have the shape {list(x.shape)}, but in_channels={wanted}; build it for "
            "these features"
        )


def explain_dtype(layer: Any, x: Any, edge_weight: Any = None) -> None:
    """Say why torch has refused features, if it is their dtype, or that of weights of edges, which they take on."""
    name = type(layer).__name__
    dtype = next((p.dtype for p in layer.parameters() if p.is_floating_point()), torch.get_default_dtype())
    if x.dtype not in (dtype, None):  # a sparse matrix of ones fits all
        raise TypeError(f"{name}: features are {x.dtype}, but weights {dtype}; use x.to({dtype})")
    if isinstance(edge_weight, Tensor) and torch.promote_types(edge_weight.dtype, dtype) != dtype:
        raise TypeError(
            f"{name}: edge_weight is {edge_weight.dtype}, but parameters are {dtype}; use edge_weight.to({dtype})"
        )


def _weight_in(forward: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The weights of edges among the arguments that follow the features."""
    return (dict(zip(list(signature(forward).parameters)[2:], args)) | kwargs).get("edge_weight")


def nodes_first(x: Tensor) -> Tensor:
    """``[*, num_nodes, channels]`` to ``[num_nodes, *, channels]``."""
    return x.movedim(-2, 0)
