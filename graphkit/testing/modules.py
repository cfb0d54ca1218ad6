"""Checks that every module has to pass, be it a layer, an aggregation or a whole model.

Each takes a :class:`~graphkit.testing.checked_module.CheckedModule` and raises ``AssertionError``.
"""

from __future__ import annotations

import copy
import io
import pickle
import warnings

import torch
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.func import functional_call

from graphkit.core.config import Configurable
from graphkit.core.hashing import hash_data
from graphkit.testing.checked_module import CheckedModule
from graphkit.testing.graphs import random_graph
from graphkit.testing.symmetry import (
    assert_batch_independent,
    assert_close,
    assert_permutation_equivariant,
    assert_permutation_invariant,
)


def check_permutation(checked: CheckedModule) -> None:
    """Relabelled nodes relabel the rows of node outputs and leave graph outputs alone."""
    module = checked.build()
    graph = random_graph(9, 24, num_isolated=1, weighted=True)
    of_nodes = checked.is_per_node(module)
    check = assert_permutation_equivariant if of_nodes else assert_permutation_invariant
    for seed in range(3):
        check(lambda data: checked.run(module, data), graph, seed=seed)


def check_batch_independence(checked: CheckedModule) -> None:
    """A graph's output does not depend on the other graphs of its batch."""
    module = checked.build()
    graphs = [random_graph(n, m, weighted=True, seed=n) for n, m in ((7, 18), (1, 0), (4, 0), (5, 9))]
    assert_batch_independent(
        lambda batch: checked.call(module, batch), [checked.prepare(module, graph) for graph in graphs]
    )


def check_isolated_nodes(checked: CheckedModule) -> None:
    """A node without edges gets the finite output that it gets alone, and finite gradients."""
    module = checked.build()
    graph = random_graph(6, 12, num_isolated=2)
    out = checked.run(module, graph)
    _assert_finite(module, out)
    if not checked.is_per_node(module):
        return
    for node in (4, 5):
        alone = random_graph(1, 0)
        alone.x = graph.x[node : node + 1]
        assert_close(out[node : node + 1], checked.run(module, alone), "an isolated node is not left alone")


def check_empty_edge_set(checked: CheckedModule) -> None:
    """Graphs without any edge and graphs of one node work."""
    module = checked.build()
    for n in (3, 1):
        out = checked.run(module, random_graph(n, 0, weighted=True))
        rows = n if checked.is_per_node(module) else 1
        assert out.dim() == 2, f"a graph of {n} nodes without edges gives an output of shape {list(out.shape)}"
        assert out.size(0) == rows, f"a graph of {n} nodes without edges gives {out.size(0)} rows, expected {rows}"
        _assert_finite(module, out)


def check_float64(checked: CheckedModule) -> None:
    """Double precision gives double precision, close to what single precision gives."""
    single = checked.build(dtype=torch.float32)
    double = copy.deepcopy(single).double()
    graph = random_graph(weighted=True)
    out = checked.run(double, graph)
    assert out.dtype == torch.float64, f"float64 in, {out.dtype} out"
    graph32 = graph.clone().apply(lambda value: value.float() if value.is_floating_point() else value)
    out32 = checked.run(single, graph32)
    assert out32.dtype == torch.float32, f"float32 in, {out32.dtype} out"
    assert_close(out32.double(), out, "float32 is far from float64", tolerance=1e-4)


def check_gradcheck(checked: CheckedModule) -> None:
    """Gradients of inputs, edge weights and parameters equal finite differences."""
    module = checked.build()
    graph = checked.prepare(module, random_graph(4, 7, weighted=True))
    inputs = ["x"] + [key for key in ("edge_weight", "edge_attr") if checked.takes(key) and graph.get(key) is not None]
    names = [name for name, parameter in module.named_parameters() if parameter.requires_grad]

    def function(*values: Tensor) -> Tensor:
        changed = graph.clone()
        for key, value in zip(inputs, values, strict=False):
            changed[key] = value
        parameters = dict(zip(names, values[len(inputs) :], strict=True))
        positional, named = checked.arguments(module, changed)
        return functional_call(module, parameters, positional, named)

    start = [graph[key] for key in inputs] + [dict(module.named_parameters())[name] for name in names]
    values = tuple(value.detach().clone().requires_grad_() for value in start)
    try:
        gradcheck(function, values, eps=1e-6, atol=1e-6)
    except RuntimeError as error:
        raise AssertionError(f"wrong gradient with respect to one of {inputs + names}: {error}") from error


