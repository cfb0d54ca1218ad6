"""Links on subgraphs: what is judged, what is seen, and what losses are of."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch_geometric.data import Data
from torch_geometric.utils import coalesce

import graphkit as gk
from graphkit import LinkSplit, LinkTask, NodeTask
from graphkit.tasks.targets import Link
from tests import tiny

# Links on subgraphs --------------------------------------------------------------------------------------------------


def sampled_links(sampler, disjoint=0.0, **arguments):
    graph = tiny.graph(60, 200, seed=3)
    split = LinkSplit.random(graph.edge_index, 60, 0.2, 0.2, disjoint=disjoint, **arguments)
    task = LinkTask("links", graph, split)
    return task, task.sampled(sampler)


FULL = {
    "neighbors": gk.samplers.NeighborSampler([-1, -1, -1]),
    "shadow": gk.samplers.ShaDowKHop(depth=3, budget=-1),
}


@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize("stage", ["train", "val", "test"])
@pytest.mark.parametrize("disjoint", [0.0, 0.4])
def test_scores_of_links_on_subgraphs_are_those_of_the_whole_graph(name, stage, disjoint):
    """All neighbours of all hops are drawn, so each pair has the dense answer of the graph of its stage."""
    whole, task = sampled_links(FULL[name], disjoint)
    model = gk.models.GCN.from_task(whole, hidden_channels=8).double().eval()
    graph = whole.stage_graph(stage).clone()
    dense = model(graph.update({"x": graph.x.double()}))
    seen = []
    for batch in task.batches(stage, 7, shuffle=stage == "train", generator=torch.Generator().manual_seed(1)):
        out = model(batch.update({"x": batch.x.double()}))
        score, label = task.select(out, batch, stage)
        pairs = batch.n_id[batch.edge_label_index]
        expected = (dense[pairs[0]] * dense[pairs[1]]).sum(1, keepdim=True)
        torch.testing.assert_close(score, expected)
        assert set(batch.root_index.tolist()) == set(batch.edge_label_index.flatten().tolist())
        seen += [(*pair, kind) for pair, kind in zip(map(tuple, pairs.t().tolist()), label.tolist())]
    links = {pair for *pair, kind in map(tuple, seen) if kind for pair in [tuple(pair)]}
    assert links == set(map(tuple, getattr(whole.split, stage).t().tolist()))
    assert len(seen) == len(set(seen)) == 2 * len(links), "each pair once"


@pytest.mark.parametrize("disjoint", [0.0, 0.4])
def test_no_subgraph_holds_a_link_that_a_stage_may_not_see(disjoint):
    whole, task = sampled_links(gk.samplers.NeighborSampler([3, 3], subgraph_type="induced"), disjoint)
    hidden = {"train": ["val", "test"] + ["train"] * bool(disjoint), "val": ["val", "test"], "test": ["test"]}
    for stage, parts in hidden.items():
        secret = {tuple(sorted(pair)) for part in parts for pair in getattr(whole.split, part).t().tolist()}
        count = 0
        for batch in task.batches(stage, 10, shuffle=True):
            edges = {tuple(sorted(pair)) for pair in batch.n_id[batch.edge_index].t().tolist()}
            assert not edges & secret
            count += len(edges)
        assert count > 0


def grouped_links(sampler):
    task, _ = sampled_links(sampler)
    return LinkTask("links", task._data, task.split, group_by_source=True).sampled(sampler), task.sampled(sampler)


def test_links_of_one_source_are_trained_on_together():
    grouped, plain = grouped_links(gk.samplers.NeighborSampler([3]))

    def drawn(task, seed):
        batches = list(task.batches("train", 10, shuffle=True, generator=torch.Generator().manual_seed(seed)))
        pairs = [batch.n_id[batch.edge_label_index][:, batch.edge_label > 0] for batch in batches]
        return pairs, sum(batch.root_index.numel() for batch in batches)

    (together, few), (apart, many) = drawn(grouped, 0), drawn(plain, 0)
    assert few < 0.9 * many
    for pairs in (together, apart):
        assert set(map(tuple, torch.cat(pairs, dim=1).t().tolist())) == set(map(tuple, plain.split.train.t().tolist()))
    order = torch.cat(together, dim=1)[0]
    assert order.unique_consecutive().numel() == order.unique().numel(), "each source once, over the ends of batches"
    assert not torch.equal(order, torch.cat(drawn(grouped, 1)[0], dim=1)[0])
    assert not torch.equal(order, order.sort().values)


def test_losses_and_gradients_of_grouped_links_are_those_of_the_whole_graph():
    grouped, plain = grouped_links(FULL["neighbors"])
    model = gk.models.GCN.from_task(plain, hidden_channels=8).double()
    graph = plain.loader.whole.stage_graph("train").clone()
    graph.x = graph.x.double()

    def with_gradients(loss):
        return [loss, *torch.autograd.grad(loss, list(model.parameters()))]

    for batch in grouped.batches("train", 12, shuffle=True, generator=torch.Generator().manual_seed(0)):
        pairs, label = batch.n_id[batch.edge_label_index], batch.edge_label
        dense = model(graph)
        scores = (dense[pairs[0]] * dense[pairs[1]]).sum(1)
        expected = with_gradients(F.binary_cross_entropy_with_logits(scores, label.double()))
        ours = with_gradients(grouped.loss(model(batch.update({"x": batch.x.double()})), batch))
        torch.testing.assert_close(ours, expected)
        assert batch.root_index.numel() == pairs.unique().numel(), "each node is read once"


def test_a_shadow_model_reads_the_ends_of_pairs_itself():
    _, task = sampled_links(gk.samplers.ShaDowKHop(2, 5))
    batch = next(iter(task.batches("train", 10)))
    at_nodes = torch.randn(batch.num_nodes, 4)
    roots = at_nodes[batch.root_index]
    for mine, theirs in zip(task.select(roots, batch, "train"), task.select(at_nodes, batch, "train")):
        torch.testing.assert_close(mine, theirs)


def test_negatives_of_sampled_links_are_those_of_the_whole_graph():
    whole, task = sampled_links(gk.samplers.NeighborSampler([2]))
    for seed in (0, 1):
        draws = (torch.Generator().manual_seed(seed) for _ in range(2))
        expected = [b.edge_label_index for b in whole.batches("train", 9, shuffle=True, generator=next(draws))]
        pairs = [b.n_id[b.edge_label_index] for b in task.batches("train", 9, shuffle=True, generator=next(draws))]
        assert all(torch.equal(a, b) for a, b in zip(pairs, expected, strict=True))


@pytest.mark.parametrize("evaluate", ["sampled", "whole", "layerwise"])
def test_links_are_learned_on_subgraphs(evaluate):
    graph, block = tiny.graph(60, 1200), torch.arange(60) % 2
    edge_index = graph.edge_index[:, block[graph.edge_index[0]] == block[graph.edge_index[1]]]
    data = Data(x=torch.eye(60), edge_index=edge_index)
    task = LinkTask("blocks", data, LinkSplit.random(edge_index, 60, 0.1, 0.3))
    sampled = task.sampled(gk.samplers.NeighborSampler([10, 10], evaluate=evaluate))
    trainer = gk.Trainer(max_epochs=15, batch_size=60, progress=False)
    result = trainer.fit(gk.models.GCN.from_task(sampled, hidden_channels=16), sampled)
    assert result.test > 0.7
    assert trainer.predict(sampled)[0].size(0) == task.batches("test")[0].edge_label.numel()


def test_each_link_keeps_its_own_negatives_on_subgraphs():
    graph = tiny.graph(60, 200, seed=3)
    split = LinkSplit.random(graph.edge_index, 60, 0.2, 0.2)
    own = {f"{stage}_negatives": torch.randint(20, (2, getattr(split, stage).size(1), 4)) for stage in ("val", "test")}
    for value in own.values():
        value[1] += 30
    fixed = LinkSplit("own", split.train, split.val, split.test, **own, recurring=True)
    task = LinkTask("links", graph, fixed, "mrr").sampled(gk.samplers.NeighborSampler([3]))
    pairs = []
    for batch in task.batches("val", 4):
        assert batch.edge_label.view(-1, 5)[:, 0].all()
        assert batch.edge_label.sum() * 5 == batch.edge_label.numel()
        pairs.append(batch.n_id[batch.edge_label_index])
    (whole,) = LinkTask("links", graph, fixed, "mrr").batches("val")
    assert torch.equal(torch.cat(pairs, dim=1), whole.edge_label_index)
    result = gk.Trainer(max_epochs=1, batch_size=8, progress=False).fit(
        gk.models.GCN.from_task(task, hidden_channels=4), task
    )
    assert 0 < result.test <= 1


SAINT = {"node": gk.samplers.GraphSAINTNode(25, num_steps=4000), "edge": gk.samplers.GraphSAINTEdge(14, num_steps=4000)}


@pytest.mark.parametrize("name", SAINT)
def test_weighted_losses_of_pairs_have_the_mean_over_all_pairs_as_expectation(name):
    edge_index = coalesce(tiny.graph(30, 60, seed=3).edge_index)
    edge_index = edge_index[:, edge_index[0] != edge_index[1]]
    split = LinkSplit.random(edge_index, 30, 0.1, 0.1, fixed_negatives=True, disjoint=0.5)
    task = LinkTask("links", Data(x=torch.eye(30), edge_index=edge_index), split)
    (whole,) = task.batches("train")
    h = torch.randn(30, 5, generator=torch.Generator().manual_seed(0))
    lonely = torch.ones(30, dtype=torch.bool)
    lonely[task.stage_graph("train").edge_index.flatten()] = False  # is never drawn
    reached = ~lonely[whole.edge_label_index].any(0)
    score, label = task.select(h, whole, "train")
    each = F.binary_cross_entropy_with_logits(score.view(-1), label, reduction="none")
    expected = each[reached].sum() / label.numel()
    secret = set(map(tuple, split.train.t().tolist()))
    losses = []
    for batch in task.sampled(SAINT[name]).batches("train", shuffle=True):
        losses.append(task.loss(h[batch.n_id], batch))
        assert not set(map(tuple, batch.n_id[batch.edge_index].t().tolist())) & secret
    losses = torch.stack(losses)
    error = losses.std() / len(losses) ** 0.5
    assert abs(losses.mean() - expected) < 4 * error
    assert error < 0.05 * expected


def test_links_train_on_graph_saint():
    task = sampled_links(gk.samplers.GraphSAINTNode(30))[1]
    result = gk.Trainer(max_epochs=3, progress=False).fit(gk.models.GCN.from_task(task, hidden_channels=8), task)
    assert 0 <= result.test <= 1
    with pytest.raises(ValueError, match="SingleForward gives links and other pairs a mean of their own"):
        gk.Trainer(max_epochs=1, strategy="SingleForward", progress=False).fit(gk.models.GCN(6, 8), task)


@pytest.mark.parametrize("target", [Link, Link()])
def test_nodes_cannot_have_the_target_of_links(target):
    with pytest.raises(ValueError, match="task 'mine' judges nodes, but a link target is of pairs; use LinkTask"):
        NodeTask("mine", tiny.node_task().data, tiny.split(24), target)
