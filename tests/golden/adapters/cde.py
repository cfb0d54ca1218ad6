"""CDE: the equation, states, outputs and gradients of whole models; the steps of its distributed-order variant."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit import models
from tests.golden.files import GoldenFile

METHODS = ("CDE", "DistributedOrderCDE")
ORACLE = "authors' code"

TOLERANCE = 1e-9
DIFFUSION = {"gatconv": "attention", "belconv": "beltrami"}
# Their names of the weights -> ours, and whether theirs is multiplied from the right.
NAMES = {
    "alpha_train": "rate",
    "beta_train": "strength",
    "lamda1": "share",
    "weight_mlp": "lin_velocity.weight",
    "output_low": "lin_low.weight",
    "output_high": "lin_high.weight",
    "multihead_att_layer.W": "attention.lin.weight",
    "multihead_att_layer.a": "attention.att",
    "lin2.weight": "lin_out.weight",
    "lin2.bias": "lin_out.bias",
    **{f"bn_in_{i + 1}.{kind}": f"norms.{i}.{kind}" for i in range(2) for kind in ("weight", "bias")},
    **{
        f"bn_in_{i + 1}.{kind}": f"norms.{i}.{kind}"
        for i in range(2)
        for kind in ("running_mean", "running_var", "num_batches_tracked")
    },
}
ENCODER = {"m1": "lin_in", "m11": "mlp_in.0", "m12": "mlp_in.1", "m2": "lin_out"}
FROM_THE_RIGHT = ("weight_mlp", "output_low", "output_high", "multihead_att_layer.W")


def check(file: GoldenFile) -> None:
    model = _model(file)
    state = model.state_dict()
    for key in file:
        kind, _, theirs = key.partition(".")
        ours = _name(theirs)
        if kind in ("param", "buffer") and ours in state:
            state[ours].copy_(_shaped(file.tensor(key), theirs, state[ours]))
    if "alpha" in file:
        with torch.no_grad():
            model.weights.copy_(torch.cat([file.tensor(f"param.coefficient.{j}") for j in range(len(model.orders))]))
    model.eval()
    data = Data(x=file.tensor("x").requires_grad_(), edge_index=file.tensor("edge_index").flip(0))
    loss = _run(file, model, data)
    file.assert_close("out.loss_sumsq", loss, TOLERANCE)
    loss.backward()
    _check_gradients(file, model, data)


def _model(file: GoldenFile) -> models.CDE:
    assert file.scalar("cfg.data_norm") in ("rw", "gcn"), "it changes weights of edges, which nothing reads"
    assert file.scalar("cfg.self_loop_weight") in (0, 1)
    width = int(file.scalar("cfg.hidden_dim"))
    arguments = {
        "time": float(file.scalar("cfg.time")),
        "diffusion": DIFFUSION[str(file.scalar("cfg.function"))],
        "attention_channels": int(file.scalar("cfg.attention_dim")),
        "heads": int(file.scalar("cfg.heads")),
        "self_loops": bool(file.scalar("cfg.self_loop_weight")),
        "source": bool(file.scalar("cfg.add_source")),
        "step_size": float(file.scalar("cfg.step_size")),
    }
    if "alpha" in file:
        assert file.scalar("cfg.method") == "GLorder"
        orders = tuple(file["alpha"].tolist())
        return models.DistributedOrderCDE(width, width, orders=orders, official_steps=True, **arguments).double()
    outputs, mlp = file["param.m2.weight"].shape[0], "param.m11.weight" in file
    arguments |= {"mlp": mlp, "solver": str(file.scalar("cfg.method"))}
    return models.CDE(file["x"].shape[1], width, out_channels=outputs, **arguments).double()


def _name(theirs: str) -> str:
    """Our name of a weight or buffer; one that the model lacks where nothing reads it."""
    for prefix in ("odeblock.odefunc.", "f."):
        if theirs.startswith(prefix):
            return "layers.0." + NAMES.get(theirs.removeprefix(prefix), "unused")
    part, _, kind = theirs.partition(".")
    return f"{ENCODER.get(part, 'unused')}.{kind}"


def _shaped(value: Tensor, theirs: str, like: Tensor) -> Tensor:
    return (value.t() if theirs.endswith(FROM_THE_RIGHT) else value).reshape(like.shape)


def _run(file: GoldenFile, model: models.CDE, data: Data) -> Tensor:
    if "alpha" in file:
        z = model.step(0, [data.x], data)
        file.assert_close("out.final_state", z, TOLERANCE)
        steps = -(-model.time // model.step_size) - 1
        assert file.scalar("out.num_steps") == steps
        return z.square().sum()
    z0 = model.encode(data)
    file.assert_close("out.initial_state", z0, TOLERANCE)
    file.assert_close("out.rhs_at_initial_state", model.layers[0](z0, data.edge_index), TOLERANCE)
    z = model.step(0, [z0], data)
    file.assert_close("out.final_state", z, TOLERANCE)
    out = model.decode(z, data)
    file.assert_close("out.logits", out, TOLERANCE)
    return out.square().sum()


def _check_gradients(file: GoldenFile, model: models.CDE, data: Data) -> None:
    parameters = dict(model.named_parameters())
    file.assert_close("grad.x", data.x.grad, TOLERANCE)
    for key in file:
        theirs = key.removeprefix("grad.")
        if theirs in (key, "x"):
            continue
        if theirs.startswith("coefficient."):
            grad = model.weights.grad[int(theirs.removeprefix("coefficient."))]
        elif _name(theirs) in parameters:
            grad = parameters[_name(theirs)].grad
            grad = grad.t() if theirs.endswith(FROM_THE_RIGHT) else grad
        else:
            grad = torch.zeros_like(file.tensor(key))
            file.tensor("param." + theirs)
        file.assert_close(key, grad.reshape(file[key].shape), TOLERANCE)
    for key in file:
        if key.startswith("buffer."):
            file.tensor(key)  # of norms that this equation has, or of ones that nothing reads
