"""Dense graph propagation: groups, matrices, outputs and the gradient."""

from __future__ import annotations

import torch
from torch_geometric.data import Data

from graphkit import models, nn
from graphkit.transforms import AncestorGroups
from tests.golden.files import GoldenFile

METHODS = ("DGP",)
ORACLE = "authors' code"

TOLERANCE = 1e-6


def check(file: GoldenFile) -> None:
    x, groups = file.tensor("x").requires_grad_(), int(file.scalar("num_groups"))
    data = AncestorGroups(groups)(Data(x=x, edge_index=file.tensor("hierarchy_edge").T.contiguous()))
    for k in range(groups):
        ours = {tuple(pair) for pair in data.ancestor_index[:, data.ancestor_group == k].T.tolist()}
        assert ours == {tuple(pair) for pair in file[f"group{k}_pairs"].tolist()}, f"{file.path}: group{k}_pairs"
        for key, of in (("first", "ancestors"), ("second", "descendants")):
            file.assert_close(f"{key}_layer_matrix{k}", _matrix(data, groups, k, of), TOLERANCE)

    first, last = file.tensor("param.conv1.w"), file.tensor("param.conv-last.w")
    model = models.DGP(x.size(1), first.size(1), last.size(1), num_groups=groups).double().eval()
    shares = ("att_ancestor", "att_descendant")
    with torch.no_grad():
        for layer, name, share in zip(model.layers, ("conv1", "conv-last"), shares, strict=True):
            layer.lin.weight.copy_(file.tensor(f"param.{name}.w").T)
            layer.lin.bias.copy_(file.tensor(f"param.{name}.b"))
            layer.score.copy_(file.tensor(share))
    for name, share in (("a_att", shares[0]), ("r_att", shares[1])):
        file.assert_close(f"param.{name}", file.tensor(share), TOLERANCE)
    out = model(data)
    file.assert_close("out", out, TOLERANCE)
    (torch.arange(1, out.size(1) + 1) * out**2).sum().backward()
    file.assert_close("grad_x", x.grad, TOLERANCE)


def _matrix(data: Data, groups: int, k: int, of: str) -> torch.Tensor:
    """What one group does to the unit vectors, where all the share is its own."""
    n = data.num_nodes
    layer = nn.DensePropagation(n, n, groups, of).double()
    with torch.no_grad():
        layer.lin.weight.copy_(torch.eye(n))
        layer.score.fill_(-1e4)[k] = 0
    return layer(torch.eye(n, dtype=torch.double), data.ancestor_index, data.ancestor_group)
