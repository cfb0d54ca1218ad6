"""NAT: tables, states and probabilities batch by batch."""

from __future__ import annotations

import numpy as np
import torch
from torch_geometric.data import Data

from graphkit import models
from tests.golden.adapters import temporal_batching
from tests.golden.files import GoldenFile

METHODS = ("NAT",)
ORACLE = "authors' code"

TOLERANCE = 1e-8
NAMES = {
    "frequency": "time_encoder.basis_freq",
    "phase": "time_encoder.phase",
    "code": "trainable_embedding",
    "self_lin": "self_rep_linear",
    "neighbor_lin": "ngh_rep_linear",
    "self_rnn": "self_aggregator.gru",
    "neighbor_rnn": "ngh_aggregator.gru",
    "heads_lin": "gat.gat_net.0.linear_proj",
    "bias": "gat.gat_net.0.bias",
    "hidden_lin": "out_layer.fc1",
    "score_lin": "out_layer.fc2",
}


def check(file: GoldenFile) -> None:
    (check_nat if "neg_dst" in file else temporal_batching.check)(file)


def check_nat(file: GoldenFile) -> None:
    model = nat(file)
    file.assert_close("hash_hop1", np.append(0, model.caches.slots[1] - 1), 0)
    src, dst, other = (file.tensor(key) - 1 for key in ("src", "dst", "neg_dst"))
    time, edge, x = file.tensor("time"), file.tensor("edge_id"), file.tensor("node_feature")[1:]
    messages, out = file.tensor("edge_feature"), []
    for i, at in enumerate(torch.arange(src.numel()).split(int(file.scalar("batch_size")))):
        pairs = torch.stack([src[at].repeat(2), torch.cat([dst[at], other[at]])])
        events = {"src": src[at], "dst": dst[at], "t": time[at], "msg": messages[edge[at]]}
        out.append(model(Data(x=x, edge_label_index=pairs, **events)).detach().sigmoid().view(2, -1))
        check_tables(file, model, i, torch.cat([edge.new_zeros(1), edge]))
        file.assert_close(
            f"self_rep_after_batch{i}", torch.cat([model.rows.new_zeros(1, model.rows.size(1)), model.rows]), TOLERANCE
        )
    for key, values in zip(("pos_prob", "neg_prob"), torch.cat(out, 1)):
        file.assert_close(key, values, TOLERANCE)


def check_tables(file: GoldenFile, model: models.NAT, batch: int, edge: torch.Tensor) -> None:
    caches = model.caches
    for k in range(int(file.scalar("num_hops")) + 1):
        key, hop = f"ncache_hop{k}_after_batch{batch}", caches.hop(k)
        here = (edge[caches.event[:, hop] + 1], caches.time[:, hop], caches.neighbor[:, hop] + 1)
        filled = (here[0] > 0).unsqueeze(2)
        ours = torch.cat([torch.stack([here[2], *here[:2]], 2), caches.rows[:, hop]], 2)
        theirs = file.tensor(key).view(-1, *ours.shape[1:])[1:]
        assert torch.equal(filled, theirs[..., :1] > 0), f"{file.path}: {key} has other slots filled"
        assert ((ours - theirs).abs() * filled).max() <= TOLERANCE, f"{file.path}: {key}"


def nat(file: GoldenFile) -> models.NAT:
    """The model that a file describes."""
    weights = {key.removeprefix("param."): file.tensor(key) for key in file if key.startswith("param.")}
    model = models.NAT(
        num_nodes=file["node_feature"].shape[0] - 1,
        in_channels=file["node_feature"].shape[1],
        msg_channels=file["edge_feature"].shape[1],
        hidden_channels=weights["gat.gat_net.0.bias"].numel(),
        num_neighbors=file["num_neighbors"][1:].tolist(),
        neighbor_channels=weights["ngh_rep_linear.weight"].size(0),
        self_channels=weights["self_rep_linear.weight"].size(0),
        code_channels=weights["trainable_embedding.weight"].size(1),
        time_channels=weights["time_encoder.phase"].numel(),
        heads=int(file.scalar("num_heads")),
        replace_prob=float(file.scalar("replace_prob")),
        seed=int(file.scalar("hash_seed")),
    )
    with torch.no_grad():
        for name, parameter in model.double().eval().named_parameters():
            prefix = max((key for key in NAMES if f"{name}.".startswith(f"{key}.")), key=len)
            parameter.copy_(weights[NAMES[prefix] + name.removeprefix(prefix)])
    return model
