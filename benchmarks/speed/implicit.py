"""Implicit networks: a training step against what the same mathematics costs by automatic differentiation."""

from __future__ import annotations

import torch
import torch.nn.functional as F

import graphkit as gk
from benchmarks.speed.common import Benchmark, benchmark, random_graph

NODES, EDGES, FEATURES, STATES, TOL = 500, 1000, 16, 8, 1e-8


@torch.no_grad()
def _largest_eigenvalue(layer: gk.nn.EdgewiseEnergy, x: torch.Tensor, edge_index: torch.Tensor) -> float:
    """That of the Hessians at the beginning and at the end."""
    energy, found = layer.energy(x, edge_index), []
    for h in (torch.zeros(NODES, STATES, dtype=torch.double), layer(x, edge_index)):
        product, v = energy.hessian(h), torch.randn(NODES, STATES, dtype=torch.double)
        for _ in range(200):
            v = product(v / v.norm())
        found.append(float(v.norm()))
    return max(found)


@benchmark("energy_step", goal=3.0, of="EnergyGNN")
def energy_step() -> Benchmark:
    """EnergyGNN's layer, forward and backward: 500 nodes, 2000 edges, 8 channels, gradient below 1e-8 of the first."""
    edges = random_graph(NODES, EDGES)
    source, target = edge_index = torch.cat([edges, edges.flip(0)], dim=1)
    x = torch.randn(NODES, FEATURES, dtype=torch.double)
    layer = gk.nn.EdgewiseEnergy(FEATURES, STATES, tol=TOL).double()
    weights = list(layer.parameters())
    step = 1 / _largest_eigenvalue(layer, x, edge_index)

    def energy(h: torch.Tensor) -> torch.Tensor:
        message = layer.message_target(h)[target] + layer.message_source(h)[source]
        message = message + layer.message_x_target(x)[target] + layer.message_x_source(x)[source]
        received = h.new_zeros(NODES, STATES).index_add(0, target, F.softplus(message))
        update = received @ F.softplus(layer.raw_update_messages).T + layer.update_own(h) + layer.update_x(x)
        return (F.softplus(update) @ F.softplus(layer.raw_weight)).sum() + layer.tau / 2 * h.square().sum()

    def unrolled() -> tuple[torch.Tensor, ...]:
        h, first = torch.zeros(NODES, STATES, dtype=torch.double, requires_grad=True), None
        while True:
            (gradient,) = torch.autograd.grad(energy(h), h, create_graph=True)
            size = float(gradient.detach().abs().amax())
            first = size if first is None else first
            if size <= TOL * first:
                return h.detach(), *torch.autograd.grad(h.square().sum(), weights)
            h = h - step * gradient  # the longest safe step, found beforehand

    def implicit() -> tuple[torch.Tensor, ...]:
        h = layer(x, edge_index)
        return h.detach(), *torch.autograd.grad(h.square().sum(), weights)

    return Benchmark(
        ours=implicit,
        opponent=unrolled,
        against="autograd of the energy and through every step of gradient descent along it",
        rounds=3,
    )
