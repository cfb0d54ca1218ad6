"""What a GPU does with graphkit: times of kernels and layers there beside the CPU, or how often a step waits for it.

    python -m benchmarks.gpu             # on a machine with a GPU: times, a few minutes
    python -m benchmarks.gpu --counts    # anywhere: waits of every layer, aggregation and model, on a pretended GPU

Written to ``benchmarks/results/gpu``.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from graphkit import ops
from graphkit.core.files import write_json
from graphkit.nn import GATConv, GCNConv, GINConv, GINPerceptron
from graphkit.ops.backend import available, use_backend
from graphkit.testing import device
from graphkit.testing.device.compare import instances, waits_per_step
from graphkit.training.result import hardware, versions

RESULTS = Path(__file__).parent / "results" / "gpu"
NODES, EDGES, CHANNELS = 100_000, 1_000_000, 64

KERNELS: dict[str, Callable] = {
    "spmm, sum": lambda e, x, ids: ops.spmm(e, x),
    "spmm, max": lambda e, x, ids: ops.spmm(e, x, reduce="max"),
    "scatter, sum": lambda e, x, ids: ops.scatter(x, ids, NODES),
    "scatter, max": lambda e, x, ids: ops.scatter(x, ids, NODES, "max"),
    "scatter of sorted rows, sum": lambda e, x, ids: ops.scatter(x, torch.arange(NODES, device=x.device), NODES),
    "softmax": lambda e, x, ids: ops.softmax(x, ids, dim_size=NODES),
}
LAYERS = {
    "GCNConv": lambda: GCNConv(CHANNELS, CHANNELS),
    "GATConv": lambda: GATConv(CHANNELS, CHANNELS // 4, heads=4),
    "GINConv": lambda: GINConv(GINPerceptron(CHANNELS, CHANNELS)),
}


# Why the host has to wait on a graph that it knows, by file; a wait elsewhere is a fault.
REASONS = {
    "nn/implicit/looks.py": "whether the search is over, on the way there and on the way back",
    "graphkit/models/adapter.py": "PyG's own module looks for self-loops in every layer",
}


def counts() -> None:
    device.register()
    rows = {}
    for name, make, kind in instances():
        with device.pretend_gpu() as gpu:
            counted = waits_per_step(make, kind, gpu)
        where = sorted({place.partition(":")[0] for place in counted["known"].places})
        rows[name] = {
            "kind": kind,
            "known": counted["known"].num_waits,
            "new": counted["new"].num_waits,
            "operations": counted["known"].operations.total(),
            "where": where,
            "why": [REASONS[place] for place in where],
        }
    write_json(RESULTS / "waits.json", {"command": "python -m benchmarks.gpu --counts", "rows": rows})


def times() -> None:
    gpu = torch.device("cuda", 0)
    rows = {f"{name} ({way})": row for name, way, row in _rows(gpu)}
    content = {
        "command": "python -m benchmarks.gpu",
        "hardware": hardware(gpu),
        "versions": versions(),
        "seconds": rows,
    }
    write_json(RESULTS / "times.json", content)


def _rows(gpu: torch.device) -> Iterator[tuple[str, str, dict[str, float]]]:
    tensors = torch.randint(NODES, (2, EDGES)), torch.randn(NODES, CHANNELS), torch.randint(NODES, (NODES,))
    for way in [name for name in ("torch", "torch_scatter") if available()[name]]:
        with use_backend(way):
            for name, kernel in KERNELS.items():
                yield name, way, _both(kernel, gpu, *tensors)
    for name, make in LAYERS.items():
        layer = make()
        yield name, "auto", _both(lambda e, x, ids, layer=layer: layer.to(x.device)(x, e), gpu, *tensors)


def _both(forward: Callable, gpu: torch.device, *tensors: torch.Tensor) -> dict[str, float]:
    """Seconds of a forward and backward pass on either device."""
    row = {}
    for place in (torch.device("cpu"), gpu):
        edge_index, x, ids = (tensor.to(place) for tensor in tensors)
        x.requires_grad_()
        seconds = []
        for _ in range(6):  # the first one builds what is kept
            start = time.perf_counter()
            forward(edge_index, x, ids).sum().backward()
            if place == gpu:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        row[place.type] = min(seconds)
    print(row, flush=True)
    return row


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", action="store_true")
    counts() if parser.parse_args().counts else times()
