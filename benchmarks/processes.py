"""Several processes on one machine: ``python -m benchmarks.processes`` writes ``results/scale/processes.json``.

A GCN is trained on sampled subgraphs of a graph of 500,000 nodes and 10 million directed edges in mapped files, by one
process and by as many as the machine has cores (up to two), a thread each, in turn. What counts are roots per second of
all processes together, the best of three rounds. Nothing else may run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

import graphkit as gk
from benchmarks.mapped import BATCH, FANOUTS, Watch, edges, nodes
from benchmarks.speed.common import environment
from graphkit.core.files import write_json

RESULTS = Path(__file__).parent / "results" / "scale"
NODES, PAIRS, ROOTS, EPOCHS, ROUNDS = 500_000, 5_000_000, 50_000, 3, 3


def train(folder: Path, devices: int) -> None:
    """Train in so many processes; the first prints roots per second of the fastest epoch after the first one."""
    torch.set_num_threads(1)
    ids = torch.randperm(NODES, generator=torch.Generator().manual_seed(0))[: ROOTS + 2000]
    split = gk.Split("some", *ids.split([ROOTS, 1000, 1000]))
    task = gk.NodeTask("mapped", gk.MappedGraph(folder), split).sampled(gk.samplers.NeighborSampler(FANOUTS))
    model, watch = gk.models.GCN.from_task(task, hidden_channels=64, num_layers=2), Watch()
    settings: dict[str, Any] = {"max_epochs": EPOCHS, "validate_every": EPOCHS, "batch_size": BATCH // devices}
    gk.Trainer(**settings, devices=devices, accelerator="cpu", callbacks=[watch], progress=False).fit(model, task)
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(ROOTS / min(watch.seconds[1:-1]))


def main() -> None:
    """Write the graph, train in turn, print and write the result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.processes", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="print only")
    parser.add_argument("--train", nargs=2, metavar=("FOLDER", "DEVICES"), help="what the processes are started with")
    arguments = parser.parse_args()
    if arguments.train:
        train(Path(arguments.train[0]), int(arguments.train[1]))
        return
    rates: dict[int, list[float]] = {1: [], min(2, os.cpu_count() or 1): []}
    with tempfile.TemporaryDirectory() as scratch:
        folder = str(Path(scratch) / "graph")
        gk.datasets.map_graph(folder, edges(NODES, PAIRS), nodes(NODES))
        for _ in range(ROUNDS):
            for count, found in rates.items():
                command = [sys.executable, "-m", "benchmarks.processes", "--train", folder, str(count)]
                run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                found.append(float(run.stdout.split()[-1]))
                print(f"{count} processes: {found[-1]:.0f} roots per second", flush=True)
    one, several = (max(found) for found in rates.values())
    content = {"processes": max(rates), "roots_per_second": {"one": one, "several": several}, "ratio": several / one}
    print(f"ratio {content['ratio']:.2f}")
    if not arguments.dry_run:
        RESULTS.mkdir(parents=True, exist_ok=True)
        write_json(RESULTS / "processes.json", content | environment() | {"command": "python -m benchmarks.processes"})


if __name__ == "__main__":
    main()
