"""Layers whose output minimises an energy of the graph."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkit.core.checks import Checks, untraced
from graphkit.core.constraints import Channels, Checked, Count, NonNegative, Positive
from graphkit.core.overriding import check_as_written
from graphkit.core.reads import Reads
from graphkit.core.signatures import takes_arguments_of
from graphkit.core.validate import checked_edge_attr
from graphkit.nn.implicit.looks import Looks
from graphkit.nn.implicit.minimize import Convex, Solver, conjugate_gradients, minimize
from graphkit.nn.implicit.root import implicit_root
from graphkit.nn.linear import torch_linear
from graphkit.nn.node_axis import one_graph
from graphkit.ops import SparseMatrix, SparsityPattern, unweighted_pattern

_UNTRACED = "how many steps a solver takes depends on the numbers"


class GraphEnergy(Checked, nn.Module):
    r"""States of nodes that minimise a strongly convex energy; a subclass says which one.

    .. math::
        H^* = \arg\min_H E(H; X, G), \qquad
        \frac{\partial \ell}{\partial \theta} = -\lambda^\top \frac{\partial}{\partial \theta} \nabla_H E, \qquad
        \nabla^2_H E \; \lambda = \frac{\partial \ell}{\partial H^*}

    From `"Graph Neural Networks Gone Hogwild" <https://arxiv.org/abs/2407.00494>`_ (Solodova, Richardson, Oktay, Adams,
    ICLR 2025): whatever the order of local steps that go down the energy, and however old what nodes know of each
    other, they end in the same states. Gradients are implicit, by conjugate gradients, so no iterate is stored.

    Usual arguments:
        in_channels: The number of features :math:`D`; -1 takes it from the first input.
        out_channels: The size of states :math:`d`.
        solver: ``"newton"`` (with conjugate gradients), ``"lbfgs"`` (torch's) or ``"descent"`` along the gradient by
            steps that are safe everywhere (default: ``"newton"``).
        tol: Largest entry of the gradient that may be left, relative to that at :math:`H = 0` (default: the precision
            of the dtype to the power 2/3, such as 2.4e-5; for ``"lbfgs"`` 1/2). It is raised to 64 times the precision.
        max_iterations: The largest number of steps (default: 10000).

    Shapes:
        - **input:** ``x`` ``[num_nodes, in_channels]``; ``edge_index`` ``[2, num_edges]``; ``edge_attr``
          ``[num_edges, edge_dim]``, where it is read; ``start`` ``[num_nodes, out_channels]``, a guess (optional)
        - **output:** ``[num_nodes, out_channels]``

    Attributes:
        residual: What was left of the gradient at the last minimiser, as ``tol`` counts it.
        iterations: The steps to it.

    Raises:
        RuntimeError: If the minimiser was not found, or if a gradient is to have a gradient.
    """

    takes_sparse = False
    takes_states = False

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Count,
        solver: Solver = "newton",
        tol: Positive | None = None,
        max_iterations: Count = 10_000,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.solver, self.tol, self.max_iterations = solver, tol, max_iterations
        self.residual, self.iterations = 0.0, 0
        self._forward_looks, self._backward_looks = Looks(), Looks()

    @abstractmethod
    def energy(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Convex:
        """The energy as a function of the states alone; arguments are those of :meth:`forward`.

        Raises:
            ValueError: If edge features are missing.
        """

    @one_graph
    @torch.compiler.disable(reason=_UNTRACED)
    def forward(
        self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None, start: Tensor | None = None
    ) -> Tensor:
        """The states of least energy; see the class for shapes."""
        if torch.is_autocast_enabled(x.device.type):  # a minimum is not found in half precision
            with torch.autocast(x.device.type, enabled=False):
                edge_attr, start = (None if given is None else given.float() for given in (edge_attr, start))
                return self.forward(x.float(), edge_index, edge_attr, start)
        energy = self.energy(x, edge_index, edge_attr)
        if start is None:
            start = x.new_zeros(x.size(0), self.out_channels)
        minimum = minimize(energy, start, self.solver, self.tol, self.max_iterations, self._forward_looks)
        self.residual, self.iterations = minimum.residual, minimum.iterations
        h = minimum.state
        if not torch.is_grad_enabled():
            return h

        def solve(grad: Tensor) -> Tensor:
            with torch.no_grad():
                eps = torch.finfo(h.dtype).eps
                return conjugate_gradients(energy.hessian(h), grad, eps, self._backward_looks)

        return implicit_root(h, energy.gradient(h), solve)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels}, solver={self.solver!r})"


class EdgewiseEnergy(GraphEnergy):
    r"""The energy of messages along edges, convex in the states and arbitrary in the features.

    .. math::
        m_t = \sum_{s \to t} \sigma(M_1 h_t + M_2 h_s + M_3 x_t + M_4 x_s + M_5 e_{st} + c), \qquad
        E = \sum_t o^\top \sigma(U_1 m_t + U_2 h_t + U_3 x_t + b) + \frac{\tau}{2} \|H\|^2

    with :math:`\sigma` the softplus, and :math:`U_1` and :math:`o` positive, as the softplus of what is learnt. This
    parametrisation is graphkit's, of the paper's edge-wise kind.

    Args:
        tau: The strong convexity :math:`\tau`: no eigenvalue of a Hessian is smaller (default: 1.0).
        message_channels: The size of messages (default: ``out_channels``).
        update_channels: The size of the rows that :math:`o` sums up (default: ``out_channels``).
        edge_dim: The number of edge features; ``None`` reads none (default: ``None``).

    Example:
        >>> layer = EdgewiseEnergy(3, 2)
        >>> layer(torch.ones(3, 3), torch.tensor([[0, 1], [1, 2]])).shape, layer.residual < 1e-4
        (torch.Size([3, 2]), True)
    """

    reads = Reads(edge_attr=True)
    checks = Checks(
        [
            {"edge_dim": None, "update_channels": 3},
            {"tau": 0.5, "message_channels": 3},
        ],
        sizes={"out_channels": 2, "tol": 1e-14},
        expected_failures=untraced(_UNTRACED) | {"edge_direction": "states of sources answer to those of targets"},
    )

    @takes_arguments_of(GraphEnergy)
    def __init__(
        self,
        in_channels: Channels,
        out_channels: Count,
        tau: Positive = 1.0,
        message_channels: Count | None = None,
        update_channels: Count | None = None,
        edge_dim: Count | None = None,
        **of_search: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, **of_search)
        k, q, self.tau = message_channels or out_channels, update_channels or out_channels, tau
        self.message_target = torch_linear(out_channels, k, bias=False)
        self.message_source = torch_linear(out_channels, k, bias=False)
        self.message_x_target = torch_linear(in_channels, k)
        self.message_x_source = torch_linear(in_channels, k, bias=False)
        self.message_edge = None if edge_dim is None else torch_linear(edge_dim, k, bias=False)
        self.update_own = torch_linear(out_channels, q, bias=False)
        self.update_x = torch_linear(in_channels, q)
        self.raw_update_messages = nn.Parameter(torch.empty(q, k))
        self.raw_weight = nn.Parameter(torch.empty(q))
        self.edge_dim = edge_dim
        self.reads = Reads(edge_attr=edge_dim is not None)
        self._reset_positive()

    def reset_parameters(self) -> None:
        """Draw new weights: as torch's linear maps, positive ones around 1 over the number of messages, and 1."""
        for module in self.children():
            module.reset_parameters()  # type: ignore[operator]
        self._reset_positive()

    def _reset_positive(self) -> None:
        share = 1 / self.raw_update_messages.size(1)
        nn.init.uniform_(self.raw_update_messages, _raw(0.5 * share), _raw(1.5 * share))
        nn.init.constant_(self.raw_weight, _raw(1.0))

    def energy(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Convex:
        """The energy as a function of the states alone; arguments are those of :meth:`forward`.

        Raises:
            ValueError: If edge features are missing.
        """
        check_as_written(self, "message_target", "message_source", "update_own")
        pattern = unweighted_pattern(edge_index, x.size(0), "EdgewiseEnergy")
        constant = None
        if self.message_edge is not None:
            if edge_attr is None:
                raise ValueError("EdgewiseEnergy: edge_attr is missing, which edge_dim asks for")
            edge_attr = checked_edge_attr(edge_attr, pattern.num_edges, self.edge_dim, "EdgewiseEnergy")
            constant = self.message_edge(pattern.to_csr(edge_attr))
        return _Edgewise(
            pattern,
            (self.message_target.weight, self.message_source.weight, self.update_own.weight),
            (F.softplus(self.raw_update_messages), F.softplus(self.raw_weight)),
            (self.message_x_target(x), self.message_x_source(x), self.update_x(x)),
            constant,
            self.tau,
        )


def _raw(positive: float) -> float:
    """The number whose softplus this is."""
    return math.log(math.expm1(positive))


class _Edgewise(Convex):
    """The energy of one graph; entries of ``pattern`` are edges, sorted by target."""

    def __init__(
        self,
        pattern: SparsityPattern,
        weights: tuple[Tensor, Tensor, Tensor],
        positive: tuple[Tensor, Tensor],
        of_features: tuple[Tensor, Tensor, Tensor],
        of_edges: Tensor | None,
        tau: float,
    ) -> None:
        self.pattern, self.of_edges, self.tau = pattern, of_edges, tau
        self.m1, self.m2, self.u2 = weights
        self.u1, self.weight = positive
        self.x_target, self.x_source, self.x_update = of_features
        self.to_target, self.to_source = _incidence(pattern)

    def value(self, h: Tensor) -> Tensor:
        _, update = self._inner(h)
        return (F.softplus(update) @ self.weight).sum() + self.tau / 2 * h.square().sum()

    def gradient(self, h: Tensor) -> Tensor:
        message, update = self._inner(h)
        of_update = update.sigmoid() * self.weight
        of_message = self._from_target(of_update @ self.u1) * message.sigmoid()
        return self._back(of_update, of_message) + self.tau * h

    def hessian(self, h: Tensor) -> Callable[[Tensor], Tensor]:
        message, update = self._inner(h)
        slope, share = message.sigmoid(), update.sigmoid()
        bend = self._from_target((share * self.weight) @ self.u1) * slope * (1 - slope)
        curve = share * (1 - share) * self.weight

        def product(v: Tensor) -> Tensor:
            change = self._along(v @ self.m1.T, v @ self.m2.T)
            of_update = curve * (self.to_target.matmul(slope * change) @ self.u1.T + v @ self.u2.T)
            of_message = self._from_target(of_update @ self.u1) * slope + bend * change
            return self._back(of_update, of_message) + self.tau * v

        return product

    def curvature(self) -> float:
        degrees = self.pattern.in_degree, self.pattern.out_degree
        with torch.no_grad():
            into, out = (degree.max() if degree.numel() else degree.new_zeros(()) for degree in degrees)
            norms = (torch.linalg.matrix_norm(m, 2) for m in (self.m1, self.m2, self.u1, self.u2))
            numbers = (into, out, *norms, self.weight.max() / 4, (self.weight @ self.u1).max() / 4)
            into, out, m1, m2, u1, u2, largest, share = torch.stack([n.double() for n in numbers]).tolist()
        messages = into * m1 + math.sqrt(into * out) * m2
        of_message = share * (math.sqrt(into) * m1 + math.sqrt(out) * m2) ** 2
        return self.tau + largest * (u1 * messages + u2) ** 2 + of_message

    def _inner(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """What goes into the softplus of each message and of each update."""
        message = self._along(h @ self.m1.T + self.x_target, h @ self.m2.T + self.x_source)
        if self.of_edges is not None:
            message = message + self.of_edges
        received = self.to_target.matmul(F.softplus(message))
        return message, received @ self.u1.T + h @ self.u2.T + self.x_update

    def _along(self, target: Tensor, source: Tensor) -> Tensor:
        return self._from_target(target) + source.index_select(0, self.pattern.col)

    def _from_target(self, of_nodes: Tensor) -> Tensor:
        return of_nodes.index_select(0, self.pattern.row)

    def _back(self, of_update: Tensor, of_message: Tensor) -> Tensor:
        """The gradient by the states, from those by the arguments of updates and of messages."""
        received, sent = self.to_target.matmul(of_message), self.to_source.matmul(of_message)
        return of_update @ self.u2 + received @ self.m1 + sent @ self.m2


def _incidence(pattern: SparsityPattern) -> tuple[SparseMatrix, SparseMatrix]:
    """The matrices that sum up rows of edges at their targets and at their sources."""

    def make() -> tuple[SparseMatrix, SparseMatrix]:
        edges = torch.arange(pattern.num_edges, device=pattern.device)
        at_target = SparsityPattern(pattern.rowptr, edges, None, pattern.num_edges)
        at_source = SparsityPattern(pattern.colptr, pattern.csc_perm, None, pattern.num_edges)
        return SparseMatrix(at_target), SparseMatrix(at_source)

    return pattern.cached("incidence", make)


class DenoisingEnergy(GraphEnergy):
    r"""The quadratic energy of smooth states near a linear map of the features; its minimiser solves linear equations.

    .. math::
        E = \frac{1}{2} \|H - F\|^2 + \frac{\gamma}{2} \mathrm{tr}(H^\top L H), \qquad F = X W^\top + b, \qquad
        H^* = (I + \gamma L)^{-1} F

    with :math:`L = D - A`, the Laplacian of the graph without directions, in which an edge that is listed in one
    direction only counts half.

    Args:
        gamma: How much neighbours are to agree, :math:`\gamma` (default: 1.0).

    Example:
        >>> layer = DenoisingEnergy(3, 2)
        >>> layer(torch.ones(3, 3), torch.tensor([[0, 1], [1, 0]])).shape
        torch.Size([3, 2])
    """

    reads = Reads(direction=False)
    checks = Checks(
        [{"out_channels": 2, "tol": 1e-14}],
        expected_failures=untraced(_UNTRACED) | {"edge_direction": "neighbours agree in both directions"},
    )

    @takes_arguments_of(GraphEnergy)
    def __init__(
        self,
        in_channels: Channels,
        out_channels: Count,
        gamma: NonNegative = 1.0,
        **of_search: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, **of_search)
        self.gamma = gamma
        self.lin = torch_linear(in_channels, out_channels)

    def reset_parameters(self) -> None:
        """Draw new weights, as torch's linear maps are drawn."""
        self.lin.reset_parameters()

    def energy(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Convex:
        pattern = unweighted_pattern(edge_index, x.size(0), "DenoisingEnergy")
        return _Denoising(pattern, self.lin(x), self.gamma)


class _Denoising(Convex):
    """The quadratic energy of one graph."""

    def __init__(self, pattern: SparsityPattern, given: Tensor, gamma: float) -> None:
        self.given, self.gamma = given, gamma
        self.degree = ((pattern.in_degree + pattern.out_degree) / 2).to(given.dtype)
        self.matrix = SparseMatrix(pattern)

    def value(self, h: Tensor) -> Tensor:
        return ((h - self.given).square().sum() + self.gamma * (h * self._laplacian(h)).sum()) / 2

    def gradient(self, h: Tensor) -> Tensor:
        return h - self.given + self.gamma * self._laplacian(h)

    def hessian(self, h: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda v: v + self.gamma * self._laplacian(v)

    def curvature(self) -> float:
        return 1 + 2 * self.gamma * (float(self.degree.max()) if self.degree.numel() else 0.0)

    def _laplacian(self, h: Tensor) -> Tensor:
        return self.degree[:, None] * h - (self.matrix.matmul(h) + self.matrix.T.matmul(h)) / 2
