"""Heat kernels of graphs: a polynomial of the adjacency matrix, or some eigenvectors of the Laplacian."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Count, Finite, Positive
from graphkit.nn.graph_blocks import by_graph
from graphkit.nn.layer import Layer
from graphkit.nn.node_axis import static_graphs
from graphkit.ops import polynomial_filter

Series = Literal["taylor", "chebyshev"]
Start = Literal["range", "fixed"]


class HeatKernel(Layer):
    r"""Heat diffusion for a time: :math:`X' \approx e^{-\tau L} X` with :math:`L = I - \hat A`.

    .. math::
        \text{taylor: } \sum_{k = 0}^K \frac{(-\tau L)^k}{k!}, \qquad
        \text{chebyshev: } e^{-\tau} I_0(\tau) + 2 \sum_{k = 1}^K e^{-\tau} I_k(\tau) \, T_k(\hat A)

    with modified Bessel functions :math:`I_k` and Chebyshev polynomials :math:`T_k`. Both are computed as polynomials
    of :math:`\hat A`, in memory that does not grow with :math:`K`. The Taylor series oscillates unless :math:`K > 2
    \tau`: at the largest eigenvalue 2, :math:`\tau = 1.5` and :math:`K = 4` multiply by 1.375 in place of 0.050. The
    Chebyshev series, for the same number of products, is close to the exponential for any time. A node without edges
    is scaled by the series at 1, about :math:`e^{-\tau}`.

    Args:
        tau: The time :math:`\tau` (default: 1.0).
        K: The degree :math:`K`, the number of products (default: 8).
        series: ``"taylor"`` or ``"chebyshev"`` (default: ``"taylor"``).
        norm: :math:`\hat A` is :math:`D^{-1/2} A D^{-1/2}` for ``"sym"`` and :math:`D^{-1} A` for ``"row"``, without
            added self-loops (default: ``"sym"``).

    Shapes:
        - **input:** ``x`` ``[*, num_nodes, channels]``; ``edge_index`` ``[2, num_edges]``; ``edge_weight``
          ``[num_edges]`` (optional, differentiable)
        - **output:** ``[*, num_nodes, channels]``

    Cost: :math:`O(K |E| F)` with :math:`F` channels.

    Example:
        >>> HeatKernel(K=1)(torch.tensor([[1.0], [3.0]]), torch.tensor([[0, 1], [1, 0]])).tolist()
        [[3.0], [1.0]]
    """

    checks = Checks(
        [
            {"series": "chebyshev", "tau": 3.0, "norm": "row"},
            Checks([{"K": 2}], expected_failures={"edge_direction": "degree 0 gives factor 0, at a source, too"}),
        ]
    )
    takes_sparse = False

    def __init__(
        self,
        tau: Positive = 1.0,
        K: Count = 8,
        series: Series = "taylor",
        norm: Literal["sym", "row"] = "sym",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tau, self.K, self.series, self.norm = tau, K, series, norm
        self.coefficients = _coefficients(series, tau, K)

    @static_graphs
    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """The diffused features; see the class for shapes."""
        matrix = self.normalized(x, edge_index, edge_weight, add_self_loops=False, norm=self.norm)
        return polynomial_filter(matrix, torch.tensor(self.coefficients, dtype=x.dtype), x)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(tau={self.tau}, K={self.K}, series={self.series!r}, norm={self.norm!r})"


def _coefficients(series: Series, tau: float, last: int) -> list[float]:
    """Those of powers of the adjacency matrix."""
    degrees = np.arange(last + 1)
    if series == "chebyshev":
        from scipy.special import ive

        return np.polynomial.chebyshev.cheb2poly(ive(degrees, tau) * np.where(degrees, 2, 1)).tolist()
    terms = [(-tau) ** k / math.factorial(k) for k in range(last + 1)]
    # sum over k of (-tau)^k / k! (1 - a)^k, sorted by powers of a
    return [tau**m / math.factorial(m) * math.fsum(terms[: last + 1 - m]) for m in range(last + 1)]


class SpectralHeatKernel(Checked, nn.Module):
    r"""Heat diffusion by eigenvectors, :math:`V e^{-\tau \Lambda} V^\top X`, with a learned time for each bundle.

    A negative time is no diffusion. Without all eigenvectors, what the others would carry is lost.

    Args:
        num_bundles: The number of groups of channels, each with a time.
        tau: Sets the first times: :math:`\tau b / B` for the :math:`b`-th of :math:`B` bundles (``"range"``), or
            uniform within 0.5 of :math:`\tau` (``"fixed"``) (default: 1.0).
        start: ``"range"`` or ``"fixed"`` (default: ``"range"``).

    Shapes:
        - **input:** ``x`` ``[num_nodes, num_bundles * channels]``; ``values`` and ``vectors`` ``[num_nodes,
          num_vectors]`` as :class:`~graphkit.transforms.LaplacianEigenvectors` gives them; ``batch`` ``[num_nodes]``
          (optional)
        - **output:** like ``x``

    Example:
        >>> ones = torch.ones(1, 1)
        >>> SpectralHeatKernel(1, tau=math.log(2))(ones, ones, ones).tolist()
        [[0.5]]
    """

    checks = Checks(skip="it reads eigenvectors and no graph; checked with BuNN")

    def __init__(self, num_bundles: Count, tau: Finite = 1.0, start: Start = "range") -> None:
        super().__init__()
        self.first, self.start = tau, start
        self.tau = nn.Parameter(torch.empty(num_bundles))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Go back to the first times, or draw new ones."""
        count = self.tau.numel()
        with torch.no_grad():
            if self.start == "range":
                self.tau.copy_(self.first * torch.arange(1, count + 1) / count)
            else:
                self.tau.uniform_(self.first - 0.5, self.first + 0.5)

    def forward(self, x: Tensor, values: Tensor, vectors: Tensor, batch: Tensor | None = None) -> Tensor:
        """The diffused features; see the class for shapes."""

        def blocks(x_of: Tensor, of: Tensor, vectors_of: Tensor) -> Tensor:
            decay = torch.exp(-self.tau.relu().view(-1, 1) * of[:, 0, :, None, None])
            spectrum = vectors_of.mT @ x_of
            return vectors_of @ (spectrum.unflatten(-1, (self.tau.numel(), -1)) * decay).flatten(-2)

        # a column that a graph does not have is 0
        return by_graph(blocks, tuple(part.nan_to_num(nan=0.0) for part in (x, values, vectors)), batch)
