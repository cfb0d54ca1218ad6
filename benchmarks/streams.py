"""Memory over epochs of a long stream: ``python -m benchmarks.streams`` writes ``results/scale/events.json``.

A model that remembers sees a million events in every epoch; after each one, what the process holds is noted (Linux).
Large blocks go back to the system as soon as they are freed, so that it is what is in use.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

EVENTS, NODES, BATCH, EPOCHS = 1_000_000, 10_000, 5000, 4
MODELS = ("TGN", "JODIE")


def measure(name: str) -> list[float]:
    """MiB that the process holds after each epoch."""
    import torch
    from torch_geometric.data import Data

    import graphkit as gk
    from benchmarks.memory import resident

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    ends = (torch.rand(2, EVENTS, generator=generator) ** 2 * NODES).long()
    data = Data(edge_index=ends, edge_time=torch.arange(EVENTS), num_nodes=NODES)
    data.edge_attr = torch.randn(EVENTS, 4, generator=generator)
    task, held = gk.EventTask("random", data), []

    class Note(gk.Callback):
        def on_epoch_end(self, state: object) -> None:
            held.append(resident("VmRSS"))

    sizes = {"hidden_channels": 16, "time_channels": 8} | ({"num_neighbors": 5} if name == "TGN" else {})
    model = getattr(gk.models, name).from_task(task, **sizes)
    gk.Trainer(EPOCHS, batch_size=BATCH, callbacks=[Note()], progress=False).fit(model, task)
    return held


def main() -> None:
    """Measure all models, each in a process of its own."""
    from benchmarks.speed.common import environment
    from graphkit.core.files import write_json

    held = {}
    for name in MODELS:
        call = [sys.executable, "-m", "benchmarks.streams", name]
        alone = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**20)}
        done = subprocess.run(call, check=True, capture_output=True, text=True, env=alone)
        held[name] = [float(number) for number in done.stdout.split()[-EPOCHS:]]
        print(name, *(f"{number:.0f}" for number in held[name]), "MiB", flush=True)
    what = f"{EVENTS} events of {NODES} nodes in batches of {BATCH}, {EPOCHS} epochs"
    content = {"what": what, "unit": "MiB of resident memory after each epoch", "held": held}
    results = Path(__file__).parent / "results" / "scale" / "events.json"
    write_json(results, content | environment() | {"command": "python -m benchmarks.streams"})


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(*measure(sys.argv[1]))
    else:
        main()
