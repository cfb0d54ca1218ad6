"""What graph convolutions have in common: their usual arguments, shapes and errors, told once."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor, nn

from graphkit.core.constraints import Checked


class Layer(Checked, nn.Module):
    """A layer from the features of nodes to features of nodes, along edges.

    Usual arguments:
        in_channels: Size of each input row; -1 takes it from the first input.
        out_channels: Size of each output row.
        bias: Whether there is an additive bias.
        add_self_loops: Whether to add missing self-loops.

    Shapes:
        - **input:** ``x`` ``[*, num_nodes, in_channels]`` (dense, or a :class:`~graphkit.ops.SparseMatrix`);
          ``edge_index`` ``[2, num_edges]`` (a tensor, a PyG ``EdgeIndex``, or a sparse tensor ``adj_t`` whose rows are
          targets and whose values are weights); ``edge_weight`` ``[num_edges]`` (optional, differentiable)
        - **output:** ``[*, num_nodes, out_channels]``

    Raises:
        TypeError: If an argument has the wrong type, or ``edge_index`` is not integer.
        IndexError: If ``edge_index`` names a node that does not exist.
        ValueError: If an argument is out of range or sizes do not fit.
    """

    @abstractmethod
    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """One convolution; see the class for shapes."""
