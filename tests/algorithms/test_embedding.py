"""Embeddings without features: projections, walks, skip-gram, LINE, NetMF."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
import torch
from torch import Tensor

from graphkit.algorithms import expected_pair_counts, fastrp, line, netmf, netmf_matrix, node2vec, random_walks
from graphkit.algorithms.kernels.alias import alias_tables, draw
from graphkit.algorithms.kernels.sampling import stream


def graph(n: int = 12, seed: int = 0, directed: bool = False) -> tuple[Tensor, Tensor, int]:
    """A weighted graph with an isolated node at the end."""
    adjacency = nx.to_numpy_array(nx.gnp_random_graph(n, 0.4, seed=seed, directed=directed))
    adjacency *= np.random.default_rng(seed).uniform(0.2, 3, adjacency.shape)
    if not directed:
        adjacency = adjacency + adjacency.T
    ends = torch.from_numpy(np.stack(np.nonzero(adjacency)))
    return ends, torch.from_numpy(adjacency[tuple(ends.numpy())]), n + 1


def dense(edge_index: Tensor, edge_weight: Tensor, n: int) -> np.ndarray:
    out = np.zeros((n, n))
    np.add.at(out, tuple(edge_index.numpy()), edge_weight.numpy())
    return out


def communities(sizes=(40, 40, 40), seed: int = 0) -> tuple[Tensor, np.ndarray]:
    inside = np.full((len(sizes), len(sizes)), 0.02) + np.eye(len(sizes)) * 0.28
    made = nx.stochastic_block_model(list(sizes), inside.tolist(), seed=seed)
    edges = torch.tensor(list(made.edges)).T
    return torch.cat([edges, edges.flip(0)], 1), np.repeat(np.arange(len(sizes)), sizes)


def separates(x: Tensor, y: np.ndarray) -> float:
    """The mean similarity of nodes of one community, less that of all."""
    unit = torch.nn.functional.normalize(x - x.mean(0)).double().numpy()
    similar = unit @ unit.T
    np.fill_diagonal(similar, np.nan)
    return float(np.nanmean(similar[y[:, None] == y]) - np.nanmean(similar))


class TestFastRP:
    @pytest.mark.parametrize("normalization", ["trans", "adj"])
    @pytest.mark.parametrize("directed", [False, True])
    def test_against_dense_matrices(self, normalization, directed):
        edge_index, weight, n = graph(directed=directed)
        adjacency = dense(edge_index, weight, n)
        degree = adjacency.sum(1)
        inverse = np.divide(1, degree, out=np.zeros(n), where=degree > 0)
        matrix = inverse[:, None] * adjacency if normalization == "trans" else adjacency
        r = np.random.default_rng(1).normal(size=(n, 5))
        x, total = np.where(degree > 0, degree, 1)[:, None] ** -0.3 * (degree > 0)[:, None] * r, 0
        for w in (0.5, 2.0, 3.0):
            x = matrix @ x
            length = np.linalg.norm(x, axis=1, keepdims=True)
            total = total + w * x / np.where(length == 0, 1, length)
        expected = (total - total.mean(0)) / total.std(0)
        out = fastrp(
            edge_index,
            weight,
            n,
            weights=(0.5, 2.0, 3.0),
            beta=-0.3,
            normalization=normalization,
            projection=torch.from_numpy(r),
        )
        np.testing.assert_allclose(out.numpy(), expected, atol=1e-12)

    def test_a_row_of_the_projection_belongs_to_a_node_whatever_the_graph(self):
        """Node 9 gets from its neighbours 0 and 5 the same in a graph that has grown."""
        small = torch.tensor([[9, 9, 0, 5], [0, 5, 9, 9]])
        large = torch.cat([small, torch.tensor([[30, 31], [31, 30]])], 1)
        options = {"dim": 16, "weights": 1, "normalize": False, "beta": 0.0}
        assert torch.equal(fastrp(small, num_nodes=10, **options)[9], fastrp(large, num_nodes=50, **options)[9])
        moved = torch.tensor([[2, 2, 0, 1], [0, 1, 2, 2]])
        by_id = fastrp(moved, num_nodes=3, ids=torch.tensor([0, 5, 9]), **options)
        assert torch.equal(by_id[2], fastrp(small, num_nodes=10, **options)[9])

    @pytest.mark.parametrize("sparsity", [3.0, 0.0, None])
    def test_entries_of_the_projection_have_mean_zero_and_variance_one_by_the_width(self, sparsity):
        loops = torch.arange(3000).repeat(2, 1)
        r = fastrp(loops, dim=64, weights=1, normalize=False, beta=0.0, sparsity=sparsity)
        assert abs(r.mean()) < 2e-3
        assert r.square().mean().item() == pytest.approx(1 / 64, rel=0.05)
        share = {3.0: 1 / 3, 0.0: 1.0, None: 3000**-0.5}[sparsity]
        assert (r != 0).double().mean().item() == pytest.approx(share, rel=0.05)

    def test_wrong_shapes(self):
        edge_index, weight, n = graph()
        with pytest.raises(ValueError, match=r"projection has shape \[3, 2\], must be \[13, dim\]"):
            fastrp(edge_index, weight, n, projection=torch.ones(3, 2))
        with pytest.raises(ValueError, match=r"ids has shape \[2\], must be \[13\]"):
            fastrp(edge_index, weight, n, ids=torch.arange(2))
        assert fastrp(edge_index[:, :0], num_nodes=0, dim=4).shape == (0, 4)


class TestWalks:
    def test_counts_of_pairs_are_within_five_sigma_of_the_closed_form(self):
        edge_index, weight, n = graph()
        runs, length, window = 4000, 8, 3
        starts = torch.arange(n).repeat(runs)
        walks = random_walks(edge_index, weight, n, starts, length, seed=3).view(runs, n, length).numpy()
        counts = np.zeros((runs, n * n), np.int16)
        for distance in range(1, window + 1):
            for i in range(length - distance):
                a, b = walks[:, :, i], walks[:, :, i + distance]
                np.add.at(counts, (np.nonzero(b >= 0)[0], (a * n + b)[b >= 0]), 1)
        both = counts.reshape(runs, n, n) + counts.reshape(runs, n, n).transpose(0, 2, 1)
        expected = expected_pair_counts(edge_index, weight, n, length, window).numpy()
        error = 5 * both.std(0) / np.sqrt(runs) + 1e-9
        assert (np.abs(both.mean(0) - expected) <= error).all()

    def test_second_order_walks_have_their_probabilities(self):
        edge_index, weight, n = graph(8)
        adjacency, p, q = dense(edge_index, weight, n), 0.3, 2.5
        t = 0
        v = int(np.nonzero(adjacency[t])[0][0])
        bias = np.where(np.arange(n) == t, 1 / p, np.where(adjacency[t] > 0, 1.0, 1 / q)) * adjacency[v]
        walks = random_walks(edge_index, weight, n, torch.zeros(60_000, dtype=torch.long), 3, p, q, seed=1)
        third = walks[walks[:, 1] == v, 2]
        share = np.bincount(third, minlength=n) / len(third)
        expected = bias / bias.sum()
        assert (np.abs(share - expected) <= 5 * np.sqrt(expected * (1 - expected) / len(third)) + 1e-9).all()

    def test_every_step_is_an_edge_and_isolated_nodes_stay(self):
        edge_index, weight, n = graph(directed=True)
        adjacency = dense(edge_index, weight, n)
        walks = random_walks(edge_index, weight, n, walk_length=20)
        assert walks[:, 0].tolist() == list(range(n))
        for walk in walks.tolist():
            for a, b in pairwise(walk):
                assert b == -1 if a == -1 or not adjacency[a].any() else adjacency[a, b] > 0
        assert walks[-1, 1:].eq(-1).all()

    def test_walks_do_not_depend_on_which_others_are_drawn(self):
        edge_index, weight, n = graph()
        walks = random_walks(edge_index, weight, n, torch.zeros(100, dtype=torch.long), seed=2)
        assert torch.equal(walks[:37], random_walks(edge_index, weight, n, torch.zeros(37, dtype=torch.long), seed=2))
        assert not torch.equal(walks[0], walks[1])

    def test_a_start_that_is_no_node(self):
        with pytest.raises(IndexError, match=r"starts has node 7, must be in 0\.\.2"):
            random_walks(torch.tensor([[0], [1]]), num_nodes=3, starts=torch.tensor([7]))

    def test_alias_tables_of_rows(self):
        weight, rowptr = np.array([1.0, 3.0, 0.0, 5.0, 0.0, 0.0]), np.array([0, 2, 4, 4, 6])
        keep, other = alias_tables(rowptr, weight)
        state = stream(0, 0)
        drawn = np.bincount([draw(state, 0, 2, keep, other) for _ in range(20_000)])
        assert drawn[1] / 20_000 == pytest.approx(0.75, abs=0.02)
        assert {draw(state, 2, 2, keep, other) for _ in range(200)} == {1}
        assert {draw(state, 4, 2, keep, other) for _ in range(200)} == {0, 1}


class TestNode2Vec:
    def test_communities_come_apart(self):
        edge_index, y = communities()
        assert separates(node2vec(edge_index, dim=16, walks_per_node=20, lr=0.05), y) > 0.2
        assert separates(node2vec(edge_index, dim=16, walks_per_node=20, lr=0.05, q=0.5, p=2.0), y) > 0.2

    def test_same_seed_same_bits_and_other_seeds_differ(self):
        edge_index, _ = communities((10, 10))
        first = node2vec(edge_index, dim=8, seed=1)
        assert torch.equal(first, node2vec(edge_index, dim=8, seed=1))
        assert not torch.equal(first, node2vec(edge_index, dim=8, seed=2))

    def test_the_steps_are_those_of_skip_gram_with_negative_sampling(self):
        """One walk of two nodes: both pairs, with the negative samples of each centre, by hand."""
        from graphkit.algorithms.kernels.skip_gram import skip_gram

        rng = np.random.default_rng(0)
        embedding, context = rng.normal(size=(2, 4, 3))
        expected, other = embedding.copy(), context.copy()
        tables = alias_tables(np.array([0, 4]), np.ones(4))
        state = stream(5, 0)
        for centre, near in ((0, 1), (1, 0)):
            draw(state, 0, 1, np.empty(0), np.empty(0, np.int32))  # the radius
            drawn = [draw(state, 0, 4, *tables) for _ in range(2)]
            before = other.copy()
            step = np.zeros(3)
            for v, label in ((centre, 1), *((v, 0) for v in drawn if v != centre)):
                g = 0.1 * (label - 1 / (1 + np.exp(-expected[near] @ before[v])))
                step += g * before[v]
                other[v] += g * expected[near]
            expected[near] += step
        pairs = skip_gram(np.array([[0, 1, -1]], np.int32), 1, 2, *tables, embedding, context, np.array([0.1]), 5, 0)
        assert pairs == 2
        np.testing.assert_allclose(embedding, expected, atol=1e-12)
        np.testing.assert_allclose(context, other, atol=1e-12)

    def test_an_interrupted_call_goes_on_to_the_same_result(self, tmp_path, monkeypatch):
        import graphkit.algorithms.embedding.node2vec as module

        edge_index, _ = communities((10, 10))
        whole = node2vec(edge_index, dim=8, walks_per_node=4)
        monkeypatch.setattr(module, "_BETWEEN", -1.0)
        monkeypatch.setattr(module, "_CHUNK", 7)
        save, written = module.save_tensors, []

        def stop_after_five(path, content):
            save(path, content)
            written.append(content["done"])
            if len(written) == 5:
                raise KeyboardInterrupt

        monkeypatch.setattr(module, "save_tensors", stop_after_five)
        file = tmp_path / "unfinished.pt"
        with pytest.raises(KeyboardInterrupt):
            node2vec(edge_index, dim=8, walks_per_node=4, checkpoint=file)
        assert written[-1] > 20
        assert file.exists()
        assert torch.equal(node2vec(edge_index, dim=8, walks_per_node=4, checkpoint=file), whole)
        assert not file.exists()

    def test_several_threads_learn_as_well(self):
        edge_index, y = communities()
        assert separates(node2vec(edge_index, dim=16, walks_per_node=20, lr=0.05, threads=2), y) > 0.2

    def test_memory_does_not_grow_with_the_number_of_walks(self):
        ring = torch.stack([torch.arange(9000), (torch.arange(9000) + 1) % 9000])

        def peak(walks_per_node: int) -> int:
            tracemalloc.start()
            node2vec(ring, dim=2, walk_length=20, walks_per_node=walks_per_node, window=1)
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return most

        peak(1)  # imports and compilation
        few, many = peak(1), peak(20)
        assert many < 1.2 * few, "20 walks from each node take 14 MB"
        assert few < 20 * 9000 * 20 * 4

    def test_a_bar_shows_how_many_walks_are_done(self, capsys):
        node2vec(torch.tensor([[0, 1], [1, 0]]), dim=2, walk_length=3, walks_per_node=5, progress=True)
        shown = capsys.readouterr().err
        assert "10/10" in shown
        assert "random walks" in shown
        assert "node2vec" not in shown  # DeepWalk shows the same bar

    def test_graphs_without_edges_or_nodes(self):
        none = torch.empty(2, 0, dtype=torch.long)
        assert node2vec(none, num_nodes=3, dim=4).isfinite().all()
        assert node2vec(none, num_nodes=0, dim=4).shape == (0, 4)


class TestLINE:
    @pytest.mark.parametrize("order", ["first", "second", "both"])
    def test_communities_come_apart(self, order):
        edge_index, y = communities()
        assert separates(line(edge_index, dim=16, order=order, num_samples=200_000), y) > 0.2

    def test_the_steps_are_the_authors(self):
        """One drawn edge: context vectors change one after another, the given vector at the end."""
        from graphkit.algorithms.kernels.skip_gram import line as kernel

        embedding, context = np.random.default_rng(0).normal(size=(2, 4, 3))
        expected, other = embedding.copy(), context.copy()
        nodes = alias_tables(np.array([0, 4]), np.ones(4))
        state = stream(5, 0)
        draw(state, 0, 1, np.ones(1), np.zeros(1, np.int32))
        step = np.zeros(3)
        for k in range(4):
            v = 2 if k == 0 else draw(state, 0, 4, *nodes)
            g = 0.1 * ((k == 0) - 1 / (1 + np.exp(-expected[1] @ other[v])))
            step += g * other[v]
            other[v] += g * expected[1]
        expected[1] += step
        ends = np.array([1], np.int32), np.array([2], np.int32)
        kernel(*ends, np.ones(1), np.zeros(1, np.int32), *nodes, 3, embedding, context, np.array([0.1]), 5, 0)
        np.testing.assert_allclose(embedding, expected, atol=1e-12)
        np.testing.assert_allclose(context, other, atol=1e-12)

    def test_refusals(self):
        with pytest.raises(ValueError, match='dim=5, must be even with order="both"'):
            line(torch.tensor([[0, 1], [1, 0]]), dim=5)
        assert line(torch.empty(2, 0, dtype=torch.long), num_nodes=2, dim=4).isfinite().all()


class TestNetMF:
    def test_against_dense_matrices(self):
        edge_index, weight, n = graph()
        adjacency = dense(edge_index, weight, n)
        degree = adjacency.sum(1)
        inverse = np.divide(1, degree, out=np.zeros(n), where=degree > 0)
        walk = inverse[:, None] * adjacency
        powers = sum(np.linalg.matrix_power(walk, r) for r in range(1, 5))
        expected = degree.sum() / (2 * 4) * powers * inverse
        matrix = netmf_matrix(edge_index, weight, n, window=4, num_negative_samples=2, dtype=torch.float64)
        np.testing.assert_allclose(matrix.numpy(), expected, atol=1e-12)
        x = netmf(edge_index, weight, n, dim=n, window=4, num_negative_samples=2).double().numpy()
        left, size, _ = np.linalg.svd(np.log(np.maximum(expected, 1)))
        np.testing.assert_allclose(np.abs(x), np.abs(left * np.sqrt(size)), atol=1e-4)

    def test_a_large_graph_gives_the_same_singular_values(self, monkeypatch):
        import graphkit.algorithms.embedding.netmf as module

        edge_index, y = communities()
        exact = netmf(edge_index, dim=3)
        monkeypatch.setattr(module, "EXACT_NODES", 0)
        assert torch.allclose(netmf(edge_index, dim=3), exact, atol=1e-4)
        assert separates(exact, y) > 0.3

    def test_refusals(self):
        assert torch.equal(netmf(torch.tensor([[0], [1]]), dim=2), netmf(torch.tensor([[0, 1], [1, 0]]), dim=2))
        with pytest.raises(ValueError, match="20001 nodes, must have at most 20000"):
            netmf_matrix(torch.empty(2, 0, dtype=torch.long), num_nodes=20_001)
        assert netmf(torch.tensor([[0, 1], [1, 0]]), num_nodes=3, dim=5).shape == (3, 5)
