"""Checks of user input. Each raises one error that names the value, the place and the remedy.

Torch is imported by those that need it: names are checked by commands that answer at once.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from graphkit.core.synonyms import SYNONYMS

if TYPE_CHECKING:
    from torch import Tensor

_SHOWN = 40  # names in one message


def unknown_name(name: object, options: Iterable[str], what: str) -> str:
    """The message for a name that is not one of ``options``."""
    return f"unknown {what} {name!r}; {suggestion(name, options)}"


def suggestion(name: object, options: Iterable[str]) -> str:
    """The options in words, with a suggestion when one is close or is what another library calls so."""
    choices = list(options)
    choice = meant(str(name).lower(), choices)
    hint = "" if choice is None else f"did you mean {choice!r}? "
    shown = ", ".join(choices[:_SHOWN]) + (f", ... ({len(choices)} in all)" if len(choices) > _SHOWN else "")
    return f"{hint}choose from: {shown}"


def meant(query: str, choices: Sequence[str]) -> str | None:
    """The choice that is meant, or ``None``; of names such as ``trainer.lr`` the part that both have says nothing."""
    part, _, last = query.rpartition(".")
    same_part = {choice.lower()[len(part) + 1 :]: choice for choice in choices if choice.lower().startswith(f"{part}.")}
    if same_part:
        return _closest(last, same_part)
    whole = {choice.lower(): choice for choice in choices}
    return _closest(query, {choice.rpartition(".")[2]: whole[choice] for choice in whole} | whole)


def _closest(query: str, known: Mapping[str, str]) -> str | None:
    if (synonym := SYNONYMS.get(query.replace("-", "_"), "")) in known:
        return known[synonym]

    def likeness(choice: str) -> tuple[float, bool]:  # of equally close names, one that begins alike
        return difflib.SequenceMatcher(None, choice, query).ratio(), choice[:1] == query[:1]

    close = difflib.get_close_matches(query, list(known), n=3, cutoff=0.6)
    return known[max(close, key=likeness)] if close else None


def check_choice(value: str, options: Iterable[str], what: str) -> str:
    """Return ``value`` if it is one of ``options``.

    Raises:
        ValueError: Otherwise, with a did-you-mean.

    Example:
        >>> check_choice("mean", ["sum", "mean"], "reduce")
        'mean'
    """
    choices = list(options)
    if value not in choices:
        raise ValueError(unknown_name(value, choices, what))
    return value


HOOKS = ("on_epoch_start", "on_stage_start")  # of strategies and modules


def check_hooks(cls: type) -> None:
    """Refuse a class that defines a method ``on_...`` which nothing calls, such as one of another library.

    Raises:
        TypeError: Naming the method, and the hooks that there are.
    """
    for name in vars(cls):
        if name.startswith("on_") and name not in HOOKS:
            raise TypeError(f"{cls.__name__}.{name} is never called; the hooks are {' and '.join(HOOKS)}")


def checked_edge_attr(edge_attr: Tensor, num_edges: int, edge_dim: int | None, where: str) -> Tensor:
    """The features of edges ``[num_edges, edge_dim]``, a column of them where they have one axis.

    Args:
        edge_attr: The features.
        num_edges: The number of edges.
        edge_dim: The number of features of an edge.
        where: The place named in messages.

    Raises:
        ValueError: If there is not a row per edge, or another number of columns.
    """
    edge_attr = edge_attr.view(-1, 1) if edge_attr.dim() == 1 else edge_attr
    if edge_attr.size(0) != num_edges:
        raise ValueError(f"{where}: edge_attr has {edge_attr.size(0)} rows, but the graph has {num_edges} edges")
    if edge_attr.size(1) != edge_dim:
        raise ValueError(f"{where}: edge_attr has {edge_attr.size(1)} columns, but edge_dim={edge_dim}")
    return edge_attr


def check_edge_index(edge_index: Tensor, num_nodes: int | tuple[int, int], where: str) -> None:
    """Check that ``edge_index`` is an integer tensor of shape ``[2, num_edges]`` with ids in range.

    Args:
        edge_index: The edges; row 0 holds the sources, row 1 the targets.
        num_nodes: The number of nodes, or ``(num_sources, num_targets)`` of a bipartite graph.
        where: The place named in messages, e.g. ``"GCNConv"``.

    Raises:
        TypeError: If the dtype is not ``torch.int64`` (or ``torch.int32``).
        ValueError: If the shape is not ``[2, num_edges]``.
        IndexError: If an id is negative or not smaller than the number of nodes.
    """
    import torch

    if edge_index.dtype not in (torch.int64, torch.int32):
        raise TypeError(
            f"{where}: edge_index has dtype {edge_index.dtype}, but node ids must be integers of 32 or 64 bits; use "
            "edge_index.long()"
        )
    if edge_index.dim() != 2 or edge_index.size(0) != 2:
        raise ValueError(
            f"{where}: edge_index has shape {list(edge_index.shape)}, expected [2, num_edges] "
            "(row 0: sources, row 1: targets); a list of pairs needs .t()"
        )
    if edge_index.numel() == 0 or torch.compiler.is_compiling():  # ids are no matter of tracers
        return
    sizes = (num_nodes, num_nodes) if isinstance(num_nodes, int) else num_nodes
    lowest, highest = _range(edge_index)
    if lowest >= 0 and highest < min(sizes):
        return
    low, high = edge_index.amin(1).tolist(), edge_index.amax(1).tolist()
    for row, (end, size) in enumerate(zip(("source", "target"), sizes, strict=True)):
        if low[row] < 0 or high[row] >= size:
            bad = low[row] if low[row] < 0 else high[row]
            raise IndexError(
                f"{where}: edge_index names {end} node {bad}, but there are {size} {end} nodes (ids 0..{size - 1}); "
                "check the ids or pass the right number of nodes"
            )


def _range(ids: Tensor) -> list[int]:
    if ids.is_cpu:
        lowest, highest = ids.aminmax()
        return [int(lowest), int(highest)]
    from graphkit.core.caching import of_tensor
    from graphkit.core.devices import Asked

    return of_tensor(ids, "range", lambda: Asked(ids.aminmax())).values


def all_finite(values: Tensor) -> bool:
    """Whether there is neither NaN nor infinity; a sum tells at once, unless large numbers overflow in it."""
    values = values.detach() if values.requires_grad else values
    return math.isfinite(values.sum().item()) or bool(values.isfinite().all())


def check_features(x: Tensor, where: str, num_rows: int | None = None, codes: bool = False) -> None:
    """Check that a feature matrix is floating point, two-dimensional, finite and of the right length.

    Sparse tensors are checked on their stored values. With ``codes``, whole numbers will do, one column of them flat.

    Raises:
        TypeError: If the dtype is not floating point.
        ValueError: If the shape is wrong or a value is NaN or infinite; the message names the first such row.
    """
    import torch

    if not x.is_floating_point() and (x.is_complex() or not codes):
        remedy = "x.real and x.imag" if x.is_complex() else "x.float()"
        raise TypeError(f"{where}: features have dtype {x.dtype}, but must be floating point; use {remedy}")
    flat_codes = codes and x.dim() == 1 and not x.is_floating_point()
    if x.dim() != 2 and not flat_codes:
        raise ValueError(f"{where}: features have shape {list(x.shape)}, expected [num_nodes, num_features]")
    if num_rows is not None and x.size(0) != num_rows:
        raise ValueError(f"{where}: features have {x.size(0)} rows, but the graph has {num_rows} nodes")
    values = x if x.layout == torch.strided else x.to_sparse_coo().coalesce().values()
    if all_finite(values):
        return
    dense = x if x.layout == torch.strided else x.to_dense()
    row, column = (~torch.isfinite(dense)).nonzero()[0].tolist()
    raise ValueError(
        f"{where}: feature {column} of node {row} is {dense[row, column].item()}; "
        "replace missing values (e.g. torch.nan_to_num) before building the task"
    )


def check_codes(x: Tensor, num_codes: Sequence[int], place: str) -> Tensor:
    """Columns of integer codes ``[n, len(num_codes)]`` as int64.

    Args:
        x: Whole numbers of any dtype.
        num_codes: The number of values of each column.
        place: Who asks, for the message.

    Raises:
        ValueError: If ``x`` has another number of columns, or a value that is no code.
    """
    if x.dim() != 2 or x.size(1) != len(num_codes):
        columns = x.size(1) if x.dim() == 2 else f"the shape {list(x.shape)}"
        raise ValueError(f"{place} needs {len(num_codes)} columns of codes, got {columns}")
    codes = x.long()
    bad = (codes != x) | (codes < 0) | (codes >= codes.new_tensor(num_codes))
    if bool(bad.any()):
        row, column = bad.nonzero()[0].tolist()
        raise ValueError(
            f"{place}: column {column} of row {row} is {x[row, column].item():g}, must be a whole number in "
            f"0..{num_codes[column] - 1}; are these integer codes?"
        )
    return codes
