"""Noise, classes of unlike size and few examples: what changes, what must not, and what is refused."""

import pytest
import torch
from torch_geometric.data import Data

import graphkit as gk


def pairs(graph):
    return {tuple(sorted(edge)) for edge in graph.edge_index.T.tolist()}


@pytest.mark.parametrize("name", ["karate", "csl"])
def test_a_share_of_edges_moves(name):
    task = gk.load(name)
    noisy = task.noisy(edges=0.25, seed=3)
    for before, after in zip(task.graphs[:5], noisy.graphs):
        kept = pairs(before) & pairs(after)
        assert len(pairs(after)) == len(pairs(before)) == len(kept) + round(0.25 * len(pairs(before)))
        assert after.is_undirected()
        assert all(u != v for u, v in pairs(after))
    assert torch.equal(noisy.labels, task.labels)
    assert noisy.name == f"{name}, noisy: edges 0.25"
    assert noisy.content_hash == task.noisy(edges=0.25, seed=3).content_hash != task.noisy(edges=0.25).content_hash


def test_features_and_weights_go_along_and_directions_stay():
    edges = torch.tensor([[0, 1, 1, 2, 4, 5, 3], [1, 0, 2, 3, 4, 2, 5]])
    data = Data(
        x=torch.eye(6), edge_index=edges, edge_attr=torch.tensor([1.0, 1, 2, 3, 4, 5, 6]), y=torch.arange(6) % 2
    )
    task = gk.NodeTask("small", data, gk.Split("s", torch.tensor([0, 1]), torch.tensor([2, 3]), torch.tensor([4, 5])))
    after = task.noisy(edges=1.0).graphs[0]
    assert torch.equal(after.edge_attr, data.edge_attr)
    assert after.edge_index[:, 0].tolist() == after.edge_index[:, 1].flip(0).tolist()  # both directions together
    assert after.edge_index[:, 4].tolist() == [4, 4]  # loops stay
    assert not pairs(after) & pairs(data) - {(4, 4)}
    full = Data(x=torch.eye(3), edge_index=torch.tensor([[0, 1, 0], [1, 2, 2]]), y=torch.tensor([0, 1, 0]))
    whole = gk.NodeTask("full", full, gk.Split("s", [0], [1], [2]), allow_missing_classes=True)
    assert pairs(whole.noisy(edges=1.0).graphs[0]) == pairs(full)  # where nothing is free, nothing moves


def test_noise_of_features_is_as_large_as_told():
    torch.manual_seed(0)
    x = torch.randn(2000, 3) * torch.tensor([1.0, 10.0, 0.0])
    data = Data(x=x, edge_index=torch.empty(2, 0, dtype=torch.long), y=torch.arange(2000) % 2)
    ids = torch.arange(2000)
    task = gk.NodeTask("features", data, gk.Split("s", ids[:1000], ids[1000:1500], ids[1500:]))
    noise = task.noisy(features=0.5).graphs[0].x - x
    torch.testing.assert_close(noise.std(0), torch.tensor([0.5, 5.0, 0.0]), rtol=0.1, atol=1e-6)
    assert torch.equal(task.graphs[0].x, x)


@pytest.mark.parametrize(("name", "options"), [("chains", {"length": 4, "chains_per_class": 20}), ("csl", {})])
def test_only_training_labels_are_wrong(name, options):
    task = gk.load(name, **options)
    noisy = task.noisy(labels=0.5)
    wrong = (noisy.labels != task.labels).nonzero().view(-1)
    assert len(wrong) == round(0.5 * len(task.split.train))
    assert set(wrong.tolist()) <= set(task.split.train.tolist())
    given = [graph.y for graph in noisy.graphs]
    assert torch.equal(torch.cat([y.view(-1) for y in given]), noisy.labels)


def test_noise_of_numbers():
    task = gk.load("gnp-graphs", num_train=400, num_val=10, num_test=10, num_extrapolation=10)
    noise = (task.noisy(labels=0.5).labels - task.labels).view(-1)
    assert (noise[task.split.val] == 0).all()
    spread = task.labels[task.split.train].std(correction=0)
    assert float(noise[task.split.train].std() / spread) == pytest.approx(0.5, rel=0.1)


def test_classes_of_unlike_size():
    task = gk.load("csl")  # ten classes of nine training graphs
    uneven = task.imbalanced(9, seed=1)
    count = torch.bincount(uneven.labels[uneven.split.train], minlength=10)
    assert count.tolist() == [round(9 * 9 ** (-k / 9)) for k in range(10)]
    assert torch.equal(uneven.split.test, task.split.test)
    assert uneven.split.name == f"{task.split.name}/imbalanced-9"
    assert set(uneven.split.train.tolist()) < set(task.split.train.tolist())
    assert torch.equal(task.imbalanced(1).split.train, task.split.train)


@pytest.mark.parametrize(("name", "k"), [("csl", 2), ("karate", 1)])
def test_few_examples(name, k):
    task = gk.load(name)
    few = task.few_shot(k, seed=1)
    assert (torch.bincount(few.labels[few.split.train]) == k).all()
    assert set(few.split.train.tolist()) <= set(task.split.train.tolist())
    assert torch.equal(few.split.val, task.split.val)


def test_a_scenario_trains():
    task = gk.load("csl").noisy(edges=0.1, labels=0.1).few_shot(3)
    model = gk.models.GIN.from_task(task, hidden_channels=4)
    assert gk.Trainer(max_epochs=1, progress=False).fit(model, task).metric == "accuracy"


REFUSED = [
    (lambda: gk.load("karate").few_shot(9), r"few_shot\(9\), but class 0 has \d training examples; choose fewer"),
    (
        lambda: gk.load("gnp-graphs", num_train=9, num_val=2, num_test=2).few_shot(1),
        "few_shot needs one class per training",
    ),
    (lambda: gk.load("karate").noisy(labels=1.5), "labels=1.5, must be a share of at most 1 of classes"),
    (lambda: gk.load("karate").noisy(edges=1.5), "edges=1.5"),
    (lambda: gk.load("karate").imbalanced(0.5), "ratio=0.5, must be at least 1"),
    (
        lambda: gk.load("karate").sampled(gk.samplers.NeighborSampler([2])).noisy(edges=0.1),
        "is sampled; call noisy before",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
