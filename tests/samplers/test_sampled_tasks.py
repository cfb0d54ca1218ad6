"""Training on subgraphs through the one trainer."""

from __future__ import annotations

import math

import pytest
import torch
from torch_geometric.data import Data

import graphkit as gk
from graphkit.models import GCN, GIN, MLP, MPNN, GraphSAINT, ShaDowGNN
from graphkit.models.links.pair_scorer import PairScorer
from graphkit.testing.instances import factories
from graphkit.training import inference, layerwise_inference
from graphkit.transforms.features import RandomWalkPE
from tests import tiny

SAMPLERS = {
    "NeighborSampler": lambda **more: gk.samplers.NeighborSampler([4, 3], **more),
    "ShaDowKHop": lambda **more: gk.samplers.ShaDowKHop(2, 4, **more),
    "ShaDowPPR": lambda **more: gk.samplers.ShaDowPPR(6, **more),
    "GraphSAINTNode": lambda **more: gk.samplers.GraphSAINTNode(12, **more),
    "GraphSAINTEdge": lambda **more: gk.samplers.GraphSAINTEdge(8, **more),
    "GraphSAINTRandomWalk": lambda **more: gk.samplers.GraphSAINTRandomWalk(5, **more),
    "ClusterSampler": lambda **more: gk.samplers.ClusterSampler(4, 2, **more),
}


@pytest.fixture(autouse=True)
def _own_files(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path / "data"))
    torch.manual_seed(0)


def node_task(target="multiclass"):
    task = tiny.node_task(target)
    data = task.data.clone()
    data.edge_index = data.edge_index[:, data.edge_index[0] != data.edge_index[1]].unique(dim=1)
    return gk.NodeTask(task.name, data, task.split, target)


