"""Equivariant polynomials: the twelve channels, the basis up to some degree, PPGN++ with gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.algorithms import PPGN_CHANNELS, Multigraph, connected_multigraphs, equivariant_polynomials
from graphkit.models import PPGNpp
from graphkit.nn.ppgn import Pairs
from graphkit.transforms.features import PPGNPolynomials
from tests.golden.files import GoldenFile

METHODS = ("EquivariantPolynomials", "PPGNPolynomials", "PPGNpp")
ORACLE = "authors' code"

FEATURES, NETWORK = 1e-9, 1e-6


def check(file: GoldenFile) -> None:
    kinds: dict[str, Callable[[GoldenFile], None]] = {
        "channel_edges": _check_table,
        "official_features": _check_channels,
        "rook_adj": _check_statistics,
        "node_poly": _check_basis,
        "x": _check_network,
    }
    found = [kind for key, kind in kinds.items() if key in file]
    assert found, f"golden file {file.path} has none of {', '.join(kinds)}"
    for kind in found:
        kind(file)


def _check_table(file: GoldenFile) -> None:
    for channel, h in enumerate(PPGN_CHANNELS):
        stored = _multigraph(file["channel_edges"][channel], file["channel_pinned_in_label_order"][channel])
        assert stored == h, f"{file.path}: channel {channel} is {stored}, ours {h}"
    file.assert_close("channel_degree", np.array([h.degree for h in PPGN_CHANNELS]), 0)
    file.assert_close("channel_num_nodes", np.array([len(h.nodes) for h in PPGN_CHANNELS]), 0)


def _multigraph(edges: np.ndarray, pins: np.ndarray) -> Multigraph:
    return Multigraph(tuple((u, v) for u, v in edges.tolist() if u >= 0), tuple(p for p in pins.tolist() if p >= 0))


def _channels(adjacency: np.ndarray, **options: object) -> np.ndarray:
    """The transform's channels as dense matrices."""
    n = len(adjacency)
    row, column = adjacency.nonzero()
    data = Data(edge_index=torch.from_numpy(np.stack([row, column])), num_nodes=n)
    data.edge_weight = torch.from_numpy(adjacency[row, column])
    data.x = torch.zeros(n, 1, dtype=torch.float64)
    data = PPGNPolynomials(**options)(data)  # type: ignore[arg-type]
    dense = torch.zeros(n, n, data.polynomial_attr.size(1), dtype=torch.float64)
    dense[tuple(data.polynomial_index)] = data.polynomial_attr
    return dense.permute(2, 0, 1).numpy()


def _check_channels(file: GoldenFile) -> None:
    adjacency = file["adj"]
    file.assert_close("official_features", _channels(adjacency, normalize=None, official_duplicates=True), FEATURES)
    if "intended_features" in file:
        file.assert_close("intended_features", _channels(adjacency, normalize=None), FEATURES)
    if "official_normalised_12" in file:
        file.assert_close("official_normalised_12", _channels(adjacency, official_duplicates=True), FEATURES)
    if "official_normalised_9_no_k4" in file:
        kept = _channels(adjacency, official_duplicates=True, channels=file["kept_channels_9"].tolist())
        file.assert_close("official_normalised_9_no_k4", kept, FEATURES)


def _check_statistics(file: GoldenFile) -> None:
    for name in ("rook", "shrikhande"):
        f = _channels(file[f"{name}_adj"], normalize=None, official_duplicates=True)
        statistics = np.stack([f.sum((1, 2)), (f**2).sum((1, 2)), f.max((1, 2))], axis=1)
        file.assert_close(f"{name}_stats", statistics, FEATURES)


def _check_basis(file: GoldenFile) -> None:
    for pins, name in enumerate(("graph_poly", "node_poly", "edge_poly")):
        edges = file[f"{name}_edges"]
        pinned = file[f"{name}_pinned"].reshape(len(edges), -1) if pins else np.empty((len(edges), 0))
        stored = [_multigraph(e, p.astype(int)) for e, p in zip(edges, pinned)]
        values = equivariant_polynomials(file["adj"], stored)
        dense = np.stack([value.toarray() if pins == 2 else np.asarray(value) for value in values])
        file.assert_close(name, dense, FEATURES)
        file.assert_close(f"{name}_num_nodes", np.array([len(h.nodes) for h in stored]), 0)
        missing = {h.canonical() for h in stored} - set(connected_multigraphs(max(h.degree for h in stored), pins))
        assert not missing, f"{file.path}: the basis of {name} lacks {missing}"


def _check_network(file: GoldenFile) -> None:
    x, mask = file.tensor("x"), file.tensor("mask")[:, 0] > 0
    depth, hidden, suffix, out = file["cfg_depth_hidden_suffix_out"].tolist()
    model = PPGNpp(x.size(1) - 1, hidden, depth, out, head_channels=suffix, readout="mean").double()
    names = {name: f"param_{_named(name, *OFFICIAL).replace('.', '__')}" for name in model.state_dict()}
    model.load_state_dict({name: file.tensor(key).squeeze(3).squeeze(2) if file[key].ndim == 4 else file.tensor(key)
                           for name, key in names.items()})  # fmt: skip
    sizes = file.tensor("num_nodes").view(-1).long()
    ptr = torch.nn.functional.pad(sizes.cumsum(0), (1, 0))
    assert torch.equal(mask, _rectangles(sizes, x.size(2))), f"{file.path}: the mask is not that of num_nodes"
    data = Data(ptr=ptr, x=x)
    rows = x.permute(0, 2, 3, 1)[mask].requires_grad_()
    assert Pairs(ptr).row.numel() == rows.size(0)

    def padded(values: Tensor) -> Tensor:
        dense = values.new_zeros(*mask.shape, values.size(1))
        dense[mask] = values
        return dense.permute(0, 3, 1, 2)

    history: list[Tensor] = [rows]
    for i in range(depth):
        history.append(model.step(i, history, data))
        if f"block{i}_out" in file:
            file.assert_close(f"block{i}_out", padded(history[-1]), NETWORK)
    output = model.decode(history[-1], data)
    file.assert_close("output", output.squeeze() if file["output"].ndim < 2 else output, NETWORK)
    output.square().sum().backward()
    file.assert_close("grad_x", padded(rows.grad), NETWORK)
    gradients = {f"grad_{_named(name, *SHORT)}": p.grad for name, p in model.named_parameters()}
    for key in file:
        if key.startswith("grad_block"):
            file.assert_close(key, gradients[key].view(file[key].shape), NETWORK)


def _rectangles(sizes: Tensor, n: int) -> Tensor:
    inside = torch.arange(n) < sizes.unsqueeze(1)
    return inside.unsqueeze(2) & inside.unsqueeze(1)


OFFICIAL = ("fc_layers.{}.fc.{}", "reg_blocks.{}.skip.conv.{}", "reg_blocks.{}.{}.convs.{}.{}")
SHORT = ("fc{}_{}", "block{}_skip_{}", "block{}_{}_conv{}_{}")


def _named(name: str, head: str, skip: str, block: str) -> str:
    """A parameter's name in the official code, or the end of the key of its gradient."""
    part, number, *rest = name.split(".")
    if part == "head":
        return head.format(int(number) // 2, *rest)
    if rest[0] == "skip":
        return skip.format(number, rest[1])
    return block.format(number, rest[0], int(rest[1]) // 2, rest[2])
