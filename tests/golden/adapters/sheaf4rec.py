"""Sheaf4Rec: a diagonal sheaf of dimension 1 on users and items, scores, losses and the official ranking metrics."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear, softplus

from graphkit.nn import sheaf
from tests.golden.files import GoldenFile

METHODS = ()
ORACLE = "authors' code"

TOLERANCE = 1e-9


def check(file: GoldenFile) -> None:
    embedding, edge_index = file.tensor("param.embedding").requires_grad_(), file.tensor("edge_index")
    n, channels = embedding.shape
    assert channels == file.scalar("cfg.latent_dim")
    graph, step_size = sheaf.sheaf_graph(edge_index, n), float(file.scalar("cfg.step_size"))
    states, learned = [embedding], {"embedding": embedding}
    for i in range(int(file.scalar("cfg.layers"))):
        learner = sheaf.SheafLearner(1, 1, channels).double()
        weight, bias = (file.tensor(f"param.linear.{i}.{part}").requires_grad_() for part in ("weight", "bias"))
        with torch.no_grad():
            learner.weight.copy_(file.tensor(f"param.sheaf_learner.{i}.weight"))
        learned |= {f"sheaf_learner.{i}.weight": learner.weight, f"linear.{i}.weight": weight}
        x = states[-1]
        file.assert_close(f"out.maps.{i}", graph.to_edges(learner.predict(x, graph)[0].t()), TOLERANCE)
        laplacian = learner(x, graph)
        file.assert_close(f"out.laplacian.{i}", laplacian.to_dense(), TOLERANCE)
        states.append(x - step_size * (laplacian @ linear(x, weight, bias).unsqueeze(1)).squeeze(1))
        file.assert_close(f"out.state.{i + 1}", states[-1], TOLERANCE)
    out = torch.cat(states, dim=1)
    file.assert_close("out.embedding_concat", out, TOLERANCE)

    users, positive, negative = (file.tensor(f"batch.{key}") for key in ("users", "pos_nodes", "neg_nodes"))
    scores = [(out[users] * out[items]).sum(1) for items in (positive, negative)]
    bpr = softplus(scores[1] - scores[0]).mean()
    reg = sum(embedding[ids].square().sum() for ids in (users, positive, negative)) / (2 * users.numel())
    file.assert_close("out.bpr_loss", bpr, TOLERANCE)
    file.assert_close("out.reg_loss", reg, TOLERANCE)
    (bpr + reg).backward()
    for name, parameter in learned.items():
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
        top = scores[tested].topk(min(k, num_items)).indices
        hit = relevant[tested].gather(1, top).double()
        rank = torch.arange(1, top.size(1) + 1).double()
        gain, reciprocal = 1 / (rank + 1).log(), 1 / rank
        best = gain.cumsum(0)[count.clamp(max=k) - 1]
        file.assert_close(f"out.recall@{k}", (hit.sum(1) / count).mean(), TOLERANCE)
        file.assert_close(f"out.precision@{k}", (hit.sum(1) / k).mean(), TOLERANCE)
        file.assert_close(f"out.ndcg@{k}", ((hit * gain).sum(1) / best).mean(), TOLERANCE)
        file.assert_close(f"out.mrr@{k}", ((hit * reciprocal).sum(1) / count.clamp(max=k)).mean(), TOLERANCE)
