"""Curvature of edges: how well the neighbourhoods of two joined nodes are joined with each other."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from graphkit.algorithms.graph import SimpleGraph
from graphkit.core.constraints import NonNegativeInt, checked
from graphkit.core.devices import on_cpu
from graphkit.core.docstrings import arguments_of
from graphkit.core.validate import check_choice

DEFINITIONS = ("paper", "official")


@checked
@on_cpu
def balanced_forman_curvature(
    edge_index: Tensor, num_nodes: NonNegativeInt | None = None, definition: str = "paper"
) -> Tensor:
    r"""Balanced Forman curvature of each edge.

    Topping et al.: `"Understanding over-squashing and bottlenecks on graphs via curvature"
    <https://arxiv.org/abs/2111.14522>`_, ICLR 2022.

    .. math::
        \mathrm{Ric}(i, j) = \frac{2}{d_i} + \frac{2}{d_j} - 2 + \frac{2 T}{\max(d_i, d_j)} + \frac{T}{\min(d_i, d_j)}
        + \frac{|S_i| + |S_j|}{\gamma \max(d_i, d_j)}

    with the triangles :math:`T = |N(i) \cap N(j)|`; :math:`S_i`, the neighbours :math:`k` of :math:`i` alone that have
    a neighbour :math:`w \ne i` among the neighbours of :math:`j` alone; and :math:`\gamma`, the largest number of such
    :math:`w` of one :math:`k`, on either side. It is 0 where a degree is 1, and the last term is 0 without squares.

    The authors' code, with which their numbers were made, computes something else: :math:`S` also counts the ends of
    the edge and squares with chords, :math:`\gamma` is their largest number of ways, and edges at leaves have a value,
    too. That is ``definition="official"``, after the code for GPUs; the one for processors leaves each row at the first
    node that is not a neighbour, which is an error and not offered.

    Args:
        edge_index: Edges ``[2, num_edges]``; directions, duplicates and self-loops do not count.
        num_nodes: The number of nodes (default: the largest id plus one).
        definition: ``"paper"`` or ``"official"`` (default: ``"paper"``).

    Shapes:
        - **output:** ``[num_edges]``, in the order of the edges; 0 for a self-loop

    Example:
        >>> triangle = torch.tensor([[0, 1, 2], [1, 2, 0]])
        >>> balanced_forman_curvature(triangle)
        tensor([1.5000, 1.5000, 1.5000], dtype=torch.float64)
    """
    from graphkit.algorithms.kernels import curvature as kernels

    check_choice(definition, DEFINITIONS, "definition of balanced_forman_curvature")
    graph = SimpleGraph.from_edges(edge_index, num_nodes, where="balanced_forman_curvature")
    pairs = edge_index.t().cpu().numpy().astype(np.int64)
    if definition == "paper":
        return _per_edge(kernels.balanced_forman(*graph.neighbours(), pairs)[0], pairs)
    return _per_edge(kernels.official_balanced_forman(*graph.neighbours(), pairs), pairs)


@checked
@arguments_of(balanced_forman_curvature)
@on_cpu
def ollivier_ricci_curvature(edge_index: Tensor, num_nodes: NonNegativeInt | None = None) -> Tensor:
    r"""Ollivier-Ricci curvature of each edge, :math:`\kappa(i, j) = 1 - W_1(\mu_i, \mu_j)`.

    Ollivier: `"Ricci curvature of Markov chains on metric spaces" <https://arxiv.org/abs/math/0701886>`_, 2009.
    :math:`\mu_i` is uniform on the neighbours of :math:`i` (no idleness), and :math:`W_1` is the cost of the best
    transport, with hops as distances; it is computed exactly.

    Shapes:
        - **output:** ``[num_edges]``, in the order of the edges; 0 for a self-loop

    Example:
        >>> ollivier_ricci_curvature(torch.tensor([[0, 1, 2], [1, 2, 0]]))  # complete: (n - 2) / (n - 1)
        tensor([0.5000, 0.5000, 0.5000], dtype=torch.float64)
    """
    from graphkit.algorithms.kernels.curvature import ollivier_ricci

    graph = SimpleGraph.from_edges(edge_index, num_nodes, where="ollivier_ricci_curvature")
    pairs = edge_index.t().cpu().numpy().astype(np.int64)
    joined = pairs[:, 0] != pairs[:, 1]
    out = np.zeros(pairs.shape[0])
    out[joined] = ollivier_ricci(*graph.neighbours(), pairs[joined])[0]
    return torch.from_numpy(out)


def _per_edge(values: np.ndarray, pairs: np.ndarray) -> Tensor:
    return torch.from_numpy(np.where(pairs[:, 0] == pairs[:, 1], 0.0, values))
