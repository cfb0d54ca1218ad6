"""The Laplacian of a sheaf on a graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkit.core.validate import check_choice
from graphkit.nn.sheaf.blocks import gather_ends, inverse_sqrt, product, sum_ends, transpose_product
from graphkit.nn.sheaf.graph import SheafGraph, sheaf_graph
from graphkit.nn.sheaf.pattern import SheafPattern, sheaf_pattern
from graphkit.ops import SparseMatrix, SparsityPattern, backend
from graphkit.ops.matrix import sampled
from graphkit.ops.pattern import Size

KINDS = ("diag", "bundle", "general")
_CUT = 1e-10  # relative size of eigenvalues that count as zero where singular blocks are allowed


class SheafLaplacian:
    r"""A symmetric operator on stalks, with the values of a sheaf Laplacian; :func:`sheaf_laplacian` builds it.

    Args:
        places: Where values go.
        values: The values in CSR order.
        num_nodes: The number of nodes.
        stalk_dim: Coordinates per node :math:`D`, fixed ones included.
    """

    def __init__(self, places: SheafPattern, values: Tensor, num_nodes: int, stalk_dim: int) -> None:
        self.places, self.pattern, self.values = places, places.pattern, values
        self.num_nodes, self.stalk_dim = num_nodes, stalk_dim

    def __matmul__(self, x: Tensor) -> Tensor:
        """Apply the operator to ``x [num_nodes, stalk_dim, channels]``; differentiable in both, any number of times."""
        if x.dim() != 3 or x.shape[:2] != (self.num_nodes, self.stalk_dim):
            raise ValueError(
                f"x has shape {list(x.shape)}, but the sheaf has {self.num_nodes} stalks of dimension {self.stalk_dim}"
                f"; pass [{self.num_nodes}, {self.stalk_dim}, channels]"
            )
        common = torch.promote_types(self.values.dtype, x.dtype)
        return self._product(x.to(common).reshape(-1, x.size(2)), self.values.to(common)).view(x.shape).to(x.dtype)

    def _product(self, x: Tensor, values: Tensor) -> Tensor:
        return _SymmetricProduct.apply(x, values, self.pattern)

    def masked(self, mask: Tensor) -> SheafLaplacian:
        """The operator whose blocks between nodes, which edges bring to their targets, are multiplied by a mask.

        Args:
            mask: A number per edge, in the order of the edges.
        """
        values = self.values * self.places.of_edges(mask.to(self.values.dtype))
        return _Masked(self.places, values, self.num_nodes, self.stalk_dim)

    def energy(self, x: Tensor) -> Tensor:
        r"""The Dirichlet energy :math:`x^\top L x` of each channel, ``[channels]``."""
        return (x * (self @ x)).sum((0, 1))

    def to_dense(self) -> Tensor:
        """The square matrix; row ``v * stalk_dim + k`` is coordinate ``k`` of node ``v``."""
        return SparseMatrix(self.pattern, self.values).to_dense()

    def __repr__(self) -> str:
        return f"SheafLaplacian(num_nodes={self.num_nodes}, stalk_dim={self.stalk_dim})"


class _Masked(SheafLaplacian):
    """A Laplacian that is no longer symmetric."""

    def _product(self, x: Tensor, values: Tensor) -> Tensor:
        return SparseMatrix(self.pattern, values) @ x


def sheaf_laplacian(
    edge_index: Tensor,
    maps: Tensor,
    kind: str = "general",
    edge_weight: Tensor | None = None,
    normalize: str | None = "block",
    augmented: bool = True,
    low_pass: bool = False,
    high_pass: bool = False,
    size: Size = None,
    official_fixed_scale: bool = False,
) -> SheafLaplacian:
    r"""The Laplacian of a given cellular sheaf on an undirected graph.

    From `"Neural Sheaf Diffusion" <https://arxiv.org/abs/2202.04579>`_ (Bodnar et al., NeurIPS 2022), following
    Hansen and Ghrist (2019). Every node :math:`v` has a stalk :math:`\mathbb{R}^d`, every edge end a restriction map
    :math:`F_{v,e}`, and

    .. math::
        (L x)_v = \sum_{e = \{v, u\}} F_{v,e}^\top (F_{v,e} x_v - F_{u,e} x_u), \qquad
        \Delta = S L S

    with :math:`S_v = (B_v + I)^{-1/2}`, where :math:`B_v = \sum_e F_{v,e}^\top F_{v,e}` is the diagonal block.

    Args:
        edge_index: Both directions of every edge. Column :math:`(v, u)` stands for the end of :math:`v`.
        maps: The restriction map of each column's first node, ``[E, d]`` for diagonal maps, else ``[E, q, d]``.
        kind: ``"diag"``, ``"bundle"`` (orthogonal maps) or ``"general"`` (default: ``"general"``).
        edge_weight: For bundles a factor ``[E]`` of each map, the same in both directions (default: ones).
        normalize: ``"block"`` as above; ``"degree"`` for :math:`S_v = (\deg_v + 1)^{-1/2}`, for general maps
            :math:`(d \deg_v + 1)^{-1/2}`; ``None`` for :math:`L` itself (default: ``"block"``).
        augmented: Whether the identity (the 1) is added in :math:`S`; without it :math:`S` is the root of the
            pseudo-inverse (default: ``True``).
        low_pass: Append a coordinate with the fixed operator :math:`\deg + A` (default: ``False``).
        high_pass: Append a coordinate with :math:`\deg - A` (default: ``False``). Both are scaled by
            :math:`(\deg + 1)^{-1/2}` on either side unless ``normalize`` is None.
        size: The number of nodes (default: the largest id plus one).
        official_fixed_scale: Leave the appended coordinates unscaled with ``normalize="degree"``, as the official code
            does (default: ``False``).

    Raises:
        ValueError: If the graph is not undirected and simple, or a shape does not fit.

    Example:
        >>> L = sheaf_laplacian(torch.tensor([[0, 1], [1, 0]]), torch.tensor([[1.0], [-2.0]]), "diag", normalize=None)
        >>> L.to_dense()
        tensor([[1., 2.],
                [2., 4.]])
    """
    check_choice(kind, KINDS, "kind of maps")
    graph = sheaf_graph(edge_index, size)
    wanted = 2 if kind == "diag" else 3
    if (
        maps.dim() != wanted
        or maps.size(0) != 2 * graph.num_pairs
        or (kind == "bundle" and maps.size(1) != maps.size(2))
    ):
        shape = {"diag": "[E, d]", "bundle": "[E, d, d]", "general": "[E, q, d]"}[kind]
        raise ValueError(f"{kind} maps need shape {shape} with E = {2 * graph.num_pairs}, got {list(maps.shape)}")
    weight = None
    if edge_weight is not None:
        weight = graph.from_edges(edge_weight)
        if not torch.equal(weight[: graph.num_pairs], weight[graph.num_pairs :]):
            raise ValueError("edge_weight must be the same in both directions of an edge; symmetrise it first")
        weight = weight[: graph.num_pairs]
    ends = graph.from_edges(maps).movedim(0, -1)
    return assemble(
        graph, ends, kind, weight, normalize, augmented, low_pass, high_pass, scale_fixed=not official_fixed_scale
    )


def assemble(
    graph: SheafGraph,
    maps: Tensor,
    kind: str,
    weight: Tensor | None = None,
    normalize: str | None = "block",
    augmented: bool = True,
    low_pass: bool = False,
    high_pass: bool = False,
    scale_fixed: bool = True,
) -> SheafLaplacian:
    """Like :func:`sheaf_laplacian`, from maps per end with components first and weights per undirected edge."""
    if normalize not in ("block", "degree", None):
        raise ValueError(f"normalize={normalize!r}, choose from 'block', 'degree', None")
    if weight is not None and kind != "bundle":
        raise ValueError(f"edge weights belong to bundle maps, but the maps are {kind}; scale the maps instead")
    if maps.dtype in (torch.float16, torch.bfloat16):
        maps, weight = maps.float(), None if weight is None else weight.float()
    if kind == "bundle":
        between, diagonal = _bundle(graph, maps, weight, normalize, augmented)
    else:
        between, diagonal = (_diag if kind == "diag" else _general)(graph, maps, normalize, augmented)
    fixed_scale = _degree_scale(graph, maps.dtype, 1, augmented)
    if normalize is None or (normalize == "degree" and not scale_fixed):
        fixed_scale = torch.ones_like(fixed_scale)
    signs = [1.0] * low_pass + [-1.0] * high_pass
    pattern = sheaf_pattern(graph, maps.size(-2), kind, len(signs))
    numbers = [between.reshape(-1), diagonal.reshape(-1)]
    for sign in signs:
        numbers += [sign * fixed_scale[graph.node] * fixed_scale[graph.other], graph.degree * fixed_scale**2]
    values = _Spread.apply(*numbers[:2], torch.cat(numbers[2:]) if signs else None, pattern)
    return SheafLaplacian(pattern, values, graph.num_nodes, maps.size(-2) + len(signs))


def _diag(graph: SheafGraph, maps: Tensor, normalize: str | None, augmented: bool) -> tuple[Tensor, Tensor]:
    block = sum_ends(maps * maps, graph)
    scale = _scale(graph, block, normalize, augmented)
    if scale is not None:
        maps = maps * gather_ends(scale, None, graph)
        block = block * scale * scale
    first, second = _sides(maps, graph)
    return -first * second, block


def _bundle(
    graph: SheafGraph, maps: Tensor, weight: Tensor | None, normalize: str | None, augmented: bool
) -> tuple[Tensor, Tensor]:
    first, second = _sides(maps, graph)
    squared = None if weight is None else weight * weight
    block = graph.degree.to(maps.dtype) if squared is None else sum_ends(torch.cat([squared, squared])[None], graph)[0]
    factor, scale = squared, _scale(graph, block, normalize, augmented)
    if scale is not None:
        at_first, at_second = _sides(gather_ends(scale[None], None, graph), graph)
        both = (at_first * at_second)[0]
        factor = both if factor is None else factor * both
        block = block * scale * scale
    transport = transpose_product(first, second)
    return -transport if factor is None else transport * -factor, block.expand(maps.size(1), -1)


def _general(graph: SheafGraph, maps: Tensor, normalize: str | None, augmented: bool) -> tuple[Tensor, Tensor]:
    d, n = maps.size(1), graph.num_nodes
    block = sum_ends(transpose_product(maps, maps).view(d * d, -1), graph).view(d, d, n)
    if normalize == "block":
        stacked = block.permute(2, 0, 1)
        if augmented:
            root = inverse_sqrt(stacked + torch.eye(d, dtype=maps.dtype, device=maps.device))
        else:
            root = inverse_sqrt(stacked, cut=_CUT)
        scale = root.permute(1, 2, 0).contiguous()
        maps = product(maps, gather_ends(scale.view(d * d, n), None, graph).view(d, d, -1))
        block = product(product(scale, block), scale)
    elif normalize == "degree":
        of_node = _degree_scale(graph, maps.dtype, d, augmented)
        maps = maps * of_node[graph.node]
        block = block * of_node**2
    first, second = _sides(maps, graph)
    return -transpose_product(first, second), block


def _sides(per_end: Tensor, graph: SheafGraph) -> tuple[Tensor, Tensor]:
    """The ends of the smaller nodes, and opposite to them those of the larger ones."""
    return per_end[..., : graph.num_pairs], per_end[..., graph.num_pairs :]


def _scale(graph: SheafGraph, block: Tensor, normalize: str | None, augmented: bool) -> Tensor | None:
    """What normalises each coordinate, from a diagonal that is one; ``None`` for nothing."""
    if normalize == "degree":
        return _degree_scale(graph, block.dtype, 1, augmented).expand_as(block)
    return None if normalize is None else _inverse_root(block, augmented)


def _inverse_root(block: Tensor, augmented: bool) -> Tensor:
    if augmented:
        return (block + 1).rsqrt()
    positive = block > 0
    return block.where(positive, 1.0).rsqrt() * positive


def _degree_scale(graph: SheafGraph, dtype: torch.dtype, per_edge: int, augmented: bool) -> Tensor:
    return _inverse_root(per_edge * graph.degree.to(dtype), augmented)


class _Spread(torch.autograd.Function):
    """The values of the matrix in CSR order; numbers between nodes go to two places."""

    @staticmethod
    def forward(ctx: Any, between: Tensor, diagonal: Tensor, fixed: Tensor | None, pattern: SheafPattern) -> Tensor:
        ctx.pattern = pattern
        numbers = [between, diagonal] if fixed is None else [between, diagonal, fixed]
        return torch.cat(numbers).index_select(0, pattern.source)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        pattern = ctx.pattern
        between = grad.index_select(0, pattern.upper) + grad.index_select(0, pattern.lower)
        return between, grad.index_select(0, pattern.diagonal), None, None


class _SymmetricProduct(torch.autograd.Function):
    """A product with a matrix that is its own transpose."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor, pattern: SparsityPattern) -> Tensor:
        ctx.pattern = pattern
        ctx.save_for_backward(x, values)
        return backend.csr_mm(pattern.csr_tensor(values), x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, values = ctx.saved_tensors
        grad_x = _SymmetricProduct.apply(grad, values, ctx.pattern) if ctx.needs_input_grad[0] else None
        grad_values = sampled(ctx.pattern, grad, x) if ctx.needs_input_grad[1] else None
        return grad_x, grad_values, None
