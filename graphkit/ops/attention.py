"""Attention over the edges of a graph: scores, their normalisation, and weighted sums."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkit.core.validate import check_choice
from graphkit.ops import backend
from graphkit.ops.dropout import dropout as dropped
from graphkit.ops.fused import Kernels
from graphkit.ops.over_edges import at_edges, sum_over_edges
from graphkit.ops.pattern import Size, SparsityPattern, sparsity_pattern
from graphkit.ops.rows import row_softmax, row_sum

Form = Literal["additive", "dynamic", "dot"]
Normalization = Literal["softmax", "squareplus"]
Over = Literal["targets", "sources"]
_FORMS = ("additive", "dynamic", "dot")
_NORMALIZATIONS = (None, "softmax", "squareplus")
_EPS = 1e-16  # as in PyG, of sums of exponentials


@dataclass(frozen=True)
class Scores:
    r"""How much each edge matters before normalisation, told by what nodes and edges contribute.

    Made by :meth:`additive`, :meth:`dynamic`, :meth:`dot` or :meth:`given`. Edges' contributions stand in their order.

    Args:
        form: ``"additive"``, ``"dynamic"`` or ``"dot"``.
        target: What targets contribute, ``[num_targets, heads]``, or ``[num_targets, heads, channels]``.
        source: What sources contribute, likewise.
        edge: What edges contribute, likewise.
        weight: The vectors of ``"dynamic"`` scores, ``[heads, channels]``.
        slope: The factor of negative numbers in the leaky ReLU, or that of dot products.

    Raises:
        ValueError: If shapes do not fit.
    """

    form: Form
    target: Tensor | None
    source: Tensor | None
    edge: Tensor | None
    weight: Tensor | None
    slope: float

    def __post_init__(self) -> None:
        shapes = [list(x.shape) for x in self.parts[:3] if x is not None]
        if len({tuple(shape[1:]) for shape in shapes}) != 1 or len(shapes[0]) != 2 + (self.form != "additive"):
            wanted = "[*, heads]" if self.form == "additive" else "[*, heads, channels]"
            told = ", ".join(map(str, shapes))
            raise ValueError(f"Scores: target, source and edge have shapes {told}, expected {wanted}")
        if self.weight is not None and list(self.weight.shape) != shapes[0][1:]:
            raise ValueError(f"Scores: weight has shape {list(self.weight.shape)}, expected {shapes[0][1:]}")

    @classmethod
    def additive(
        cls, target: Tensor, source: Tensor, edge: Tensor | None = None, negative_slope: float = 0.2
    ) -> Scores:
        r"""The scores of GAT, :math:`\mathrm{LeakyReLU}(a_t + b_s + c_{st})`, with numbers ``[*, heads]``."""
        return cls("additive", target, source, edge, None, negative_slope)

    @classmethod
    def dynamic(
        cls, target: Tensor, source: Tensor, weight: Tensor, edge: Tensor | None = None, negative_slope: float = 0.2
    ) -> Scores:
        r"""The scores of GATv2, :math:`\langle a, \mathrm{LeakyReLU}(x_t + x_s + x_{st}) \rangle`.

        Args:
            target: :math:`x_t`, ``[num_targets, heads, channels]``.
            source: :math:`x_s`, ``[num_sources, heads, channels]``.
            weight: :math:`a`, ``[heads, channels]``.
            edge: :math:`x_{st}`, ``[num_edges, heads, channels]`` (default: none).
            negative_slope: Of the leaky ReLU (default: 0.2).
        """
        return cls("dynamic", target, source, edge, weight, negative_slope)

    @classmethod
    def dot(cls, query: Tensor, key: Tensor, edge: Tensor | None = None, scale: float | None = None) -> Scores:
        r"""The scores of transformers, :math:`\langle q_t, k_s + e_{st} \rangle / \sqrt{d}`, of ``[*, heads, d]``.

        Args:
            query: :math:`q`, of targets.
            key: :math:`k`, of sources.
            edge: :math:`e`, of edges (default: none).
            scale: The factor in place of :math:`1 / \sqrt{d}` (default: that).
        """
        return cls("dot", query, key, edge, None, 1 / math.sqrt(query.size(-1)) if scale is None else scale)

    @classmethod
    def given(cls, values: Tensor) -> Scores:
        """Scores ``[num_edges, heads]`` as they are."""
        return cls("additive", None, None, values, None, 1.0)

    @property
    def parts(self) -> tuple[Tensor | None, ...]:
        """Target, source, edge and weight."""
        return self.target, self.source, self.edge, self.weight

    @property
    def heads(self) -> int:
        """The number of heads."""
        some = next(part for part in self.parts if part is not None)
        return some.size(1)


def attention(
    graph: Tensor | SparsityPattern,
    scores: Scores,
    value: Tensor,
    edge_value: Tensor | None = None,
    *,
    normalize: Normalization | None = "softmax",
    over: Over = "targets",
    dropout: float = 0.0,
    size: Size = None,
) -> Tensor:
    r"""Weighted sums over the edges that enter each target, with normalised scores for weights, per head.

    .. math::
        y_t = \sum_{s \to t} \alpha_{st} (v_s + v_{st}), \qquad
        \alpha_{st} = \frac{\phi(c_{st})}{\sum_{s' \to t} \phi(c_{s't})}

    with :math:`\phi(c) = e^c` (softmax; the same for scores of any size) or :math:`\phi(c) = (c + \sqrt{c^2 + 4}) / 2`
    (squareplus). Targets without edges give 0.

    On the CPU, in single and double precision, compiled kernels make no tensor that has channels per edge, and keep
    weights per edge and head only where scores are of channels, a head's values fill vectors of 8, and edges have none;
    else weights are computed anew on the way back. Results are bit-equal for any number of threads. So do the kernels
    for CUDA, of the softmax over targets. Elsewhere, and for derivatives of derivatives, messages are gathered and
    added, on large graphs for a block of edges at a time.

    Args:
        graph: Edges ``[2, E]`` (sources, targets), or anything else that :func:`sparsity_pattern` takes.
        scores: The scores :math:`c_{st}`.
        value: :math:`v_s`, of sources.
        edge_value: :math:`v_{st}`, in the order of the edges (default: none).
        normalize: ``"softmax"``, ``"squareplus"``, or ``None`` for scores that are weights (default: ``"softmax"``).
        over: Whether weights sum to 1 over the edges that enter each of the ``"targets"``, or that leave each of the
            ``"sources"``, for which weights of edges and heads are stored (default: ``"targets"``).
        dropout: The probability of dropping a weight (default: 0).
        size: Number of nodes, or ``(num_sources, num_targets)`` (default: as scores and values have rows).

    Shapes:
        - **value:** :math:`(S, H, C)`
        - **edge_value:** :math:`(E, H, C)`
        - **output:** :math:`(T, H, C)`

    Raises:
        ValueError: If a shape does not fit.
        IndexError: If an edge names a node that does not exist.

    Example:
        >>> edges, zeros = torch.tensor([[0, 1], [2, 2]]), torch.zeros(3, 1)
        >>> attention(edges, Scores.additive(zeros, zeros), torch.tensor([[[1.0]], [[3.0]], [[5.0]]])).flatten()
        tensor([0., 0., 2.])
    """
    pattern = _pattern(graph, scores, value, edge_value, size, normalize, over)
    if over == "sources" and normalize is not None:
        scores, normalize = Scores.given(attention_weights(pattern, scores, normalize=normalize, over=over)), None
    keep = None
    if dropout > 0:
        keep = dropped(value.new_ones(pattern.num_edges, scores.heads), dropout)
    edge_value = None if edge_value is None else pattern.to_csr(edge_value)
    return _attend(pattern, _by_rows(pattern, scores), value, edge_value, normalize, keep)


def attention_weights(
    graph: Tensor | SparsityPattern,
    scores: Scores,
    *,
    normalize: Normalization | None = "softmax",
    over: Over = "targets",
    size: Size = None,
) -> Tensor:
    r"""The weights :math:`\alpha_{st}` of :func:`attention`, or with ``normalize=None`` the scores.

    Args:
        graph: As in :func:`attention`.
        scores: The scores.
        normalize: As in :func:`attention` (default: ``"softmax"``).
        over: As in :func:`attention` (default: ``"targets"``).
        size: As in :func:`attention` (default: as scores have rows).

    Shapes:
        - **output:** :math:`(E, H)`, in the order of the edges

    Raises:
        ValueError: If a shape does not fit.
        IndexError: If an edge names a node that does not exist.

    Example:
        >>> attention_weights(torch.tensor([[0, 1], [1, 1]]), Scores.given(torch.zeros(2, 1))).flatten()
        tensor([0.5000, 0.5000])
    """
    pattern = _pattern(graph, scores, None, None, size, normalize, over)
    if over == "sources" and normalize is not None:
        raw = attention_weights(pattern, scores, normalize=None)
        return attention_weights(pattern.T, Scores.given(raw), normalize=normalize)
    return pattern.to_edges(row_weights(pattern, _by_rows(pattern, scores), normalize))


def row_weights(pattern: Any, scores: Scores, normalize: Normalization | None) -> Tensor:
    """The weights over targets, ``[num_edges, heads]``, in CSR order, as is what edges contribute to the scores.

    Args:
        pattern: The sparsity pattern.
        scores: The scores.
        normalize: As in :func:`attention`.
    """
    return _attend(pattern, scores, None, None, normalize, None)


def _by_rows(pattern: Any, scores: Scores) -> Scores:
    """The scores with edges' contributions in CSR order."""
    return scores if scores.edge is None else replace(scores, edge=pattern.to_csr(scores.edge))


