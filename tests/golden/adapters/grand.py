"""GRAND: attention, diffusion equation, solvers, whole models with gradients, regularisers, dropped edges."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit import models
from graphkit.nn import AttentionDiffusion
from graphkit.nn.diffusion_ode import DiffusionODE
from graphkit.nn.ode import ADAPTIVE, ODESolver
from tests.golden.files import GoldenFile

METHODS = ("GRAND",)
ORACLE = "authors' code"

FIXED_TOLERANCE, ADAPTIVE_TOLERANCE, ADAPTIVE_GRADIENT = 1e-9, 1e-5, 1e-4
ATTENTION = {"scaled_dot": "scaled_dot", "cosine_sim": "cosine", "pearson": "pearson", "exp_kernel": "exp_kernel"}
AXES = ("row", "column")
# Their names of the weights -> ours.
NAMES = {
    "enc_weight": "lin_in.weight",
    "enc_bias": "lin_in.bias",
    "mlp1_weight": "mlp_in.0.weight",
    "mlp1_bias": "mlp_in.0.bias",
    "mlp2_weight": "mlp_in.1.weight",
    "mlp2_bias": "mlp_in.1.bias",
    "fcout_weight": "lin_fc.weight",
    "fcout_bias": "lin_fc.bias",
    "dec_weight": "lin_out.weight",
    "dec_bias": "lin_out.bias",
    "alpha_raw": "layers.0.rate",
    "beta": "layers.0.strength",
    "gamma_raw": "layers.0.share",
    "q_weight": "layers.0.diffusion.lin_query.weight",
    "q_bias": "layers.0.diffusion.lin_query.bias",
    "k_weight": "layers.0.diffusion.lin_key.weight",
    "k_bias": "layers.0.diffusion.lin_key.bias",
    "output_var": "layers.0.diffusion.output_scale",
    "lengthscale": "layers.0.diffusion.length_scale",
}


def check(file: GoldenFile) -> None:
    if any(key.startswith("score_") for key in file):
        _check_attention(file)
    elif "param_a" in file:
        _check_additive(file)
    elif any(key.endswith("_best_val") for key in file):
        _check_early_stop(file)
    elif "fixed_step_size" in file:
        _check_solvers(file)
    elif any(key.startswith("regstate_") for key in file):
        _check_regularizers(file)
    elif "train_attention" in file:
        _check_hard(file)
    else:
        _check_model(file)


# ---------------------------------------------------------------------- edges: theirs go from row 1 into row 0


def _edges(file: GoldenFile, key: str = "ode_edge_index") -> Tensor:
    return file.tensor(key).flip(0)


def _per_edge(file: GoldenFile, values: Tensor, edge_index: Tensor, key: str = "ode_edge_index") -> Tensor:
    """Our values per edge in the order of the file's edges."""
    ours = {pair: i for i, pair in enumerate(zip(*edge_index.tolist(), strict=True))}
    theirs = list(zip(*_edges(file, key).tolist(), strict=True))
    assert sorted(ours) == sorted(theirs), f"golden file {file.path}: {key!r} has other edges than ours"
    return values[[ours[pair] for pair in theirs]]


def _heads(file: GoldenFile, key: str, diffusion: AttentionDiffusion, z: Tensor, data: Data, model: Any) -> None:
    ode = model.ode(z, data)
    pattern = ode.operator(z).pattern if callable(ode.operator) else ode.operator.pattern
    weights = diffusion.attention_weights(z, pattern, batch=data.get("batch"))
    file.assert_close(key, _per_edge(file, weights, pattern.edge_index()), FIXED_TOLERANCE)


# ---------------------------------------------------------------------- models


def _option(file: GoldenFile, name: str, default: Any) -> Any:
    return file.scalar(f"cfg_{name}") if f"cfg_{name}" in file else default


