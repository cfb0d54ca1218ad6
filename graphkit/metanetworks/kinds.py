"""What each kind of layer adds to a parameter graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import activation, dropout, padding, pooling, upsampling

from graphkit.metanetworks.graph import Neurons, ParameterGraph

Kind = Callable[[ParameterGraph, Any, str, Neurons], Neurons]

# Layers that leave neurons and channels what they are.
_TRANSPARENT = {module.__name__ for module in (activation, dropout, padding, pooling, upsampling)}


def linear(graph: ParameterGraph, layer: nn.Linear, name: str, value: Neurons) -> Neurons:
    """An edge per weight, row by row; several where a channel has several inputs, told apart by their place."""
    source = graph.inputs(value, layer.in_features, "neuron")
    each, rest = divmod(layer.in_features, source.numel())
    if rest or (each > 1 and not value.flat):
        raise ValueError(
            f"module_to_graph: {name or 'the layer'} takes {layer.in_features} inputs, but {source.numel()} neurons "
            "lead there"
        )
    place = torch.arange(each).repeat(source.numel()).unsqueeze(1) if each > 1 else None
    return _dense(graph, name, source.repeat_interleave(each), layer.out_features, value.layer, layer.bias, place)


def _dense(
    graph: ParameterGraph, name: str, source: Tensor, outs: int, layer: int, bias: Any, place: Tensor | None = None
) -> Neurons:
    target = graph.place(outs, layer + 1, "neuron")
    place = None if place is None else place.repeat(outs, 1)
    ends = source.repeat(outs), target.repeat_interleave(source.numel())
    graph.connect(f"{name}weight", *ends, layer, "linear weight", place)
    if bias is not None:
        graph.vector(f"{name}bias", target, layer, layer + 1, "bias", "linear bias")
    return Neurons(layer + 1, target)


def convolution(graph: ParameterGraph, layer: Any, name: str, value: Neurons) -> Neurons:
    """An edge per entry of the kernel for each pair of channels."""
    source = graph.inputs(value, layer.in_channels, "channel")
    _check_width(name, layer.in_channels, source)
    target = graph.place(layer.out_channels, value.layer + 1, "channel")
    kernel = torch.cartesian_prod(*map(torch.arange, layer.kernel_size)).view(-1, len(layer.kernel_size))
    of_group = source.view(layer.groups, -1).repeat_interleave(layer.out_channels // layer.groups, dim=0)
    ends = of_group.reshape(-1), target.repeat_interleave(of_group.size(1))
    source, target_of = (end.repeat_interleave(len(kernel)) for end in ends)
    place = kernel.repeat(of_group.numel(), 1)
    graph.connect(f"{name}weight", source, target_of, value.layer, "conv weight", place)
    if layer.bias is not None:
        graph.vector(f"{name}bias", target, value.layer, value.layer + 1, "channel bias", "conv bias")
    return Neurons(value.layer + 1, target)


def norm(kind: str, width: Callable[[Any], int], inputs: str = "neuron") -> Kind:
    """A factor and an offset per neuron or channel."""

    def add(graph: ParameterGraph, layer: Any, name: str, value: Neurons) -> Neurons:
        target = graph.inputs(value, width(layer), inputs)
        _check_width(name, width(layer), target)
        for part, role in (("weight", "gamma"), ("bias", "beta")):
            if getattr(layer, part, None) is not None:
                graph.vector(f"{name}{part}", target, value.layer, value.layer, f"{kind} {role}", f"{kind} {role}")
        return value

    return add


def embedding(graph: ParameterGraph, layer: nn.Embedding, name: str, value: Neurons) -> Neurons:
    """A linear map of one-hot codes: an input per code."""
    source = graph.inputs(value, layer.num_embeddings, "neuron")
    _check_width(name, layer.num_embeddings, source)
    target = graph.place(layer.embedding_dim, value.layer + 1, "neuron")
    ends = source.repeat_interleave(target.numel()), target.repeat(source.numel())
    graph.connect(f"{name}weight", *ends, value.layer, "linear weight")
    return Neurons(value.layer + 1, target)


def attention(graph: ParameterGraph, layer: nn.MultiheadAttention, name: str, value: Neurons) -> Neurons:
    """Queries, keys and values, three linear maps; edges of value 1 join what a head multiplies with each other."""
    if layer.in_proj_weight is None or layer.bias_k is not None:
        raise TypeError(
            f"module_to_graph: {name}kdim, vdim and add_bias_kv are not known, must be as they are by default"
        )
    width, heads = layer.embed_dim, layer.num_heads
    source = graph.inputs(value, width, "neuron")
    _check_width(name, width, source)
    target = graph.place(3 * width, value.layer + 1, "attention")
    ends = source.repeat(3 * width), target.repeat_interleave(width)
    part = torch.arange(3).repeat_interleave(width * width).unsqueeze(1)
    graph.connect(f"{name}in_proj_weight", *ends, value.layer, "linear weight", part)
    if layer.in_proj_bias is not None:
        graph.vector(f"{name}in_proj_bias", target, value.layer, value.layer + 1, "attention bias", "linear bias")
    query, key, values = target.view(3, width)
    graph.connect(None, query, key, value.layer + 1, "residual")
    of_head = (each.view(heads, -1) for each in (key, values))
    pairs = torch.cat([torch.cartesian_prod(*both) for both in zip(*of_head)])
    graph.connect(None, pairs[:, 0], pairs[:, 1], value.layer + 1, "residual")
    return _dense(graph, f"{name}out_proj.", values, width, value.layer + 1, layer.out_proj.bias)


def encoder_layer(graph: ParameterGraph, layer: nn.TransformerEncoderLayer, name: str, value: Neurons) -> Neurons:
    """Attention and a feed-forward block, both residual, with norms before or after."""

    def part(child: str, of: Neurons) -> Neurons:
        return add(graph, getattr(layer, child), f"{name}{child}.", of)

    def feed_forward(of: Neurons) -> Neurons:
        return part("linear2", part("linear1", of))

    for block, normed in ((lambda of: part("self_attn", of), "norm1"), (feed_forward, "norm2")):
        if layer.norm_first:
            value = residual(graph, value, block(part(normed, value)))
        else:
            value = part(normed, residual(graph, value, block(value)))
    return value


def encoder(graph: ParameterGraph, layers: nn.TransformerEncoder, name: str, value: Neurons) -> Neurons:
    """One layer after the other."""
    for i, layer in enumerate(layers.layers):
        value = encoder_layer(graph, layer, f"{name}layers.{i}.", value)
    return value if layers.norm is None else add(graph, layers.norm, f"{name}norm.", value)


def residual(graph: ParameterGraph, first: Neurons, second: Neurons) -> Neurons:
    """The sum of two values: edges of value 1 lead to the later ones."""
    for value, other in ((first, second), (second, first)):
        if value.ids is None and other.ids is not None:
            graph.inputs(value, other.ids.numel(), "neuron")
    if first.ids is None or second.ids is None:
        raise ValueError("module_to_graph: inputs are added to each other before any layer, must not be")
    if first.ids.numel() != second.ids.numel():
        raise ValueError(
            f"module_to_graph: {first.ids.numel()} and {second.ids.numel()} neurons are added, must be as many"
        )
    early, late = (first, second) if int(first.ids[0]) < int(second.ids[0]) else (second, first)
    if early.ids is not late.ids:
        graph.connect(None, early.ids, late.ids, early.layer, "residual")  # type: ignore[arg-type]
    return late


def transparent(layer: nn.Module) -> bool:
    """Whether a layer has no parameters and leaves neurons what they are."""
    known = type(layer).__module__ in _TRANSPARENT or isinstance(layer, nn.Identity | nn.Flatten)
    return known and next(layer.parameters(), None) is None and not isinstance(layer, nn.MultiheadAttention)


KINDS: dict[type[nn.Module], Kind] = {
    nn.Linear: linear,
    nn.Conv1d: convolution,
    nn.Conv2d: convolution,
    nn.Conv3d: convolution,
    nn.BatchNorm1d: norm("batch norm", lambda layer: layer.num_features),
    nn.BatchNorm2d: norm("batch norm", lambda layer: layer.num_features, "channel"),
    nn.BatchNorm3d: norm("batch norm", lambda layer: layer.num_features, "channel"),
    nn.LayerNorm: norm("layer norm", lambda layer: math.prod(layer.normalized_shape)),
    nn.RMSNorm: norm("layer norm", lambda layer: math.prod(layer.normalized_shape)),
    nn.GroupNorm: norm("group norm", lambda layer: layer.num_channels, "channel"),
    nn.InstanceNorm1d: norm("instance norm", lambda layer: layer.num_features, "channel"),
    nn.InstanceNorm2d: norm("instance norm", lambda layer: layer.num_features, "channel"),
    nn.InstanceNorm3d: norm("instance norm", lambda layer: layer.num_features, "channel"),
    nn.Embedding: embedding,
    nn.MultiheadAttention: attention,
    nn.TransformerEncoderLayer: encoder_layer,
    nn.TransformerEncoder: encoder,
}


def add(graph: ParameterGraph, layer: nn.Module, name: str, value: Neurons) -> Neurons:
    """What a layer makes of a value.

    Raises:
        TypeError: If its kind is not known.
    """
    if kind := kind_of(layer):
        return kind(graph, layer, name, value)
    if transparent(layer):
        return Neurons(value.layer, value.ids, True) if isinstance(layer, nn.Flatten) else value
    known = ", ".join(kind.__name__ for kind in KINDS)
    raise TypeError(
        f"module_to_graph: {name.rstrip('.') or 'the module'} is a {type(layer).__name__}, must be one of {known}, a "
        "layer without parameters, or a module that torch.fx can take apart into such"
    )


def kind_of(layer: nn.Module) -> Kind | None:
    """How a layer is added, by its class or the next base that is known."""
    return next((KINDS[cls] for cls in type(layer).__mro__ if cls in KINDS), None)


def _check_width(name: str, width: int, neurons: Tensor) -> None:
    if neurons.numel() != width:
        raise ValueError(
            f"module_to_graph: {name.rstrip('.') or 'the layer'} takes {width} inputs, but {neurons.numel()} neurons "
            "lead there"
        )
