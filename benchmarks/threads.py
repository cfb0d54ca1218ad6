"""How operations scale: ``python -m benchmarks.threads`` times each with one thread and with two, forward and backward.

Runs of both are interleaved and the fastest of each counts; their results are compared bit by bit. A machine whose
cores are busy with something else shows less than it can.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.speed.common import environment, random_graph, with_gradients
from graphkit import ops
from graphkit.algorithms import SubgraphSource
from graphkit.ops import Scores

RESULTS = Path(__file__).parent / "results" / "threads"
NODES, EDGES, HEADS, CHANNELS, ROUNDS = 100_000, 1_000_000, 8, 8, 7
THREADS = (1, 2)

Call = Callable[[], tuple[Tensor, ...]]


def calls() -> dict[str, Call]:
    """What is timed, by name: operations on 100k nodes and 1M edges, 64 channels or 8 heads of 8."""
    torch.manual_seed(0)
    edges = random_graph(NODES, EDGES)
    x, y, z = (torch.randn(NODES, HEADS * CHANNELS).requires_grad_() for _ in range(3))
    query, key, value = (part.detach().view(NODES, HEADS, CHANNELS).requires_grad_() for part in (x, y, z))
    ends = [torch.randn(NODES, HEADS).requires_grad_() for _ in range(2)]
    logits, weight = torch.randn(EDGES, HEADS).requires_grad_(), torch.rand(EDGES).requires_grad_()
    source, roots = SubgraphSource(edges, NODES), torch.arange(0, NODES, 100)

    def additive() -> tuple[Tensor, ...]:
        return with_gradients(ops.attention(edges, Scores.additive(*ends), value), *ends, value)

    def dot() -> tuple[Tensor, ...]:
        return with_gradients(ops.attention(edges, Scores.dot(query, key), value), query, key, value)

    return {
        "sum": lambda: with_gradients(ops.spmm(edges, x), x),
        "weighted sum": lambda: with_gradients(ops.spmm(edges, x, weight), x, weight),
        "max": lambda: with_gradients(ops.spmm(edges, x, reduce="max"), x),
        "sampled product": lambda: with_gradients(ops.sddmm(edges, x, y), x, y),
        "softmax": lambda: with_gradients(ops.softmax(logits, edges[1], dim_size=NODES), logits),
        "gated mean": lambda: with_gradients(ops.gated_mean(edges, x, y, z), x, y, z),
        "attention, additive": additive,
        "attention, dot product": dot,
        "neighbourhoods": lambda: (source.neighbors(roots, [10, 10]).edge_index,),
    }


def measure(call: Call) -> dict[str, float | bool]:
    """The fastest seconds by number of threads, and whether all results have the same bits."""
    seconds, results = dict.fromkeys(THREADS, float("inf")), {}
    for _ in range(1 + ROUNDS):  # the first of each pays for what is cached
        for threads in THREADS:
            torch.set_num_threads(threads)
            start = time.perf_counter()
            results[threads] = call()
            seconds[threads] = min(seconds[threads], time.perf_counter() - start)
    first, *others = results.values()
    same = all(torch.equal(mine, its) for other in others for mine, its in zip(first, other, strict=True))
    return {**{f"{threads} threads": value for threads, value in seconds.items()}, "bit-equal": same}


def main() -> None:
    """Print the table and, unless told otherwise, write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.threads", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="print only")
    arguments = parser.parse_args()
    table = {}
    print(f"{'seconds, forward and backward':<30}{'1 thread':>10}{'2 threads':>10}{'ratio':>8}  bits")
    for name, call in calls().items():
        row = table[name] = measure(call)
        one, two = (row[f"{threads} threads"] for threads in THREADS)
        print(f"{name:<30}{one:>10.3f}{two:>10.3f}{one / two:>7.2f}x  {'same' if row['bit-equal'] else 'DIFFERENT'}")
    if not arguments.dry_run:
        RESULTS.mkdir(parents=True, exist_ok=True)
        content = {"seconds": table, "rounds": ROUNDS} | environment() | {"command": "python -m benchmarks.threads"}
        (RESULTS / "threads.json").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
