"""PRES on every model with a memory, in the trainer."""

from __future__ import annotations

import pytest
import torch

import graphkit as gk
from graphkit.nn.temporal import PRES
from tests.temporal.streams import task, trainer


@pytest.mark.parametrize("name", ["TGN", "JODIE", "DyRep"])
def test_pres_trains_with_every_memory(name, tmp_path):
    events = task(channels=2)

    def run(folder, epochs, resume=False):
        model = gk.models.registry.get(name).from_task(events, hidden_channels=4, time_channels=3, pres={"beta": 0.2})
        options = {"run_dir": tmp_path / folder, "batch_size": 60, "lr": 0.01}
        return trainer(epochs, **options).fit(model, events, resume=resume), model

    whole, model = run("whole", 3)
    pres = model.memory.correction
    assert all(row["train_auxiliary_loss"] > 0 for row in whole.history)
    assert float(pres.weight.detach()) != 0.5, "the weight is learnt"
    assert pres.count.sum() > 0
    run("parts", 2)
    resumed, other = run("parts", 3, resume=True)
    assert resumed.history == whole.history
    assert torch.equal(other.memory.correction.sum_rate, pres.sum_rate)
    plain = gk.models.registry.get(name).from_task(events, hidden_channels=4, time_channels=3)
    assert plain.memory.correction is None


def test_wrong_arguments_are_told():
    with pytest.raises(TypeError, match="gamma"):
        gk.models.TGN(3, pres={"gamma": 0.1})
    with pytest.raises(ValueError, match=r"DyRep: pres=\{'num_nodes': 3\}, but num_nodes is the model's; leave it out"):
        gk.models.DyRep(5, pres={"num_nodes": 3})
    with pytest.raises(ValueError, match=r"PRES: beta=-1, must be at least 0"):
        gk.models.JODIE(3, pres={"beta": -1})


def _memories(per):
    """The largest memory of a node whose measured ones are in [-1, 1], with bursts of events and long pauses."""
    generator = torch.Generator().manual_seed(0)
    pres, node, memory = PRES(1, 3, per=per, learn_weight=False), torch.tensor([0]), torch.zeros(1, 3)
    largest = 0.0
    for event in range(300):
        elapsed = torch.tensor([100_000 if event % 10 == 9 else 1])
        fused = pres(node, memory, 2 * torch.rand(1, 3, generator=generator) - 1, elapsed)
        pres.observe(node, memory, fused, elapsed)
        memory, largest = fused, max(largest, float(fused.abs().max()))
    return largest


def test_rates_of_time_leave_the_range_of_memories_after_bursts_and_changes_per_update_do_not():
    assert _memories("time") > 1000
    assert _memories("update") < 2


def test_changes_per_update_do_not_ask_for_the_time():
    pres, node = PRES(2, 2, per="update", learn_weight=False), torch.tensor([1])
    first, second = torch.tensor([[1.0, 2.0]]), torch.tensor([[2.0, 5.0]])
    pres.observe(node, first, second, torch.tensor([0]))
    assert pres.predict(node, second, torch.tensor([7])).tolist() == [[3.0, 8.0]]
    assert pres(node, second, first, torch.tensor([0])).tolist() == [[2.0, 5.0]]
