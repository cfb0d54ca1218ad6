"""Two epochs of every model x strategy x kind of task, each with some rewirings and features; what makes no sense
says why.

Models, strategies, rewirings and features are found by discovery: a new class joins by existing. ``refusal`` knows the
combinations that must end in an error, and its text.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import math

import pytest
from torch import nn
from torch_geometric.nn import GCN as PyGGCN
from torch_geometric.nn import global_mean_pool

import graphkit as gk
from graphkit.models import LayeredModel, PairScorer, PyGModel
from graphkit.models.stack import LayerStack
from graphkit.testing.instances import factories
from graphkit.testing.kinds import weights_by_step
from tests import tiny
from tests.training.greedy import _Greedy


class OwnModule(nn.Module):
    """What a user might bring: not one class of graphkit in it."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.lin = nn.Linear(in_channels, out_channels)

    def forward(self, x, edge_index, batch=None):
        return self.lin(x) if batch is None else global_mean_pool(self.lin(x), batch)


def _own(registry):
    return {name: cls for name, cls in registry.classes().items() if cls.__module__.startswith("graphkit.")}


def _instances(registry):
    """The first of the small instances of each class, and none at all."""
    return {"none": None} | {name: next(iter(factories(cls).values())) for name, cls in _own(registry).items()}


def _pyg(task):
    readout = "mean" if task.kind == "graph" else None
    return PyGModel(PyGGCN(task.num_features, 8, 2, task.num_outputs), readout=readout)


MODELS = {
    name: lambda task, cls=cls: cls.from_task(
        task, **({"hidden_channels": 8} if "hidden_channels" in inspect.signature(cls).parameters else {})
    )
    for name, cls in _own(gk.models.registry).items()
}
MODELS |= {"PyG GCN": _pyg, "own module": lambda task: OwnModule(task.num_features, task.num_outputs or 8)}
STRATEGIES = _own(gk.strategies.registry) | {"greedy": _Greedy}
REWIRINGS = _instances(gk.rewiring.registry)
FEATURES = _instances(gk.features.registry)
TASKS = {name: tiny.task(name) for name in tiny.TASKS}


EXTRAS = list(itertools.product(REWIRINGS, FEATURES))
EACH = 2


def _share(model: str, strategy: str, kind: str) -> list[tuple[str, str]]:
    """The rewirings and features that one combination of the other three meets: all of them would take hours."""
    number = 0
    for choice, choices in ((model, MODELS), (strategy, STRATEGIES), (kind, TASKS)):
        number = number * len(choices) + list(choices).index(choice)
    return [EXTRAS[(EACH * number + i) % len(EXTRAS)] for i in range(EACH)]


def _reads_graphs(model: nn.Module) -> bool:
    return getattr(model, "readout", None) is not None


Refusal = tuple[type[Exception] | tuple[type[Exception], ...], str]


def _shares_weights(model: LayeredModel, task: gk.Task) -> bool:
    transform = model.required_transform()
    batch = next(iter((task if transform is None else task.transform(transform)).batches("val")))
    steps = weights_by_step(copy.deepcopy(model), batch)
    return any(first & second for first, second in itertools.combinations(steps, 2))


