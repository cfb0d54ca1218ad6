"""shaDow: personalised PageRank and its sets, k-hop sets, subgraphs with hops, and official networks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit import samplers
from graphkit.algorithms import SubgraphSource
from graphkit.algorithms.kernels import neighborhoods as kernels
from graphkit.models import ShaDowGNN
from tests.golden.adapters.graphsaint import _edges
from tests.golden.files import GoldenFile

METHODS = ("ShaDowGNN", "ShaDowKHop", "ShaDowPPR")
ORACLE = "authors' code"

EXACT, FLOAT32, TOLERANCE = 1e-9, 5e-5, 1e-6
UNREACHABLE = 4294967295


def check(file: GoldenFile) -> None:
    edge_index, n = _edges(file["indptr"], file["indices"]), file["indptr"].size - 1
    if "ppr_exact_lazy" in file:
        _check_pagerank(file, edge_index, n)
        return
    sampler = samplers.ShaDowKHop(int(file.scalar("depth")), budget=-1, add_self_loops=True)
    data = Data(edge_index=edge_index, num_nodes=n)
    if "x_full" in file:
        data.x = file.tensor("x_full")
    targets = file.tensor("targets")
    (batch,) = sampler.batches(data, targets, batch_size=targets.numel())
    _check_subgraphs(file, batch)
    if "x_full" in file:
        _check_network(file, batch)


def _check_subgraphs(file: GoldenFile, batch: Data) -> None:
    file.assert_close("subgraph_orig_node", batch.n_id, 0)
    file.assert_close("subgraph_num_subgraph_nodes", batch.ptr.diff(), 0)
    file.assert_close("subgraph_edge_source", batch.edge_index[0], 0)
    file.assert_close("subgraph_edge_target", batch.edge_index[1], 0)
    file.assert_close("subgraph_root_position", batch.root_index, 0)
    file.assert_close("subgraph_hop", torch.where(batch.hop < 0, UNREACHABLE, batch.hop), 0)


def _check_pagerank(file: GoldenFile, edge_index: Tensor, n: int) -> None:
    source, roots = SubgraphSource(edge_index, n), torch.arange(n)
    a, eps = 1 - float(file.scalar("alpha_walk")), float(file.scalar("epsilon"))
    k, threshold = int(file.scalar("k")), float(file.scalar("threshold"))
    file.assert_close("equivalent_standard_teleport", np.array(2 * a / (1 + a)), EXACT)
    file.assert_close("ppr_exact_lazy", _exact(source, a), EXACT)
    exact, bound = file["ppr_exact_lazy"], eps * source.degree
    own = source.pagerank(roots, a, eps).numpy()
    assert (exact - own >= -1e-12).all()
    assert (exact - own <= bound + 1e-12).all()
    official = np.nan_to_num(file["ppr_official_push_float32"])
    assert (exact - official >= -FLOAT32).all()
    assert (exact - official <= bound + FLOAT32).all()

    stored = np.split(file["subgraph_orig_node"], np.cumsum(file["subgraph_num_subgraph_nodes"])[:-1])
    for root in range(n):  # the rule, on the stored scores
        reached = np.flatnonzero(~np.isnan(file["ppr_official_push_float32"][root])).astype(np.int32)
        values = official[root][reached]
        chosen = kernels.select(reached[values > 0], values[values > 0], root, k, threshold)
        assert chosen.tolist() == stored[root].tolist(), f"{file.path}: root {root}"
    _check_own_sets(file, source, stored, own)

    nodes, sizes = np.concatenate(stored).astype(np.int32), file["subgraph_num_subgraph_nodes"]
    found = source.neighborhoods(roots, nodes, sizes, add_self_loops=True)
    ptr = torch.cat([torch.zeros(1, dtype=torch.long), found.sizes.cumsum(0)])
    batch = Data(edge_index=found.edge_index, n_id=found.nodes, root_index=found.roots, hop=found.hop, ptr=ptr)
    _check_subgraphs(file, batch)


def _check_own_sets(file: GoldenFile, source: SubgraphSource, stored: list[np.ndarray], own: np.ndarray) -> None:
    """Our sets may differ from the stored ones only where scores are as close as the bound allows."""
    a, eps = 1 - float(file.scalar("alpha_walk")), float(file.scalar("epsilon"))
    k, threshold = int(file.scalar("k")), float(file.scalar("threshold"))
    nodes, sizes = source.pagerank_sets(torch.arange(len(stored)), k, threshold, a, eps)
    for root, chosen in enumerate(np.split(nodes, np.cumsum(sizes)[:-1])):
        assert root in chosen
        if eps <= 1e-6:
            assert chosen.size == stored[root].size, f"{file.path}: root {root}"
        exact = file["ppr_exact_lazy"][root]
        slack = eps * source.degree.max() + 1e-12
        omitted = np.setdiff1d(np.flatnonzero(own[root]), chosen)
        if omitted.size and chosen.size == k:
            assert exact[omitted].max() <= exact[np.setdiff1d(chosen, root)].min() + slack, f"{file.path}: root {root}"


def _exact(source: SubgraphSource, a: float) -> np.ndarray:
    """The lazy walk's PageRank by a dense inverse."""
    n, adjacency = source.num_nodes, source.adjacency().toarray()
    walk = adjacency / np.maximum(source.degree, 1)[:, None]
    return a * np.linalg.inv(np.eye(n) - (1 - a) * (np.eye(n) + walk) / 2)


