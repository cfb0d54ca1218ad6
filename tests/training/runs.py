"""Short runs, and runs in processes of their own, to be killed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import lightning_fabric  # noqa: F401  (imported once, by the process that the runs are forked from)
import torch
import torchmetrics.classification  # noqa: F401

from graphkit import Result, Trainer
from graphkit.models import GCN
from tests import tiny
from tests.training.greedy import Greedy


def train(kind: str, run_dir: str | None, resume: bool = False, overwrite: bool = False, **settings: Any) -> Result:
    """A run with everything that has a state: dropout, running statistics, momentum, a scheduler, mini-batches."""
    torch.set_num_threads(1)
    task = tiny.task({"graph": "graph multiclass", "link": "link"}.get(kind, "node multiclass"))
    readout = {"readout": "mean"} if kind == "graph" else {}
    model = GCN.from_task(task, hidden_channels=8, dropout=0.5, norm="batch_norm", **readout)
    scheduler = {"scheduler": "ReduceLROnPlateau", "scheduler_kwargs": {"patience": 3}}
    if kind in ("graph", "link"):
        scheduler = {"scheduler": "CosineAnnealingLR", "scheduler_kwargs": {"T_max": 50}, "batch_size": 5}
    strategy = Greedy() if kind == "greedy" else None
    defaults = {"max_epochs": 60, "strategy": strategy, "progress": False, "seed": 7} | scheduler
    trainer = Trainer(**defaults | settings, run_dir=run_dir)
    result = trainer.fit(model, task, resume=resume, overwrite=overwrite)
    result.weights = {name: value.clone() for name, value in model.state_dict().items()}
    if strategy is not None:
        result.weights |= {f"head {name}": value.clone() for name, value in strategy.state_dict().items()}
    return result


def fit(
    model: Any = None, task: Any = None, resume: bool = False, overwrite: bool = False, **settings: Any
) -> tuple[Result, Any]:
    """A short run of any model; by default of a GCN on a tiny task of nodes."""
    task = tiny.task("node multiclass") if task is None else task
    model = GCN.from_task(task, hidden_channels=8) if model is None else model
    settings = {"max_epochs": 6, "progress": False} | settings
    return Trainer(**settings).fit(model, task, resume=resume, overwrite=overwrite), model


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    """Whether two modules have equal parameters and buffers."""
    one, two = first.state_dict(), second.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def in_process(calls: Any, pause: float, kind: str, run_dir: str, settings: dict[str, Any]) -> None:
    """Resume a run; count the modules called, and note how it ended."""
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def count(*_: object) -> None:
        calls.value += 1
        time.sleep(pause)

    torch.nn.modules.module.register_module_forward_pre_hook(count)
    try:
        result = train(kind, run_dir, resume=True, **settings)
        torch.save(result.weights, Path(run_dir) / "final.pt")
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            (Path(run_dir) / "error.txt").write_text(f"{type(error).__name__}: {error}")
        raise


def killed_at(change: int, run_dir: str, settings: dict[str, Any]) -> None:
    """Run, and die before the given change of a file in the folder."""
    count = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        path = str(arguments[0]) if arguments else ""
        writes = event != "open" or (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR))
        if event in ("os.remove", "os.rename", "os.rmdir", "open") and writes and run_dir in path:
            count += 1
            if count == change:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    fit(run_dir=run_dir, **settings)


def context() -> Any:
    """Processes that start within milliseconds: forked from one that has imported everything and run nothing."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["tests.training.runs"])
    return forks


def start(kind: str, run_dir: Path, at_call: int = 0, pause: float = 0.0, **settings: Any) -> Any:
    """Start a run that resumes what is in ``run_dir``; returns its process once that has called ``at_call`` modules.

    Waiting for progress instead of time hits the same places on a busy machine. ``pause`` makes each call slower.
    """
    forks = context()
    calls = forks.Value("l", 0)
    process = forks.Process(target=in_process, args=(calls, pause, kind, str(run_dir), settings))
    process.calls = calls  # kept alive as long as the process
    process.start()
    while calls.value < at_call and process.is_alive():
        time.sleep(0.001)
    return process


class Wide(torch.nn.Module):
    """A model of 512 KiB."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(6, 10_000), torch.nn.Linear(10_000, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x))
