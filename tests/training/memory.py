"""Modules with buffers that every pass changes, and strategies that watch them or train their layers in turn."""

from __future__ import annotations

import torch
from torch import nn

from graphkit.training.strategies import Backprop, Phase


class Memory(nn.Module):
    """Adds a running mean of all rows it has seen, in training and evaluation alike, and counts its passes."""

    def __init__(self, change="in place"):
        super().__init__()
        self.change = change
        self.lin = nn.Linear(6, 3)
        self.register_buffer("passes", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x):
        h = self.lin(x)
        mean = self.mean + 0.5 * (h.detach().mean(0) - self.mean)
        if self.change == "in place":
            self.passes += 1
            self.mean.copy_(mean)
        elif self.change == "behind autograd":
            self.passes.data += 1
            self.mean.data.copy_(mean)
        else:
            self.passes = self.passes + 1
            self.mean = mean
        return h + mean

    def reset_parameters(self):
        self.lin.reset_parameters()
        self.passes, self.mean = torch.zeros(()), torch.zeros(3)


class Forgetful(Memory):
    """Forgets at the start of every stage, and notes what it hears."""

    def __init__(self):
        super().__init__()
        self.heard = []

    def on_epoch_start(self, epoch):
        self.heard.append(("epoch", epoch, int(self.passes)))

    def on_stage_start(self, stage):
        self.heard.append((stage, self.training, int(self.passes)))
        self.passes.zero_()
        self.mean.zero_()


class Watching(Backprop):
    """Notes the passes that the model has counted when a stage starts."""

    def on_stage_start(self, stage):
        self.starts = [*getattr(self, "starts", []), (stage, int(self.model.module.passes))]


class InTurn(Backprop):
    """Two epochs of the first layer, one of the second, again and again."""

    def phases(self):
        first, second = Phase("first"), Phase("second")
        return [Phase("both", turns=[first, first, second])]

    def optimizers(self, phase, make):
        layer = self.model.layers[0 if phase.name == "first" else 1]
        return [make(layer.named_parameters())]
