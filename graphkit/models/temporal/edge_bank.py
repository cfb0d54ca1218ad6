"""EdgeBank: what has happened will happen again."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.constraints import Count, Positive
from graphkit.core.reads import Reads
from graphkit.models.temporal.base import EventModel
from graphkit.ops.indices import look_up


class EdgeBank(EventModel):
    r"""Remembers the pairs that have had an event, and expects these and no others.

    The baseline of recurring edges of Poursafaei et al. (2022), whose group has its data and code in `TGX
    <https://github.com/ComplexData-MILA/TGX>`_:

    .. math::
        s(u, v, t) = e^a \, [\text{an event } (u, v) \text{ in } [t - w, t)] + b,

    with a window :math:`w`, or all the past. The two numbers :math:`a` and :math:`b` make a probability of it and leave
    the ranking as it is.

    Args:
        num_nodes: The number of nodes.
        window: How long a pair is remembered (default: ``None``, for ever).

    Example:
        >>> bank = EdgeBank(3)
        >>> event, none = torch.tensor([0]), torch.empty(1, 0)
        >>> bank.update_state(event, event + 1, event, none)
        >>> bank.seen(torch.tensor([[0, 1], [1, 0]]), torch.tensor([5, 5])).tolist()
        [True, False]
    """

    reads = Reads(x=False, edge_index=False, edge_label_index=True)
    keys: Tensor
    last: Tensor

    def __init__(self, num_nodes: Count, window: Positive | None = None) -> None:
        super().__init__()
        self.keep_arguments(locals())
        self.scale, self.bias = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
        self.register_buffer("keys", torch.empty(0, dtype=torch.long))
        self.register_buffer("last", torch.empty(0, dtype=torch.long))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.scale)
        nn.init.zeros_(self.bias)
        self.reset_state()

    def reset_state(self) -> None:
        """Forget all pairs."""
        self.keys = self.keys.new_empty(0)
        self.last = self.last.new_empty(0)

    def seen(self, pairs: Tensor, time: Tensor) -> Tensor:
        """Which pairs ``[2, n]`` have had an event, not too long before their time ``[n]``."""
        place, known = look_up(self.keys, pairs[0] * self.num_nodes + pairs[1])
        if self.window is None or not self.keys.numel():
            return known
        return known & (time - self.last[place] <= self.window)

    def encode(self, batch: Data) -> Tensor:
        return self.seen(batch.edge_label_index, batch.edge_label_time).unsqueeze(1)

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        return self.scale.exp() * h + self.bias

    def update_state(self, src: Tensor, dst: Tensor, t: Tensor, msg: Tensor) -> None:
        keys, time = torch.cat([self.keys, src * self.num_nodes + dst]), torch.cat([self.last.to(t.dtype), t])
        self.keys, place = keys.unique(return_inverse=True)
        self.last = time.new_empty(self.keys.numel()).scatter_reduce_(0, place, time, "amax", include_self=False)
