"""DGMLP: averages of hops, their weights, both classifiers; AIR: outputs and gradients of its three kinds."""

from __future__ import annotations

import torch
from torch_geometric.data import Data

from graphkit import models, ops
from graphkit.transforms import NodeAdaptiveCombination
from graphkit.transforms.hop_combination import stationary_features
from tests.golden.files import GoldenFile

METHODS = ("DGMLP", "AIR")
ORACLE = "authors' code"

TOLERANCE = 1e-9
AIR_NAMES = {
    "sgc": {"fc_out_weight": "lin_out.weight", "fc_out_bias": "lin_out.bias"},
    "appnp": {
        "fc_1_weight": "lin_in.weight",
        "fc_1_bias": "lin_in.bias",
        "fc_2_weight": "lin_out.weight",
        "fc_2_bias": "lin_out.bias",
    },
    "gcn": {
        "out_fc_weight": "lin_out.weight",
        "out_fc_bias": "lin_out.bias",
        "lr_att_weight": "gate.weight",
        "lr_att_bias": "gate.bias",
        "prelu_weight": "activation.weight",
    },
}


def check(file: GoldenFile) -> None:
    if "feature_stack" in file:
        _check_combination(file)
        _check_classifiers(file)
    else:
        for kind in ("sgc", "appnp", "gcn"):
            _check_air(file, kind)


def _check_combination(file: GoldenFile) -> None:
    x, edge_index, hops = file.tensor("x"), file.tensor("edge_index"), int(file.scalar("cfg_hops"))
    matrix = ops.gcn_norm(edge_index, size=len(x), dtype=x.dtype)
    stack = [x]
    for _ in range(hops):
        stack.append(matrix @ stack[-1])
    file.assert_close("feature_stack", torch.stack(stack, dim=1), TOLERANCE)
    degree = torch.bincount(edge_index[1], minlength=len(x)).unsqueeze(1) + 1.0
    limit = stationary_features(x, edge_index, degree.double())
    file.assert_close("x_inf", limit, TOLERANCE)
    to_input, to_limit = (
        torch.stack([torch.cosine_similarity(h, end, eps=1e-10) for h in stack], dim=1) for end in (x, limit)
    )
    file.assert_close("cos_to_input", to_input, TOLERANCE)
    file.assert_close("cos_to_stationary", to_limit, TOLERANCE)
    transform = NodeAdaptiveCombination(hops)
    scores = transform.scores(matrix, x, limit).T
    file.assert_close("hop_weights", scores.softmax(1), TOLERANCE)
    combined = transform(Data(x=x, edge_index=edge_index)).combined_x
    file.assert_close("combined", combined, TOLERANCE)


def _check_classifiers(file: GoldenFile) -> None:
    batch = Data(x=file.tensor("x"), combined_x=file.tensor("combined"))
    linear = _perceptron(file, [("fc_weight", "fc_bias")])
    file.assert_close("out_log_softmax", linear(batch).log_softmax(-1), TOLERANCE)
    count = sum(key.startswith("param_resmlp_weight_") for key in file)
    residual = _perceptron(file, [(f"resmlp_weight_{i}", f"resmlp_bias_{i}") for i in range(count)])
    *_, hidden, out = residual.layer_states(batch)
    file.assert_close("resmlp_hidden", hidden, TOLERANCE)
    file.assert_close("resmlp_out", out, TOLERANCE)


def _perceptron(file: GoldenFile, names: list[tuple[str, str]]) -> models.DGMLP:
    first, last = (file[f"param_{names[i][0]}"] for i in (0, -1))
    model = models.DGMLP(first.shape[1], first.shape[0], len(names), last.shape[0]).double().eval()
    with torch.no_grad():
        for layer, (weight, bias) in zip(model.layers, names, strict=True):
            layer.weight.copy_(file.tensor(f"param_{weight}"))
            layer.bias.copy_(file.tensor(f"param_{bias}"))
    return model


def _check_air(file: GoldenFile, kind: str) -> None:
    x, prefix = file.tensor("x").requires_grad_(), f"{kind}_"
    hidden = {"sgc": 1, "appnp": "appnp_param_fc_1_weight", "gcn": "gcn_param_out_fc_weight"}[kind]
    width = hidden if isinstance(hidden, int) else file[hidden].shape[0 if kind == "appnp" else 1]
    assert kind == "sgc" or width == file.scalar("cfg_hidden")
    classes = file[f"{prefix}param_{'fc_2' if kind == 'appnp' else 'fc_out' if kind == 'sgc' else 'out_fc'}_bias"].size
    hops, alpha = int(file.scalar("cfg_hops")), float(file.scalar("cfg_alpha"))
    model = models.AIR(x.size(1), width, classes, kind, hops, alpha, official_sum=True).double().eval()
    edge_index = file.tensor("edge_index")
    file.assert_close("prop_matrix", ops.gcn_norm(edge_index, size=len(x), dtype=x.dtype).to_dense(), TOLERANCE)

    pairs = {theirs: model.get_parameter(ours) for theirs, ours in AIR_NAMES[kind].items()}
    pairs |= {f"convs_{i}_weight": layer.lin.weight for i, layer in enumerate(model.layers) if kind == "gcn"}
    attention = [] if kind == "gcn" else [model.layers[0].lin_first.weight, model.layers[0].lin_hop.weight]
    with torch.no_grad():
        for theirs, parameter in pairs.items():
            value = file.tensor(f"{prefix}param_{theirs}")
            parameter.copy_(value.T if "convs" in theirs else value)
        if attention:
            for parameter, half in zip(attention, file.tensor(f"{prefix}param_lr_att_weight").chunk(2, dim=1)):
                parameter.copy_(half)
            pairs["lr_att_bias"] = model.layers[0].lin_hop.bias
            pairs["lr_att_bias"].copy_(file.tensor(f"{prefix}param_lr_att_bias"))

    out = model(Data(x=x, edge_index=edge_index)).log_softmax(-1)
    file.assert_close(f"{prefix}out_log_softmax", out, TOLERANCE)
    (out**2).sum().backward()
    file.assert_close(f"{prefix}grad_x", x.grad, TOLERANCE)
    for theirs, parameter in pairs.items():
        gradient = parameter.grad.T if "convs" in theirs else parameter.grad
        file.assert_close(f"{prefix}grad_{theirs}", gradient, TOLERANCE)
    if attention:
        gradient = torch.cat([parameter.grad for parameter in attention], dim=1)
        file.assert_close(f"{prefix}grad_lr_att_weight", gradient, TOLERANCE)
