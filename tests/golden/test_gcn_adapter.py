"""The GCN adapter on files it has never seen, written by a dense NumPy implementation; and it must be able to fail."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden.adapters.gcn import check
from tests.golden.files import check_file


def dense_gcn(
    seed: int,
    nodes: list[int],
    num_edges: int,
    widths: list[int],
    weighted: bool,
    loops: bool,
    fill: float,
    norm: str,
) -> dict[str, np.ndarray]:
    """A file's arrays: several graphs in one batch, forward and backward by hand with dense matrices."""
    rng = np.random.default_rng(seed)
    n = sum(nodes)
    starts = np.cumsum([0, *nodes[:-1]])
    edges = [start + rng.integers(0, size, (2, num_edges)) for start, size in zip(starts, nodes, strict=True)]
    edge_index = np.concatenate(edges, axis=1)
    weight = rng.uniform(0.3, 2.0, edge_index.shape[1]) if weighted else np.ones(edge_index.shape[1])
    adjacency = np.zeros((n, n))
    np.add.at(adjacency, (edge_index[1], edge_index[0]), weight)
    if loops:  # one per node: the last of those in the file, else the one that is added
        diagonal = np.full(n, fill)
        for node, value in zip(edge_index[0], np.where(edge_index[0] == edge_index[1], weight, np.nan), strict=True):
            diagonal[node] = diagonal[node] if np.isnan(value) else value
        np.fill_diagonal(adjacency, diagonal)
    degree = adjacency.sum(1)
    inverse = np.divide(1.0, degree, out=np.zeros(n), where=degree > 0)
    P = inverse[:, None] * adjacency
    if norm == "sym":
        P = np.sqrt(inverse)[:, None] * adjacency * np.sqrt(inverse)[None, :]

    arrays = {"x": rng.normal(size=(n, widths[0])), "edge_index": edge_index, "prop_matrix": P}
    arrays |= {"cfg_add_self_loops": np.bool_(loops), "cfg_self_loop_fill": np.float64(fill), "cfg_norm": np.str_(norm)}
    if weighted:
        arrays["edge_weight"] = weight
    if len(nodes) > 1:
        arrays["batch"] = np.repeat(np.arange(len(nodes)), nodes)
    inputs, preacts = [arrays["x"]], []
    for layer, (fan_in, fan_out) in enumerate(pairwise(widths)):
        arrays[f"param_weight_{layer}"] = rng.normal(size=(fan_out, fan_in))
        arrays[f"param_bias_{layer}"] = rng.normal(size=fan_out)
        preacts.append(P @ inputs[-1] @ arrays[f"param_weight_{layer}"].T + arrays[f"param_bias_{layer}"])
        arrays[f"preact_{layer}"] = preacts[-1]
        inputs.append(np.maximum(preacts[-1], 0))
    arrays["out"] = preacts[-1]
    grad = 2 * preacts[-1]
    for layer in reversed(range(len(preacts))):
        arrays[f"grad_bias_{layer}"] = grad.sum(0)
        arrays[f"grad_weight_{layer}"] = grad.T @ P @ inputs[layer]
        grad = P.T @ grad @ arrays[f"param_weight_{layer}"]
        if layer > 0:
            grad = grad * (preacts[layer - 1] > 0)
    arrays["grad_x"] = grad
    return arrays


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    nodes=st.lists(st.integers(1, 7), min_size=1, max_size=3),
    num_edges=st.integers(0, 15),
    widths=st.lists(st.integers(1, 6), min_size=2, max_size=5),
    weighted=st.booleans(),
    loops=st.booleans(),
    fill=st.sampled_from([1.0, 2.0, 0.5]),
    norm=st.sampled_from(["sym", "row"]),
)
def test_unseen_files_pass(tmp_path_factory, **options):
    path = tmp_path_factory.mktemp("gcn") / "a name that says nothing.npz"
    np.savez(path, **dense_gcn(**options))
    check_file(path, check)


@pytest.fixture
def arrays():
    return dense_gcn(0, [6, 5], 14, [4, 3, 3, 2], weighted=True, loops=True, fill=1.0, norm="sym")


MUTATED = ["x", "edge_weight", "prop_matrix", "preact_1", "out", "grad_x", "param_weight_0", "param_bias_2"]
MUTATED += ["grad_weight_1", "grad_bias_0"]


@pytest.mark.parametrize("key", MUTATED)
def test_a_changed_number_fails(arrays, key, tmp_path):
    changed = arrays[key].copy()
    changed.flat[-1] += 1e-6
    np.savez(tmp_path / "f.npz", **arrays | {key: changed})
    with pytest.raises(AssertionError, match=r"f\.npz: '\w+' differs by"):
        check_file(tmp_path / "f.npz", check)


@pytest.mark.parametrize(
    ("key", "value"), [("cfg_add_self_loops", False), ("cfg_self_loop_fill", 2.0), ("cfg_norm", "row")]
)
def test_a_changed_option_fails(arrays, key, value, tmp_path):
    np.savez(tmp_path / "f.npz", **arrays | {key: np.array(value)})
    with pytest.raises(AssertionError, match="differs by"):
        check_file(tmp_path / "f.npz", check)


@pytest.mark.parametrize("key", ["x", "edge_index", "cfg_norm", "prop_matrix", "param_weight_0", "preact_0", "grad_x"])
def test_a_missing_key_is_named(arrays, key, tmp_path):
    arrays.pop(key)
    np.savez(tmp_path / "f.npz", **arrays)
    with pytest.raises(AssertionError, match=rf"f\.npz has no key '{key}'"):
        check_file(tmp_path / "f.npz", check)


def test_nan_fails(arrays, tmp_path):
    arrays["out"] = np.full_like(arrays["out"], np.nan)
    np.savez(tmp_path / "f.npz", **arrays)
    with pytest.raises(AssertionError, match="'out' differs by nan"):
        check_file(tmp_path / "f.npz", check)


def test_an_unknown_option_is_not_ignored(arrays, tmp_path):
    np.savez(tmp_path / "f.npz", **arrays, cfg_activation=np.array("tanh"))
    with pytest.raises(AssertionError, match="ignores cfg_activation"):
        check_file(tmp_path / "f.npz", check)


def test_a_truncated_file_is_named(arrays, tmp_path):
    np.savez(tmp_path / "f.npz", **arrays)
    (tmp_path / "f.npz").write_bytes((tmp_path / "f.npz").read_bytes()[:500])
    with pytest.raises(AssertionError, match=r"golden file .*f\.npz cannot be read"):
        check_file(tmp_path / "f.npz", check)
