"""Two processes on the CPU: the same start, averaged gradients, one writer."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from graphkit import Callback, Trainer
from graphkit.datasets import map_graph
from graphkit.models import GCN
from graphkit.samplers import NeighborSampler
from graphkit.training.engine import Engine
from tests import tiny
from tests.test_guide import blocks

SCRIPT = """
import sys, torch
from graphkit import Trainer
from graphkit.models import GCN
from tests.training.test_devices import task_of

torch.set_num_threads(1)
task = task_of(sys.argv[2])
model = GCN.from_task(task, hidden_channels=4)
trainer = Trainer(max_epochs=4, batch_size=6, optimizer="SGD", accelerator="cpu", devices=int(sys.argv[3]),
                  num_nodes=2 // int(sys.argv[3]), progress=False, run_dir=sys.argv[1])
result = trainer.fit(model, task)
"""


def task_of(kind):
    """A task of 12 training examples; all neighbours are drawn, so that only the batches' roots are random."""
    task = tiny.task(f"{kind} regression")
    return task.sampled(NeighborSampler([-1, -1, -1])) if kind == "node" else task


def launch(place, kind, devices, launcher=()):
    """Start the script, by itself or by a launcher."""
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, *launcher, str(place / "script.py"), str(place / "run"), kind, str(devices)],
        cwd=root,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("several", [{"devices": 2}, {"num_nodes": 2}])
def test_a_whole_graph_on_several_devices_is_refused_before_any_process_starts(several, monkeypatch):
    task = tiny.task("node multiclass")
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    with pytest.raises(ValueError, match="trains on the whole graph at once; use devices=1"):
        Trainer(accelerator="cpu", **several).fit(GCN.from_task(task), task)


class Two:
    """A Fabric of two processes, of which the other sends what it is told to."""

    world_size, global_rank = 2, 0

    def __init__(self, *others):
        self.others, self.messages = list(others), 0

    def all_reduce(self, value, reduce_op):
        self.messages += 1
        return (value + self.others.pop(0)) / 2

    def broadcast(self, value):
        return self.others.pop(0)

    def backward(self, loss):
        loss.backward()


def test_gradients_go_in_one_message_and_a_missing_one_counts_as_zero():
    first, second, unused = (torch.nn.Parameter(torch.ones(2)) for _ in range(3))
    engine = Engine("cpu", 1, "32-true", None)
    #            gradients of the three, then which of them there are: here `second` has none, there `first`
    engine.fabric = Two(torch.tensor([0.0, 0.0, 8.0, 8.0, 0.0, 0.0, 0.0, 1.0, 0.0]))
    optimizer = torch.optim.SGD([first, second, unused], lr=1.0)
    engine.optimize(2 * first.sum(), optimizer)
    assert engine.fabric.messages == 1
    assert first.tolist() == [0.0, 0.0]
    assert second.tolist() == [-3.0, -3.0]
    assert unused.grad is None


def test_running_statistics_are_averaged_and_weights_come_from_the_first():
    norm, engine = torch.nn.BatchNorm1d(1), Engine("cpu", 1, "32-true", None)
    engine.fabric = Two(torch.tensor([4.0]), torch.tensor([3.0]))
    engine.average_buffers(norm)
    assert (norm.running_mean.item(), norm.running_var.item()) == (2.0, 2.0)
    engine.fabric = Two(torch.nn.BatchNorm1d(1, affine=True).state_dict() | {"weight": torch.tensor([7.0])})
    engine.start_alike(norm)
    assert norm.weight.item() == 7.0


@pytest.mark.parametrize("seed", [18_446_634, 2**32 - 1, None])
def test_large_seeds(seed):
    task = tiny.task("graph multiclass")
    model = GCN.from_task(task, hidden_channels=4, readout="mean")
    assert (
        Trainer(max_epochs=1, batch_size=6, seed=seed, accelerator="cpu", progress=False).fit(model, task).epochs == 1
    )


def test_what_has_no_sparse_products_is_left_aside(monkeypatch):
    monkeypatch.setattr("lightning_fabric.accelerators.MPSAccelerator.is_available", lambda: True)
    assert Engine("auto", 1, "32-true", None).device.type in ("cpu", "cuda")
    with pytest.raises(ValueError, match=r"Trainer: accelerator='mps', .*choose from: auto, cpu, cuda, gpu"):
        Trainer(accelerator="mps")


