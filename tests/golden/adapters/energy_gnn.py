"""Energy networks: energy, gradient, minimiser, extreme eigenvalues of the Hessian, outputs and implicit gradients."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit import models
from tests.golden.files import GoldenFile

METHODS = ("EnergyGNN",)
ORACLE = "independent computation"

STATES, GRADIENTS = 1e-6, 1e-5
LINEAR = {
    "msg_recv": "layers.0.message_target.weight",
    "msg_send": "layers.0.message_source.weight",
    "msg_xrecv": "layers.0.message_x_target.weight",
    "msg_xsend": "layers.0.message_x_source.weight",
    "msg_edge": "layers.0.message_edge.weight",
    "msg_bias": "layers.0.message_x_target.bias",
    "upd_self": "layers.0.update_own.weight",
    "upd_x": "layers.0.update_x.weight",
    "upd_bias": "layers.0.update_x.bias",
    "weight": "layers.0.lin.weight",
    "bias": "layers.0.lin.bias",
    "readout_weight": "lin_out.weight",
    "readout_bias": "lin_out.bias",
}
POSITIVE = {
    "upd_msg": "layers.0.raw_update_messages",
    "out_nonneg": "layers.0.raw_weight",
}  # softplus of what is learnt


def check(file: GoldenFile) -> None:
    for solver in ("newton", "lbfgs", "descent"):
        _check(file, solver)


def _check(file: GoldenFile, solver: str) -> None:
    x = file.tensor("x").requires_grad_()
    batch = Data(x=x, edge_index=file.tensor("edge_index"))
    if "edge_attr" in file:
        batch.edge_attr = file.tensor("edge_attr")
    model = _model(file, x.size(1), solver)
    energy = model.layers[0].energy(x, batch.edge_index, batch.get("edge_attr"))
    zero = torch.zeros(x.size(0), model.hidden_channels).double()
    if "energy_at_zero" in file:
        file.assert_close("energy_at_zero", energy.value(zero), 1e-10)
        file.assert_close("grad_at_zero", energy.gradient(zero), 1e-10)

    h = model.layer_states(batch)[-1]
    file.assert_close("h_star", h, STATES)
    file.assert_close("energy_at_min", energy.value(h), STATES)
    if "hessian_min_eig" in file:
        spectrum = _spectrum(energy.hessian(h.detach()), h)
        file.assert_close("hessian_min_eig", spectrum[0], GRADIENTS)
        file.assert_close("hessian_max_eig", spectrum[-1], GRADIENTS)
        assert spectrum[-1] <= energy.curvature()

    out = model.decode(h, batch) if "out" in file else h
    if "out" in file:
        file.assert_close("out", out, STATES)
    out.square().sum().backward()
    file.assert_close("grad_x", x.grad, GRADIENTS)
    for name, ours in LINEAR.items():
        if f"param_{name}" in file:
            file.assert_close(f"grad_{name}", model.get_parameter(ours).grad, GRADIENTS)
    for name, ours in POSITIVE.items():
        if f"param_{name}" in file:
            raw = model.get_parameter(ours)
            file.assert_close(f"grad_{name}", raw.grad / raw.detach().sigmoid(), GRADIENTS)


def _model(file: GoldenFile, in_channels: int, solver: str) -> nn.Module:
    if "param_msg_recv" in file:
        k, d = file["param_msg_recv"].shape
        options = {
            "tau": float(file.scalar("cfg_tau")),
            "message_channels": k,
            "update_channels": file["param_out_nonneg"].size,
            "edge_dim": file["param_msg_edge"].shape[1] if "param_msg_edge" in file else None,
            "out_channels": file["param_readout_bias"].size,
        }
        assert d == file.scalar("cfg_embedding_dim")
    else:
        d, options = file["param_bias"].size, {"energy": "denoising", "gamma": float(file.scalar("cfg_gamma"))}
    model = models.EnergyGNN(in_channels, d, solver=solver, max_iterations=100_000, **options).double()
    with torch.no_grad():
        for name, ours in (LINEAR | POSITIVE).items():
            if f"param_{name}" in file:
                value = file.tensor(f"param_{name}")
                model.get_parameter(ours).copy_(value.expm1().log() if name in POSITIVE else value)
    return model


def _spectrum(product, h: Tensor) -> Tensor:
    columns = [product(unit.view_as(h)).flatten() for unit in torch.eye(h.numel()).double()]
    return torch.linalg.eigvalsh(torch.stack(columns))
