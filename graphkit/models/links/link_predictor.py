"""Scores of node pairs by a decoder with weights, on top of any model for nodes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.constraints import Count, Probability
from graphkit.models.links.pair_scorer import PairScorer
from graphkit.nn import Linear, dropout
from graphkit.ops import sddmm

_BLOCK = 1 << 16  # pairs at a time where no gradient is needed


class LinkPredictor(PairScorer):
    r"""Node embeddings of any model, and a decoder that scores the pairs of a link task.

    With :math:`h_u` the encoder's output for node :math:`u` and :math:`\odot` the entrywise product, the score of
    a pair is

    ============  ====================================================================================
    decoder       score
    ============  ====================================================================================
    ``mlp``       :math:`\mathrm{MLP}(h_u \odot h_v)`, as in the baselines of the Open Graph Benchmark
    ``bilinear``  :math:`h_u^\top W h_v`, which tells (u, v) from (v, u)
    ``cosine``    :math:`s \, \langle h_u, h_v \rangle / (\lVert h_u \rVert \lVert h_v \rVert) + b`
    ============  ====================================================================================

    The plain dot product needs no decoder: :class:`~graphkit.LinkTask` scores the embeddings of any model by it.

    Args:
        decoder: ``"mlp"``, ``"bilinear"`` or ``"cosine"`` (default: ``"mlp"``).
        hidden_channels: The width of the MLP's hidden layers (default: 64).
        num_layers: The number of linear maps of the MLP (default: 2).
        dropout: The probability of dropping an entry of the MLP's hidden layers (default: 0).

    Example:
        >>> from graphkit.models import GCN
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> data.edge_label_index = torch.tensor([[0, 0], [1, 2]])
        >>> LinkPredictor(GCN(4, 8))(data).shape
        torch.Size([2, 1])
    """

    def __init__(
        self,
        encoder: Any,
        decoder: Literal["mlp", "bilinear", "cosine"] = "mlp",
        hidden_channels: Count = 64,
        num_layers: Count = 2,
        dropout: Probability = 0.0,
        embedding_channels: Count | None = None,
    ) -> None:
        super().__init__(encoder, embedding_channels)
        self.keep_arguments(locals())
        width = self._width
        widths = [width] + [hidden_channels] * (num_layers - 1) + [1]
        if decoder == "mlp":
            self.maps = nn.ModuleList(Linear(*pair) for pair in pairwise(widths))
        elif decoder == "bilinear":
            self.maps = nn.ModuleList([Linear(width, width, bias=False)])
        else:
            self.maps = nn.ModuleList([Linear(1, 1)])
        self.reset_parameters()

    def score(self, h: Tensor, pairs: Tensor, batch: Data) -> Tensor:
        if self.decoder == "bilinear":
            return sddmm(pairs, self.maps[0](h), h).unsqueeze(1)
        if self.decoder == "cosine":
            h = F.normalize(h)
            return self.maps[0](sddmm(pairs, h, h).unsqueeze(1))
        if torch.is_grad_enabled():
            return self._mlp(h, pairs)
        return torch.cat([self._mlp(h, block) for block in pairs.split(_BLOCK, dim=1)])

    def _mlp(self, h: Tensor, pairs: Tensor) -> Tensor:
        out = h.index_select(0, pairs[0]) * h.index_select(0, pairs[1])
        for i, linear in enumerate(self.maps):
            out = linear(out if i == 0 else dropout(out.relu(), self.dropout, self.training))
        return out

    def reset_parameters(self) -> None:
        super().reset_parameters()
        for linear in self.maps:
            linear.reset_parameters()  # type: ignore[operator]
        if self.decoder == "cosine":
            nn.init.ones_(self.maps[0].weight)  # type: ignore[arg-type]
