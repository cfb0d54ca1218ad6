"""Which axis of the features counts nodes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor


def static_graphs(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let a ``forward`` that works on nodes first take PyG's static graphs: ``x`` ``[*, num_nodes, channels]``."""

    @wraps(forward)
    def moved(self: Any, x: Any, *args: Any, **kwargs: Any) -> Tensor:
        if isinstance(x, Tensor) and x.dim() < 2:
            raise ValueError(f"{type(self).__name__}: x has shape {list(x.shape)}, expected [num_nodes, channels]")
        check_width(self, x)
        try:
            if not isinstance(x, Tensor) or x.dim() == 2:
                return forward(self, x, *args, **kwargs)
            return forward(self, nodes_first(x), *args, **kwargs).movedim(0, -2)
        except (RuntimeError, TypeError):
            explain_dtype(self, x)
            raise

    return moved


def one_graph(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let a ``forward`` refuse static graphs."""

    @wraps(forward)
    def checked(self: Any, x: Any, *args: Any, **kwargs: Any) -> Tensor:
        state = x[-1] if isinstance(x, list | tuple) else x
        if len(state.shape) != 2:
            raise ValueError(
                f"{type(self).__name__}: x has shape {list(state.shape)}, expected [num_nodes, channels]; of several "
                "features of one graph, pass one after the other"
            )
        check_width(self, state)
        try:
            return forward(self, x, *args, **kwargs)
        except (RuntimeError, TypeError):
            explain_dtype(self, state)
            raise

    return checked


def check_width(layer: Any, x: Any) -> None:
    """Check that features have the width that a layer was built for, if it was built for one."""
    wanted = getattr(layer, "in_channels", -1)
    if isinstance(wanted, int) and wanted not in (-1, x.shape[-1] if x.shape else None):
        raise ValueError(
            f"{type(layer).__name__}: features have the shape {list(x.shape)}, but in_channels={wanted}; build it for "
            "these features"
        )


def explain_dtype(layer: Any, x: Any) -> None:
    """Say why torch has refused features, if it is their dtype."""
    dtype = next((p.dtype for p in layer.parameters() if p.is_floating_point()), torch.get_default_dtype())
    if x.dtype != dtype:
        name = type(layer).__name__
        raise TypeError(f"{name}: features are {x.dtype}, but weights {dtype}; use x.to({dtype})")


def nodes_first(x: Tensor) -> Tensor:
    """``[*, num_nodes, channels]`` to ``[num_nodes, *, channels]``."""
    return x.movedim(-2, 0)
