"""Peak memory of training by depth: ``python -m benchmarks.memory`` writes a table and a picture.

One process per point: its peak resident memory while training minus what it held before (Linux). Large blocks go back
to the system as soon as they are freed, so that the peak is what was in use and not what the allocator kept.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "memory"
NODES, EDGES, CHANNELS, CLASSES, EPOCHS = 100_000, 1_000_000, 64, 7, 2
DEPTHS = (2, 4, 8, 16, 32)
STRATEGIES = ("Backprop", "SingleForward")


def measure(strategy: str, depth: int) -> float:
    """MiB that training a GCN on a random graph adds to this process."""
    import torch
    from torch_geometric.data import Data

    import graphkit as gk
    from benchmarks.speed.common import random_graph

    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = Data(
        x=torch.randn(NODES, CHANNELS),
        edge_index=random_graph(NODES, EDGES),
        y=torch.arange(NODES) % CLASSES,
    )
    order = torch.randperm(NODES)
    split = gk.Split("random", order[:64_000], order[64_000:80_000], order[80_000:])
    task = gk.NodeTask("random", data, split)
    model = gk.models.GCN.from_task(task, hidden_channels=CHANNELS, num_layers=depth, readout="nodes")
    _fit(gk.models.GCN.from_task(task, hidden_channels=8, num_layers=1, readout="nodes"), task, strategy)  # imports
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = resident("VmRSS")
    _fit(model, task, strategy)
    return resident("VmHWM") - before


def resident(key: str) -> float:
    """MiB of this process by a key of its status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


def _fit(model: object, task: object, strategy: str) -> None:
    import graphkit as gk

    gk.Trainer(EPOCHS, strategy=strategy, progress=False).fit(model, task)  # type: ignore[arg-type]


def main() -> None:
    """Measure all points, each in a process of its own."""
    from benchmarks.speed.common import environment

    peaks: dict[str, dict[int, float]] = {name: {} for name in STRATEGIES}
    for depth in DEPTHS:
        for name in STRATEGIES:
            call = [sys.executable, "-m", "benchmarks.memory", name, str(depth)]
            alone = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**20)}
            done = subprocess.run(call, check=True, capture_output=True, text=True, env=alone)
            peaks[name][depth] = float(done.stdout.split()[-1])
            print(f"{name:<16}{depth:>3} layers {peaks[name][depth]:>9.1f} MiB", flush=True)
    what = f"GCN, {CHANNELS} channels, random graph of {NODES} nodes and {EDGES} edges, {EPOCHS} epochs per phase"
    RESULTS.mkdir(parents=True, exist_ok=True)
    content = {"what": what, "unit": "MiB of peak resident memory added by training", "by depth": peaks}
    content |= environment() | {"command": "python -m benchmarks.memory"}
    (RESULTS / "forward.json").write_text(json.dumps(content, indent=2) + "\n")
    draw(peaks, what)


def draw(peaks: dict[str, dict[int, float]], what: str) -> None:
    """The picture of the table."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, values in peaks.items():
        axes.plot(list(values), list(values.values()), marker="o", label=name)
    axes.set(xlabel="layers", ylabel="MiB added by training", ylim=(0, None))
    axes.set_title(what, fontsize=7)
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(RESULTS / "forward.png", dpi=150)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(measure(sys.argv[1], int(sys.argv[2])))
    else:
        main()