def check_parameters_get_gradients(checked: CheckedModule) -> None:
    """Every trainable parameter takes part in the output."""
    module = checked.build().train()
    if not any(parameter.requires_grad for parameter in module.parameters()):
        return
    # some node of a layer and some group of an aggregation are empty: what stands for nothing takes part, too
    graph = random_graph(12, 60, num_isolated=int(checked.kind == "layer"), weighted=True)
    if checked.kind == "aggregation":
        graph.batch = torch.ones(12, dtype=torch.long)
    out = checked.run(module, graph)
    generator = torch.Generator().manual_seed(1)
    (out * torch.randn(out.shape, generator=generator, dtype=out.dtype)).sum().backward()
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"{name} gets no gradient"
            assert bool((parameter.grad != 0).any()), f"the gradient of {name} is zero everywhere"


def check_training_after_inference(checked: CheckedModule) -> None:
    """A pass in inference mode leaves nothing behind, in no cache, that training on the same graph could not use."""
    for keys in (["x"], ["x", "edge_weight", "edge_attr"]):  # constant weights are cached, learned ones are not
        gradients = []
        for inference_first in (False, True):
            module = checked.build()
            graph = random_graph(weighted=True)
            graph.edge_type = torch.zeros(graph.num_edges, dtype=torch.long)
            graph = checked.prepare(module, graph)
            if inference_first:
                with torch.inference_mode():
                    checked.call(module, graph)
            learned = [graph[key].requires_grad_() for key in keys] + list(module.parameters())
            torch.manual_seed(1)
            try:
                checked.call(module.train(), graph).sum().backward()
            except RuntimeError as error:
                raise AssertionError(f"training fails, here after a pass in inference mode: {error}") from error
            gradients.append([tensor.grad for tensor in learned])
        for first, second in zip(*gradients, strict=True):
            same = first is second if first is None or second is None else torch.equal(first, second)
            assert same, "a pass in inference mode changes the gradients of the next step"


def check_state_dict(checked: CheckedModule) -> None:
    """A state dict, saved and loaded, makes another instance give bit-equal outputs."""
    first, second = checked.build(seed=0), checked.build(seed=1)
    graph = random_graph(weighted=True)
    expected = checked.run(first, graph)
    checked.run(second, graph)  # fills whatever a module might keep
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(checked.run(second, graph), expected), "a loaded state dict gives another output"


def check_copies(checked: CheckedModule) -> None:
    """Deep copies and pickles give bit-equal outputs."""
    module = checked.build()
    graph = random_graph(weighted=True)
    expected = checked.run(module, graph)
    assert torch.equal(checked.run(copy.deepcopy(module), graph), expected), "a deep copy gives another output"
    restored = pickle.loads(pickle.dumps(module))
    assert torch.equal(checked.run(restored, graph), expected), "a pickled copy gives another output"


def check_determinism(checked: CheckedModule) -> None:
    """The same seed gives bit-equal weights, outputs and gradients, while training too."""
    results = []
    for _ in range(2):
        module = checked.build(seed=3).train()
        graph = checked.prepare(module, random_graph(12, 60, weighted=True))
        graph.x.requires_grad_()
        torch.manual_seed(4)
        out = checked.call(module, graph)
        out.sum().backward()
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        gradients += [] if graph.x.grad is None else [graph.x.grad]  # a transform may read x in the model's place
        results.append([*module.state_dict().values(), out.detach(), *gradients])
    for first, second in zip(*results, strict=True):
        assert torch.equal(first, second), "the same seed gives different numbers"


def check_reset_parameters(checked: CheckedModule) -> None:
    """``reset_parameters`` forgets everything: it draws what a new instance draws from the same seed."""
    used, new = checked.build(seed=1), checked.build(seed=2)
    with torch.no_grad():
        for parameter in used.parameters():
            parameter.fill_(0.123)
    checked.run(used.train(), random_graph(weighted=True))
    states = []
    for module in (used, new):
        torch.manual_seed(5)
        _reset(module)
        states.append(module.state_dict())
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), f"reset_parameters does not reset {name}"


def check_seed_matters(checked: CheckedModule) -> None:
    """Another seed draws other weights (unless there are but single numbers, which have no symmetry to break)."""
    first, second = checked.build(seed=0).state_dict(), checked.build(seed=1).state_dict()
    if any(p.numel() > 1 for p in checked.build().parameters()):
        same = all(torch.equal(first[name], second[name]) for name in first)
        assert not same, "weights do not depend on the seed"


def check_repr(checked: CheckedModule) -> None:
    """``repr`` is the same for equal instances and shows no memory address."""
    first, second = repr(checked.build()), repr(checked.build())
    assert " at 0x" not in first, f"repr shows a memory address: {first}"
    assert first == second, f"equal instances print differently: {first} and {second}"