def _pattern(
    graph: Any, scores: Scores, value: Tensor | None, edge_value: Tensor | None, size: Size, normalize: Any, over: str
) -> Any:
    """The pattern, whose sizes are those of what is given; checks all arguments."""
    check_choice(over, ("targets", "sources"), "value of over")
    if normalize is not None:
        check_choice(normalize, _NORMALIZATIONS[1:], "normalization")
    target, source, edge, _ = scores.parts
    if size is None and isinstance(graph, Tensor) and graph.layout == torch.strided:
        sources = value if source is None else source
        if sources is not None:
            size = sources.size(0), sources.size(0) if target is None else target.size(0)
    pattern = sparsity_pattern(graph, size)
    for name, given in {"value": value, "edge_value": edge_value}.items():
        if given is not None and (given.dim() != 3 or given.size(1) != scores.heads):
            expected = f"[{'num_sources' if given is value else 'num_edges'}, {scores.heads}, channels]"
            raise ValueError(f"attention: {name} has shape {list(given.shape)}, expected {expected}")
    rows = {"targets": (target, pattern.num_rows), "sources": (source, pattern.num_cols)}
    rows |= {"values": (value, pattern.num_cols), "edges": (edge, pattern.num_edges)}
    rows |= {"values of edges": (edge_value, pattern.num_edges)}
    for name, (given, count) in rows.items():
        if given is not None and given.size(0) != count:
            raise ValueError(
                f"attention: {name} have shape {list(given.shape)}, but the graph has {count}; pass one row each"
            )
    return pattern


