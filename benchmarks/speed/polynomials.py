"""Equivariant polynomials against dense contraction; PPGN++ against padded 1x1 convolutions.

Of our step of PPGN++ 61 % are the dense products of its perceptrons, of which none multiplies a padded row, and 16 %
the products of pairs. The padded step takes 2.3 times as long: no ratio can pass 3.8.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import networkx as nx
import numpy as np
import torch
from scipy.sparse import coo_array, csr_array
from torch import Tensor
from torch_geometric.data import Batch, Data

from benchmarks.speed.common import Benchmark, benchmark, extra_memory
from graphkit.algorithms import PPGN_CHANNELS, Multigraph, connected_multigraphs, equivariant_polynomials
from graphkit.models import PPGNpp

LETTERS = "abcdefgh"


def _gnm(num_nodes: int, num_edges: int) -> csr_array:
    return csr_array(nx.to_scipy_sparse_array(nx.gnm_random_graph(num_nodes, num_edges, seed=0), dtype=float))


def _large(num_nodes: int, num_edges: int) -> csr_array:
    """A uniform random graph; drawing it with networkx would take longer than the benchmark."""
    rng = np.random.default_rng(0)
    ends = np.unique(np.sort(rng.integers(0, num_nodes, (2, num_edges + num_edges // 50)), axis=0), axis=1)
    ends = ends[:, ends[0] != ends[1]]
    ends = ends[:, rng.permutation(ends.shape[1])[:num_edges]]
    half = coo_array((np.ones(num_edges), tuple(ends)), (num_nodes, num_nodes))
    return csr_array(half + half.T)


def _einsum(adjacency: Tensor, h: Multigraph) -> Tensor:
    """One dense contraction in torch's order, from left to right where opt_einsum is missing."""
    terms = ",".join(LETTERS[u] + LETTERS[v] for u, v in h.edges)
    return torch.einsum(f"{terms}->{''.join(LETTERS[pin] for pin in h.pins)}", *[adjacency] * h.degree)


def _dense(values: list) -> tuple[Tensor, ...]:
    return tuple(torch.as_tensor(v.toarray() if hasattr(v, "toarray") else v) for v in values)


def _channels(num_nodes: int, num_edges: int, **more: object) -> Benchmark:
    sparse = _gnm(num_nodes, num_edges)
    adjacency = torch.from_numpy(sparse.toarray())
    return Benchmark(
        ours=lambda: _dense(equivariant_polynomials(sparse, PPGN_CHANNELS)),
        opponent=lambda: tuple(_einsum(adjacency, h) for h in PPGN_CHANNELS),
        against="dense torch.einsum per channel (the official code, elsewhere: 48.6 s and 4.2 GB for 150 nodes)",
        tolerance=1e-12,
        **more,  # type: ignore[arg-type]
    )


def _seconds(run: Callable[[], object]) -> float:
    run()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


@benchmark("polynomials_12", goal=100.0, of="PPGNPolynomials")
def polynomials_12() -> Benchmark:
    """The twelve polynomials that PPGN lacks, dense results: gnm(60, 120); 150 and 2000 nodes in the details."""
    larger = {n: _gnm(n, 2 * n) for n in (150, 2000)}
    return _channels(
        60,
        120,
        rounds=5,
        details=lambda: {
            f"ours_seconds_{n}_nodes": _seconds(lambda g=g: _dense(equivariant_polynomials(g, PPGN_CHANNELS)))  # type: ignore[misc]
            for n, g in larger.items()
        },
    )


def _node_channels(sparse: csr_array, degree: int) -> Tensor:
    return torch.from_numpy(np.stack(equivariant_polynomials(sparse, connected_multigraphs(degree, 1))))


def _degree_6() -> tuple[Callable[[], object], Callable[[], object]]:
    graphs = _large(1000, 5000), _large(100_000, 500_000)
    warm, run = (lambda g=g: _node_channels(g, 6) for g in graphs)  # type: ignore[misc]
    return warm, run


