"""A small framework for speed ratios.

A benchmark is a function that returns a :class:`Benchmark`: two callables that do the same work, ours and the
opponent's, on inputs made once. Register it with :func:`benchmark`::

    @benchmark("gcn_layer", goal=5.0, of="GCN")
    def gcn_layer() -> Benchmark:
        '''GCN layer, forward and backward: 100k nodes, 1M edges, 64 channels.'''
        inputs = ...
        return Benchmark(ours=lambda: ..., opponent=lambda: ..., against="torch_geometric.nn.GCNConv")

and list its module in ``MODULES`` of ``benchmarks/speed/__main__.py``. :func:`measure` warms both up, checks that
their return values agree (return None to skip the check), then runs them in turn in one process on one thread, so that
a change in the machine's load hits both. What counts is the ratio of the medians; seconds are comparable only through
the calibration rows, three fixed workloads timed in the same process.
"""

from __future__ import annotations

import ctypes
import dataclasses
import datetime
import gc
import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parents[1] / "results" / "speed"
LIBRARIES = ("torch_geometric", "torchdiffeq", "torch.nn", "torch.einsum", "numpy.einsum")
LIBRARIES += ("scipy", "networkx", "gensim")
SLOWER = 1.15  # a ratio so many times smaller than the committed one has got slower


@dataclasses.dataclass
class Benchmark:
    """Two ways of doing the same work.

    Args:
        ours: Runs our code once; returns tensors to compare, or None.
        opponent: Runs the opponent's code once; returns the same tensors, or None.
        against: Who the opponent is.
        rounds: How often each is timed (default: ``9``).
        warmups: Untimed runs before each timed one, of both: for an opponent whose gigabytes, once freed, keep the
            system busy while we run (default: 0).
        tolerance: Largest allowed relative difference of the results (default: ``1e-4``).
        details: Measures what else the result file should hold, after the comparison (default: nothing).
        beside: What a user would call instead, with its name, beside an opponent that is plain code written for the
            comparison (default: nothing; where the opponent is a library already, :data:`LIBRARIES` tells).
    """

    ours: Callable[[], Any]
    opponent: Callable[[], Any]
    against: str
    rounds: int = 9
    warmups: int = 0
    tolerance: float = 1e-4
    details: Callable[[], dict[str, Any]] | None = None
    beside: tuple[str, Callable[[], Any]] | None = None


@dataclasses.dataclass
class Entry:
    """A registered benchmark: its name, the ratio promised, the class whose speed it is, and what makes it."""

    name: str
    goal: float | None
    of: str | None
    make: Callable[[], Benchmark]


REGISTRY: dict[str, Entry] = {}


def benchmark(
    name: str, goal: float | None = None, of: str | None = None
) -> Callable[[Callable[[], Benchmark]], Callable[[], Benchmark]]:
    """Register a benchmark under ``name``; ``goal`` is the ratio promised, ``of`` the class whose speed it is."""

    def register(make: Callable[[], Benchmark]) -> Callable[[], Benchmark]:
        REGISTRY[name] = Entry(name, goal, of, make)
        return make

    return register


def random_graph(num_nodes: int = 100_000, num_edges: int = 1_000_000, seed: int = 0) -> torch.Tensor:
    """Uniform random edges ``[2, num_edges]``."""
    return torch.randint(num_nodes, (2, num_edges), generator=torch.Generator().manual_seed(seed))


