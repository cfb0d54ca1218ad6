"""Layer-wise strategies by short names, and small models for them."""

from __future__ import annotations

from typing import Any

import torch
from torch_geometric.data import Data

import graphkit as gk
from graphkit.models import GCN
from graphkit.training.strategies import (
    DirectFeedbackAlignment,
    ForwardForward,
    LayerCollaborationFF,
    ScalableFF,
    SingleForward,
    TargetProjection,
    TopDownForward,
)
from tests import tiny

NODE: dict[str, Any] = {
    "SF": lambda: SingleForward(),
    "SF all labels": lambda: SingleForward(append_label="all", temperature=0.5),
    "FF-LA": lambda: ForwardForward(),
    "FF-LA symba": lambda: ForwardForward(loss="symba", num_negatives=1),
    "FF-VN": lambda: ForwardForward("virtual"),
    "FF-VN all labels": lambda: ForwardForward("virtual", append_label="all", bidirectional=False),
    "top to input": lambda: TopDownForward("input"),
    "top to input, simultaneous": lambda: TopDownForward("input", alternating=False, append_label="input"),
    "top to loss": lambda: TopDownForward("loss"),
    "collaboration": lambda: LayerCollaborationFF(),
    "collaboration, virtual": lambda: LayerCollaborationFF("preceding", "virtual"),
    "scalable": lambda: ScalableFF(),
    "linear heads": lambda: ScalableFF("linear", layers_per_block=2),
    "tpSGD": lambda: TargetProjection(),
    "DRTP": lambda: TargetProjection("drtp"),
    "DFA": lambda: DirectFeedbackAlignment(),
}
GRAPH = ["FF-LA", "FF-LA symba", "collaboration", "scalable", "linear heads", "tpSGD", "DRTP", "DFA"]
LINK = ["SF", "FF-LA", "top to input", "top to loss", "collaboration"]
GREEDY = ["SF", "SF all labels", "FF-LA", "FF-LA symba", "FF-VN", "FF-VN all labels"]
KINDS = {"node": "node multiclass", "graph": "graph multiclass", "link": "link"}


class PlainGCN(GCN):
    """A GCN that keeps nothing from step to step."""

    def propagation(self, i: int, batch: Data, size: int, dtype: torch.dtype) -> None:
        return None


def model_for(task, cls=GCN, num_layers=3, **arguments):
    readout = "mean" if task.kind == "graph" else "nodes"
    return cls.from_task(task, hidden_channels=8, num_layers=num_layers, readout=readout, **arguments)


def fit(strategy, task=None, model=None, **settings):
    task = tiny.task("node multiclass") if task is None else task
    model = model_for(task) if model is None else model
    settings = {"max_epochs": 5, "progress": False} | settings
    return gk.Trainer(strategy=strategy, **settings).fit(model, task), model
