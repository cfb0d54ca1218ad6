"""Given sheaves: Laplacian, its normalisation, diffusion, layers, polynomials, a heat step."""

from __future__ import annotations

import torch

from graphkit.nn import sheaf
from tests.golden.files import GoldenFile

METHODS = ("SheafNetwork",)
ORACLE = "independent computation"

TOLERANCE = 1e-9


def check(file: GoldenFile) -> None:
    cases = sorted({key.split(".")[0] for key in file})
    assert cases, f"golden file {file.path}: no cases"
    for case in cases:
        _check_case(file, case)


def _check_case(file: GoldenFile, case: str) -> None:
    pairs, n = file.tensor(f"{case}.edges").t(), int(file.scalar(f"{case}.num_nodes"))
    edge_index = torch.cat([pairs, pairs.flip(0)], dim=1)
    maps = torch.cat([file.tensor(f"{case}.F_source"), file.tensor(f"{case}.F_target")])
    k = maps.size(2)
    if f"{case}.edge_sign_weight" in file:
        weight = file.tensor(f"{case}.edge_sign_weight")
        signed = sheaf.signed_maps(torch.cat([weight, weight]), edge_index)
        plain = sheaf.sheaf_laplacian(edge_index, signed, "diag", normalize=None, size=n)
        file.assert_close(f"{case}.laplacian", plain.to_dense(), TOLERANCE)
    plain = sheaf.sheaf_laplacian(edge_index, maps, normalize=None, size=n)
    file.assert_close(f"{case}.laplacian", plain.to_dense(), TOLERANCE)
    delta = file.tensor(f"{case}.coboundary")
    file.assert_close(f"{case}.laplacian", delta.t() @ delta, TOLERANCE)
    eigenvalues = torch.linalg.eigvalsh(plain.to_dense())
    file.assert_close(f"{case}.harmonic_dim", (eigenvalues < 1e-9).sum(), 0)
    normalised = sheaf.sheaf_laplacian(edge_index, maps, augmented=False, size=n)
    file.assert_close(f"{case}.laplacian_norm", normalised.to_dense(), TOLERANCE)
    file.assert_close(f"{case}.diffusion", torch.eye(n * k) - normalised.to_dense(), TOLERANCE)

    flat = file.tensor(f"{case}.x")
    x = flat.view(n, k, -1)
    file.assert_close(f"{case}.energy_x", plain.energy(x), TOLERANCE)
    file.assert_close(f"{case}.alpha", 1 / eigenvalues[-1], TOLERANCE)
    heat = x - float(file.scalar(f"{case}.alpha")) * (plain @ x)
    file.assert_close(f"{case}.out.heat_step_x", heat.view(flat.shape), TOLERANCE)
    polynomial = sheaf.diffuse_polynomial(normalised, file.tensor(f"{case}.poly_coeffs"), x)
    file.assert_close(f"{case}.out.poly_x", polynomial.view(flat.shape), TOLERANCE)
    last = sum(key.startswith(f"{case}.A.") for key in file) - 1
    for i in range(last + 1):
        a, b = file.tensor(f"{case}.A.{i}"), file.tensor(f"{case}.B.{i}")
        conv = sheaf.GivenSheafConv(k, *a.shape).double()
        with torch.no_grad():
            conv.left.copy_(b)
            conv.right.copy_(a.t())
        x = conv(x, normalised)
        x = x.relu() if i < last else x
        file.assert_close(f"{case}.out.layer.{i}", x.flatten(0, 1), TOLERANCE)
