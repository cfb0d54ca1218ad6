"""ADPA: features propagated along directed patterns, each node's attention to its hops, and a branch per pattern."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count, Probability, UnitInterval
from graphkit.core.reads import Reads
from graphkit.models.base import LayeredModel, State
from graphkit.models.readout import make_pool, read_out
from graphkit.nn import dropout
from graphkit.nn.linear import torch_linear
from graphkit.transforms import DirectedPatterns
from graphkit.transforms.directed_patterns import PATTERNS

_BRANCHES = 1 + len(PATTERNS)
_IN_ORDER = ("permutation", "batch_independence", "isolated_nodes")


class ADPA(LayeredModel):
    r"""Adaptive directed pattern aggregation: six directed patterns propagate once, attention chooses among hops.

    From `"Breaking the Entanglement of Homophily and Heterophily in Semi-supervised Node Classification"
    <https://github.com/xkLi-Allen/AMUD-ADPA>`_ (Sun et al., ICDE 2024).

    :class:`~graphkit.transforms.DirectedPatterns`, which the trainer applies, propagates the features along
    :math:`A + I, A^\top + I, A A, A A^\top, A^\top A, A^\top A^\top`. For each pattern, a node averages its hops
    :math:`X_0 = X, X_1, \dots, X_K` by

    .. math::
        s_k = \sigma\big(w^\top [X_0 \,\|\, \cdots \,\|\, X_K \,\|\, X_k] + b\big), \qquad
        H = \sum_{k = 0}^K \operatorname{softmax}_k(s_k) \, X_k

    The features and these six averages each pass ``num_layers`` linear maps with ReLUs and dropout; a linear map of all
    seven results, each times a trained number, gives the outputs.

    The official code reads the scores of all nodes in another order than it writes them, so that a node's weights come
    from other nodes and hops; ``official_mixing`` does so, for graphs whose nodes have the official order.

    Args:
        num_layers: The number of linear maps of each branch (default: 1).
        K: The number of hops (default: 2).
        r: The exponent of the normalisation (default: 0.5).
        dropout: The probability of dropping an entry after each ReLU (default: 0).
        official_mixing: Whether nodes and hops are confused as in the official code (default: ``False``).

    Shapes:
        - **input:** a PyG ``Data`` or ``Batch`` with ``x`` ``[num_nodes, in_channels]`` and ``pattern_x``
          ``[num_nodes, 6, K, in_channels]``, which ``required_transform()`` adds (the trainer applies it)

    Example:
        >>> model = ADPA(4, 8, out_channels=2)
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> model(model.required_transform()(data)).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [
            {"dropout": 0.5},
            {"num_layers": 2, "K": 3, "r": 0.2, "readout": "mean"},
            Checks([{"official_mixing": True}], expected_failures=dict.fromkeys(_IN_ORDER, "it goes by node number")),
        ]
    )
    reads = Reads()
    uses_history = False
    num_hops: int | None = 0
    no_edge_masks = "features are propagated before the model sees them"

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        num_layers: Count = 1,
        out_channels: Count | None = None,
        K: Count = 2,
        r: UnitInterval = 0.5,
        dropout: Probability = 0.0,
        readout: str | None = None,
        official_mixing: bool = False,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        self.num_hops = None if official_mixing else 0  # mixed, a node reads others by their number
        self.attentions = nn.ModuleList(_HopAttention(in_channels, K, official_mixing) for _ in PATTERNS)
        widths = [in_channels] + [hidden_channels] * (num_layers - 1)
        self.layers = nn.ModuleList(_Branches(width, hidden_channels) for width in widths)
        self.scale = nn.Parameter(torch.empty(_BRANCHES))
        self.lin_out = torch_linear(_BRANCHES * hidden_channels, self.out_channels)
        self.pool = make_pool(readout, _BRANCHES * hidden_channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights: linear maps as torch's are drawn, the numbers of branches from the normal distribution."""
        super().reset_parameters()
        nn.init.normal_(self.scale)

    def encode(self, batch: Data) -> State:
        """The features and the averages over hops along each pattern, side by side.

        Raises:
            ValueError: If a batch has no ``pattern_x``.
        """
        x, patterns = self.features(batch, dense=True), batch.get("pattern_x")
        if patterns is None:
            raise ValueError("ADPA: the batch has no pattern_x; apply model.required_transform() to each graph")
        averages = [attend(x, patterns[:, i]) for i, attend in enumerate(self.attentions)]
        return torch.cat([x, *averages], dim=1)

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        return dropout(self.layers[i](history[-1]).relu(), self.dropout, self.training)

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        branches = cast(Any, h).unflatten(1, (_BRANCHES, -1)) * self.scale.unsqueeze(1)
        return self.lin_out(read_out(self.readout, self.pool, branches.flatten(1), batch))

    def required_transform(self) -> BaseTransform:
        return DirectedPatterns(self.K, self.r)


class _HopAttention(nn.Module):
    """Each node's average of its hops, by scores that read all hops and the one that is judged."""

    def __init__(self, in_channels: int, K: int, official: bool) -> None:
        super().__init__()
        self.official = official
        self.lin_first = torch_linear(in_channels, 1, bias=False)
        self.lin_hops = torch_linear(-1 if in_channels == -1 else K * in_channels, 1, bias=False)
        self.lin_own = torch_linear(in_channels, 1)

    def forward(self, x: Tensor, hops: Tensor) -> Tensor:
        """The average ``[n, F]`` of ``x`` ``[n, F]`` and ``hops`` ``[n, K, F]``."""
        own = torch.cat([self.lin_own(x), self.lin_own(hops).squeeze(2)], dim=1)
        scores = torch.sigmoid(own + self.lin_first(x) + self.lin_hops(hops.flatten(1)))
        if self.official:
            scores = scores.T.reshape(scores.shape)
        weight = scores.softmax(1)
        return weight[:, :1] * x + torch.bmm(weight[:, None, 1:], hops).squeeze(1)


class _Branches(nn.Module):
    """A linear map for each branch, of blocks that stand side by side."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.lins = nn.ModuleList(torch_linear(in_channels, out_channels) for _ in range(_BRANCHES))

    def forward(self, h: Tensor) -> Tensor:
        """``[n, 7 * in_channels]`` to ``[n, 7 * out_channels]``."""
        return torch.cat([lin(block) for lin, block in zip(self.lins, h.chunk(_BRANCHES, dim=1))], dim=1)
