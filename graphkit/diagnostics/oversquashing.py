"""Over-squashing: how much of a node's input reaches another node, against resistance and distance."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.algorithms import SimpleGraph, effective_resistance
from graphkit.core.constraints import Count, Seed, checked
from graphkit.core.devices import moved
from graphkit.core.figures import new_figure, nth_colour, save_figure
from graphkit.diagnostics.energy import layer_states
from graphkit.models.base import LayeredModel


@dataclass(frozen=True)
class Sensitivity:
    """Norms of Jacobians between pairs of nodes.

    Attributes:
        source: The node whose features vary, ``[num_pairs]``.
        target: The node whose last state is looked at.
        norm: The Frobenius norm of the Jacobian of the target's state by the source's features.
        distance: Hops between them.
        resistance: Their effective resistance.
    """

    source: Tensor
    target: Tensor
    norm: Tensor
    distance: Tensor
    resistance: Tensor

    def curve(self, by: str = "resistance", bins: int = 10) -> tuple[Tensor, Tensor]:
        """Mean norms in bins of equally many pairs (by resistance), or at each distance.

        Args:
            by: ``"resistance"`` or ``"distance"`` (default: ``"resistance"``).
            bins: The number of bins by resistance (default: 10).

        Returns:
            Mean places and mean norms.
        """
        if by == "distance":
            places = self.distance.unique()
            return places, torch.stack([self.norm[self.distance == place].mean() for place in places])
        parts = [part for part in self.resistance.argsort().chunk(bins) if part.numel()]
        return tuple(torch.stack([value[part].mean() for part in parts]) for value in (self.resistance, self.norm))  # type: ignore[return-value]


@checked
def sensitivity(model: LayeredModel, data: Data, num_targets: Count = 16, seed: Seed = 0) -> Sensitivity:
    r"""Measure how the last states of some nodes depend on the features of all others.

    .. math::
        J_{vu} = \Big\| \frac{\partial h^{(L)}_v}{\partial x_u} \Big\|_F

    in evaluation mode, for all :math:`u \ne v` of the same component. Over-squashing means that it falls with distance
    and with effective resistance; rewiring lowers both (Black et al.: `"Understanding Oversquashing in GNNs through the
    Lens of Effective Resistance" <https://arxiv.org/abs/2302.06835>`_, ICML 2023; Di Giovanni et al.: `"On
    Over-Squashing in Message Passing Neural Networks" <https://arxiv.org/abs/2302.02941>`_, ICML 2023).

    Args:
        model: Any model that runs layer by layer, with one state per node.
        data: The graph, with the structure that the model wants precomputed.
        num_targets: How many nodes :math:`v` are drawn (default: 16).
        seed: The seed of the draw (default: 0).

    Complexity: one backward pass per target and channel.

    Example:
        >>> from graphkit.models import GCN
        >>> path = torch.tensor([[0, 1, 2, 1, 2, 3], [1, 2, 3, 0, 1, 2]])
        >>> measured = sensitivity(GCN(4, 8, num_layers=2), Data(x=torch.eye(4), edge_index=path))
        >>> bool((measured.norm[measured.distance > 2] == 0).all())  # two layers reach two hops
        True
    """
    from scipy.sparse.csgraph import shortest_path

    graph = SimpleGraph.from_edges(data.edge_index, int(data.num_nodes or 0), where="sensitivity")
    order = np.random.default_rng(seed).permutation(graph.num_nodes)
    targets = np.sort(order[:num_targets])
    distance = shortest_path(graph.adjacency, unweighted=True, indices=targets)
    rows, sources = np.nonzero(np.isfinite(distance) & (distance > 0))
    norms = _norms(model, data, targets)[rows, sources]
    pairs = torch.from_numpy(np.stack([sources, targets[rows]]))
    resistance = effective_resistance(data.edge_index, pairs, num_nodes=graph.num_nodes)
    hops = torch.from_numpy(distance[rows, sources]).long()
    return moved(Sensitivity(pairs[0], pairs[1], norms, hops, resistance.cpu()), data.edge_index.device)


def _norms(model: LayeredModel, data: Data, targets: np.ndarray) -> Tensor:
    """``[num_targets, num_nodes]`` in double precision."""
    batch = copy.copy(data)
    x = data.x if data.x.layout == torch.strided else data.x.to_dense()
    batch.x = x.detach().clone().requires_grad_()
    state = layer_states(model, batch)[-1]
    if state.size(0) != x.size(0):
        raise ValueError(f"sensitivity needs one state per node, got {state.size(0)} for {x.size(0)} nodes")
    squares = torch.zeros(targets.size, x.size(0), dtype=torch.double)
    for position, target in enumerate(targets.tolist()):
        for channel in state[target]:
            (gradient,) = torch.autograd.grad(channel, batch.x, retain_graph=True, allow_unused=True)
            if gradient is not None:
                squares[position] += gradient.double().square().sum(1).cpu()
    return squares.sqrt()


@checked
def plot_sensitivity(curves: dict[str, Sensitivity], path: str | os.PathLike[str] | None = None) -> Any:
    """Draw the norms against resistance and against distance on logarithmic axes, one line per name.

    Args:
        curves: What :func:`sensitivity` returned, by name.
        path: Where to write the picture (default: nowhere).

    Returns:
        The matplotlib figure.
    """
    figure = new_figure(9, 3.5)
    for axes, by in zip(figure.subplots(1, 2, sharey=True), ("resistance", "distance")):
        for number, (name, sensitivity) in enumerate(curves.items()):
            place = getattr(sensitivity, by)
            positive = sensitivity.norm > 0
            axes.scatter(
                place[positive], sensitivity.norm[positive], s=3, alpha=0.2, color=nth_colour(number), linewidths=0
            )
            places, norms = sensitivity.curve(by)
            axes.plot(
                places[norms > 0], norms[norms > 0], marker="o", markersize=3, color=nth_colour(number), label=name
            )
        axes.set_yscale("log")
        axes.set_xlabel({"resistance": "effective resistance", "distance": "distance (hops)"}[by])
    figure.axes[0].set_ylabel("norm of the Jacobian")
    figure.axes[0].legend()
    save_figure(figure, path)
    return figure