def check_config(checked: CheckedModule) -> None:
    """``from_config(config())`` builds an equal object (classes with a config)."""
    module = checked.make()
    if isinstance(module, Configurable):
        again = type(module).from_config(module.config())
        assert again.config() == module.config(), "config() changes on its way through from_config"
        assert repr(again) == repr(module), f"config round trip gives {again!r} for {module!r}"
        shapes = [{k: v.shape for k, v in m.state_dict().items()} for m in (module, again)]
        assert shapes[0] == shapes[1], "config round trip gives parameters of other shapes"


def check_input_unchanged(checked: CheckedModule) -> None:
    """A call changes nothing in the graph."""
    module = checked.build().train()
    graph = checked.prepare(module, random_graph(weighted=True))
    before = hash_data(graph)
    checked.call(module, graph)
    assert hash_data(graph) == before, "the call changed its input"


def check_evaluation_mode(checked: CheckedModule) -> None:
    """Evaluation mode is deterministic; training mode with dropout is not."""
    module = checked.build()
    graph = random_graph(12, 60, weighted=True)
    assert torch.equal(checked.run(module, graph), checked.run(module, graph)), "eval() outputs vary"
    rate = getattr(module, "dropout", 0.0)
    if isinstance(rate, float) and rate > 0:
        module.train()
        outputs = []
        for seed in range(2):
            torch.manual_seed(seed)
            outputs.append(checked.run(module, graph))
        assert not torch.equal(*outputs), f"dropout={rate} drops nothing while training"


def check_unit_weights(checked: CheckedModule) -> None:
    """Edge weights of one are no edge weights."""
    module = checked.build()
    graph = random_graph()
    weighted = graph.clone()
    weighted.edge_weight = torch.ones(graph.num_edges, dtype=torch.float64)
    assert_close(checked.run(module, weighted), checked.run(module, graph), "unit edge weights change the output")


def check_hooks_are_called(checked: CheckedModule) -> None:
    """A hook on a part whose weights count is called, or a warning names the part."""
    module = checked.build().train()
    graph = checked.prepare(module, random_graph(weighted=True))
    weights = [parameter for parameter in module.parameters() if parameter.requires_grad]
    out = checked.call(module, graph)
    grads = torch.autograd.grad(out.square().sum(), weights, allow_unused=True) if out.requires_grad else ()
    read = {id(weight) for weight, grad in zip(weights, grads) if grad is not None}
    called: list[nn.Module] = []
    parts = {name: part for name, part in module.named_modules() if name and hasattr(type(part), "forward")}
    for part in parts.values():
        part.register_forward_hook(lambda part, *_: called.append(part))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        checked.call(module, graph)
    told = " ".join(str(warning.message) for warning in caught)
    for name, part in parts.items():
        if type(part) not in (nn.ModuleList, nn.ModuleDict) and read & set(map(id, part.parameters())):
            ends = [name.split(".", i)[-1] for i in range(name.count(".") + 1)]
            silent = part not in called and not any(repr(end) in told for end in ends)
            assert not silent, f"weights of {name!r} count, but a hook on it is not called, and nobody says so"


def _reset(module: nn.Module) -> None:
    reset = getattr(module, "reset_parameters", None)
    if reset is not None:
        reset()
        return
    assert not list(module.parameters(recurse=False)), f"{type(module).__name__} has no reset_parameters"
    for child in module.children():
        _reset(child)


def _assert_finite(module: nn.Module, out: Tensor) -> None:
    assert bool(torch.isfinite(out).all()), "the output is not finite"
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if parameters and out.requires_grad:
        for gradient in torch.autograd.grad(out.sum(), parameters, allow_unused=True):
            assert gradient is None or bool(torch.isfinite(gradient).all()), "a gradient is not finite"


COMMON = {
    "permutation": check_permutation,
    "batch_independence": check_batch_independence,
    "isolated_nodes": check_isolated_nodes,
    "empty_edge_set": check_empty_edge_set,
    "float64": check_float64,
    "gradcheck": check_gradcheck,
    "parameters_get_gradients": check_parameters_get_gradients,
    "training_after_inference": check_training_after_inference,
    "state_dict": check_state_dict,
    "copies": check_copies,
    "determinism": check_determinism,
    "reset_parameters": check_reset_parameters,
    "seed_matters": check_seed_matters,
    "repr": check_repr,
    "config": check_config,
    "input_unchanged": check_input_unchanged,
    "evaluation_mode": check_evaluation_mode,
    "unit_weights": check_unit_weights,
    "hooks_are_called": check_hooks_are_called,
}
