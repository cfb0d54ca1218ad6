"""CSNN: maps, operators, states, outputs and gradients of whole models; steps of training."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data

from graphkit import models
from tests.golden.files import GoldenFile, translated

METHODS = ("CSNN",)
ORACLE = "authors' code"

TOLERANCE = 1e-9
NORMS = {"none": None, "LayerNorm": "layer_norm", "BatchNorm": "batch_norm"}
KINDS = {0: "embedded", 1: "sage", 2: "projected"}


def check(file: GoldenFile) -> None:
    model, names = _model(file)
    x = file.tensor("x").requires_grad_()
    batch = Data(x=x, edge_index=file.tensor("edge_index"))
    if "batch" in file:
        batch.batch = file.tensor("batch")
    if "out.losses" in file:
        _check_training(file, model, names, batch)
        return
    model.eval()
    states = model.layer_states(batch)
    for i, (state, layer) in enumerate(zip(states, model.layers)):
        _check_layer(file, i, state, layer.conv, batch.edge_index)
    out = model.decode(states[-1], batch)
    file.assert_close("out.logits", out, TOLERANCE)
    loss = (out**2).sum()
    file.assert_close("out.loss_sumsq", loss, TOLERANCE)
    loss.backward()
    file.assert_close("grad.x", x.grad, TOLERANCE)
    for theirs, parameter in names.items():
        file.assert_close(f"grad.{theirs}", parameter.grad, TOLERANCE)


def _model(file: GoldenFile) -> tuple[models.CSNN, dict[str, Tensor]]:
    def cfg(name: str) -> Any:
        return file.scalar(f"cfg.{name}")

    layers, custom = cfg("gnn_layers"), cfg("gnn_default") == 0 and cfg("gnn_layers") > 0
    embedded = {"learner_conv": cfg("gnn_type").lower(), "learner_residual": cfg("gnn_residual")}
    assert cfg("linear_emb") or not custom, "convolutions without the first linear map are left out"
    model = models.CSNN(
        file["x"].shape[1],
        cfg("hidden_channels"),
        cfg("num_layers"),
        file["out.logits"].shape[1],
        cfg("d"),
        act=cfg("act"),
        norm=NORMS[cfg("norm")],
        gate=cfg("use_eps"),
        left_weights=cfg("left_weights"),
        right_weights=cfg("right_weights"),
        bias=cfg("use_bias"),
        orthogonal=cfg("orth_trans"),
        map_act=None if cfg("sheaf_act") == "id" else cfg("sheaf_act"),
        conformal=cfg("conformal"),
        learner=KINDS[cfg("gnn_default")] if layers else "sage",  # a perceptron has ReLU
        learner_layers=layers,
        learner_channels=cfg("gnn_hidden"),
        **(embedded if custom else {}),
        head_layers=cfg("num_heads"),
        readout="mean" if cfg("graph_level") else None,
    ).double()
    names = {}
    for key in file:
        if key.startswith(("param.", "buffer.")):
            theirs = key.partition(".")[2]
            tensor = _find(model, _name(theirs))
            with torch.no_grad():
                tensor.copy_(file.tensor(key))
            if key.startswith("param."):
                names[theirs] = tensor
    return model, names


def _find(model: models.CSNN, name: str) -> Tensor:
    return (dict(model.named_parameters()) | dict(model.named_buffers()))[name]


def _name(theirs: str) -> str:
    """Our name of a weight."""
    patterns = [
        (r"^lin1", "lin_in"),
        (r"^mlp", "head"),
        (r"^epsilons\.(\d+)", r"layers.\1.epsilon"),
        (r"^norms\.(\d+)", r"layers.\1.norm"),
        (r"^coop_layers\.(\d+)", r"layers.\1.conv"),
        (r"lin_(left|right)_weights\.weight", r"mix.\1"),
        (r"lin_(left|right)_weights\.bias", r"mix.\1_bias"),
        ("out_maps_learner", "target.learner"),
        ("in_maps_learner", "source.learner"),
        (r"phi\.0\.(weight|bias)$", r"lin_in.\1"),
        (r"phi\.2\.(weight|bias)$", r"lin_out.\1"),
        (r"emb1", "lin_in"),
        (r"emb2", "lin_out"),
        (r"phi\.(convs|norms)", r"\1"),
        (r"phi\.(\d+)", r"convs.\1"),
    ]
    return translated(theirs, patterns)


def _check_layer(file: GoldenFile, i: int, state: Tensor, conv: Any, edge_index: Tensor) -> None:
    nodes, d = state.size(0), conv.stalk_dim
    file.assert_close(f"out.state.{i}", state.view(nodes * d, -1), TOLERANCE)
    file.assert_close(f"out.conv.{i}", conv(state, edge_index).view(nodes * d, -1), TOLERANCE)
    for kind, maps in (("T", conv.target), ("S", conv.source)):
        q, scale = maps(state, edge_index)
        file.assert_close(f"out.{kind}.{i}", (q * scale).permute(2, 0, 1), TOLERANCE)
        file.assert_close(f"out.c_{kind}.{i}", scale, TOLERANCE)
    if i == 0:
        units = torch.eye(nodes * d, dtype=state.dtype).view(nodes, d, -1)
        for key, operator in zip(("first", "second"), conv.operators(state, edge_index)):
            file.assert_close(f"out.{key}_operator.0", operator(units).view(nodes * d, -1), TOLERANCE)


def _check_training(file: GoldenFile, model: models.CSNN, names: dict[str, Tensor], batch: Data) -> None:
    decay, rate = float(file.scalar("cfg.weight_decay")), float(file.scalar("cfg.lr"))
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)
    mask, y = file.tensor("train_mask"), file.tensor("y").double()
    losses = []
    for _ in file["out.losses"]:
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(model(batch).squeeze(1)[mask], y[mask])
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    file.assert_close("out.losses", torch.stack(losses), TOLERANCE)
    file.assert_close("out.logits", model(batch), TOLERANCE)
    for theirs, parameter in names.items():
        file.assert_close(f"param_after.{theirs}", parameter, TOLERANCE)
