"""Parameters predicted for networks that nobody has trained: ``python -m benchmarks.hypernetworks`` writes the table.

A small graph hypernetwork learns to predict weights of perceptrons and convolutional networks for scikit-learn's
digits, drawn anew in every step. It is tried on networks that it never saw: drawn likewise, deeper ones and wider ones,
whose predicted weights stand beside torch's random ones, at once and after as many steps of the same training.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from benchmarks.speed.common import environment
from graphkit.metanetworks import GraphHyperNetwork, computational_graph

RESULTS = Path(__file__).parent / "results" / "hypernetworks"
SEEDS, STEPS, NETWORKS, TRIED, FURTHER = 1, 600, 4, 10, 20
WIDTHS, DEPTHS = (12, 32), (1, 3)
UNSEEN = {"as in training": (WIDTHS, DEPTHS), "deeper": (WIDTHS, (4, 5)), "wider": ((40, 64), DEPTHS)}


def perceptron(draw: random.Random, widths: tuple[int, int], depths: tuple[int, int]) -> nn.Module:
    """Linear maps with ReLUs, some with a norm."""
    sizes = [64, *(draw.randint(*widths) for _ in range(draw.randint(*depths)))]
    normed = draw.random() < 0.5
    parts: list[nn.Module] = [nn.Flatten()]
    for ins, outs in pairwise(sizes):
        parts += [nn.Linear(ins, outs), *([nn.LayerNorm(outs)] if normed else []), nn.ReLU()]
    return nn.Sequential(*parts, nn.Linear(sizes[-1], 10))


def convolutional(draw: random.Random, widths: tuple[int, int], depths: tuple[int, int]) -> nn.Module:
    """Convolutions with ReLUs, some with a norm, and a linear map of what is pooled."""
    sizes = [1, *(draw.randint(*widths) for _ in range(draw.randint(*depths)))]
    normed, side = draw.random() < 0.5, draw.choice((1, 2))
    parts: list[nn.Module] = []
    for ins, outs in pairwise(sizes):
        parts += [nn.Conv2d(ins, outs, 3, padding=1), *([nn.GroupNorm(1, outs)] if normed else []), nn.ReLU()]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(side), nn.Flatten(), nn.Linear(sizes[-1] * side**2, 10))


KINDS: dict[str, Callable[..., nn.Module]] = {"perceptrons": perceptron, "convolutions": convolutional}


class Digits:
    """Pictures and labels to train and to judge on."""

    def __init__(self, num_train: int = 1000) -> None:
        from sklearn.datasets import load_digits

        found = load_digits()
        order = torch.randperm(len(found.target), generator=torch.Generator().manual_seed(0))
        x, y = torch.from_numpy(found.images).float().unsqueeze(1)[order] / 8 - 1, torch.from_numpy(found.target)[order]
        self.train, self.test = (x[:num_train], y[:num_train]), (x[num_train:], y[num_train:])

    def batch(self, size: int = 64) -> tuple[Tensor, Tensor]:
        """Some of the pictures to train on."""
        drawn = torch.randint(len(self.train[1]), (size,))
        return self.train[0][drawn], self.train[1][drawn]

    @torch.no_grad()
    def accuracy(self, net: nn.Module) -> float:
        """The share of right answers on the pictures to judge on, in percent."""
        x, y = self.test
        return 100 * float((net(x).argmax(1) == y).float().mean())


def trained(digits: Digits, seed: int) -> GraphHyperNetwork:
    """A hypernetwork that has seen new networks in every step."""
    torch.manual_seed(seed)
    draw, model = random.Random(seed), GraphHyperNetwork(32, width=32)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        optimizer.zero_grad()
        for make in [*KINDS.values()] * (NETWORKS // 2):
            net = make(draw, WIDTHS, DEPTHS)
            x, y = digits.batch()
            (F.cross_entropy(functional_call(net, model(computational_graph(net), net), (x,)), y) / NETWORKS).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model


def after_steps(net: nn.Module, digits: Digits) -> float:
    """The accuracy after a few steps of training."""
    optimizer = torch.optim.Adam(net.parameters(), lr=0.003)
    for _ in range(FURTHER):
        x, y = digits.batch()
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    return digits.accuracy(net)


def measured(model: GraphHyperNetwork, digits: Digits, net: nn.Module) -> dict[str, float]:
    """Accuracies of one network with random and with predicted weights, at once and after training."""
    net = copy.deepcopy(net)  # the next hypernetwork finds it as it was
    found = {"random": digits.accuracy(net), "random, trained": after_steps(net, digits)}
    with torch.no_grad():
        net.load_state_dict(model(computational_graph(net), net))
    return found | {"predicted": digits.accuracy(net), "predicted, trained": after_steps(net, digits)}


def main() -> None:
    """Train, print the table and, unless told otherwise, write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hypernetworks", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="print only")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    digits = Digits()
    models = [trained(digits, seed) for seed in range(SEEDS)]
    rows: list[dict[str, Any]] = []
    for kind, make in KINDS.items():
        for unseen, (widths, depths) in UNSEEN.items():
            draw = random.Random(f"{kind}, {unseen}")
            torch.manual_seed(1000)
            nets = [make(draw, widths, depths) for _ in range(TRIED)]
            found = [measured(model, digits, net) for model in models for net in nets]
            means = {name: round(sum(each[name] for each in found) / len(found), 2) for name in found[0]}
            rows.append({"networks": kind, "unseen": unseen, **means})
            print(
                f"{kind:<14}{unseen:<16}" + "".join(f"{name} {mean:6.2f}   " for name, mean in means.items()),
                flush=True,
            )
    if not arguments.dry_run:
        RESULTS.mkdir(parents=True, exist_ok=True)
        content = {"rows": rows, "hypernetworks": SEEDS, "steps": STEPS, "tried": TRIED, "further steps": FURTHER}
        told = environment() | {"command": "python -m benchmarks.hypernetworks"}
        (RESULTS / "digits.json").write_text(json.dumps(content | told, indent=2) + "\n")


if __name__ == "__main__":
    main()
