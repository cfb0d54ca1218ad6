"""What networks share whose layers are stretches of time of one equation on the graph."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.models.base import LayeredModel
from graphkit.models.readout import read_out
from graphkit.nn import Linear, dropout
from graphkit.nn.ode import ODE, ODESolver


class GraphODE(LayeredModel):
    r"""A linear encoder, an equation on the graph, a linear decoder; a subclass makes them and writes :meth:`ode`.

    .. math::
        z(0) = W_1 x + b_1, \qquad \dot z = f(z), \qquad y = W_2 \, \mathrm{relu}(z(T)) + b_2

    All steps of the solver share one small set of parameters. ``num_layers`` cuts the time into equal stretches that
    appear as layers, for depth diagnostics; it changes nothing else but where steps begin.
    """

    lin_in: Linear
    mlp_in: nn.ModuleList  # residual layers of the encoder
    norm: nn.Module | None
    lin_fc: nn.Module | None  # a hidden layer of the decoder
    lin_out: nn.Linear | Linear
    pool: nn.Module | None
    integrate: ODESolver
    sparse_features = True

    def encode(self, batch: Data) -> Tensor:
        z: Any = self.lin_in(dropout(self.features(batch), self.input_dropout, self.training))
        if self.mlp:
            z = dropout(z, self.dropout, self.training)
            for lin in self.mlp_in:
                z = dropout(z + lin(z.relu()), self.dropout, self.training)
        return z if self.norm is None else self.norm(z)

    @torch.compiler.disable(reason="how many products the solver takes follows from values")
    def step(self, i: int, history: list[Any], batch: Data) -> Tensor:
        return self.integrate(self.ode(history[0], batch), history[-1], *self.stretch(i))

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        h = h.relu()
        if self.lin_fc is not None:
            h = self.lin_fc(h).relu()
        h = cast(Tensor, dropout(h, self.dropout, self.training))
        return self.lin_out(read_out(self.readout, self.pool, h, batch))

    @abstractmethod
    def ode(self, z0: Tensor, batch: Data) -> ODE:
        """The equation that starts at ``z0 [num_nodes, hidden_channels]``."""

    def stretch(self, i: int) -> tuple[float, float]:
        """The times at which layer ``i`` begins and ends."""
        return self.time * i / self.num_layers, self.time * (i + 1) / self.num_layers
