"""Streams of events."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from time import perf_counter

import torch
from torch_geometric.data import Data
from torch_geometric.nn.models.tgn import IdentityMessage, LastAggregator
from torch_geometric.nn.models.tgn import TGNMemory as PyGMemory

import graphkit as gk
from benchmarks.speed.common import Benchmark, benchmark, with_gradients
from graphkit.algorithms import t_batches


def _in_python(edge_index: torch.Tensor) -> torch.Tensor:
    """The schedule with dictionaries, as JODIE's authors compute it."""
    last_user: dict[int, int] = {}
    last_item: dict[int, int] = {}
    batch = []
    for user, item in zip(*edge_index.tolist()):
        own = 1 + max(last_user.get(user, -1), last_item.get(item, -1))
        last_user[user] = last_item[item] = own
        batch.append(own)
    return torch.tensor(batch)


def _ten_million() -> dict[str, float]:
    events = torch.randint(100_000, (2, 10_000_000), generator=torch.Generator().manual_seed(0))
    start = perf_counter()
    t_batches(events, bipartite=True)
    return {"ten_million_events_seconds": perf_counter() - start}


@benchmark("t_batches", goal=10.0)
def schedule() -> Benchmark:
    """The t-batches of a million events of 10,000 users and 1000 items; ten million events are timed beside."""
    generator = torch.Generator().manual_seed(0)
    ends = [torch.randint(size, (1_000_000,), generator=generator) for size in (10_000, 1000)]
    events = torch.stack(ends)
    return Benchmark(
        ours=lambda: t_batches(events, bipartite=True),
        opponent=lambda: _in_python(events),
        against="a loop over events with dictionaries, as JODIE's code",
        details=_ten_million,
    )


