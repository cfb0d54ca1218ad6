"""Generalised norm pooling: values and derivatives for given exponents, and its special cases."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from graphkit.nn.aggr import gnp
from tests.golden.files import GoldenFile

METHODS = ("GNPAggregation",)
ORACLE = "independent computation"

TOLERANCE = 1e-8
LARGE = 400.0  # an exponent of 400 is within log(n) / 400 of the limit
_INFINITE = {"plus_inf": LARGE, "minus_inf": -LARGE}


def check(file: GoldenFile) -> None:
    if "p" in file:
        _check_exponents(file)
    special = [key for key in file if key.startswith("out/")]
    for key in special:
        _check_special(file, key)
    assert special or "p" in file, f"golden file {file.path}: neither p nor special cases"


def _pool(file: GoldenFile, p: Tensor | float, q: Tensor | float) -> Tensor:
    return gnp(file.tensor("x"), p, q, file.tensor("index"), dim_size=int(file.scalar("num_sets")))


def _check_exponents(file: GoldenFile) -> None:
    num_sets = int(file.scalar("num_sets"))
    # one copy of the exponents per set, so that derivatives come out set by set
    p, q = (file.tensor(key).repeat(num_sets, 1).requires_grad_() for key in ("p", "q"))
    x, index = file.tensor("x"), file.tensor("index")
    rows = []
    for number in range(num_sets):
        rows.append(gnp(x[index == number], p[number], q[number], dim_size=1))
    out = torch.cat(rows)
    file.assert_close("out", out, TOLERANCE)
    file.assert_close("out", _pool(file, file.tensor("p"), file.tensor("q")), TOLERANCE)
    d_p, d_q = torch.autograd.grad(out.sum(), (p, q))
    file.assert_close("dout_dp", d_p, TOLERANCE)
    file.assert_close("dout_dq", d_q, TOLERANCE)


def _check_special(file: GoldenFile, key: str) -> None:
    found = re.fullmatch(r"out/(\w+?)_p_?(plus_inf|minus_inf|-?[\d.]+)_q(-?[\d.]+)", key)
    assert found, f"golden file {file.path}: cannot read the exponents in {key!r}"
    name, power, q = found.groups()
    p = _INFINITE[power] if power in _INFINITE else float(power)
    if name == "cardinality_on_ones":
        ones = torch.ones(file["x"].shape[0], 1, dtype=torch.float64)
        out = gnp(ones, p, float(q), file.tensor("index"), dim_size=int(file.scalar("num_sets")))[:, 0]
    else:
        out = _pool(file, p, float(q))
    file.assert_close(key, out, 2e-2 if power in _INFINITE else TOLERANCE)
