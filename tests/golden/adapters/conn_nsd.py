"""Connection Laplacians: invariants of our own bases, everything from the file's bases, the network on top."""

from __future__ import annotations

import torch

from graphkit.nn import sheaf
from graphkit.transforms.connection_maps import alignments, maps_of_transports, tangent_bases
from tests.golden.files import GoldenFile

METHODS = ("ConnectionSheaf",)
ORACLE = "independent computation"

TOLERANCE = 1e-8


def check(file: GoldenFile) -> None:
    x, edge_index, d = file.tensor("x"), file.tensor("edge_index"), int(file.scalar("d"))
    n = x.size(0)

    def laplacian(transport, **options):
        maps = maps_of_transports(transport, edge_index)
        return sheaf.sheaf_laplacian(edge_index, maps, "bundle", size=n, **options)

    bases, used = tangent_bases(x, edge_index, d)
    padded = torch.full_like(file.tensor("neighbours_used"), -1)
    for row, near in zip(padded, used, strict=True):
        row[: near.numel()] = near
    file.assert_close("neighbours_used", padded, 0)
    file.assert_close("projector", bases @ bases.mT, TOLERANCE)
    transport = alignments(bases, edge_index)
    plain = laplacian(transport, augmented=False).to_dense()
    file.assert_close("eig_augmented", torch.linalg.eigvalsh(laplacian(transport).to_dense()), TOLERANCE)
    file.assert_close("eig_plain", torch.linalg.eigvalsh(plain), TOLERANCE)
    column = {pair: e for e, pair in enumerate(zip(*edge_index.tolist(), strict=True))}
    traces = [
        torch.trace(transport[column[i, j]] @ transport[column[j, k]] @ transport[column[k, i]])
        for i, j, k in file.tensor("triangles").tolist()
    ]
    file.assert_close("triangle_holonomy_trace", torch.stack(traces), TOLERANCE)

    transport = alignments(file.tensor("basis"), edge_index)
    file.assert_close("transport", transport, TOLERANCE)
    file.assert_close("laplacian", laplacian(transport, normalize=None).to_dense(), TOLERANCE)
    file.assert_close("laplacian_norm_plain", laplacian(transport, augmented=False).to_dense(), TOLERANCE)
    operator = laplacian(transport)
    file.assert_close("laplacian_norm_augmented", operator.to_dense(), TOLERANCE)
    _check_network(file, operator, d)


def _check_network(file: GoldenFile, operator: sheaf.SheafLaplacian, d: int) -> None:
    channels, num_layers = int(file.scalar("cfg.hidden_channels")), int(file.scalar("cfg.layers"))
    lifted = file.tensor("x") @ file.tensor("param.lin_in.weight").t() + file.tensor("param.lin_in.bias")
    h = torch.nn.functional.elu(lifted).view(-1, d, channels)
    for i in range(num_layers):
        file.assert_close(f"out.state.{i}", h.reshape(-1, channels), TOLERANCE)
        conv = sheaf.SheafConv(d, channels).double()
        with torch.no_grad():
            conv.mix.left.copy_(file.tensor(f"param.left_weight.{i}"))
            conv.mix.right.copy_(file.tensor(f"param.right_weight.{i}"))
            conv.epsilon.copy_(file.tensor(f"param.epsilon.{i}"))
        h = conv(h, h, operator)
    file.assert_close(f"out.state.{num_layers}", h.reshape(-1, channels), TOLERANCE)
    logits = h.flatten(1) @ file.tensor("param.lin_out.weight").t() + file.tensor("param.lin_out.bias")
    file.assert_close("out.logits", logits, TOLERANCE)
