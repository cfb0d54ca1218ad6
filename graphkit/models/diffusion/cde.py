"""CDE: convection and diffusion on a graph, of the first order in time or of several fractional ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks, untraced
from graphkit.core.constraints import Channels, Count, OneOf, Positive, Probability, not_empty
from graphkit.core.overriding import check_as_written
from graphkit.core.reads import Reads
from graphkit.core.signatures import takes_arguments_of
from graphkit.models.diffusion.graph_ode import GraphODE
from graphkit.models.readout import make_pool
from graphkit.nn import ConvectionDiffusion
from graphkit.nn.convection_diffusion import STARTS_WITHOUT, ConvectionODE, Diffused
from graphkit.nn.linear import torch_linear
from graphkit.nn.ode import ADAPTIVE, FIXED_STEP, ODESolver
from graphkit.nn.ode.fractional import distributed_order

_SIZES = {"attention_channels": 4, "heads": 2, "time": 2.0}
_UNTRACED = untraced("how many steps its solver takes follows from values")


class CDE(GraphODE):
    r"""Graph neural convection-diffusion: states are averaged by attention, and carried where neighbours differ.

    From `"Graph Neural Convection-Diffusion with Heterophily" <https://arxiv.org/abs/2305.16780>`_ (Zhao, Kang, Song,
    She, Wang, Tay, IJCAI 2023); :math:`f` is :class:`~graphkit.nn.ConvectionDiffusion`. Convection is quadratic in the
    state, so that long times and large weights can explode, which is an error.

    Outputs are logits. The transformer and Laplacian variants of the official code are not offered.

    Args:
        hidden_channels: The number of channels that are carried and diffuse (default: 64).
        num_layers: The number of stretches of time (default: 1).
        dropout: The probability of dropping an entry before the decoder and in the encoder's MLP (default: 0).
        time: :math:`T` (default: 3.0).
        diffusion: ``"attention"`` (the paper's GRAND-GAT) or ``"beltrami"`` (GraphBel) (default: ``"attention"``).
        attention_channels: Size of the attention's maps (default: 16).
        heads: The number of heads (default: 8).
        self_loops: Whether nodes have self-loops (default: ``True``).
        source: Whether there is a source term (default: ``True``).
        mlp: Two residual layers in the encoder (default: ``True``).
        solver: Name of the method, see :class:`~graphkit.nn.ode.ODESolver` (default: ``"euler"``).
        step_size: The step of solvers on a grid (default: 1.0).

    Example:
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> CDE(4, 8, out_channels=2)(data).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [
            Checks(
                [{"dropout": 0.5}, {"source": False, "self_loops": False, "mlp": False}],
                sizes=_SIZES,
                expected_failures=_UNTRACED | STARTS_WITHOUT,
            ),
            {"diffusion": "beltrami", "solver": "rk4", "readout": "mean", **_SIZES},
        ]
    )
    reads = Reads()

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        num_layers: Count = 1,
        out_channels: Count | None = None,
        dropout: Probability = 0.0,
        input_dropout: Probability = 0.0,
        time: Positive = 3.0,
        diffusion: Diffused = "attention",
        attention_channels: Count = 16,
        heads: Count = 8,
        self_loops: bool = True,
        source: bool = True,
        mlp: bool = True,
        solver: Annotated[str, OneOf((*FIXED_STEP, *ADAPTIVE))] = "euler",
        step_size: Positive = 1.0,
        readout: str | None = None,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        self.lin_in = torch_linear(in_channels, hidden_channels)
        self.mlp_in = nn.ModuleList(torch_linear(hidden_channels, hidden_channels) for _ in range(2 if mlp else 0))
        layer = ConvectionDiffusion(hidden_channels, diffusion, attention_channels, heads, self_loops, source)
        self.layers = nn.ModuleList([layer] * num_layers)
        self.norm = self.lin_fc = None
        self.lin_out = torch_linear(hidden_channels, self.out_channels)
        self.pool = make_pool(readout, hidden_channels)
        self.integrate = ODESolver(solver, step_size)

    def ode(self, z0: Tensor, batch: Data) -> ConvectionODE:
        check_as_written(self, "layers.0")
        return cast(ConvectionDiffusion, self.layers[0]).equation(z0, batch.edge_index)


class DistributedOrderCDE(CDE):
    r"""CDE whose change in time is a weighted sum of fractional derivatives: :math:`\sum_j w_j D^{a_j} z = f(z)`.

    From `"Distributed-Order Fractional Graph Operating Network" <https://arxiv.org/abs/2411.05274>`_ (Zhao et al.,
    NeurIPS 2024), there D-CDE. The weights start at 1 and are learned; see
    :func:`~graphkit.nn.ode.fractional.distributed_order` for the steps, which remember all states.

    Where the official code differs: it divides by :math:`\sum_j h^{-a_j}` without the learned weights, stops one step
    early, and fails for the order 1. The first two are there with ``official_steps``.

    Args:
        orders: The orders :math:`a_j`, in (0, 1] or above (default: ``(0.5, 1.0)``).
        time: :math:`T` (default: 3.0).
        step_size: The step (default: 1.0).
        official_steps: As the official code (default: ``False``).

    Example:
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> DistributedOrderCDE(4, 8, out_channels=2, orders=(0.3, 0.7))(data).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [
            Checks([{"dropout": 0.5}], sizes=_SIZES, expected_failures=_UNTRACED | STARTS_WITHOUT),
            {"diffusion": "beltrami", "orders": (0.4,), "step_size": 0.5, "readout": "mean", **_SIZES},
        ]
    )

    @takes_arguments_of(CDE, without=("num_layers", "solver"))
    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        out_channels: Count | None = None,
        dropout: Probability = 0.0,
        input_dropout: Probability = 0.0,
        time: Positive = 3.0,
        orders: Annotated[Sequence[Positive], not_empty] = (0.5, 1.0),
        *,
        official_steps: bool = False,
        **of_cde: Any,
    ) -> None:
        super().__init__(in_channels, hidden_channels, 1, out_channels, dropout, input_dropout, time, **of_cde)
        self.keep_arguments({"orders": orders, "official_steps": official_steps})
        self.weights = nn.Parameter(torch.ones(len(orders)))

    def reset_parameters(self) -> None:
        super().reset_parameters()
        nn.init.ones_(self.weights)

    @torch.compiler.disable(reason="how many steps there are follows from values")
    def step(self, i: int, history: list[Any], batch: Data) -> Tensor:
        ode = self.ode(history[0], batch)
        return distributed_order(
            ode, history[-1], self.orders, self.weights, self.time, self.step_size, self.official_steps
        )
