"""Implicit and lazy networks: training steps against automatic differentiation, and against networks of few layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch_geometric.data import Data
from torch_geometric.nn import GCN

import graphkit as gk
from benchmarks.speed.common import Benchmark, benchmark, random_graph
from benchmarks.speed.grand import CLASSES, cora_like

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


def _step(model: Any, data: Data, parameters: Iterable[torch.Tensor] | None = None) -> None:
    weights = model.parameters() if parameters is None else parameters
    torch.autograd.grad(F.cross_entropy(model(data), data.y), list(weights))


@benchmark("lazy_step", goal=1 / 1.3, of="LazyGNN")
def lazy_step() -> Benchmark:
    """LazyGNN, forward and backward, at Cora's size, 64 channels, bag-of-words features."""
    dense = cora_like()
    data = gk.transforms.SparseFeatures()(dense)
    lazy = gk.models.LazyGNN(data.num_features, 64, out_channels=CLASSES, num_nodes=data.num_nodes)
    gcn = gk.models.GCN(data.num_features, 64, 2, CLASSES)
    pyg = GCN(data.num_features, 64, 2, CLASSES)
    return Benchmark(
        ours=lambda: _step(lazy, data),
        opponent=lambda: _step(gcn, data),
        against="graphkit's own GCN of two layers",
        beside=(
            "torch_geometric.nn.GCN of two layers, dense features",
            lambda: _step(lambda graph: pyg(graph.x, graph.edge_index), dense, pyg.parameters()),
        ),
    )


@benchmark("lazy_large_step", goal=2.0, of="LazyGNN")
def lazy_large_step() -> Benchmark:
    """LazyGNN, forward and backward: a million nodes, 5 million edges, 16 classes, two steps on what is remembered."""
    size, reach = 1_000_000, 20
    data = Data(torch.randn(size, 16), random_graph(size, 5 * size), y=torch.arange(size) % 16)
    lazy = gk.models.LazyGNN(16, 16, out_channels=16, num_nodes=size)
    deep = {steps: gk.models.APPNP(16, 16, steps, 16) for steps in (reach // 2, reach)}

    def memory() -> dict[str, Any]:
        peaks = {f"appnp_{steps}_steps": _peak(lambda model=model: _step(model, data)) for steps, model in deep.items()}  # type: ignore[misc]
        return {"peak_mib": {"lazy": _peak(lambda: _step(lazy, data)), **peaks}}

    return Benchmark(
        lambda: _step(lazy, data),
        lambda: _step(deep[reach], data),
        f"graphkit's own APPNP of {reach} steps",
        rounds=3,
        details=memory,
    )


def _peak(run: Callable[[], None]) -> float:
    """How many MiB this adds to the process at its peak (Linux)."""

    def resident(key: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024

    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    run()
    return resident("VmHWM") - before
