"""PRES on every model with a memory, in the trainer."""

from __future__ import annotations

import pytest
import torch

import graphkit as gk
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
    with pytest.raises(ValueError, match=r"PRES: beta=-1, must be at least 0"):
        gk.models.JODIE(3, pres={"beta": -1})
