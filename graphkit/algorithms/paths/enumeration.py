"""The paths of a graph up to a length: one shortest, all shortest or all simple ones per pair of nodes."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import torch
from torch import Tensor

from graphkit.core.constraints import Count, Interval, NonNegativeInt, checked
from graphkit.core.devices import CPU
from graphkit.core.validate import check_choice
from graphkit.ops import SparsityPattern, sparsity_pattern

PATHS = ("shortest", "all_shortest", "simple")


@dataclass(frozen=True)
class PathSet:
    r"""All paths of one length :math:`k`, in the order of the nodes where they end.

    Attributes:
        nodes: The nodes of each path ``[k + 1, num_paths]``, int32. Row 0 is where the path ends, row ``k`` where it
            begins: there is an edge from ``nodes[i + 1]`` to ``nodes[i]``.
        distances: Hops from each of these nodes to the end of the path ``[num_paths, k + 1]``, int8; ``None`` for
            shortest paths, where it is the row of ``nodes``.
    """

    nodes: Tensor
    distances: Tensor | None


Length = Annotated[int, Interval(1, 127, "both")]


@checked
def enumerate_paths(
    edge_index: Tensor | SparsityPattern,
    num_nodes: NonNegativeInt,
    length: Length,
    kind: str = "simple",
    max_paths: Count = 10_000_000,
) -> list[PathSet]:
    r"""The paths of lengths :math:`1, \dots, K` of a graph, or of many graphs at once that are one batch.

    A path is a sequence of distinct nodes along edges. ``"simple"`` takes all of them, ``"all_shortest"`` those between
    two nodes that no other is shorter than, ``"shortest"`` one of these: the one whose sequence of nodes, read from the
    end with the smaller number, comes first in lexicographic order. On an undirected graph every path comes in both
    directions. Self-loops and repetitions of an edge do not count.

    ``"shortest"`` depends on the numbering of nodes, the other two do not. Paths are counted before anything is
    allocated, and counting stops at ``max_paths``. Ends are divided among torch's threads. Simple paths cost
    :math:`O(N d^K)` for degree :math:`d`, shortest ones :math:`O(N m K)` for :math:`m` edges within :math:`K` hops.

    Args:
        edge_index: Edges ``[2, num_edges]`` (sources, targets), or anything else that
            :func:`graphkit.ops.sparsity_pattern` takes.
        num_nodes: The number of nodes.
        length: The largest length :math:`K`, in edges.
        kind: ``"shortest"``, ``"all_shortest"`` or ``"simple"`` (default: ``"simple"``).
        max_paths: How many paths of all lengths there may be (default: 10 million).

    Returns:
        One :class:`PathSet` per length.

    Raises:
        ValueError: If ``length`` is not in 1..127, ``kind`` is unknown or there are more than ``max_paths`` paths.
        TypeError, IndexError: If ``edge_index`` does not hold ids of nodes.

    Example:
        >>> square = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])
        >>> [paths.nodes.size(1) for paths in enumerate_paths(square, 4, 3)]
        [8, 8, 8]
        >>> [paths.nodes.size(1) for paths in enumerate_paths(square, 4, 3, "shortest")]
        [8, 4, 0]
    """
    check_choice(kind, PATHS, "kind of paths")
    graph = sparsity_pattern(edge_index, num_nodes)
    from graphkit.algorithms.kernels import paths as kernels

    kernel: Callable[..., int] = partial(kernels.branching, kind == "all_shortest")
    arrays = [graph.rowptr, graph.col]
    if kind == "shortest":
        kernel, arrays = kernels.one_shortest, [*arrays, graph.colptr, graph.csc_row]
    joined = torch.cat(arrays).cpu() if graph.device != CPU else None  # one copy of all
    on_cpu = arrays if joined is None else joined.split([array.numel() for array in arrays])
    inputs = tuple(array.numpy() for array in on_cpu)
    counts = torch.zeros(num_nodes, length, dtype=torch.int64)
    nothing32, nothing8 = torch.empty(0, dtype=torch.int32), torch.empty(0, dtype=torch.int8)
    plan = torch.zeros(length, 2, dtype=torch.int64)  # per length: the first place in the buffer, the number of paths
    total = _run(kernel, inputs, max_paths, counts, False, (plan, nothing32, nothing8))
    if total > max_paths:
        raise ValueError(
            f"the graph ({num_nodes} nodes, {graph.num_edges} edges) has more than max_paths={max_paths} {kind} paths "
            f"of length up to {length}; use a smaller length, paths='shortest', or a larger max_paths"
        )
    plan[:, 1] = counts.sum(0)
    sizes = plan[:, 1] * torch.arange(2, length + 2)
    plan[1:, 0] = sizes.cumsum(0)[:-1]
    first = counts.cumsum(0) - counts
    nodes = torch.empty(int(sizes.sum()), dtype=torch.int32)
    distances = torch.empty_like(nodes, dtype=torch.int8) if kind == "simple" else nothing8
    _run(kernel, inputs, max_paths, first, True, (plan, nodes, distances))
    paths, device = [], edge_index.device
    for k, (start, number) in enumerate(plan.tolist(), 1):
        # clones, as a view would keep, and save, the memory of all lengths
        block = slice(start, start + number * (k + 1))
        own = nodes[block].view(k + 1, number).clone()
        far = distances[block].view(number, k + 1).clone().to(device) if kind == "simple" else None
        paths.append(PathSet(own.to(device), far))
    return paths


def _run(
    kernel: Callable[..., int], graph: tuple[Any, ...], limit: int, counts: Tensor, fill: bool, out: tuple[Tensor, ...]
) -> int:
    """Run a kernel over all nodes, in shares for torch's threads; returns the number of paths."""
    arguments = (graph, limit, counts.numpy(), fill, tuple(buffer.numpy() for buffer in out))
    num_nodes = counts.size(0)
    threads = torch.get_num_threads()
    if threads == 1 or num_nodes < 256:
        return kernel(0, num_nodes, *arguments)
    share = math.ceil(num_nodes / (4 * threads))  # several per thread: paths are not evenly distributed
    starts = range(0, num_nodes, share)
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(lambda start: kernel(start, min(start + share, num_nodes), *arguments), starts))
