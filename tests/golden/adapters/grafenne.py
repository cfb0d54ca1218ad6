"""GRAFENNE: outputs and a gradient of the official network, whose chains of linear maps are one map each here."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit import models
from graphkit.transforms import MissingFeatures
from tests.golden.files import GoldenFile

METHODS = ("GRAFENNE",)
ORACLE = "authors' code"

TOLERANCE = 1e-8


def check(file: GoldenFile) -> None:
    def weights(name: str) -> dict[str, Tensor]:
        prefix = f"param.{name}."
        return {key.removeprefix(prefix): file.tensor(key) for key in file if key.startswith(prefix)}

    x, h = file.tensor("x"), int(file.scalar("hidden"))
    data = Data(x=x, edge_index=file.tensor("edge_index"), feature_vectors=torch.eye(x.size(1), dtype=x.dtype))
    data.feature_mask = file.tensor("feature_mask")
    conv = weights("gin_convs.0")
    head = weights("project_Y")
    model = models.GRAFENNE(
        hidden_channels=h,
        num_layers=sum(f"param.projects.{i}.0.weight" in file for i in range(len(file.keys()))),
        out_channels=head["2.bias"].numel(),
        heads=int(file.scalar("num_heads")),
        conv="GAT" if "att_src" in conv else "SAGE" if "lin_r.weight" in conv else "GIN",
        feature_channels=x.size(1),
        entry_channels=h + 1,  # and a unit that is always 1, for the biases
        dropout=0.0,
        track_running_stats=False,
    ).double()
    with torch.no_grad():
        start = weights("projects_obs.0")  # of nodes that are alike, normalisation leaves 0
        assert {"0.weight", "0.bias", "3.weight"} <= start.keys()
        model.start.copy_(start["3.bias"])
        model.of_features.load_state_dict(weights("projects_feat.0"))
        model.head.load_state_dict(head)
        for i, layer in enumerate(model.layers):
            _load(layer, i, weights)

    out = model.eval()(MissingFeatures()(data))
    file.assert_close("logits", out, TOLERANCE)
    file.assert_close("log_prob", out.log_softmax(-1), TOLERANCE)
    out.log_softmax(-1).square().sum().backward()
    file.assert_close("grad_project_Y_0_weight", model.head[0].weight.grad, TOLERANCE)


def _load(layer: nn.Module, i: int, weights: Callable[[str], dict[str, Tensor]]) -> None:
    """The weights of one round; those of entries are products of the official ones, with biases as a last column."""
    parts = {"told": "gat_linear_project_obs", "between": "projects", "told_features": "gat_linear_project_feat"}
    parts |= {"of_nodes": "projects_obs", "of_features": "projects_feat"} if i else {}
    parts |= {"join_nodes": "obs_gat_project", "join_features": "feat_gat_project", "conv": "gin_convs"}
    for ours, theirs in parts.items():
        if hasattr(layer, ours):
            missing, unknown = getattr(layer, ours).load_state_dict(weights(f"{theirs}.{i}"), strict=False)
            assert (unknown, missing) in (([], []), ([], ["eps"]))

    embedded = _with_bias(weights(f"edge_embedding.{i}"), "0.")
    if i:
        before, update = _with_bias(weights(f"edge_embedding.{i - 1}"), "0."), weights(f"edge_embedding_update.{i - 1}")
        value, node, feature = update["0.weight"].split(embedded.size(1) - 1, dim=1)
        value = value @ before
        value[:, -1] += update["0.bias"]
        unit = torch.tensor([[0.0, 1.0]], dtype=value.dtype)
        layer.lin_value.weight.copy_(torch.cat([value, unit]))
        for lin, weight in ((layer.lin_node, node), (layer.lin_feature, feature)):
            lin.weight.copy_(torch.cat([weight, torch.zeros_like(weight[:1])]))
        last = _with_bias(update, "2.")
        embedded = torch.cat([embedded[:, :-1] @ last[:, :-1], embedded[:, :-1] @ last[:, -1:] + embedded[:, -1:]], 1)
    for ours, theirs in (("to_nodes", "gat_convs_f_to_o"), ("to_features", "gat_convs_o_to_f")):
        if hasattr(layer, ours):
            given = weights(f"{theirs}.{i}")
            given["lin_edge.weight"] = given["lin_edge.weight"] @ embedded
            getattr(layer, ours).load_state_dict(given)


def _with_bias(given: dict[str, Tensor], prefix: str) -> Tensor:
    return torch.cat([given[f"{prefix}weight"], given[f"{prefix}bias"][:, None]], dim=1)
