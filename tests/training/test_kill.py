"""Training that is killed or interrupted at random moments ends exactly where an uninterrupted run ends."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from graphkit import Result
from graphkit.training.checkpoint import load_checkpoint
from tests.training.runs import start, train


def _assert_same_end(run_dir: Path, expected: Result) -> None:
    weights = torch.load(run_dir / "final.pt", weights_only=True)
    assert weights.keys() == expected.weights.keys()
    for name, value in expected.weights.items():
        assert torch.equal(weights[name], value), f"{name} differs"
    result = Result.load(run_dir / "result.json")
    assert result.history == json.loads(json.dumps(expected.history))
    assert (result.test, result.val, result.best_epoch) == (expected.test, expected.val, expected.best_epoch)
    with (run_dir / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["phase"], int(row["epoch"])) for row in rows] == [(r["phase"], r["epoch"]) for r in expected.history]
    assert [float(row["train_loss"]) for row in rows] == [r["train_loss"] for r in expected.history]


def _kill_repeatedly(kind: str, run_dir: Path, moments: list[tuple[int, float]], **settings: object) -> list[int]:
    """Kill at these moments, then let it finish; returns the numbers of epochs in the checkpoints that the kills left.

    A moment is a number of module calls and seconds after them.
    """
    epochs = []
    for calls, seconds in moments:
        process = start(kind, run_dir, at_call=calls, **settings)
        time.sleep(seconds)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the run ended before it was killed; train longer in this test"
        checkpoint = run_dir / "checkpoint.pt"
        if checkpoint.exists():  # whole at every moment
            epochs.append(len(load_checkpoint(checkpoint)["history"]))
    process = start(kind, run_dir, **settings)
    process.join(120)
    assert process.exitcode == 0, (run_dir / "error.txt").read_text()
    return epochs


@pytest.mark.parametrize("kind", ["node", "graph", "link", "greedy"])
def test_sigkill_with_a_checkpoint_every_epoch(kind, tmp_path):
    draw = random.Random(kind)
    moments = [(draw.randint(1, 250), draw.uniform(0, 0.01)) for _ in range(4)]
    left = _kill_repeatedly(kind, tmp_path, moments, checkpoint_seconds=0.0, max_epochs=80)
    assert len(set(left)) > 1, f"the kills hit no different epochs: {left}"
    assert left == sorted(left), f"progress got lost: {left}"
    _assert_same_end(tmp_path, train(kind, None, max_epochs=80))


def test_sigkill_with_default_checkpoints(tmp_path):
    left = _kill_repeatedly("node", tmp_path, [(50, 0.1), (50, 1.2)], pause=0.001, max_epochs=100)
    assert left, "no checkpoint was written within a second"
    _assert_same_end(tmp_path, train("node", None, max_epochs=100))


def test_control_c_leaves_a_checkpoint_and_says_how_to_continue(tmp_path):
    process = start("greedy", tmp_path, at_call=300, pause=0.001, max_epochs=60)
    os.kill(process.pid, signal.SIGINT)
    process.join(60)
    assert process.exitcode == 1
    message = (tmp_path / "error.txt").read_text()
    assert message.startswith("KeyboardInterrupt: stopped after epoch ")
    assert "resume=True" in message
    assert str(tmp_path / "checkpoint.pt") in message
    done = load_checkpoint(tmp_path / "checkpoint.pt")["history"]
    assert f"stopped after epoch {done[-1]['epoch']} of phase {done[-1]['phase']!r}" in message
    process = start("greedy", tmp_path, max_epochs=60)
    process.join(60)
    assert process.exitcode == 0
    _assert_same_end(tmp_path, train("greedy", None, max_epochs=60))
