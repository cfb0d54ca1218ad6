"""Polynormer: outputs of both phases, and all gradients."""

from __future__ import annotations

import torch
from torch_geometric.data import Data

from graphkit import models
from tests.golden.files import GoldenFile, translated

METHODS = ("Polynormer",)
ORACLE = "authors' code"

TOLERANCE = 1e-9
NAMES = (
    (r"^h_lins\.(\d+)", r"layers.\1.lin_own"),
    (r"^lins\.(\d+)", r"layers.\1.lin_skip"),
    (r"^pre_lns\.(\d+)", r"layers.\1.pre_norm"),
    (r"^lns\.(\d+)", r"layers.\1.norm"),
    (r"^local_convs\.(\d+)", r"layers.\1.conv"),
    (r"^ln\.", "norm."),
)
GLOBAL_NAMES = {"h_lins": "lin_own", "k_lins": "lin_key", "v_lins": "lin_value", "lns": "norm"}


def check(file: GoldenFile) -> None:
    x, heads = file.tensor("x").requires_grad_(), int(file.scalar("cfg.heads"))
    depth, width, beta = int(file.scalar("cfg.local_layers")), file["param.lin_in.weight"].shape[0], None
    assert width == heads * file.scalar("cfg.hidden_channels")
    if file.scalar("cfg.beta") >= 0:
        beta = float(file.scalar("cfg.beta"))
    over_all = int(file.scalar("cfg.global_layers"))
    last = "pred_global" if file.scalar("cfg.global_phase") else "pred_local"
    model = models.Polynormer(
        x.size(1),
        width,
        depth,
        over_all if last == "pred_global" else 0,
        file[f"param.{last}.weight"].shape[0],
        heads,
        beta,
        pre_norm=bool(file.scalar("cfg.pre_ln")),
    )
    model.double().eval()
    ours = dict(model.named_parameters())
    placed = {key: _place(key.removeprefix("param."), depth, last) for key in file if key.startswith("param.")}
    filled = {name for names in placed.values() for name in names}
    assert filled >= set(ours), f"golden file {file.path} has no weights for {sorted(set(ours) - filled)}"
    with torch.no_grad():
        for key, names in placed.items():
            rows = file.tensor(key) if len(names) > 1 or key.endswith("betas") else [file.tensor(key)]
            for name, value in zip(names, rows, strict=False):
                if name in ours:
                    ours[name].copy_(value)

    out = model(Data(x=x, edge_index=file.tensor("edge_index")))
    file.assert_close("out.logits", out, TOLERANCE)
    loss = out.square().sum()
    file.assert_close("out.loss_sumsq", loss, TOLERANCE)
    loss.backward()
    file.assert_close("grad.x", x.grad, TOLERANCE)
    for key, names in placed.items():
        zeros = torch.zeros_like(file.tensor(key))
        grads = [ours[name].grad for name in names if name in ours]
        if key.endswith("betas"):
            zeros = torch.stack(grads) if grads else zeros
        elif grads:
            (zeros,) = grads
        file.assert_close(key.replace("param.", "grad."), zeros, TOLERANCE)


def _place(theirs: str, depth: int, last: str) -> list[str]:
    """Our names of a weight: one, or that of each layer."""
    if theirs == "betas":
        return [f"layers.{i}.beta" for i in range(depth)]
    if theirs == "global_attn.betas":
        return [f"layers.{depth + i}.beta" for i in range(16)]  # more than there are
    if theirs.startswith("global_attn."):
        part, *rest = theirs.removeprefix("global_attn.").split(".")
        if part == "lin_out":
            return [f"layers.{depth}.lin_out.{rest[0]}"]
        return [f"layers.{depth + int(rest[0])}.{GLOBAL_NAMES[part]}.{rest[1]}"]
    if theirs.startswith("pred_"):
        return [theirs.replace(last, "lin_out")]
    return [translated(theirs, NAMES)]
