"""Embeddings without features against the official procedures and gensim."""

from __future__ import annotations

import random

import networkx as nx
import numba
import numpy as np
import scipy.sparse
import torch
from sklearn.preprocessing import normalize, scale

from benchmarks.speed.common import Benchmark, benchmark
from graphkit.algorithms import fastrp, random_walks
from graphkit.algorithms.embedding.adjacency import adjacency
from graphkit.algorithms.embedding.walks import Walker
from graphkit.algorithms.kernels import skip_gram
from graphkit.algorithms.kernels.alias import alias_tables

NODES, WEIGHTS, BETA, DIM = 20_000, (1.0, 1.0, 7.81, 45.28), -0.628, 256
TIMES, LENGTH, WINDOW, NEGATIVES, CHANNELS = 10, 40, 5, 5, 128


def _graph() -> nx.Graph:
    return nx.barabasi_albert_graph(NODES, 8, seed=0)


def _edges(graph: nx.Graph) -> torch.Tensor:
    edges = torch.tensor(list(graph.edges)).T
    return torch.cat([edges, edges.flip(0)], dim=1)


@benchmark("fastrp", goal=10.0, of="FastRP")
def fastrp_embedding() -> Benchmark:
    """FastRP, 256 channels, 4 powers: 20,000 nodes, 320,000 directed edges."""
    graph = _graph()
    edge_index = _edges(graph)
    adjacency = nx.to_scipy_sparse_array(graph, dtype=np.float64, format="csr")
    degree = adjacency.sum(1)
    drawn = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], (NODES, DIM), p=[0.5 / 141, 1 - 1 / 141, 0.5 / 141])
    r = scipy.sparse.csr_array(drawn * (141 / DIM) ** 0.5)
    given = torch.from_numpy(r.toarray()).float()

    def official() -> torch.Tensor:
        step = scipy.sparse.diags_array(1 / degree).tocsr() @ adjacency
        power, total = scipy.sparse.diags_array(degree**BETA).tocsr() @ r, 0.0
        for weight in WEIGHTS:
            power = step @ power  # sparse times sparse, though it soon is dense
            total = total + weight * normalize(power, "l2")
        return torch.from_numpy(scale(total.toarray()))

    return Benchmark(
        ours=lambda: fastrp(edge_index, num_nodes=NODES, weights=WEIGHTS, beta=BETA, projection=given),
        opponent=official,
        against="the official procedure in scipy",
        rounds=5,
        warmups=1,
        tolerance=1e-3,
    )


@benchmark("random_walks", goal=100.0, of="DeepWalk")
def walks() -> Benchmark:
    """10 random walks of 40 nodes from every node: 20,000 nodes, 320,000 directed edges."""
    graph = _graph()
    edge_index, choose, starts = _edges(graph), random.Random(0), torch.arange(NODES).repeat(TIMES)

    def with_networkx() -> None:
        for _ in range(TIMES):
            for start in graph:
                node = start
                for _ in range(LENGTH - 1):
                    node = choose.choice(list(graph[node]))

    def ours() -> None:
        random_walks(edge_index, num_nodes=NODES, starts=starts, walk_length=LENGTH)

    return Benchmark(ours, with_networkx, "a walker on networkx", rounds=3, warmups=1)


@numba.njit
def _read_only(rowptr: np.ndarray, col: np.ndarray, walks: np.ndarray, abreast: int) -> None:
    """The reads of a walk, where nothing is drawn: the next neighbour follows from the number of the step."""
    for begin in range(0, walks.shape[0], abreast):
        for step in range(1, walks.shape[1]):
            for walk in range(begin, min(begin + abreast, walks.shape[0])):
                v = walks[walk, step - 1]
                degree = np.uint32(rowptr[v + 1] - rowptr[v])
                walks[walk, step] = col[rowptr[v] + np.uint32(40503 * step + walk) % degree]


@benchmark("random_walk_reads", goal=0.5, of="DeepWalk")
def reads() -> Benchmark:
    """10 random walks of 40 nodes from every node, against their reads alone: 20,000 nodes, 320,000 directed edges."""
    matrix = adjacency(_edges(_graph()), None, NODES, "random_walk_reads")
    starts = np.arange(NODES).repeat(TIMES)
    walker, read = Walker(matrix, LENGTH, 1.0, 1.0, 0), np.zeros((starts.size, LENGTH), np.int32)
    read[:, 0] = starts

    def ours() -> None:
        walker(starts, 0)

    def only_reading() -> None:
        _read_only(matrix.indptr, matrix.indices, read, 32)

    return Benchmark(ours, only_reading, "one neighbour read per step, none drawn")


@benchmark("skip_gram", goal=2.0, of="DeepWalk")
def word2vec() -> Benchmark:
    """Skip-gram on 20,000 walks of 40 nodes: 128 channels, window 5, 5 negative samples."""
    from gensim.models import Word2Vec

    drawn = random_walks(_edges(_graph()), num_nodes=NODES, walk_length=LENGTH).numpy().astype(np.int32)
    keep, other = alias_tables(np.array([0, NODES]), np.bincount(drawn.ravel(), minlength=NODES) ** 0.75)
    rates, sentences = np.full(NODES, 0.025), [[str(v) for v in walk] for walk in drawn.tolist()]
    model = Word2Vec(
        vector_size=CHANNELS, window=WINDOW, sg=1, negative=NEGATIVES, workers=1, min_count=0, sample=0, seed=0
    )
    model.build_vocab(sentences)

    def ours() -> None:
        embedding, context = np.empty((NODES, CHANNELS), np.float32), np.zeros((NODES, CHANNELS), np.float32)
        skip_gram.initial(embedding, 0)
        skip_gram.skip_gram(drawn, WINDOW, NEGATIVES, keep, other, embedding, context, rates, 0, 0)

    def with_gensim() -> None:
        model.train(sentences, total_examples=NODES, epochs=1)

    return Benchmark(ours, with_gensim, "gensim.models.Word2Vec, one worker", rounds=3)
