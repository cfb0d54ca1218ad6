"""BuNN: maps, outputs and gradients of the models for heterophilous graphs and of the two other layers."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit import models, nn
from graphkit.nn.heat_kernel import SpectralHeatKernel
from graphkit.nn.sheaf.bundles import Frames, PaperBundle
from tests.golden.files import GoldenFile, translated

METHODS = ("BuNN",)
ORACLE = "authors' code"

TOLERANCE = 1e-9
LEARNERS = {"diff": "own", "shared": "shared", "shared-recomp": "recomputed"}
NORMS = {"sym": "sym", "rw": "row"}
EGO = {"BUNN": "plain", "SpecBuNN": None, "SpecBuNN-sep": "rotated"}


def check(file: GoldenFile) -> None:
    kind = str(file.scalar("cfg.model"))
    if kind.startswith("paper"):
        _check_paper(file, spectral=kind.endswith("spectral"))
    elif kind == "LRGB layer":
        _check_long_range(file)
    else:
        _check_model(file, kind)


def _bundles(file: GoldenFile) -> dict[str, Any]:
    return {"num_bundles": file.scalar("cfg.num_bundles"), "bundle_dim": file.scalar("cfg.bundle_dim")}


def _check_model(file: GoldenFile, kind: str) -> None:
    assert file.scalar("cfg.normalization") == "LayerNorm"
    spectral, tau = kind != "BUNN", float(file.scalar("cfg.tau"))
    degree, count = file.scalar("cfg.max_degree"), file.scalar("cfg.max_eigs")
    model = models.BuNN(
        file["x"].shape[1],
        file.scalar("cfg.hidden_dim"),
        file.scalar("cfg.num_layers"),
        file["param.output_linear.weight"].shape[0],
        **_bundles(file),
        **({"kernel": "spectral", "num_eigenvectors": count} if spectral else {"tau": tau, "max_degree": degree}),
        orthogonal=file.scalar("cfg.orth_meth"),
        ego=EGO[kind],
        hidden_dim_multiplier=file.scalar("cfg.hidden_dim_multiplier"),
        learner=LEARNERS[str(file.scalar("cfg.gnn_method"))],
        learner_layers=file.scalar("cfg.num_gnn"),
    )
    model.double().eval()
    names = {key.removeprefix("param."): _model_name(key, model) for key in file if key.startswith("param.")}
    _load(file, model, names)
    x = file.tensor("x").requires_grad_()
    batch = Data(x=x, edge_index=file.tensor("edge_index"))
    if spectral:
        batch.laplacian_vectors = file.tensor("eig_vecs")[:, :count]
        batch.laplacian_values = file.tensor("eig_vals")[:count].expand(x.size(0), -1)
    states = model.layer_states(batch)
    for i in range(len(model.layers)):
        _check_frames(file, i, model.frames(i, states[: i + 1], batch))
    out = model.decode(states[-1], batch)
    _check_result(file, x, out.squeeze(1) if out.size(1) == 1 else out)
    for theirs, ours in names.items():
        file.assert_close(f"grad.{theirs}", model.get_parameter(ours).grad, TOLERANCE)


def _model_name(key: str, model: models.BuNN) -> str:
    """Our name of a weight, of the network or of the baseline network in it."""
    name = key.removeprefix("param.")
    depth = model.learner_layers
    patterns = [
        (r"^residual_modules\.(\d+)\.normalization", r"layers.\1.bundle.norm"),
        (r"^residual_modules\.(\d+)\.module\.feed_forward_module", r"layers.\1.bundle.ffn"),
        (r"^residual_modules\.(\d+)\.module\.tau", r"layers.\1.heat.tau"),
        (r"^input_linear", "lin_in"),
        (r"^output_normalization", "norm"),
        (r"^output_linear", "lin_out"),
        (r"^enc_computers\.(\d+)", r"layers.\1.learner"),
        (r"^shared_gnn", "shared"),
        (r"\.input_linear", ".lin_in"),
        (r"\.output_linear", ".lin_out"),
        (r"\.output_normalization", f".norms.{depth}"),
        (r"\.residual_modules\.(\d+)\.normalization", r".norms.\1"),
        (r"\.residual_modules\.(\d+)\.module", r".layers.\1"),
    ]
    return translated(name, patterns)


def _check_long_range(file: GoldenFile) -> None:
    x, layers, width = file.tensor("x").requires_grad_(), file.scalar("cfg.num_gnn"), file.scalar("cfg.dim")
    model = models.BuNN(
        width,
        width,
        1,
        **_bundles(file),
        layer="long_range",
        tau=float(file.scalar("cfg.tau")),
        max_degree=file.scalar("cfg.max_deg"),
        orthogonal=file.scalar("cfg.orth_meth"),
        learner_layers=layers,
        learner_channels=file.scalar("cfg.gnn_dim"),
        skip=file.scalar("cfg.residual"),
        batch_norm=file.scalar("cfg.batchnorm"),
    )
    model.double().eval()
    names = {"conv.lin": "bundle.lin", "batchnorm": "bundle.norm"}
    names |= {"conv.struct_enc.0": "learner.lin_in", "conv.struct_enc.2": "learner.lin_out"}
    names |= {"conv.struct_enc.enc": "learner.lin_in", "conv.struct_enc.dec": "learner.lin_out"}
    for k in range(layers):
        names[f"conv.struct_enc.layers.{k}.lin_neighb"] = f"learner.convs.{k}.lin_l"
        names[f"conv.struct_enc.layers.{k}.lin_self"] = f"learner.convs.{k}.lin_r"
    found = {}
    for key in file:
        if key.startswith(("param.", "buffer.")):
            module, _, kind = key.partition(".")[2].rpartition(".")
            found[key.partition(".")[2]] = f"layers.0.{names[module]}.{kind}"
    # the biases of both maps of a layer are added to the same sum: ours has one, which has the gradient of each
    twice = {theirs: ours.replace("lin_r", "lin_l") for theirs, ours in found.items() if ours.endswith("lin_r.bias")}
    _load(file, model, {theirs: ours for theirs, ours in found.items() if theirs not in twice})
    with torch.no_grad():
        for theirs, ours in twice.items():
            model.get_parameter(ours).add_(file.tensor(f"param.{theirs}"))
    batch = Data(x=x, edge_index=file.tensor("edge_index"))
    frames = model.frames(0, [x], batch)
    _check_frames(file, 0, frames)
    _check_result(file, x, model.step(0, [x], batch))
    for theirs, ours in (found | twice).items():
        if f"grad.{theirs}" in file:
            file.assert_close(f"grad.{theirs}", model.get_parameter(ours).grad, TOLERANCE)


def _check_paper(file: GoldenFile, spectral: bool) -> None:
    bundles, x, tau = _bundles(file), file.tensor("x").requires_grad_(), float(file.scalar("cfg.tau"))
    layer = PaperBundle(file.scalar("cfg.dim"), None, 0.0).double()
    norm, degree = NORMS[str(file.scalar("cfg.normalize"))], file.scalar("cfg.max_deg")
    heat: Any
    if spectral:
        kernel = SpectralHeatKernel(bundles["num_bundles"]).double()
        values = file.tensor("eig_vals").expand(x.size(0), -1)
        heat = partial(kernel, values=values, vectors=file.tensor("eig_vecs"))
    else:
        kernel = nn.HeatKernel(tau, degree, norm=norm)
        heat = partial(kernel, edge_index=file.tensor("edge_index"))
    parameters = {"linear.weight": layer.lin.weight, "bias": layer.lin.bias} | dict(kernel.named_parameters())
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(file.tensor(f"param.{name}"))
    frames = Frames(file.tensor("angles"), bundles["num_bundles"], bundles["bundle_dim"], "euler")
    _check_frames(file, 0, frames, "maps")
    _check_result(file, x, layer(x, frames, heat))
    for name, parameter in parameters.items():
        file.assert_close(f"grad.{name}", parameter.grad, TOLERANCE)


def _load(file: GoldenFile, model: models.BuNN, names: dict[str, str]) -> None:
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    with torch.no_grad():
        for theirs, ours in names.items():
            key = f"param.{theirs}" if f"param.{theirs}" in file else f"buffer.{theirs}"
            tensors[ours].copy_(file.tensor(key))


def _check_frames(file: GoldenFile, i: int, frames: Frames, key: str = "") -> None:
    """The matrices, column by column: what the maps make of unit vectors."""
    key = key or f"out.maps.{i}"
    nodes, bundles, d, _ = file[key].shape
    for k in range(d):
        unit = torch.zeros(nodes, bundles, d, dtype=torch.float64)
        unit[:, :, k] = 1.0
        column = frames.into(unit.flatten(1)).view(nodes, bundles, d)
        expected = file.tensor(key)[..., k]
        torch.testing.assert_close(column, expected, rtol=0, atol=TOLERANCE)


def _check_result(file: GoldenFile, x: Tensor, out: Tensor) -> None:
    file.assert_close("out", out, TOLERANCE)
    loss = (out**2).sum()
    file.assert_close("out.loss_sumsq", loss, TOLERANCE)
    loss.backward()
    file.assert_close("grad.x", x.grad, TOLERANCE)
