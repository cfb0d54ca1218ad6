"""DRew: hop sets, every layer's output, gradients; and the ring-transfer generator."""

from __future__ import annotations

import re

import torch
from torch_geometric.data import Data

from graphkit import models
from graphkit.datasets.generators import transfer
from graphkit.transforms import Hops
from tests.golden.files import GoldenFile

METHODS = ("DRew",)
ORACLE = "authors' code"

TOLERANCE = 1e-11
# Their parameters by ours; k counts hops from 0 after the shifts below.
NAMES = [
    (r"W_kt\.k=(?P<k>\d+), t=(?P<t>\d+)\.layer\.model\.(?P<p>.+)", "conv.convs.{k}.conv.{p}", -1),
    (r"W_kt\.k=(?P<k>\d+), t=(?P<t>\d+)\.post_layer\.0\.(?P<p>\w+)", "conv.convs.{k}.norm.{p}", -1),
    (r"W_t\.t=(?P<t>\d+)\.layer\.model\.(?P<p>.+)", "conv.convs.0.conv.{p}", 0),
    (r"W_t\.t=(?P<t>\d+)\.post_layer\.0\.(?P<p>\w+)", "conv.convs.0.norm.{p}", 0),
    (r"alpha_t\.(?P<t>\d+)", "conv.hop_logits", 0),
    (r"(?P<t>\d+)\.model\.mlp_s\.(?P<p>.+)", "conv.mlp.{p}", 0),
    (r"(?P<t>\d+)\.model\.mlp_k\.(?P<k>\d+)\.(?P<p>.+)", "conv.convs.{k}.mlp.{p}", 0),
    (r"(?P<t>\d+)\.(?P<q>[AD])\.(?P<p>\w+)", "conv.{q}.{p}", 0),
    (r"(?P<t>\d+)\.(?P<q>[BE])\.(?P<p>[a-z]+)", "conv.convs.0.{q}.{p}", 0),
    (r"(?P<t>\d+)\.(?P<q>[BE])\.(?P<k>\d+)\.(?P<p>\w+)", "conv.convs.{k}.{q}.{p}", -1),
    (r"(?P<t>\d+)\.bn_node_x\.(?P<p>\w+)", "norm.{p}", 0),
    (r"(?P<t>\d+)\.loop_mlp\.(?P<p>.+)", "conv.mlp.{p}", 0),
    (r"(?P<t>\d+)\.rel_mlps\.0\.(?P<p>.+)", "conv.convs.0.mlp.{p}", 0),
    (r"(?P<t>\d+)\.rel_mlps\.(?P<k>\d+)\.(?P<p>.+)", "conv.further_types.{k}.mlp.{p}", -1),
    (r"(?P<t>\d+)\.higher_hop_mlps\.(?P<k>\d+)\.(?P<p>.+)", "conv.convs.{k}.mlp.{p}", 1),
    (r"(?P<t>\d+)\.hop_coef", "conv.hop_logits", 0),
]


def check(file: GoldenFile) -> None:
    if "readout_mask" in file:
        _check_ring_transfer(file)
    elif "num_layers" in file:
        _check_model(file)
    else:
        _check_hops(file, int(file.scalar("K")))


def _check_hops(file: GoldenFile, max_hop: int) -> Data:
    data = Data(edge_index=file.tensor("edge_index"), num_nodes=file.scalar("num_nodes"))
    data = Hops(max_hop)(data)
    ours = zip(*data.hop_index.tolist(), data.hop_distance.tolist())
    theirs = zip(*file["khop_edge_index"].tolist(), file["khop_label"].tolist())
    assert sorted(ours) == sorted(theirs), f"golden file {file.path}: hop pairs differ"
    return data


def _ours(name: str) -> str:
    for pattern, replacement, shift in NAMES:
        if match := re.fullmatch(pattern, name):
            found = match.groupdict()
            k = int(found["k"]) + shift if found.get("k") else 0
            return f"layers.{found['t']}.{replacement.format(**(found | {'k': k}))}"
    raise AssertionError(f"unknown parameter {name!r}")


def _kind(file: GoldenFile) -> str:
    if "param/0.hop_coef" in file:
        return "rgin"
    if "param/0.model.eps" in file:
        return "gin"
    return "gatedgcn" if "param/0.A.weight" in file else "gcn"


