"""The sparsity pattern of a graph in both compressed orders, built once and cached with a key that cannot go stale."""

from __future__ import annotations

import weakref
from typing import cast

import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.typing import SparseTensor

from graphkit.core.caching import Caching, TensorCache
from graphkit.core.devices import read
from graphkit.core.validate import check_edge_index
from graphkit.ops import backend
from graphkit.ops.facts import Facts, nodes_without_loop, positions, read_facts
from graphkit.ops.groups import Groups
from graphkit.ops.indices import ascends, invert, permute, sorted_below
from graphkit.ops.traced import EdgeList, is_traced

Size = int | tuple[int, int] | None


class SparsityPattern(Caching):
    r"""Sparsity pattern of a (bipartite) graph in both compressed orders.

    Rows are targets and columns are sources, so that a matrix with this pattern carries source features to targets:
    :math:`(A x)_t = \sum_{s \to t} a_{ts} x_s`. Entries are sorted by row, then by column; duplicate edges stay apart.
    Instances are immutable; build them with :func:`sparsity_pattern`. Column order, degrees and all else that follows
    from a pattern (normalised matrices, expanded patterns) is computed once, by :meth:`cached`, and lives as long.

    Args:
        rowptr: Start of each row, ``[num_rows + 1]``.
        col: Column of each entry in CSR order, ``[num_edges]``.
        perm: Edge id of each CSR position, or None if the edges came sorted.
        num_cols: Number of columns.

    Example:
        >>> s = sparsity_pattern(torch.tensor([[0, 2, 1], [1, 1, 0]]), size=3)
        >>> s.rowptr.tolist(), s.col.tolist(), s.perm.tolist()
        ([0, 1, 3, 3], [1, 0, 2], [2, 0, 1])
        >>> s.in_degree.tolist(), s.out_degree.tolist()
        ([1, 2, 0], [1, 1, 1])
    """

    traced = False  # see graphkit.ops.traced

    def __init__(self, rowptr: Tensor, col: Tensor, perm: Tensor | None, num_cols: int) -> None:
        self.rowptr, self.col, self.perm = rowptr, col, perm
        self.num_rows, self.num_cols, self.num_edges = rowptr.numel() - 1, num_cols, col.numel()
        self._loops = None if self.num_edges > 0 else (0, 0)  # how many, and of how many nodes, if that is known
        self._selected: Tensor | None = None
        self._added = 0
        self._parent: weakref.ref[SparsityPattern] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """``(num_rows, num_cols)``."""
        return self.num_rows, self.num_cols

    @property
    def device(self) -> torch.device:
        """Where the index tensors live."""
        return self.col.device

    @property
    def row(self) -> Tensor:
        """Row of each entry in CSR order."""
        return self.cached("row", lambda: torch._convert_indices_from_csr_to_coo(self.rowptr, self.col)[0])

    @property
    def groups(self) -> Groups:
        """The entries grouped by rows."""
        return Groups(self.num_rows, self.row, self.rowptr)

    @property
    def csc_perm(self) -> Tensor:
        """CSR position of each entry in CSC order."""
        return self._csc[2]

    @property
    def csc_row(self) -> Tensor:
        """Row of each entry in CSC order."""
        return self._csc[1]

    @property
    def colptr(self) -> Tensor:
        """Start of each column in CSC order, ``[num_cols + 1]``."""
        return self._csc[0]

    @property
    def in_degree(self) -> Tensor:
        """Number of entries in each row (edges that enter each target)."""
        return self.cached("in_degree", lambda: self.rowptr.diff())

    @property
    def out_degree(self) -> Tensor:
        """Number of entries in each column (edges that leave each source)."""
        return self.cached("out_degree", lambda: self.colptr.diff())

    @property
    def edge_id(self) -> Tensor | None:
        """Which edge of the user's graph each edge is, -1 for a new self-loop; ``None`` where they are the same."""
        if self._selected is None and self._added == 0:
            return None
        old = self._selected
        if old is None:
            old = torch.arange(self.num_edges - self._added, device=self.device)
        return torch.cat([old, old.new_full((self._added,), -1)])

    @property
    def is_symmetric(self) -> bool:
        """Whether the pattern equals its transpose, counting duplicates."""
        return self.cached("is_symmetric", self._check_symmetric)

    @property
    def T(self) -> SparsityPattern:
        """The pattern of the reversed edges; shares the tensors of this one."""
        parent = self._parent() if self._parent is not None else None
        return parent if parent is not None else self.cached("T", self._transpose)

    def edge_index(self) -> Tensor:
        """Sources and targets ``[2, num_edges]`` in the order of the edges."""
        return torch.stack([self.to_edges(self.col), self.to_edges(self.row)])

    def to_csr(self, per_edge: Tensor) -> Tensor:
        """Bring values ``[num_edges, ...]`` from edge order to CSR order (differentiable)."""
        return per_edge if self.perm is None else permute(per_edge, self.perm, self._inverse)

    def to_edges(self, per_entry: Tensor) -> Tensor:
        """Bring values ``[num_edges, ...]`` from CSR order to edge order (differentiable)."""
        return per_entry if self.perm is None else permute(per_entry, self._inverse, self.perm)

    def to_csc(self, per_entry: Tensor) -> Tensor:
        """Bring values ``[num_edges, ...]`` from CSR order to CSC order (differentiable)."""
        return permute(per_entry, self.csc_perm, self._csc_inverse)

    def with_self_loops(
        self, weight: Tensor | None = None, fill: float = 1.0, bipartite: bool = False
    ) -> tuple[SparsityPattern, Tensor | None]:
        """One self-loop per node, as PyG's ``add_remaining_self_loops``: of several the last stays, missing ones come.

        Args:
            weight: One weight per edge (default: none).
            fill: The weight of a loop that is new (default: 1.0).
            bipartite: Whether there may be other targets than sources; then the first ones have loops, as in PyG's
                attention layers (default: ``False``).

        Returns:
            The new pattern, in which the old edges keep their order and the new loops follow, and the weights of its
            edges (``None`` without ``weight``). The pattern is cached.

        Raises:
            ValueError: If sources and targets are not the same nodes.

        Example:
            >>> s = sparsity_pattern(torch.tensor([[0, 0, 1], [0, 0, 0]]), size=2)
            >>> s, weight = s.with_self_loops(torch.tensor([5.0, 6.0, 7.0]))
            >>> s.edge_index().tolist(), weight.tolist()
            ([[0, 1, 1], [0, 0, 1]], [6.0, 7.0, 1.0])
        """
        if self.num_rows != self.num_cols and not bipartite:
            raise ValueError(
                f"self-loops need one set of nodes, but this graph has {self.num_cols} sources and {self.num_rows} "
                "targets; use add_self_loops=False"
            )
        pattern, remaining, added = self.cached("self_loops", self._add_self_loops)
        if weight is not None:
            old = weight if remaining is None else weight[remaining]
            weight = torch.cat([old, weight.new_full((added,), fill)])
        return pattern, weight

    def select(self, ids: Tensor) -> SparsityPattern:
        """The pattern of the edges ``ids``, in that order; they remember which edges they are (``edge_id``)."""
        source, target = self.edge_index()[:, ids]
        out = build_pattern(source, target, self.num_cols, self.num_rows)
        out._selected = ids if self.edge_id is None else self.edge_id[ids]
        if self._loops == (0, 0):
            out._loops = self._loops
        return out

    def kernel_indices(self) -> tuple[Tensor, Tensor]:
        """``(rowptr, col)`` in the integer type that the kernels prefer (32 bit wherever it fits)."""
        return self.cached("kernel_indices", self._narrow)

    def csr_tensor(self, values: Tensor) -> Tensor:
        """The torch CSR tensor with this pattern and ``values`` in CSR order."""
        return backend.csr_tensor(*self.kernel_indices(), values, self.shape)

    def ones(self, dtype: torch.dtype) -> Tensor:
        """The torch CSR tensor with this pattern and all ones."""
        return self.cached(
            ("ones", dtype), lambda: self.csr_tensor(torch.ones(self.num_edges, dtype=dtype, device=self.device))
        )

    def inverse_degree(self, dtype: torch.dtype) -> Tensor:
        """One over the number of entries in each row, 1 where there is none."""
        return self.cached(("inverse_degree", dtype), lambda: self.in_degree.clamp(min=1).to(dtype).reciprocal())

    def to(self, device: torch.device | str) -> SparsityPattern:
        """The pattern on another device; what is cached stays behind."""
        col = self.col.to(device)
        if col is self.col:  # torch knows that "cuda" is cuda:0
            return self
        perm = None if self.perm is None else self.perm.to(device)
        out = SparsityPattern(self.rowptr.to(device), col, perm, self.num_cols)
        out._selected, out._added = None if self._selected is None else self._selected.to(device), self._added
        return out

    def __repr__(self) -> str:
        return f"SparsityPattern(num_rows={self.num_rows}, num_cols={self.num_cols}, num_edges={self.num_edges})"

    # ------------------------------------------------------------------ lazily computed parts

    @property
    def _csc(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.cached("csc", self._sort_columns)

    @property
    def _inverse(self) -> Tensor:
        return self.cached("inverse", lambda: invert(cast(Tensor, self.perm)))

    @property
    def _csc_inverse(self) -> Tensor:
        return self.cached("csc_inverse", lambda: invert(self.csc_perm))

    def _sort_columns(self) -> tuple[Tensor, Tensor, Tensor]:
        col, perm = sorted_below(self.col, self.num_cols)
        return torch._convert_indices_from_coo_to_csr(col, self.num_cols), self.row.index_select(0, perm), perm

    def _check_symmetric(self) -> bool:
        return (
            self.num_rows == self.num_cols
            and torch.equal(self.rowptr, self.colptr)
            and torch.equal(self.col, self.csc_row)
        )

    def _transpose(self) -> SparsityPattern:
        colptr, row, csc_perm = self._csc
        out = SparsityPattern(colptr, row, csc_perm if self.perm is None else self.perm[csc_perm], self.num_rows)
        out.cached("csc", lambda: (self.rowptr, self.col, self._csc_inverse))
        out._selected, out._added, out._loops = self._selected, self._added, self._loops
        out._parent = weakref.ref(self)  # a strong one would make a reference cycle
        return out

    def _add_self_loops(self) -> tuple[SparsityPattern, Tensor | None, int]:
        """The pattern, the edges that stay (``None``: all of them) and the number of new loops."""
        loop, n = self.row == self.col, min(self.shape)
        lacks = nodes_without_loop(self.col, loop, n)
        if self._loops is None:
            self._loops = cast(tuple[int, int], tuple(read(loop.sum(), n - lacks.sum())))
        num_loops, num_looped = self._loops
        if num_loops > num_looped:  # equal entries stand in the order of the edges
            again = loop[1:] & (self.row[1:] == self.row[:-1]) & (self.col[1:] == self.col[:-1])
            stays = torch.cat([~again, again.new_ones(1)])
            remaining = (stays if self.perm is None else stays[self._inverse]).nonzero().squeeze(1)
            pattern, _, added = self.select(remaining)._add_self_loops()
            return pattern, remaining, added
        nodes = positions(lacks, n - num_looped)
        out = build_pattern(torch.cat([self.col, nodes]), torch.cat([self.row, nodes]), self.num_cols, self.num_rows)
        if self.perm is not None:  # entries are not edges
            ids = torch.cat([self.perm, torch.arange(self.num_edges, out.num_edges, device=self.device)])
            out.perm = ids if out.perm is None else ids.index_select(0, out.perm)
        out._selected, out._added = self._selected, self._added + nodes.numel()
        return out, None, nodes.numel()

    def _narrow(self) -> tuple[Tensor, Tensor]:
        if max(self.num_edges, self.num_rows, self.num_cols) >= 2**31:
            return self.rowptr, self.col
        return self.rowptr.int(), self.col.int()


def sparsity_pattern(graph: Tensor | SparsityPattern, size: Size = None) -> SparsityPattern:
    r"""Return the :class:`SparsityPattern` of a graph, from a cache where possible.

    The cache holds its keys weakly, and a hit counts only if the tensor still has the contents of a private copy, so
    that edits in place, through ``.data`` or through numpy memory cannot make it stale. The comparison takes about 1 %
    of the time of one product.

    Args:
        graph: Edges ``[2, E]`` (sources, targets), a PyG ``EdgeIndex``, a sparse tensor whose rows are the targets
            (PyG's ``adj_t``), or a pattern, which is returned as it is.
        size: Number of nodes, or ``(num_sources, num_targets)`` (default: from the ``EdgeIndex`` or sparse tensor, else
            the largest id plus one, which loses isolated nodes at the end).

    Raises:
        TypeError: If the ids are not integers.
        ValueError: If the shape is wrong or ``size`` contradicts the graph.
        IndexError: If an id is out of range.

    Example:
        >>> edge_index = torch.tensor([[0, 1], [1, 2]])
        >>> sparsity_pattern(edge_index, size=4)
        SparsityPattern(num_rows=4, num_cols=4, num_edges=2)
        >>> sparsity_pattern(edge_index, size=4) is sparsity_pattern(edge_index, size=4)
        True
    """
    if isinstance(graph, SparsityPattern | EdgeList):
        _check_size(graph, size)
        return graph
    if size is not None and is_traced(graph):
        num_cols, num_rows = size if isinstance(size, tuple) else (size, size)
        return cast(SparsityPattern, EdgeList(graph[0], graph[1], num_cols, num_rows))
    if isinstance(graph, SparseTensor):
        target, source, _ = graph.coo()
        out = build_pattern(source, target, graph.size(1), graph.size(0))
        _check_size(out, size)
        return out
    if not isinstance(graph, Tensor):
        raise TypeError(
            f"a graph must be an edge_index, a sparse tensor or a SparsityPattern, not {type(graph).__name__}"
        )
    if isinstance(graph, EdgeIndex):
        plain, known = graph.as_tensor(), graph.sparse_size()
        return _of_tensor(plain, _fill_size(plain, known) if size is None and known != (None, None) else size)
    return _of_tensor(graph, size)


_cache: TensorCache[SparsityPattern] = TensorCache()


def _of_tensor(graph: Tensor, size: Size) -> SparsityPattern:
    sparse = graph.layout != torch.strided
    key = graph.shape if sparse else size if isinstance(size, tuple) else (size, size)
    parts = _indices(graph) if sparse else (graph,)
    pattern = _cache.get(graph, parts, key, lambda copies: _from_copies(graph, copies, size))
    if sparse:
        _check_size(pattern, size)
    return pattern


def _indices(graph: Tensor) -> tuple[Tensor, ...]:
    if graph.layout == torch.sparse_csr:
        return graph.crow_indices(), graph.col_indices()
    if graph.layout == torch.sparse_csc:
        return graph.ccol_indices(), graph.row_indices()
    if graph.layout == torch.sparse_coo:
        return (graph._indices(),)
    raise ValueError(f"a graph cannot be a {graph.layout} tensor; use an edge_index or a CSR, CSC or COO tensor")


def _from_copies(graph: Tensor, copies: tuple[Tensor, ...], size: Size) -> SparsityPattern:
    if graph.layout == torch.strided:
        edge_index = copies[0]
        if size is None:
            check_edge_index(edge_index, 2**62, "sparsity_pattern")
            size = int(edge_index.max()) + 1 if edge_index.numel() > 0 else 0
        num_sources, num_targets = size if isinstance(size, tuple) else (size, size)
        facts = None
        if edge_index.device.type != "cpu" and edge_index.dim() == 2 and edge_index.numel() > 0:
            facts = read_facts(edge_index.long(), num_sources, num_targets)
        sizes = num_sources, num_targets
        if facts is None or facts.lowest < 0 or any(end >= size for end, size in zip(facts.highest, sizes)):
            check_edge_index(edge_index, sizes, "sparsity_pattern")
        source, target = edge_index.long()
        return build_pattern(source, target, num_sources, num_targets, facts)
    num_rows, num_cols = graph.shape
    if graph.layout == torch.sparse_coo:
        target, source = copies[0]
    elif graph.layout == torch.sparse_csr:
        target, source = torch._convert_indices_from_csr_to_coo(*copies).long()
    else:
        source, target = torch._convert_indices_from_csr_to_coo(*copies).long()
    return build_pattern(source, target, num_cols, num_rows)


def _fill_size(edge_index: Tensor, known: tuple[int | None, int | None]) -> tuple[int, int]:
    least = (edge_index.amax(1) + 1).tolist() if edge_index.numel() > 0 else [0, 0]
    return tuple(least if size is None else size for size, least in zip(known, least, strict=True))  # type: ignore[return-value]


def _check_size(pattern: SparsityPattern | EdgeList, size: Size) -> None:
    if size is None:
        return
    num_sources, num_targets = size if isinstance(size, tuple) else (size, size)
    if (num_targets, num_sources) != pattern.shape:
        raise ValueError(
            f"size says {num_sources} sources and {num_targets} targets, but the graph has {pattern.num_cols} sources "
            f"and {pattern.num_rows} targets; pass the matching size or leave it out"
        )


def build_pattern(
    source: Tensor, target: Tensor, num_cols: int, num_rows: int, facts: Facts | None = None
) -> SparsityPattern:
    """The pattern of edges with ids in range; what is not known of them no device is asked for."""
    source, target = source.contiguous(), target.contiguous()  # torch's conversion to CSR ignores strides
    key, limit, perm = target * num_cols + source, num_rows * num_cols, None
    on_cpu = source.device.type == "cpu"
    if not (facts.by_target if facts is not None else on_cpu and ascends(key)):
        # as PyG keeps edges: then the order of the targets is enough
        if facts.by_source if facts is not None else on_cpu and ascends(source):
            key, limit = target, num_rows
        perm = sorted_below(key, limit)[1]
        source, target = source.index_select(0, perm), target.index_select(0, perm)
    out = SparsityPattern(torch._convert_indices_from_coo_to_csr(target, num_rows), source, perm, num_cols)
    if facts is not None and num_cols == num_rows:
        out._loops = facts.num_loops, facts.num_looped
    return out
