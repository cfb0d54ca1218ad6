"""graphkit: graph-learning methods, rewirings and training strategies behind one trainer.

>>> import graphkit as gk
>>> task = gk.load("karate")
>>> model = gk.models.GCN(task.num_features, 16, out_channels=task.num_outputs)
>>> result = gk.Trainer(max_epochs=5, progress=False).fit(model, task)
>>> result.metric
'accuracy'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from graphkit import (
        datasets,
        diagnostics,
        expressivity,
        metanetworks,
        models,
        nn,
        ops,
        recipes,
        samplers,
        stacking,
        testing,
        transforms,
        tuning,
    )
    from graphkit.core.mapped_graph import MappedGraph
    from graphkit.datasets import load
    from graphkit.recipes import compare
    from graphkit.tasks import EdgeTask, EventTask, GraphTask, LinkSplit, LinkTask, NodeTask, RankingTask, Split, Task
    from graphkit.training import (
        Callback,
        Result,
        Trainer,
        ViewEnsemble,
        load_model,
        load_run,
        load_weights,
        save,
        strategies,
    )
    from graphkit.transforms import features, rewiring
    from graphkit.tuning import search

# name -> (module, attribute or None for the module itself); resolved on first use to keep the import cheap.
_LAZY: dict[str, tuple[str, str | None]] = {
    "ops": ("graphkit.ops", None),
    "nn": ("graphkit.nn", None),
    "models": ("graphkit.models", None),
    "transforms": ("graphkit.transforms", None),
    "samplers": ("graphkit.samplers", None),
    "rewiring": ("graphkit.transforms.rewiring", None),
    "features": ("graphkit.transforms.features", None),
    "datasets": ("graphkit.datasets", None),
    "diagnostics": ("graphkit.diagnostics", None),
    "expressivity": ("graphkit.expressivity", None),
    "strategies": ("graphkit.training.strategies", None),
    "metanetworks": ("graphkit.metanetworks", None),
    "recipes": ("graphkit.recipes", None),
    "stacking": ("graphkit.stacking", None),
    "tuning": ("graphkit.tuning", None),
    "testing": ("graphkit.testing", None),
    "compare": ("graphkit.recipes", "compare"),
    "load": ("graphkit.datasets", "load"),
    "MappedGraph": ("graphkit.core.mapped_graph", "MappedGraph"),
    "Task": ("graphkit.tasks", "Task"),
    "EdgeTask": ("graphkit.tasks", "EdgeTask"),
    "EventTask": ("graphkit.tasks", "EventTask"),
    "NodeTask": ("graphkit.tasks", "NodeTask"),
    "GraphTask": ("graphkit.tasks", "GraphTask"),
    "LinkTask": ("graphkit.tasks", "LinkTask"),
    "RankingTask": ("graphkit.tasks", "RankingTask"),
    "Split": ("graphkit.tasks", "Split"),
    "LinkSplit": ("graphkit.tasks", "LinkSplit"),
    "Callback": ("graphkit.training", "Callback"),
    "Trainer": ("graphkit.training", "Trainer"),
    "Result": ("graphkit.training", "Result"),
    "ViewEnsemble": ("graphkit.training", "ViewEnsemble"),
    "load_model": ("graphkit.training", "load_model"),
    "load_run": ("graphkit.training", "load_run"),
    "load_weights": ("graphkit.training", "load_weights"),
    "save": ("graphkit.training", "save"),
    "search": ("graphkit.tuning", "search"),
}

__all__ = [
    "Callback",
    "EdgeTask",
    "EventTask",
    "GraphTask",
    "LinkSplit",
    "LinkTask",
    "MappedGraph",
    "NodeTask",
    "RankingTask",
    "Result",
    "Split",
    "Task",
    "Trainer",
    "ViewEnsemble",
    "__version__",
    "compare",
    "datasets",
    "diagnostics",
    "expressivity",
    "features",
    "load",
    "load_model",
    "load_run",
    "load_weights",
    "metanetworks",
    "models",
    "nn",
    "ops",
    "recipes",
    "rewiring",
    "samplers",
    "save",
    "search",
    "stacking",
    "strategies",
    "testing",
    "transforms",
    "tuning",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'graphkit' has no attribute {name!r}")
    module_name, attribute = _LAZY[name]
    module = importlib.import_module(module_name)
    value = module if attribute is None else getattr(module, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
