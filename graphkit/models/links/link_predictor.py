"""Scores of node pairs by a decoder with weights, on top of any model for nodes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.constraints import Count, Probability
from graphkit.models.links.pair_scorer import PairScorer
from graphkit.nn import Linear, dropout
from graphkit.ops import sddmm

P = TypeVar("P", bound="LinkPredictor")
_JOINED = {  # what an MLP reads of the embeddings of both ends
    "mlp": lambda u, v: [u * v],
    "l1": lambda u, v: [(u - v).abs()],
    "l2": lambda u, v: [(u - v).square()],
    "average": lambda u, v: [(u + v) / 2],
    "concat": lambda u, v: [u, v],
}
_BLOCK = 1 << 16  # pairs at a time where no gradient is needed


class LinkPredictor(PairScorer):
    r"""Node embeddings of any model, and a decoder that scores the pairs of a link task, or the edges of an edge task.

    With :math:`h_u` the encoder's output for node :math:`u`, :math:`\odot` the entrywise product, :math:`\Vert` the
    concatenation and :math:`e_{uv}` the features of an edge whose label is asked for, the outputs for a pair are

    ============  ====================================================================================================
    decoder       outputs
    ============  ====================================================================================================
    ``mlp``       :math:`\mathrm{MLP}(h_u \odot h_v \Vert e_{uv})`, as in the baselines of the Open Graph Benchmark
    ``l1``        :math:`\mathrm{MLP}(|h_u - h_v| \Vert e_{uv})`
    ``l2``        :math:`\mathrm{MLP}((h_u - h_v)^2 \Vert e_{uv})`, entry by entry
    ``average``   :math:`\mathrm{MLP}((h_u + h_v) / 2 \Vert e_{uv})`
    ``concat``    :math:`\mathrm{MLP}(h_u \Vert h_v \Vert e_{uv})`, which tells (u, v) from (v, u)
    ``bilinear``  :math:`h_u^\top W_k h_v` for each output :math:`k`, which does so, too
    ``cosine``    :math:`s \, \langle h_u, h_v \rangle / (\lVert h_u \rVert \lVert h_v \rVert) + b`, a single output
    ============  ====================================================================================================

    The plain dot product needs no decoder: :class:`~graphkit.LinkTask` scores the embeddings of any model by it.
    :meth:`from_task` fills ``out_channels``, ``edge_dim`` and ``symmetric`` for a :class:`~graphkit.EdgeTask`.

    Fixed embeddings are features that nothing encodes: ``LinkPredictor(torch.nn.Identity(), decoder,
    embedding_channels=..., num_layers=1)`` is logistic regression on ``mlp`` (Hadamard), ``l1``, ``l2`` or ``average``,
    the operators of node2vec (`Grover, Leskovec, KDD 2016 <https://arxiv.org/abs/1607.00653>`_).

    Args:
        decoder: ``"mlp"``, ``"l1"``, ``"l2"``, ``"average"``, ``"concat"``, ``"bilinear"`` or ``"cosine"`` (default:
            ``"mlp"``).
        hidden_channels: The width of the MLP's hidden layers (default: 64).
        num_layers: The number of linear maps of the MLP (default: 2).
        dropout: The probability of dropping an entry of the MLP's hidden layers (default: 0).
        out_channels: The number of outputs per pair (default: 1).
        edge_dim: How many features of an edge the MLP reads, ``edge_label_attr`` of the batch (default: none).
        symmetric: Whether the outputs for (u, v) and (v, u) are the mean of both, as edges without a direction want;
            those of all but ``concat`` and ``bilinear`` are equal anyway (default: ``False``).

    Shapes:
        - **output:** ``[num_pairs, out_channels]``

    Raises:
        ValueError: If a decoder is to have outputs or features that it does not know.

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
        decoder: Literal["mlp", "l1", "l2", "average", "concat", "bilinear", "cosine"] = "mlp",
        hidden_channels: Count = 64,
        num_layers: Count = 2,
        dropout: Probability = 0.0,
        embedding_channels: Count | None = None,
        out_channels: Count = 1,
        edge_dim: Count | None = None,
        symmetric: bool = False,
    ) -> None:
        super().__init__(encoder, embedding_channels)
        self.keep_arguments(locals())
        if decoder == "cosine" and out_channels > 1:
            raise ValueError(f"LinkPredictor: out_channels={out_channels}, but decoder='cosine' has one; use 'mlp'")
        if edge_dim is not None and decoder not in _JOINED:
            raise ValueError(f"LinkPredictor: edge_dim={edge_dim}, but decoder={decoder!r} reads none; use 'mlp'")
        self.reads = replace(self.reads, edge_attr=self.reads.edge_attr or edge_dim is not None)
        width = self._width
        if decoder in _JOINED:
            first = (2 if decoder == "concat" else 1) * width + (edge_dim or 0)
            widths = [first] + [hidden_channels] * (num_layers - 1) + [out_channels]
            self.maps = nn.ModuleList(Linear(*pair) for pair in pairwise(widths))
        elif decoder == "bilinear":
            self.maps = nn.ModuleList(Linear(width, width, bias=False) for _ in range(out_channels))
        else:
            self.maps = nn.ModuleList([Linear(1, 1)])
        self.reset_parameters()

    @classmethod
    def from_task(cls: type[P], task: Any, encoder: Any = "GCN", **arguments: Any) -> P:
        """As :meth:`PairScorer.from_task`, with outputs, features and symmetry as the task has them."""
        sizes = {"out_channels": task.num_outputs or 1, "symmetric": getattr(task, "undirected", False)}
        features = getattr(task, "edge_features", None)
        if features is not None and arguments.get("decoder", "mlp") in _JOINED:
            sizes["edge_dim"] = features.size(1)
        return super().from_task(task, encoder, **sizes | arguments)

    def score(self, h: Tensor, pairs: Tensor, batch: Data) -> Tensor:
        scores = self._one_way(h, pairs, batch)
        if self.symmetric and self.decoder in ("concat", "bilinear"):
            scores = (scores + self._one_way(h, pairs.flip(0), batch)) / 2
        return scores

    def _one_way(self, h: Tensor, pairs: Tensor, batch: Data) -> Tensor:
        if self.decoder == "bilinear":
            return torch.stack([sddmm(pairs, linear(h), h) for linear in self.maps], dim=1)
        if self.decoder == "cosine":
            h = F.normalize(h)
            return self.maps[0](sddmm(pairs, h, h).unsqueeze(1))
        features = self._features(batch, pairs.size(1), h.dtype)
        if torch.is_grad_enabled():
            return self._mlp(h, pairs, features)
        ids = torch.arange(pairs.size(1), device=pairs.device).split(_BLOCK)
        return torch.cat([self._mlp(h, pairs[:, rows], None if features is None else features[rows]) for rows in ids])

    def _features(self, batch: Data, count: int, dtype: torch.dtype) -> Tensor | None:
        if self.edge_dim is None:
            return None
        features = batch.get("edge_label_attr")
        shape = None if features is None else list(features.shape)
        if shape != [count, self.edge_dim]:
            raise ValueError(
                f"LinkPredictor: edge_label_attr of the batch has the shape {shape}, must be {[count, self.edge_dim]}; "
                "an EdgeTask whose graph has edge_attr gives it"
            )
        return features.to(dtype)

    def _mlp(self, h: Tensor, pairs: Tensor, features: Tensor | None) -> Tensor:
        parts = _JOINED[self.decoder](h.index_select(0, pairs[0]), h.index_select(0, pairs[1]))
        out = torch.cat(parts if features is None else [*parts, features], dim=1)
        for i, linear in enumerate(self.maps):
            out = linear(out if i == 0 else dropout(out.relu(), self.dropout, self.training))
        return out

    def reset_parameters(self) -> None:
        super().reset_parameters()
        for linear in self.maps:
            linear.reset_parameters()  # type: ignore[operator]
        if self.decoder == "cosine":
            nn.init.ones_(self.maps[0].weight)  # type: ignore[arg-type]
