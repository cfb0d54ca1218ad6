"""Training on a graph in memory-mapped files: ``python -m benchmarks.mapped`` writes ``results/scale/mapped.json``.

A graph with planted classes is generated in blocks and written into a folder (3.4 GB for the default of 20 million
nodes, 200 million edges and 64 features of 16 bits). Then a GCN is trained on subgraphs of it in a process of its own,
from the files and, beside it, with the same arrays copied into memory, in turn; the first epoch from files that the
system has been told to forget. One thread. Rates are the best of three rounds; peak memory is the largest resident
size, mapped pages included (Linux).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import graphkit as gk
from benchmarks.speed.common import environment
from graphkit.core.files import write_json

RESULTS = Path(__file__).parent / "results" / "scale"
CLASSES, FEATURES, BLOCK, WITHIN = 8, 64, 1 << 20, 0.7
ROOTS, BATCH, FANOUTS, EPOCHS, ROUNDS = 50_000, 1024, [10, 10], 4, 3


def nodes(num_nodes: int) -> Iterator[dict[str, np.ndarray]]:
    """Features around the centre of a node's class, which is its number modulo that of classes."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CLASSES, FEATURES)).astype(np.float32)
    for start in range(0, num_nodes, BLOCK):
        y = np.arange(start, min(start + BLOCK, num_nodes)) % CLASSES
        noise = rng.standard_normal((y.size, FEATURES), dtype=np.float32)
        yield {"x": (centres[y] + 8 * noise).astype(np.float16), "y": y.astype(np.uint8)}


def edges(num_nodes: int, num_pairs: int) -> Iterator[np.ndarray]:
    """Pairs of nodes, most of the same class, whose degrees are far from equal."""
    rng = np.random.default_rng(1)
    for start in range(0, num_pairs, BLOCK):
        size = min(BLOCK, num_pairs - start)
        first = rng.integers(num_nodes, size=size)
        offset = np.where(rng.random(size) < WITHIN, 0, rng.integers(CLASSES, size=size))
        place = (rng.random(size) ** 2 * (num_nodes // CLASSES)).astype(np.int64)
        yield np.stack([first, place * CLASSES + (first + offset) % CLASSES])


def write(folder: Path, num_nodes: int, num_pairs: int) -> dict[str, float]:
    """Generate and write the graph."""
    start = time.perf_counter()
    graph = gk.datasets.map_graph(folder, edges(num_nodes, num_pairs), nodes(num_nodes))
    return {"seconds": time.perf_counter() - start, "edges": graph.num_edges}


class Watch(gk.Callback):
    """The seconds of each epoch."""

    def on_fit_start(self, state: Any) -> None:
        self.seconds: list[float] = []

    def on_epoch_start(self, state: Any) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, state: Any) -> None:
        self.seconds.append(time.perf_counter() - self._start)


def train(folder: Path, in_memory: bool) -> dict[str, float]:
    """Roots per second while training, in the first epoch and later ones, and while only drawing subgraphs."""
    graph = gk.MappedGraph(folder)
    if in_memory:
        graph.x, graph.y = graph.x.clone(), graph.y.clone()
        graph.structure.rowptr, graph.structure.col = graph.structure.rowptr.clone(), graph.structure.col.clone()
    ids = torch.randperm(graph.num_nodes, generator=torch.Generator().manual_seed(0))[: ROOTS + ROOTS // 5]
    split = gk.Split("some", *ids.split([ROOTS, ROOTS // 10, ROOTS // 10]))
    sampler = gk.samplers.NeighborSampler(FANOUTS)
    task = gk.NodeTask("mapped", graph, split).sampled(sampler)
    model, watch = gk.models.GCN.from_task(task, hidden_channels=64, num_layers=2), Watch()
    settings = {"max_epochs": EPOCHS, "validate_every": EPOCHS, "batch_size": BATCH, "progress": False}
    result = gk.Trainer(**settings, accelerator="cpu", callbacks=[watch]).fit(model, task)
    start = time.perf_counter()
    for _ in sampler.batches(graph, split.train, BATCH, shuffle=True):
        pass
    return {
        "first_epoch": ROOTS / watch.seconds[0],
        "later_epochs": ROOTS / min(watch.seconds[1:-1]),  # the last one is validated
        "drawn": ROOTS / (time.perf_counter() - start),
        "accuracy": result.test,
    }


def alone(run: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    """What a function returns in a fresh process, and the peak of its memory."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_watched, (run, arguments))


def _watched(run: Callable[..., dict[str, float]], arguments: tuple[Any, ...]) -> dict[str, float]:
    torch.set_num_threads(1)
    found = run(*arguments)
    return found | {"peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def forget(folder: Path) -> None:
    """Tell the system to keep nothing of the files in memory."""
    for path in folder.glob("*.npy"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    """Write the graph, train in turn, print and write the result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mapped", description=__doc__)
    parser.add_argument("--nodes", type=int, default=20_000_000, help="number of nodes")
    parser.add_argument("--pairs", type=int, default=100_000_000, help="number of pairs, each two directed edges")
    parser.add_argument("--folder", type=Path, help="keep the graph here, and use what is there (default: do not)")
    parser.add_argument("--dry-run", action="store_true", help="print only")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch) / "graph"
        content: dict[str, Any] = {"nodes": arguments.nodes, "features": FEATURES, "dtype": "float16"}
        if not folder.exists():
            content["written"] = alone(write, folder, arguments.nodes, arguments.pairs)
            print(content["written"], flush=True)
        content["edges"] = gk.MappedGraph(folder).num_edges
        content["bytes"] = sum(path.stat().st_size for path in folder.iterdir())
        rounds: dict[str, list[dict[str, float]]] = {"mapped": [], "in_memory": []}
        for _ in range(ROUNDS):
            for name, found in rounds.items():
                forget(folder)
                found.append(alone(train, folder, name == "in_memory"))
                print(name, found[-1], flush=True)
    for name, found in rounds.items():
        content[name] = {key: max(each[key] for each in found) for key in found[0]}
    content["ratio"] = content["mapped"]["later_epochs"] / content["in_memory"]["later_epochs"]
    if not arguments.dry_run:
        RESULTS.mkdir(parents=True, exist_ok=True)
        write_json(RESULTS / "mapped.json", content | environment() | {"command": "python -m benchmarks.mapped"})


if __name__ == "__main__":
    main()
