"""NCN and NCNC: encoder, scores and gradients; the scores also from the stored embeddings, which are exacter."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.algorithms import common_neighbours
from graphkit.models import GCN, NCN, NCNC, PureGCN
from tests.golden.files import GoldenFile

METHODS = ("NCN", "NCNC")
ORACLE = "authors' code"

TOLERANCE = 1e-10
ROUGH = 1e-6  # the official encoder has degrees in single precision


def check(file: GoldenFile) -> None:
    model = _model(file).double().eval()
    _load(file, model)
    pairs, weight = file.tensor("target_pair"), model.scorer.lin[0].weight
    n = int(file.scalar("num_nodes"))
    near = common_neighbours(file.tensor("edge_index"), pairs, n)
    file.assert_close("common_neighbour_count", near.in_degree.double(), 0)

    batch = Data(x=file.tensor("x").requires_grad_(), edge_index=file.tensor("edge_index"), edge_label_index=pairs)
    score = model.scorer(file.tensor("node_embedding"), batch.edge_index, pairs)
    _close(file, "score", score, TOLERANCE)
    _close(file, "grad_predictor.lin.0.weight", torch.autograd.grad((score**2).sum(), weight)[0], TOLERANCE)

    _close(file, "node_embedding", model.encoder(batch), ROUGH)
    score = model(batch)
    grad_x, grad_weight = torch.autograd.grad((score**2).sum(), [batch.x, weight])
    _close(file, "score", score, ROUGH)
    _close(file, "grad_x", grad_x, ROUGH)
    _close(file, "grad_predictor.lin.0.weight", grad_weight, ROUGH)


class _JumpingGCN(GCN):
    """A stack whose last state is a weighted sum of all of its layers' states."""

    uses_history = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.jumping = nn.Parameter(torch.empty(self.num_layers))

    def step(self, i: int, history: list[Any], batch: Data) -> Tensor:
        out = super().step(i, history, batch)
        if i < self.num_layers - 1:
            return out
        return sum(weight * state for weight, state in zip(self.jumping, [*history[1:], out], strict=True))


def _close(file: GoldenFile, key: str, actual: Tensor, tolerance: float) -> None:
    """Relative to the largest entry, be it small or large."""
    error = (actual.detach() - file.tensor(key)).abs().max() / file.tensor(key).abs().max()
    assert error <= tolerance, f"golden file {file.path}: {key!r} differs by {error:.2g} relative"
    file.assert_close(key, actual, tolerance)


def _model(file: GoldenFile) -> NCN:
    depth, layers = int(file.scalar("depth")), int(file.scalar("num_layers"))
    inputs, width = file["x"].shape[1], file["node_embedding"].shape[1]
    jumping, residual = bool(file.scalar("use_jk")), bool(file.scalar("use_residual"))
    if "gnn.convs.0.lin.weight" in file:
        norm = "layer_norm" if any(key.startswith("gnn.lins.") for key in file) else None
        hidden = file["gnn.convs.0.lin.weight"].shape[0]
        finished = f"gnn.lins.{layers - 1}.0.weight" in file  # the last layer, too, has norm and activation
        stack = _JumpingGCN if jumping else GCN
        readout = "nodes" if finished else None
        encoder = stack(inputs, hidden, layers, width, norm=norm, residual=residual, readout=readout)
        if finished:
            encoder.head = nn.Identity()
    else:
        encoder = PureGCN(inputs, width, layers, jumping=jumping, residual=residual)
    options = {
        "hidden_channels": file["predictor.lin.0.weight"].shape[0],
        "layer_norm": bool(file.scalar("use_layernorm")),
        "use_xlin": bool(file.scalar("use_xlin")),
        "tail_act": bool(file.scalar("tail_act")),
        "two_layer_lin": bool(file.scalar("two_layer_lin")),
        "beta": file["beta"].item(),
    }
    if depth == 0:
        return NCN(encoder, **options)
    completion = {
        "depth": depth,
        "scale": file.scalar("prob_scale"),
        "offset": file.scalar("prob_offset"),
        "alpha": file.scalar("alpha"),
        "pt": file.scalar("pt"),
    }
    return NCNC(encoder, **options, **completion)


def _load(file: GoldenFile, model: NCN) -> None:
    """All weights of the predictor have the official names, but ``ptlin``, which a fixed ``pt`` leaves unused."""
    prefix = "predictor."
    state = {key.removeprefix(prefix): file.tensor(key) for key in file if key.startswith(prefix)}
    model.scorer.load_state_dict({key: value for key, value in state.items() if not key.startswith("ptlin.")})
    with torch.no_grad():
        if isinstance(model.encoder, _JumpingGCN):
            model.encoder.jumping.copy_(file.tensor("gnn.jkparams"))
        if isinstance(model.encoder, PureGCN):
            _load_pure(file, model.encoder)
            return
        for i, conv in enumerate(model.encoder.layers):
            conv.lin.weight.copy_(file.tensor(f"gnn.convs.{i}.lin.weight"))
            conv.bias.copy_(file.tensor(f"gnn.convs.{i}.bias"))
        for i, norm in enumerate(model.encoder.norms):
            norm.weight.copy_(file.tensor(f"gnn.lins.{i}.0.weight"))
            norm.bias.copy_(file.tensor(f"gnn.lins.{i}.0.bias"))


def _load_pure(file: GoldenFile, encoder: PureGCN) -> None:
    (conv,) = encoder.layers
    if "gnn.xemb.1.weight" in file:
        conv.lin.weight.copy_(file.tensor("gnn.xemb.1.weight"))
        conv.lin.bias.copy_(file.tensor("gnn.xemb.1.bias"))
    else:  # no map of features
        nn.init.eye_(conv.lin.weight)
        nn.init.zeros_(conv.lin.bias)
    if conv.jumping is not None:
        conv.jumping.copy_(file.tensor("gnn.jkparams"))