def refusal(model: nn.Module, strategy: str, kind: str, task: gk.Task) -> Refusal | None:
    """The error that a combination must end in, by properties of its parts; ``None`` if it must train."""
    by_classes = {"SingleForward", "ForwardForward", "LayerCollaborationFF", "TopDownForward"}
    if strategy in by_classes and not kind.endswith(("multiclass", "binary", "link")):
        return ValueError, f"{strategy} compares classes with one another, but task '.*' is a .* task; use Backprop"
    if strategy == "ScalableFF" and not kind.endswith("multiclass"):
        return ValueError, "compares the squared goodness of several classes, .* use goodness='linear'"
    if strategy == "TopDownForward" and "sampled" in kind:
        return ValueError, "keeps the states of all nodes from step to step, but '.*' draws other subgraphs each time"
    if strategy != "Backprop" and not isinstance(model, LayeredModel):
        return TypeError, "trains layer by layer and needs a LayeredModel, got PyGModel"
    cls = STRATEGIES[strategy]
    if kind == "link" and not getattr(cls, "for_pairs", True):
        return ValueError, f"{strategy} does not train on link tasks, of which '.*' is one"
    if kind.startswith("graph") and not getattr(cls, "for_joined_graphs", True):
        return ValueError, f"{strategy} does not train on graph tasks, of which '.*' is one"
    if strategy not in {"Backprop", "greedy"} and _shares_weights(model, task):
        apart = f"{strategy} trains layers apart, but layers 1 and 2 of .* share '.*'; use Backprop"
        return (ValueError, TypeError), f"{apart}|read the states below them and nothing else"
    if strategy != "Backprop" and not all(list(layer.parameters()) for layer in model.layers):
        apart = "has no weights; use Backprop|read the states below them and nothing else"
        own_optimizers = "the model has no trainable parameters"  # greedy asks for an optimizer of each layer itself
        return (ValueError, TypeError), own_optimizers if strategy == "greedy" else apart
    of_nodes = not isinstance(model, LayeredModel) or type(model).node_states is LayeredModel.node_states
    if strategy in {"ForwardForward", "LayerCollaborationFF"} and not of_nodes:
        return TypeError, "passes states of nodes from layer to layer, but those of .* have other rows"
    widened = {"TopDownForward"} if kind == "link" else by_classes - {"SingleForward"}
    layer_alone = len(getattr(model, "layers", [])) == 1 and all(
        n.startswith("layers.") for n, _ in model.named_parameters()
    )
    if strategy in widened and not isinstance(model, LayerStack) and not (kind == "link" and layer_alone):
        stack = "read the states below them and nothing else, .* use a stack of layers such as GCN"
        return TypeError, f"{stack}|trains an encoder below that; use target='loss'"
    reads_outputs = strategy in {"Backprop", "TargetProjection", "DirectFeedbackAlignment"}  # the others read states
    if isinstance(model, PairScorer) and reads_outputs and kind != "link":
        return ValueError, ".* scores pairs of nodes, but the batch has no edge_label_index; use a LinkTask"
    if strategy == "SingleForward" and getattr(model, "polynomials", 0) and kind != "link":
        return ValueError, "polynomial_attr of the batch has nothing; .*a strategy that adds nodes leaves it out"
    if not kind.startswith("graph") and reads_outputs and _reads_graphs(model):
        return ValueError, r"a (node|link) task needs a model without readout|needs outputs of shape"
    return None


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path_factory.getbasetemp() / "cross-product"))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", TASKS)
def test_trains_or_says_why_not(model, strategy, kind):
    for rewiring, feature in _share(model, strategy, kind):
        where = f"{model} x {strategy} x rewiring {rewiring} x feature {feature} x {kind}"
        task = TASKS[kind]
        if kind == "link" and rewiring == "VirtualNode":
            with pytest.raises(ValueError, match="changed the number of nodes, but links are pairs of the old ones"):
                task.transform(REWIRINGS[rewiring]())
            continue
        for transform in (REWIRINGS[rewiring], FEATURES[feature]):
            task = task if transform is None else task.transform(transform())
        network = MODELS[model](task)
        trainer = gk.Trainer(max_epochs=2, strategy=STRATEGIES[strategy](), progress=False)
        expected = refusal(network, strategy, kind, task)
        if expected is not None:
            with pytest.raises(expected[0], match=expected[1]):
                trainer.fit(network, task)
            continue
        result = trainer.fit(network, task)
        assert result.epochs == 2 * len(trainer.strategy.phases()), where
        assert all(math.isfinite(row["train_loss"]) for row in result.history), where
        assert math.isfinite(result.test), where
        assert math.isfinite(result.val), where


LAYERED = [
    name
    for name, make in MODELS.items()
    if isinstance(model := make(TASKS["node multiclass"]), LayeredModel) and not isinstance(model, PairScorer)
]
FOR_NODES = [name for name in LAYERED if not _reads_graphs(MODELS[name](TASKS["node multiclass"]))]


@pytest.mark.parametrize("model", FOR_NODES)
def test_node_models_refuse_graph_tasks(model):
    network = MODELS[model](TASKS["node multiclass"])
    message = (
        r"needs 12 rows of outputs, the model returned \d+; a graph task needs a model with a readout, e\.g\. readout="
    )
    with pytest.raises(ValueError, match=message):
        gk.Trainer(max_epochs=1, progress=False).fit(network, TASKS["graph multiclass"])


@pytest.mark.parametrize("model", LAYERED)
def test_graph_models_refuse_link_tasks(model):
    network = MODELS[model](TASKS["graph multiclass"])
    message = (
        r"needs an embedding per node, \[24, width\] .*; the model returned \[1, 3\]; a link task needs a model with"
    )
    with pytest.raises(ValueError, match=message):
        gk.Trainer(max_epochs=1, progress=False).fit(network, TASKS["link"])


@pytest.mark.parametrize("model", LAYERED)
def test_graph_models_refuse_node_tasks(model):
    network = MODELS[model](TASKS["graph multiclass"])
    with pytest.raises(ValueError, match=r"needs 24 rows of outputs, the model returned 1; a node task needs a model"):
        gk.Trainer(max_epochs=1, progress=False).fit(network, TASKS["node multiclass"])


@pytest.mark.parametrize("model", [*FOR_NODES, "PyG GCN", "own module"])
def test_wrong_number_of_outputs(model):
    network = MODELS[model](TASKS["node binary"])
    message = (
        r"needs outputs of shape \[24, 3\], the model returned \[24, 1\]; set its out_channels to task.num_outputs"
    )
    with pytest.raises(ValueError, match=message):
        gk.Trainer(max_epochs=1, progress=False).fit(network, TASKS["node multiclass"])


@pytest.mark.parametrize("position", range(3))
def test_the_shares_cover_every_pair(position):
    """Every model, every strategy and every kind of task meets every rewiring and every feature."""
    met: dict[str, set[str]] = {}
    for combination in itertools.product(MODELS, STRATEGIES, TASKS):
        for extra in _share(*combination):
            met.setdefault(combination[position], set()).update(extra)
    wanted = {*REWIRINGS, *FEATURES}
    assert {choice: wanted - extras for choice, extras in met.items() if wanted - extras} == {}


def test_nothing_is_missing():
    assert {"GCN", "MLP"} <= set(MODELS)
    assert "Backprop" in STRATEGIES
    assert {"none", "RandomEdges"} <= set(REWIRINGS)
    assert {"none", "RandomWalkPE"} <= set(FEATURES)
    assert len(TASKS) == 8
