"""Subgraphs that grow while a model trains: the rule, whom it reaches, and that evaluations keep the whole scope."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import graphkit as gk
from graphkit.training import AdaptiveFanout
from graphkit.training.adaptive_fanout import narrowed
from tests import tiny

SAMPLERS = {
    "NeighborSampler": gk.samplers.NeighborSampler([9, -1]),
    "ShaDowKHop": gk.samplers.ShaDowKHop(2, 9),
    "ShaDowPPR": gk.samplers.ShaDowPPR(9),
    "GraphSAINTNode": gk.samplers.GraphSAINTNode(9),
    "GraphSAINTEdge": gk.samplers.GraphSAINTEdge(9),
    "GraphSAINTRandomWalk": gk.samplers.GraphSAINTRandomWalk(9),
    "ClusterSampler": gk.samplers.ClusterSampler(9, 9),
}


@pytest.fixture(autouse=True)
def _own_files(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path / "data"))


def values(metrics, task, **arguments):
    """The value of each epoch for a scripted list of validation metrics (``None``: not validated)."""
    growing, seen = AdaptiveFanout(**arguments), []
    state = SimpleNamespace(task=task, metrics={})
    growing.on_fit_start(state)
    for metric in metrics:
        growing.on_epoch_start(state)
        seen.append(task.loader.training_sampler.num_neighbors)
        if metric is not None:
            state.metrics = {f"val_{task.metric}": metric}
            growing.on_validation_end(state)
    return seen


def test_the_rule_on_a_scripted_metric():
    task = tiny.node_task().sampled(gk.samplers.NeighborSampler([50, 30]))
    #        first, gains 0.2, gains 0.05 < 0.1 * 0.8^2, falls, unknown, gains 0.02 < 0.1 * 0.8^4
    metrics = [0.50, 0.70, 0.75, 0.60, None, 0.62, 0.90]
    seen = values(metrics, task, start=2, stride=20, tolerance=0.1, decay=0.8)
    assert seen == [[2, 2], [2, 2], [2, 2], [22, 22], [42, 30], [42, 30], [50, 30]]


def test_smaller_errors_are_better_metrics():
    task = tiny.node_task("regression").sampled(gk.samplers.NeighborSampler([9]))
    assert values([5.0, 4.0, 3.99, 4.5, 1.0], task, start=1, stride=3, tolerance=0.1, decay=1.0) == [
        *([1], [1], [1], [4], [7])
    ]


def test_every_sampler_has_a_scope():
    assert set(SAMPLERS) == {
        name for name, cls in gk.samplers.registry.classes().items() if "graphkit" in cls.__module__
    }
    for sampler in SAMPLERS.values():
        before = sampler.config()
        changed = {key for key, value in narrowed(sampler, 3).config().items() if value != before[key]}
        assert changed == {sampler.scope}
        assert sampler.config() == before
        assert narrowed(sampler, 99).config()[sampler.scope] == ([9, 99] if sampler.scope == "num_neighbors" else 9)


def simple_task(kind):
    """Nodes or links of an undirected graph without loops and repetitions."""
    data = tiny.node_task().data.clone()
    data.edge_index = data.edge_index[:, data.edge_index[0] != data.edge_index[1]].unique(dim=1)
    if kind == "node":
        return gk.NodeTask("nodes", data, tiny.split(24))
    return gk.LinkTask("links", data, gk.LinkSplit.random(data.edge_index, 24, 0.2, 0.2))


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("kind", ["node", "link"])
def test_training_grows_and_evaluation_does_not(name, kind):
    if kind == "link" and name in ("GraphSAINTRandomWalk", "ClusterSampler"):
        pytest.skip("judges no pairs")
    task = simple_task(kind).sampled(SAMPLERS[name])
    spy = Spy()
    growing = AdaptiveFanout(start=1, stride=2, tolerance=1.0, decay=1.0)
    size = 4 if SAMPLERS[name].default_batch_size else None
    trainer = gk.Trainer(max_epochs=5, batch_size=size, callbacks=[growing, spy], progress=False)
    trainer.fit(gk.models.GCN.from_task(task, hidden_channels=4), task)
    plain = [value[0] if isinstance(value, list) else value for value in spy.seen]
    assert plain == [1, 1, 3, 5, 7]
    assert task.loader.training_sampler is None, "the task that was given is as it was"
    assert spy.last.sampler.config() == SAMPLERS[name].config()


class Spy(gk.Callback):
    """Notes by what subgraphs are drawn."""

    def on_fit_start(self, state):
        self.seen = []

    def on_epoch_end(self, state):
        self.last = state.task.loader
        self.seen.append(getattr(self.last.training_sampler, self.last.sampler.scope))


def test_batches_of_training_are_those_of_the_smaller_sampler():
    task = tiny.sampled_task()
    task.loader.training_sampler = gk.samplers.NeighborSampler([1, 1])
    inside, outside = (sum(b.num_edges for b in task.batches("train", 4, True, epoch=epoch)) for epoch in (1, None))
    assert inside < outside


def test_a_resumed_run_goes_on_where_it_was(tmp_path):
    def fit(folder, epochs, **arguments):
        task = tiny.sampled_task()
        growing = AdaptiveFanout(start=1, stride=1)
        trainer = gk.Trainer(epochs, batch_size=4, callbacks=[growing], progress=False, run_dir=tmp_path / folder)
        return trainer.fit(gk.models.GCN.from_task(task, hidden_channels=4), task, **arguments)

    fit("run", 3)
    assert fit("run", 6, resume=True).history == fit("whole", 6).history


def test_what_cannot_grow_is_refused():
    task = tiny.node_task()
    model = gk.models.GCN.from_task(task, hidden_channels=4)
    trainer = gk.Trainer(1, callbacks=[AdaptiveFanout()], progress=False)
    with pytest.raises(ValueError, match=r"task 'tiny node multiclass' is not sampled; use task.sampled"):
        trainer.fit(model, task)

    class Own(gk.samplers.NeighborSampler):
        scope = ""

    with pytest.raises(ValueError, match="Own does not say by which argument its subgraphs grow; set scope"):
        trainer.fit(model, task.sampled(Own([3])))
