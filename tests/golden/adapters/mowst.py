"""Mowst and Mowst*: confidences, the gate in training and evaluation, both losses and their gradients."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

import graphkit as gk
from graphkit import models
from graphkit.models.mixture.mowst import dispersion
from graphkit.training.strategies.expert_turns import mixed_loss
from tests.golden.files import GoldenFile

METHODS = ("Mowst", "MowstStar", "ExpertTurns")
ORACLE = "independent computation"  # only the confidences are of the authors' code

TOLERANCE = 1e-10


class Says(nn.Module):
    """An expert with given logits."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def reset_parameters(self) -> None: ...

    def forward(self, x: Tensor) -> Tensor:
        return self.logits


def check(file: GoldenFile) -> None:
    weak, y = file.tensor("logits_weak"), file.tensor("y")
    certainty = dispersion(weak)
    file.assert_close("confidence_variance", certainty[:, :1], TOLERANCE)
    file.assert_close("confidence_entropy", certainty[:, 1:], TOLERANCE)
    batch = Data(x=torch.zeros(len(y), 1))

    star = _model(models.MowstStar, file)
    loss = F.cross_entropy(star(batch), y)
    _check_loss(file, star, loss, "loss_mowst_star", "grad_star")

    model = _model(models.Mowst, file)
    for mode in (True, False):
        said, confidence = model.train(mode).trusted(batch)
        file.assert_close("gate", confidence, TOLERANCE)
        file.assert_close("expected_prediction_probability_of_weak", confidence, TOLERANCE)
    strong = model.strong(batch)
    loss = mixed_loss(_task(weak.size(1)), said, strong, confidence[:, 0], y)
    _check_loss(file, model, loss, "loss_mowst", "grad_mowst")


def _model(cls: type, file: GoldenFile) -> models.Mowst | models.MowstStar:
    experts = (Says(file.tensor(f"logits_{name}")) for name in ("weak", "strong"))
    model = cls(*experts, gate_channels=file["gate_bias1"].size).double()
    with torch.no_grad():
        for linear, layer in ((model.gate.lin_in, 1), (model.gate.lin_out, 2)):
            linear.weight.copy_(file.tensor(f"gate_weight{layer}"))
            linear.bias.copy_(file.tensor(f"gate_bias{layer}"))
    return model


def _task(classes: int) -> gk.NodeTask:
    data = Data(
        x=torch.zeros(3 * classes, 1), edge_index=torch.zeros(2, 1).long(), y=torch.arange(3 * classes) % classes
    )
    return gk.NodeTask("classes", data, gk.Split("thirds", *torch.arange(3 * classes).chunk(3)))


def _check_loss(file: GoldenFile, model: nn.Module, loss: Tensor, key: str, gradients: str) -> None:
    file.assert_close(key, loss, TOLERANCE)
    loss.backward()
    for name in ("weak", "strong"):
        file.assert_close(f"{gradients}_{name}", getattr(model, name).module.logits.grad, TOLERANCE)
