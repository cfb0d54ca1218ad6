"""The trainable part of GRAND: which matrix diffuses, and how fast."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit import ops
from graphkit.core.checks import Checks
from graphkit.nn.diffusion_ode import DiffusionODE
from graphkit.nn.diffusivity import AttentionDiffusion
from graphkit.ops import SparseMatrix, SparsityPattern

if TYPE_CHECKING:
    from graphkit.models.grand import GRAND


class Equation(nn.Module):
    """The parameters of the equation, shared by all stretches of time.

    Args:
        model: The model whose arguments say what the equation is.
    """

    checks = Checks(skip="a part of GRAND, checked with it")

    def __init__(self, model: GRAND) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.empty(()))
        self.strength = nn.Parameter(torch.empty(())) if model.source else None
        self.share = nn.Parameter(torch.empty(1)) if model.diffusivity == "mixed" else None
        self.diffusion = None
        if model.diffusivity != "constant":
            self.diffusion = AttentionDiffusion(
                model.hidden_channels,
                model.attention_channels,
                model.heads,
                model.attention,
                model.axis,
                model.normalize,
                official_batch_max=model.official_batch_max,
            )

    def reset_parameters(self) -> None:
        for parameter in (self.rate, self.strength, self.share):
            if parameter is not None:
                nn.init.zeros_(parameter)
        if self.diffusion is not None:
            self.diffusion.reset_parameters()

    def forward(self, z0: Tensor, batch: Data, model: GRAND) -> DiffusionODE:
        pattern, adjacency = _graph(z0, batch, model)
        weight = None
        if model.reweight and adjacency is not None:
            weight = pattern.to_edges(cast(Tensor, adjacency.values))
        rate = self.rate.sigmoid() if model.bounded_rate else self.rate
        source = None if self.strength is None else z0.detach()
        parameters = list(self.diffusion.parameters()) if model.diffusivity == "nonlinear" and self.diffusion else []
        operator = self._operator(z0, pattern, adjacency, weight, batch.get("batch"), model)
        return DiffusionODE(operator, rate, source, self.strength, parameters)

    def _operator(
        self,
        z0: Tensor,
        pattern: SparsityPattern,
        adjacency: Any,
        weight: Tensor | None,
        of_graph: Tensor | None,
        model: GRAND,
    ) -> SparseMatrix | Callable[[Tensor], SparseMatrix]:
        if self.diffusion is None:
            return adjacency
        diffusion = self.diffusion
        if model.diffusivity == "nonlinear":
            return lambda z: diffusion.diffusivity(z, pattern, weight, of_graph)
        attention: Any = diffusion.diffusivity(z0, pattern, weight, of_graph)
        if self.share is not None:
            share = self.share.sigmoid()
            return SparseMatrix(pattern, (1 - share) * attention.values + share * adjacency.values)
        if model.diffusivity == "hard" and self.training:
            return _strongest(attention, model.keep_edges, model.axis, model.official_hard_gradient)
        return attention


def _graph(z: Tensor, batch: Data, model: GRAND) -> tuple[SparsityPattern, SparseMatrix | None]:
    """The pattern with self-loops, and the normalised adjacency matrix on it where it is needed."""
    pattern = ops.sparsity_pattern(batch.edge_index, z.size(0))
    loops = model.self_loops
    if not (model.reweight or model.diffusivity in ("mixed", "constant")):
        return (pattern.with_self_loops()[0] if loops > 0 else pattern), None
    if model.official_integer_loops and model.adjacency == "sym" and int(loops) == 0:
        loops = 0.0
    weight = batch.get("edge_weight")
    matrix = ops.gcn_norm(  # degrees count the edges that leave a node: those of the transposed graph's rows
        pattern.T,
        weight if weight is None else weight.to(z.dtype),
        add_self_loops=loops > 0,
        fill=loops,
        norm="sym" if model.adjacency == "sym" else "row",
        dtype=z.dtype,
    ).T
    return matrix.pattern, matrix


def _strongest(matrix: Any, share: float, axis: str, detach: bool) -> SparseMatrix:
    """The entries above a quantile, scaled so that the rows or columns that have any sum to 1."""
    values = matrix.values.detach() if detach else matrix.values
    dropped = math.ceil((1 - share) * values.numel())
    if dropped == 0:
        return matrix
    kept = values * (values > values.detach().kthvalue(dropped).values)
    group = matrix.pattern.row if axis == "row" else matrix.pattern.col
    total = kept.new_zeros(matrix.shape[0]).index_add(0, group, kept)
    return SparseMatrix(matrix.pattern, kept / (total + 1e-16).index_select(0, group))
