"""The hierarchy of classes, of which some are never seen, and the metric of their classifiers."""

from __future__ import annotations

import torch

import graphkit as gk
from graphkit.metrics import ClassHitsAt, resolve


def test_classes_look_like_their_parents():
    data = gk.load("zero-shot", second_parent=0.5, spread=0.5).data
    parent, child = data.edge_index
    of_children, of_others = ((data.y[parent] * data.y[other]).sum(1).mean() for other in (child, child.roll(100)))
    assert 0.95 > float(of_children) > float(of_others) + 0.2
    torch.testing.assert_close(data.y.norm(dim=1), torch.ones(341))
    assert bool((parent < child).all())  # no circles
    parents = torch.bincount(child, minlength=341)
    assert int(parents[0]) == 0
    assert set(parents[1:].tolist()) == {1, 2}
    assert torch.equal(parents[:5], torch.tensor([0, 1, 1, 1, 1]))


def test_unseen_classes_are_never_seen():
    weights = []
    for change in (0, 1):
        task = gk.load("zero-shot", depth=3)
        unseen = torch.cat([task.split.val, task.split.test])
        task.data.y[unseen] += change
        torch.manual_seed(0)
        model = gk.models.DGP.from_task(task, hidden_channels=8)
        gk.Trainer(max_epochs=3, restore_best=False, progress=False).fit(model, task)
        weights.append(torch.cat([weight.flatten() for weight in model.parameters()]))
    assert torch.equal(*weights)


def test_a_class_is_hit_where_few_others_look_more_like_it():
    labels = torch.eye(4)
    out = torch.tensor([[1.0, 0, 0, 0], [2, 1, 0, 0], [2, 2, 1, 0], [2, 2, 2, 1.0]])
    # an image of class 0 is taken for 1, 2 and 3 before; one of class 3 for itself at once
    for k, share in ((1, 0.25), (2, 0.5), (3, 0.75), (4, 1.0)):
        metric = resolve(f"class_hits@{k}")
        metric.update(out[:2], labels[:2])
        metric.update(out[2:], labels[2:])
        assert metric.compute() == share
    alike = ClassHitsAt(1)
    alike.update(torch.ones(4, 4), labels)
    assert alike.compute() == 0
    perfect, missing = ClassHitsAt(1), labels.clone()
    missing[0, 0] = float("nan")
    perfect.update(labels, missing)
    assert perfect.compute() == 1
