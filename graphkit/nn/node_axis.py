"""Which axis of the features counts nodes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from torch import Tensor


def static_graphs(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let a ``forward`` that works on nodes first take PyG's static graphs: ``x`` ``[*, num_nodes, channels]``."""

    @wraps(forward)
    def moved(self: Any, x: Any, *args: Any, **kwargs: Any) -> Tensor:
        if not isinstance(x, Tensor) or x.dim() == 2:
            return forward(self, x, *args, **kwargs)
        if x.dim() < 2:
            raise ValueError(f"{type(self).__name__}: x has shape {list(x.shape)}, expected [num_nodes, channels]")
        return forward(self, nodes_first(x), *args, **kwargs).movedim(0, -2)

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
        return forward(self, x, *args, **kwargs)

    return checked


def nodes_first(x: Tensor) -> Tensor:
    """``[*, num_nodes, channels]`` to ``[num_nodes, *, channels]``."""
    return x.movedim(-2, 0)
