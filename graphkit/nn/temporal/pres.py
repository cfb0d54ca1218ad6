"""PRES: what a memory would have become, predicted, and its update corrected by that."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Count, NonNegative, UnitInterval


class PRES(Checked, nn.Module):
    r"""Large batches of events for models with a memory: updates are predicted, corrected and kept coherent.

    From `"PRES: Toward Scalable Memory-Based Dynamic Graph Neural Networks" <https://github.com/jwsu825/MDGNN_BS>`_
    (Su, Zou, Wu, ICLR 2024). The memory :math:`s_v(t_1)` of a node becomes :math:`s_v(t_2)` by an update that knows
    nothing of other events in the same batch, a *measurement*. From the mean :math:`\bar d_v` of the node's rates of
    change so far,

    .. math::
        \hat s_v = s_v(t_1) + (t_2 - t_1)\, \bar d_v, \qquad
        \bar s_v = (1 - \gamma)\, \hat s_v + \gamma\, s_v(t_2), \qquad
        d_v = \frac{\bar s_v - s_v(t_1)}{t_2 - t_1},

    :math:`\bar s_v` is the new memory, and the loss has :math:`\beta\,(1 - \cos(s_v(t_1), \bar s_v))` added to it, the
    mean over the nodes of a batch (0 for a node without memory). Rates of nodes without an event are left alone, those
    over no time at all are not counted, and a node without rates is predicted to stay as it is.

    These are rates of time, as in the paper. Where events come in bursts they are large, and the prediction over a long
    pause leaves the range of memories, however bounded the update is. With ``per="update"`` they are changes from one
    update to the next, whatever the time between: :math:`t_2 - t_1` is 1 in all three equations.

    The released code differs, and is not followed: it computes the coherence without gradient, counts no events,
    ignores times, scales changes by the range of all nodes' and moves all nodes in every batch. Where the paper shares
    statistics among nodes of a type, here each node has its own.

    Args:
        num_nodes: The number of nodes.
        channels: The size of memories.
        weight: The weight :math:`\gamma` of measurements, at first if it is learnt (default: 0.5).
        learn_weight: Whether :math:`\gamma`, the sigmoid of a parameter, is learnt (default: ``True``).
        beta: The weight :math:`\beta` of coherence (default: 0.1).
        per: Of what rates are: ``"time"``, or ``"update"`` (default: ``"time"``).

    Shapes:
        - **ids**, **elapsed**: ``[n]``, nodes and :math:`t_2 - t_1`
        - **previous**, **measured**: ``[n, channels]``
        - **output:** ``[n, channels]``

    Raises:
        ValueError: If a weight that is learnt begins at 0 or 1, where a sigmoid never is.

    Attributes:
        count: How many rates of each node have been seen ``[num_nodes]``.
        sum_rate: Their sums ``[num_nodes, channels]``.
        sum_rate_sq: The sums of their squares.

    Example:
        >>> pres = PRES(3, 1, weight=0.5, learn_weight=False)
        >>> node, two, four = torch.tensor([1]), torch.full((1, 1), 2.0), torch.full((1, 1), 4.0)
        >>> pres.observe(node, torch.zeros(1, 1), two, torch.tensor([2]))
        >>> pres(node, two, four, torch.tensor([4]))
        tensor([[5.]])
    """

    checks = Checks(skip="it reads no graph")
    count: Tensor
    sum_rate: Tensor
    sum_rate_sq: Tensor

    def __init__(
        self,
        num_nodes: Count,
        channels: Count,
        weight: UnitInterval = 0.5,
        learn_weight: bool = True,
        beta: NonNegative = 0.1,
        per: Literal["time", "update"] = "time",
    ) -> None:
        super().__init__()
        if learn_weight and weight in (0, 1):
            raise ValueError(f"PRES: weight={weight:g}, must be inside (0, 1) to be learnt; set learn_weight=False")
        self.initial_weight, self.beta, self.per = weight, beta, per
        self.logit = nn.Parameter(torch.zeros(())) if learn_weight else None
        self.register_buffer("count", torch.zeros(num_nodes))
        self.register_buffer("sum_rate", torch.zeros(num_nodes, channels))
        self.register_buffer("sum_rate_sq", torch.zeros(num_nodes, channels))
        self._incoherence: Tensor | None = None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Begin anew."""
        if self.logit is not None:
            nn.init.constant_(self.logit, float(torch.logit(torch.tensor(self.initial_weight, dtype=torch.double))))
        self.reset_state()

    def reset_state(self) -> None:
        """Forget all rates."""
        for buffer in (self.count, self.sum_rate, self.sum_rate_sq):
            buffer.zero_()
        self._incoherence = None

    @property
    def weight(self) -> Tensor | float:
        r"""The weight :math:`\gamma` of measurements."""
        return self.initial_weight if self.logit is None else self.logit.sigmoid()

    def mean_rate(self, ids: Tensor) -> Tensor:
        r"""The mean rates :math:`\bar d` of some nodes ``[n, channels]``; 0 where none has been seen."""
        return self.sum_rate[ids] / self.count[ids].clamp(min=1).unsqueeze(1)

    def predict(self, ids: Tensor, previous: Tensor, elapsed: Tensor) -> Tensor:
        r"""What the memories would have become, :math:`\hat s`."""
        return previous + self._steps(elapsed, previous) * self.mean_rate(ids)

    def forward(self, ids: Tensor, previous: Tensor, measured: Tensor, elapsed: Tensor) -> Tensor:
        r"""The corrected memories :math:`\bar s`."""
        weight = self.weight
        fused = (1 - weight) * self.predict(ids, previous, elapsed) + weight * measured
        if self.training and torch.is_grad_enabled():
            self._incoherence = incoherence(previous, fused)
        return fused

    @torch.no_grad()
    def observe(self, ids: Tensor, previous: Tensor, fused: Tensor, elapsed: Tensor) -> None:
        """Count the rates of memories that have been written, of different nodes."""
        steps = self._steps(elapsed, fused)
        moved = steps[:, 0] > 0
        ids, rate = ids[moved], ((fused - previous) / steps)[moved]
        self.count.index_add_(0, ids, torch.ones_like(self.count[ids]))
        self.sum_rate.index_add_(0, ids, rate)
        self.sum_rate_sq.index_add_(0, ids, rate.square())

    def _steps(self, elapsed: Tensor, like: Tensor) -> Tensor:
        """What changes are divided by, ``[n, 1]``."""
        return (elapsed if self.per == "time" else torch.ones_like(elapsed)).to(like.dtype).unsqueeze(1)

    def auxiliary_loss(self) -> Tensor:
        r"""The part :math:`\beta\,(1 - \cos)` of the loss, of the last memories that were corrected while training."""
        last, self._incoherence = self._incoherence, None
        return self.sum_rate.new_zeros(()) if last is None or not last.numel() else self.beta * last.mean()

    def extra_repr(self) -> str:
        sizes = f"{self.sum_rate.size(0)}, {self.sum_rate.size(1)}"
        return f"{sizes}, weight={float(self.weight):g}, beta={self.beta:g}, per={self.per!r}"


def incoherence(previous: Tensor, fused: Tensor) -> Tensor:
    """How much memories have turned, 1 - cos ``[n]``; 0 where there were none."""
    turned = 1 - F.cosine_similarity(previous, fused, dim=1)
    return turned.masked_fill((previous == 0).all(1), 0)
