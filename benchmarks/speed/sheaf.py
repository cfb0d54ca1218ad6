"""Sheaf networks against plain implementations: concatenated learner inputs, gather and index_add products."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.nn import GraphSAGE

from benchmarks.speed.common import Benchmark, benchmark, extra_memory, with_gradients
from graphkit.models import CSNN, BuNN, SheafDiffusion
from graphkit.nn import sheaf


def _graph(num_nodes: int, num_pairs: int, num_features: int) -> Data:
    """Distinct uniform random undirected edges, both directions, in random order."""
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randint(num_nodes, (3 * num_pairs, 2), generator=generator).sort(1).values
    pairs = pairs[pairs[:, 0] != pairs[:, 1]].unique(dim=0)
    pairs = pairs[torch.randperm(len(pairs), generator=generator)[:num_pairs]].t()
    x = torch.randn(num_nodes, num_features, generator=generator)
    return Data(x=x, edge_index=torch.cat([pairs, pairs.flip(0)], dim=1))


def _plain(model: SheafDiffusion, data: Data) -> Tensor:
    """The same network, written edge by edge."""
    n, d, num_pairs = data.num_nodes, model.stalk_dim, data.num_edges // 2
    v, u = data.edge_index
    degree = torch.zeros(n).index_add_(0, v, torch.ones(data.num_edges))
    h = model.encode(data)
    for layer in model.layers:
        pair = torch.cat([h[v], h[u]], dim=1)
        numbers = torch.tanh(pair @ layer.learner.weight.t())
        if model.maps == "diag":
            maps = torch.diag_embed(numbers)
        elif model.maps == "general":
            maps = numbers.view(-1, d, d)
        else:
            maps = sheaf.orthogonal(numbers.t().contiguous(), d).permute(2, 0, 1)
            a = torch.sigmoid(pair @ layer.learner.edge_weight.t())
            maps = maps * (a * a.roll(num_pairs, 0))[:, :, None]
        block = torch.zeros(n, d, d).index_add(0, v, maps.mT @ maps)
        root = sheaf.inverse_sqrt(block + torch.eye(d))
        between = -root[v] @ maps.mT @ maps.roll(num_pairs, 0) @ root[u]
        own = root @ block @ root
        x = h.view(n, model.width, -1)
        y = (layer.conv.mix.left @ x) @ layer.conv.mix.right.t()
        z = (own @ y[:, :d]).index_add(0, v, between @ y[u, :d])
        if model.low_pass:
            scale = (degree + 1).rsqrt()[:, None]
            fixed = (scale**2 * degree[:, None] * y[:, d]).index_add(0, v, scale[v] * scale[u] * y[u, d])
            z = torch.cat([z, fixed[:, None]], dim=1)
        h = ((1 + layer.conv.epsilon.tanh()) * x - model.activation(z)).flatten(1)
    return model.lin_out(h)


def _plain_csnn(model: CSNN, data: Data, learners: dict[int, GraphSAGE]) -> Tensor:
    """CSNN as the official code computes it: a product of maps with stalks for every edge."""
    i, j = data.edge_index
    n, d = data.num_nodes, model.stalk_dim
    received, sent = (torch.zeros(n).index_add_(0, end, torch.ones(data.num_edges)) for end in (i, j))
    h = model.encode(data)
    for layer in model.layers:
        conv, maps = layer.conv, []
        for part in (conv.target, conv.source):
            learner = learners.get(id(part), part.learner)
            numbers = learner(h, data.edge_index).t()
            scale = numbers[-1].clamp(max=math.log(10)).exp()
            maps.append((scale, scale[:, None, None] * sheaf.orthogonal(numbers[:-1].tanh(), d).permute(2, 0, 1)))
        (target_scale, target), (source_scale, source) = maps
        y = conv.mix(h.view(n, d, -1))
        for gamma, degree in ((target_scale, received), (source_scale, sent)):
            root = (1 + degree * gamma**2).rsqrt()[:, None, None]
            own = (root * gamma[:, None, None]) ** 2 * y
            message = own[i] - root[i] * (target[i].mT @ (source[j] @ (root * y)[j]))
            y = torch.zeros_like(y).index_add(0, i, message)
        gate = (1 + layer.epsilon.tanh()).expand(-1, conv.channels).flatten()
        h = layer.norm(h * gate - model.activation(y.flatten(1)))
    return model.head(h)


def _csnn_steps(size: tuple[int, int, int], options: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    data = _graph(*size)
    model = CSNN(size[2], 32, out_channels=1, left_weights=False, **options).eval()
    learners, mine, theirs = {}, [], []
    for layer in model.layers if options["learner_layers"] else ():
        for part in (layer.conv.target, layer.conv.source):
            width, numbers = 32 * model.stalk_dim, part.learner.convs[-1].out_channels
            sizes = (width, model.learner_channels, model.learner_layers, numbers)
            learner = learners[id(part)] = GraphSAGE(*sizes, act="gelu", project=True).eval()
            learner.load_state_dict(part.learner.state_dict())
            theirs += learner.parameters()
            mine += [part.learner.get_parameter(name) for name, _ in learner.named_parameters()]
    shared = [weight for weight in model.parameters() if all(weight is not other for other in mine)]
    return {
        "ours": lambda: with_gradients(model(data), *shared, *mine),
        "opponent": lambda: with_gradients(_plain_csnn(model, data, learners), *shared, *theirs),
    }


def _warm_and_run_csnn(
    whose: str, size: tuple[int, int, int], options: dict[str, Any]
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    return _csnn_steps((20, 30, size[2]), options)[whose], _csnn_steps(size, options)[whose]


@benchmark("csnn_minesweeper", goal=4.0, of="CSNN")
def csnn_minesweeper() -> Benchmark:
    """CSNN, forward and backward, at minesweeper's size and published configuration: 5 layers, learners of 5 layers."""
    options = {"num_layers": 5, "norm": "layer_norm", "learner": "projected"}
    options |= {"learner_layers": 5, "learner_channels": 64}
    return _csnn((10_000, 39_402, 7), options)


