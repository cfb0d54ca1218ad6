"""Generalised PageRank: a trained polynomial of the graph's averages."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, NonNegative
from graphkit.nn.layer import Layer
from graphkit.nn.node_axis import static_graphs
from graphkit.ops import polynomial_filter


class GPRConv(Layer):
    r"""Generalised PageRank: a sum of normalised averages over hops, with a trained weight for each.

    The propagation of `"Adaptive Universal Generalized PageRank Graph Neural Network"
    <https://arxiv.org/abs/2006.07988>`_ (Chien et al., ICLR 2021) and of `"Heuristic Learning with Graph Neural
    Networks: A Unified Framework for Link Prediction" <https://arxiv.org/abs/2406.07979>`_ (Zhang et al., KDD 2024),
    whose first weights are those of a heuristic:

    .. math::
        X' = \sum_{k = 0}^K \gamma_k P^k X

    with :math:`P` as in :class:`GCNConv`, and :math:`\gamma` at first

    ============  ====================================================================================================
    init          weights
    ============  ====================================================================================================
    ``"RWR"``     random walk with restart: :math:`\alpha (1 - \alpha)^k`, the last :math:`(1 - \alpha)^K`, divided by
                  the sum of their sizes
    ``"KI"``      Katz index: :math:`\alpha^k`
    ``"SGC"``     1 at hop :math:`\alpha`, else 0: the simple graph convolution
    ``"random"``  uniform in :math:`\pm \sqrt{3 / (K + 1)}`, divided by the sum of their sizes
    ============  ====================================================================================================

    The pass is :func:`~graphkit.ops.polynomial_filter`, whose memory does not grow with :math:`K`.

    Args:
        K: The number of hops :math:`K`.
        alpha: The number :math:`\alpha`: between 0 and 1 for ``"RWR"``, a hop for ``"SGC"`` (default: 0.2).
        init: The first weights (default: ``"RWR"``).

    Shapes:
        - **input:** ``x`` ``[*, num_nodes, channels]``; ``edge_index`` ``[2, num_edges]``; ``edge_weight``
          ``[num_edges]`` (optional, differentiable)
        - **output:** ``[*, num_nodes, channels]``

    Raises:
        ValueError: If ``alpha`` does not go with ``init``.

    Cost: :math:`O(K |E| F)` with :math:`F` channels.

    Example:
        >>> GPRConv(K=1, alpha=0.5)(torch.tensor([[1.0], [3.0]]), torch.tensor([[0, 1], [1, 0]])).tolist()
        [[1.5], [2.5]]
    """

    checks = Checks(
        [
            {"K": 2, "init": "random"},
            Checks(
                [{"K": 1}, {"K": 4, "init": "KI"}, {"K": 3, "init": "SGC", "alpha": 2}],
                expected_failures={"seed_matters": "the first weights are those of a heuristic"},
            ),
        ]
    )
    takes_sparse = False

    def __init__(
        self,
        K: Count,
        alpha: NonNegative = 0.2,
        init: Literal["RWR", "KI", "SGC", "random"] = "RWR",
        add_self_loops: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if init == "RWR" and alpha > 1:
            raise ValueError(f"GPRConv: alpha={alpha}, must be at most 1 for init='RWR'")
        if init == "SGC" and alpha not in range(K + 1):
            raise ValueError(f"GPRConv: alpha={alpha}, must be one of the hops 0 to {K} for init='SGC'")
        self.K, self.alpha, self.init = K, alpha, init
        self.add_self_loops = add_self_loops
        self.temp = nn.Parameter(torch.empty(K + 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Go back to the first weights, or draw new ones."""
        hops, first = torch.arange(self.K + 1, dtype=torch.float64), torch.zeros(self.K + 1, dtype=torch.float64)
        if self.init == "RWR":
            first = self.alpha * (1 - self.alpha) ** hops
            first[-1] = (1 - self.alpha) ** self.K
        elif self.init == "KI":
            first = self.alpha**hops
        elif self.init == "SGC":
            first[int(self.alpha)] = 1.0
        else:
            first.uniform_(-1, 1).mul_(math.sqrt(3 / (self.K + 1)))
        if self.init in ("RWR", "random"):
            first /= first.abs().sum()
        with torch.no_grad():
            self.temp.copy_(first)

    @static_graphs
    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """The filtered features; see the class for shapes."""
        matrix = self.normalized(x, edge_index, edge_weight, add_self_loops=self.add_self_loops)
        return polynomial_filter(matrix, self.temp, x)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(K={self.K}, alpha={self.alpha}, init={self.init!r})"
