"""Streams of events as datasets: what they hold, the options of their tasks, and recipes that name them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import graphkit as gk
from graphkit.recipes.experiment import Experiment


def test_a_week_is_as_published(real: Path) -> None:
    task = gk.load("collegemsg")
    assert (task.num_nodes, task.t.numel(), task.msg.size(1)) == (1899, 59835, 0)
    assert task.t.dtype == torch.long
    assert int(task.t[0]) == 1082040961
    assert task.split.sizes[0] / 59835 == pytest.approx(0.7, abs=0.001)
    assert gk.load("bitcoin-otc").msg.abs().max() == 1


def test_options_are_those_of_the_task(real: Path) -> None:
    task = gk.load("collegemsg", negatives="historical", eval_negatives=3, batching="t-batch")
    assert task.negatives["val"].shape == (task.split.val.numel(), 3)
    assert isinstance(task.batching, gk.tasks.TBatch)
    with pytest.raises(TypeError, match="dataset 'collegemsg' has no option 'negative'; its options are: negatives"):
        gk.load("collegemsg", negative="historical")
    with pytest.raises(ValueError, match="negatives='historic'"):
        gk.load("collegemsg", negatives="historic")


def test_recipes_name_them(real: Path) -> None:
    config = {
        "model": {"class_path": "NAT", "init_args": {"num_neighbors": [4]}},
        "task": {"name": "collegemsg", "negatives": "historical"},
        "trainer": {"max_epochs": 1, "batch_size": 200},
    }
    experiment = Experiment.from_config(config)
    assert experiment.config["task"] == {"name": "collegemsg", "split": 0, "negatives": "historical"}
    assert experiment.build_model(experiment.load_task()).caches.neighbor.shape == (1899, 5)


@pytest.mark.parametrize("name", ["collegemsg", "enron", "bitcoin-otc"])
def test_protocols_are_splits_of_which_an_option_differs(real: Path, name: str) -> None:
    task = gk.load(name)
    for split, judged, kind in [
        ("time-historical", "all", "historical"),
        ("time-inductive", "all", "inductive"),
        ("time-new-nodes", "inductive", "random"),
        ("time-new-nodes-historical", "inductive", "historical"),
    ]:
        other = gk.load(name, split)
        assert f"{judged} next events against 1 {kind} negatives each" in repr(other)
        assert other.split.hash == task.split.hash
        assert torch.equal(other.negatives["test"], task.negatives["test"]) == (kind == "random")
    assert "1 inductive negatives" in repr(gk.load(name, "time-historical", negatives="inductive"))
