"""What a module computes, as a graph of operations."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules import activation, conv, dropout, linear, pooling, sparse
from torch.nn.modules import flatten as flattening
from torch_geometric.data import Data

from graphkit.core.constraints import checked
from graphkit.metanetworks.tracing import FLAT, OTHERS, POINTWISE, SCALED, SUMS, traced

OPERATIONS = (
    "input", "output", "parameter", "linear", "convolution", "embedding", "batch norm", "layer norm", "group norm",
    "instance norm", "activation", "pooling", "dropout", "flatten", "sum", "factor", "mean",
)  # fmt: skip
SIZES = 16  # codes of a size: 0 where there is none, else 1 more than its binary logarithm, rounded up

_OF_MODULES: list[tuple[str, tuple[str, ...]]] = [
    ("linear", tuple(linear.__all__)),
    ("convolution", tuple(conv.__all__)),
    ("embedding", tuple(sparse.__all__)),
    ("batch norm", ("_BatchNorm",)),
    ("instance norm", ("_InstanceNorm",)),
    ("layer norm", ("LayerNorm", "RMSNorm")),
    ("group norm", ("GroupNorm",)),
    ("pooling", tuple(pooling.__all__)),
    ("dropout", tuple(dropout.__all__)),
    ("flatten", tuple(flattening.__all__)),
    ("activation", tuple(name for name in activation.__all__ if name != "MultiheadAttention")),
]
_OF_FUNCTIONS: list[tuple[str, set[Any]]] = [
    ("sum", SUMS),
    ("flatten", FLAT | {"view", "reshape", torch.reshape}),
    ("factor", SCALED),
    ("activation", POINTWISE | {"softmax", "log_softmax"}),
    ("dropout", {"dropout"}),
]


@checked
def computational_graph(module: nn.Module) -> Data:
    """What a module computes as a graph: a node per operation, an edge from each to those that read its result.

    As in `"Parameter Prediction for Unseen Deep Architectures" <https://github.com/facebookresearch/ppuda>`_ (Knyazev,
    Drozdzal, Taylor, Romero-Soriano; NeurIPS 2021). torch.fx follows ``forward``; layers of torch are operations, other
    modules are looked into. Weights are not read: modules that compute alike have the same graph. A layer that is used
    twice is two nodes of one name.

    Args:
        module: The network. It is only followed, not run.

    Shapes:
        - **output:** ``x`` ``[num_nodes, 4]``, codes: an index in ``OPERATIONS``, and of the first parameter the sizes
          of the first two axes and of the kernel (0: none, :math:`s`: up to :math:`2^{s - 1}`, at most 15); nodes are
          in an order in which each comes after what it reads, and ``names`` are those of their layers or parameters,
          ``""`` of other operations

    Raises:
        TypeError: If torch.fx cannot follow the module, or an operation is none of those; the message names it.

    Example:
        >>> graph = computational_graph(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
        >>> [OPERATIONS[code] for code in graph.x[:, 0].tolist()], graph.names
        (['input', 'linear', 'activation', 'linear', 'output'], ['', '0', '', '2', ''])
        >>> graph.edge_index
        tensor([[0, 1, 2, 3],
                [1, 2, 3, 4]])
    """
    nodes = traced(module, fx.Tracer(), "computational_graph").nodes
    number = {node: i for i, node in enumerate(nodes)}
    rows, names = [], []
    for node in nodes:
        part = _part(module, node)
        first = next(iter(part.parameters()), None) if isinstance(part, nn.Module) else part
        sizes = (
            [0, 0, 0]
            if first is None
            else [*[*first.shape[:2], 0, 0][:2], first[0, 0].numel() if first.dim() > 2 else 0]
        )
        rows.append([OPERATIONS.index(_operation(node, part)), *(min(size.bit_length(), SIZES - 1) for size in sizes)])
        names.append("" if first is None else str(node.target))
    edges = [(number[source], number[node]) for node in nodes for source in node.all_input_nodes]
    edge_index = torch.tensor(edges, dtype=torch.long).view(-1, 2).t().contiguous()
    return Data(x=torch.tensor(rows), edge_index=edge_index, names=names)


def _part(module: nn.Module, node: fx.Node) -> Any:
    """The layer or parameter that a node stands for, if any."""
    if node.op == "call_module":
        return module.get_submodule(str(node.target))
    return operator.attrgetter(str(node.target))(module) if node.op == "get_attr" else None


def _operation(node: fx.Node, part: Any) -> str:
    if node.op in ("placeholder", "output", "get_attr"):
        return {"placeholder": "input", "output": "output", "get_attr": "parameter"}[node.op]
    if isinstance(part, nn.Module):
        kinds = {cls.__name__ for cls in type(part).__mro__ if cls.__module__.startswith("torch.nn")}
        found = next((name for name, classes in _OF_MODULES if kinds.intersection(classes)), None)
    else:
        known = {node.target, getattr(node.target, "__name__", "")}
        found = next((name for name, functions in _OF_FUNCTIONS if known & functions), None)
        called = str(getattr(node.target, "__name__", node.target))
        found = found or ("pooling" if "_pool" in called else "mean" if called in OTHERS else None)
    if found is None:
        what = type(part).__name__ if isinstance(part, nn.Module) else getattr(node.target, "__name__", node.target)
        raise TypeError(
            f"computational_graph: {what} ({node.format_node()}) is no operation that is known; known are "
            f"{', '.join(OPERATIONS[3:])}"
        )
    return found
