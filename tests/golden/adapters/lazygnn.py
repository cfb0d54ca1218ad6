"""LazyGNN: outputs, both memories and the perceptron's gradients step by step, and the inference of seven steps."""

from __future__ import annotations

import torch
from torch_geometric.data import Data

from graphkit import models
from graphkit.core.attributes import node_subgraph
from graphkit.ops import gcn_norm
from tests.golden.files import GoldenFile

METHODS = ("LazyGNN",)
ORACLE = "authors' code"

TOLERANCE = 1e-9


def check(file: GoldenFile) -> None:
    x, edge_index = file.tensor("x"), file.tensor("edge_index")
    graph = Data(x=x, edge_index=edge_index)
    matrix = gcn_norm(edge_index, size=x.size(0), dtype=x.dtype)
    file.assert_close("prop_matrix", matrix.to_dense(), TOLERANCE)
    graph.full_degree = torch.bincount(edge_index[1], minlength=x.size(0)).to(x.dtype)

    depth = int(file.scalar("cfg_layers"))
    last = file[f"param_lins_{depth - 1}_bias"]
    model = models.LazyGNN(
        x.size(1),
        file["param_lins_0_bias"].size,
        depth,
        last.size,
        num_nodes=x.size(0),
        K=int(file.scalar("cfg_K")),
        **{name: float(file.scalar(f"cfg_{name}")) for name in ("alpha", "beta", "theta")},
    ).double()
    tensors = {name.replace("norms.", "bns.").replace(".", "_"): value for name, value in _tensors(model)}
    with torch.no_grad():
        for key in file:
            if key.startswith("param_"):
                tensors[key.removeprefix("param_")].copy_(file.tensor(key))

    model.train()
    model.norms.eval()  # as when the files were made
    for step in range(int(file.scalar("num_steps"))):
        ids, targets = file.tensor(f"step{step}_node_ids"), int(file.scalar(f"step{step}_num_targets"))
        batch = node_subgraph(graph, ids, "the golden file")
        batch.n_id, batch.halo = ids, torch.arange(ids.numel()) >= targets
        out = model(batch).log_softmax(-1)
        file.assert_close(f"step{step}_out_log_softmax", out, TOLERANCE)
        model.zero_grad()
        out[:targets].square().sum().backward()
        file.assert_close(f"step{step}_z_memory_after", model.states.rows, TOLERANCE)
        file.assert_close(f"step{step}_g_memory_after", model.gradients.rows, TOLERANCE)
        for name, tensor in tensors.items():
            if f"step{step}_grad_{name}" in file:
                file.assert_close(f"step{step}_grad_{name}", tensor.grad, TOLERANCE)

    before = [model.states.rows.clone(), model.gradients.rows.clone()]
    model.eval()
    file.assert_close("inference_K7_logits", model(Data(x=x, edge_index=edge_index)), TOLERANCE)
    assert torch.equal(before[0], model.states.rows)
    assert torch.equal(before[1], model.gradients.rows)


def _tensors(model):
    parts = [("lins", model.lins), ("norms", model.norms)]
    return [(f"{name}.{key}", value) for name, part in parts for key, value in part.state_dict(keep_vars=True).items()]