def communities(n=600, seed=0):
    """Two classes that only the graph tells apart: noisy features, mostly edges within a class."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 2
    pairs = torch.randint(n, (2, 8 * n), generator=generator)
    alike = (y[pairs[0]] == y[pairs[1]]) | (torch.rand(8 * n, generator=generator) < 0.1)
    pairs = pairs[:, alike & (pairs[0] != pairs[1])]
    edge_index = torch.cat([pairs, pairs.flip(0)], dim=1).unique(dim=1)
    x = torch.randn(n, 8, generator=generator) + 0.4 * (2 * y[:, None] - 1) * torch.eye(8)[0]
    order = torch.randperm(n, generator=generator)
    split = gk.Split("random", order[: n // 2], order[n // 2 : 3 * n // 4], order[3 * n // 4 :])
    return gk.NodeTask("communities", Data(x=x, edge_index=edge_index, y=y), split)


def test_every_sampler_is_tried_here():
    assert set(SAMPLERS) == {
        name for name, cls in gk.samplers.registry.classes().items() if "graphkit" in cls.__module__
    }


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_model_trains_on_every_sampler(name):
    from tests.common.test_cross_product import MODELS

    for model, make in MODELS.items():
        whole = node_task()
        task = whole.sampled(SAMPLERS[name]())
        try:
            network = make(whole)
        except ValueError:  # is not for tasks on nodes
            continue
        if isinstance(network, PairScorer):
            continue
        if getattr(network, "readout", None) is not None and name not in ("ShaDowKHop", "ShaDowPPR"):
            continue
        result = gk.Trainer(max_epochs=1, progress=False).fit(network, task)
        assert math.isfinite(result.history[0]["train_loss"]), model
        assert math.isfinite(result.test), model


@pytest.mark.parametrize("name", SAMPLERS)
def test_training_on_subgraphs_learns(name):
    task = communities()
    sampler = {
        "NeighborSampler": gk.samplers.NeighborSampler([10, 10]),
        "GraphSAINTNode": gk.samplers.GraphSAINTNode(200),
        "GraphSAINTEdge": gk.samplers.GraphSAINTEdge(150),
        "GraphSAINTRandomWalk": gk.samplers.GraphSAINTRandomWalk(80, 2),
        "ClusterSampler": gk.samplers.ClusterSampler(12, 4),
        "ShaDowPPR": gk.samplers.ShaDowPPR(40),
    }.get(name, gk.samplers.ShaDowKHop(2, 8))
    trainer = gk.Trainer(max_epochs=12, batch_size=60 if sampler.default_batch_size else None, progress=False)
    plain = gk.Trainer(max_epochs=60, progress=False).fit(MLP.from_task(task, hidden_channels=16), task)
    result = trainer.fit(GCN.from_task(task, hidden_channels=16), task.sampled(sampler))
    assert result.test > max(0.85, plain.test + 0.1)


@pytest.mark.parametrize(
    ("model", "sampler"),
    [
        (GraphSAINT, gk.samplers.GraphSAINTRandomWalk(80, 2, inductive=True)),
        (ShaDowGNN, gk.samplers.ShaDowKHop(2, 8)),
    ],
)
def test_the_papers_own_networks_learn(model, sampler):
    task = communities()
    size = {"batch_size": 30} if sampler.default_batch_size else {}
    depth = {"num_layers": 3, "conv": "sage", "pooling": "mean", "hops": True} if model is ShaDowGNN else {}
    trainer = gk.Trainer(max_epochs=10, clip_norm=5.0, progress=False, **size)
    result = trainer.fit(model.from_task(task, hidden_channels=32, **depth), task.sampled(sampler))
    assert result.test > 0.85


@pytest.mark.parametrize("target", ["multiclass", "binary", "multilabel", "regression"])
def test_losses_of_all_targets_are_weighted_sums(target):
    task = node_task(target).sampled(SAMPLERS["GraphSAINTNode"]())
    out = torch.randn(24, task.num_outputs)
    for batch in task.batches("train", shuffle=True):
        rows = batch.root_index
        part = out[batch.n_id]
        each = [task.loss_of(part[i : i + 1], batch.y[i : i + 1]) * batch.node_weight[i] for i in rows]
        assert torch.allclose(task.loss(part, batch), sum(each, torch.tensor(0.0)), atol=1e-6)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_stopped_run_goes_on_bit_by_bit(name, tmp_path):
    def run(folder, epochs, resume=False, sampler=None):
        task = node_task().sampled(sampler or SAMPLERS[name]())
        size = {"batch_size": 5} if SAMPLERS[name]().default_batch_size else {}
        model = GCN.from_task(task, hidden_channels=8, dropout=0.5)
        trainer = gk.Trainer(max_epochs=epochs, run_dir=tmp_path / folder, checkpoint_seconds=0, progress=False, **size)
        result = trainer.fit(model, task, resume=resume)
        return result, model.state_dict()

    whole, weights = run("whole", 6)
    run("parts", 3)
    resumed, again = run("parts", 6, resume=True)
    assert resumed.history == whole.history
    assert all(torch.equal(value, again[key]) for key, value in weights.items())
    with pytest.raises(ValueError, match=r"NeighborSampler\(\[7\]\)"):
        run("parts", 9, resume=True, sampler=gk.samplers.NeighborSampler([7]))


def test_every_epoch_draws_anew_and_evaluation_does_not():
    task = node_task().sampled(SAMPLERS["NeighborSampler"]())
    first, second = (
        [b.n_id.tolist() for b in task.batches("train", 4, shuffle=True, generator=torch.Generator().manual_seed(seed))]
        for seed in (0, 1)
    )
    assert first != second
    one, two = ([b.n_id.tolist() for b in task.batches("val", 4)] for _ in range(2))
    assert one == two


@pytest.mark.parametrize("evaluate", ["whole", "layerwise"])
def test_evaluation_on_the_whole_graph_is_exact(evaluate):
    whole = node_task()
    task = whole.sampled(gk.samplers.NeighborSampler([2], evaluate=evaluate))
    trainer = gk.Trainer(max_epochs=3, progress=False, batch_size=5)
    model = GCN.from_task(whole, hidden_channels=8)
    trainer.fit(model, task)
    model.eval()
    for stage in ("val", "test"):
        prediction, label = trainer.predict(task, stage)
        ids = getattr(whole.split, stage)
        assert torch.allclose(prediction, model(whole.data)[ids], atol=1e-5)
        assert torch.equal(label, whole.labels[ids])


def test_predictions_come_in_the_order_of_the_split():
    whole = communities(120)
    task = whole.sampled(gk.samplers.NeighborSampler([-1, -1, -1]))
    trainer = gk.Trainer(max_epochs=1, progress=False, batch_size=7)
    model = GCN.from_task(whole, hidden_channels=8)
    trainer.fit(model, task)
    model.eval()
    for stage in ("train", "val", "test"):
        prediction, label = trainer.predict(task, stage)
        ids = getattr(whole.split, stage)
        assert torch.equal(label, whole.labels[ids])
        assert torch.allclose(prediction, model(whole.data)[ids], atol=1e-5)


# --- what training may see --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLERS)
def test_test_labels_stay_hidden(name):
    task = node_task().sampled(SAMPLERS[name]())
    hidden = set(task.split.test.tolist())
    for stage in ("train", "val"):
        for batch in task.batches(stage, shuffle=stage == "train"):
            ids = batch.get("n_id", torch.arange(24))
            assert all(int(y) == -1 for v, y in zip(ids.tolist(), batch.y) if v in hidden)
    (batch, *_) = task.batches("test")
    assert (batch.y >= 0).any()


@pytest.mark.parametrize("name", SAMPLERS)
def test_inductive_training_sees_training_nodes_only(name):
    task = node_task().sampled(SAMPLERS[name](inductive=True))
    train = task.split.train.sort().values
    seen = set()
    for batch in task.batches("train", shuffle=True):
        features = task.data.x[train][batch.n_id]
        assert torch.equal(batch.x, features)
        seen |= set(train[batch.n_id[batch.root_index]].tolist())
    assert seen <= set(train.tolist())
    if task.sampler.default_batch_size:
        assert seen == set(train.tolist())


def test_transforms_before_and_after():
    whole, walk = node_task(), RandomWalkPE(walk_length=3)
    before = whole.transform(walk).sampled(gk.samplers.NeighborSampler([2]))
    after = whole.sampled(gk.samplers.NeighborSampler([2])).transform(walk)
    assert before.num_features == after.num_features == whole.num_features + 3
    full = walk(whole.data).x
    for batch in before.batches("train"):
        assert torch.equal(batch.x, full[batch.n_id])
    for batch in after.batches("train"):
        bare = batch.clone()
        bare.x = bare.x[:, :-3]
        assert torch.allclose(batch.x, walk(bare).x)
        assert not torch.allclose(batch.x, full[batch.n_id])
    assert "RandomWalkPE" in after.describe()
    assert "NeighborSampler" in after.describe()


def test_another_split_keeps_sampler_and_transforms():
    task = node_task().sampled(gk.samplers.NeighborSampler([2])).transform(RandomWalkPE(walk_length=3))
    ids = torch.arange(24)
    other = task.with_split(gk.Split("other", ids[10:], ids[:5], ids[5:10]))
    assert other.num_features == task.num_features
    counted = torch.cat([batch.n_id[batch.root_index] for batch in other.batches("train")])
    assert torch.equal(counted, ids[10:])


# --- one layer at a time ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [cls for cls in gk.models.registry.classes().values() if "graphkit" in cls.__module__])
def test_layerwise_is_the_whole_graph_or_says_why_not(cls):
    task = node_task()
    if issubclass(cls, PairScorer):
        pytest.skip("judges pairs")
    for make in factories(cls).values():
        model = make()
        if getattr(model, "readout", None) is not None or getattr(model, "edge_dim", None) is not None:
            continue  # of whole graphs, or of features that these edges lack
        data = tiny.graph(24, 40, 5)
        data.x, data.edge_attr = data.x.double(), None
        model = model.double().eval()
        if model.num_hops is None:
            with pytest.raises(TypeError, match="cannot be run for some nodes at a time"):
                layerwise_inference(model, data)
            continue
        prepare = model.required_transform()
        data = data if prepare is None else prepare(data)
        for chunk in (1, 7, 100):
            assert torch.allclose(layerwise_inference(model, data, chunk), model(data), atol=1e-10)
    assert task.num_outputs == 3


@pytest.mark.parametrize("model", [GIN, MPNN, GCN])
def test_layerwise_on_a_directed_graph_with_an_isolated_node(model):
    data = Data(x=torch.randn(6, 3).double(), edge_index=torch.tensor([[0, 1, 2, 4, 0], [1, 2, 0, 3, 3]]))
    network = model(3, 5, num_layers=3, out_channels=2, residual=True).double().train()
    out = layerwise_inference(network, data, 2)
    assert network.training
    assert torch.allclose(out, network.eval()(data), atol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda: GCN(6, 5, num_layers=3, out_channels=2, norm="batch_norm", residual=True),
        lambda: GCN(6, 5, num_layers=3, norm="layer_norm", residual="linear", dropout=0.5),
        lambda: GIN(6, 5, num_layers=3, out_channels=2, norm="batch_norm", dropout=0.5),
        lambda: GIN(6, 6, num_layers=3, residual=True),
        lambda: GIN(6, 5, num_layers=2, residual="linear"),
        lambda: GraphSAINT(6, 5, out_channels=2, orders=(1, 0, 1)),
        lambda: GraphSAINT(6, 5, out_channels=2, orders=(0, 1), join="sum", norm=False),
    ],
)
def test_layerwise_computes_no_neighbours_of_a_chunk(make, monkeypatch):
    data = tiny.graph(24, 40, 5)
    data.x, data.edge_weight = torch.randn(24, 6).double(), torch.rand(data.num_edges).double()
    model = make().double().train()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) / 4)  # no epsilon or offset is 0
        model(data)  # running statistics of batch norm
    expected = model.eval()(data)
    per_chunk = inference._Run._per_chunk

    def alone(run, of, history=(), num_hops=0):
        assert not num_hops, "a layer ran on more than the chunk"
        return per_chunk(run, of, history)

    monkeypatch.setattr(inference._Run, "_per_chunk", alone)
    assert torch.allclose(layerwise_inference(model, data, 7), expected, atol=1e-12)


def test_layerwise_with_averages_of_averages():
    data = tiny.graph(24, 40, 5)
    data.x, data.edge_attr = torch.randn(24, 6).double(), None
    model = GraphSAINT(6, 5, out_channels=2, orders=(2, 1, 0)).double().eval()
    assert torch.allclose(layerwise_inference(model, data, 7), model(data), atol=1e-12)


def test_layerwise_refusals():
    data = tiny.graph()
    with pytest.raises(TypeError, match="Linear may read the whole graph"):
        layerwise_inference(torch.nn.Linear(6, 2), data)
    with pytest.raises(ValueError, match="chunk_size=0"):
        layerwise_inference(GCN(6, 4), data, 0)


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_what_cannot_be_sampled_says_why():
    sampler = gk.samplers.NeighborSampler([2])
    with pytest.raises(ValueError, match=r"samplers draw subgraphs around labelled nodes of one large graph"):
        tiny.task("graph multiclass").sampled(sampler)
    with pytest.raises(ValueError, match=r"ClusterSampler cannot say how probable it is that a subgraph holds both"):
        tiny.task("link").sampled(gk.samplers.ClusterSampler(3))
    with pytest.raises(ValueError, match=r"NeighborSampler\(inductive=True\) is about training nodes"):
        tiny.task("link").sampled(gk.samplers.NeighborSampler([2], inductive=True))
    with pytest.raises(TypeError, match=r"needs a sampler such as .* got list"):
        node_task().sampled([15, 10])
    with pytest.raises(ValueError, match="is sampled by NeighborSampler"):
        node_task().sampled(sampler).sampled(sampler)
    with pytest.raises(ValueError, match=r"leave batch_size at None, or train on subgraphs: task.sampled"):
        gk.Trainer(max_epochs=1, batch_size=3, progress=False).fit(GCN(6, 4, out_channels=3), node_task())


def test_recipes_know_samplers():
    from graphkit.recipes import Experiment

    plain = {"model": "GCN", "task": "karate", "trainer": {"max_epochs": 2, "batch_size": 2}}
    part = {"class_path": "NeighborSampler", "init_args": {"num_neighbors": [3, 2]}}
    experiment = Experiment.from_config(plain | {"sampler": part})
    assert experiment.config["sampler"]["init_args"]["subgraph_type"] == "directional"
    assert len(experiment.run(progress=False).history) == 2
    assert "NeighborSampler([3, 2])" in experiment.load_task().describe()
    again = Experiment.from_config(experiment.config)
    assert again.hash == experiment.hash
    assert Experiment.from_config(plain).hash != experiment.hash
    with pytest.raises(ValueError, match="did you mean 'NeighborSampler'"):
        Experiment.from_config(plain | {"sampler": "NeighbourSampler"})
    with pytest.raises(ValueError, match="num_neighbors"):
        Experiment.from_config(plain | {"sampler": "NeighborSampler"})


def test_reproducing_a_recipe_trains_on_subgraphs(tmp_path, monkeypatch):
    from graphkit.recipes import Recipe

    monkeypatch.chdir(tmp_path)
    asked = []
    draw = gk.samplers.NeighborSampler.draw
    monkeypatch.setattr(gk.samplers.NeighborSampler, "draw", lambda *a: asked.append(a[2].numel()) or draw(*a))
    part = {"class_path": "NeighborSampler", "init_args": {"num_neighbors": [3, 2]}}
    config = {"model": "GCN", "task": "karate", "trainer": {"max_epochs": 2, "batch_size": 2}, "sampler": part}
    assert len(Recipe("mine", config).run(progress=False).cell.runs) == 1
    assert max(asked[1:]) == 2  # the first is the example, from which the number of features is read


def test_hashes_of_experiments_without_a_sampler_stay(monkeypatch):
    from graphkit.recipes import experiment

    config = {"model": "GCN", "task": "karate"}
    today = experiment.Experiment.from_config(config).hash
    monkeypatch.delitem(experiment.PARTS, "sampler")
    before = experiment.Experiment.from_config(config)
    assert before.config.get("sampler") is None
    before.config["sampler"] = None
    assert before.hash == today


@pytest.mark.parametrize("name", ["NeighborSampler", "ShaDowKHop", "ShaDowPPR"])
def test_an_isolated_root_at_the_end_is_trained_on_with_batch_norm(name):
    data = Data(x=torch.rand(9, 3), edge_index=torch.empty(2, 0, dtype=torch.long), y=torch.arange(9) % 2)
    split = gk.Split("s", torch.arange(5), torch.tensor([5, 6]), torch.tensor([7, 8]))
    task = gk.NodeTask("points", data, split).sampled(SAMPLERS[name]())
    readout = {"readout": "mask"} if name.startswith("ShaDow") else {}
    model = GCN.from_task(task, hidden_channels=4, norm="batch_norm", **readout)
    assert len(gk.Trainer(max_epochs=3, batch_size=4, progress=False).fit(model, task).history) == 3
