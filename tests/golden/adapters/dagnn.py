"""DAGNN: the perceptron, the gated sum of hops, outputs and all gradients."""

from __future__ import annotations

import torch
from torch_geometric.data import Data

from graphkit import models
from tests.golden.files import GoldenFile

METHODS = ("DAGNN",)
ORACLE = "authors' code"

TOLERANCE = 1e-9
NAMES = {"lin1": "lin_in", "lin2": "lin_out", "prop_proj": "layers.0.proj"}


def check(file: GoldenFile) -> None:
    x, hidden = file.tensor("x").requires_grad_(), int(file.scalar("cfg_hidden"))
    classes = file["param_lin2_weight"].shape[0]
    model = models.DAGNN(x.size(1), hidden, classes, K=int(file.scalar("cfg_K"))).double().eval()
    parameters = {
        f"{theirs}_{kind}": model.get_parameter(f"{ours}.{kind}")
        for theirs, ours in NAMES.items()
        for kind in ("weight", "bias")
    }
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(file.tensor(f"param_{name}"))

    batch = Data(x=x, edge_index=file.tensor("edge_index"))
    if "batch" in file:
        batch.batch = file.tensor("batch")
    first, last = model.layer_states(batch)
    file.assert_close("mlp_out", first, TOLERANCE)
    file.assert_close("prop_out", last, TOLERANCE)
    out = model(batch).log_softmax(-1)
    file.assert_close("out_log_softmax", out, TOLERANCE)
    (out**2).sum().backward()
    file.assert_close("grad_x", x.grad, TOLERANCE)
    for name, parameter in parameters.items():
        file.assert_close(f"grad_{name}", parameter.grad, TOLERANCE)
