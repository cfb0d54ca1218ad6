"""ID-MPNN: subsets, structural encoding, intermediate states, outputs and gradients."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphkit.models import KLGNN
from graphkit.transforms.features import RandomWalkPE
from tests.golden.files import GoldenFile

METHODS = ("KLGNN",)
ORACLE = "authors' code"

TOLERANCE = 1e-9
KEYS = ("l", "hid", "layers", "id", "global", "regression", "se_dim", "rw_steps", "max_distance")
POOLS = {"add": "sum", "mean": "mean", "max": "max"}
FUSIONS = {"add": "add", "hadamard_product": "hadamard", "cat": "cat"}
MODULES = {
    "inmlp_mod": "node_encoder.embeddings.0",
    "edge_emb": "edge_encoder",
    "graph_mlps": "layers",
    "id_mlps": "id_layers",
    "global_mlps": "global_layers",
    "setmlp1": "id_out",
    "setmlp2": "subgraph_out",
    "setmlp3": "regression_layers",
    "setmlp4": "fuse_in",
    "outmlp": "head",
    "se_emb": "structure_encoder",
}


def check(file: GoldenFile) -> None:
    config = dict(zip(KEYS, file["config"].tolist()))
    sizes = file["num_nodes"].tolist()
    model = _model(file, config)
    graphs = [_graph(file, number, n, config) for number, n in enumerate(sizes)]
    graphs = [model.required_transform()(graph) for graph in graphs]
    subsets = torch.cat([graph.subset_index.t() for graph in graphs])
    file.assert_close("subsets", subsets, 0)
    file.assert_close("num_subsets", torch.tensor([graph.subset_index.size(1) for graph in graphs]), 0)
    batch = Batch.from_data_list(graphs)

    h0 = model.encode(batch)
    h0.retain_grad()
    history = [h0]
    for i in range(model.num_layers):
        history.append(model.step(i, history, batch))
    (copies,) = model.copies(batch)
    z, u = model.fused(history[-1], copies)
    inside = torch.arange(max(sizes)) < file.tensor("num_nodes")[copies.graph].unsqueeze(1)
    for key, value in (("id_after_permutation_mean_mlp", z), ("fused", u)):
        expected = file.tensor(key)
        _assert_close(file, key, value, expected[inside])
    file.assert_close("subset_embedding", model.embeddings(history[-1], copies), TOLERANCE)
    out = model.decode(history[-1], batch)
    file.assert_close("output", out, TOLERANCE)

    out.square().sum().backward()
    width = model.hidden_channels - config["se_dim"]
    real = torch.arange(max(sizes)) < torch.tensor(sizes).unsqueeze(1)
    expected = file.tensor("grad_node_embedding").squeeze(2)
    _assert_close(file, "grad_node_embedding", h0.grad[:, :width], expected[real])
    assert not expected[~real].any(), f"golden file {file.path}: padding has a gradient"
    gradient = torch.zeros(file["grad_idemb_weight"].shape, dtype=torch.float64)
    gradient[_label_rows(config["l"])] = model.label_encoder.weight.grad
    file.assert_close("grad_idemb_weight", gradient, TOLERANCE)


def _label_rows(l: int) -> list[int]:  # noqa: E741
    """Official rows of our embeddings of labels: theirs has a row that nothing reads."""
    return [*range(l), l + 1]


def _graph(file: GoldenFile, number: int, n: int, config: dict[str, int]) -> Data:
    kinds = file.tensor("adj_edge_type")[number, :n, :n]
    assert not file["adj_edge_type"][number, n:].any(), f"golden file {file.path}: padding has edges"
    target, source = kinds.nonzero().t()
    x = file.tensor("x")[number, :n].double()
    graph = Data(edge_index=torch.stack([source, target]), edge_attr=kinds[target, source], num_nodes=n)
    steps = config["rw_steps"]
    expected = file.tensor("rwse")[number, :n]
    assert (expected[:, 0] == 1).all(), f"golden file {file.path}: a walk of no steps does not stay"
    if steps > 1:
        error = float((RandomWalkPE(steps - 1)(graph).x - expected[:, 1:]).abs().max())
        assert error < 1e-6, f"golden file {file.path}: 'rwse' differs by {error}"
    graph.x = torch.cat([x, expected], dim=1) if config["se_dim"] else x
    return graph


def _model(file: GoldenFile, config: dict[str, int]) -> KLGNN:
    walks = config["rw_steps"] if config["se_dim"] else 0
    distance = config["max_distance"]
    model = KLGNN(
        1 + walks,
        config["hid"],
        config["layers"],
        file["param_outmlp__0__weight"].shape[0],
        l=config["l"],
        max_distance=None if distance < 0 else distance,
        num_layers_id=config["id"],
        num_layers_global=config["global"],
        num_layers_regression=config["regression"],
        fuse=FUSIONS[str(file.scalar("cat"))],
        subgraph_pool=POOLS[str(file.scalar("subgraph_pool"))],
        readout=POOLS[str(file.scalar("global_pool"))],
        node_types=[file["param_inmlp_mod__weight"].shape[0]],
        edge_types=file["param_edge_emb__weight"].shape[0],
        structure_features=walks,
        structure_channels=config["se_dim"],
        official_mean=True,
    ).double()
    weights = {_name(key): file.tensor(key) for key in file if key.startswith("param_")}
    weights["label_encoder.weight"] = weights["label_encoder.weight"][_label_rows(config["l"])]
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected, f"golden file {file.path} has weights that this model lacks: {unexpected}"
    assert not missing, f"golden file {file.path} has no weights for {missing}"
    return model.eval()


def _name(key: str) -> str:
    module, *rest = key.removeprefix("param_").split("__")
    if module == "idemb":
        return "label_encoder.weight"
    if module == "outmlp":
        rest = rest[1:]
    return ".".join([MODULES[module], *rest])


def _assert_close(file: GoldenFile, key: str, actual: Tensor, expected: Tensor) -> None:
    error = np.abs((actual.detach() - expected).numpy()).max(initial=0.0)
    allowed = TOLERANCE * max(1.0, float(expected.abs().max()))
    assert error <= allowed, f"golden file {file.path}: {key!r} differs by {error:.3g} (allowed {allowed:.3g})"