def _attend(
    pattern: Any, scores: Scores, value: Tensor | None, edge_value: Tensor | None, normalize: Any, keep: Tensor | None
) -> Tensor:
    """The weighted sums, or without values the weights; all that edges have is in CSR order."""
    target, source, edge, weight = scores.parts
    inputs = _in_common(target, source, edge, weight, value, edge_value, keep)
    if value is not None and edge_value is None and _in_two_steps(pattern, scores.form, value):
        weights = _attend(pattern, scores, None, None, normalize, None)
        return _weighted_sum(pattern, weights if keep is None else weights * keep, value)
    definition = functools.partial(_plain, pattern, scores.form, scores.slope, normalize)
    ways = _kernels(pattern, scores.form, scores.slope, normalize, inputs)
    return definition(*inputs) if ways is None else Kernels(*ways, definition)(*inputs)


def _in_two_steps(pattern: Any, form: Form, value: Tensor) -> bool:
    """Whether kernels make all weights before sums by them.

    So they do where scores and sums read rows of channels, which a cache rarely holds both.
    """
    wide = form != "additive" and value.size(2) % 8 == 0
    return wide and not pattern.traced and _compiled(value) and not backend.fused(value)


def _compiled(x: Tensor) -> bool:
    """Whether there are compiled kernels for such a tensor."""
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)


