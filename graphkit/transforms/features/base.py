"""What node features have in common."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.transforms.base import Precompute, float_dtype


class NodeFeatures(Precompute):
    """A transform that appends columns to ``data.x``, in its dtype; an ``x`` of whole numbers becomes floats.

    Subclasses write :meth:`columns`.

    Attributes:
        cat: Whether the columns are appended to ``x``; otherwise they replace it (default: ``True``).
        own_space: Whether the columns of one graph cannot be compared with those of another, as those of embeddings
            that are learned; the graphs of a link task then share those of the training graph, and other tasks warn
            (default: ``False``).

    Raises:
        ValueError: If ``x`` is sparse.

    Example:
        >>> class Degree(NodeFeatures):
        ...     def columns(self, data):
        ...         return torch.bincount(data.edge_index[1], minlength=data.num_nodes).view(-1, 1)
        >>> Degree()(Data(x=torch.zeros(2, 1), edge_index=torch.tensor([[0], [1]]))).x.tolist()
        [[0.0, 0.0], [0.0, 1.0]]
    """

    expensive = True
    cat: bool = True
    own_space: bool = False

    @abstractmethod
    def columns(self, data: Data) -> Tensor:
        """The columns to append, a row per node."""

    def forward(self, data: Data) -> Data:
        """Append the columns to ``data.x``, or replace it (a shallow copy when called through ``transform(data)``)."""
        x = data.x
        if x is not None and x.layout != torch.strided:
            raise ValueError(f"{type(self).__name__}: x is sparse; add features before SparseFeatures")
        dtype = float_dtype(data)
        columns = self.columns(data).to(data.edge_index.device, dtype)
        data.x = columns if x is None or not self.cat else torch.column_stack([x.to(dtype), columns])
        return data
