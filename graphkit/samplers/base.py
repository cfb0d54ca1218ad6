"""What all samplers share: from a graph and the nodes to be judged to batches."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Annotated, Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.algorithms.sampling.subgraphs import Subgraph, SubgraphSource, subgraph_source
from graphkit.core.attributes import DECLARED, attributes_of, record_kinds, take
from graphkit.core.batching import split_order
from graphkit.core.config import Configurable
from graphkit.core.constraints import Interval, OneOf
from graphkit.core.data_folder import cached_tensors, results_folder
from graphkit.core.devices import CPU, device_of, moved
from graphkit.core.graph_input import as_graph, as_tensor
from graphkit.core.hashing import hash_config
from graphkit.core.mapped_graph import widened
from graphkit.core.object_hash import hash_object
from graphkit.ops import SparseMatrix

T = TypeVar("T")
EVALUATIONS = ("sampled", "whole", "layerwise")
Evaluation = Annotated[str, OneOf(EVALUATIONS)]
Fanout = Annotated[int, Interval(1, also=(-1, "all neighbours"))]


class Sampler(Configurable, ABC):
    r"""Draws the subgraphs on which a model is trained.

    A batch is a PyG ``Data`` with the features, labels and edges of the subgraph and, by PyG's names,

    ==================  =============================================================================================
    ``n_id``            the graph's ids of the nodes ``[n]``
    ``e_id``            the graph's ids of the edges ``[e]``, -1 for a self-loop that was added
    ``root_index``      where the nodes stand that count in the loss ``[r]``
    ==================  =============================================================================================

    Messages only reach a node along the edges that enter it, so a sampler follows edges from their targets to their
    sources. The same generator gives bit-equal batches, whatever the number of threads. Subgraphs are drawn ahead, in
    as many threads as torch has.

    Args:
        evaluate: How validation and test are predicted: ``"sampled"``, on batches of this sampler; ``"whole"``, on the
            whole graph at once; ``"layerwise"``, on the whole graph one layer at a time, in chunks of nodes, see
            :func:`graphkit.training.layerwise_inference`.
        inductive: Whether training sees the training nodes and the edges between them only.

    Raises:
        ValueError: If ``evaluate`` is unknown, or ``"sampled"`` where subgraphs hold random nodes.

    Attributes:
        default_batch_size: The number of roots per batch where none is given; ``None`` for a sampler whose own
            arguments say how large its subgraphs are.
        scope: The name of the argument by which its subgraphs grow, a number or a list of them (default: ``""``, none
            that :class:`~graphkit.training.AdaptiveFanout` could follow).
        dataset: The dataset whose graphs it is drawing from, if any (:attr:`graphkit.Task.dataset`).
    """

    default_batch_size: ClassVar[int | None] = None
    scope: ClassVar[str] = ""
    dataset: str = ""

    def __init__(self, evaluate: Evaluation, inductive: bool) -> None:
        name = type(self).__name__
        self.evaluate = evaluate
        if evaluate == "sampled" and self.default_batch_size is None:
            raise ValueError(
                f"{name}: its subgraphs hold random nodes, so evaluate='sampled' cannot judge given ones; choose "
                "'whole' or 'layerwise'"
            )
        self.inductive = inductive

    def plan(
        self, source: SubgraphSource, roots: Tensor, batch_size: int, generator: torch.Generator | None, prepared: Any
    ) -> list:
        """What each batch of one pass begins with (default: so many roots); in random order with a generator."""
        return in_chunks(roots, batch_size, generator)

    @abstractmethod
    def draw(self, source: SubgraphSource, job: Any, seed: int, index: int) -> Subgraph:
        """The subgraph of one entry of :meth:`plan`, number ``index`` of the pass."""

    def prepare(self, data: Data, source: SubgraphSource, roots: Tensor) -> Any:
        """What a pass needs to know of the graph; what costs much goes through :func:`cached_on_disk`."""

    def annotate(self, batch: Data, subgraph: Subgraph, source: SubgraphSource, prepared: Any) -> None:
        """Add the sampler's own attributes to a batch."""

    def pair_probability(self, source: SubgraphSource, first: np.ndarray, second: np.ndarray) -> np.ndarray | None:
        """The probability that a subgraph of random nodes holds two different ones (default: not known)."""
        return None

    def batches(
        self,
        data: Data,
        roots: Tensor | None = None,
        batch_size: int | None = None,
        shuffle: bool = False,
        generator: torch.Generator | None = None,
        shard: tuple[int, int] = (0, 1),
    ) -> Iterator[Data]:
        """One pass over the roots. Subgraphs are drawn on the CPU and come to the device of the graph.

        Args:
            data: The graph, with ``edge_index`` ``[2, num_edges]``; its other attributes of nodes and edges go along.
            roots: The nodes that count ``[r]``, or a mask of them ``[num_nodes]`` (default: all).
            batch_size: The number of roots per batch (default: the sampler's).
            shuffle: Whether to draw an order of the roots (default: ``False``).
            generator: The source of randomness (default: one of seed 0).
            shard: This process's rank and the number of processes; each gets equally many batches (default: all).

        Raises:
            TypeError: If roots are no ids.
            ValueError: If ``batch_size``, the graph or the shape of the roots does not suit this sampler.
            IndexError: If a root is no node of the graph.
        """
        name = type(self).__name__
        if batch_size is not None and self.default_batch_size is None:
            raise ValueError(f"{name}: its own arguments say how large a subgraph is; leave batch_size at None")
        size = self.default_batch_size or 1 if batch_size is None else batch_size
        if size < 1:
            raise ValueError(f"{name}: batch_size={size}, must be at least 1")
        data = as_graph(data, name)
        device = device_of([data])
        data = data if device == CPU else moved(data, CPU)
        roots = torch.arange(data.num_nodes) if roots is None else checked_roots(roots, data.num_nodes, name)
        source = subgraph_source(data)
        part_of = subgraph_maker(data, name)
        prepared = self.prepare(data, source, roots)
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        seed = int(torch.randint(2**62, (1,), generator=generator))
        jobs = self.plan(source, roots, size, generator if shuffle else None, prepared)
        rank, world = shard
        steps = -(-len(jobs) // world)  # every process must take the same number of them
        is_root = torch.zeros(data.num_nodes, dtype=torch.bool)
        is_root[roots] = True

        def make(index: int) -> Data:
            subgraph = self.draw(source, jobs[index % len(jobs)], seed, index)
            batch = part_of(subgraph)
            grown = subgraph.roots is not None
            batch.root_index = subgraph.roots if grown else is_root[subgraph.nodes].nonzero().view(-1)
            self.annotate(batch, subgraph, source, prepared)
            return batch

        batches = prefetch(make, range(rank, steps * world, world))
        return batches if device == CPU else (moved(batch, device) for batch in batches)


def checked_roots(roots: Any, num_nodes: int, name: str) -> Tensor:
    """The ids of roots ``[r]`` in int64, given as such or as a mask ``[num_nodes]``.

    Raises:
        TypeError: If they are no whole numbers.
        ValueError: If they have another shape, or there are none.
        IndexError: If one is no node of the graph.
    """
    roots = as_tensor(roots, f"{name}: roots").cpu()
    is_mask = roots.dtype == torch.bool
    if roots.dim() != 1 or (is_mask and roots.numel() != num_nodes):
        raise ValueError(
            f"{name}: roots has the shape {list(roots.shape)}, expected ids in a row, or a mask of [{num_nodes}] nodes"
        )
    if roots.numel() and (roots.is_floating_point() or roots.is_complex()):
        raise TypeError(f"{name}: roots has dtype {roots.dtype}, but ids are whole numbers; use roots.long()")
    roots = roots.nonzero().view(-1) if is_mask else roots.long()
    if roots.numel() == 0:
        raise ValueError(f"{name}: there are no roots; give at least one node")
    if int(roots.min()) < 0 or int(roots.max()) >= num_nodes:
        bad = int(roots.min()) if int(roots.min()) < 0 else int(roots.max())
        raise IndexError(f"{name}: root {bad} is not in the graph, which has the nodes 0..{num_nodes - 1}")
    return roots


def cached_on_disk(
    sampler: Sampler,
    key: tuple[Any, ...],
    source: SubgraphSource,
    compute: Callable[[], Iterable[np.ndarray]],
    parse: Callable[[list[np.ndarray]], T],
) -> T:
    """What is made of arrays that cost much, cached with the graph; the arrays, in a file for later processes, too.

    Args:
        sampler: Whose code computes them.
        key: What the arrays are, and of which arguments they were made.
        source: The graph of which they were made.
        compute: Returns them.
        parse: Makes of them what is returned.
    """

    def from_file() -> T:
        name = hash_config([*key, source.hash, hash_object(type(sampler))], length=24)
        return cached_tensors(
            results_folder("samplers", sampler.dataset) / f"{key[0]}-{name}.pt",
            lambda: [torch.from_numpy(part) for part in compute()],
            lambda content: parse([part.numpy() for part in content]),
        )

    return source.cached((*key, type(sampler)), from_file)


def weighted_degree(data: Data, source: SubgraphSource) -> Tensor:
    """The weights of the edges that enter each node, summed up."""
    if data.get("edge_weight") is None:
        return torch.from_numpy(source.degree)
    weight = data.edge_weight.view(-1).double()
    return weight.new_zeros(source.num_nodes).index_add(0, data.edge_index[1], weight)


def in_chunks(roots: Tensor, batch_size: int, generator: torch.Generator | None) -> list[Tensor]:
    """The roots in groups of ``batch_size``, in random order with a generator, then no single one is left over."""
    if generator is None:
        return list(roots.split(batch_size))
    return split_order(roots[torch.randperm(roots.numel(), generator=generator)], batch_size)


def subgraph_maker(data: Data, where: str) -> Callable[[Subgraph], Data]:
    """What makes the data of subgraphs, with the attributes of nodes and edges; those of pairs and of the graph stay.

    Raises:
        ValueError: If an attribute may belong to nodes as well as to edges, or describes pairs of the whole graph.
    """
    for key in attributes_of("pair", data, where):
        if "index" in key and data[key].dim() == 2:
            raise ValueError(
                f"{where}: {key} describes pairs of nodes of the whole graph; transform what is sampled instead: "
                "task.sampled(sampler).transform(...)"
            )
    of_nodes, of_edges = (attributes_of(kind, data, where) for kind in ("node", "edge"))
    data = copy.copy(data)
    record_kinds(data)

    def part_of(subgraph: Subgraph) -> Data:
        batch = Data(edge_index=subgraph.edge_index, n_id=subgraph.nodes, e_id=subgraph.edges)
        batch.num_nodes = subgraph.nodes.numel()
        for key in of_nodes:
            batch[key] = _rows_of(data[key], subgraph.nodes)
        for key in of_edges:  # a self-loop that was added is a new edge
            batch[key] = take(data[key], subgraph.edges, key)
        if data.get(DECLARED):
            batch[DECLARED] = data[DECLARED]
        return batch

    return part_of


def _rows_of(value: Tensor, ids: Tensor) -> Tensor:
    """Rows of a dense tensor, or of a sparse one in CSR form; a mapped graph may have numbers of 16 bits."""
    if value.layout == torch.strided:
        return widened(value[ids])
    return SparseMatrix.from_tensor(value).select_rows(ids).csr(value.dtype)


def prefetch(make: Callable[[int], T], indices: Iterable[int]) -> Iterator[T]:
    """``make`` of each index in order, called in threads a few ahead of the one that is used."""
    threads = torch.get_num_threads()
    if threads == 1:
        yield from map(make, indices)
        return
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for index in indices:
                waiting.append(pool.submit(make, index))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # whoever stops early does not wait for the rest
            for future in waiting:
                future.cancel()