@benchmark("csnn_tolokers", goal=4.0, of="CSNN")
def csnn_tolokers() -> Benchmark:
    """CSNN, forward and backward, at the size of tolokers and its published configuration: 2 layers, perceptrons."""
    return _csnn((11_758, 519_000, 10), {"num_layers": 2, "learner_layers": 0})


def _csnn(size: tuple[int, int, int], options: dict[str, Any]) -> Benchmark:
    return Benchmark(
        **_csnn_steps(size, options),
        against="products of maps and stalks per edge, PyG's GraphSAGE as learner",
        rounds=3,
        tolerance=2e-3,
        details=lambda: {
            f"{whose}_megabytes": extra_memory(_warm_and_run_csnn, whose, size, options)
            for whose in ("ours", "opponent")
        },
    )


def _plain_bunn(model: BuNN, data: Data) -> Tensor:
    """BuNN as the official code computes it: a matrix for each node and bundle, messages along edges."""
    (v, u), n = data.edge_index, data.num_nodes
    degree = torch.zeros(n).index_add_(0, v, torch.ones(data.num_edges))
    scale = degree.clamp(min=1).rsqrt()
    weight = (scale[v] * scale[u])[:, None]

    def sums(x: Tensor, weight: Tensor | None = None) -> Tensor:
        return torch.zeros_like(x).index_add(0, v, x[u] if weight is None else x[u] * weight)

    def learned(network: Any, h: Tensor) -> Tensor:
        if model.learner_layers == 0:
            return network(h)
        h = torch.nn.functional.gelu(network.lin_in(h))
        for norm, module in zip(network.norms, network.layers):
            x = norm(h)
            h = h + module.feed_forward_module(torch.cat([x, sums(x) / degree.clamp(min=1)[:, None]], dim=1))
        return network.lin_out(network.norms[-1](h))

    h = model.encode(data)
    for layer in model.layers:
        angle = learned(layer.learner, h)
        cos, sin = angle.cos(), angle.sin()
        maps = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
        x = layer.bundle.norm(h)
        power = total = (maps @ x.view(n, model.num_bundles, 2, -1)).flatten(1)
        for k in range(1, model.max_degree + 1):
            power = -model.tau / k * (power - sums(power, weight))
            total = total + power
        out = layer.bundle.ffn(torch.cat([x, total], dim=1)).view(n, model.num_bundles, 2, -1)
        h = h + (maps.mT @ out).flatten(1)
    return model.lin_out(model.norm(h))


