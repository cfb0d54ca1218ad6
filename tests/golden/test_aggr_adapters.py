"""The adapters of LCM and GNP on files they have never seen, written in plain NumPy; and they must be able to fail."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden.adapters import gnp, lcm
from tests.golden.files import check_file


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _gru(weights, a, b):
    of_a, of_b = weights["weight_ih"] @ a + weights["bias_ih"], weights["weight_hh"] @ b + weights["bias_hh"]
    (r_a, z_a, n_a), (r_b, z_b, n_b) = np.split(of_a, 3), np.split(of_b, 3)
    update = _sigmoid(z_a + z_b)
    return (1 - update) * np.tanh(n_a + _sigmoid(r_a + r_b) * n_b) + update * b


def _fold(weights, rows):
    rows = list(rows)
    while len(rows) > 1:
        paired = [(_gru(weights, a, b) + _gru(weights, b, a)) / 2 for a, b in zip(rows[::2], rows[1::2])]
        rows = paired + rows[len(rows) - len(rows) % 2 :]
    return rows[0]


def _weights(rng, width):
    sizes = {
        "weight_ih": (3 * width, width),
        "weight_hh": (3 * width, width),
        "bias_ih": 3 * width,
        "bias_hh": 3 * width,
    }
    return {name: rng.normal(size=size) for name, size in sizes.items()}


def tree_file(seed, sizes, width, channels, project):
    rng = np.random.default_rng(seed)
    weights = _weights(rng, width)
    arrays = {f"param/gru.{name}": value for name, value in weights.items()}
    arrays |= {"cfg/project": np.int64(project), "set_sizes": np.array(sizes), "identity": rng.normal(size=width)}
    arrays["index"] = np.repeat(np.arange(len(sizes)), sizes)
    x = arrays["x"] = rng.normal(size=(sum(sizes), channels if project else width))
    if project:
        arrays |= {"param/lin.weight": rng.normal(size=(width, channels)), "param/lin.bias": rng.normal(size=width)}
        x = np.maximum(x @ arrays["param/lin.weight"].T + arrays["param/lin.bias"], 0)
    sets = [x[arrays["index"] == number] for number in range(len(sizes))]
    arrays["out/tree"] = np.stack([_fold(weights, rows) if len(rows) else arrays["identity"] for rows in sets])
    return arrays


def graph_file(seed, num_nodes, num_edges, width):
    rng = np.random.default_rng(seed)
    weights = _weights(rng, width)
    edges = np.unique(rng.integers(0, num_nodes, (num_edges, 2)), axis=0)  # sorted by target, then source
    x = rng.normal(size=(num_nodes, width))
    neighbours = [x[edges[edges[:, 0] == node, 1]] for node in range(num_nodes)]
    out = np.stack([_fold(weights, rows) if len(rows) else np.zeros(width) for rows in neighbours])
    arrays = {"x": x, "edge_index": edges[:, ::-1].T.copy(), "num_nodes": np.int64(num_nodes), "out/tree": out}
    return arrays | {"identity": np.zeros(width)} | {f"param/gru.{name}": value for name, value in weights.items()}


def operator_file(seed, width, n):
    rng = np.random.default_rng(seed)
    weights = _weights(rng, width)
    arrays = {key: rng.normal(size=(n, width)) for key in "abc"}
    a, b, c = arrays["a"], arrays["b"], arrays["c"]
    pair = lambda left, right: np.stack([_fold(weights, rows) for rows in zip(left, right)])  # noqa: E731
    left, right = pair(pair(a, b), c), pair(a, pair(b, c))
    arrays |= {"out/op_ab_c": left, "out/op_a_bc": right, "out/associativity_loss": np.mean((left - right) ** 2)}
    arrays |= {"out/gru_b_a": np.stack([_gru(weights, *rows) for rows in zip(b, a)])}
    return arrays | {f"param/gru.{name}": value for name, value in weights.items()}


def norm_file(seed, sizes, channels):
    rng = np.random.default_rng(seed)
    index = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.exponential(size=(len(index), channels)) * (rng.random((len(index), channels)) > 0.1)
    p = rng.choice([-1, 1], channels) * rng.uniform(0.3, 5, channels)
    q = rng.normal(size=channels)
    out, d_p, d_q = np.zeros((3, len(sizes), channels))
    for number in range(len(sizes)):
        for channel in range(channels):
            values, power = x[index == number, channel], p[channel]
            if len(values) == 0 or values.max() == 0 or (power < 0 and values.min() == 0):
                continue
            values = values[values > 0]
            total, size = np.sum(values**power), sizes[number]
            result = out[number, channel] = size ** -q[channel] * total ** (1 / power)
            slope = np.sum(values**power * np.log(values)) / total
            d_p[number, channel] = result * (slope / power - np.log(total) / power**2)
            d_q[number, channel] = -result * np.log(size)
    num_sets = np.int64(len(sizes))
    return {"x": x, "index": index, "num_sets": num_sets, "p": p, "q": q, "out": out, "dout_dp": d_p, "dout_dq": d_q}


def special_file(seed, sizes):
    rng = np.random.default_rng(seed)
    index = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.uniform(0.2, 2, (len(index), 2))
    sets = [x[index == number] for number in range(len(sizes))]
    results = {"mean_p1_q1": [s.mean(0) for s in sets], "max_p_plus_inf_q0": [s.max(0) for s in sets]}
    results |= {"min_p_minus_inf_q0": [s.min(0) for s in sets], "cubes_p3_q0": [np.cbrt((s**3).sum(0)) for s in sets]}
    arrays = {f"out/{name}": np.stack(rows) for name, rows in results.items()}
    return arrays | {"x": x, "index": index, "num_sets": np.int64(len(sizes))}


SIZES = st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(sum)
SEEDS = st.integers(0, 2**32 - 1)
LCM_FILES = (
    st.builds(tree_file, SEEDS, SIZES, st.integers(1, 5), st.integers(1, 5), st.booleans())
    | st.builds(graph_file, SEEDS, st.integers(1, 8), st.integers(1, 20), st.integers(1, 4))
    | st.builds(operator_file, SEEDS, st.integers(1, 4), st.integers(1, 4))
)
GNP_FILES = st.builds(norm_file, SEEDS, SIZES, st.integers(1, 4)) | st.builds(
    special_file, SEEDS, st.lists(st.integers(1, 9), min_size=1, max_size=4)
)


@pytest.mark.parametrize(("files", "check"), [(LCM_FILES, lcm.check), (GNP_FILES, gnp.check)], ids=["lcm", "gnp"])
def test_unseen_files_pass(tmp_path, files, check):
    @settings(max_examples=40, deadline=None)
    @given(arrays=files)
    def passes(arrays):
        path = tmp_path / "a name that says nothing.npz"
        np.savez(path, **arrays)
        check_file(path, check)

    passes()


FILES = {
    "tree": (lcm, lambda: tree_file(0, [3, 0, 1, 6], 4, 3, True)),
    "graph": (lcm, lambda: graph_file(0, 6, 20, 3)),
    "operator": (lcm, lambda: operator_file(0, 3, 4)),
    "norm": (gnp, lambda: norm_file(3, [3, 2, 5], 3)),
    "special": (gnp, lambda: special_file(0, [3, 2])),
}
CHANGES = [("tree", key) for key in ("x", "identity", "param/lin.bias", "param/gru.bias_hh", "out/tree")]
CHANGES += [("graph", key) for key in ("x", "out/tree")] + [("operator", key) for key in ("c", "out/gru_b_a")]
CHANGES += [("norm", key) for key in ("x", "p", "q", "out", "dout_dp", "dout_dq")] + [("special", "out/cubes_p3_q0")]


@pytest.mark.parametrize(("name", "key"), CHANGES)
def test_a_changed_number_fails(name, key, tmp_path):
    adapter, make = FILES[name]
    arrays = make()
    check_path = tmp_path / "f.npz"
    np.savez(check_path, **arrays)
    check_file(check_path, adapter.check)
    np.savez(check_path, **arrays | {key: arrays[key] + 1e-4})
    with pytest.raises(AssertionError, match=r"f\.npz: '[\w/]+' differs by"):
        check_file(check_path, adapter.check)


@pytest.mark.parametrize(("name", "key"), [("tree", "param/gru.bias_ih"), ("tree", "index"), ("norm", "num_sets")])
def test_a_missing_key_is_named(name, key, tmp_path):
    adapter, make = FILES[name]
    arrays = make()
    del arrays[key]
    np.savez(tmp_path / "f.npz", **arrays)
    with pytest.raises((AssertionError, RuntimeError), match=key.split(".")[-1]):
        check_file(tmp_path / "f.npz", adapter.check)


def test_an_unknown_option_is_not_ignored(tmp_path):
    np.savez(tmp_path / "f.npz", **tree_file(0, [2], 2, 2, False), **{"cfg/operator": np.str_("mlp")})
    with pytest.raises(AssertionError, match="ignores cfg/operator"):
        check_file(tmp_path / "f.npz", lcm.check)
