"""A module, followed by torch.fx from its inputs to its output, as a parameter graph."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch_geometric.data import Data

from graphkit.core.constraints import checked
from graphkit.metanetworks.graph import Bias, Neurons, ParameterGraph
from graphkit.metanetworks.kinds import add, kind_of, residual, transparent

SUMS = {operator.add, operator.iadd, torch.add, "add", "add_"}
FLAT = {torch.flatten, "flatten"}
SCALED = {operator.mul, operator.truediv, operator.sub, operator.neg, torch.mul, torch.div, "mul", "div"}
POINTWISE = {"relu", "gelu", "silu", "tanh", "sigmoid", "sin", "cos", "exp", "elu", "leaky_relu", "softplus", "selu"}
OTHERS = {"dropout", "softmax", "log_softmax", "mean", "sum", "amax", "contiguous", "float", "double"}
OTHERS |= {f"{kind}_pool{dim}d" for kind in ("max", "avg", "adaptive_avg", "adaptive_max") for dim in (1, 2, 3)}
_TRANSPARENT = {
    of for name in POINTWISE | OTHERS for of in (name, getattr(torch, name, None), getattr(F, name, None)) if of
}


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return kind_of(m) is not None or transparent(m) or super().is_leaf_module(m, module_qualified_name)


@checked
def module_to_graph(module: nn.Module, bias: Bias = "node") -> Data:
    r"""A neural network as a graph: a node per neuron or channel, an edge per parameter.

    After `"Graph Metanetworks for Processing Diverse Neural Architectures"
    <https://github.com/cptq/graph_metanetworks>`_ (Lim, Maron, Law, Lorraine, Lucas; ICLR 2024); graphs equal those of
    the authors' code. torch.fx follows the module's ``forward`` through linear maps, convolutions, norms, embeddings,
    attention, transformer encoders, layers without parameters, activations, pooling, sums (residuals, branches), means
    and sums over elements (deep sets).

    A kernel has an edge per entry for each pair of channels, a map of flattened channels an edge per place, so edges
    may be parallel; do not coalesce them. Batch norms' running statistics are no parameters, so not in the graph. Sums
    are edges of value 1 and type 4 (residual) from the earlier to the later neurons; so is in attention what leads from
    each query to its key, and from keys to values of a head. All other edges are the parameters, in the order of
    ``module.parameters()``: their ``edge_attr[:, 0]`` is ``torch.nn.utils.parameters_to_vector``, with its gradient.
    Permutations of hidden neurons are permutations of nodes.

    Args:
        module: The network. It is only followed, not run.
        bias: Whether a layer's biases come from a ``"node"`` of their own, as do gammas and betas of norms, or are each
            a ``"loop"`` at its neuron (default: ``"node"``).

    Shapes:
        - **output:** ``x`` ``[num_nodes, 3]``: layer, number (of inputs and outputs; -1 of all others) and type, an
          index in ``NODE_TYPES``; ``edge_attr`` ``[num_edges, 6]``: value, layer, type, an index in ``EDGE_TYPES``, and
          three numbers that tell parallel edges apart (place in the kernel, or among what was flattened; query, key or
          value), -1 where there are none

    Raises:
        TypeError: If the module does something that has no place in the graph; the message names it.
        ValueError: If widths do not fit, or a parameter is shared or never read.

    Example:
        >>> graph = module_to_graph(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
        >>> graph.num_nodes, graph.num_edges  # 3 + 4 + 2 neurons, 2 biases; 26 parameters
        (11, 26)
    """
    graph = ParameterGraph(bias)
    if kind_of(module) is not None:
        out = add(graph, module, "", Neurons(0))
    else:
        out = _follow(graph, module, traced(module, _Tracer(), "module_to_graph"))
    graph.number(out)
    return graph.data(module)


def traced(module: nn.Module, tracer: fx.Tracer, place: str) -> fx.Graph:
    """What a tracer sees a module do.

    Args:
        module: The module.
        tracer: The tracer.
        place: What messages begin with.

    Raises:
        TypeError: If it cannot follow.
    """
    try:
        return tracer.trace(module)
    except Exception as error:
        raise TypeError(
            f"{place}: torch.fx cannot follow {type(module).__name__}.forward ({error}); pass a module without "
            "control flow that depends on its inputs"
        ) from error


def _follow(graph: ParameterGraph, module: nn.Module, operations: fx.Graph) -> Neurons:
    values: dict[fx.Node, Neurons] = {}
    for node in operations.nodes:
        given = [values[each] for each in node.all_input_nodes if each in values]
        if node.op == "placeholder":
            values[node] = Neurons(0)
        elif node.op == "output":
            if len(given) != 1:
                raise TypeError(f"module_to_graph: the module returns {len(given)} values, must return one")
            return given[0]
        elif node.target is operator.getitem and _is_attention(module, node.args[0]) and node.args[1] == 0:
            values[node] = given[0]
        elif node.op == "call_module" and len(given) == 1:
            values[node] = add(graph, module.get_submodule(node.target), f"{node.target}.", given[0])
        else:
            values[node] = _called(graph, node, given)
    raise TypeError("module_to_graph: the module returns nothing, must return one value")


def _is_attention(module: nn.Module, node: Any) -> bool:
    return node.op == "call_module" and isinstance(module.get_submodule(node.target), nn.MultiheadAttention)


def _called(graph: ParameterGraph, node: fx.Node, given: list[Neurons]) -> Neurons:
    """What a function or method makes of values."""
    called = node.op in ("call_function", "call_method") and given
    if called and node.target in SUMS and len(given) <= 2:
        return residual(graph, *given) if len(given) == 2 else given[0]
    if called and len(given) == 1:
        if node.target in FLAT:
            return Neurons(given[0].layer, given[0].ids, True)
        if node.target in _TRANSPARENT | SCALED:
            return given[0]
    what = getattr(node.target, "__name__", node.target)
    raise TypeError(
        f"module_to_graph: {what} ({node.op} of {len(given)} values, {node.format_node()}) has no place in the graph; "
        "known are layers, activations, sums, flatten, pooling, means and sums, and factors that are constant"
    )
