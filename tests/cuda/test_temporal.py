"""Models of events on a GPU: the answers and the states of the CPU."""

import pytest
import torch

import graphkit as gk
from graphkit.models import temporal
from tests.temporal.streams import task

MODELS = {
    "NAT": {"num_neighbors": [4, 3], "self_channels": 6, "replace_prob": 0.5, "dropout": 0.0},
    "TGN": {"dropout": 0.0, "pres": {}},
    "JODIE": {"pres": {"weight": 0.8}},
    "DyRep": {"dropout": 0.0},
    "GraphMixer": {"dropout": 0.0},
    "StaticEmbedding": {},
}
OTHERS = {"EventModel", "EdgeBank"}  # the base, and one without weights


def test_every_model_of_events_is_there():
    assert {*temporal.__all__} == {*MODELS, *OTHERS}


@pytest.mark.parametrize("name", MODELS)
def test_answers_and_states(name, device):
    events, found = task(channels=2), []
    for place in (torch.device("cpu"), device):
        torch.manual_seed(0)
        model = gk.models.registry.get(name).from_task(events, hidden_channels=4, **MODELS[name]).to(place)
        out = []
        for batch in events.batches("train", 40, generator=torch.Generator().manual_seed(0)):
            out.append(model(batch.clone().to(str(place))))
            out[-1].square().sum().backward()
        found.append((out, [buffer for _, buffer in sorted(model.named_buffers())]))
    expected, actual = found
    for one, other in zip(expected, actual):
        for mine, theirs in zip(one, other):
            assert theirs.device == device
            torch.testing.assert_close(theirs.cpu(), mine, rtol=1e-5, atol=1e-6)
