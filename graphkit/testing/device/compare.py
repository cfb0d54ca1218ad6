"""A step of a module on a device, beside the same step on the CPU."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphkit.core.reads import reads_of
from graphkit.nn.aggr.sets import forget_sets
from graphkit.testing.checked_module import CheckedModule
from graphkit.testing.device.door import Gpu, pretend_gpu
from graphkit.testing.graphs import random_graph
from graphkit.testing.symmetry import assert_close

_SIZES = ((12, 40), (9, 30), (7, 20), (5, 12))


def check_cuda(target: type | Callable[[], nn.Module], kind: str, device: torch.device | None = None) -> None:
    """Check that a module computes on a GPU what it computes on the CPU: outputs and all gradients.

    Args:
        target: A class whose small instances the checks know how to build, or a function that builds an instance.
        kind: ``"layer"``, ``"aggregation"`` or ``"model"``, as :func:`graphkit.testing.check_layer` and its siblings.
        device: A real GPU (default: a pretended one, see :mod:`graphkit.testing.device`).

    Raises:
        AssertionError: If a result differs or is on another device.
        MixedDevices, NoKernel, TypeError: What CUDA does not do, as :mod:`graphkit.testing.device` lists.

    Example:
        >>> from graphkit.nn import GCNConv
        >>> check_cuda(lambda: GCNConv(5, 4), "layer")
    """
    if device is None:
        with pretend_gpu() as gpu:
            return check_cuda(target, kind, gpu.device)
    from graphkit.testing.instances import factories

    for name, make in (factories(target) if isinstance(target, type) else {repr(target()): target}).items():
        checked = CheckedModule(make, kind)
        module = checked.build()
        graph = random_batch(checked, module, seed=0)
        expected = run_step(checked, copy.deepcopy(module), graph.clone())
        actual = run_step(checked, module.to(device), graph.to(device))
        assert actual.keys() == expected.keys(), f"{name}: gradients of {sorted(actual.keys() ^ expected.keys())}"
        for key, value in actual.items():
            assert value.device == device, f"{name}: {key} is on {value.device}"
            assert_close(value.cpu(), expected[key], f"{name}: on the GPU another {key} than on the CPU")
    return None


def instances() -> Iterator[tuple[str, Callable[[], nn.Module], str]]:
    """The small instances of graphkit's layers, aggregations and models: a name, what builds it, and its kind."""
    from graphkit.testing.discovery import discover
    from graphkit.testing.instances import factories

    for kind in ("layer", "aggregation", "model"):
        for cls in discover()[kind].values():
            if cls.__module__.startswith("graphkit."):
                yield from ((name, make, kind) for name, make in factories(cls).items())


def random_batch(checked: CheckedModule, module: nn.Module, seed: int) -> Data:
    """A batch of small weighted graphs, with what the module wants precomputed, and pairs of nodes."""
    graphs = [random_graph(n, m, weighted=True, seed=seed + n) for n, m in _SIZES]
    for graph in graphs:
        graph.edge_label_index = torch.stack([graph.edge_index[0, :4], graph.edge_index[1, :4].flip(0)])
    batch: Any = Batch.from_data_list([checked.prepare(module, graph) for graph in graphs])
    return batch


def run_step(checked: CheckedModule, module: nn.Module, graph: Data) -> dict[str, Tensor]:
    """One forward and backward pass: the output, and gradients of features, of what edges have and of parameters."""
    for parameter in module.parameters():
        parameter.grad = None
    read = [key for key in ("x", "edge_weight", "edge_attr") if getattr(reads_of(module), key, False)]
    leaves = {key: graph[key].detach().requires_grad_() for key in read} if checked.kind != "aggregation" else {}
    graph.update(leaves)
    leaves |= dict(module.named_parameters())
    out = checked.call(module, graph)
    (out * out.detach().cos()).sum().backward()
    return {"output": out.detach()} | {key: leaf.grad for key, leaf in leaves.items() if leaf.grad is not None}


def waits_per_step(make: Callable[[], nn.Module], kind: str, gpu: Gpu) -> dict[str, Any]:
    """What a training step counts on a graph that was there before (``known``) and on a new batch (``new``)."""
    checked = CheckedModule(make, kind)
    module = checked.build().train()
    known, new = (random_batch(checked, module, seed).to(gpu.device) for seed in (0, 50))
    module = module.to(gpu.device)
    forget_sets()  # of graphs that were measured before, whose sets may be equal
    _train(checked, module, known)
    counts = {}
    for name, graph in (("known", known), ("new", new)):
        with gpu.counting() as counts[name]:
            _train(checked, module, graph)
    return counts


def _train(checked: CheckedModule, module: nn.Module, graph: Data) -> None:
    for parameter in module.parameters():
        parameter.grad = None
    out = checked.call(module, graph)
    if out.requires_grad:
        out.sum().backward()
