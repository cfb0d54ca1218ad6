"""What graphkit's aggregations share: any layout of the input, sets instead of padding, the order of elements."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor
from torch_geometric.nn.aggr import Aggregation

from graphkit.core.config import Configurable
from graphkit.core.devices import CPU
from graphkit.nn.aggr.sets import Sets, find_sets
from graphkit.ops.groups import ask_index

Order = Literal["random", "canonical", "given"]


class SetAggregation(Configurable, Aggregation):
    r"""An aggregation that computes with the elements of each set and nothing else; a subclass says how.

    Takes PyG's arguments in all their forms: ``index`` (sorted or not) or ``ptr``, and inputs with further dimensions,
    each slice of which is aggregated on its own. The last dimension holds the channels.

    Usual arguments:
        in_channels: The width of each element.
        out_channels: The width of each result.
        order: ``"random"`` in training and canonical (by value) in evaluation, always ``"canonical"``, or as
            ``"given"`` (default: ``"random"``).

    Shapes:
        - **input:** ``x`` ``[*, num_elements, in_channels]``; ``index`` ``[num_elements]`` in any order, or ``ptr``
          ``[num_sets + 1]``
        - **output:** ``[*, num_sets, out_channels]``
    """

    @abstractmethod
    def aggregate(self, x: Tensor, sets: Sets) -> Tensor:
        """Map elements ``[num_elements, in_channels]`` to ``[num_sets, out_channels]``."""

    def __call__(
        self,
        x: Tensor,
        index: Tensor | None = None,
        ptr: Tensor | None = None,
        dim_size: int | None = None,
        dim: int = -2,
        **kwargs: Any,
    ) -> Tensor:
        """PyG's, which would ask a device for the number of sets in each call."""
        if dim_size is None and ptr is None and index is not None and index.numel() > 0 and index.device != CPU:
            dim_size = ask_index(index).values[1] + 1
        return super().__call__(x, index, ptr, dim_size, dim, **kwargs)

    def forward(
        self,
        x: Tensor,
        index: Tensor | None = None,
        ptr: Tensor | None = None,
        dim_size: int | None = None,
        dim: int = -2,
    ) -> Tensor:
        """Aggregate along ``dim``; see the class for shapes."""
        name = type(self).__name__
        if x.dim() < 2 or dim % x.dim() == x.dim() - 1:
            raise ValueError(
                f"{name}: x has shape {list(x.shape)} and dim={dim}; the last dimension holds the channels, "
                "another one the elements"
            )
        if dim_size is None:
            raise ValueError(f"{name}: call the module itself, not its forward, to have dim_size worked out")
        if torch.is_autocast_enabled(x.device.type):  # logarithms and long trees need the precision
            with torch.autocast(x.device.type, enabled=False):
                return self.forward(x.float(), index, ptr, dim_size, dim)
        if x.dim() == 2:
            return self.aggregate(x, find_sets(index, ptr, dim_size, x.size(0)))
        moved = x.movedim(dim, 0)
        inner = moved.shape[1:-1]
        copies = inner.numel()
        whole = find_sets(index, ptr, dim_size, moved.size(0))
        sets = whole.cached(("copies", copies), lambda: whole.copies(copies))
        out = self.aggregate(moved.reshape(-1, x.size(-1)), sets)
        return out.view(dim_size, *inner, out.size(-1)).movedim(0, dim)

    def arrange(self, x: Tensor, sets: Sets, order: str) -> Tensor:
        """The elements set by set, in the order that ``order`` says: ``[num_elements]``.

        ``"random"`` is a new random order at each call while training, and the canonical one in evaluation.
        """
        if order == "given":
            return sets.rows
        if order == "random" and self.training:
            return sets.shuffled()
        return sets.canonical(x)
