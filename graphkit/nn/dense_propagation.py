"""Propagation to all ancestors or descendants at once."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from graphkit.core.caching import of_tensor
from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Count
from graphkit.nn.linear import torch_linear
from graphkit.ops import SparseMatrix, SparsityPattern, sparsity_pattern


class DensePropagation(Checked, nn.Module):
    r"""A linear map, then a weighted sum of means over groups of ancestors, or of descendants, in one sparse product.

    From `"Rethinking Knowledge Graph Propagation for Zero-Shot Learning" <https://arxiv.org/abs/1805.11724>`_
    (Kampffmeyer et al., CVPR 2019).

    .. math::
        y_v = \sum_k a_k \frac{1}{|G_k(v)|} \sum_{u \in G_k(v)} (W x_u + b), \qquad a = \mathrm{softmax}(s)

    over the groups of :class:`~graphkit.transforms.AncestorGroups`; one that is empty at a node adds nothing, and the
    others are not weighed anew.

    Args:
        in_channels: The size of each input row.
        out_channels: The size of each output row.
        num_groups: The number of groups (default: 5).
        of: Whose rows are averaged at a node: its ``"ancestors"`` or ``"descendants"`` (default: ``"ancestors"``).
        bias: Whether there is :math:`b` (default: ``True``).

    Shapes:
        - **input:** ``x`` ``[num_nodes, in_channels]``; ``ancestor_index`` ``[2, num_pairs]``, or the pattern of these
          pairs; ``ancestor_group`` ``[num_pairs]``
        - **output:** ``[num_nodes, out_channels]``

    Raises:
        ValueError: If a group is not in ``0..num_groups - 1``.

    Example:
        >>> pairs, group = torch.tensor([[0, 0, 1], [1, 0, 1]]), torch.tensor([1, 0, 0])
        >>> DensePropagation(4, 2, num_groups=2)(torch.ones(2, 4), pairs, group).shape
        torch.Size([2, 2])
    """

    checks = Checks(skip="it reads groups of pairs; checked with DGP")

    def __init__(
        self,
        in_channels: Count,
        out_channels: Count,
        num_groups: Count = 5,
        of: Literal["ancestors", "descendants"] = "ancestors",
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_groups, self.of = num_groups, of
        self.lin = torch_linear(in_channels, out_channels, bias)
        self.score = nn.Parameter(torch.empty(num_groups))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, a bias of zeros, and equal groups."""
        nn.init.xavier_uniform_(self.lin.weight)
        if self.lin.bias is not None:
            nn.init.zeros_(self.lin.bias)
        nn.init.ones_(self.score)

    def forward(self, x: Tensor, ancestor_index: Tensor | SparsityPattern, ancestor_group: Tensor) -> Tensor:
        """The means of all groups, weighted; see the class for shapes."""
        last = of_tensor(ancestor_group, "last", lambda: int(ancestor_group.max())) if ancestor_group.numel() else -1
        if last >= self.num_groups:
            raise ValueError(
                f"DensePropagation: group {last}, must be in 0..{self.num_groups - 1}; give "
                "AncestorGroups the same num_groups"
            )
        pattern = sparsity_pattern(ancestor_index, (x.size(0), x.size(0)))
        pattern = pattern if self.of == "ancestors" else pattern.T
        place = pattern.edge_index()[1] * self.num_groups + ancestor_group
        sizes = place.new_zeros(x.size(0) * self.num_groups).index_add_(0, place, torch.ones_like(place))
        value = self.score.softmax(0)[ancestor_group] / sizes[place]
        return SparseMatrix.from_edges(pattern, value) @ self.lin(x)
