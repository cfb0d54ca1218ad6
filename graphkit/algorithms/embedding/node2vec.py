"""DeepWalk and node2vec: skip-gram on random walks."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from graphkit.algorithms.embedding.adjacency import adjacency
from graphkit.algorithms.embedding.rates import falling_rates
from graphkit.algorithms.embedding.walks import Walker
from graphkit.core.constraints import Count, NonNegativeInt, Positive, Seed, checked
from graphkit.core.display import progress_bar
from graphkit.core.files import load_tensors, save_tensors

_CHUNK = 8192  # walks that are drawn before they are trained on
_BETWEEN = 60.0  # seconds between two checkpoints


@checked
def node2vec(
    edge_index: Tensor,
    edge_weight: Tensor | None = None,
    num_nodes: NonNegativeInt | None = None,
    dim: Count = 128,
    walk_length: Count = 40,
    walks_per_node: Count = 10,
    window: Count = 5,
    p: Positive = 1.0,
    q: Positive = 1.0,
    num_negative_samples: Count = 5,
    lr: Positive = 0.025,
    seed: Seed = 0,
    threads: Count = 1,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Tensor:
    r"""Embeddings of nodes that predict which others are near them on random walks; ``p = q = 1`` is DeepWalk.

    From `"node2vec: Scalable Feature Learning for Networks" <https://arxiv.org/abs/1607.00653>`_ (Grover, Leskovec, KDD
    2016) and `"DeepWalk: Online Learning of Social Representations" <https://arxiv.org/abs/1403.6652>`_ (Perozzi,
    Al-Rfou, Skiena, KDD 2014), trained by word2vec's skip-gram with negative sampling:

    .. math::
        \max_{u, c} \; \sum_{(a, b)} \log \sigma(u_b^\top c_a)
        + \sum_{k=1}^{K} \mathbb{E}_{n \sim \mathrm{count}^{3/4}} \log \sigma(-u_b^\top c_n)

    over pairs of nodes :math:`a, b` within a window of a walk, whose radius is uniform in 1 to ``window`` as that of
    word2vec. Steps of stochastic gradient descent are taken walk by walk with a rate that falls linearly to nearly
    zero. Pairs of one window share the negative samples of its centre, and vectors :math:`c` start at zero. Where a
    walk comes to a node without outgoing edges it stops; a node that is in no pair keeps its random start.

    Args:
        edge_index: Edges ``[2, num_edges]``.
        edge_weight: Weights ``[num_edges]``, not negative; repeated edges add up (default: ones).
        num_nodes: The number of nodes (default: the largest id plus one).
        dim: The number of channels (default: 128).
        walk_length: The number of nodes of a walk (default: 40).
        walks_per_node: The number of walks from each node (default: 10).
        window: The largest distance of two nodes of a pair in a walk (default: 5).
        p: The return parameter: large to seldom go straight back (default: 1).
        q: The in-out parameter: large to stay near, small to go far (default: 1).
        num_negative_samples: The number :math:`K` of negative samples (default: 5).
        lr: The first rate (default: 0.025).
        seed: The seed (default: 0).
        threads: The number of threads; several write to the same vectors without locks, and results then differ from
            run to run (default: 1).
        checkpoint: A file from which an interrupted call goes on; it is written every minute and removed at the end
            (default: none).
        progress: Show a bar (default: on a terminal).

    Shapes:
        - **output:** ``[num_nodes, dim]``, in single precision

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> node2vec(path, dim=4, walk_length=5).shape
        torch.Size([3, 4])
    """
    from graphkit.algorithms.kernels import skip_gram as kernels
    from graphkit.algorithms.kernels.alias import alias_tables
    from graphkit.algorithms.kernels.walks import visits

    matrix = adjacency(edge_index, edge_weight, num_nodes, "node2vec")
    n = matrix.shape[0]
    walker = Walker(matrix, walk_length, p, q, 3 * seed)  # three streams of random numbers
    embedding, context, done = np.empty((n, dim), np.float32), np.zeros((n, dim), np.float32), 0
    file = None if checkpoint is None else Path(checkpoint)
    if file is not None and file.exists():
        state = load_tensors(file)
        embedding, context, done = state["embedding"].numpy(), state["context"].numpy(), state["done"]
    else:
        kernels.initial(embedding, 3 * seed + 1)

    count, total = np.zeros(n), max(n * walks_per_node, 1)
    for first, starts in _chunks(n, walks_per_node, seed, 0):
        visits(walker(starts, first), count)
    keep, other = alias_tables(np.array([0, n]), count**0.75)

    def train(walks: np.ndarray, first: int) -> None:
        rates = falling_rates(lr, first, len(walks), total)
        drawn_by = (3 * seed + 2, first)
        kernels.skip_gram(walks, window, num_negative_samples, keep, other, embedding, context, rates, *drawn_by)

    saved = time.monotonic()
    bar = progress_bar(total=total, initial=done, desc="random walks", unit=" walks", show=progress)
    with bar, ThreadPoolExecutor(threads) as pool:
        for first, starts in _chunks(n, walks_per_node, seed, done):
            parts = np.array_split(walker(starts, first), threads)
            begins = first + np.cumsum([0, *map(len, parts[:-1])])
            list(pool.map(train, parts, begins.tolist()))
            bar.update(len(starts))
            if file is not None and time.monotonic() - saved > _BETWEEN:
                tensors = {"embedding": torch.from_numpy(embedding), "context": torch.from_numpy(context)}
                save_tensors(file, {**tensors, "done": first + len(starts)})
                saved = time.monotonic()
    if file is not None:
        file.unlink(missing_ok=True)
    return torch.from_numpy(embedding).to(edge_index.device)


def _chunks(n: int, passes: int, seed: int, done: int) -> Iterator[tuple[int, np.ndarray]]:
    """The number of the first walk and the first nodes of some walks: every node once in a pass, in random order."""
    for turn in range(done // max(n, 1), passes):
        order = np.random.default_rng([seed, turn]).permutation(n)
        for begin in range(max(done - turn * n, 0), n, _CHUNK):
            yield turn * n + begin, order[begin : begin + _CHUNK]
