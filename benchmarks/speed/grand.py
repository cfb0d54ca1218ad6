"""Training steps of GRAND against the usual gather and scatter along edges, with the same solver's steps in both.

Of our step of GRAND-nl, 50 evaluations, 43 % are products that both have or that no kernel avoids: queries, keys and
their gradients (300 dense ones) take a third, products with the graph's matrices the rest. Were all else free, ours
would be at 5 times the plain step's speed.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
import torchdiffeq
from torch_geometric.data import Data

import graphkit as gk
from benchmarks.speed.common import Benchmark, benchmark

NODES, UNDIRECTED, FEATURES, DENSITY, CLASSES = 2708, 5278, 1433, 0.0127, 7
HIDDEN, ATTENTION, HEADS, TIME, TOLERANCE = 80, 128, 8, 18.295, 822.0


def cora_like() -> Data:
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randint(NODES, (2, 2 * UNDIRECTED), generator=generator)
    pairs = torch.stack([pairs.amin(0), pairs.amax(0)])[:, pairs[0] != pairs[1]].unique(dim=1)
    pairs = pairs[:, torch.randperm(pairs.size(1), generator=generator)[:UNDIRECTED]]
    x = (torch.rand(NODES, FEATURES, generator=generator) < DENSITY).float()
    y = torch.randint(CLASSES, (NODES,), generator=generator)
    return Data(x=x, edge_index=torch.cat([pairs, pairs.flip(0)], dim=1), y=y)


def _model(diffusivity: str, solver: str) -> gk.models.GRAND:
    torch.manual_seed(0)
    model = gk.models.GRAND(
        FEATURES,
        HIDDEN,
        out_channels=CLASSES,
        time=TIME,
        diffusivity=diffusivity,
        attention_channels=ATTENTION,
        heads=HEADS,
        axis="column",
        normalize="squareplus",
        source=True,
        solver=solver,
        tol_scale=TOLERANCE,
    )
    with torch.no_grad():
        model.layers[0].strength.fill_(0.1)
    return model


def _gather_scatter(model: gk.models.GRAND, data: Data, nonlinear: bool) -> torch.Tensor:
    """The same network in plain torch: dense features, one row per edge, sums by ``index_add``."""
    loops = torch.arange(NODES).expand(2, -1)
    source, target = torch.cat([data.edge_index, loops], dim=1)
    equation = model.layers[0]
    diffusion, rate, strength = equation.diffusion, equation.rate.sigmoid(), equation.strength

    def attention(z: torch.Tensor) -> torch.Tensor:
        query = diffusion.lin_query(z).view(NODES, HEADS, -1).transpose(1, 2)
        key = diffusion.lin_key(z).view(NODES, HEADS, -1).transpose(1, 2)
        scores = (query[target] * key[source]).sum(1) / math.sqrt(ATTENTION // HEADS)
        scores = scores - scores.max()
        positive = (scores + (scores**2 + 4).sqrt()) / 2
        total = torch.zeros(NODES, HEADS).index_add(0, source, positive)
        return (positive / (total[source] + 1e-16)).mean(1)

    z0 = F.linear(data.x, model.lin_in.weight, model.lin_in.bias)
    fixed, held = (None if nonlinear else attention(z0)), z0.detach()

    def derivative(t: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        weight = attention(z) if fixed is None else fixed
        neighbours = torch.zeros_like(z).index_add(0, target, weight.unsqueeze(1) * z[source])
        return rate * (neighbours - z) + strength * held

    times, atol, rtol = torch.tensor([0.0, TIME]), 1e-7 * TOLERANCE, 1e-9 * TOLERANCE
    z = torchdiffeq.odeint(derivative, z0, times, method="dopri5", atol=atol, rtol=rtol)[-1]
    return model.lin_out(z.relu())


def _benchmark(diffusivity: str, solver: str) -> Benchmark:
    data = cora_like()
    model = _model(diffusivity, solver)
    prepared = model.required_transform()(data.clone())
    parameters = list(model.parameters())

    def gradients(out: torch.Tensor) -> tuple[torch.Tensor, ...]:
        *_, weight, bias = torch.autograd.grad(F.cross_entropy(out, data.y), parameters)
        return out.detach(), weight, bias  # the others are mostly rounding at this tolerance; tests compare them

    return Benchmark(
        ours=lambda: gradients(model(prepared)),
        opponent=lambda: gradients(_gather_scatter(model, data, diffusivity == "nonlinear")),
        against="gather, multiply, index_add; torchdiffeq's dopri5",
        rounds=5,
        tolerance=5e-3,  # that of the solver
    )


@benchmark("grand_linear", goal=6.0, of="GRAND")
def grand_linear() -> Benchmark:
    """GRAND-l training step by the closed form: 2708 nodes, 10,556 edges, 1433 sparse features, 80 channels."""
    return _benchmark("linear", "exact")


@benchmark("grand_nonlinear", goal=2.2, of="GRAND")
def grand_nonlinear() -> Benchmark:
    """GRAND-nl training step by dopri5: 2708 nodes, 10,556 edges, 1433 sparse features, 80 channels, 8 heads."""
    return _benchmark("nonlinear", "dopri5")