def _build(file: GoldenFile, diffusivity: str, **arguments: Any) -> models.GRAND:
    assert not _option(file, "augment", False), "augmentation is not offered"
    batch_norm = bool(_option(file, "batch_norm", False))
    assert not batch_norm, "no file has had a batch normalisation so far"
    hidden, features = file["param_enc_weight"].shape
    assert hidden == file.scalar("cfg_hidden_dim")
    arguments = {"solver": _option(file, "method", "rk4"), "step_size": _option(file, "step_size", 1.0)} | arguments
    assert _option(file, "add_source", "param_beta" in file) == ("param_beta" in file)
    model = models.GRAND(
        features,
        hidden,
        out_channels=file["param_dec_weight"].shape[0],
        time=file.scalar("cfg_time"),
        diffusivity=diffusivity,
        attention=ATTENTION[_option(file, "attention_type", "scaled_dot")],
        attention_channels=file.scalar("cfg_attention_dim"),
        heads=file.scalar("cfg_heads"),
        axis=AXES[file.scalar("cfg_attention_norm_idx")],
        normalize="squareplus" if _option(file, "square_plus", False) else "softmax",
        reweight=bool(_option(file, "reweight_attention", False)),
        adjacency={"rw": "column", "gcn": "sym"}[_option(file, "data_norm", "rw")],
        self_loops=file.scalar("cfg_self_loop_weight"),
        source="param_beta" in file,
        bounded_rate=not _option(file, "no_alpha_sigmoid", False),
        mlp=bool(_option(file, "use_mlp", False)),
        fc_out=bool(_option(file, "fc_out", False)),
        tol_scale=_option(file, "tol_scale", 1.0),
        official_batch_max=True,
        official_integer_loops=True,
        official_hard_gradient=True,
        **arguments,
    )
    state = {NAMES[key[6:]]: file.tensor(key) for key in file if key.startswith("param_")}
    missing, unexpected = model.double().load_state_dict(state, strict=False)
    assert not missing, f"golden file {file.path} has no weights for {missing}"
    assert not unexpected, f"golden file {file.path} has weights that this model lacks: {unexpected}"
    return model.eval()


def _data(file: GoldenFile) -> Data:
    data = Data(x=file.tensor("x").requires_grad_(), edge_index=_edges(file, "edge_index"))
    for key in ("edge_weight", "batch"):
        if key in file:
            data[key] = file.tensor(key)
    return data


def _diffusivity(file: GoldenFile) -> str:
    if "param_gamma_raw" in file:
        return "mixed"
    if "param_q_weight" not in file:
        return "constant"
    return "nonlinear" if "attention_at_0" in file else "linear"


def _check_model(file: GoldenFile) -> None:
    diffusivity, data = _diffusivity(file), _data(file)
    model = _build(file, diffusivity)
    adaptive = file.scalar("cfg_method") in ADAPTIVE
    tolerance = ADAPTIVE_TOLERANCE if adaptive else FIXED_TOLERANCE
    z0 = model.encode(data)
    zT = model.step(0, [z0], data)
    logits = model.decode(zT, data)
    if "out_z0" in file:
        file.assert_close("out_z0", z0, FIXED_TOLERANCE)
        file.assert_close("out_zT", zT, tolerance)
    file.assert_close("out_logits", logits, tolerance)
    if "nfe" in file and not adaptive:
        assert model.integrate.evaluations == file.scalar("nfe"), f"golden file {file.path}: 'nfe' differs"
    _check_operator(file, diffusivity, model, z0, zT, data, tolerance)
    if any(key.startswith("grad_") for key in file):
        _check_gradients(file, model, data, logits.square().sum(), ADAPTIVE_GRADIENT if adaptive else FIXED_TOLERANCE)
    if "exact_zT" in file:
        exact = _build(file, diffusivity, solver="exact")
        file.assert_close("exact_zT", exact.step(0, [exact.encode(data)], data), FIXED_TOLERANCE)


def _check_operator(
    file: GoldenFile, diffusivity: str, model: models.GRAND, z0: Tensor, zT: Tensor, data: Data, tolerance: float
) -> None:
    ode = model.ode(z0, data)
    if diffusivity == "nonlinear":
        _heads(file, "attention_at_0", model.layers[0].diffusion, z0, data, model)
        file.assert_close("dzdt_at_0", ode(torch.tensor(0.0), z0), FIXED_TOLERANCE)
        weights = model.layers[0].diffusion.attention_weights(zT, ode.operator(zT).pattern, batch=data.get("batch"))
        edge_index = ode.operator(zT).pattern.edge_index()
        file.assert_close("attention_at_T", _per_edge(file, weights, edge_index), tolerance)
        return
    values = ode.operator.pattern.to_edges(ode.operator.values)
    edge_index = ode.operator.pattern.edge_index()
    if diffusivity == "constant":
        file.assert_close("ode_edge_weight", _per_edge(file, values, edge_index), FIXED_TOLERANCE)
    elif diffusivity == "mixed":
        file.assert_close("mixed_attention", _per_edge(file, values, edge_index), FIXED_TOLERANCE)
    elif "attention" in file and not model.reweight:
        _heads(file, "attention", model.layers[0].diffusion, z0, data, model)
    elif "attention" in file:
        mean = file.tensor("attention").mean(1)
        assert torch.allclose(_per_edge(file, values, edge_index), mean, rtol=0, atol=FIXED_TOLERANCE)


