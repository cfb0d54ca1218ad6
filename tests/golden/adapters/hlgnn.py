"""HL-GNN: first weights, embeddings, scores of pairs by either predictor, and all gradients."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit import models, nn
from tests.golden.files import GoldenFile

METHODS = ("HLGNN",)
ORACLE = "authors' code"

TOLERANCE = 1e-9


def check(file: GoldenFile) -> None:
    if "init_temp" in file:
        _check_model(file)
    else:
        for key in file:
            _check_first_weights(file, key)


def _check_first_weights(file: GoldenFile, key: str) -> None:
    init, alpha, hops = key.split("|")
    conv = nn.GPRConv(int(hops.removeprefix("K=")), float(alpha.removeprefix("alpha=")), init).double()
    conv.reset_parameters()
    file.assert_close(key, conv.temp, TOLERANCE)


def _check_model(file: GoldenFile) -> None:
    x, hops = file.tensor("x").requires_grad_(), int(file.scalar("cfg.K"))
    alpha, init = float(file.scalar("cfg.alpha")), str(file.scalar("cfg.init"))
    encoder = models.HLGNN(x.size(1), file["param.encoder.lin1.weight"].shape[0], K=hops, alpha=alpha, init=init)
    encoder.double().reset_parameters()
    conv = encoder.layers[0]
    file.assert_close("init_temp", conv.temp, TOLERANCE)
    parameters = {"encoder.temp": conv.temp, "encoder.lin1.weight": encoder.lin.weight}
    parameters["encoder.lin1.bias"] = encoder.lin.bias

    model: models.LayeredModel = encoder
    width, depth = int(file.scalar("cfg.hidden_channels")), int(file.scalar("cfg.mlp_num_layers"))
    if file.scalar("cfg.predictor") == "MLP":  # else both are ignored
        model = models.LinkPredictor(encoder, hidden_channels=width, num_layers=depth).double()
        for i, linear in enumerate(model.maps):
            parameters |= {f"predictor.lins.{i}.{kind}": getattr(linear, kind) for kind in ("weight", "bias")}
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(file.tensor(f"param.{name}"))

    model.eval()
    data = Data(x=x, edge_index=file.tensor("edge_index"))
    if "edge_weight" in file:
        data.edge_weight = file.tensor("edge_weight")
    file.assert_close("out.embedding", encoder(data), TOLERANCE)
    positive, negative = (_scores(model, encoder, data, file.tensor(key)) for key in ("pos_pair", "neg_pair"))
    if file.scalar("cfg.variant") == "planetoid":
        positive, negative = positive.sigmoid(), negative.sigmoid()
    file.assert_close("out.pos_score", positive, TOLERANCE)
    file.assert_close("out.neg_score", negative, TOLERANCE)
    loss = _loss(file, positive, negative)
    file.assert_close("out.loss", loss, TOLERANCE)
    loss.backward()
    file.assert_close("grad.x", x.grad, TOLERANCE)
    for name, parameter in parameters.items():
        file.assert_close(f"grad.{name}", parameter.grad, TOLERANCE)


def _scores(model: models.LayeredModel, encoder: models.HLGNN, data: Data, pairs: Tensor) -> Tensor:
    if model is encoder:
        h = encoder(data)
        return (h[pairs[0]] * h[pairs[1]]).sum(1)
    data.edge_label_index = pairs
    return model(data).squeeze(1)


def _loss(file: GoldenFile, positive: Tensor, negative: Tensor) -> Tensor:
    negative = negative.view(-1, int(file.scalar("cfg.num_neg")))
    if file.scalar("cfg.loss") == "CE":
        return -(positive + 1e-15).log().mean() - (1 - negative + 1e-15).log().mean()
    margin = 1 - (positive.unsqueeze(1) - negative)
    return ((margin.clamp(min=0) if file.scalar("cfg.loss") == "HingeAUC" else margin) ** 2).sum()
