"""Neural sheaf diffusion: maps, roots, Laplacians, whole models with gradients, training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit import models
from graphkit.nn import sheaf
from tests.golden.files import GoldenFile

METHODS = ("SheafDiffusion",)
ORACLE = "authors' code"

TOLERANCE = 1e-9
FINE_TOLERANCE = 1e-6  # of 100 steps; the file has 2000, and the activation has kinks


def check(file: GoldenFile) -> None:
    if "cfg.restriction" not in file:
        _check_parts(file)
    elif "cfg.max_t" in file:
        _check_flow(file)
    elif "cfg.steps" in file:
        _check_training(file)
    else:
        _check_model(file)


# ---------------------------------------------------------------------- parts


def _check_parts(file: GoldenFile) -> None:
    cases = sorted({key.rsplit(".", 1)[0] for key in file if "." in key})
    assert cases, f"golden file {file.path}: no cases"
    for case in cases:
        if f"{case}.laplacian" in file:
            _check_laplacian(file, case)
        elif f"{case}.inv_sqrt" in file:
            _check_inverse_sqrt(file, case)
        else:
            _check_orthogonal(file, case)


def _check_laplacian(file: GoldenFile, case: str) -> None:
    kind = str(file.scalar(f"{case}.kind"))
    maps, size = file.tensor(f"{case}.maps"), int(file.scalar("num_nodes"))
    weight = file.tensor(f"{case}.edge_weight").squeeze(1) if f"{case}.edge_weight" in file else None
    low, high = bool(file.scalar(f"{case}.add_lp")), bool(file.scalar(f"{case}.add_hp"))
    if f"{case}.orth_params" in file:
        params, method = file.tensor(f"{case}.orth_params"), str(file.scalar(f"{case}.orth"))
        maps = sheaf.orthogonal(params.t().contiguous(), maps.size(1), method).permute(2, 0, 1)
        file.assert_close(f"{case}.maps", maps, TOLERANCE)
    graph = sheaf.sheaf_graph(file.tensor("edge_index"), size)
    positions = torch.arange(graph.node.numel())
    reverse = graph.to_edges(graph.from_edges(positions).roll(graph.num_pairs))
    file.assert_close("reverse_edge", reverse, 0)
    norms = {"laplacian": _normalize(file, f"{case}.", kind), "laplacian_unnormalised": None}
    for key, norm in norms.items():
        laplacian = sheaf.sheaf_laplacian(
            file.tensor("edge_index"),
            maps,
            kind,
            weight,
            norm,
            low_pass=low,
            high_pass=high,
            size=size,
            official_fixed_scale=True,
        )
        file.assert_close(f"{case}.{key}", laplacian.to_dense(), TOLERANCE)
        if key == "laplacian":
            x = file.tensor(f"{case}.x")
            stalks = x.view(size, -1, x.size(1))
            file.assert_close(f"{case}.Lx", (laplacian @ stalks).reshape(x.shape), TOLERANCE)
            file.assert_close(f"{case}.dirichlet_energy", laplacian.energy(stalks), TOLERANCE)
            file.assert_close(f"{case}.eigenvalues", torch.linalg.eigvalsh(laplacian.to_dense()), TOLERANCE)


def _check_inverse_sqrt(file: GoldenFile, case: str) -> None:
    b = file.tensor(f"{case}.B").requires_grad_()
    root = sheaf.inverse_sqrt(b)
    file.assert_close(f"{case}.inv_sqrt", root, TOLERANCE)
    (root * file.tensor(f"{case}.weight")).sum().backward()
    file.assert_close(f"{case}.grad_B", b.grad, TOLERANCE)


def _check_orthogonal(file: GoldenFile, case: str) -> None:
    method, d = case.split(".d")
    params = file.tensor(f"{case}.params").requires_grad_()
    q = sheaf.orthogonal(params.t(), int(d), method).permute(2, 0, 1)
    file.assert_close(f"{case}.Q", q, TOLERANCE)
    file.assert_close(f"{case}.det", torch.linalg.det(q), TOLERANCE)
    (q * file.tensor(f"{case}.weight")).sum().backward()
    file.assert_close(f"{case}.grad_params", params.grad, TOLERANCE)


# ---------------------------------------------------------------------- models


def _check_model(file: GoldenFile) -> None:
    model, batch = _model(file), _batch(file)
    history = [model.encode(batch)]
    laplacians = []
    for i in range(model.num_layers):
        laplacians.append(model.laplacian(i, history, batch))
        if i == 0 or not model.frozen:
            _check_sheaf(file, model, i, history[-1], batch)
        history.append(model.step(i, list(history), batch))
    for i, h in enumerate(history):
        file.assert_close(f"out.state.{i}", h.view(-1, model.hidden_channels), TOLERANCE)
    for i, laplacian in enumerate(laplacians[:1] if model.frozen else laplacians):
        file.assert_close(f"out.laplacian.{i}", laplacian.to_dense(), TOLERANCE)
    logits = model(batch)
    file.assert_close("out.logits", logits, TOLERANCE)
    file.assert_close("out.log_probs", logits.log_softmax(1), TOLERANCE)
    loss = (logits**2).sum()
    file.assert_close("out.loss_sumsq", loss, TOLERANCE)
    loss.backward()
    file.assert_close("grad.x", batch.x.grad, TOLERANCE)
    for name, parameter in _parameters(file, model).items():
        file.assert_close(f"grad.{name}", parameter.grad, TOLERANCE)


def _check_sheaf(file: GoldenFile, model: models.SheafDiffusion, i: int, h: Tensor, batch: Data) -> None:
    graph = sheaf.sheaf_graph(batch.edge_index, h.size(0))
    numbers, weight = model.layers[i].learner.predict(h, graph)
    numbers = graph.to_edges(numbers.t())
    if model.maps == "general":
        numbers = numbers.view(-1, model.stalk_dim, model.stalk_dim)
    file.assert_close(f"out.learner.{i}", numbers, TOLERANCE)
    if weight is not None:
        file.assert_close(f"out.edge_weight.{i}", graph.to_edges(torch.cat([weight, weight]))[:, None], TOLERANCE)


def _check_training(file: GoldenFile) -> None:
    model, batch = _model(file), _batch(file)
    mask, y = file.tensor("train_mask"), file.tensor("y")
    named = _parameters(file, model)
    listed = {str(name) for name in file["cfg.sheaf_decay_group"]}
    unknown = listed - set(named)
    assert not unknown, f"golden file {file.path}: no parameter {unknown}"
    sheaf_group = [parameter for name, parameter in named.items() if name in listed]
    others = [parameter for name, parameter in named.items() if name not in listed]
    groups = [
        {"params": sheaf_group, "weight_decay": float(file.scalar("cfg.sheaf_decay"))},
        {"params": others, "weight_decay": float(file.scalar("cfg.weight_decay"))},
    ]
    optimizer = torch.optim.Adam(groups, lr=float(file.scalar("cfg.lr")))
    losses = []
    for _ in range(int(file.scalar("cfg.steps"))):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(batch)[mask], y[mask])
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    file.assert_close("out.losses", torch.stack(losses), TOLERANCE)
    file.assert_close("out.log_probs", model(batch).log_softmax(1), TOLERANCE)
    for name, parameter in named.items():
        file.assert_close(f"param_after.{name}", parameter, TOLERANCE)


def _check_flow(file: GoldenFile) -> None:
    time, step_size = float(file.scalar("cfg.max_t")), float(file.scalar("cfg.step_size"))
    tol_scale = float(file.scalar("cfg.atol")) / 1e-7
    assert tol_scale == float(file.scalar("cfg.rtol")) / 1e-9, "the model scales both tolerances together"
    for name in ("euler", "rk4", "dopri5"):
        model = _model(file, time=time, solver=name, step_size=step_size, tol_scale=tol_scale)
        batch = _batch(file)
        flow, h = model.layers[0], model.encode(batch)
        laplacian = model.laplacian(0, [h], batch) if model.frozen else None
        file.assert_close("out.initial_state", h.view(-1, model.hidden_channels), TOLERANCE)
        graph = sheaf.sheaf_graph(batch.edge_index, h.size(0))
        derivative = flow.derivative(h, graph, laplacian)
        file.assert_close("out.rhs_at_initial_state", derivative.view(-1, model.hidden_channels), TOLERANCE)
        final = model.step(0, [h], batch)
        file.assert_close(f"out.{name}.final_state", final.view(-1, model.hidden_channels), TOLERANCE)
        logits = model.decode(final, batch)
        file.assert_close(f"out.{name}.logits", logits, TOLERANCE)
        assert flow.solver.evaluations == file.scalar(f"out.{name}.num_evaluations")
        (logits**2).sum().backward()
        file.assert_close(f"grad.{name}.x", batch.x.grad, TOLERANCE)
        file.assert_close(f"grad.{name}.sheaf_learner.0.weight", flow.learner.weight.grad, TOLERANCE)
    fine = _model(file, time=time, solver="rk4", step_size=time / 100)
    with torch.no_grad():
        final = fine.step(0, [fine.encode(batch)], batch)
    file.assert_close("out.exact.final_state", final.view(-1, fine.hidden_channels), FINE_TOLERANCE)
    file.assert_close("out.exact.logits", fine.decode(final, batch), FINE_TOLERANCE)


def _model(file: GoldenFile, **continuous: Any) -> models.SheafDiffusion:
    def cfg(key: str) -> Any:
        return file.scalar(f"cfg.{key}")

    model = models.SheafDiffusion(
        in_channels=file["x"].shape[1],
        hidden_channels=cfg("hidden_channels"),
        num_layers=1 if continuous else cfg("layers"),
        out_channels=file["param.lin_out.bias"].shape[0],
        stalk_dim=cfg("d"),
        maps=cfg("restriction"),
        act="elu" if cfg("use_act") else None,
        low_pass=cfg("add_lp"),
        high_pass=cfg("add_hp"),
        orthogonal=cfg("orth"),
        edge_weights=cfg("edge_weights"),
        normalize=_normalize(file, "cfg.", cfg("restriction")),
        frozen=cfg("linear"),
        left_weights=cfg("left_weights"),
        right_weights=cfg("right_weights"),
        second_linear=cfg("second_linear"),
        learner_act=cfg("sheaf_act"),
        official_sparse_learner=False if continuous else cfg("sparse_learner"),
        official_fixed_scale=True,
        **continuous,
    ).double()
    assert model.width == cfg("final_d"), f"golden file {file.path}: final_d is {cfg('final_d')}, ours {model.width}"
    with torch.no_grad():
        for name, parameter in _parameters(file, model).items():
            parameter.copy_(file.tensor(f"param.{name}").view_as(parameter))
    return model


def _normalize(file: GoldenFile, prefix: str, kind: str) -> str | None:
    block, degree = bool(file.scalar(f"{prefix}normalised")), bool(file.scalar(f"{prefix}deg_normalised"))
    if kind == "bundle" or block:  # the official bundle is always normalised by its weighted degree
        return "block"
    return "degree" if degree else None


def _batch(file: GoldenFile) -> Data:
    batch = Data(x=file.tensor("x").requires_grad_(), edge_index=file.tensor("edge_index"))
    if "batch" in file:
        batch.batch = file.tensor("batch")
    return batch


def _parameters(file: GoldenFile, model: models.SheafDiffusion) -> dict[str, Tensor]:
    """The model's parameters under the file's names; neither side may have others."""
    found = {"lin_in": model.lin_in, "lin_out": model.lin_out}
    if model.lin_second is not None:
        found["lin_in2"] = model.lin_second
    named = {f"{name}.{part}": getattr(linear, part) for name, linear in found.items() for part in ("weight", "bias")}
    for i, layer in enumerate(model.layers):
        mix = layer.mix if model.time is not None else layer.conv.mix
        named[f"epsilon.{i}"] = None if model.time is not None else layer.conv.epsilon
        named[f"left_weight.{i}"], named[f"right_weight.{i}"] = mix.left, mix.right
        if getattr(layer, "learner", None) is not None:
            named[f"sheaf_learner.{i}.weight"] = layer.learner.weight
            named[f"edge_weight_learner.{i}.weight"] = layer.learner.edge_weight
    named = {name: parameter for name, parameter in named.items() if parameter is not None}
    given = {key.removeprefix("param.") for key in file if key.startswith("param.")}
    assert given == set(named), f"golden file {file.path}: parameters {sorted(given ^ set(named))} on one side only"
    return named
