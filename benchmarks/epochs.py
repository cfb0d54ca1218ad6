"""Where an epoch's time goes on small graphs: ``python -m benchmarks.epochs`` prints a table and writes it.

Calls into the model, torch and metrics are timed, each without what it calls in turn; what is left of a run is the
trainer's own: modes and hooks, batches, the rows that are judged, records. It is processor time, since a busy machine
would count in any other; a clock around a call costs about a microsecond, which counts as what surrounds it.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch_geometric.data import Data

import graphkit as gk
from benchmarks.speed.common import environment
from graphkit.metrics.columns import ColumnMetric
from graphkit.tasks.collate import Collator
from graphkit.tasks.scoring import Scoring
from graphkit.training.engine import Engine

RESULTS = Path(__file__).parent / "results" / "epochs"
EPOCHS, ROUNDS, HIDDEN = 60, 3, 16
PARTS: dict[str, list[tuple[Any, str]]] = {
    "model": [(Engine, "forward")],
    "backward pass": [(torch.autograd, "backward")],
    "optimizer": [(torch.optim.Adam, "step"), (torch.optim.Optimizer, "zero_grad")],
    "loss": [(Scoring, "loss_of")],
    "batches of graphs": [(Collator, "batch")],
    "metric": [(metric, name) for metric in (gk.metrics.Accuracy, ColumnMetric) for name in ("update", "compute")],
}
OWN = "the trainer's own"


class Clock:
    """Processor seconds by part, each without those of the parts that it calls."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._inner = [0.0]  # what the calls that are running have spent in others

    def timed(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, whose time is added to a part."""

        @functools.wraps(call)
        def run(*args: Any, **kwargs: Any) -> Any:
            self._inner.append(0.0)
            start = time.thread_time()
            try:
                return call(*args, **kwargs)
            finally:
                whole = time.thread_time() - start
                self.seconds[part] += whole - self._inner.pop()  # type: ignore[assignment]
                self._inner[-1] += whole

        return run

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time all :data:`PARTS`."""
        with ExitStack() as stack:
            for part, calls in PARTS.items():
                for owner, name in calls:
                    stack.enter_context(patch.object(owner, name, self.timed(part, getattr(owner, name))))
            yield


def karate() -> gk.Task:
    """One graph of 34 nodes."""
    return gk.load("karate")


def citations() -> gk.Task:
    """One graph of Cora's size."""
    generator = torch.Generator().manual_seed(0)
    nodes, edges, features, classes = 2708, 10556, 1433, 7
    data = Data(
        x=(torch.rand(nodes, features, generator=generator) < 0.0127).float(),
        edge_index=torch.randint(nodes, (2, edges), generator=generator),
        y=torch.arange(nodes) % classes,
    )
    order = torch.randperm(nodes, generator=generator)
    split = gk.Split("public's sizes", order[:140], order[140:640], order[640:1640])
    return gk.NodeTask("citations", data, split).transform(gk.transforms.SparseFeatures())


def molecules() -> gk.Task:
    """Batches of 32 graphs of the size of molecules, 10 of them to train on."""
    generator = torch.Generator().manual_seed(0)
    graphs = []
    for label in range(400):
        nodes = int(torch.randint(15, 30, (1,), generator=generator))
        graphs.append(
            Data(
                x=torch.randn(nodes, 9, generator=generator),
                edge_index=torch.randint(nodes, (2, 2 * nodes), generator=generator),
                y=torch.tensor([label % 2]),
            )
        )
    ids = torch.arange(400)
    return gk.GraphTask("molecules", graphs, gk.Split("first", ids[:320], ids[320:360], ids[360:]))


def measure(task: gk.Task) -> dict[str, float]:
    """Microseconds per epoch, validation included, by part: of the round that took least."""

    def seconds(epochs: int) -> Counter[str]:
        clock = Clock()
        model = gk.models.GCN.from_task(task, hidden_channels=HIDDEN)
        fit = clock.timed(OWN, gk.Trainer(max_epochs=epochs, progress=False, accelerator="cpu").fit)
        gc.collect()
        gc.disable()
        with clock.running():
            fit(model, task)
        gc.enable()
        return clock.seconds

    seconds(2)
    rounds = []
    for _ in range(ROUNDS):
        start, whole = seconds(1), seconds(1 + EPOCHS)  # what a run costs once is no part of an epoch
        rounds.append({part: 1e6 * (whole[part] - start[part]) / EPOCHS for part in (*PARTS, OWN)})
    return min(rounds, key=lambda parts: sum(parts.values()))


def main() -> None:
    """Print the table and, unless told otherwise, write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.epochs", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="print only")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1)])  # the first one wraps the class's step, as part of which the wrapper counts
    table = {make.__name__: measure(make()) for make in (karate, citations, molecules)}
    print(f"{'microseconds per epoch':<24}" + "".join(f"{name:>12}" for name in table))
    for part in (*PARTS, OWN):
        print(f"{part:<24}" + "".join(f"{row[part]:>12.0f}" for row in table.values()))
    print(f"{'all':<24}" + "".join(f"{sum(row.values()):>12.0f}" for row in table.values()))
    if not arguments.dry_run:
        RESULTS.mkdir(parents=True, exist_ok=True)
        content = {"microseconds per epoch": table, "epochs": EPOCHS, "rounds": ROUNDS}
        (RESULTS / "epochs.json").write_text(
            json.dumps(content | environment() | {"command": "python -m benchmarks.epochs"}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
