"""Zoos: many small networks, trained side by side, as graphs whose labels are what they do."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch_geometric.data import Data

from graphkit.core.constraints import Count, Seed, checked
from graphkit.core.docstrings import arguments_of
from graphkit.datasets.generators.base import Generated
from graphkit.metanetworks import module_to_graph

Weights = dict[str, Tensor]


@checked
def digits_mlps(*, num_networks: Count = 200, hidden: Count = 8, max_steps: Count = 300, seed: Seed = 0) -> Generated:
    """Perceptrons of two hidden layers for scikit-learn's digits, shrunk to 4 x 4 pixels; labels are their accuracies.

    Each is trained by Adam on 600 of the pictures, for as many steps (up to ``max_steps``) and at such a rate (between
    0.1 and 0.003) as are drawn for it, and judged on the other 1197.

    Args:
        num_networks: The number of networks; 7 of 10 are to train and 1 of 10 to validate on (default: 200).
        hidden: The width of hidden layers (default: 8).
        max_steps: The largest number of steps (default: 300).
        seed: The seed (default: 0).
    """
    h = hidden

    def make() -> nn.Module:
        layers = [nn.Linear(16, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, 10)]
        return nn.Sequential(nn.Flatten(), *layers)

    return _classifiers(make, num_networks, max_steps, seed)


@checked
@arguments_of(digits_mlps)
def digits_cnns(*, num_networks: Count = 200, hidden: Count = 6, max_steps: Count = 150, seed: Seed = 0) -> Generated:
    """Networks of two convolutions and a linear map of their means, otherwise as :func:`digits_mlps`.

    Args:
        hidden: The number of channels (default: 6).
        max_steps: The largest number of steps (default: 150).
    """
    h = hidden

    def make() -> nn.Module:
        layers = [nn.Conv2d(1, h, 3, padding=1), nn.ReLU(), nn.Conv2d(h, h, 3, padding=1), nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(h, 10))

    return _classifiers(make, num_networks, max_steps, seed)


class Sine(nn.Module):
    """The sine of what comes in, times a constant."""

    def __init__(self, omega: float = 1.0) -> None:
        super().__init__()
        self.omega = omega

    def forward(self, x: Tensor) -> Tensor:
        """The sine."""
        return torch.sin(self.omega * x)


@checked
@arguments_of(digits_mlps)
def sine_networks(*, num_networks: Count = 200, hidden: Count = 8, max_steps: Count = 300, seed: Seed = 0) -> Generated:
    r"""Networks of sines that represent a wave :math:`\sin(2 \pi f t + \varphi)` on -1..1; labels are its frequencies.

    Frequencies are uniform in 0.5..2, phases in all angles; all networks take ``max_steps`` steps.
    """
    rng = torch.Generator().manual_seed(seed)
    frequency, phase = (torch.rand(2, num_networks, generator=rng) * torch.tensor([[1.5], [2 * math.pi]])).unbind()
    frequency = frequency + 0.5
    t = torch.linspace(-1, 1, 64).unsqueeze(1)
    wave = torch.sin(2 * math.pi * frequency[:, None, None] * t + phase[:, None, None])

    def make() -> nn.Module:
        layers = [nn.Linear(1, hidden), Sine(6.0), nn.Linear(hidden, hidden), Sine(), nn.Linear(hidden, 1)]
        return nn.Sequential(*layers)

    networks = _networks(make, num_networks, seed)

    def loss(weights: Weights, wave: Tensor) -> Tensor:
        return F.mse_loss(functional_call(networks[0], weights, (t,)), wave)

    def batch() -> tuple[Tensor]:
        return (wave,)

    weights = _trained(networks, loss, batch, torch.full((num_networks,), 0.03), torch.full((num_networks,), max_steps))
    return _zoo(networks, weights, frequency)


def _classifiers(make: Callable[[], nn.Module], num: int, max_steps: int, seed: int) -> Generated:
    from sklearn.datasets import load_digits

    found = load_digits()
    pictures = F.avg_pool2d(torch.from_numpy(found.images).float().unsqueeze(1) / 16, 2)
    label = torch.from_numpy(found.target)
    rng = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(label), generator=rng)
    seen, others = order[:600], order[600:]
    steps = (torch.rand(num, generator=rng) * max_steps).ceil()
    rates = 10 ** -(1 + 1.5 * torch.rand(num, generator=rng))
    networks = _networks(make, num, seed)

    def loss(weights: Weights, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(networks[0], weights, (x,)), y)

    def batch() -> tuple[Tensor, Tensor]:
        drawn = seen[torch.randint(len(seen), (32,), generator=rng)]
        x, y = pictures[drawn], label[drawn]
        return x.expand(num, *x.shape), y.expand(num, *y.shape)

    weights = _trained(networks, loss, batch, rates, steps)
    scores = vmap(lambda own: functional_call(networks[0], own, (pictures[others],)))(weights)
    return _zoo(networks, weights, (scores.argmax(2) == label[others]).float().mean(1))


def _networks(make: Callable[[], nn.Module], num: int, seed: int) -> list[nn.Module]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return [make() for _ in range(num)]


def _trained(
    networks: list[nn.Module], loss: Callable[..., Tensor], batch: Callable[[], tuple[Tensor, ...]],
    rates: Tensor, steps: Tensor,
) -> Weights:  # fmt: skip
    """The weights of all networks after steps of Adam, as many and as large as each of them has."""
    weights, _ = stack_module_state(networks)
    weights = {name: value.detach() for name, value in weights.items()}
    moments = {name: (torch.zeros_like(value), torch.zeros_like(value)) for name, value in weights.items()}
    gradients = vmap(grad(loss))
    for step in range(1, int(steps.max()) + 1):
        rate = torch.where(steps >= step, rates, 0.0)
        for name, gradient in gradients(weights, *batch()).items():
            first, second = moments[name]
            first.lerp_(gradient, 0.1)
            second.lerp_(gradient.square(), 0.001)
            move = first / (1 - 0.9**step) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
            weights[name] = weights[name] - rate.view(-1, *[1] * (move.dim() - 1)) * move
    return weights


def _zoo(networks: list[nn.Module], weights: Weights, labels: Tensor) -> Generated:
    graphs = []
    for i, network in enumerate(networks):
        network.load_state_dict({name: value[i] for name, value in weights.items()})
        with torch.no_grad():
            graph = module_to_graph(network)
        graphs.append(Data(x=graph.x, edge_index=graph.edge_index, edge_attr=graph.edge_attr, y=labels[i].view(1, 1)))
    ids = torch.arange(len(graphs))
    first, second = len(ids) * 7 // 10, len(ids) * 8 // 10
    return Generated(graphs, [(ids[:first], ids[first:second], ids[second:])])