def _weighted_sum(pattern: SparsityPattern, weights: Tensor, value: Tensor) -> Tensor:
    """The sums of values by weights per edge and head, by compiled kernels."""
    from graphkit.ops import attention_products

    rows = pattern.rowptr, pattern.col

    def backward(inputs: Any, kept: Any, grad: Tensor) -> Sequence[Tensor | None]:
        return attention_products.weighted_sum_backward(rows, _columns(pattern), inputs, grad)

    def definition(weights: Tensor, value: Tensor) -> Tensor:
        return sum_over_edges(pattern, _message, [value], (), [weights, None])

    return Kernels(functools.partial(attention_products.weighted_sum, rows), backward, definition)(weights, value)


def _columns(pattern: SparsityPattern) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Where the entries of each column begin; their rows, and their positions in row order."""
    return pattern.colptr, (pattern.csc_row, pattern.csc_perm)


def _in_common(*tensors: Tensor | None) -> list[Tensor | None]:
    """The tensors in the widest of their dtypes."""
    dtype = functools.reduce(torch.promote_types, {x.dtype for x in tensors if x is not None})
    return [None if x is None else x.to(dtype) for x in tensors]


def _plain(
    pattern: Any,
    form: Form,
    slope: float,
    normalize: Any,
    target: Tensor | None,
    source: Tensor | None,
    edge: Tensor | None,
    weight: Tensor | None,
    value: Tensor | None,
    edge_value: Tensor | None,
    keep: Tensor | None,
) -> Tensor:
    """The definition, of what is gathered."""
    score = functools.partial(_score, form, slope)
    weights = at_edges(pattern, score, [source], [target], [edge], [weight])
    if normalize == "softmax":
        weights = row_softmax(pattern, weights)
    else:
        if normalize == "squareplus":
            weights = (weights + (weights.square() + 4).sqrt()) / 2
        weights = pattern.to_csr(weights) if pattern.traced else weights
        if normalize == "squareplus":
            weights = weights / (row_sum(pattern, weights) + _EPS).index_select(0, pattern.row)
    if keep is not None:
        weights = weights * keep
    return weights if value is None else sum_over_edges(pattern, _message, [value], (), [weights, edge_value])


def _score(
    form: Form, slope: float, source: Tensor | None, target: Tensor | None, edge: Tensor | None, weight: Tensor | None
) -> Tensor:
    """The scores of edges, by what they and their ends have."""
    other = _sum(source, edge)
    if form == "dot":
        return slope * (cast(Tensor, target) * other).sum(-1)
    scores = F.leaky_relu(_sum(target, other), slope)
    return scores if weight is None else (scores * weight).sum(-1)


def _message(value: Tensor, weight: Tensor, edge_value: Tensor | None) -> Tensor:
    return weight.unsqueeze(-1) * _sum(value, edge_value)


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor:
    return cast(Tensor, b if a is None else a if b is None else a + b)


def _kernels(
    pattern: Any, form: Form, slope: float, normalize: Any, inputs: Sequence[Tensor | None]
) -> tuple[Any, Any] | None:
    """The ways forward and back of the kernels for these inputs, where there are some."""
    target, _, edge, _, value, *_ = inputs
    like = cast(Tensor, edge if target is None else target)
    if pattern.traced:
        return None
    if backend.fused(like) and normalize == "softmax" and value is not None:
        from graphkit.ops.triton.attention import attend
        from graphkit.ops.triton.attention_backward import attend_backward

        return (
            lambda *inputs: attend(pattern, form, slope, inputs),
            lambda inputs, kept, grad: [*attend_backward(pattern, form, slope, inputs, kept, grad), None],
        )
    if not _compiled(like):
        return None
    from graphkit.ops import attention_calls, attention_products

    heads, width = like.shape[1], 1 if form == "additive" else like.shape[2]
    channels = 0 if value is None else value.shape[2]
    call = attention_calls.Call(_FORMS.index(form), _NORMALIZATIONS.index(normalize), slope, heads, width, channels)
    calls = attention_products if attention_products.weighs(call, edge) else attention_calls
    rows = pattern.rowptr, pattern.col

    def forward(*inputs: Any) -> tuple[Tensor, Sequence[Tensor]]:
        return calls.attend(rows, call, inputs)

    def backward(inputs: Any, kept: Any, grad: Tensor) -> list[Tensor | None]:
        return [*calls.attend_backward(rows, _columns(pattern), call, inputs, kept, grad), None]

    return forward, backward
