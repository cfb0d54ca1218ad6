"""Recurrent aggregation: a GRU or LSTM reads each set as a sequence."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, OneOf
from graphkit.nn.aggr.base import Order, SetAggregation
from graphkit.nn.aggr.sets import Sets
from graphkit.ops.indices import ragged, starts

CELLS = {"gru": nn.GRU, "lstm": nn.LSTM}


class RecurrentAggregation(SetAggregation):
    r"""A GRU or LSTM reads the elements of each set in random order; the result is its last state.

    The baseline for learned aggregation, from `"Inductive Representation Learning on Large Graphs"
    <https://arxiv.org/abs/1706.02216>`_ (Hamilton, Ying and Leskovec, NeurIPS 2017).

    .. math::
        s_0 = 0, \qquad s_k = \mathrm{cell}(x_{\pi(k)}, s_{k-1}), \qquad y_S = s_{|S|}

    with a random order :math:`\pi` in training and one that depends on the elements' values alone in evaluation. An
    empty set gives 0. Sequences are packed, not padded: PyG's ``GRUAggregation`` and ``LSTMAggregation`` run on over
    the zeros behind the shorter sets of a batch, so that there a result depends on the longest set.

    Args:
        cell: ``"gru"`` or ``"lstm"`` (default: ``"gru"``).

    Raises:
        ValueError: If a name is unknown or a shape does not fit.

    Cost: :math:`O(|E| F^2)` time in as many steps as the largest set has elements, one after the other.

    Example:
        >>> aggregation = RecurrentAggregation(4, 8, cell="lstm")
        >>> aggregation(torch.ones(5, 4), torch.tensor([0, 0, 0, 2, 2]), dim_size=3).shape
        torch.Size([3, 8])
    """

    checks = Checks([{}, {"cell": "lstm"}])

    def __init__(
        self,
        in_channels: Count,
        out_channels: Count,
        cell: Annotated[str, OneOf(CELLS)] = "gru",
        order: Order = "random",
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.cell, self.order = in_channels, out_channels, cell, order
        self.rnn = CELLS[cell](in_channels, out_channels)

    def reset_parameters(self) -> None:
        """Draw new weights: torch's default for recurrent networks."""
        self.rnn.reset_parameters()

    def aggregate(self, x: Tensor, sets: Sets) -> Tensor:
        out = x.new_zeros(sets.num_sets, self.out_channels)
        if x.size(0) == 0:
            return out
        longest_first, take, batch_sizes = sets.cached("sequences", lambda: _sequences(sets.sizes))
        packed = x.index_select(0, self.arrange(x, sets, self.order)[take])
        state: Any = self.rnn(PackedSequence(packed, batch_sizes))[1]
        last = (state[0] if self.cell == "lstm" else state).squeeze(0)
        return out.to(last.dtype).index_copy(0, longest_first, last)


def _sequences(all_sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The non-empty sets by falling size, where each step finds its elements, and how many sets each step reaches.

    Planned on the host, where the last has to be, and which waits for the sizes alone.
    """
    sizes = all_sizes.cpu()
    number = sizes.sort(descending=True, stable=True).indices[: int((sizes > 0).sum())]
    size = sizes[number]
    step = ragged(torch.zeros_like(size), size)
    by_step = step.sort(stable=True).indices
    take = ragged(starts(sizes)[number], size)[by_step]
    return number.to(all_sizes.device), take.to(all_sizes.device), torch.bincount(step)