@pytest.mark.slow
def test_two_processes_start_with_the_same_weights(tmp_path):
    script = SCRIPT.replace(
        "torch.set_num_threads(1)", "torch.set_num_threads(1)\nimport os\ntorch.manual_seed(os.getpid())"
    )
    script = script.replace("hidden_channels=4)", "hidden_channels=4, norm='batch_norm')")
    script = script.replace("max_epochs=4", "max_epochs=2, seed=None, warm_start=True")
    rank = "int(torch.distributed.get_rank())"
    script += f"\ntorch.save(model.state_dict(), sys.argv[1] + f'{{{rank}}}.pt')\n"
    (tmp_path / "script.py").write_text(script)
    process = launch(tmp_path, "graph", devices=2)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    one, other = (torch.load(tmp_path / f"run{rank}.pt") for rank in range(2))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "machines"), [("graph", 1), ("graph", 2), ("node", 1)])
def test_two_processes_take_the_steps_of_one_with_twice_the_batch(kind, machines, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    if machines == 1:
        started = [launch(tmp_path, kind, devices=2)]
    else:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        torchrun = ["-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1", f"--master_port={port}"]
        started = [launch(tmp_path, kind, 1, [*torchrun, f"--node_rank={rank}"]) for rank in range(machines)]
    for process in started:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors[-3000:]
    two = json.loads((tmp_path / "run" / "result.json").read_text())

    task = task_of(kind)
    model = GCN.from_task(task, hidden_channels=4)
    one = Trainer(max_epochs=4, batch_size=12, optimizer="SGD", accelerator="cpu", progress=False).fit(model, task)
    # 12 training graphs or nodes: two processes with 6 each see what one process with 12 sees
    for first, second in zip(two["history"], one.history, strict=True):
        assert first["val_loss"] == pytest.approx(second["val_loss"], rel=1e-5)
    assert two["test"] == pytest.approx(one.test, rel=1e-5)


SCRIPT_ONE = [["train_large.py", "1", "1"]]
SCRIPT_TWO = [["train_large.py", "2", "1"]]
TORCHRUN = [["-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=PORT", "train_large.py", "2", "1"]]
SLURM = {  # what Slurm tells each process of a job of two tasks on this machine
    **{"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "1", "SLURM_NODEID": "0"},
    **{"SLURM_JOB_NAME": "graphs", "SLURM_NODELIST": "127.0.0.1", "MASTER_ADDR": "127.0.0.1"},
}


@pytest.mark.slow
def test_the_script_of_the_guide_trains_alike_however_it_is_started(tmp_path):
    root = Path(__file__).parents[2]
    page = blocks(root / "docs" / "guide" / "large.rst")
    script = next(block.text for block in page if block.options.get("caption") == "train_large.py")
    rng = np.random.default_rng(0)
    nodes = {"x": rng.normal(size=(1500, 4)).astype("f2"), "y": np.arange(1500) % 3}
    map_graph(tmp_path / "mapped", [rng.integers(1500, size=(2, 1500))], [nodes])

    def history(name, commands, batch=450, variables=()):
        """Of 900 training nodes, all of whose neighbours are drawn."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        text = script.replace("[10, 5]", "[-1, -1, -1]").replace("batch_size=500", f"batch_size={batch}")
        text = text.replace("run_dir=", 'accelerator="cpu", optimizer="SGD", run_dir=')
        (tmp_path / name).mkdir()
        (tmp_path / name / "train_large.py").write_text(text.replace('"mapped"', '"../mapped"'))
        shared = {"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "MASTER_PORT": port}
        started = []
        for rank, command in enumerate(commands):
            told = {**variables, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)} if variables else {}
            arguments = [part.replace("PORT", port) for part in command]
            options = {"cwd": tmp_path / name, "env": shared | told, "stderr": subprocess.PIPE, "text": True}
            started.append(subprocess.Popen([sys.executable, *arguments], **options))
        for process in started:
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors[-3000:]
        return json.loads((tmp_path / name / "run" / "result.json").read_text())["history"]

    one = history("one", SCRIPT_ONE, batch=900)
    two = {
        "itself": history("itself", SCRIPT_TWO),
        "torchrun": history("torchrun", TORCHRUN),
        "slurm": history("slurm", SCRIPT_TWO * 2, variables=SLURM),
    }
    for name, rows in two.items():
        for first, second in zip(rows, one, strict=True):
            assert first["val_loss"] == pytest.approx(second["val_loss"], rel=1e-5), name


class StopInTheSecond(Callback):
    """Wants to stop after two epochs, in one process alone."""

    def on_epoch_end(self, state):
        if torch.distributed.get_rank() == 1 and state.epoch == 2:
            state.stop()


@pytest.mark.slow
def test_a_callback_of_one_process_stops_all(tmp_path):
    script = SCRIPT.replace("import task_of", "import StopInTheSecond, task_of")
    (tmp_path / "script.py").write_text(script.replace("max_epochs=4", "max_epochs=9, callbacks=[StopInTheSecond()]"))
    process = launch(tmp_path, "graph", devices=2)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    assert json.loads((tmp_path / "run" / "result.json").read_text())["epochs"] == 2
