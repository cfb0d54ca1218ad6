"""Dirichlet energy: how much features differ along edges, by depth."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit import ops
from graphkit.core.constraints import checked
from graphkit.core.evaluating import evaluating
from graphkit.core.figures import new_figure, nth_colour, save_figure
from graphkit.models.base import LayeredModel
from graphkit.ops import SparseMatrix

_EDGES = 1 << 20  # at a time


@checked
def dirichlet_energy(x: Tensor, graph: Any, normalize: bool = False) -> Tensor:
    r"""Dirichlet energy: how much features differ along edges.

    .. math::
        E(X) = \tfrac12 \sum_{s \to t} \|x_t - x_s\|^2 \qquad \text{or} \qquad
        \tfrac12 \sum_{s \to t} \Big\| \tfrac{x_t}{\sqrt{d_t}} - \tfrac{x_s}{\sqrt{d_s}} \Big\|^2 \;\text{(normalize)}

    which is :math:`\mathrm{tr}\, X^\top L X` on an undirected graph that stores both directions. With the Laplacian
    :math:`\Delta` of a sheaf, given as a matrix, it is :math:`\mathrm{tr}\, X^\top \Delta X`.

    Args:
        x: Node features ``[num_nodes, channels]``, or stalks ``[num_nodes * d, channels]`` for a sheaf.
        graph: Edges ``[2, num_edges]``, or a Laplacian that multiplies ``x`` (``graph @ x``).
        normalize: Divide by roots of in-degrees, of 1 at least; edges only (default: ``False``).

    Example:
        >>> dirichlet_energy(torch.tensor([[0.0], [2.0]]), torch.tensor([[0, 1], [1, 0]]))
        tensor(4.)
    """
    if not isinstance(graph, Tensor) or graph.is_floating_point():
        return (x * (graph @ x)).sum()
    pattern = ops.sparsity_pattern(graph, x.size(0))
    if normalize:
        x = x * pattern.in_degree.clamp(min=1).to(x.dtype).rsqrt().unsqueeze(1)
    # Differences first: of states that are nearly alike, nothing would be left of sums of squares.
    blocks = zip(pattern.row.split(_EDGES), pattern.col.split(_EDGES), strict=True)
    return sum(((x[target] - x[source]).square().sum() for target, source in blocks), x.new_zeros(())) / 2


@checked
@torch.no_grad()
def energies(model: LayeredModel, batch: Data, laplacian: Any = None, normalize: bool = False) -> list[float]:
    r"""The Dirichlet energy of each state of a layered model that has one row per node, in evaluation mode.

    Args:
        model: Any model that runs layer by layer.
        batch: The graph.
        laplacian: Measure with this operator instead of the graph, e.g. a sheaf Laplacian (default: the graph).
        normalize: As in :func:`dirichlet_energy` (default: ``False``).

    Returns:
        One number per state :math:`h_0, \dots, h_L`.

    Example:
        >>> from graphkit.models import GRAND
        >>> data = Data(x=torch.eye(3), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> before, after = energies(GRAND(3, 4), data)
        >>> after < before
        True
    """
    states = [h.to_dense() if isinstance(h, SparseMatrix) else h for h in layer_states(model, batch)]
    graph = batch.edge_index if laplacian is None else laplacian
    return [float(dirichlet_energy(model.node_states(h, batch), graph, normalize)) for h in states]


def layer_states(model: LayeredModel, batch: Data) -> list[Any]:
    r"""The states :math:`h_0, \dots, h_L` of a layered model in evaluation mode."""
    with evaluating(model):
        return model.layer_states(batch)


@checked
def plot_energies(curves: dict[str, list[float]], path: str | os.PathLike[str] | None = None) -> Any:
    """Draw energies by layer on a logarithmic axis, one line per name.

    Args:
        curves: What :func:`energies` returned, by name.
        path: Where to write the picture (default: nowhere).

    Returns:
        The matplotlib figure.
    """
    figure = new_figure(5, 3.5)
    axes = figure.subplots()
    for number, (name, values) in enumerate(curves.items()):
        axes.semilogy(range(len(values)), values, marker="o", markersize=3, color=nth_colour(number), label=name)
    axes.set_xlabel("layer")
    axes.set_ylabel("Dirichlet energy")
    axes.legend()
    save_figure(figure, path)
    return figure
