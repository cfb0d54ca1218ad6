"""Embeddings of large graphs: ``python -m benchmarks.scale [names]`` writes seconds and peak memory of each.

One process per point and one thread, so that the processor's seconds are those of a machine with nothing else to do;
its peak resident memory minus what it held before (Linux).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.speed.common import environment, extra_memory, random_graph
from graphkit.algorithms import fastrp, netmf, node2vec
from graphkit.core.files import write_json

RESULTS = Path(__file__).parent / "results" / "scale"


def _graph(num_nodes: int, num_edges: int) -> torch.Tensor:
    edges = random_graph(num_nodes, num_edges // 2)
    return torch.cat([edges, edges.flip(0)], dim=1)


POINTS: dict[str, tuple[str, int, int, Callable[[torch.Tensor, int], object]]] = {
    "netmf": (
        "NetMF, 128 channels: 20,000 nodes, 320,000 directed edges",
        20_000,
        320_000,
        lambda edges, n: netmf(edges, num_nodes=n),
    ),
    "fastrp": (
        "FastRP, 128 channels, 4 powers: a million nodes, 10 million directed edges",
        1_000_000,
        10_000_000,
        lambda edges, n: fastrp(edges, num_nodes=n),
    ),
    "deepwalk": (
        "DeepWalk, 32 channels, a walk of 10 nodes from each node: a million nodes, 10 million directed edges",
        1_000_000,
        10_000_000,
        lambda edges, n: node2vec(edges, num_nodes=n, dim=32, walk_length=10, walks_per_node=1, progress=True),
    ),
}


def runs(name: str) -> tuple[Callable[[], object], Callable[[], None]]:
    """What pays for imports and compilation on a small graph, and the run, which writes its seconds."""
    what, num_nodes, num_edges, embed = POINTS[name]
    edges = _graph(num_nodes, num_edges)

    def timed() -> None:
        wall, processor = time.perf_counter(), time.process_time()
        embed(edges, num_nodes)
        seconds = {"seconds": time.perf_counter() - wall, "processor_seconds": time.process_time() - processor}
        write_json(RESULTS / f"{name}.json", {"what": what, **seconds})

    return lambda: embed(_graph(100, 1000), 100), timed


def main(names: list[str]) -> None:
    """Measure the points, each in a process of its own."""
    torch.set_num_threads(1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in names or POINTS:
        megabytes = extra_memory(runs, name)
        file = RESULTS / f"{name}.json"
        content = {**json.loads(file.read_text()), "megabytes": megabytes}
        command = f"python -m benchmarks.scale {name}"
        write_json(file, content | environment() | {"command": command})
        print(f"{name:<10}{content['processor_seconds']:>8.1f} s {megabytes:>8.0f} MiB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