def _check_network(file: GoldenFile, batch: Data) -> None:
    file.assert_close("x_sub", batch.x, 0)
    text = {key: bytes(file[key].tolist()).decode() for key in ("act", "pooling", "residue")}
    conv = "gat" if "conv0.attention" in file else "sage" if "conv0.f_lin_self.weight" in file else "gcn"
    layers = int(file.scalar("num_layers"))
    model = ShaDowGNN(
        batch.x.size(1),
        file["layer0_out"].shape[1],
        layers,
        file["logits"].shape[1],
        conv,
        int(file.scalar("heads")),
        norm_outputs="classifier.scale" in file,
        **text | {"act": None if text["act"] in ("I", "identity") else text["act"]},
    ).double()
    _load(file, model, conv)
    model.eval()
    batch.x = batch.x.clone().requires_grad_()
    history = [model.encode(batch)]
    for i in range(layers):
        file.assert_close(f"layer{i}_out", model.layers[i](history[-1], batch.edge_index), TOLERANCE)
        history.append(model.step(i, history, batch))
    embedding, logits = [], model(batch)
    model.head.register_forward_pre_hook(lambda _, arguments: embedding.append(arguments[0]))
    model.decode(history[-1], batch)
    file.assert_close("embedding", embedding[0], TOLERANCE)
    file.assert_close("logits", logits, TOLERANCE)
    logits.square().sum().backward()
    file.assert_close("grad_x_sub", batch.x.grad, TOLERANCE)


_LINEAR = {"sage": ("f_lin_self", "f_lin_neigh"), "gcn": ("f_lin",), "gat": ("f_lin.0", "f_lin.1")}


@torch.no_grad()
def _load(file: GoldenFile, model: ShaDowGNN, conv: str) -> None:
    parts: list[tuple[nn.Module, str, tuple[str, ...]]] = [
        (layer, f"conv{i}.", _LINEAR[conv]) for i, layer in enumerate(model.layers)
    ]
    if "classifier.scale" in file:
        parts.append((model.head, "classifier.", ("f_lin",)))
    else:
        model.head.weight.copy_(file.tensor("classifier.f_lin.weight"))
        model.head.bias.copy_(file.tensor("classifier.f_lin.bias"))
    if model.join is not None:
        parts.append((model.join, "pool.", ("nn.1",)))
    for module, prefix, names in parts:
        for lin, name in zip(module.lins, names, strict=True):
            lin.weight.copy_(file.tensor(f"{prefix}{name}.weight"))
            lin.bias.copy_(file.tensor(f"{prefix}{name}.bias"))
        scale, offset = file.tensor(prefix + "scale"), file.tensor(prefix + "offset")
        if conv == "gat" and prefix.startswith("conv"):
            module.attention.copy_(file.tensor(prefix + "attention"))
        module.scale.copy_(scale.view_as(module.scale))
        module.offset.copy_(offset.view_as(module.offset))
