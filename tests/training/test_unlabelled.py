"""New graphs without labels are predicted, by every strategy and model, and nothing of a label is read."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

import graphkit as gk
from graphkit.models import GCN, NodeEmbeddings, PairScorer
from graphkit.samplers import NeighborSampler
from tests import tiny
from tests.common.test_cross_product import MODELS, TASKS
from tests.training.forward import GRAPH, KINDS, LINK, NODE, model_for

PAIRS = torch.tensor([[0, 1, 2], [3, 4, 5]])
WITH_BACKPROP = {"Backprop": gk.strategies.Backprop} | NODE


def trained(strategy, task, model=None, **settings):
    trainer = gk.Trainer(strategy=strategy, **{"max_epochs": 2, "progress": False, "lr": 0.05} | settings)
    trainer.fit(model_for(task) if model is None else model, task)
    return trainer


def new_graph(seed=5, pairs=False, **attributes):
    graph = tiny.graph(num_nodes=9, num_edges=12, seed=seed)
    if pairs:
        graph.edge_label_index = PAIRS
    for key, value in attributes.items():
        graph[key] = value
    return graph


def cases():
    kinds = (("node", WITH_BACKPROP), ("graph", ["Backprop", *GRAPH]), ("link", ["Backprop", *LINK]))
    return [(name, kind) for kind, names in kinds for name in names]


@pytest.mark.parametrize(("name", "kind"), cases())
def test_every_strategy_predicts_new_graphs(name, kind):
    task = tiny.task(KINDS[kind])
    trainer = trained(WITH_BACKPROP[name](), task)
    first, second = (new_graph(seed, kind == "link") for seed in (5, 6))
    rows = {"node": 9, "graph": 1, "link": 3}[kind]
    alone = [trainer.predict(graph) for graph in (first, second)]
    assert [list(out.shape) for out in alone] == [[rows, task.num_outputs or 1]] * 2
    assert not torch.equal(*alone)
    assert torch.isfinite(torch.cat(alone)).all()
    torch.testing.assert_close(trainer.predict([first, second]), torch.cat(alone))
    if kind != "link":
        torch.testing.assert_close(trainer.predict(Batch.from_data_list([first, second])), torch.cat(alone))
    poisoned = new_graph(5, kind == "link", y=torch.zeros(rows, dtype=torch.long), train_mask=torch.ones(9) > 0)
    assert torch.equal(trainer.predict(poisoned), alone[0])


@pytest.mark.parametrize("name", NODE)
def test_a_new_graph_is_a_component_of_the_one_trained_on(name):
    """What a strategy makes of nodes without a label does not depend on whether they came with the training graph."""
    task = tiny.task("node multiclass")
    trainer = trained(NODE[name](), task)
    new, old = new_graph(), task.data
    both = Data(
        x=torch.cat([old.x, new.x]),
        edge_index=torch.cat([old.edge_index, new.edge_index + 24], dim=1),
        y=torch.cat([old.y, torch.zeros(9, dtype=torch.long)]),
    )
    split = gk.Split("both", task.split.train, task.split.val, torch.arange(24, 33))
    expected, _ = trainer.predict(gk.NodeTask("both", both, split))
    torch.testing.assert_close(trainer.predict(new), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["SF", "FF-VN"])
def test_a_graph_may_say_its_number_of_nodes(name):
    data = tiny.task("node multiclass").data
    data.num_nodes = 24
    trainer = trained(NODE[name](), gk.NodeTask("said", data, tiny.split(24)))
    assert torch.equal(trainer.predict(new_graph(num_nodes=9)), trainer.predict(new_graph()))


def trained_or_skipped(name, kind):
    """A task, a model of the cross-product that suits it, and the trainer that has trained it for an epoch."""
    task = TASKS[kind]
    try:
        model = MODELS[name](task)
    except ValueError as error:
        pytest.skip(f"is not for such tasks: {error}")
    if isinstance(model, PairScorer) and kind != "link":
        pytest.skip("it scores pairs")
    try:
        return task, model, trained(None, task, model, max_epochs=1)
    except ValueError as error:
        pytest.skip(f"does not train at all: {error}")


@pytest.mark.parametrize("kind", ["node multiclass", "graph multiclass", "link"])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_predicts_new_graphs(name, kind):
    task, model, trainer = trained_or_skipped(name, kind)
    new = new_graph(pairs=kind == "link")
    if isinstance(model, NodeEmbeddings):
        with pytest.raises(ValueError, match=rf"{name} has embeddings of 24 nodes, but the graph has 9"):
            trainer.predict(new)
        return
    out = trainer.predict(new)
    assert list(out.shape) == [{"node multiclass": 9, "graph multiclass": 1, "link": 3}[kind], task.num_outputs or 1]
    if kind == "graph multiclass":
        graph, (outputs, _) = task.graphs[int(task.split.test[0])], trainer.predict(task)
        torch.testing.assert_close(trainer.predict(graph), outputs[:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("evaluate", ["whole", "sampled", "layerwise"])
def test_a_sampled_task_predicts_as_its_sampler_evaluates(evaluate):
    task = tiny.node_task().sampled(NeighborSampler([-1, -1, -1], evaluate=evaluate))
    trainer = trained(None, task, model_for(task, tiny.SAGEStack if evaluate == "sampled" else GCN))
    outputs, _ = trainer.predict(task)
    again = trainer.predict(Data(x=task.graphs[0].x, edge_index=task.graphs[0].edge_index))
    torch.testing.assert_close(again[task.split.test], outputs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["SF", "FF-LA", "FF-VN", "top to loss", "scalable"])
def test_sparse_features(name):
    data = tiny.graph()
    data.x = nn.functional.one_hot(torch.arange(24) % 5, 200).float()
    data.y = torch.arange(24) % 3
    trainer = trained(NODE[name](), gk.NodeTask("words", data, tiny.split(24)))
    new = new_graph()
    new.x = data.x[:9]
    assert trainer.predict(new).shape == (9, 3)


def test_what_is_predicted_is_not_kept():
    trainer = trained(NODE["SF"](), tiny.task("node multiclass"))
    for seed in range(10):
        trainer.predict(new_graph(seed))
    assert len(trainer.strategy._cache) <= 4


def test_what_cannot_be_predicted_is_named():
    task = tiny.task("node multiclass")
    with pytest.raises(RuntimeError, match=r"call fit\(model, task\) first"):
        gk.Trainer().predict(new_graph())
    trainer = trained(None, task)
    with pytest.raises(
        TypeError, match="predict: data is a Tensor, must be a task, a PyG Data, a list or loader of them"
    ):
        trainer.predict(torch.ones(3, 6))
    with pytest.raises(ValueError, match="graph 0 has 5 features, but the model was trained on 6; prepare it as"):
        trainer.predict(new_graph(x=torch.ones(9, 5)))
    with pytest.raises(ValueError, match="graph 0 has edge_weight, unlike the graphs of task"):
        trainer.predict(new_graph(edge_weight=torch.ones(24)))
    with pytest.raises(ValueError, match=r"but the graph names none; set data.edge_label_index .*--stage test"):
        trained(None, tiny.task("link")).predict(new_graph())


def test_two_trainers_with_one_strategy_do_not_mix_their_models():
    task, strategy = tiny.task("node multiclass"), gk.strategies.Backprop()
    first = trained(strategy, task)
    second = trained(strategy, task, GCN.from_task(task, hidden_channels=4))
    second.predict(task)
    with pytest.raises(RuntimeError, match="the strategy has trained another model since; give each trainer its own"):
        first.predict(task)


# --- loaders and whole tasks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["node multiclass", "graph multiclass", "graph regression"])
def test_a_loader_is_the_graphs_that_it_yields(kind):
    trainer, graphs = trained(None, tiny.task(kind)), [new_graph(seed) for seed in range(5)]
    expected = torch.cat([trainer.predict(graph) for graph in graphs])
    for size in (1, 2, 5):
        torch.testing.assert_close(trainer.predict(DataLoader(graphs, batch_size=size)), expected)
    torch.testing.assert_close(trainer.predict(iter(graphs)), expected)


def test_a_loader_of_subgraphs_is_refused():
    trainer = trained(None, tiny.task("node multiclass"))
    subgraph = new_graph(input_id=torch.arange(2))  # as PyG's NeighborLoader marks its batches
    with pytest.raises(ValueError, match="the loader yields subgraphs around nodes of its own choice; give the whole"):
        trainer.predict([subgraph])


@pytest.mark.parametrize("kind", ["node multiclass", "node binary", "graph multilabel"])
def test_all_of_a_task_labelled_or_not(kind):
    task = tiny.task(kind)
    trainer = trained(None, task)
    everything = trainer.predict(task, stage=None)
    assert list(everything.shape) == [24, task.num_outputs]
    torch.testing.assert_close(everything[task.split.test], trainer.predict(task)[0], rtol=1e-4, atol=1e-5)


def test_nodes_without_a_label():
    data = tiny.graph()
    data.y = torch.where(torch.arange(24) < 6, torch.arange(24) % 3, -1)
    split = gk.Split("few", torch.arange(3), torch.tensor([3, 4]), torch.tensor([5]))
    trainer = trained(None, gk.NodeTask("few labels", data, split))
    assert trainer.predict(gk.NodeTask("few labels", data, split), stage=None).shape == (24, 3)
    data.y = torch.full((24,), float("nan"))
    assert trainer.predict(data).shape == (24, 3)


@pytest.mark.parametrize("columns", [0, 2])
def test_what_has_no_label_is_predicted_alone(columns):
    data = tiny.graph(num_nodes=9, num_edges=12)
    data.y = torch.arange(9) % 2 if not columns else torch.rand(9, columns)
    data.y[[2, 7]] = -1 if not columns else torch.nan
    if columns:
        data.y[4, 0] = torch.nan  # one of two labels is known
    split = gk.Split("own", torch.tensor([0, 1, 3]), torch.tensor([5]), torch.tensor([6]))
    task = gk.NodeTask("partly", data, split, target="regression" if columns else "multiclass")
    trainer = trained(gk.strategies.Backprop(), task)
    found = trainer.predict(task, "unlabelled")
    assert torch.equal(found, trainer.predict(task, None)[[2, 7]])
    frame = trainer.predict(task, "unlabelled", as_frame=True)
    assert list(frame.index) == [2, 7]
    assert "label" not in frame
    with pytest.raises(ValueError, match="stage='unlabelled' is a part of a task"):
        trainer.predict(data, "unlabelled")


def test_edges_and_graphs_without_a_label_are_predicted_alone():
    graphs = [tiny.graph(num_nodes=5, num_edges=8, seed=seed) for seed in range(6)]
    for number, graph in enumerate(graphs):
        graph.y = torch.tensor([-1 if number in (1, 4) else number % 2])
    split = gk.Split("own", torch.tensor([0, 3]), torch.tensor([2]), torch.tensor([5]))
    task = gk.GraphTask("graphs", graphs, split)
    trainer = trained(gk.strategies.Backprop(), task)
    assert torch.equal(trainer.predict(task, "unlabelled"), trainer.predict(task, None)[[1, 4]])
    graph = tiny.graph(num_nodes=5, num_edges=8)
    graph.edge_label = torch.arange(graph.num_edges) % 2
    graph.edge_label[[4, 9]] = -1
    task = gk.EdgeTask("edges", graph, split, undirected=False)
    trainer = trained(gk.strategies.Backprop(), task)
    assert torch.equal(trainer.predict(task, "unlabelled"), trainer.predict(task, None)[[4, 9]])


def test_a_task_of_pairs_has_nothing_without_a_label():
    task = tiny.task("link")
    trainer = trained(gk.strategies.Backprop(), task)
    with pytest.raises(ValueError, match=r"is a link task, which has no rows without a label; give a stage"):
        trainer.predict(task, "unlabelled")


@pytest.mark.parametrize("wrong", [3, None, {"x": 1}, torch.ones(2, 2), nn.Linear(1, 1)])
def test_what_cannot_be_predicted_is_refused_with_what_can(wrong):
    trainer = trained(gk.strategies.Backprop(), tiny.task(KINDS["node"]))
    kind = type(wrong).__name__
    with pytest.raises(TypeError, match=f"predict: data is a {kind}, must be a task, a PyG Data, a list or loader"):
        trainer.predict(wrong)
