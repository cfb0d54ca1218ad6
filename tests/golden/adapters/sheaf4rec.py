"""Sheaf4Rec: the model with stalks of dimension 1, losses, gradients, and metrics under the official mask."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit import metrics
from graphkit.models import Sheaf4Rec
from graphkit.nn import sheaf
from graphkit.tasks.targets import Ranking
from tests.golden.files import GoldenFile

METHODS = ("Sheaf4Rec",)
ORACLE = "authors' code"

TOLERANCE = 1e-9


def check(file: GoldenFile) -> None:
    n, channels = file.tensor("param.embedding").shape
    assert channels == file.scalar("cfg.latent_dim")
    model = Sheaf4Rec(
        n, channels, int(file.scalar("cfg.layers")), step_size=float(file.scalar("cfg.step_size"))
    ).double()
    learned = {"embedding": model.embedding.weight}
    for i, layer in enumerate(model.layers):
        learned |= {f"sheaf_learner.{i}.weight": layer.learner.weight}
        learned |= {f"linear.{i}.{part}": getattr(layer.lin, part) for part in ("weight", "bias")}
    with torch.no_grad():
        for name, parameter in learned.items():
            parameter.copy_(file.tensor(f"param.{name}"))
    users, *candidates = (file.tensor(f"batch.{key}") for key in ("users", "pos_nodes", "neg_nodes"))
    pairs = torch.stack([users.repeat_interleave(2), torch.stack(candidates, dim=1).flatten()])
    batch = Data(edge_index=file.tensor("edge_index"), num_nodes=n, edge_label_index=pairs)
    batch.edge_label = torch.tensor([[1.0, 0.0]]).expand(users.numel(), 2)

    out = model(batch)
    graph, states = sheaf.sheaf_graph(batch.edge_index, n), out.split(channels, dim=1)
    for i, x in enumerate(states[:-1]):
        maps = model.layers[i].learner.predict(x, graph)[0]
        file.assert_close(f"out.maps.{i}", graph.to_edges(maps.t()), TOLERANCE)
        file.assert_close(f"out.laplacian.{i}", model.laplacian(i, x, batch).to_dense(), TOLERANCE)
        file.assert_close(f"out.state.{i + 1}", states[i + 1], TOLERANCE)
    file.assert_close("out.embedding_concat", out, TOLERANCE)
    scores = (out[pairs[0]] * out[pairs[1]]).sum(1).view(-1, 2)
    bpr, reg = Ranking().loss(scores, batch.edge_label), model.auxiliary_loss()
    file.assert_close("out.bpr_loss", bpr, TOLERANCE)
    file.assert_close("out.reg_loss", reg, TOLERANCE)
    (bpr + reg).backward()
    for name, parameter in learned.items():
        if f"grad.{name}" in file:
            file.assert_close(f"grad.{name}", parameter.grad, TOLERANCE)
    _check_metrics(file, out.detach())


def _check_metrics(file: GoldenFile, out: Tensor) -> None:
    num_users, num_items = int(file.scalar("num_users")), int(file.scalar("num_items"))
    scores = out[:num_users] @ out[num_users : num_users + num_items].t()
    scores[tuple(file.tensor("train_pairs").t())] = 0.0  # the official mask
    relevant = torch.zeros(num_users, num_items, dtype=torch.bool)
    relevant[tuple(file.tensor("test_pairs").t())] = True
    tested = relevant.any(1)
    count = relevant[tested].sum(1)
    for k in sorted({int(key.split("@")[1]) for key in file if "@" in key}):
        for name in ("recall", "precision", "ndcg"):
            file.assert_close(f"out.{name}@{k}", _metric(f"{name}@{k}", scores[tested], relevant[tested]), TOLERANCE)
        top = scores[tested].topk(min(k, num_items)).indices
        hit = relevant[tested].gather(1, top).double()
        reciprocal = 1 / torch.arange(1, top.size(1) + 1).double()  # of all hits, where the usual MRR has the first
        file.assert_close(f"out.mrr@{k}", ((hit * reciprocal).sum(1) / count.clamp(max=k)).mean(), TOLERANCE)


def _metric(name: str, scores: Tensor, relevant: Tensor) -> Tensor:
    """A metric of graphkit's in double precision."""
    torch.set_default_dtype(torch.float64)
    try:
        metric = metrics.resolve(name)
        metric.update(scores, relevant)
        return torch.tensor(metric.compute())
    finally:
        torch.set_default_dtype(torch.float32)
