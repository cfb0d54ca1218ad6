"""Two processes on the CPU: the same start, averaged gradients, one writer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from graphkit import Trainer
from graphkit.models import GCN
from graphkit.samplers import NeighborSampler
from tests import tiny

SCRIPT = """
import sys, torch
from graphkit import Trainer
from graphkit.models import GCN
from tests.training.test_devices import task_of

torch.set_num_threads(1)
task = task_of(sys.argv[2])
model = GCN.from_task(task, hidden_channels=4)
trainer = Trainer(max_epochs=4, batch_size=6, optimizer="SGD", accelerator="cpu", devices=2, progress=False,
                  run_dir=sys.argv[1])
result = trainer.fit(model, task)
"""


def task_of(kind):
    """A task of 12 training examples; all neighbours are drawn, so that only the batches' roots are random."""
    task = tiny.task(f"{kind} regression")
    return task.sampled(NeighborSampler([-1, -1, -1])) if kind == "node" else task


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["graph", "node"])
def test_two_processes_take_the_steps_of_one_with_twice_the_batch(kind, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "run"), kind],
        cwd=root,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    two = json.loads((tmp_path / "run" / "result.json").read_text())

    task = task_of(kind)
    model = GCN.from_task(task, hidden_channels=4)
    one = Trainer(max_epochs=4, batch_size=12, optimizer="SGD", accelerator="cpu", progress=False).fit(model, task)
    # 12 training graphs or nodes: two processes with 6 each see what one process with 12 sees
    for first, second in zip(two["history"], one.history, strict=True):
        assert first["val_loss"] == pytest.approx(second["val_loss"], rel=1e-5)
    assert two["test"] == pytest.approx(one.test, rel=1e-5)
