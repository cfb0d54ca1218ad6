"""Options and fixtures of every test."""

from __future__ import annotations

import doctest
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

# One thread per process: sums in a fixed order, and the processes of pytest-xdist do not fight for cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OUTDATED_IGNORE", "1")  # ogb asks the network for a newer version of itself
if shutil.which("nvidia-smi") is None:
    os.environ.setdefault("TRITON_INTERPRET", "1")  # kernels for a GPU run on the CPU; read when Triton is imported

import pytest
import torch

from graphkit.core.examples import missing_imports
from graphkit.testing import device
from graphkit.training.loop import Loop
from tests.golden.report import pytest_terminal_summary  # noqa: F401

torch.set_num_threads(1)
if device.available():
    device.register()  # before the first backward pass


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            in_a_fresh_interpreter(item.dtest)
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def in_a_fresh_interpreter(example: doctest.DocTest) -> None:
    """Leave an example of a docstring nothing but what it imports, or the reference says that it does."""
    imports = missing_imports(example.docstring or "", example.globs["__name__"])
    example.examples[:0] = [doctest.Example(f"{line}\n", "") for line in imports]
    example.globs = {"__name__": "__main__"}


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder of real raw files that GRAPHKIT_MIRROR names."""
    folder = os.environ.get("GRAPHKIT_MIRROR")
    if not folder:
        pytest.skip("GRAPHKIT_MIRROR is not set: no real data at hand")
    return Path(folder)


@pytest.fixture
def own_folder(tmp_path, monkeypatch) -> None:
    """The test runs in an empty folder, with another for what is kept."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path / "data"))


@pytest.fixture
def ctrl_c_in_epoch(monkeypatch) -> Callable[[int], list[int]]:
    """Presses Ctrl-C in one of all epochs to come, counted from 1; the list gets the seed of every epoch."""

    def arrange(number: int) -> list[int]:
        epochs: list[int] = []
        original = Loop._run_epoch

        def epoch(self):
            epochs.append(self.order_seed)
            if len(epochs) == number:
                os.kill(os.getpid(), signal.SIGINT)
            return original(self)

        monkeypatch.setattr(Loop, "_run_epoch", epoch)
        return epochs

    return arrange
