"""Sound graphs with one thing damaged: what accepts them must give the result of the sound graph that they mean."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.core.reads import Reads, reads_of
from graphkit.testing.checked_module import CheckedModule
from graphkit.testing.graphs import random_graph


@dataclass(frozen=True)
class Damage:
    """A bad value of an attribute.

    Attributes:
        name: What is wrong.
        key: The attribute.
        value: The bad value.
        meant: The sound value that it means, if it is accepted at all.
    """

    name: str
    key: str
    value: Any
    meant: Any


def damages(key: str, value: Tensor) -> Iterator[Damage]:
    """Everything that can be wrong with an attribute of a graph: type, dtype, shape, length, values.

    Args:
        key: The attribute's name.
        value: Its sound value.

    Example:
        >>> [damage.name for damage in damages("x", torch.eye(2)) if damage.value is None]
        ['missing']
    """
    import networkx as nx
    from scipy.sparse import csr_array

    whole = not value.is_floating_point()
    text = np.full(value.shape, "a")
    for name, bad, meant in (
        ("missing", None, value),
        ("an array", value.numpy(), value),
        ("a list", value.tolist(), value),
        ("float64", value.double(), value),
        ("complex", value + 0j, value),
        ("truth values", value != 0, (value != 0).to(value.dtype)),
        ("int32", value.int(), value.int().to(value.dtype)),
        ("an int16 array", value.short().numpy(), value.short().to(value.dtype)),
        ("another dimension", value[None], value),
        ("a single number", value.sum(), value),
        ("a row too few", value[:-1], value),
        ("a row too many", torch.cat([value, value[:1]]), value),
        ("empty", value[:0], value),
        ("sparse", value.to_sparse_coo(), value),
        ("a string", "abc", value),
        ("strings", text, value),
        ("a list of strings", text.tolist(), value),
        ("rows of different lengths", [[1, 2], [3]], value),
        ("an object", object(), value),
        ("a dict", {"a": 1}, value),
        ("a networkx graph", nx.path_graph(3), value),
    ):
        yield Damage(name, key, bad, meant)
    if value.dim() == 2:
        yield Damage("transposed", key, value.t(), value)
        yield Damage("flat", key, value.reshape(-1), value)
        yield Damage("a scipy matrix", key, csr_array(value.numpy()), value)
        yield Damage("a column too many", key, torch.cat([value, value[:, :1]], dim=1), value)
        yield Damage("a column too few", key, value[:, 1:], value)
    if whole:
        yield Damage("floats", key, value.float(), value)
    else:
        yield Damage("float16", key, value.half(), value.half().to(value.dtype))
        yield Damage("bfloat16", key, value.bfloat16(), value.bfloat16().to(value.dtype))
        yield Damage("NaN", key, _with(value, float("nan")), value)
        yield Damage("infinite", key, _with(value, float("inf")), value)
    if key == "edge_index":
        yield Damage("negative", key, _with(value, -1), value)
        yield Damage("too large", key, _with(value, 1000), value)
        yield Damage("far too large", key, _with(value, 2**62), value)
        yield Damage("a list of pairs", key, value.t().tolist(), value)


def _with(value: Tensor, entry: float) -> Tensor:
    value = value.clone()
    value.view(-1)[-1] = entry
    return value


# What a layer or model notices: they take tensors, and do not look at all values of x in every step.
_OF_MODULES = {
    "x": "int32, float64, a row too few, a column too many, a column too few",
    "edge_index": "floats, negative, too large, far too large, transposed, flat, another dimension",
    "edge_weight": "float64, a row too few, a row too many",
    "edge_attr": "a row too few, a column too many",
}
# Other graphs, as sound as the first: the number of nodes is that of x, and whole numbers may be codes.
_OTHER_GRAPHS = {
    "x": "a row too many, a row too few, a column too many, a column too few, empty, transposed, missing",
    "edge_index": "a row too many, a column too few",
    "edge_attr": "truth values, int32, an int16 array, a column too many, a column too few, missing",
    "edge_weight": "missing",
}

Trial = tuple[str, Callable[[], Any], Callable[[], Any]]  # what is wrong, a call with it, the call that it means


def module_trials(checked: CheckedModule) -> Iterator[Trial]:
    """Calls of a layer or model with a damaged graph, each with what is wrong and the call that it may mean."""
    module = checked.build(dtype=torch.float32)
    graph = checked.prepare(module, _single(random_graph(weighted=True)))

    def call(graph: Data) -> Tensor:
        with torch.no_grad():
            return checked.call(module, graph)

    allowed = [] if reads_of(module).edge_index else ["a row too few"]  # what is no mistake for this module
    allowed += [] if getattr(module, "in_channels", -1) != -1 else ["a column too many", "a column too few"]
    for key, names in _OF_MODULES.items():
        chosen = [name for name in names.split(", ") if name not in allowed or key != "x"]
        if getattr(reads_of(module), key):
            yield from _trials(call, graph, [damage for damage in damages(key, graph[key]) if damage.name in chosen])


def transform_trials(make: Callable[[], BaseTransform]) -> Iterator[Trial]:
    """Calls of a transform with a damaged graph, likewise."""
    transform, graph = make(), _single(random_graph(weighted=True))

    def call(graph: Data) -> dict[str, Any]:
        return transform(graph).to_dict()

    reads_edges = getattr(transform, "reads", Reads()).edge_index
    for key, others in _OTHER_GRAPHS.items():
        if key == "x" or reads_edges:
            chosen = [damage for damage in damages(key, graph[key]) if damage.name not in others.split(", ")]
            yield from _trials(call, graph, chosen)


def check_bad_data(checked: CheckedModule | Callable[[], BaseTransform]) -> None:
    """Damaged graphs are an error, or give the result of the sound graph that they mean."""
    trials = module_trials(checked) if isinstance(checked, CheckedModule) else transform_trials(checked)
    for name, bad, meant in trials:
        try:
            result = bad()
        except Exception:
            continue
        assert same(result, meant()), f"accepted without a word, with another result: {name}"


def same(first: Any, second: Any) -> bool:
    """Whether results are the same but for rounding, be they numbers, tensors or dicts of them."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        first, second = (value if value.layout == torch.strided else value.to_dense() for value in (first, second))
        close = first.shape == second.shape and torch.isclose(first.double(), second.double(), 1e-3, 1e-3, True)
        return bool(torch.as_tensor(close).all())
    return type(first) is type(second) and first == second


def _trials(call: Callable[[Data], Any], graph: Data, chosen: Iterable[Damage]) -> Iterator[Trial]:
    for damage in chosen:
        damaged, sound = (partial(call, _changed(graph, damage.key, v)) for v in (damage.value, damage.meant))
        yield f"{damage.key}: {damage.name}", damaged, sound


def _single(graph: Data) -> Data:
    """The graph in single precision."""
    return graph.apply(lambda value: value.float() if value.is_floating_point() else value)


def _changed(graph: Data, key: str, value: Any) -> Data:
    graph = copy.copy(graph)
    graph[key] = value
    return graph
