"""TGN, JODIE, DyRep and GraphMixer: what they make of events, by other ways to compute it."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.nn import TransformerConv
from torch_geometric.nn.models.graph_mixer import LinkEncoder

from graphkit.models import JODIE, TGN, DyRep, GraphMixer
from graphkit.nn.temporal import MessageLog
from tests.temporal.streams import stream


def after(model, events, size=20):
    """The model in evaluation mode, after all events."""
    model.double().eval()
    for ids in torch.arange(events.num_edges).split(size):
        model.update_state(*events.edge_index[:, ids], events.edge_time[ids], events.edge_attr[ids].double())
    return model


def last_events(events, node, time, count):
    """The other end, number and time of a node's last events before a time, the last one first."""
    found = []
    for i in range(events.num_edges):
        u, v = events.edge_index[:, i].tolist()
        ends = ([v] if u == node else []) + ([u] if v == node else [])
        found += [(other, i, events.edge_time[i]) for other in ends]
    return [one for one in found[::-1][:count] if one[2] < time]


def attention(model, node, time, events):
    """The embedding of a node by PyG's layer."""
    ours = model.attention.conv
    theirs = TransformerConv((8, 8), 4, 2, edge_dim=ours.lin_edge.weight.size(1)).double()
    theirs.load_state_dict(ours.state_dict())
    last = last_events(events, node, time, 5)
    others = model.memory.memory[[other for other, _, _ in last]]
    elapsed = torch.stack([time - when for _, _, when in last]).double()
    content = events.edge_attr[[i for _, i, _ in last]].double()
    features = torch.cat([model.memory.time_enc(elapsed), content], 1)
    edges = torch.stack([torch.arange(len(last)), torch.zeros(len(last), dtype=torch.long)])
    return theirs((others, model.memory.memory[[node]]), edges, features)[0]


def test_tgn_attends_to_the_last_events_at_the_time_that_is_asked_about():
    events = stream(channels=2)
    model = after(TGN(12, 2, hidden_channels=8, time_channels=6, num_neighbors=5), events)
    asked = [(0, 80), (3, 95), (11, 79)]
    nodes, times = torch.tensor(asked).T
    with torch.no_grad():
        z = model.embed(nodes, times)
        for row, (node, time) in zip(z, asked, strict=True):
            assert torch.allclose(row, attention(model, node, torch.tensor(time), events), atol=1e-10)


def test_jodie_projects_memories_and_updates_them_by_an_rnn():
    events = stream(channels=2)
    model = after(JODIE(12, 2, hidden_channels=8, time_channels=6, time_scale=4.0), events)
    assert isinstance(model.memory.cell, torch.nn.RNNCell)
    nodes, times = torch.arange(12), torch.arange(80, 92)
    memory, last = model.memory.memory, model.memory.last_update
    expected = memory * (1 + (times - last).double().unsqueeze(1) / 4 * model.projection.weight.T)
    assert torch.allclose(model.embed(nodes, times), expected, atol=1e-12)


def test_messages_of_dyrep_read_the_neighbourhood_of_the_other_end():
    events = stream(channels=2)
    model = after(DyRep(12, 2, hidden_channels=8, time_channels=6, num_neighbors=5), events)
    before = model.memory.memory.clone()
    time = torch.tensor(90)
    with torch.no_grad():
        read = torch.stack([attention(model, node, time, events) for node in (7, 4)])
        given = torch.cat(
            [
                before[[4, 7]],
                read,
                torch.ones(2, 2).double(),
                model.memory.time_enc((time - model.memory.last_update[[4, 7]]).double()),
            ],
            1,
        )
        expected = model.memory.cell(given, before[[4, 7]])
        model.update_state(torch.tensor([4]), torch.tensor([7]), time.view(1), torch.ones(1, 2).double())
    assert torch.allclose(model.memory.memory[[4, 7]], expected, atol=1e-10)
    assert torch.equal(model.embed(torch.tensor([4]), time.view(1))[0], model.memory.memory[4])


@pytest.mark.parametrize("dtype", [torch.long, torch.double])
def test_graph_mixer_encodes_the_last_events_as_pyg_does(dtype):
    events = stream(channels=2, dtype=dtype)
    model = after(GraphMixer(12, 2, hidden_channels=8, time_channels=6, num_neighbors=7), events)
    nodes, times = torch.tensor([0, 5, 11, 5]), torch.tensor([80, 95, 100, 81]).to(dtype)
    edges, content, when = [], [], []
    for row, (node, time) in enumerate(zip(nodes.tolist(), times, strict=True)):
        for _, i, at in last_events(events, node, time, 7):
            edges.append((0, row))
            content.append(events.edge_attr[i].double())
            when.append(at.double())
    theirs = LinkEncoder(7, 2, 8, 8, 6).double()
    theirs.load_state_dict(model.encoder.state_dict())
    expected = theirs(torch.tensor(edges).T, torch.stack(content), torch.stack(when), times.double())
    assert torch.allclose(model.embed(nodes, times), expected, atol=1e-10)


def test_a_pair_is_scored_whatever_else_is_asked_in_its_batch():
    events = stream(channels=2)
    for model in (TGN(12, 2, 8, 6), JODIE(12, 2, 8, 6), DyRep(12, 2, 8, 6), GraphMixer(12, 2, 8, 6)):
        after(model, events)
        pairs, times = torch.tensor([[0, 3, 0, 5], [4, 7, 4, 0]]), torch.tensor([80, 90, 91, 80])
        batch = events.__class__(edge_label_index=pairs, edge_label_time=times)
        scores = model.decode(model.encode(batch), batch)
        for i in range(4):
            alone = events.__class__(edge_label_index=pairs[:, [i]], edge_label_time=times[[i]])
            assert torch.allclose(model.decode(model.encode(alone), alone), scores[[i]], atol=1e-10)


def test_a_log_begins_again_and_grows():
    log, number = MessageLog(2), 0
    for step in range(20):
        if step == 12:
            log.reset_state()
            number = 0
        msg = torch.randn(step + 1, 2)
        assert log.write(msg).tolist() == list(range(number, number + step + 1))
        assert torch.equal(log.read(torch.arange(number, number + step + 1)), msg)
        number += step + 1
    assert MessageLog(0).write(torch.empty(3, 0)).tolist() == [0, 1, 2]
