"""What tests of losses share."""

from __future__ import annotations

import torch

import graphkit as gk
from graphkit import GraphTask, LinkTask, NodeTask
from tests import tiny

NAN = float("nan")


class Constant(gk.metrics.Metric):
    """A metric that knows its value."""

    name, higher_is_better = "constant", False

    def update(self, out, label):
        pass

    def compute(self):
        return 0.125

    def reset(self):
        pass


class Overriding:
    """A task of a user's: a loss 1000 too large, and a metric of their own."""

    def loss_of(self, prediction, label, weight=None):
        return super().loss_of(prediction, label, weight) + 1000

    def new_metric(self):
        return Constant()


OWN = {cls: type(f"Own{cls.__name__}", (Overriding, cls), {}) for cls in (NodeTask, GraphTask, LinkTask)}


def own(task, **arguments):
    """The same task with overrides."""
    data = {"graphs": task.graphs} if isinstance(task, GraphTask) else {"data": task.graphs[0]}
    if not isinstance(task, LinkTask):
        data["target"] = task.target.name
    return OWN[type(task)](task.name, split=task.split, **data, **arguments)


def fit(model, task, strategy="Backprop", **arguments):
    return gk.Trainer(**{"max_epochs": 2, "progress": False, "strategy": strategy} | arguments).fit(model, task)


def node_task(target="multiclass", **arguments):
    plain = tiny.node_task(target)
    return NodeTask("t", plain.data, plain.split, target, **arguments)


def pair(task, seed=0):
    """Outputs with a gradient, and the labels of training."""
    out = torch.randn(12, task.num_outputs, generator=torch.Generator().manual_seed(seed), requires_grad=True)
    return out, task.labels[task.split.train]


def same(first, second, out):
    torch.testing.assert_close(first, second)
    grads = [torch.autograd.grad(value, out)[0] for value in (first, second)]
    torch.testing.assert_close(*grads)
