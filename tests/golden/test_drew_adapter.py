"""The DRew adapter on files it has never seen, written with dense matrices; and it must be able to fail."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden.adapters.drew import check
from tests.golden.files import check_file


class Dense:
    """A network on one dense adjacency matrix per hop; weights are made when first asked for."""

    def __init__(self, seed: int, kind: str, sizes: list[int], options: dict[str, int]) -> None:
        self.rng, self.options = np.random.default_rng(seed), options
        self.n, self.width = sum(sizes), options["dim"]
        graph = nx.disjoint_union_all([nx.gnp_random_graph(size, 0.3, seed=seed + i) for i, size in enumerate(sizes)])
        self.hops = np.zeros((self.n, self.n), dtype=int)
        for source, lengths in nx.all_pairs_shortest_path_length(graph):
            for target, length in lengths.items():
                self.hops[target, source] = length
        self.edges = np.array([*graph.edges, *[edge[::-1] for edge in graph.edges]], dtype=int).reshape(-1, 2).T
        self.batch = np.repeat(np.arange(len(sizes)), sizes)
        self.parameters: dict[str, torch.Tensor] = {}
        self.layer = getattr(self, kind)

    def matrix(self, k):
        return torch.from_numpy((self.hops == k).astype(float))

    def weight(self, name, *shape, positive=False):
        value = self.rng.uniform(0.5, 1.5, shape) if positive else self.rng.normal(size=shape)
        self.parameters.setdefault(name, torch.from_numpy(value))
        return self.parameters[name].requires_grad_("running" not in name)

    def lin(self, name, x, bias=True):
        out = x @ self.weight(f"{name}.weight", self.width, self.width).T
        return out + self.weight(f"{name}.bias", self.width) if bias else out

    def norm(self, name, x):
        gamma, beta = self.weight(f"{name}.weight", self.width), self.weight(f"{name}.bias", self.width)
        mean = self.weight(f"{name}.running_mean", self.width)
        var = self.weight(f"{name}.running_var", self.width, positive=True)
        return gamma * (x - mean) / torch.sqrt(var + 1e-5) + beta

    def read(self, states, k):
        nu = self.options["nu"]
        return states[-1] if nu == -1 else states[-1 - max(0, k - nu)]

    def reached(self, states):
        return range(1, min(len(states), self.options.get("k_max", 10**6)) + 1)

    def gcn(self, t, states):
        o, total, hops = self.options, 0, self.reached(states)
        alpha = torch.ones(len(hops), dtype=torch.float64)
        if o["convex_combination"]:
            alpha = alpha / len(hops)
        if o["learned_hop_weights"]:
            logits = self.weight(f"alpha_t.{t}", len(hops))
            alpha = logits.exp() / logits.exp().sum() * (1 if o["convex_combination"] else len(hops))
        for k in hops:
            adjacency = self.matrix(k)
            if not adjacency.any():
                continue
            name = f"W_t.t={t}" if o["shared_weights"] else f"W_kt.k={k}, t={t}"
            looped = adjacency + torch.eye(self.n)
            scale = torch.diag(looped.sum(1) ** -0.5)
            h = scale @ looped @ scale @ self.lin(f"{name}.layer.model.lin", self.read(states, k), bias=False)
            if o["batchnorm"]:
                h = self.norm(f"{name}.post_layer.0", h)
            else:
                h = h + self.weight(f"{name}.layer.model.bias", self.width)
            total = total + alpha[k - 1] * self.unit(h.relu())
        return self.unit(states[-1] + torch.as_tensor(total).relu())

    def unit(self, x):
        return x / x.norm(dim=1, keepdim=True).clamp(min=1e-12) if self.options["l2norm"] else x

    def gin(self, t, states):
        def mlp(name, x):
            out = self.lin(f"{name}.0", x)
            return (self.norm(f"{name}.1", out) if self.options["batchnorm"] else out).relu()

        z = (1 + self.weight(f"{t}.model.eps", 1)) * mlp(f"{t}.model.mlp_s", states[-1])
        for k in self.reached(states):
            if self.matrix(k).any():
                z = z + mlp(f"{t}.model.mlp_k.{k - 1}", self.matrix(k) @ self.read(states, k))
        return z.relu() + (states[-1] if self.options["residual"] else 0)

    def gated(self, t, states):
        o, x, hops = self.options, states[-1], self.reached(states)
        z, own = self.lin(f"{t}.A", x), self.lin(f"{t}.D", x)
        for k in hops:
            suffix = "" if o["shared_weights"] else f".{k}"
            value = self.lin(f"{t}.B{suffix}", self.read(states, k))
            gate = (own[:, None] + self.lin(f"{t}.E{suffix}", self.read(states, k))[None]).sigmoid()
            gate = gate * self.matrix(k)[:, :, None]
            mean = (gate * value[None]).sum(1) / (gate.sum(1) + 1e-6)
            z = z + mean * (1 / len(hops) if o["convex_combination"] else 1)
        return (x if o["residual"] else 0) + self.norm(f"{t}.bn_node_x", z).relu()

    def qm9(self, t, states):
        def mlp(name, x):
            return self.lin(f"{name}.3", self.norm(f"{name}.1", self.lin(f"{name}.0", x)).relu())

        alpha = self.weight(f"{t}.hop_coef", t + 1).softmax(0)
        z = mlp(f"{t}.loop_mlp", states[-1])
        for k in self.reached(states):
            name = f"{t}.rel_mlps.0" if k == 1 else f"{t}.higher_hop_mlps.{k - 2}"
            z = z + alpha[k - 1] * (self.matrix(k) @ mlp(name, self.read(states, k)))
        return z

    def file(self, num_layers):
        x = torch.from_numpy(self.rng.normal(size=(self.n, self.width))).requires_grad_()
        states = [x]
        for t in range(num_layers):
            states.append(self.layer(t, states))
        loss = torch.from_numpy(self.rng.normal(size=(self.n, self.width)))
        names = [name for name, value in self.parameters.items() if value.requires_grad and "eps" not in name]
        values = [x, *(self.parameters[name] for name in names)]
        found = torch.autograd.grad((states[-1] * loss).sum(), values, allow_unused=True)
        kept = min(num_layers, self.options.get("k_max", num_layers))
        target, source = np.nonzero((self.hops > 0) & (self.hops <= kept))
        arrays = {"x": x, "loss_weight": loss, "khop_edge_index": np.stack([source, target])}
        arrays |= {"khop_label": self.hops[target, source], "edge_index": self.edges, "batch": self.batch}
        arrays |= {"num_nodes": np.int64(self.n), "num_layers": np.int64(num_layers)}
        arrays |= {f"cfg/{name}": np.int64(value) for name, value in self.options.items()}
        arrays |= {f"param/{name}": value for name, value in self.parameters.items()}
        arrays |= {f"out/layer{t}": state for t, state in enumerate(states) if t > 0}
        arrays |= {f"grad/{name}": g for name, g in zip(["x", *names], found) if g is not None}
        return {key: v.detach().numpy() if isinstance(v, torch.Tensor) else v for key, v in arrays.items()}


BIT = st.integers(0, 1)
NU = {"nu": st.sampled_from([-1, 1, 2, 3]), "dim": st.integers(2, 5)}
KINDS = {
    "gcn": NU
    | {"k_max": st.sampled_from([1, 2, 10**6]), "batchnorm": BIT, "l2norm": BIT, "convex_combination": BIT}
    | {"learned_hop_weights": BIT, "shared_weights": BIT},
    "gin": NU | {"batchnorm": BIT, "residual": BIT},
    "gated": NU | {"shared_weights": BIT, "convex_combination": BIT, "residual": BIT, "k_max": st.sampled_from([2, 9])},
    "qm9": NU,
}
SEEDS, SIZES = st.integers(0, 2**16), st.lists(st.integers(1, 6), min_size=1, max_size=3)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_unseen_files_pass(kind, tmp_path_factory, data):
    network = Dense(data.draw(SEEDS), kind, data.draw(SIZES), data.draw(st.fixed_dictionaries(KINDS[kind])))
    arrays = network.file(data.draw(st.integers(1, 5)))
    missing = [key for key in ("gcn", "gin") if key == kind and (network.hops == 1).sum() == 0]
    if missing:  # without any edge the authors' weights are never made
        return
    path = tmp_path_factory.mktemp("drew") / "a name that says nothing.npz"
    np.savez(path, **_complete(arrays, kind, network))
    check_file(path, check)


def _complete(arrays, kind, network):
    """Weights of hops that no pair has exist, but take no part."""
    layers = int(arrays["num_layers"])
    for t in range(layers):
        hops = min(t + 1, network.options.get("k_max", t + 1))
        for k in range(1, hops + 1):
            if kind == "gcn":
                old, new = f"W_kt.k=1, t={t}.", f"W_kt.k={k}, t={t}."
            elif kind == "gin":
                old, new = f"{t}.model.mlp_k.0.", f"{t}.model.mlp_k.{k - 1}."
            else:
                continue
            for key in [key for key in arrays if key.startswith(f"param/{old}")]:
                arrays.setdefault(key.replace(old, new), arrays[key])
    return arrays


def _file(kind, **options):
    usual = {key: 1 for key in KINDS[kind]} | {"dim": 3, "k_max": 9}
    options = {key: (usual | options)[key] for key in KINDS[kind]}
    network = Dense(3, kind, [5, 4], options)
    return _complete(network.file(3), kind, network)


CHANGES = [(kind, key) for kind in KINDS for key in ("x", "out/layer2", "grad/x")]
CHANGES += [("gcn", "param/alpha_t.2"), ("gin", "param/1.model.eps"), ("gated", "param/2.E.bias")]
CHANGES += [("qm9", "grad/2.hop_coef")]


@pytest.mark.parametrize(("kind", "key"), CHANGES)
def test_a_changed_number_fails(kind, key, tmp_path):
    arrays = _file(kind)
    np.savez(tmp_path / "f.npz", **arrays)
    check_file(tmp_path / "f.npz", check)
    changed = arrays[key] + 1e-4 * np.arange(1, arrays[key].size + 1).reshape(arrays[key].shape)
    np.savez(tmp_path / "f.npz", **arrays | {key: changed})
    with pytest.raises(AssertionError, match=r"f\.npz: '.+' differs by"):
        check_file(tmp_path / "f.npz", check)


@pytest.mark.parametrize("kind", KINDS)
def test_another_delay_fails(kind, tmp_path):
    arrays = _file(kind)
    np.savez(tmp_path / "f.npz", **arrays | {"cfg/nu": np.int64(2)})
    with pytest.raises(AssertionError, match=r"'out/layer2' differs by"):
        check_file(tmp_path / "f.npz", check)


def test_an_unknown_option_or_weight_is_not_ignored(tmp_path):
    np.savez(tmp_path / "f.npz", **_file("qm9"), **{"cfg/norm": np.str_("layer")})
    with pytest.raises(AssertionError, match="ignores cfg/norm"):
        check_file(tmp_path / "f.npz", check)
    np.savez(tmp_path / "f.npz", **_file("qm9"), **{"param/0.gate.weight": np.ones(3)})
    with pytest.raises(AssertionError, match="unknown parameter"):
        check_file(tmp_path / "f.npz", check)


def test_a_missing_hop_pair_fails(tmp_path):
    arrays = _file("gin")
    np.savez(tmp_path / "f.npz", **arrays | {"khop_label": np.roll(arrays["khop_label"], 1)})
    with pytest.raises(AssertionError, match="hop pairs differ"):
        check_file(tmp_path / "f.npz", check)
