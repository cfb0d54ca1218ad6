"""PathNN: paths of all three kinds, whole models with gradients, distances between embeddings."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphkit.algorithms import PathSet, enumerate_paths
from graphkit.models import PathNN
from graphkit.nn.path_lstm import read_paths
from graphkit.ops import sparsity_pattern
from tests.golden.files import GoldenFile

METHODS = ("PathNN",)
ORACLE = "authors' code"

TOLERANCE = 1e-9
KINDS = {"sp": "shortest", "sp_plus": "all_shortest", "ap": "simple"}


def check(file: GoldenFile) -> None:
    if "num_nodes" in file:
        for variant in KINDS:
            if f"paths/{variant}/len1" in file:
                _check_paths(
                    file, variant, f"paths/{variant}/len", f"dist/{variant}/len", int(file.scalar("num_nodes"))
                )
        return
    data = _batch(file)
    paths = _check_paths(file, str(file.scalar("cfg/variant")), "paths/len", "dist/len", data.num_nodes)
    for k, found in enumerate(paths, 1):
        if f"num_paths/len{k}" in file:
            assert found.nodes.size(1) == file.scalar(f"num_paths/len{k}"), f"{file.path}: num_paths/len{k} differs"
        if f"edge_ids/len{k}" in file:
            _check_edges(file, k, found, data)
    model = _model(file, data)
    data = model.required_transform()(data)
    if "out/graph_embedding" in file:
        _check_separation(file, model, data)
    else:
        _check_model(file, model, data)


def _order(rows: Tensor) -> Tensor:
    """Lexicographic order."""
    order = torch.arange(rows.size(0))
    for column in rows.t().flip(0):
        order = order[column[order].argsort(stable=True)]
    return order


def _check_paths(file: GoldenFile, variant: str, key: str, distance_key: str, num_nodes: int) -> list[PathSet]:
    paths = enumerate_paths(file.tensor("edge_index"), num_nodes, int(file.scalar("K")), KINDS[variant])
    for k, found in enumerate(paths, 1):
        rows = found.nodes.t()
        order = _order(rows)
        if f"{key}{k}" in file:
            file.assert_close(f"{key}{k}", rows[order], 0)
        if f"{distance_key}{k}" in file:
            file.assert_close(f"{distance_key}{k}", found.distances[order], 0)
    return paths


def _check_edges(file: GoldenFile, k: int, found: PathSet, data: Data) -> None:
    steps = read_paths(found.nodes, None, sparsity_pattern(data.edge_index, data.num_nodes), merge=False)
    edges = torch.stack([step.edge for step in steps[1:]], dim=1)
    file.assert_close(f"edge_ids/len{k}", edges[_order(found.nodes.t())], 0)


def _batch(file: GoldenFile) -> Batch:
    sizes = torch.bincount(file.tensor("batch"), minlength=int(file.scalar("num_graphs")))
    x = file.tensor("x_type") if "x_type" in file else file.tensor("x").double().requires_grad_()
    data = Batch(x=x, edge_index=file.tensor("edge_index"), batch=file.tensor("batch"))
    data.ptr = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    data._num_graphs = sizes.numel()
    if "edge_type" in file:
        data.edge_attr = file.tensor("edge_type")
    return data


def _option(file: GoldenFile, key: str, default: object) -> object:
    return file.scalar(key) if key in file else default


def _model(file: GoldenFile, data: Data) -> PathNN:
    kind = KINDS[str(file.scalar("cfg/variant"))]
    h, edge, separate = int(file.scalar("cfg/hidden_dim")), "x_type" in file, "cfg/l2_norm" in file
    distances = "param/distance_encoder.weight" in file
    assert bool(_option(file, "cfg/encode_distances", distances)) == distances
    model = PathNN(
        1 if edge else data.x.size(1),
        h,
        num_layers=int(file.scalar("K")),
        out_channels=file["param/linear2.weight"].shape[0] if "param/linear2.weight" in file else None,
        paths=kind,
        encode_distances=distances,
        node_types=[file["param/feature_encoder.weight"].shape[0]] if edge else None,
        edge_types=[file["param/bond_encoder.weight"].shape[0]] if edge else None,
        aggr=str(_option(file, "cfg/path_aggregation", "sum")),
        residual=bool(_option(file, "cfg/residual", True)),
        l2_norm=bool(_option(file, "cfg/l2_norm", False)),
        norm=None if separate else "batch_norm",
        mlp=edge,
        head_layers=0 if separate else 2,
        readout=str(_option(file, "cfg/readout", "sum")),
    ).double()
    state = model.state_dict()
    named = {name: key for key in file if key.startswith("param/") for name in _names(key[6:], model, edge)}
    missing = [name for name in state if name not in named and not name.endswith("num_batches_tracked")]
    assert not missing, f"golden file {file.path} has no weights for {missing}"
    unexpected = [name for name in named if name not in state]
    assert not unexpected, f"golden file {file.path} has weights that this model lacks: {unexpected}"
    model.load_state_dict({name: file.tensor(key) for name, key in named.items()}, strict=False)
    return model.eval()


def _names(name: str, model: PathNN, edge: bool) -> list[str]:
    """Our names of an official parameter: the convolution is the same module in every layer."""
    first, _, rest = name.partition(".")
    if first in ("lstm", "distance_encoder"):
        return [f"layers.{i}.conv.{name}" for i in range(model.num_layers)]
    if first == "convs":
        layer, part, *inner = rest.split(".")
        if part == "bn":
            return [f"layers.{layer}.norm.{inner[0]}"]
        return [f"layers.{layer}.mlp.{int(inner[0]) + 1}.{inner[1]}"]  # ours begins with its dropout
    if first == "feature_encoder":
        return [f"node_encoder.embeddings.0.{rest}" if edge else f"node_encoder.{rest}"]
    renamed = {"bond_encoder": "edge_encoder.embeddings.0", "linear1": "head.0", "linear2": "head.3"}
    return [f"{renamed[first]}.{rest}"]


def _check_model(file: GoldenFile, model: PathNN, data: Data) -> None:
    history = [model.encode(data)]
    if "out/encoded" in file:
        file.assert_close("out/encoded", history[0], TOLERANCE)
    for i in range(model.num_layers):
        history.append(model.step(i, history, data))
        if f"out/layer{i + 1}" in file:
            file.assert_close(f"out/layer{i + 1}", history[-1], TOLERANCE)
    prediction = model(data)
    file.assert_close("out/prediction", prediction, TOLERANCE)
    prediction.square().sum().backward()
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for key in file:
        if key.startswith("grad/"):
            found = data.x if key == "grad/x" else parameters[_names(key[5:], model, "x_type" in file)[0]]
            file.assert_close(key, found.grad, TOLERANCE)


def _check_separation(file: GoldenFile, model: PathNN, data: Data) -> None:
    embedding = model(data)
    file.assert_close("out/graph_embedding", embedding, TOLERANCE)
    distance = torch.cdist(embedding, embedding, compute_mode="donot_use_mm_for_euclid_dist")
    file.assert_close("out/pairwise_distance", distance, TOLERANCE)
