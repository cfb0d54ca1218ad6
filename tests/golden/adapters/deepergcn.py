"""DeeperGCN: each aggregation of one layer, and the whole network; outputs and all gradients."""

from __future__ import annotations

import torch
from torch import nn
from torch_geometric.data import Data

from graphkit import models
from tests.golden.files import GoldenFile

METHODS = ("DeeperGCN",)
ORACLE = "authors' code"

TOLERANCE = 1e-9
NORMS = {"batch": "batch_norm", "layer": "layer_norm"}
AGGREGATIONS = ("softmax", "softmax_sg", "softmax_sum", "power", "power_sum", "max", "mean", "add")
OF_AGGREGATION = {"t": "inner.t", "p": "inner.p", "y": "y"}


def check(file: GoldenFile) -> None:
    if "cfg_block" in file:
        _check_model(file)
    else:
        for aggr in AGGREGATIONS:
            if f"out_{aggr}" in file:
                _check_layer(file, aggr)


def _check_layer(file: GoldenFile, aggr: str) -> None:
    x = file.tensor("x").requires_grad_()
    learns = {f"learn_{name}": f"grad_{name}_{aggr}" in file for name in "tpy"}
    model = models.DeeperGCN(
        x.size(1),
        x.size(1),
        1,
        aggr=aggr,
        **{name: float(file.scalar(f"value_{name}")) for name in "tpy"},
        **learns,
        msg_norm=True,
        norm="layer_norm",
        mlp_layers=2,
        edge_dim=file["edge_attr"].shape[1],
    ).double()
    conv = model.layers[0]
    assert conv.eps == file.scalar("cfg_eps")
    with torch.no_grad():
        for name, parameter in _of_conv(conv).items():
            if f"param_{name}" in file:
                parameter.copy_(file.tensor(f"param_{name}"))
        for name, ours in OF_AGGREGATION.items():
            if learns[f"learn_{name}"]:
                conv.aggr_module.get_parameter(ours).fill_(float(file.scalar(f"value_{name}")))
        if conv.aggr_module.y is not None:
            conv.aggr_module.y.fill_(float(file.scalar("value_y")))
        conv.lin_edge.weight.copy_(file.tensor("param_edge_encoder_weight"))
        conv.lin_edge.bias.copy_(file.tensor("param_edge_encoder_bias"))
        assert conv.msg_norm.scale == file.scalar("cfg_msg_scale")

    kept = []
    conv.register_propagate_forward_hook(lambda conv, given, out: kept.append(out))
    out = conv(x, file.tensor("edge_index"), file.tensor("edge_attr"))
    file.assert_close(f"agg_{aggr}", kept[0], TOLERANCE)
    file.assert_close(f"out_{aggr}", out, TOLERANCE)
    out.square().sum().backward()
    file.assert_close(f"gradx_{aggr}", x.grad, TOLERANCE)
    for name, ours in OF_AGGREGATION.items():
        if learns[f"learn_{name}"]:
            file.assert_close(f"grad_{name}_{aggr}", conv.aggr_module.get_parameter(ours).grad, TOLERANCE)


def _check_model(file: GoldenFile) -> None:
    x = file.tensor("x").requires_grad_()
    option = {key.removeprefix("cfg_"): file.scalar(key) for key in file if key.startswith("cfg_")}
    aggr = option["gcn_aggr"]
    model = (
        models.DeeperGCN(
            x.size(1),
            int(option["hidden_channels"]),
            int(option["num_layers"]),
            int(option["num_tasks"]),
            option["dropout"],
            option["block"],
            "softmax_sg" if aggr == "softmax" and not option["learn_t"] else aggr,
            **{name: option[name] for name in ("t", "learn_t", "p", "learn_p", "y", "learn_y")},
            msg_norm=option["msg_norm"],
            learn_msg_scale=option["learn_msg_scale"],
            norm=NORMS[option["norm"]],
            mlp_layers=int(option["mlp_layers"]),
        )
        .double()
        .eval()
    )
    tensors = _of_model(model)
    with torch.no_grad():
        for name, tensor in tensors.items():
            if f"param_{name}" in file:
                tensor.copy_(file.tensor(f"param_{name}"))
    assert all(key.removeprefix("param_") in tensors for key in file if key.startswith("param_"))

    out = model(Data(x=x, edge_index=file.tensor("edge_index"))).log_softmax(-1)
    file.assert_close("out", out, TOLERANCE)
    out.square().sum().backward()
    file.assert_close("grad_x", x.grad, TOLERANCE)
    for name, tensor in tensors.items():
        if f"grad_{name}" in file:
            file.assert_close(f"grad_{name}", tensor.grad, TOLERANCE)


def _of_model(model: nn.Module) -> dict[str, torch.Tensor]:
    """Weights and statistics by the official names."""
    named = {}
    for i, layer in enumerate(model.layers):
        conv = getattr(layer, "conv", layer)
        named |= {f"gcns_{i}_{name}": tensor for name, tensor in _of_conv(conv).items()}
    norms = [layer.norm for layer in model.layers if hasattr(layer, "norm")]
    parts = {f"norms_{i}": norm for i, norm in enumerate([*norms, *filter(None, [model.last_norm])])}
    parts |= {"node_features_encoder": model.encoder, "node_pred_linear": model.lin_out}
    for name, part in parts.items():
        named |= {f"{name}_{key}": tensor for key, tensor in part.state_dict(keep_vars=True).items()}
    return named


def _of_conv(conv: nn.Module) -> dict[str, torch.Tensor]:
    # the official perceptron has no dropout, so its second linear map is part 3
    places = {"0": "0", "1": "1", "4": "3"}
    named = {}
    for key, tensor in conv.mlp.state_dict(keep_vars=True).items():
        place, _, kind = key.partition(".")
        named[f"mlp_{places[place]}_{kind}"] = tensor
    if hasattr(conv, "msg_norm"):
        named["msg_norm_msg_scale"] = conv.msg_norm.scale
    inner = conv.aggr_module.inner
    named |= {name: value for name in ("t", "p") if isinstance(value := getattr(inner, name, None), nn.Parameter)}
    if conv.aggr_module.y is not None:
        named["y"] = conv.aggr_module.y
    return named