class PlainNAT:
    """NAT as the authors' code goes about it, in plain torch, with the weights and the state of a model of ours."""

    def __init__(self, model: gk.models.NAT) -> None:
        self.model, caches = model, model.caches
        self.tables = [
            [getattr(caches, name)[:, caches.hop(k)].clone() for name in ("neighbor", "event", "time", "rows")]
            for k in range(3)
        ]
        self.rows = model.rows.clone()
        self.last = [model.partner.clone(), caches.event[:, 0].clone(), caches.time[:, 0].clone()]

    def _seen(self, other: torch.Tensor, event: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        some = (event >= 0).unsqueeze(-1)
        angle = (time * some.squeeze(-1)).double().unsqueeze(-1) * self.model.frequency + self.model.phase
        parts = [self.rows[other] * some, self.model.log.messages[event] * some, angle.cos().float()]
        return torch.cat(parts, -1)

    def _fetch(self, nodes: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        model, states = self.model, []
        for neighbor, event, time, rows in self.tables:
            seen = model.neighbor_lin(self._seen(neighbor[nodes], event[nodes], time[nodes]))
            new = model.neighbor_rnn(seen.flatten(0, 1), rows[nodes].flatten(0, 1)).view(*seen.shape)
            states.append(new * (event[nodes] >= 0).unsqueeze(-1))
        own = model.self_lin(self._seen(*(each[nodes] for each in self.last)))
        return model.self_rnn(own, self.rows[nodes]), states

    def step(self, src: torch.Tensor, dst: torch.Tensor, neg: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The scores of events and of as many other pairs; then the tables are written."""
        n, nodes = src.numel(), torch.cat([src, dst, neg])
        own, states = self._fetch(nodes)
        src_rows = torch.arange(n)
        scores = [self._score(nodes, own, states, src_rows, torch.arange(n) + n * i) for i in (1, 2)]
        with torch.no_grad():
            self._write(src, dst, t, own[: 2 * n], [each[: 2 * n] for each in states])
        return torch.cat(scores)

    def _score(self, nodes, own, states, first, second) -> torch.Tensor:
        model, ids, codes, values, pairs = self.model, [], [], [], []
        for side, unit in ((first, 1), (second, 8)):
            for k, state in enumerate(states):
                found = self.tables[k][0][nodes[side]]
                ids.append(found.flatten())
                codes.append(torch.full_like(found, unit << k).flatten())
                values.append(state[side].flatten(0, 1))
                pairs.append(torch.arange(first.numel()).repeat_interleave(found.size(1)))
        ids, codes, values, pairs = (torch.cat(each) for each in (ids, codes, values, pairs))
        there = ids >= 0
        keys = torch.stack([pairs[there], ids[there]], 1)
        groups, place = torch.unique(keys, dim=0, return_inverse=True)
        summed = values.new_zeros(len(groups), values.size(1)).index_add(0, place, values[there])
        code = torch.zeros(len(groups), dtype=torch.long).index_add(0, place, codes[there])
        projected = model.heads_lin(torch.cat([summed, model.code(code)], 1)).view(len(groups), model.heads, -1)
        joint = projected.new_zeros(first.numel(), *projected.shape[1:]).index_add(0, groups[:, 0], projected)
        out = torch.cat([joint.mean(1) + model.bias, own[first], own[second]], 1)
        return model.score_lin(model.hidden_lin(out).relu())

    def _write(self, src, dst, t, own, states) -> None:
        n, width = src.numel(), self.tables[1][0].size(1)
        node, partner, time = torch.cat([src, dst]), torch.cat([dst, src]), t.repeat(2)
        event = (torch.arange(n) + int(self.model.log.num_events)).repeat(2)
        tables = self.tables[1]
        met = [each[node].flatten(0, 1) for each in tables[:3]] + [states[1].flatten(0, 1)]
        there = met[0] >= 0
        self._put(2, partner.repeat_interleave(width)[there], *(each[there] for each in met))
        for k, other in ((1, partner), (0, node)):
            slot = self._slot(k, other)
            known = self.tables[k][0][node, slot] == other
            self._put(k, node, other, event, time, states[k][torch.arange(2 * n), slot] * known.unsqueeze(1))
        self.rows[node] = own
        for table, value in zip(self.last, (partner, event, time)):
            table[node] = value

    def _slot(self, k: int, ids: torch.Tensor) -> torch.Tensor:
        a, s = ids + 1, self.model.caches.seed % 100
        return (a * s + a**2 * (s + 1)) % self.tables[k][0].size(1)

    def _put(self, k: int, node: torch.Tensor, other: torch.Tensor, *values: torch.Tensor) -> None:
        slot = self._slot(k, other)
        for table, value in zip(self.tables[k], (other, *values)):
            table[node, slot] = value


@benchmark("nat_batch", goal=3.0, of="NAT")
def nat_batch() -> Benchmark:
    """NAT, forward, backward and what it remembers: 1000 events and as many other pairs, 10,000 nodes, 172 channels."""
    generator = torch.Generator().manual_seed(0)
    size, past, n = 10_000, 50_000, 1000
    ends = (torch.rand(3, past + n, generator=generator) ** 3 * size).long()
    t, msg = torch.arange(past + n), torch.randn(past + n, 172, generator=generator)
    model = gk.models.NAT(size, msg_channels=172, replace_prob=1, dropout=0)
    with torch.no_grad():
        for part in torch.arange(past).split(n):
            model.update_state(*ends[:2, part], t[part], msg[part])
    last, weights = slice(past, None), [p for name, p in model.named_parameters()]
    src, dst, neg = ends[:, last]
    pairs = torch.stack([src.repeat(2), torch.cat([dst, neg])])
    batch = Data(src=src, dst=dst, t=t[last], msg=msg[last], edge_label_index=pairs, num_nodes=size)
    state = {name: buffer.clone() for name, buffer in model.named_buffers()}
    plain = PlainNAT(model)

    def ours() -> tuple[torch.Tensor, ...]:
        for name, buffer in model.named_buffers():
            buffer.copy_(state[name])
        return with_gradients(model(batch), *weights)

    def opponent() -> tuple[torch.Tensor, ...]:
        return with_gradients(plain.step(src, dst, neg, t[last]), *weights)

    return Benchmark(ours, opponent, against="NAT in plain torch")


@benchmark("tgn_memory", goal=20.0, of="TGN")
def tgn_memory() -> Benchmark:
    """Memories of 32 channels for 100,000 nodes take 1000 events; emptying them, and reading what waits, beside.

    In the middle of a stream: messages wait for most of the nodes, so that each batch changes the memories of its own.
    The recurrent cell alone, on as many rows as 1000 events have ends, is timed beside, too: both call torch's.
    """
    size, n, generator = 100_000, 1000, torch.Generator().manual_seed(0)
    ends = torch.randint(size // 2, (2, 40 * n), generator=generator) + torch.tensor([[0], [size // 2]])
    time, content = torch.arange(40 * n), torch.randn(40 * n, 16, generator=generator)
    batches = list(zip(*(part.split(n) for part in (*ends, time, content)), strict=True))
    memory = gk.nn.temporal.TGNMemory(size, 16, 32, 32)
    theirs = PyGMemory(size, 16, 32, 32, IdentityMessage(16, 32, 32), LastAggregator())
    ours_next, theirs_next = cycle(batches), cycle(batches)
    message, state = torch.randn(2 * n, memory.cell.input_size), torch.randn(2 * n, memory.cell.hidden_size)

    @torch.no_grad()
    def update(memory: torch.nn.Module, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        memory.update_state(*batch)
        return memory.memory[:1]

    for batch in batches:
        update(memory, batch)
        update(theirs, batch)

    @torch.no_grad()
    def details() -> dict[str, float]:
        start = perf_counter()
        memory.eval()
        read = perf_counter()
        memory.reset_state()
        emptied = perf_counter()
        memory.train()
        for _ in range(100):
            memory.cell(message, state)
        cell = (perf_counter() - emptied) / 100
        return {"read_all_seconds": read - start, "reset_seconds": emptied - read, "cell_seconds": cell}

    return Benchmark(
        ours=lambda: update(memory, next(ours_next)),
        opponent=lambda: update(theirs, next(theirs_next)),
        against="torch_geometric.nn.models.tgn.TGNMemory",
        rounds=21,
        warmups=1,
        details=details,
    )


@benchmark("tgn_large_batches")
def tgn_large_batches() -> Benchmark:
    """TGN trains on 3200 events of 2000 nodes at once, with PRES; events per second by batch size beside."""
    size, past, n, generator = 2000, 19_200, 3200, torch.Generator().manual_seed(0)
    ends = (torch.rand(2, 2 * (past + n), generator=generator) ** 2 * size).long()
    data = Data(edge_index=ends, edge_time=torch.arange(ends.size(1)), num_nodes=size)
    task = gk.EventTask("random", data)

    def training(batch_size: int, pres: dict[str, float] | None) -> Callable[[], None]:
        model = gk.models.TGN.from_task(task, pres=pres)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
        for part in torch.arange(past).split(n):
            model.update_state(task.src[part], task.dst[part], task.t[part], task.msg[part])
        state = {name: value.clone() for name, value in model.state_dict().items()}
        batches = [batch for batch in task.batches("train", batch_size) if past <= int(batch.event_id[0]) < past + n]

        def run() -> None:
            model.load_state_dict(state)
            for batch in batches:
                loss = task.loss(model(batch), batch) + (
                    0 if pres is None else model.memory.correction.auxiliary_loss()
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

        return run

    def details() -> dict[str, float]:
        rates = {}
        for batch_size in (100, 200, 400, 800, 1600, 3200):
            for name, pres in (("tgn", None), ("pres", {})):
                run = training(batch_size, pres)
                run()
                start = perf_counter()
                run()
                rates[f"{name}_{batch_size}_events_per_second"] = n / (perf_counter() - start)
        return rates

    return Benchmark(training(n, {}), training(200, None), against="TGN in batches of 200", rounds=5, details=details)