@benchmark("bunn_layers", goal=3.0, of="BuNN")
def bunn_layers() -> Benchmark:
    """BuNN, two Taylor layers, forward and backward, of minesweeper's size and width 512, maps from a perceptron."""
    data = _graph(10_000, 39_402, 7)
    model = BuNN(7, 512, out_channels=1, num_bundles=256, learner_layers=0)
    weights = list(model.parameters())
    return Benchmark(
        ours=lambda: with_gradients(model(data), *weights),
        opponent=lambda: with_gradients(_plain_bunn(model, data), *weights),
        against="a matrix per node and bundle, gather and index_add",
        rounds=3,
        tolerance=2e-3,
    )


@benchmark("bunn_shared_learner", goal=3.0, of="BuNN")
def bunn_shared_learner() -> Benchmark:
    """BuNN, eight Taylor layers of width 128, forward and backward, minesweeper's size: one learner for all layers."""
    data = _graph(10_000, 39_402, 7)
    sizes = {"num_layers": 8, "out_channels": 1, "num_bundles": 64, "learner_layers": 8}
    ours, theirs = BuNN(7, 128, **sizes, learner="shared"), BuNN(7, 128, **sizes)

    def run(output: Tensor, model: BuNN) -> None:
        with_gradients(output, *model.parameters())

    return Benchmark(
        ours=lambda: run(ours(data), ours),
        opponent=lambda: run(_plain_bunn(theirs, data), theirs),
        against="a learner per layer, a matrix per node and bundle, gather and index_add",
        rounds=3,
    )


Size = tuple[int, int, int, int]  # nodes, undirected edges, features, classes


def _steps(maps: str, size: Size, options: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """Forward and backward pass, ours and the opponent's, with the same weights."""
    num_nodes, num_pairs, num_features, num_classes = size
    data = _graph(num_nodes, num_pairs, num_features)
    model = SheafDiffusion(num_features, 32, 5, num_classes, maps=maps, **options)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return {
        "ours": lambda: with_gradients(model(data), *parameters),
        "opponent": lambda: with_gradients(_plain(model, data), *parameters),
    }


def _warm_and_run(
    whose: str, maps: str, size: Size, options: dict[str, Any]
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    small = (20, 30, *size[2:])
    return _steps(maps, small, options)[whose], _steps(maps, size, options)[whose]


def _register(name: str, maps: str, size: Size, goal: float, **options: Any) -> None:
    num_nodes, num_pairs, num_features, _ = size

    def make() -> Benchmark:
        return Benchmark(
            **_steps(maps, size, options),
            against="plain gather and index_add",
            rounds=5,
            tolerance=2e-3,
            details=lambda: {
                f"{whose}_megabytes": extra_memory(_warm_and_run, whose, maps, size, options)
                for whose in ("ours", "opponent")
            },
        )

    make.__doc__ = (
        f"SheafDiffusion ({maps}), forward and backward: {num_nodes} nodes, {num_pairs} undirected edges, "
        f"{num_features} features, stalks of {options['stalk_dim']} x 32, 5 layers."
    )
    benchmark(name, goal=goal, of="SheafDiffusion")(make)


def _set_up(size: Size) -> Benchmark:
    """Index set-up of a graph of 2277 nodes and 31371 undirected edges for bundles of dimension 4."""
    from graphkit.nn.sheaf.pattern import sheaf_pattern

    edge_index = _graph(*size[:2], 1).edge_index

    def ours() -> None:
        graph = sheaf.sheaf_graph(edge_index.clone(), size[0])
        sheaf_pattern(graph, 4, "bundle", 1)

    def loop() -> None:
        position = {pair: e for e, pair in enumerate(zip(*edge_index.tolist()))}
        reverse = [position[u, v] for v, u in position]
        rows = [(v * 5 + i, u * 5 + j) for v, u in position for i in range(4) for j in range(4)]
        torch.tensor(reverse), torch.tensor(rows)

    return Benchmark(ours=ours, opponent=loop, against="Python loops over edges", rounds=5)


SMALL, LARGE = (2277, 31_371, 2325, 5), (22_662, 32_927, 300, 18)
for _maps in ("diag", "bundle", "general"):
    _register(f"sheaf_{_maps}", _maps, SMALL, 2.0, stalk_dim=4, low_pass=True, second_linear=True)
    _register(f"sheaf_{_maps}_sparse_graph", _maps, LARGE, 1.5, stalk_dim=3)
_make = functools.partial(_set_up, SMALL)
_make.__doc__ = _set_up.__doc__
benchmark("sheaf_set_up", goal=5.0, of="SheafDiffusion")(_make)
