"""Two epochs of every model x strategy x kind of task, each with some rewirings and features; what makes no sense
says why.

Models, strategies, rewirings and features are found by discovery: a new class joins by existing. What a strategy cannot
train its class says (``Strategy.cannot``), and what a model cannot do its own parts. Weights that do not change are
named.
"""

from __future__ import annotations

import inspect
import itertools
import math
import re

import pytest
from torch import nn
from torch_geometric.nn import GCN as PyGGCN
from torch_geometric.nn import global_mean_pool

import graphkit as gk
from graphkit.models import EventModel, LayeredModel, PairScorer, PyGModel
from graphkit.testing.instances import factories
from graphkit.testing.strategies import unnamed_weights
from tests import tiny
from tests.training.greedy import Greedy


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
    made = {name: list(factories(cls).values()) for name, cls in _own(registry).items()}
    return {"none": None} | {name: first[0] for name, first in made.items() if first}


def _pyg(task):
    readout = "mean" if task.kind == "graph" else None
    return PyGModel(PyGGCN(task.num_features, 8, 2, task.num_outputs), readout=readout)


MODELS = {
    name: lambda task, cls=cls: cls.from_task(
        task, **({"hidden_channels": 8} if "hidden_channels" in inspect.signature(cls).parameters else {})
    )
    for name, cls in _own(gk.models.registry).items()
    if not issubclass(cls, EventModel)  # these read streams of events, and refuse all else
}
MODELS |= {"PyG GCN": _pyg, "own module": lambda task: OwnModule(task.num_features, task.num_outputs or 8)}
STRATEGIES = _own(gk.strategies.registry) | {"greedy": Greedy}
REWIRINGS = _instances(gk.rewiring.registry)
FEATURES = _instances(gk.features.registry)
TASKS = {name: tiny.task(name) for name in tiny.TASKS}


EXTRAS = list(itertools.product(REWIRINGS, FEATURES))
EACH = 2


def _share(model: str, strategy: str, kind: str) -> list[tuple[str, str]]:
    """The rewirings and features that one combination of the other three meets: all of them would take hours."""
    positions = [list(choices).index(c) for c, choices in ((model, MODELS), (strategy, STRATEGIES), (kind, TASKS))]
    number = (positions[0] * len(STRATEGIES) + positions[1]) * 8 + positions[2]  # 9 would share factors with EXTRAS
    return [EXTRAS[(EACH * number + i) % len(EXTRAS)] for i in range(EACH)]


def _reads_graphs(model: nn.Module) -> bool:
    return getattr(model, "readout", None) is not None


# What parts of a model refuse themselves, whatever the strategy.
OF_MODELS = "|".join(
    [
        "trains layers apart, but layers .* share '.*'; use Backprop, or a single layer",
        "trains layers apart, but layer .* has no weights; use Backprop",
        "the layers of .* read the states below them and nothing else, .*; use a stack of layers such as GCN",
        "trains an encoder below that; use target='loss'",
        "the model has no trainable parameters",
        "scores pairs of nodes, but the batch has no edge_label_index; use a LinkTask",
        "tells links from pairs without one, but task .* has labels of edges that are known; use LinkPredictor",
        "polynomial_attr of the batch has nothing; .*a strategy that adds nodes leaves it out",
        "takes from the probabilities of classes how sure an expert is, but task .* has no single class per row",
        "an? (node|edge|link|graph|ranking) task needs a model with",
        "makes embeddings by which pairs of nodes are scored, but task .*; use a RankingTask or a LinkTask",
        "counts interactions of users with items, but task .*; use a RankingTask",
        "scores single pairs, but task .* ranks all items by embeddings of nodes; use its encoder alone",
        "local_layers=1, but .* has 0 layers; use that or fewer",
        "begins without edges, but .* reads .*, which was computed of them; use Backprop",
        "trains layers apart, but .* has no layers; use Backprop",
        r"has no phases; its phases\(\) must give at least one",
    ]
)
OUTCOMES: dict[tuple[str, str, str], str] = {}


def built(make, task):
    """The model, or the error by which it refuses the task."""
    try:
        return make(task)
    except ValueError as error:
        return error


