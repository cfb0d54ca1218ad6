"""GRAND: graph neural diffusion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks, untraced
from graphkit.core.constraints import Channels, Count, Finite, Positive, Probability
from graphkit.core.overriding import check_as_written
from graphkit.core.reads import Reads
from graphkit.core.signatures import takes_arguments_of
from graphkit.models.diffusion.graph_ode import GraphODE
from graphkit.models.readout import make_pool
from graphkit.nn import GraphDiffusion, Linear
from graphkit.nn.diffusion_ode import DiffusionODE, RegularizedODE, Regularizer
from graphkit.nn.ode import AdjointMethod, Method, ODESolver


@dataclass(frozen=True)
class EarlyStop:
    """The answer of :meth:`GRAND.early_stop`.

    Attributes:
        time: The time with the best validation accuracy, the earliest of equals.
        val: That accuracy, as a fraction.
        out: The outputs at this time.
        last_out: The outputs at the end.
    """

    time: float
    val: float
    out: Tensor
    last_out: Tensor


class GRAND(GraphODE):
    r"""Graph neural diffusion: a linear encoder, a diffusion equation on the graph, a linear decoder.

    From `"GRAND: Graph Neural Diffusion" <https://arxiv.org/abs/2106.10934>`_ (Chamberlain et al., ICML 2021); not to
    be confused with Graph Random Neural Networks (Feng et al., 2020).

    .. math::
        z(0) = W_1 x + b_1, \qquad \dot z = s \, (A z - z) + \beta \, z(0), \qquad
        y = W_2 \, \mathrm{relu}(z(T)) + b_2, \qquad s = \mathrm{sigmoid}(\alpha)

    :math:`A` is the attention of :class:`~graphkit.nn.AttentionDiffusion` on the graph with self-loops. The paper's
    GRAND-l is ``"linear"``: attention at :math:`z(0)`, then fixed, so that the equation has a closed form. GRAND-nl is
    ``"nonlinear"``: attention follows the state. ``"hard"`` is linear and drops the weakest edges while training,
    ``"mixed"`` blends the attention with the normalised adjacency matrix by a learnt share, and ``"constant"`` uses
    this matrix alone. GRAND-nl-rw is any of these after ``torch_geometric.transforms.GDC``.

    All steps of the solver share one small set of parameters. ``num_layers`` cuts the time into equal stretches that
    appear as layers, for depth diagnostics; it changes nothing else but where steps begin.

    Where sources differ: the paper has neither the sigmoid nor the source, and normalises rows only; the tuned
    configurations of the official code normalise columns for Cora and Citeseer. With a regulariser the official code
    trains one copy of the equation and evaluates another; here they are one. Its hard attention passes no gradient to
    the attention, and its symmetric normalisation rounds the weight of self-loops down to an integer; both only with
    the ``official_`` switches. Its evaluation also picks time and epoch on validation: see :meth:`early_stop`.

    Args:
        hidden_channels: The number of channels that diffuse (default: 64).
        num_layers: The number of stretches of time (default: 1).
        dropout: The probability of dropping an entry before the decoder and in the encoder's MLP (default: 0).
        time: :math:`T` (default: 4.0).
        diffusivity: ``"linear"``, ``"nonlinear"``, ``"hard"``, ``"mixed"`` or ``"constant"`` (default: ``"linear"``).
        attention: Kind of score, see :class:`~graphkit.nn.AttentionDiffusion` (default: ``"scaled_dot"``).
        attention_channels: Size of queries and keys (default: 64).
        heads: The number of heads (default: 4).
        axis: Normalise attention by ``"row"`` or ``"column"`` (default: ``"row"``).
        normalize: ``"softmax"`` or ``"squareplus"`` (default: ``"softmax"``).
        reweight: Multiply scores by the normalised edge weights (default: ``False``).
        adjacency: How the adjacency matrix is normalised where it is used: ``"column"`` or ``"sym"`` (default:
            ``"column"``).
        self_loops: The weight of self-loops, added where missing; 0 adds none (default: 1.0).
        source: Whether there is a source term; :math:`z(0)` in it carries no gradient (default: ``False``).
        bounded_rate: Whether :math:`s = \mathrm{sigmoid}(\alpha)` rather than :math:`\alpha` (default: ``True``).
        keep_edges: The share of edges that ``"hard"`` keeps (default: 0.5).
        mlp: Two residual layers in the encoder (default: ``False``).
        batch_norm: Batch normalisation of the encoder's output (default: ``False``).
        fc_out: A hidden layer in the decoder (default: ``False``).
        solver: Name of the method, see :class:`~graphkit.nn.ode.ODESolver` (default: ``"exact"`` where the equation is
            linear and has no regularisers, else ``"dopri5"``).
        step_size: The step of solvers on a grid (default: 1.0).
        tol_scale: Tolerance of adaptive solvers: ``atol`` is 1e-7 and ``rtol`` 1e-9 times this (default: 1.0).
        adjoint: Method of the adjoint equation; ``None`` differentiates through the steps (default: ``None``).
        adjoint_tol_scale: As ``tol_scale``, for the adjoint (default: 1.0).
        max_evaluations: Limit of evaluations per stretch of time (default: 1000).
        regularizers: Coefficients by name of ``"kinetic"``, ``"directional"``, ``"jacobian"``; see
            :class:`~graphkit.nn.diffusion_ode.RegularizedODE` and :meth:`auxiliary_loss` (default: none).
        official_batch_max: See :class:`~graphkit.nn.AttentionDiffusion` (default: ``False``).
        official_hard_gradient: No gradient to the attention in ``"hard"`` (default: ``False``).
        official_integer_loops: Round ``self_loops`` down for ``adjacency="sym"`` (default: ``False``).

    Shapes:
        - **input:** a PyG ``Data`` or ``Batch`` with ``x`` ``[num_nodes, in_channels]``, ``edge_index`` and optionally
          ``edge_weight`` (used by ``"mixed"``, ``"constant"`` and ``reweight``)

    Raises:
        ValueError: If a name is unknown, a number out of range, or the solver does not fit the equation.

    Cost: the closed form takes about :math:`sT + 6 \sqrt{sT} + 10` products with the adjacency matrix, and as many on
    the way back.

    Example:
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> GRAND(4, 8, out_channels=2)(data).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [
            {"dropout": 0.5},
            {"axis": "column", "normalize": "squareplus", "source": True, "readout": "mean"},
            {"diffusivity": "nonlinear", "solver": "rk4", "reweight": True, "mlp": True},
            {"diffusivity": "mixed", "solver": "midpoint", "fc_out": True},
            {"diffusivity": "hard", "attention": "cosine"},
            {"diffusivity": "constant", "adjacency": "sym", "batch_norm": True, "self_loops": 0.5, "time": 1.0},
        ],
        sizes={"attention_channels": 4, "heads": 2, "time": 1.0},
        expected_failures=untraced("how many products its solver takes follows from values"),
    )

    reads = Reads(edge_weight=True)

    @takes_arguments_of(GraphDiffusion, without=("kwargs",))
    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        num_layers: Count = 1,
        out_channels: Count | None = None,
        dropout: Probability = 0.0,
        input_dropout: Probability = 0.0,
        time: Positive = 4.0,
        *,
        mlp: bool = False,
        batch_norm: bool = False,
        fc_out: bool = False,
        solver: Method | None = None,
        step_size: Positive = 1.0,
        tol_scale: Positive = 1.0,
        adjoint: AdjointMethod | None = None,
        adjoint_tol_scale: Positive = 1.0,
        max_evaluations: Count | None = 1000,
        regularizers: Mapping[Regularizer, Finite] | None = None,
        readout: str | None = None,
        official_batch_max: bool = False,
        official_hard_gradient: bool = False,
        official_integer_loops: bool = False,
        **of_equation: Any,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals() | of_equation)
        self.regularizers: Any = None if regularizers is None else dict(regularizers)

        self.lin_in = Linear(in_channels, hidden_channels, weight_initializer=None, bias_initializer=None)
        self.mlp_in = nn.ModuleList(nn.Linear(hidden_channels, hidden_channels) for _ in range(2 if mlp else 0))
        self.norm = nn.BatchNorm1d(hidden_channels) if batch_norm else None
        official = {name: value for name, value in locals().items() if name.startswith("official_")}
        equation = GraphDiffusion(hidden_channels, **of_equation, **official)
        self.reads = equation.reads
        self.layers = nn.ModuleList([equation] * num_layers)
        self.lin_fc = nn.Linear(hidden_channels, hidden_channels) if fc_out else None
        self.lin_out = nn.Linear(hidden_channels, self.out_channels)
        self.pool = make_pool(readout, hidden_channels)
        self.integrate = self._make_solver()
        self._penalties: dict[str, Tensor] = {}
        self.reset_parameters()

    @torch.compiler.disable(reason="how many products the solver takes follows from values")
    def step(self, i: int, history: list[Any], batch: Data) -> Tensor:
        if not (self.training and self.regularizers):
            return super().step(i, history, batch)
        names, z = list(self.regularizers), history[-1]
        before = self._penalties if i > 0 else {}
        penalties = [before.get(name, z.new_zeros(z.size(0))) for name in names]
        ode = RegularizedODE(self.ode(history[0], batch), names)
        z, *penalties = self.integrate(ode, (z, *penalties), *self.stretch(i))
        self._penalties = dict(zip(names, penalties, strict=True))
        return z

    def ode(self, z0: Tensor, batch: Data) -> DiffusionODE:
        check_as_written(self, "layers.0")
        equation = cast(GraphDiffusion, self.layers[0])
        weight = batch.get("edge_weight") if self.reads.edge_weight else None
        return equation.equation(z0, batch.edge_index, weight, batch.get("batch"))

    @torch.no_grad()
    def early_stop(self, batch: Data, y: Tensor, val_mask: Tensor, multiplier: float = 3.0) -> EarlyStop:
        """Integrate beyond :math:`T` and keep the time whose outputs classify the validation nodes best.

        The official evaluation does this in every epoch and reports the best epoch and time. Both are then chosen on
        validation labels; say so when comparing. The trainer does not use it.

        Args:
            batch: The graph.
            y: The labels, ``[num_nodes]``; only those of validation nodes are read.
            val_mask: Marks the validation nodes.
            multiplier: How often :math:`T` to go on (default: 3.0).

        Raises:
            ValueError: If the solver takes no steps, or no node is marked.
        """
        if self.integrate.method == "exact":
            raise ValueError(
                "early_stop looks at the solver's steps, and 'exact' has none; use solver='dopri5' or 'rk4'"
            )
        if not bool(val_mask.any()):
            raise ValueError("early_stop needs validation nodes, but val_mask marks none")
        best = EarlyStop(math.nan, -math.inf, torch.empty(0), torch.empty(0))

        def look(time: float, z: Tensor) -> None:
            nonlocal best
            out = self.decode(z, batch)
            val = float((out.argmax(1) == y)[val_mask].double().mean())
            if val > best.val:
                best = EarlyStop(time, val, out, out)

        z0 = self.encode(batch)
        end = multiplier * self.time
        z = self.integrate(self.ode(z0, batch), z0, 0.0, end, on_step=look)
        look(end, z)
        return replace(best, last_out=self.decode(z, batch))

    def penalties(self) -> dict[str, Tensor]:
        """The regularisers of the last training step at :math:`T`, per node: ``{name: [num_nodes]}``."""
        return dict(self._penalties)

    def auxiliary_loss(self) -> Tensor:
        """The regularisers of the last training step, averaged over nodes and weighted; 0 without regularisers."""
        penalties, self._penalties = self._penalties, {}
        start = self.lin_out.weight.new_zeros(())
        return sum(((self.regularizers or {})[name] * value.mean() for name, value in penalties.items()), start=start)

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_penalties": {}}  # tensors with a graph can be neither copied nor pickled

    def _make_solver(self) -> ODESolver:
        linear = self.diffusivity != "nonlinear"
        closed = linear and not self.regularizers and self.adjoint is None
        method = self.solver or ("exact" if closed else "dopri5")
        if method == "exact" and not linear:
            raise ValueError(
                "GRAND: solver='exact' needs a linear equation, but diffusivity='nonlinear'; use 'dopri5' or 'rk4'"
            )
        if method == "exact" and self.regularizers:
            raise ValueError("GRAND: regularizers are integrated along; use solver='dopri5' or 'rk4', not 'exact'")
        return ODESolver(
            method,
            self.step_size,
            1e-7 * self.tol_scale,
            1e-9 * self.tol_scale,
            self.max_evaluations,
            self.adjoint,
            1e-7 * self.adjoint_tol_scale,
            1e-9 * self.adjoint_tol_scale,
        )
