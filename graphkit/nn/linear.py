"""A linear map of dense or sparse features."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torch_geometric.nn.dense.linear import Linear as PyGLinear

from graphkit.core.constraints import Channels, Checked, Count
from graphkit.nn.node_axis import check_width, explain_dtype, of_layout


class Linear(Checked, PyGLinear):
    r"""PyG's linear map :math:`x W^\top + b` that also takes a :class:`~graphkit.ops.SparseMatrix`.

    Instead of a tensor it takes anything that can be multiplied with :math:`W^\top` from the right.

    Args:
        in_channels: Size of each input row; -1 takes it from the first input.
        out_channels: Size of each output row.
        bias: Whether there is an additive bias (default: ``True``).
        weight_initializer: As in PyG, ``None`` as in torch (default: ``"glorot"``).
        bias_initializer: Likewise (default: ``"zeros"``).

    Shapes:
        - **input:** ``x`` ``[*, in_channels]``, or a sparse matrix ``[num_nodes, in_channels]``
        - **output:** ``[*, out_channels]``

    Example:
        >>> import torch
        >>> Linear(4, 2)(torch.ones(3, 4)).shape
        torch.Size([3, 2])
    """

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Count,
        bias: bool = True,
        weight_initializer: str | None = "glorot",
        bias_initializer: str | None = "zeros",
    ) -> None:
        super().__init__(in_channels, out_channels, bias, weight_initializer, bias_initializer)

    def forward(self, x: Any) -> Tensor:
        """The product; a sparse ``x`` is never made dense."""
        if isinstance(x, Tensor):
            return self._of_dense(x, self.bias)
        out = self.without_bias(x)
        return out if self.bias is None else out.add_(self.bias)

    def without_bias(self, x: Any) -> Tensor:
        """The product alone, for layers that add the bias in the end."""
        if hasattr(self, "_hook"):  # the width comes from this input
            self.initialize_parameters(self, (x,))
        if isinstance(x, Tensor):
            return self._of_dense(x, None)
        is_factor = hasattr(x, "__matmul__") and not hasattr(x, "shape")  # what strategies make of several inputs
        return (x if is_factor else of_layout(self, x)) @ self.weight.t()

    def _of_dense(self, x: Tensor, bias: Tensor | None) -> Tensor:
        try:
            return F.linear(x, self.weight, bias)
        except RuntimeError:
            check_width(self, x)
            explain_dtype(self, x)
            raise


def torch_linear(in_channels: int, out_channels: int, bias: bool = True) -> Linear:
    """A linear map whose first weights and biases are drawn as torch's are, for methods whose authors use these."""
    return Linear(in_channels, out_channels, bias, weight_initializer=None, bias_initializer=None)
