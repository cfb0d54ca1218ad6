"""What a strategy may be unable to train: the cases, by the names under which its class tells why."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from graphkit.models import LayeredModel
from graphkit.tasks import Task

Case = Callable[[nn.Module, Task], bool]

_MODELS: dict[str, Case] = {
    "modules": lambda model, task: not isinstance(model, LayeredModel),
    "scorers of pairs": lambda model, task: isinstance(model, LayeredModel) and model.reads.edge_label_index,
    "states of other things": lambda model, task: (
        isinstance(model, LayeredModel) and type(model).node_states is not LayeredModel.node_states
    ),
    "no layers": lambda model, task: isinstance(model, LayeredModel) and not len(model.layers),
}
_TASKS: dict[str, Case] = {
    "no classes": lambda model, task: task.num_classes == 0 and not task.judges_pairs,
    "one class": lambda model, task: task.num_classes == 1,
    "no columns for classes": lambda model, task: task.num_outputs != task.num_classes,
    "no features": lambda model, task: task.num_features == 0 and not task.judges_pairs,
    "pairs": lambda model, task: task.judges_pairs,
    "links": lambda model, task: task.judges_links,
    "edges": lambda model, task: task.judges_pairs and not task.judges_links,
    "rankings": lambda model, task: task.ranks,
    "graphs": lambda model, task: task.joins_graphs,
    "subgraphs": lambda model, task: task.sampler is not None,
    "layer-wise evaluation": lambda model, task: task.sampler is not None and task.sampler.evaluate == "layerwise",
    "weighed pairs": lambda model, task: (
        task.sampler is not None and task.judges_pairs and task.sampler.default_batch_size is None
    ),
    "own losses": lambda model, task: task.has_own_loss,
}


def refusal(name: str, reasons: Mapping[str, str], model: nn.Module, task: Task) -> TypeError | ValueError | None:
    """The error by which a strategy refuses a model or a task; ``None`` if none of its reasons applies.

    Args:
        name: The strategy.
        reasons: A sentence for each case that it cannot train, in which ``{model}``, ``{task}``, ``{kind}``,
            ``{target}`` and ``{sampler}`` are filled in.
        model: The model.
        task: The task.
    """
    names = {
        "model": type(model).__name__,
        "task": repr(task.name),
        "kind": task.kind,
        "target": task.target,
        "sampler": type(task.sampler).__name__,
    }
    for case, reason in reasons.items():
        error = TypeError if case in _MODELS else ValueError
        if (_MODELS | _TASKS)[case](model, task):
            return error(f"{name} {reason.format(**names)}")
    return None