@benchmark("polynomials_nodes", goal=20.0, of="EquivariantPolynomials")
def polynomials_nodes() -> Benchmark:
    """All 58 node polynomials of degree up to 5: gnm(400, 1200); 100k nodes in the details."""
    sparse = _large(400, 1200)
    adjacency = torch.from_numpy(sparse.toarray())

    def opponent() -> Tensor:
        basis = connected_multigraphs(5, 1)
        return torch.from_numpy(
            np.stack(
                [
                    np.einsum(
                        ",".join(LETTERS[u] + LETTERS[v] for u, v in h.edges) + "->" + LETTERS[h.pins[0]],
                        *[adjacency.numpy()] * h.degree,
                        optimize="greedy",
                    )
                    for h in basis
                ]
            )
        )

    def details() -> dict[str, float]:
        middle, large = _large(100_000, 300_000), _large(100_000, 500_000)
        start = time.perf_counter()
        _node_channels(large, 6)
        return {
            "ours_seconds_degree_6_100k_500k": time.perf_counter() - start,
            "ours_megabytes_degree_6_100k_500k": extra_memory(_degree_6),
            "ours_seconds_degree_5_100k_300k": _seconds(lambda: _node_channels(middle, 5)),
        }

    return Benchmark(
        ours=lambda: _node_channels(sparse, 5),
        opponent=opponent,
        against="dense numpy.einsum per polynomial in a greedy order",
        rounds=5,
        tolerance=1e-12,
        details=details,
    )


# ---------------------------------------------------------------------- training step

HIDDEN, DEPTH, GRAPHS = 95, 2, 128


def _molecules() -> Batch:
    """Graphs of 12 to 37 nodes, as ZINC has them."""
    rng = np.random.default_rng(0)
    graphs = []
    for seed in range(GRAPHS):
        n = int(np.clip(rng.normal(23, 4.5), 12, 37))
        edges = torch.tensor(list(nx.gnm_random_graph(n, n + 2, seed=seed).edges)).t()
        graphs.append(Data(x=torch.ones(n, 1), edge_index=torch.cat([edges, edges.flip(0)], dim=1)))
    return Batch.from_data_list(graphs)


def _padded(model: PPGNpp, batch: Batch) -> Tensor:
    """The same network as 1x1 convolutions of padded matrices."""
    sizes = batch.ptr.diff()
    inside = torch.arange(int(sizes.max())) < sizes.unsqueeze(1)
    mask = inside.unsqueeze(2) & inside.unsqueeze(1)
    x = torch.zeros(*mask.shape, 2)
    x[mask] = model.encode(batch)
    x, mask, n = x.permute(0, 3, 1, 2).contiguous(), mask.unsqueeze(1), sizes.view(-1, 1)

    def convolve(layer: torch.nn.Module, x: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(x, layer.weight[:, :, None, None], layer.bias)

    def mlp(layers: torch.nn.Sequential, x: Tensor) -> Tensor:
        return convolve(layers[2], convolve(layers[0], x).relu()).relu()

    identity = torch.eye(x.size(3)).expand(x.size(0), 1, -1, -1)
    for block in model.layers:
        x = torch.cat([x, identity], dim=1)
        product = (mlp(block.mlp1, torch.cat([x, x.transpose(2, 3)], dim=1)) * mask) @ (mlp(block.mlp2, x) * mask)
        x = convolve(block.skip, torch.cat([x, product], dim=1)) * mask
    trace = x.diagonal(dim1=2, dim2=3).sum(2)
    return model.head(torch.cat([trace / n, (x.sum((2, 3)) - trace) / (n * (n - 1))], dim=1))


@benchmark("ppgnpp", goal=2.2, of="PPGNpp")
def ppgnpp() -> Benchmark:
    """PPGN++ (2 blocks of width 95), forward and backward: 128 molecule-like graphs of 12 to 37 nodes, as in ZINC."""
    batch = _molecules()
    torch.manual_seed(0)
    model = PPGNpp(1, HIDDEN, DEPTH, 1, readout="mean")
    parameters = list(model.parameters())

    def step(forward: Callable[[], Tensor]) -> tuple[Tensor, ...]:
        out = forward()
        return out.detach(), *torch.autograd.grad(out.square().mean(), parameters)[:2]

    return Benchmark(
        ours=lambda: step(lambda: model(batch)),
        opponent=lambda: step(lambda: _padded(model, batch)),
        against="1x1 convolutions of padded matrices, as in the official code",
        rounds=3,
        tolerance=1e-2,  # float32 through many products; tests compare in double precision
    )