def _is_alone(file: GoldenFile, name: str) -> bool:
    """Whether this is the logit of a single hop, whose softmax is 1 whatever it is; we have none."""
    return _ours(name).endswith("hop_logits") and file[f"param/{name}"].size == 1


def _model(file: GoldenFile) -> models.DRew:
    kind = _kind(file)

    def option(name: str, default: int) -> int:
        return int(file.scalar(f"cfg/{name}")) if f"cfg/{name}" in file else default

    width, nu, limit = option("dim", 0), option("nu", 1), option("k_max", 10**6)
    residual = {"residual": bool(option("residual", 1))} if "cfg/residual" in file else {}
    rest = {} if kind == "rgin" else {"shared_weights": bool(option("shared_weights", 0))}
    model = models.DRew(
        width,
        width,
        num_layers=int(file.scalar("num_layers")),
        conv=kind,
        nu=float("inf") if nu == -1 else nu,
        k_max=limit,
        batch_norm=bool(option("batchnorm", 1)),
        l2_norm=bool(option("l2norm", 0)),
        convex_combination=bool(option("convex_combination", 0)),
        learned_hop_weights=bool(option("learned_hop_weights", 0)),
        num_edge_types=max(sum(f"param/0.rel_mlps.{r}.0.weight" in file for r in range(99)), 1),
        official_skip_empty_hops=True,
        **residual,
        **rest,
    ).double()
    state = {key[6:]: file.tensor(key) for key in file if key.startswith("param/")}
    for t, layer in enumerate(model.layers):
        eps = state.pop(f"{t}.model.eps", None)
        if eps is not None:
            layer.conv.eps = eps.item()
    state = {key: value for key, value in state.items() if not _is_alone(file, key)}
    missing, unexpected = model.load_state_dict({_ours(key): value for key, value in state.items()}, strict=False)
    missing = [key for key in missing if key.startswith("layers.") and not key.endswith("num_batches_tracked")]
    assert not missing, f"golden file {file.path} has no weights for {missing}"
    assert not unexpected, f"golden file {file.path} has weights that this model lacks: {unexpected}"
    return model.eval()


def _check_model(file: GoldenFile) -> None:
    model = _model(file)
    data = _check_hops(file, min(model.num_layers, model.k_max))
    x = file.tensor("x").requires_grad_()
    history, convs = [x], []
    for layer in model.layers:
        list(layer.values())[-1].register_forward_hook(lambda module, inputs, out: convs.append(out))
    for t in range(model.num_layers):
        history.append(model.step(t, history, data))
        file.assert_close(f"out/layer{t + 1}", history[-1], TOLERANCE)
        if f"out/conv{t + 1}" in file:
            file.assert_close(f"out/conv{t + 1}", convs[-1], TOLERANCE)
    last = history[-1]
    (last * (file.tensor("loss_weight") if "loss_weight" in file else last)).sum().backward()
    parameters = dict(model.named_parameters())
    for key in file:
        if key == "grad/x":
            file.assert_close(key, x.grad, TOLERANCE)
        elif key.startswith("grad/") and _is_alone(file, key[5:]):
            file.assert_close(key, torch.zeros(1, dtype=torch.float64), TOLERANCE)
        elif key.startswith("grad/"):
            file.assert_close(key, parameters[_ours(key[5:])].grad, TOLERANCE)


def _check_ring_transfer(file: GoldenFile) -> None:
    """One sample after the other, those of one class side by side; the order of samples does not matter to us."""
    size, classes, samples = (int(file.scalar(f"num_{what}")) for what in ("nodes", "classes", "samples"))
    sizes = {"num_nodes": size, "num_classes": classes, "num_train": samples, "num_val": 1, "num_test": 1}
    graphs = transfer.transfer(graph="ring", duplicate_edges=True, **sizes).graphs[:samples]
    graphs = sorted(graphs, key=lambda graph: graph.y.item())
    assert torch.stack([graph.x for graph in graphs]).double().equal(file.tensor("x").double()), "features differ"
    assert torch.cat([graph.y for graph in graphs]).equal(file.tensor("y").long()), "labels differ"
    pairs = [sorted(zip(*edge_index.tolist())) for edge_index in (graphs[0].edge_index, file.tensor("edge_index"))]
    assert pairs[0] == pairs[1], "edges differ"
    assert graphs[0].readout_mask.equal(file.tensor("readout_mask")), "the node that is read differs"
    assert graphs[0].target == file.scalar("source_node")
    assert int(graphs[0].readout_mask.nonzero()) == file.scalar("target_node")