def _check_gradients(file: GoldenFile, model: nn.Module, data: Data, loss: Tensor, tolerance: float) -> None:
    data.x.grad = None
    model.zero_grad()
    loss.backward()
    if "grad_x" in file:
        file.assert_close("grad_x", data.x.grad, tolerance)
    parameters = dict(model.named_parameters())
    for key in file:
        if key.startswith("grad_") and key != "grad_x":
            file.assert_close(key, parameters[NAMES[key[5:]]].grad, tolerance)


# ---------------------------------------------------------------------- one part alone


def _check_attention(file: GoldenFile) -> None:
    edge_index = _edges(file)
    weight = file.tensor("ode_edge_weight")
    for theirs, ours in ATTENTION.items():
        if f"score_{theirs}" not in file:
            continue
        for i, axis in enumerate(AXES):
            for kind in ("softmax", "squareplus"):
                name = f"{theirs}_norm{i}_{kind}"
                z = file.tensor("z").requires_grad_()
                channels, heads = file.scalar("cfg_attention_dim"), file.scalar("cfg_heads")
                diffusion = AttentionDiffusion(z.size(1), channels, heads, ours, axis, kind).double()
                _load_attention(file, diffusion)
                file.assert_close(f"score_{theirs}", diffusion.scores(z, edge_index), FIXED_TOLERANCE)
                file.assert_close(f"attention_{name}", diffusion.attention_weights(z, edge_index), FIXED_TOLERANCE)
                reweighted = diffusion.attention_weights(z, edge_index, weight)
                file.assert_close(f"attention_{name}_reweight", reweighted, FIXED_TOLERANCE)
                if f"dzdt_{name}" in file:
                    rate = file.tensor("param_alpha_raw").sigmoid()
                    out = rate * diffusion(z, edge_index)
                    file.assert_close(f"dzdt_{name}", out, FIXED_TOLERANCE)
                    (grad,) = torch.autograd.grad(out.square().sum(), z)
                    file.assert_close(f"gradz_{name}", grad, FIXED_TOLERANCE)
                    ode = DiffusionODE(lambda z, d=diffusion: d.diffusivity(z, edge_index), rate)
                    file.assert_close(f"dzdt_{name}", ode(torch.tensor(0.0), z), FIXED_TOLERANCE)
    file.scalar("cfg_self_loop_weight")  # the file's edges have their self-loops already


def _load_attention(file: GoldenFile, diffusion: AttentionDiffusion) -> None:
    prefix = "layers.0.diffusion."
    state = {
        NAMES[key[6:]].removeprefix(prefix): file.tensor(key)
        for key in file
        if key.startswith("param_") and NAMES[key[6:]].startswith(prefix)
    }
    own = diffusion.state_dict()
    diffusion.load_state_dict({name: value for name, value in state.items() if name in own})


def _check_additive(file: GoldenFile) -> None:
    assert file.scalar("cfg_leaky_relu_slope") == 0.2
    file.scalar("cfg_self_loop_weight")
    edge_index, z, rate = _edges(file), file.tensor("z"), file.tensor("param_alpha_raw").sigmoid()
    for i, axis in enumerate(AXES):
        for mix in (False, True):
            channels, heads = file.scalar("cfg_attention_dim"), file.scalar("cfg_heads")
            diffusion = AttentionDiffusion(z.size(1), channels, heads, "additive", axis, mix=mix).double()
            state = {"lin.weight": file.tensor("param_w").t(), "att": file.tensor("param_a").view(2, -1)}
            diffusion.load_state_dict(state | ({"lin_out.weight": file.tensor("param_wout").t()} if mix else {}))
            weights = diffusion.attention_weights(z, edge_index)
            file.assert_close(f"attention_norm{i}", weights, FIXED_TOLERANCE)
            out = rate * diffusion(z, edge_index)
            file.assert_close(f"dzdt_norm{i}_{'mix' if mix else 'nomix'}", out, FIXED_TOLERANCE)


