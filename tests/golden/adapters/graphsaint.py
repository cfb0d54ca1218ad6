"""GraphSAINT: probabilities of the samplers, their frequencies, and official networks on one subgraph."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit import NodeTask, Split, samplers
from graphkit.algorithms import SubgraphSource
from graphkit.models import GraphSAINT
from tests.golden.files import GoldenFile

METHODS = ("GraphSAINT", "GraphSAINTNode", "GraphSAINTEdge", "GraphSAINTRandomWalk")
ORACLE = "authors' code"

EXACT, TOLERANCE = 1e-12, 1e-10
DRAWS, SIGMAS = 20_000, 5.0


def check(file: GoldenFile) -> None:
    (_check_probabilities if "config" in file else _check_network)(file)


def _edges(indptr: np.ndarray, indices: np.ndarray) -> Tensor:
    """Sources and targets of a CSR matrix whose rows are targets."""
    target = np.repeat(np.arange(indptr.size - 1), np.diff(indptr))
    return torch.from_numpy(np.stack([indices, target]).astype(np.int64))


def _check_probabilities(file: GoldenFile) -> None:
    edge_index = _edges(file["indptr"], file["indices"])
    n = file["indptr"].size - 1
    config = file["config"].tolist()
    if "draw_prob_node" in file:
        sampler = samplers.GraphSAINTNode(*config)
    elif "draw_prob_edge" in file:
        sampler = samplers.GraphSAINTEdge(*config)
    else:
        sampler = samplers.GraphSAINTRandomWalk(*config, coverage=None)
    source = SubgraphSource(edge_index, n)
    if "draw_prob_node" in file:
        file.assert_close("draw_prob_node", source.adjacency().sum(axis=0) / source.num_edges, EXACT)
    node = sampler.node_probability(source)
    ratio = sampler.aggregator_norm(source, *edge_index.flip(0).numpy(), np.arange(edge_index.size(1)))
    file.assert_close("edge_source", edge_index[0], 0)
    file.assert_close("edge_target", edge_index[1], 0)
    file.assert_close("prob_node", node, EXACT)
    file.assert_close("prob_edge", node[edge_index[1]] / ratio, EXACT)
    file.assert_close("aggregator_norm", ratio, EXACT)
    file.assert_close("loss_norm", 1 / (node * n), EXACT)
    _check_frequencies(file, sampler, source)
    _check_batch(file, sampler, edge_index, n)


def _check_frequencies(file: GoldenFile, sampler: samplers.Sampler, source: SubgraphSource) -> None:
    counts = {"prob_node": np.zeros(source.num_nodes), "prob_edge": np.zeros(source.num_edges)}
    for index in range(DRAWS):
        nodes, _, _, entries = source.saint(*sampler.law(), seed=1, index=index)
        counts["prob_node"][nodes] += 1
        counts["prob_edge"][entries] += 1
    for key, count in counts.items():
        p = file[key]
        deviation = np.abs(count / DRAWS - p) / np.sqrt(np.maximum(p * (1 - p), 1e-12) / DRAWS)
        assert deviation.max() < SIGMAS, f"{file.path}: {key}: {deviation.max():.1f} sigma"


def _check_batch(file: GoldenFile, sampler: samplers.Sampler, edge_index: Tensor, n: int) -> None:
    """What a batch carries is the part of these arrays that belongs to its nodes and edges."""
    data = Data(x=torch.zeros(n, 1, dtype=torch.float64), edge_index=edge_index)
    for batch in sampler.batches(data, generator=torch.Generator().manual_seed(0)):
        assert torch.allclose(batch.edge_weight, file.tensor("aggregator_norm")[batch.e_id], rtol=EXACT)
        assert torch.allclose(batch.node_weight, file.tensor("loss_norm")[batch.n_id], rtol=EXACT)
        assert torch.equal(batch.n_id[batch.edge_index], edge_index[:, batch.e_id])


def _check_network(file: GoldenFile) -> None:
    whole = _edges(file["full_indptr"], file["full_indices"])
    n = file["full_indptr"].size - 1
    source = SubgraphSource(whole, n)
    file.assert_close("full_degree", source.degree, 0)
    found = source.induced(file["sub_nodes"])
    file.assert_close("sub_nodes", found.nodes, 0)
    file.assert_close("adj_col", found.edge_index[0], 0)
    file.assert_close("adj_row", found.edge_index[1], 0)

    orders = tuple(file["orders"].tolist())
    dim = int(file.scalar("dim"))
    x, y = file.tensor("x").requires_grad_(), file.tensor("y")
    model = GraphSAINT(
        x.size(1),
        dim,
        file["classifier_bias"].size,
        orders,
        join="concat" if file.scalar("aggr_is_concat") else "sum",
        norm=bool(file.scalar("norm_is_layer")),
    ).double()
    _load(file, model)
    model.eval()
    degree = file.tensor("full_degree")[found.nodes]
    batch = Data(x=x, edge_index=found.edge_index, edge_weight=file.tensor("aggregator_norm"), full_degree=degree)
    file.assert_close("adj_norm_value", batch.edge_weight / degree[found.edge_index[1]], TOLERANCE)
    history = [model.encode(batch)]
    for i in range(len(orders)):
        history.append(model.step(i, history, batch))
        file.assert_close(f"layer{i}_out", history[-1], TOLERANCE)
    file.assert_close("embedding_l2", torch.nn.functional.normalize(history[-1]), TOLERANCE)
    out = model(batch)
    file.assert_close("logits", out, TOLERANCE)

    ids = torch.arange(x.size(0))
    batch.y, batch.root_index, batch.node_weight = y, ids, file.tensor("loss_norm")
    loss = _task(bool(file.scalar("sigmoid_loss")), batch).loss(out, batch)
    loss = loss * (out.size(1) if file.scalar("sigmoid_loss") else 1)  # the official loss adds columns up
    file.assert_close("loss", loss, TOLERANCE)
    loss.backward()
    file.assert_close("grad_x", x.grad, TOLERANCE)
    file.assert_close("grad_layer0_order0_weight", model.layers[0].lins[0].weight.grad, TOLERANCE)


def _task(multilabel: bool, batch: Data) -> NodeTask:
    """A task whose loss can be asked for; its split does not matter."""
    data = Data(x=batch.x.detach(), edge_index=batch.edge_index, y=batch.y)
    ids = torch.arange(data.num_nodes)
    target = "multilabel" if multilabel else "multiclass"
    task = NodeTask("golden", data, Split("any", ids[:-2], ids[-2:-1], ids[-1:]), target, allow_missing_classes=True)
    return task.sampled(samplers.GraphSAINTNode(1))


@torch.no_grad()
def _load(file: GoldenFile, model: GraphSAINT) -> None:
    for i, layer in enumerate(model.layers):
        for k, lin in enumerate(layer.lins):
            key = f"layer{i}_order{k}_"
            lin.weight.copy_(file.tensor(key + "weight"))
            lin.bias.copy_(file.tensor(key + "bias"))
            if model.norm:
                layer.norms[k].weight.copy_(file.tensor(key + "scale"))
                layer.norms[k].bias.copy_(file.tensor(key + "offset"))
    model.head.weight.copy_(file.tensor("classifier_weight"))
    model.head.bias.copy_(file.tensor("classifier_bias"))
