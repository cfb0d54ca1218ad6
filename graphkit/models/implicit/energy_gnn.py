"""Networks whose states minimise an energy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count, NonNegative, NonNegativeInt, Positive
from graphkit.core.reads import Reads
from graphkit.core.signatures import takes_arguments_of
from graphkit.models.base import LayeredModel, State
from graphkit.models.readout import make_pool, read_out
from graphkit.nn import DenoisingEnergy, EdgewiseEnergy, NodeMemory
from graphkit.nn.graph_energy import GraphEnergy
from graphkit.nn.linear import torch_linear


class EnergyGNN(LayeredModel):
    r"""Energy network: states minimise a learnt strongly convex energy of the graph, and a linear map reads them.

    .. math::
        H^* = \arg\min_H E(H; X, G), \qquad Y = H^* R^\top + r

    From `"Graph Neural Networks Gone Hogwild" <https://arxiv.org/abs/2407.00494>`_ (Solodova, Richardson, Oktay, Adams,
    ICLR 2025). Its one layer is :class:`~graphkit.nn.EdgewiseEnergy` or :class:`~graphkit.nn.DenoisingEnergy`, which
    tell the energies. No official code was at hand; the parametrisation is graphkit's.

    With ``num_nodes``, which :meth:`from_task` fills in for tasks of one graph, training starts each search at the
    states that it found last for these nodes; these are saved with the weights. An evaluation starts there, too, and
    leaves them as they are. Of other graphs nothing is remembered.

    Args:
        hidden_channels: The size of states :math:`d` (default: 16).
        energy: ``"edgewise"`` or ``"denoising"`` (default: ``"edgewise"``).
        tau: The strong convexity of the edge-wise energy (default: 1.0).
        gamma: How much neighbours are to agree in the denoising energy (default: 1.0).
        message_channels: The size of messages (default: ``hidden_channels``).
        update_channels: The size of updates (default: ``hidden_channels``).
        edge_dim: The number of edge features that the edge-wise energy reads; ``None`` for none (default: ``None``).
        solver: ``"newton"``, ``"lbfgs"`` or ``"descent"`` (default: ``"newton"``).
        tol: See :class:`~graphkit.nn.EdgewiseEnergy` (default: by dtype).
        max_iterations: The largest number of steps (default: 10000).
        num_nodes: The number of nodes whose states are remembered; ``None`` for none (default: ``None``).

    Raises:
        RuntimeError: If the minimiser was not found.
        ValueError: If ``edge_dim`` is given for the denoising energy.

    Example:
        >>> import torch
        >>> model = EnergyGNN(4, 8, out_channels=2)
        >>> model(Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))).shape, model.residual < 1e-4
        (torch.Size([3, 2]), True)
    """

    checks = Checks(
        [
            {"edge_dim": None, "num_nodes": 8},
            {"edge_dim": 3, "readout": "mean"},
            {"energy": "denoising", "edge_dim": None},
        ],
        sizes={"hidden_channels": 2, "tol": 1e-14},
        expected_failures={
            name: EdgewiseEnergy.checks.expected_failures[name] for name in ("compiled", "exported", "functional")
        },
    )
    reads = Reads(edge_attr=True)
    uses_history = False
    no_edge_masks = "it minimises an energy"

    @takes_arguments_of(GraphEnergy)
    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 16,
        out_channels: Count | None = None,
        energy: Literal["edgewise", "denoising"] = "edgewise",
        tau: Positive = 1.0,
        gamma: NonNegative = 1.0,
        message_channels: Count | None = None,
        update_channels: Count | None = None,
        edge_dim: Count | None = None,
        *,
        num_nodes: Count | None = None,
        readout: str | None = None,
        **of_search: Any,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals() | of_search)
        layer: GraphEnergy
        if energy == "edgewise":
            sizes = (message_channels, update_channels, edge_dim)
            layer = EdgewiseEnergy(in_channels, hidden_channels, tau, *sizes, **of_search)
        elif edge_dim is not None:
            raise ValueError(f"EnergyGNN: edge_dim={edge_dim}, but energy='denoising' reads no edge features")
        else:
            layer = DenoisingEnergy(in_channels, hidden_channels, gamma, **of_search)
        self.layers = nn.ModuleList([layer])
        self.memory = None if num_nodes is None else NodeMemory(num_nodes, hidden_channels)
        self.reads = layer.reads
        self.lin_out = torch_linear(hidden_channels, self.out_channels)
        self.pool = make_pool(readout, hidden_channels)
        self.reset_parameters()

    @property
    def residual(self) -> float:
        """What was left of the gradient at the last minimiser, relative to that at zero."""
        layer: Any = self.layers[0]
        return layer.residual

    def encode(self, batch: Data) -> State:
        """Where the search begins: what is remembered, or zeros."""
        x = self.features(batch, dense=True)
        if self.memory is not None and (ids := self.memory.ids(batch)) is not None:
            return self.memory.rows[ids].to(x.dtype)
        return x.new_zeros(x.size(0), self.hidden_channels)

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        edge_attr = batch.get("edge_attr") if self.reads.edge_attr else None
        h = self.layers[i](self.features(batch, dense=True), batch.edge_index, edge_attr, history[-1])
        if self.training and self.memory is not None and (ids := self.memory.ids(batch)) is not None:
            self.memory.write(ids, h)
        return h

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        return self.lin_out(read_out(self.readout, self.pool, h, batch))

    def local_update(self, batch: Data, delay: NonNegativeInt = 0) -> Callable[[Tensor, Data], Tensor]:
        r"""A step down the energy that a node takes by itself, knowing what is two hops around it.

        Args:
            batch: The whole graph, of which the length of the step is told.
            delay: How many ticks old what a node knows of others may be, which makes steps shorter (default: 0).

        Returns:
            A function of states and of the part of the graph that these belong to.
        """
        layer: Any = self.layers[0]
        step = 1 / (self._energy(layer, batch).curvature() * (1 + delay))
        return lambda h, part: h - step * self._energy(layer, part).gradient(h)

    def _energy(self, layer: Any, batch: Data) -> Any:
        edge_attr = batch.get("edge_attr") if self.reads.edge_attr else None
        return layer.energy(self.features(batch, dense=True), batch.edge_index, edge_attr)