def _check_solvers(file: GoldenFile) -> None:
    data = _data(file)
    for key in file:
        if not key.startswith("zT_"):
            continue
        method = key[3:]
        scale = 1000.0 if method == "adaptive_heun" else file.scalar("cfg_tol_scale")
        model = _build(file, "linear", solver=method, step_size=file.scalar("fixed_step_size"))
        z0 = model.encode(data)
        model.integrate = ODESolver(method, file.scalar("fixed_step_size"), 1e-7 * scale, 1e-9 * scale)
        file.assert_close("out_z0", z0, FIXED_TOLERANCE)
        tolerance = ADAPTIVE_TOLERANCE if method in ADAPTIVE else FIXED_TOLERANCE
        file.assert_close(key, model.step(0, [z0], data), tolerance)
        if method not in ADAPTIVE:
            assert model.integrate.evaluations == file.scalar(f"nfe_{method}"), f"nfe_{method} differs"
    exact = _build(file, "linear", solver="exact")
    file.assert_close("exact_zT", exact.step(0, [exact.encode(data)], data), FIXED_TOLERANCE)
    _heads(file, "attention", exact.layers[0].diffusion, exact.encode(data), data, exact)


OUR_PENALTIES = {"kinetic_energy": "kinetic", "directional_penalty": "directional", "jacobian_norm2": "jacobian"}


def _check_regularizers(file: GoldenFile) -> None:
    coefficients = {ours: file.scalar(f"coef_{theirs}") for theirs, ours in OUR_PENALTIES.items()}
    model, data = _build(file, "linear", regularizers=coefficients), _data(file)
    model.train()
    logits = model(data)
    file.assert_close("out_logits", logits, FIXED_TOLERANCE)
    for theirs, ours in OUR_PENALTIES.items():
        file.assert_close(f"regstate_{theirs}", model.penalties()[ours], FIXED_TOLERANCE)
    loss = logits.square().sum() + model.auxiliary_loss()
    file.assert_close("total_loss", loss, FIXED_TOLERANCE)
    _check_gradients(file, model, data, loss, FIXED_TOLERANCE)


def _check_hard(file: GoldenFile) -> None:
    data = _data(file)
    model = _build(file, "hard", keep_edges=file.scalar("cfg_att_samp_pct"))
    z0 = model.encode(data)
    matrix = model.ode(z0, data).operator
    values = matrix.pattern.to_edges(matrix.values)
    file.assert_close("eval_attention_mean", _per_edge(file, values, matrix.pattern.edge_index()), FIXED_TOLERANCE)
    file.assert_close("eval_logits", model(data), FIXED_TOLERANCE)
    model.train()
    matrix = model.ode(z0, data).operator
    kept = matrix.pattern.to_edges(matrix.values)
    edge_index = matrix.pattern.edge_index()[:, kept > 0]
    train = _per_edge(file, kept[kept > 0], edge_index, "train_edge_index")
    file.assert_close("train_attention", train, FIXED_TOLERANCE)
    file.assert_close("train_logits", model(data), FIXED_TOLERANCE)


def _check_early_stop(file: GoldenFile) -> None:
    data, y = _data(file), file.tensor("y")
    for method in ("rk4", "dopri5"):
        model = _build(file, "linear", solver=method)
        found = model.early_stop(data, y, file.tensor("val_mask"), file.scalar("cfg_earlystop_multiplier"))
        adaptive = method in ADAPTIVE
        file.assert_close(f"{method}_best_val", torch.tensor(found.val), FIXED_TOLERANCE)
        for part in ("train", "test"):
            mask = file.tensor(f"{part}_mask")
            correct = (found.out.argmax(1) == y)[mask].double().mean()
            file.assert_close(f"{method}_best_{part}", correct, FIXED_TOLERANCE)
        tolerance = 0.05 if adaptive else FIXED_TOLERANCE  # ends of steps that the solver chose
        file.assert_close(f"{method}_best_time", torch.tensor(found.time), tolerance)
        logits = found.last_out
        file.assert_close(f"{method}_logits_at_3T", logits, ADAPTIVE_TOLERANCE if adaptive else FIXED_TOLERANCE)
