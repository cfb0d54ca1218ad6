"""The two ways to call a model: with a batch, or with its parts as PyG's models take them."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from difflib import get_close_matches
from typing import Any

from torch import Tensor, nn
from torch.fx import Proxy
from torch_geometric.data import Data
from torch_geometric.data.data import BaseData

from graphkit.core.reads import Reads, UnreadWarning


class CalledWithBatch(nn.Module):
    """A module that is called with a batch, or with its parts; subclasses write :meth:`outputs`."""

    reads: Reads = Reads()

    def forward(
        self,
        x: Data | Tensor,
        edge_index: Tensor | None = None,
        edge_weight: Tensor | None = None,
        edge_attr: Tensor | None = None,
        batch: Tensor | None = None,
        **further: Any,
    ) -> Tensor:
        """Outputs for a PyG ``Data`` or ``Batch``, or for its parts, as PyG's models are called.

        Args:
            x: The batch, or its node features.
            edge_index: The edges, where ``x`` are features; needless if the model reads none (default: those of the
                batch).
            edge_weight: Their weights (default: none).
            edge_attr: Their features (default: none).
            batch: The graph of each node (default: one graph).
            **further: Other attributes that the model reads.
        """
        parts = {"edge_index": edge_index, "edge_weight": edge_weight, "edge_attr": edge_attr, "batch": batch}
        more = {} if isinstance(further, Proxy) else further  # PyG's to_hetero, which follows the call by torch.fx
        given = {key: value for key, value in (parts | more).items() if value is not None}
        name = type(self).__name__
        for key in more:
            if close := get_close_matches(key, parts, cutoff=0.85):
                raise TypeError(f"{name}: unknown argument {key!r}, did you mean {close[0]!r}?")
        return self.outputs(self._batch(name, x, given))

    @abstractmethod
    def outputs(self, batch: Data) -> Tensor:
        """Outputs for a batch."""

    def _batch(self, name: str, x: Any, given: dict[str, Any]) -> Data:
        """The batch that the model was called with, or one of its parts."""
        if isinstance(x, BaseData):
            if given:
                raise TypeError(f"{name}: {next(iter(given))} stands in the batch already; pass it there")
            return x
        if not isinstance(x, Tensor | Proxy):
            raise TypeError(
                f"{name}: x is a {type(x).__name__}, must be a PyG Data, or a tensor of features, dense or sparse"
            )
        if self.reads.edge_index and "edge_index" not in given:
            raise TypeError(f"{name}: x is a tensor, so edge_index is needed; or pass a PyG Data")
        if isinstance(x, Tensor):
            for key in ("edge_weight", "edge_attr"):
                if key in given and not getattr(self.reads, key):
                    warnings.warn(f"{name} does not read {key}", UnreadWarning, stacklevel=5)
        return Data(x=x, **given)
