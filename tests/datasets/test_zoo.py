"""Zoos of small networks: labels are what the networks in the graphs do."""

import math

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import graphkit as gk
from graphkit.datasets.generators import zoo
from graphkit.metanetworks import graph_to_state_dict

SMALL = {"num_networks": 10, "hidden": 6, "max_steps": 60}


def test_the_label_is_the_accuracy_of_the_network():
    task = gk.load("digits-mlps", **SMALL)
    found = load_digits()
    pictures = nn.functional.avg_pool2d(torch.from_numpy(found.images).float()[:, None] / 16, 2).flatten(1)
    label = torch.from_numpy(found.target)
    net = nn.Sequential(nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 10))
    others = torch.randperm(len(label), generator=torch.Generator().manual_seed(0))[600:]
    for graph, told in zip(task.graphs, task.labels[:, 0].tolist()):
        net.load_state_dict(graph_to_state_dict(graph, net))
        right = (net(pictures[others]).argmax(1) == label[others]).float().mean()
        assert right.item() == pytest.approx(told, abs=1e-6)
    assert task.labels.max() > 0.3  # some have learned


def test_networks_are_trained_each_on_its_own():
    """Side by side as one by one, with torch's own Adam."""
    torch.manual_seed(0)
    networks = [nn.Linear(2, 1) for _ in range(3)]
    x, y = torch.randn(3, 5, 2), torch.randn(3, 5, 1)
    rates, steps = torch.tensor([0.1, 0.01, 0.05]), torch.tensor([3, 1, 2])
    weights = zoo._trained(
        networks, lambda w, x, y: (x @ w["weight"].T + w["bias"] - y).square().mean(), lambda: (x, y), rates, steps
    )
    for i, network in enumerate(networks):
        optimizer = torch.optim.Adam(network.parameters(), float(rates[i]))
        for _ in range(int(steps[i])):
            optimizer.zero_grad()
            (network(x[i]) - y[i]).square().mean().backward()
            optimizer.step()
        torch.testing.assert_close(weights["weight"][i], network.weight.detach())


def test_channels_and_waves():
    cnns = gk.load("digits-cnns", **SMALL)
    assert cnns.graphs[0].num_edges == 6 * 9 + 6 + 6 * 6 * 9 + 6 + 6 * 10 + 10
    waves = gk.load("sine-networks", num_networks=10, max_steps=200)
    assert (waves.labels >= 0.5).all()
    assert (waves.labels <= 2).all()
    net = nn.Sequential(nn.Linear(1, 8), zoo.Sine(6.0), nn.Linear(8, 8), zoo.Sine(), nn.Linear(8, 1))
    t = torch.linspace(-1, 1, 64).unsqueeze(1)
    errors = []
    for graph, frequency in zip(waves.graphs, waves.labels[:, 0]):
        net.load_state_dict(graph_to_state_dict(graph, net))
        with torch.no_grad():
            basis = torch.cat([torch.sin(2 * math.pi * frequency * t), torch.cos(2 * math.pi * frequency * t)], 1)
            wave = net(t)
            fit = basis @ torch.linalg.lstsq(basis, wave).solution  # the nearest wave of this frequency, of any phase
            errors.append(float((wave - fit).square().mean() / wave.square().mean()))
    assert sorted(errors)[5] < 0.1


def test_the_same_seed_gives_the_same_zoo():
    first, again, other = (gk.load("digits-mlps", num_networks=10, max_steps=3, seed=s).content_hash for s in (1, 1, 2))
    assert first == again != other
