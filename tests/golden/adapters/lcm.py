"""The binary operator of LCM, and its trees over sets and over the messages of a graph."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.nn import SimpleConv

from graphkit.nn.aggr import LCMAggregation
from tests.golden.files import GoldenFile

METHODS = ("LCMAggregation",)
ORACLE = "independent computation"

TOLERANCE = 1e-9
_PARAMETERS = {"gru": "f", "lin": "lin"}


def check(file: GoldenFile) -> None:
    if "a" in file:
        _check_operator(file)
    elif "edge_index" in file:
        _check_graph(file)
    else:
        _check_sets(file)


def _aggregation(file: GoldenFile) -> LCMAggregation:
    width = file["param/gru.weight_hh"].shape[1]
    project = bool(file.scalar("cfg/project")) if "cfg/project" in file else False
    in_channels = file["param/lin.weight"].shape[1] if project else width
    aggregation = LCMAggregation(in_channels, width, project=project, order="given").double()
    state = {"identity": file.tensor("identity") if "identity" in file else torch.zeros(width, dtype=torch.float64)}
    for key in (key for key in file if key.startswith("param/")):
        module, _, name = key.removeprefix("param/").partition(".")
        assert module in _PARAMETERS, f"golden file {file.path}: unknown parameter {key!r}"
        state[f"{_PARAMETERS[module]}.{name}"] = file.tensor(key)
    aggregation.load_state_dict(state)
    return aggregation


def _check_operator(file: GoldenFile) -> None:
    aggregation = _aggregation(file)
    f, combine = aggregation.f, aggregation.combine
    a, b, c = (file.tensor(key) for key in "abc")
    zero = torch.zeros_like(a)
    expected = {
        "gru_a_b": f(a, b),
        "gru_b_a": f(b, a),
        "op_a_b": combine(a, b),
        "op_ab_c": combine(combine(a, b), c),
        "op_a_bc": combine(a, combine(b, c)),
        "op_a_zero": combine(a, zero),
        "op_zero_zero": combine(zero[:1], zero[:1])[0],
        "associativity_loss": aggregation.associativity_loss(a, b, c),
    }
    for name, value in expected.items():
        if f"out/{name}" in file:
            file.assert_close(f"out/{name}", value, TOLERANCE)
    assert aggregation.commutativity_loss(a, b).item() < 1e-28  # rounding differs where a vector's last lanes begin


def _check_sets(file: GoldenFile) -> None:
    aggregation = _aggregation(file)
    x, index = file.tensor("x").requires_grad_(), file.tensor("index")
    sizes = file.tensor("set_sizes")
    assert torch.equal(torch.bincount(index, minlength=sizes.numel()), sizes), (
        f"{file.path}: index and set_sizes differ"
    )
    if "out/projected" in file:
        file.assert_close("out/projected", x if aggregation.lin is None else aggregation.lin(x).relu(), TOLERANCE)
    ptr = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    file.assert_close("out/tree", aggregation(x, ptr=ptr), TOLERANCE)
    out = aggregation(x, index, dim_size=sizes.numel())
    file.assert_close("out/tree", out, TOLERANCE)
    if "out/pyg_zero_padded" in file:
        _check_padding(file, out, sizes)
    out[sizes > 0].square().sum().backward()
    gradients = {"x": x.grad, "identity": aggregation.identity.grad}
    gradients |= {f"gru.{name}": p.grad for name, p in aggregation.f.named_parameters()}
    if aggregation.lin is not None:
        gradients |= {f"lin.{name}": p.grad for name, p in aggregation.lin.named_parameters()}
    for key in (key for key in file if key.startswith("grad/")):
        file.assert_close(key, gradients[key.removeprefix("grad/")], TOLERANCE)


def _check_padding(file: GoldenFile, out: Tensor, sizes: Tensor) -> None:
    """PyG's padding changes every set but the longest."""
    error = (out.detach() - file.tensor("out/pyg_zero_padded")).abs().amax(1)
    assert float(error[sizes == sizes.max()].max()) < TOLERANCE, f"{file.path}: the longest set needs no padding"


def _check_graph(file: GoldenFile) -> None:
    x, edge_index = file.tensor("x"), file.tensor("edge_index")
    aggregation = _aggregation(file)
    file.assert_close("out/tree", SimpleConv(aggr=aggregation)(x, edge_index), TOLERANCE)
    assert x.size(0) == (file.scalar("num_nodes") if "num_nodes" in file else x.size(0))
