"""Heterophily: the closed-form metrics; the baseline networks, block by block, outputs and gradients; ADPA."""

from __future__ import annotations

import torch
from torch_geometric.data import Data

from graphkit import diagnostics, models
from tests.golden.adapters import adpa
from tests.golden.files import GoldenFile, translated

METHODS = ("HeterophilyBaseline",)
ORACLE = "authors' code"

TOLERANCE = 1e-9


def check(file: GoldenFile) -> None:
    if "param.input_linear.weight" in file:
        _check_model(file)
    elif "edge_u" in file:
        _check_metrics(file)
    else:
        adpa.check(file)


def _check_metrics(file: GoldenFile) -> None:
    edge_index = torch.stack([file.tensor("edge_u"), file.tensor("edge_v")]).long()
    y = file.tensor("y").long()
    assert y.numel() == file.scalar("num_nodes")
    node = diagnostics.node_homophily
    measured = {
        "edge_homophily": diagnostics.edge_homophily(edge_index, y),
        "node_homophily_nonisolated": node(edge_index, y),
        "node_homophily_isolated_as_zero": node(edge_index, y, isolated_as_zero=True),
        "class_insensitive_homophily": diagnostics.class_insensitive_homophily(edge_index, y),
        "adjusted_homophily": diagnostics.adjusted_homophily(edge_index, y),
        "label_informativeness": diagnostics.label_informativeness(edge_index, y),
        "ccns": diagnostics.cross_class_similarity(edge_index, y),
    }
    for key, value in measured.items():
        file.assert_close(key, torch.as_tensor(value, dtype=torch.float64), TOLERANCE)


def _check_model(file: GoldenFile) -> None:
    x, module = file.tensor("x").requires_grad_(), _module(file)
    hidden, heads = file["param.input_linear.weight"].shape[0], int(file.scalar("num_heads"))
    heads = heads if module.startswith(("GAT", "GT")) else None  # the official code passes them to all modules
    layers, multiplier = int(file.scalar("num_layers")), int(file.scalar("hidden_dim_multiplier"))
    classes = file["param.output_linear.weight"].shape[0]
    model = models.HeterophilyBaseline(x.size(1), hidden, layers, classes, module, heads, multiplier).double().eval()
    with torch.no_grad():
        for key in file:
            if key.startswith("param."):
                model.get_parameter(_name(key.removeprefix("param."), len(model.layers))).copy_(file.tensor(key))

    edge_index = torch.stack([file.tensor("edge_source"), file.tensor("edge_target")])
    batch = Data(x=x, edge_index=edge_index)
    states = model.layer_states(batch)
    for i, state in enumerate(states[1:]):
        file.assert_close(f"residual{i}_out", state, TOLERANCE)
    out = model.decode(states[-1], batch)
    file.assert_close("out", out.squeeze(1) if classes == 1 else out, TOLERANCE)
    (out**2).sum().backward()
    file.assert_close("grad_x", x.grad, TOLERANCE)
    file.assert_close("grad_input_linear_weight", model.lin_in.weight.grad, TOLERANCE)


def _module(file: GoldenFile) -> str:
    """The kind of module, from the names and shapes of its weights."""
    prefix, width = "param.residual_modules.0.module.", file["param.input_linear.weight"].shape[0]
    if prefix + "attn_query.weight" in file:
        return "GT-sep" if file[prefix + "output_linear.weight"].shape[1] == 2 * width else "GT"
    if prefix + "linear_1.weight" in file:
        return "ResNet"
    sep = file[prefix + "feed_forward_module.linear_1.weight"].shape[1] == 2 * width
    if prefix + "attn_linear_u.weight" in file:
        return "GAT-sep" if sep else "GAT"
    return "SAGE" if sep else "GCN"


def _name(theirs: str, num_modules: int) -> str:
    """Our name of a weight."""
    patterns = [
        (r"^input_linear", "lin_in"),
        (r"^output_linear", "lin_out"),
        (r"^output_normalization", f"norms.{num_modules}"),
        (r"^residual_modules\.(\d+)\.normalization", r"norms.\1"),
        (r"^residual_modules\.(\d+)\.module", r"layers.\1"),
    ]
    return translated(theirs, patterns)
