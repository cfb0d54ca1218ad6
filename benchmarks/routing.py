"""Routing learned on one graph, on graphs that it never saw: ``python -m benchmarks.routing`` writes the table.

A small perceptron is trained on each of five graphs of 50 nodes; the one that routes best on its own graph is tried,
beside greedy forwarding and the authors' rule, on unit-disk graphs and spanners of 100 to 2000 nodes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

import graphkit as gk
from benchmarks.speed.common import environment
from graphkit.algorithms import Routes, greedy_forwarding, greedy_tensile, route

RESULTS = Path(__file__).parent / "results" / "routing"
SEEDS, EPOCHS, HIDDEN, LR, PAIRS = 5, 3000, 32, 0.01, 150
SIZES, FAMILIES, GRAPHS, PACKETS = (100, 500, 2000), ("unit-disk", "spanner"), 3, 1000


def trained(seed: int) -> tuple[float, gk.models.MLP]:
    """A policy learned on one graph, and its share of ways near the shortest there."""
    task = gk.load("routing", num_pairs=PAIRS, seed=seed)
    torch.manual_seed(seed)
    model = gk.models.MLP.from_task(task, hidden_channels=HIDDEN, num_layers=3)
    schedule = {"scheduler": "CosineAnnealingLR", "scheduler_kwargs": {"T_max": EPOCHS}}
    gk.Trainer(EPOCHS, lr=LR, weight_decay=0.0, seed=seed, progress=False, accelerator="cpu", **schedule).fit(
        model, task
    )
    own = gk.datasets.load_graphs("geometric", num_graphs=2, seed=seed)[0]
    return route(own.edge_index, own.pos, model.eval()).near_shortest(), model


def measures(routes: list[Routes]) -> dict[str, float]:
    """Means over graphs."""
    names = {
        "delivery": lambda r: r.delivery,
        "near shortest": lambda r: r.near_shortest(),
        "stretch": lambda r: r.stretch,
    }
    return {name: sum(map(of, routes)) / len(routes) for name, of in names.items()}


def main() -> None:
    """Train, print the table and, unless told otherwise, write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.routing", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="print only")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    runs = [trained(seed) for seed in range(SEEDS)]
    best = max(range(SEEDS), key=lambda seed: runs[seed][0])
    policies = {"greedy forwarding": greedy_forwarding, "greedy tensile": greedy_tensile, "learned": runs[best][1]}
    rows: list[dict[str, Any]] = []
    for family in FAMILIES:
        for size in SIZES:
            graphs = gk.datasets.load_graphs("geometric", num_graphs=GRAPHS, num_nodes=size, family=family, seed=1000)
            generator = torch.Generator().manual_seed(0)
            origin = torch.randint(size, (PACKETS,), generator=generator)
            pairs = torch.stack([origin, (origin + torch.randint(1, size, (PACKETS,), generator=generator)) % size])
            for name, policy in policies.items():
                found = measures([route(graph.edge_index, graph.pos, policy, pairs) for graph in graphs])
                rows.append({"family": family, "nodes": size, "policy": name, **found})
                print(
                    f"{family:<12}{size:>6}  {name:<20}" + "".join(f"{value:>8.3f}" for value in found.values()),
                    flush=True,
                )
    if not arguments.dry_run:
        RESULTS.mkdir(parents=True, exist_ok=True)
        content = {
            "rows": rows,
            "own graph": [near for near, _ in runs],
            "chosen": best,
            "graphs": GRAPHS,
            "packets": PACKETS,
        }
        told = environment() | {"command": "python -m benchmarks.routing"}
        (RESULTS / "unseen.json").write_text(json.dumps(content | told, indent=2) + "\n")


if __name__ == "__main__":
    main()
