"""Ranked guesses as features."""

from __future__ import annotations

from torch import Tensor, nn

from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Count


class RankedPredictions(Checked, nn.Module):
    r"""Embeddings of ranked class ids, one after another: TAPE's features of a language model's best guesses.

    From `"Harnessing Explanations: LLM-to-LM Interpreter for Enhanced Text-Attributed Graph Representation Learning"
    <https://arxiv.org/abs/2305.19523>`_ (He, Bresson, Laurent, Perold, LeCun, Hooi, ICLR 2024).

    Args:
        num_classes: The number :math:`C` of classes.
        num_ranks: The number :math:`k` of guesses per node (default: 5).
        channels: The width of the embedding of a guess (default: 128).

    Shapes:
        - **input:** class ids ``[num_nodes, num_ranks]``, the best guess first, -1 where there is none
        - **output:** ``[num_nodes, num_ranks * channels]``

    Raises:
        ValueError: If ids have another shape or are out of range.

    Example:
        >>> import torch
        >>> RankedPredictions(3, num_ranks=2, channels=4)(torch.tensor([[0, 2], [1, -1]])).shape
        torch.Size([2, 8])
    """

    checks = Checks(skip="it reads class ids, not features of a graph")

    def __init__(self, num_classes: Count, num_ranks: Count = 5, channels: Count = 128) -> None:
        super().__init__()
        self.num_classes, self.num_ranks = num_classes, num_ranks
        self.embedding = nn.Embedding(num_classes + 1, channels)

    def reset_parameters(self) -> None:
        """Draw the embeddings anew."""
        self.embedding.reset_parameters()

    def forward(self, ids: Tensor) -> Tensor:
        """The embeddings of all guesses, side by side."""
        if ids.dim() != 2 or ids.size(1) != self.num_ranks:
            shape = list(ids.shape)
            raise ValueError(f"RankedPredictions: ids have shape {shape}, must be [num_nodes, {self.num_ranks}]")
        if bool(((ids < -1) | (ids >= self.num_classes)).any()):
            raise ValueError(f"RankedPredictions: ids must be in [-1, {self.num_classes}), with -1 for a missing one")
        return self.embedding(ids.long() + 1).flatten(1)
