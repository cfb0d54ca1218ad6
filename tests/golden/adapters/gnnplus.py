"""GNN+: states, outputs and gradients of whole stacks, with the official head; batch norms in both modes."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit import models
from tests.golden.files import GoldenFile

METHODS = ("GCN", "GIN", "GatedGCN")
ORACLE = "authors' code"

TOLERANCE = 1e-9
STACKS = {"gcn": models.GCN, "gcne": models.GCN, "gine": models.GIN, "gatedgcn": models.GatedGCN}
OWN_NORM = ("gcn", "gcne", "gatedgcn")  # has one beside those of the feed-forward block
RELU = ("gine", "gatedgcn")  # whatever the configured activation


def check(file: GoldenFile) -> None:
    model, names = _model(file)
    x, edge_attr = (file.tensor(name).requires_grad_() for name in ("x", "edge_attr"))
    batch = Data(x=x, edge_index=file.tensor("edge_index"), edge_attr=edge_attr, batch=file.tensor("batch"))
    model.train(bool(file.scalar("cfg.train_mode")))
    state = model.layer_states(batch)[-1]
    file.assert_close("out.node", state, TOLERANCE)
    out = model.decode(state, batch)
    file.assert_close("out.pred", out, TOLERANCE)
    loss = out.square().sum() + state.square().sum()
    file.assert_close("out.loss", loss, TOLERANCE)
    loss.backward()
    file.assert_close("grad.x", x.grad, TOLERANCE)
    file.assert_close("grad.edge_attr", _or_zeros(edge_attr.grad, edge_attr), TOLERANCE)
    for theirs, parameter in names.items():
        given = file.tensor(f"param.{theirs}")
        file.assert_close(f"grad.{theirs}", _or_zeros(None if parameter is None else parameter.grad, given), TOLERANCE)


def _or_zeros(grad: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if grad is None else grad


def _model(file: GoldenFile) -> tuple[models.EdgeStack, dict[str, nn.Parameter | None]]:
    """The stack, with encoders that change nothing, and its parameters by their names; ``None`` where nothing reads."""
    kind, dim, act = (file.scalar(f"cfg.{name}") for name in ("layer_type", "dim", "act"))
    model = STACKS[kind](
        dim,
        dim,
        file.scalar("cfg.layers"),
        file.scalar("cfg.out_dim"),
        act="relu" if kind in RELU else act,
        norm="batch_norm" if kind in OWN_NORM else None,
        residual=bool(file.scalar("cfg.residual")),
        readout=file.scalar("cfg.pooling"),
        feed_forward=bool(file.scalar("cfg.ffn")),
        head_layers=file.scalar("cfg.layers_post_mp"),
        head_act=act,
        encoder=True,
        edge_dim=None if kind == "gcn" else dim,
    ).double()
    with torch.no_grad():
        for lin in (model.node_encoder.own, model.edge_encoder):
            if lin is not None:
                lin.weight.copy_(torch.eye(dim))
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    names: dict[str, nn.Parameter | None] = {}
    for key in file:
        part, _, theirs = key.partition(".")
        if part not in ("param", "buffer"):
            continue
        ours: Tensor | None = tensors.get(_name(theirs, kind, model.head_layers == 1))
        if ours is None:  # of the last edges, which nobody reads
            assert re.fullmatch(rf"layers\.{model.num_layers - 1}\.bn_edge_e\.\w+", theirs), theirs
            file.tensor(key)
        else:
            with torch.no_grad():
                ours.copy_(file.tensor(key))
        if part == "param":
            names[theirs] = ours
    return model, names


def _name(theirs: str, kind: str, single: bool) -> str:
    """Our name of a weight, for a head of a single linear map or of more."""
    conv = "layers.{}.conv." if kind == "gatedgcn" else "layers.{}."
    for pattern, ours in (
        (r"layers\.(\d+)\.bn_node_x\.", r"norms.\1."),
        (r"layers\.(\d+)\.bn_edge_e\.", r"layers.\1.norm."),
        (r"layers\.(\d+)\.norm1_local\.", r"blocks.\1.norm_in."),
        (r"layers\.(\d+)\.norm2\.", r"blocks.\1.norm_out."),
        (r"layers\.(\d+)\.ff_linear1\.", r"blocks.\1.perceptron.layers.0."),
        (r"layers\.(\d+)\.ff_linear2\.", r"blocks.\1.perceptron.layers.1."),
        (r"layers\.(\d+)\.model\.nn\.0\.weight", r"layers.\1.nn.lin_in.weight"),
        (r"layers\.(\d+)\.model\.nn\.0\.bias", r"layers.\1.nn.bias"),
        (r"layers\.(\d+)\.model\.nn\.2\.", r"layers.\1.nn.lin_out."),
        (r"layers\.(\d+)\.model\.", r"layers.\1."),
        (r"layers\.(\d+)\.([A-E])\.", conv.format(r"\1") + r"\2."),
    ):
        theirs, found = re.subn(pattern, ours, theirs)
        if found:
            return theirs
    head = re.fullmatch(r"head\.mlp\.(\d+)\.(\w+)", theirs)
    assert head, theirs
    return f"head.{head[2]}" if single else f"head.layers.{(int(head[1]) - 1) // 3}.{head[2]}"
