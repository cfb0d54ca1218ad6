"""ADPA: propagated features, both ways of mixing hops, outputs, the gradient."""

from __future__ import annotations

import torch
from torch_geometric.data import Data

from graphkit import models
from graphkit.transforms.directed_patterns import PATTERNS
from tests.golden.files import GoldenFile

METHODS = ("ADPA",)
ORACLE = "authors' code"

TOLERANCE = 1e-9


def check(file: GoldenFile) -> None:
    x, steps = file.tensor("x"), int(file.scalar("prop_steps"))
    edge_index = file.tensor("adjacency").nonzero().T  # rows are sources
    hidden, classes = file["mlp.linear_o.0.weight"].shape[0], file["mlp.linear_output.weight"].shape[0]
    layers, r = int(file.scalar("num_layers")), float(file.scalar("norm_r"))
    file.assert_close("propagated_original", x.expand(steps + 1, *x.shape), 0)
    file.assert_close("hop_mixed_original", x, 0)
    model = models.ADPA(x.size(1), hidden, layers, classes, steps, r, official_mixing=True).double().eval()
    data = model.required_transform()(Data(x=x, edge_index=edge_index))
    decay = [1 - torch.tensor(k + 1.0, dtype=torch.double).log() + 1e-6 for k in range(steps)]
    file.assert_close("hop_decay", torch.stack(decay), TOLERANCE)
    _load(model, file)
    for i, (name, attend) in enumerate(zip(PATTERNS, model.attentions, strict=True)):
        hops = data.pattern_x[:, i]
        file.assert_close(f"propagated_{name}", torch.cat([x.unsqueeze(1), hops], dim=1).transpose(0, 1), TOLERANCE)
        for key, official in (("hop_mixed", True), ("hop_mixed_fixed", False)):
            attend.official = official
            file.assert_close(f"{key}_{name}", attend(x, hops), TOLERANCE)
        attend.official = True
    out = model(data)
    file.assert_close("out", out, TOLERANCE)
    (out**2).sum().backward()
    file.assert_close("grad_output_weight", model.lin_out.weight.grad, TOLERANCE)


def _load(model: models.ADPA, file: GoldenFile) -> None:
    width, steps = model.in_channels, model.K
    with torch.no_grad():
        for name, attend in zip(PATTERNS, model.attentions, strict=True):
            key = f"hop_attention.{name}_learnable_weight"
            parts = file.tensor(f"{key}.weight").split([width, steps * width, width], dim=1)
            for lin, part in zip((attend.lin_first, attend.lin_hops, attend.lin_own), parts, strict=True):
                lin.weight.copy_(part)
            attend.lin_own.bias.copy_(file.tensor(f"{key}.bias"))
        for branch, name in enumerate(("o", *PATTERNS)):
            model.scale[branch] = file.tensor(f"mlp.{name}_learnable_weight").squeeze()
            for i, layer in enumerate(model.layers):
                layer.lins[branch].weight.copy_(file.tensor(f"mlp.linear_{name}.{i}.weight"))
                layer.lins[branch].bias.copy_(file.tensor(f"mlp.linear_{name}.{i}.bias"))
        model.lin_out.weight.copy_(file.tensor("mlp.linear_output.weight"))
        model.lin_out.bias.copy_(file.tensor("mlp.linear_output.bias"))