def with_gradients(output: torch.Tensor, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Run the backward pass of the loss ``output.square().sum() / 2``; return the output and the gradients."""
    return output.detach(), *torch.autograd.grad(output, inputs, output.detach())


def measure(entry: Entry) -> dict[str, Any]:
    """Run one benchmark and return its row: medians, ratio and inputs of the comparison."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    bench = entry.make()
    _check_equal(entry.name, bench.ours(), bench.opponent(), bench.tolerance)
    runs = {"ours": bench.ours, "opponent": bench.opponent}
    if bench.beside is not None:
        runs["library"] = bench.beside[1]
    seconds = _interleaved(runs, bench.rounds, bench.warmups)
    ours, opponent = (statistics.median(seconds[who]) for who in ("ours", "opponent"))
    return {
        "name": entry.name,
        "what": (entry.make.__doc__ or "").strip().splitlines()[0],
        "against": bench.against,
        "ours_seconds": ours,
        "opponent_seconds": opponent,
        "ratio": opponent / ours,
        "goal": entry.goal,
        "rounds": bench.rounds,
        "warmups": bench.warmups,
        "spread_ours": _spread(seconds["ours"]),
        "spread_opponent": _spread(seconds["opponent"]),
        **_against_library(bench, ours, opponent, seconds.get("library")),
        **(bench.details() if bench.details is not None else {}),
    }


def _against_library(bench: Benchmark, ours: float, opponent: float, seconds: list[float] | None) -> dict[str, Any]:
    """Which library ours is compared with, and by which ratio; nothing if with none."""
    if bench.beside is not None and seconds is not None:
        return {"library": bench.beside[0], "library_ratio": statistics.median(seconds) / ours}
    if any(name in bench.against for name in LIBRARIES):
        return {"library": bench.against, "library_ratio": opponent / ours}
    return {}


def family_means(rows: list[dict[str, Any]]) -> list[str]:
    """A line per family (module of ``benchmarks/speed``) and one for all: geometric means of the ratios.

    The first is that of all rows against their opponents, the second that of the rows that have a library to compare
    with, against it.
    """
    families: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        module = REGISTRY[row["name"]].make.__module__.rpartition(".")[2]
        families.setdefault(module, []).append(row)
    lines = []
    for name, members in ({**families, "all": rows} if rows else {}).items():
        of_libraries = [row["library_ratio"] for row in members if "library_ratio" in row]
        mean = f"{statistics.geometric_mean(row['ratio'] for row in members):6.1f}x ({len(members)})"
        other = f"{statistics.geometric_mean(of_libraries):6.1f}x ({len(of_libraries)})" if of_libraries else "-"
        lines.append(f"{name:<28}{mean:>16}{other:>16}")
    return lines


def slower_than_committed(row: dict[str, Any]) -> str | None:
    """What to say of a row whose ratio is smaller than the committed one, or that cannot be compared."""
    path = RESULTS / f"{row['name']}.json"
    if not path.exists():
        return f"{row['name']}: nothing is committed"
    committed = json.loads(path.read_text())
    if committed["processor"] != _processor():
        return f"{row['name']}: committed on {committed['processor']}, this is {_processor()}; not comparable"
    if row["ratio"] * SLOWER < committed["ratio"]:
        return f"{row['name']}: SLOWER, {row['ratio']:.2f}x instead of {committed['ratio']:.2f}x"
    return None


def calibrate(rounds: int = 7) -> dict[str, float]:
    """Median seconds of three fixed workloads on one thread, by which seconds of two machines can be compared."""
    torch.set_num_threads(1)
    square = torch.randn(1024, 1024)
    source, target = random_graph()
    x, weight = torch.randn(100_000, 64), torch.rand(1_000_000)
    order = (target * 100_000 + source).argsort()
    rowptr = torch._convert_indices_from_coo_to_csr(target[order], 100_000)
    matrix = torch.sparse_csr_tensor(rowptr, source[order], weight[order], (100_000, 100_000))
    seconds = _interleaved(
        {
            "matmul_1024": lambda: square @ square,
            "csr_product_100k_1M_64": lambda: matrix @ x,
            "gather_index_add_100k_1M_64": lambda: torch.zeros_like(x).index_add_(
                0, target, x[source] * weight[:, None]
            ),
        },
        rounds,
    )
    return {name: statistics.median(values) for name, values in seconds.items()}


def extra_memory(make: Callable[..., tuple[Callable[[], Any], Callable[[], Any]]], *arguments: Any) -> float:
    """Megabytes that one run adds to the peak of a fresh process.

    Args:
        make: A function of a module that returns two callables: one that pays what the first use of anything costs, and
            the run.
        *arguments: Its arguments.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure_memory, args=(make, arguments, sender))
    process.start()
    sender.close()  # so that a failing process ends the wait
    megabytes: float = receiver.recv()
    process.join()
    return megabytes


def memory_of(entry: Entry) -> dict[str, float]:
    """Megabytes that a second run of ours and of the opponent's takes, for rows that tell of a class."""
    if entry.of is None:
        return {}
    return {f"{who}_megabytes": extra_memory(_two_runs, entry.name, who) for who in ("ours", "opponent")}


def _two_runs(name: str, who: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    from benchmarks.speed.__main__ import registered

    torch.manual_seed(0)
    run = getattr(registered()[name].make(), who)
    return run, run


def _measure_memory(make: Callable[..., Any], arguments: tuple[Any, ...], sender: Any) -> None:
    torch.set_num_threads(1)
    warm_up, run = make(*arguments)
    warm_up()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what a run gave back counts when the next one takes it
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts anew
    before = _memory("VmRSS")
    run()
    sender.send(_memory("VmHWM") - before)


def _memory(key: str) -> float:
    """A value of this process's status in megabytes."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(key))


def environment() -> dict[str, Any]:
    """Versions, processor, command and date of this run."""
    return {
        "versions": {name: _version(name) for name in ("torch", "torch-geometric", "torch-scatter", "graphkit-pyg")},
        "python": platform.python_version(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "command": " ".join(["python", "-m", "benchmarks.speed", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def save(row: dict[str, Any], calibration: dict[str, float]) -> Path:
    """Write ``benchmarks/results/speed/<name>.json`` in one step."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{row['name']}.json"
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps({**row, "calibration": calibration, **environment()}, indent=2) + "\n")
    os.replace(temporary, path)
    return path


def _interleaved(callables: dict[str, Callable[[], Any]], rounds: int, warmups: int = 0) -> dict[str, list[float]]:
    for run in callables.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in callables}
    for _ in range(rounds):
        for name, run in callables.items():
            for _ in range(warmups):
                run()
            gc.collect()
            gc.disable()
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
            gc.enable()
    return seconds


def _spread(values: list[float]) -> float:
    """Half the interquartile range over the median."""
    low, middle, high = statistics.quantiles(values, n=4)
    return (high - low) / (2 * middle)


def _check_equal(name: str, ours: Any, opponent: Any, tolerance: float) -> None:
    if ours is None or opponent is None:
        return
    pairs = zip(ours, opponent, strict=True) if isinstance(ours, tuple) else [(ours, opponent)]
    for position, (mine, other) in enumerate(pairs):
        error = float((mine - other).abs().max() / other.abs().max().clamp(min=1e-30))
        if not error <= tolerance:
            raise AssertionError(f"{name}: result {position} differs by {error:.2e} relative; nothing was measured")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