def outcome(trainer, network, task):
    """The result, or the error that the strategy has told before or a part of the model tells; before any step."""
    strategy, steps, reason = trainer.strategy, [], None
    train_step = strategy.train_step
    strategy.train_step = lambda *given: steps.append(train_step(*given)) or steps[-1]
    try:
        strategy.check(network if isinstance(network, LayeredModel | PyGModel) else PyGModel(network), task)
    except (TypeError, ValueError) as error:
        reason = error
    try:
        result, unnamed = unnamed_weights(trainer, network, task)
    except (TypeError, ValueError) as error:
        refused = error
    else:
        assert reason is None
        assert not unnamed, f"weights that stay as they are, without a word: {unnamed}"
        return result
    assert not steps, "work was lost"
    assert re.search(re.escape(str(reason)) if reason else OF_MODELS, str(refused)), refused
    return refused


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
        if kind in ("link", "ranking") and rewiring == "VirtualNode":
            with pytest.raises(
                ValueError, match=r"changed the number of nodes, but (links are pairs|they are the users)"
            ):
                task.transform(REWIRINGS[rewiring]())
            OUTCOMES.setdefault((model, strategy, kind), "no task")
            continue
        for transform in (REWIRINGS[rewiring], FEATURES[feature]):
            task = task if transform is None else task.transform(transform())
        network = built(MODELS[model], task)
        if isinstance(network, ValueError):
            assert re.search(OF_MODELS, str(network)), network
            OUTCOMES[model, strategy, kind] = "no model"
            continue
        trainer = gk.Trainer(max_epochs=2, strategy=STRATEGIES[strategy](), weight_decay=0.1, progress=False)
        result = outcome(trainer, network, task)
        OUTCOMES[model, strategy, kind] = type(result).__name__
        if isinstance(result, Exception):
            continue
        epochs = 2 if next(network.parameters(), None) is not None else 1
        assert result.epochs == epochs * len(result.phases), where
        assert all(math.isfinite(row["train_loss"]) for row in result.history), where
        assert math.isfinite(result.test), where
        assert math.isfinite(result.val), where


def test_no_more_is_refused_than_before():
    if len(OUTCOMES) < len(MODELS) * len(STRATEGIES) * len(TASKS):
        pytest.skip("only some combinations have been run")
    assert list(OUTCOMES.values()).count("Result") >= 740


LAYERED = [
    name
    for name, make in MODELS.items()
    if isinstance(model := built(make, TASKS["node multiclass"]), LayeredModel) and not isinstance(model, PairScorer)
]
FOR_NODES = [name for name in LAYERED if not _reads_graphs(MODELS[name](TASKS["node multiclass"]))]


REFUSALS = {  # task that the model was made for, task that it is given, models, message
    "node models refuse graph tasks": (
        "node multiclass",
        "graph multiclass",
        FOR_NODES,
        r"needs 12 rows of outputs, the model returned \d+; a graph task needs a model with a readout, e\.g\. readout=",
    ),
    "graph models refuse link tasks": (
        "graph multiclass",
        "link",
        LAYERED,
        r"needs an embedding per node, \[24, width\] .*; the model returned \[1, 3\]; a link task needs a model with"
        "|has no single class per row",
    ),
    "graph models refuse node tasks": (
        "graph multiclass",
        "node multiclass",
        LAYERED,
        r"needs 24 rows of outputs, the model returned 1; a node task needs a model",
    ),
    "wrong number of outputs": (
        "node binary",
        "node multiclass",
        [*FOR_NODES, "PyG GCN", "own module"],
        r"needs outputs of shape \[24, 3\], the model returned \[24, 1\]; set its out_channels to task.num_outputs",
    ),
}


@pytest.mark.parametrize(("refusal", "model"), [(name, m) for name, case in REFUSALS.items() for m in case[2]])
def test_models_of_one_task_refuse_another(refusal, model):
    made_for, given, _, message = REFUSALS[refusal]
    network = MODELS[model](TASKS[made_for])
    with pytest.raises(ValueError, match=message):
        gk.Trainer(max_epochs=1, progress=False).fit(network, TASKS[given])


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
    assert len(TASKS) == 10
