"""CDE: the equation against its definition by pairs of nodes; fractional steps against binomial coefficients."""

from __future__ import annotations

import pytest
import torch
from scipy.special import binom

from graphkit.models import CDE, DistributedOrderCDE
from graphkit.nn import ConvectionDiffusion
from graphkit.nn.ode.fractional import distributed_order
from graphkit.testing.graphs import random_graph


def test_convection_is_summed_over_incoming_edges():
    torch.manual_seed(0)
    layer, graph = ConvectionDiffusion(5, attention_channels=4, heads=2).double(), random_graph(7, 18)
    with torch.no_grad():
        layer.share.fill_(0.7)
        layer.rate.fill_(0.3)
    x, (source, target) = graph.x, graph.edge_index
    weight = layer.attention.diffusivity(x, torch.cat([graph.edge_index, torch.arange(7).expand(2, 7)], dim=1))
    average = torch.zeros(7, 7, dtype=torch.float64)
    rows, cols = weight.pattern.row, weight.pattern.col
    average[rows, cols] = weight.values
    y, velocity = x @ layer.lin_velocity.weight.t(), torch.zeros_like(x)
    for s, t in zip(source.tolist(), target.tolist(), strict=True):
        velocity[t] += (y[s] - y[t]).relu()
    joined = 0.7 * (x * velocity) @ layer.lin_high.weight.t() + average @ x @ layer.lin_low.weight.t()
    change = (torch.cat([x, joined], 1) @ layer.lin_out.weight.t() + layer.lin_out.bias).relu() - x
    expected = torch.sigmoid(torch.tensor(0.3)) * change
    torch.testing.assert_close(layer(x, graph.edge_index), expected.double(), rtol=1e-6, atol=1e-6)


def test_fractional_steps_are_those_of_binomial_coefficients():
    orders, weights, h, steps = (0.3, 0.8, 1.0), torch.tensor([0.6, 1.2, 0.5], dtype=torch.float64), 0.25, 6
    states = [torch.tensor([1.0, -0.5], dtype=torch.float64)]
    for k in range(1, steps + 1):
        past = sum(
            w * h**-a * (-1) ** i * binom(a, i) * states[k - i]
            for a, w in zip(orders, weights)
            for i in range(1, k + 1)
        )
        change = -states[-1] + states[-1].square()
        states.append((change - past) / sum(w * h**-a for a, w in zip(orders, weights)))
    out = distributed_order(lambda t, z: z.square() - z, states[0], orders, weights, h * steps, h)
    torch.testing.assert_close(out, states[-1], rtol=1e-12, atol=1e-12)


def test_the_first_order_alone_is_euler():
    torch.manual_seed(0)
    sizes = {"time": 2.0, "step_size": 0.5, "attention_channels": 4, "heads": 2, "out_channels": 3}
    plain, graph = CDE(5, 8, **sizes).double(), random_graph()
    fractional = DistributedOrderCDE(5, 8, orders=(1.0,), **sizes).double()
    fractional.load_state_dict(plain.state_dict(), strict=False)
    torch.testing.assert_close(fractional(graph), plain(graph), rtol=1e-12, atol=1e-12)


def test_a_state_that_explodes_is_told_of():
    graph = random_graph()
    graph.x *= 1e200
    with pytest.raises(RuntimeError, match="use smaller"):
        DistributedOrderCDE(5, 8, orders=(0.5,), time=9.0).double()(graph)
    with pytest.raises(RuntimeError, match="NaN or infinite"):
        CDE(5, 8, time=9.0).double()(graph)
