"""Stacks of graph convolutions: propagation matrix, every pre-activation, outputs, gradients."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import add_remaining_self_loops

from graphkit import models, nn, ops
from tests.golden.files import GoldenFile

METHODS = ("GCN",)
ORACLE = "independent computation"

TOLERANCE = 1e-10


def check(file: GoldenFile) -> None:
    _check_propagation(file)
    _check_layers(file)
    if _is_a_model(file):
        _check_model(file)


def _options(file: GoldenFile) -> tuple[bool, float, str]:
    return (
        bool(file.scalar("cfg_add_self_loops")),
        float(file.scalar("cfg_self_loop_fill")),
        str(file.scalar("cfg_norm")),
    )


def _graph(file: GoldenFile) -> tuple[Tensor, Tensor, Tensor | None]:
    weight = file.tensor("edge_weight") if "edge_weight" in file else None
    return file.tensor("x").requires_grad_(), file.tensor("edge_index"), weight


def _num_layers(file: GoldenFile) -> int:
    file["param_weight_0"]  # at least one
    return sum(key.startswith("param_weight_") for key in file)


def _check_propagation(file: GoldenFile) -> None:
    loops, fill, norm = _options(file)
    x, edge_index, weight = _graph(file)
    matrix = ops.gcn_norm(
        edge_index, weight, add_self_loops=loops, fill=fill, norm=norm, size=x.size(0), dtype=torch.float64
    )
    file.assert_close("prop_matrix", matrix.to_dense(), TOLERANCE)


def _check_layers(file: GoldenFile) -> None:
    loops, fill, norm = _options(file)
    x, edge_index, weight = _graph(file)
    if loops and fill not in (1.0, 2.0):  # the layer's own self-loops weigh 1 or 2; others can be given as edges
        weight = torch.ones(edge_index.size(1), dtype=torch.float64) if weight is None else weight
        edge_index, weight = add_remaining_self_loops(edge_index, weight, fill, x.size(0))
        loops = False
    convs = []
    for layer in range(_num_layers(file)):
        matrix = file.tensor(f"param_weight_{layer}")
        bias = f"param_bias_{layer}" in file
        conv = nn.GCNConv(
            matrix.size(1),
            matrix.size(0),
            improved=fill == 2,
            add_self_loops=loops,
            normalize=norm == "sym" or norm,
            bias=bias,
        )
        state = {"lin.weight": matrix} | ({"bias": file.tensor(f"param_bias_{layer}")} if bias else {})
        conv.double().load_state_dict(state)
        convs.append(conv)

    h = x
    for layer, conv in enumerate(convs):
        h = conv(h if layer == 0 else h.relu(), edge_index, weight)
        file.assert_close(f"preact_{layer}", h, TOLERANCE)
    file.assert_close("out", h, TOLERANCE)
    (h**2).sum().backward()
    file.assert_close("grad_x", x.grad, TOLERANCE)
    for layer, conv in enumerate(convs):
        file.assert_close(f"grad_weight_{layer}", conv.lin.weight.grad, TOLERANCE)
        if conv.bias is not None:
            file.assert_close(f"grad_bias_{layer}", conv.bias.grad, TOLERANCE)


def _is_a_model(file: GoldenFile) -> bool:
    """Whether ``models.GCN`` can be this stack: default propagation, biases, one hidden width."""
    layers = range(_num_layers(file))
    hidden = {file[f"param_weight_{layer}"].shape[0] for layer in list(layers)[:-1]}
    return _options(file) == (True, 1.0, "sym") and len(hidden) <= 1 and all(f"param_bias_{i}" in file for i in layers)


def _check_model(file: GoldenFile) -> None:
    x, edge_index, weight = _graph(file)
    last = _num_layers(file) - 1
    model = models.GCN(
        in_channels=x.size(1),
        hidden_channels=file["param_weight_0"].shape[0],
        num_layers=last + 1,
        out_channels=file[f"param_weight_{last}"].shape[0],
    ).double()
    for layer in range(last + 1):
        with torch.no_grad():
            model.layers[layer].lin.weight.copy_(file.tensor(f"param_weight_{layer}"))
            model.layers[layer].bias.copy_(file.tensor(f"param_bias_{layer}"))
    batch = Data(x=x, edge_index=edge_index)
    if weight is not None:
        batch.edge_weight = weight
    if "batch" in file:
        batch.batch = file.tensor("batch")
    out = model(batch)
    file.assert_close("out", out, TOLERANCE)
    (out**2).sum().backward()
    file.assert_close("grad_x", x.grad, TOLERANCE)
    for layer in range(last + 1):
        file.assert_close(f"grad_weight_{layer}", model.layers[layer].lin.weight.grad, TOLERANCE)
        file.assert_close(f"grad_bias_{layer}", model.layers[layer].bias.grad, TOLERANCE)
