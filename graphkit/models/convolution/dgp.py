"""Dense graph propagation over a hierarchy."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.core.caching import of_tensor
from graphkit.core.checks import Checks, untraced
from graphkit.core.constraints import Channels, Count, Probability
from graphkit.core.devices import Asked, ask_ahead
from graphkit.models.base import LayeredModel, State
from graphkit.models.readout import make_pool, read_out
from graphkit.nn import DensePropagation, dropout
from graphkit.ops import SparsityPattern, sparsity_pattern
from graphkit.ops.facts import positions
from graphkit.transforms import AncestorGroups

_SLOPE = 0.2


class DGP(LayeredModel):
    r"""Dense graph propagation: what a class looks like, from its name and its place in a hierarchy.

    From `"Rethinking Knowledge Graph Propagation for Zero-Shot Learning" <https://arxiv.org/abs/1805.11724>`_
    (Kampffmeyer et al., CVPR 2019). Edges lead from a class to its subclasses; the task's labels are the weights of a
    classifier of the classes that were seen, and outputs those of all.

    .. math::
        H = \mathrm{LeakyReLU}_{0.2}\Bigl(\sum_k a_k A_k (X W_1 + b_1)\Bigr), \qquad
        Y = \Bigl[\sum_k d_k D_k (H W_2 + b_2)\Bigr]_{\text{rows of unit length}}

    :math:`A_k` takes the mean over a node's ancestors at distance :math:`k`, :math:`D_k` over its descendants, and
    :math:`a, d` are learned shares (:class:`~graphkit.nn.DensePropagation`). ``num_groups=2, direct=True`` leaves the
    parents and children alone: the paper's SGCN with shares.

    Args:
        hidden_channels: The width of the hidden layer (default: 2048).
        num_groups: The number of distances that have a share of their own, the node itself included (default: 5).
        dropout: The probability of dropping an input entry of each layer (default: 0.5).
        direct: Whether pairs farther apart than ``num_groups - 1`` are left out instead of joining the last group
            (default: ``False``).
        normalize: Whether outputs have unit length (default: ``True``).

    Raises:
        AttributeError: If a batch has no ``ancestor_index``.

    Example:
        >>> import torch
        >>> model = DGP(3, 8, out_channels=2)
        >>> data = Data(x=torch.rand(3, 3), edge_index=torch.tensor([[0, 0], [1, 2]]))
        >>> model(model.required_transform()(data)).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [{}, {"num_groups": 2, "direct": True, "normalize": False, "dropout": 0.0}, {"readout": "mean"}],
        expected_failures=untraced("groups are counted by their contents", functional=True),
    )
    uses_history = False
    no_edge_masks = "it reads pairs of ancestors and descendants"
    num_hops = None  # of all that can be reached

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 2048,
        out_channels: Count | None = None,
        num_groups: Count = 5,
        dropout: Probability = 0.5,
        direct: bool = False,
        normalize: bool = True,
        readout: str | None = None,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        width = hidden_channels if out_channels is None else out_channels
        self.layers = nn.ModuleList(
            [
                DensePropagation(in_channels, hidden_channels, num_groups),
                DensePropagation(hidden_channels, width, num_groups, of="descendants"),
            ]
        )
        self.pool = make_pool(readout, width)
        self.reset_parameters()

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        """Ancestors first, then descendants.

        Raises:
            AttributeError: If a batch has no ``ancestor_index``.
        """
        if batch.get("ancestor_index") is None:
            raise AttributeError(
                "DGP needs batch.ancestor_index and batch.ancestor_group; the trainer adds them, by hand "
                "model.required_transform()(data) does"
            )
        pairs, group = batch.ancestor_index, batch.ancestor_group
        if self.direct:
            given = group
            ask_ahead(self._ask_near, given)
            pattern = sparsity_pattern(pairs, int(batch.num_nodes or 0))
            key = "near", self.num_groups
            pairs, group = pattern.cached(key, lambda group: self._near(pattern, group, self._ask_near(given)), given)
        h = self.layers[i](dropout(history[-1], self.dropout, self.training), pairs, group)
        return F.leaky_relu(h, _SLOPE) if i == 0 else h

    def _ask_near(self, group: Tensor) -> Asked:
        """How many pairs are not of the last group."""
        return of_tensor(group, f"below {self.num_groups}", lambda: Asked([(group < self.num_groups).sum()]))

    def _near(self, pairs: SparsityPattern, group: Tensor, number: Asked) -> tuple[SparsityPattern, Tensor]:
        """The pairs of all groups but the last, which is farther away, and their groups."""
        ids = positions(group < self.num_groups, *number.values)
        return pairs.select(ids), group[ids]

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        out = read_out(self.readout, self.pool, h, batch)
        return F.normalize(out) if self.normalize else out

    def required_transform(self) -> BaseTransform | None:
        return AncestorGroups(self.num_groups + self.direct)
