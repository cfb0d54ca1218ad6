"""Measure the kernels on the GPU that is here, with several sizes of tiles: ``python -m benchmarks.tiles``.

Each line has an operation, forward and back: the milliseconds that it takes torch alone, those with the sizes chosen on
paper (:mod:`graphkit.ops.triton.tiles`), and the least with the sizes that took these. Where one pair of sizes wins
everywhere, ``NUMBERS`` and ``WARPS`` are what to change.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
import triton.testing
from torch import Tensor

from graphkit import ops
from graphkit.ops import Scores, backend
from graphkit.ops.triton import tiles

SIZES = list(itertools.product((128, 256, 512, 1024), (1, 2, 4)))
WIDTHS = 16, 64, 256
Operation = tuple[Callable[..., Tensor], list[Tensor]]


def operations(edges: Tensor, size: tuple[int, int], width: int, dtype: torch.dtype) -> dict[str, Operation]:
    """Each operation that has kernels, with the inputs of which it is a function."""
    (sources, targets), count = size, edges.size(1)
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(edges.device, dtype)

    def attend(target: Tensor, source: Tensor) -> Tensor:
        return ops.attention(edges, Scores.dot(target, source), source, size=size)

    def additive(target: Tensor, source: Tensor, value: Tensor) -> Tensor:
        return ops.attention(edges, Scores.additive(target, source), value, dropout=0.5, size=size)

    def given(scores: Tensor, value: Tensor, of_edges: Tensor) -> Tensor:
        return ops.attention(edges, Scores.given(scores), value, of_edges, size=size)

    x, heads = draw(sources, width), draw(sources, 2, width)
    return {
        "product": (lambda x, w: ops.spmm(edges, x, w, size=size), [x, draw(count)]),
        "max": (lambda x, w: ops.spmm(edges, x, w, reduce="max", size=size), [x, draw(count)]),
        "gated mean": (lambda a, x: ops.gated_mean(edges, a, x, x, size=size), [draw(targets, width), x]),
        "blocks": (lambda b, x: ops.block_spmm(edges, b, x, size=size), [draw(count, 2, 3), draw(sources, 3, width)]),
        "dot attention": (attend, [draw(targets, 2, width), heads]),
        "additive attention": (additive, [draw(targets, 2), draw(sources, 2), heads]),
        "given scores": (given, [draw(count, 2), heads, draw(count, 2, width)]),
    }


def milliseconds(operation: Operation, name: str) -> float:
    """The median time of an operation, forward and back, by a backend."""
    function, inputs = operation
    leaves = [x.requires_grad_() for x in inputs]

    def run() -> None:
        torch.autograd.grad(function(*leaves).sum(), leaves)

    with backend.use_backend(name):
        return triton.testing.do_bench(run, return_mode="median")


def best(operation: Operation) -> tuple[float, tuple[int, int]]:
    """The least time over all sizes, and which took it."""
    on_paper, found = (tiles.NUMBERS, tiles.WARPS), []
    try:
        for size in SIZES:
            tiles.NUMBERS, tiles.WARPS = size
            found.append((milliseconds(operation, "triton"), size))
    finally:
        tiles.NUMBERS, tiles.WARPS = on_paper
    return min(found)


def main(device: str = "cuda", nodes: int = 100_000, edges: int = 2_000_000) -> None:
    """Measure everything on a graph of random edges."""
    if not torch.cuda.is_available() and device == "cuda":
        raise SystemExit("tiles: there is no CUDA device to measure")
    generator = torch.Generator().manual_seed(0)
    graph: Any = torch.randint(nodes, (2, edges), generator=generator).to(device)
    print(f"{'operation':<20}{'width':>6}{'torch':>10}{'paper':>10}{'best':>10}  numbers, warps")
    for width in WIDTHS:
        for name, operation in operations(graph, (nodes, nodes), width, torch.float32).items():
            plain, paper = (milliseconds(operation, kind) for kind in ("torch", "triton"))
            least, size = best(operation)
            print(f"{name:<20}{width:>6}{plain:>10.3f}{paper:>10.3f}{least:>10.3f}  {size[0]}, {size[1]}", flush=True)


if __name__ == "__main__":
    main()
