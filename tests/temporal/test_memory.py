"""Memories against PyG's, where that is right, and against a loop over events."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch_geometric.nn.models.tgn import LastAggregator, MeanAggregator
from torch_geometric.nn.models.tgn import TGNMemory as PyGMemory

from graphkit.nn.temporal import MessageStore, TGNMemory
from tests.temporal.streams import stream

AGGREGATORS = {"last": LastAggregator, "mean": MeanAggregator}


class Message(nn.Module):
    """A message function with weights, so that the two directions differ."""

    def __init__(self, raw, width, time):
        super().__init__()
        self.out_channels = 5
        self.lin = nn.Linear(raw + 2 * width + time, 5)

    def forward(self, own, other, content, time):
        return self.lin(torch.cat([own, other, content, time], 1)).tanh()

    def reset_parameters(self):
        self.lin.reset_parameters()


def memories(aggregator, **options):
    torch.manual_seed(0)
    ours = TGNMemory(12, 3, 4, 6, Message(3, 4, 6), aggregator, **options)
    ours.reset_parameters()
    return ours


def from_pyg(ours, aggregator):
    theirs = PyGMemory(12, 3, 4, 6, Message(3, 4, 6), AGGREGATORS[aggregator]())
    weights = {name.replace("cell.", "gru."): value for name, value in ours.named_parameters()}
    theirs.load_state_dict(weights, strict=False)
    return theirs


@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_memories_are_pygs_where_each_node_has_one_role(aggregator):
    ours = memories(aggregator)
    nn.init.zeros_(ours.cell.bias_ih)  # with them, PyG's cell moves nodes without messages
    nn.init.zeros_(ours.cell.bias_hh)
    theirs, generator, weight = from_pyg(ours, aggregator), torch.Generator().manual_seed(1), torch.randn(4)
    everyone = torch.arange(12)
    for mode in (True, False):
        ours.train(mode)
        theirs.train(mode)
        for step in range(12):
            src = torch.randint(6, (9,), generator=generator)
            dst = torch.randint(6, 12, (9,), generator=generator)
            t, content = 100 * (not mode) + 9 * step + torch.arange(9), torch.randn(9, 3, generator=generator)
            (memory, time), (expected, when) = ours(everyone), theirs(everyone)
            assert torch.allclose(memory, expected, atol=1e-6)
            known = when > 0
            assert torch.equal(time[known], when[known])
            if mode and step:
                gradients = [
                    torch.autograd.grad((states[known].tanh() @ weight).sum(), list(module.parameters()))
                    for states, module in ((memory, ours), (expected, theirs))
                ]
                order = dict(zip([n for n, _ in ours.named_parameters()], gradients[0], strict=True))
                for (name, _), gradient in zip(theirs.named_parameters(), gradients[1], strict=True):
                    assert torch.allclose(order[name.replace("gru.", "cell.")], gradient, atol=1e-5), name
            ours.update_state(src, dst, t, content)
            theirs.update_state(src, dst, t, content)
            theirs.detach()
    assert memory.abs().min() > 0


def loop(ours, events, size, lazily):
    """The states of all nodes after each batch, by a loop over events with lists of messages."""
    memory, last = torch.zeros(12, 4, dtype=torch.double), torch.zeros(12, dtype=events.edge_time.dtype)
    waiting = {v: [] for v in range(12)}

    def read(nodes):
        new = {}
        for v in nodes:
            messages = []
            for sent, other, time, content in waiting[v]:
                module = ours.msg_s_module if sent else ours.msg_d_module
                elapsed = ours.time_enc((time - last[v]).double().view(1))
                messages.append(module(memory[v : v + 1], memory[other : other + 1], content, elapsed))
            if messages:
                mean = messages[-1] if ours.aggregator == "last" else torch.cat(messages).mean(0, keepdim=True)
                new[v] = ours.cell(mean, memory[v : v + 1]), max(time for _, _, time, _ in waiting[v])
        return new

    def write(nodes):
        for v, (state, time) in read(nodes).items():
            memory[v], last[v] = state, time
        for v in nodes:
            waiting[v] = []

    for ids in torch.arange(events.num_edges).split(size):
        nodes = set(events.edge_index[:, ids].flatten().tolist())
        write(nodes)
        for i in ids.tolist():
            u, v = events.edge_index[:, i].tolist()
            waiting[u].append((True, v, events.edge_time[i], events.edge_attr[i : i + 1]))
            waiting[v].append((False, u, events.edge_time[i], events.edge_attr[i : i + 1]))
        if not lazily:
            write(nodes)
        now = read(range(12))
        states = torch.stack([now[v][0][0] if v in now else memory[v] for v in range(12)])
        yield states, torch.stack([now[v][1] if v in now else last[v] for v in range(12)])


@pytest.mark.parametrize("dtype", [torch.long, torch.double])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("cell", ["gru", "rnn"])
@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_memories_are_those_of_a_loop_over_events(aggregator, cell, training, dtype):
    events = stream(channels=3, dtype=dtype)
    events.edge_attr = events.edge_attr.double()
    events.edge_index[1, ::11] = events.edge_index[0, ::11]  # self-loops
    ours = memories(aggregator, cell=cell).double().train(training)
    with torch.no_grad():
        for ids, (states, times) in zip(
            torch.arange(240).split(7), loop(ours, events, 7, lazily=training), strict=True
        ):
            ours.update_state(*events.edge_index[:, ids], events.edge_time[ids], events.edge_attr[ids])
            memory, last_update = ours(torch.arange(12))
            assert torch.allclose(memory, states, atol=1e-12)
            assert torch.equal(last_update, times)
            assert last_update.dtype == dtype


def test_reading_changes_nothing_and_evaluation_begins_with_all_messages_read():
    ours, events = memories("mean"), stream(channels=3)
    ours.update_state(*events.edge_index, events.edge_time, events.edge_attr)
    before = copy.deepcopy(ours.state_dict())
    expected, times = ours(torch.arange(12))
    assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())
    assert bool((ours.memory == 0).all())
    ours.eval()
    assert torch.equal(ours.memory, expected)
    assert torch.equal(ours.last_update, times)
    assert not ours.store.waiting().numel()


@pytest.mark.parametrize("last", [True, False])
def test_a_store_holds_the_messages_of_the_last_batch_and_does_not_grow_with_time(last):
    store, held, generator = MessageStore(20, 2, last), {}, torch.Generator().manual_seed(0)
    for step in range(300):
        src, dst = torch.randint(20, (2, 6), generator=generator)
        if step % 50 == 49:
            store.reset_state()
            held = {}
        msg, t = torch.randn(6, 2, generator=generator), torch.arange(6) + 6 * step
        store.put(src, dst, t, msg)
        new = {}
        for i in range(6):
            for own, other, sent in ((src[i], dst[i], True), (dst[i], src[i], False)):
                new.setdefault(int(own), []).append((int(other), int(t[i]), msg[i].tolist(), sent))
        held |= {v: rows[-1:] if last else rows for v, rows in new.items()}
        nodes = torch.randperm(20, generator=generator)[:9]
        place, other, time, msg, sent = store.get(nodes)
        got = {}
        for row in zip(nodes[place].tolist(), other.tolist(), time.tolist(), msg.tolist(), sent.tolist(), strict=True):
            got.setdefault(row[0], []).append(row[1:])
        assert got == {v: held[v] for v in nodes.tolist() if v in held}
    assert store.other.numel() <= (64 if last else 200)
    fresh = MessageStore(20, 2, last)
    fresh.load_state_dict(store.state_dict())
    assert torch.equal(fresh.get(torch.arange(20))[3], store.get(torch.arange(20))[3])
