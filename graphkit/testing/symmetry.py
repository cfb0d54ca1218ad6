"""Assertions about what relabelling and batching may change."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphkit.core.docstrings import arguments_of
from graphkit.testing.graphs import relabelled

Function = Callable[[Data], Tensor]

_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}


def assert_close(actual: Tensor, expected: Tensor, what: str, tolerance: float | None = None) -> None:
    """Fail with the largest componentwise error and its place.

    Args:
        actual: The value under test.
        expected: The value to compare with.
        what: The beginning of the message.
        tolerance: The error allowed relative to the largest expected value, at least 1 (default: 1e-9 for float64,
            1e-4 otherwise).

    Raises:
        AssertionError: If shapes or dtypes differ, or an error is larger or NaN.
    """
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        raise AssertionError(
            f"{what}: {actual.dtype} of shape {list(actual.shape)}, expected {expected.dtype} of shape "
            f"{list(expected.shape)}"
        )
    if actual.numel() == 0:
        return
    scale = max(1.0, float(expected.detach().abs().max()))
    allowed = scale * (_TOLERANCE.get(actual.dtype, 1e-4) if tolerance is None else tolerance)
    error = (actual - expected).detach().abs()
    if not bool((error <= allowed).all()):  # written so that NaN fails
        error = error.nan_to_num(nan=float("inf"))
        place = [int(i) for i in torch.unravel_index(error.argmax(), error.shape)]
        raise AssertionError(f"{what}: largest componentwise error {float(error.max()):.3g} at {place}")


def assert_permutation_equivariant(
    function: Function, data: Data, *, seed: int = 0, tolerance: float | None = None
) -> None:
    r"""Assert :math:`f(\pi \cdot G) = \pi \cdot f(G)`: relabelled nodes (and shuffled edges) relabel the output rows.

    Args:
        function: Maps a graph to ``[num_nodes, ...]``.
        data: The graph.
        seed: The seed of the permutation (default: 0).
        tolerance: The error allowed (default: that of :func:`assert_close`).

    Raises:
        AssertionError: With the largest componentwise error.

    Example:
        >>> from graphkit.testing.graphs import random_graph
        >>> assert_permutation_equivariant(lambda data: data.x.cumsum(0), random_graph())
        Traceback (most recent call last):
        AssertionError: not permutation equivariant: largest componentwise error ...
    """
    renamed, order = _shuffled(data, seed)
    assert_close(function(renamed), function(data)[order], "not permutation equivariant", tolerance)


@arguments_of(assert_permutation_equivariant)
def assert_permutation_invariant(
    function: Function, data: Data, *, seed: int = 0, tolerance: float | None = None
) -> None:
    r"""Assert :math:`f(\pi \cdot G) = f(G)`: relabelled nodes (and shuffled edges) change nothing.

    Args:
        function: Maps a graph to a tensor.

    Raises:
        AssertionError: With the largest componentwise error.
    """
    renamed, _ = _shuffled(data, seed)
    assert_close(function(renamed), function(data), "not permutation invariant", tolerance)


@arguments_of(assert_permutation_equivariant)
def assert_batch_independent(function: Function, graphs: Sequence[Data], *, tolerance: float | None = None) -> None:
    """Assert that a graph's output does not depend on what else is in its batch.

    Args:
        function: Maps a PyG ``Batch`` to ``[num_nodes, ...]`` or ``[num_graphs, ...]``.
        graphs: The graphs; of different sizes, so that padding would be noticed.

    Raises:
        AssertionError: With the largest componentwise error.
    """
    alone = torch.cat([function(Batch.from_data_list([graph])) for graph in graphs])
    together = function(Batch.from_data_list(list(graphs)))
    assert_close(together, alone, "an output depends on the rest of the batch", tolerance)


def _shuffled(data: Data, seed: int) -> tuple[Data, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(int(data.num_nodes or 0), generator=generator)
    return relabelled(data, order, torch.randperm(data.num_edges, generator=generator)), order
