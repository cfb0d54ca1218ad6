"""Decoders against their formulas, and any encoder below them."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCN as PyGGCN

import graphkit as gk
from graphkit.models import GCN, LinkPredictor, SheafDiffusion
from graphkit.transforms import SparseFeatures
from tests import tiny


@pytest.fixture
def graph():
    data = tiny.graph()
    data.edge_label_index = torch.randint(24, (2, 40), generator=torch.Generator().manual_seed(1))
    return data


def by_hand(model, h, pairs, features):
    first, second = h[pairs[0]], h[pairs[1]]
    joined = {
        "mlp": first * second,
        "l1": (first - second).abs(),
        "l2": (first - second) ** 2,
        "average": (first + second) / 2,
        "concat": torch.cat([first, second], dim=1),
    }
    if model.decoder in joined:
        one, two = model.maps
        ends = joined[model.decoder]
        ends = ends if model.edge_dim is None else torch.cat([ends, features], dim=1)
        return torch.relu(ends @ one.weight.t() + one.bias) @ two.weight.t() + two.bias
    if model.decoder == "bilinear":
        weights = torch.stack([linear.weight for linear in model.maps])
        return torch.einsum("pi,kij,pj->pk", first, weights, second)
    cosine = (first * second).sum(1) / (first.norm(dim=1) * second.norm(dim=1))
    return (cosine * model.maps[0].weight.item() + model.maps[0].bias.item()).unsqueeze(1)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize(
    ("decoder", "sizes"),
    [
        ("mlp", {}),
        ("mlp", {"out_channels": 3, "edge_dim": 2}),
        ("l1", {}),
        ("l2", {"edge_dim": 2}),
        ("average", {}),
        ("concat", {"out_channels": 3}),
        ("concat", {"edge_dim": 2}),
        ("bilinear", {}),
        ("bilinear", {"out_channels": 3}),
        ("cosine", {}),
    ],
)
def test_decoders_follow_their_formulas(decoder, sizes, symmetric, graph, monkeypatch):
    torch.manual_seed(0)
    model = LinkPredictor(GCN(6, 8), decoder, symmetric=symmetric, **sizes).double()
    graph.x, graph.edge_label_attr = graph.x.double(), torch.rand(40, 2, dtype=torch.float64)
    h = model.encoder(graph)
    expected = by_hand(model, h, graph.edge_label_index, graph.edge_label_attr)
    if symmetric:
        expected = (expected + by_hand(model, h, graph.edge_label_index.flip(0), graph.edge_label_attr)) / 2
    torch.testing.assert_close(model(graph), expected)
    for a, b in zip(
        torch.autograd.grad(model(graph).square().sum(), model.encoder.parameters()),
        torch.autograd.grad(expected.square().sum(), model.encoder.parameters()),
    ):
        torch.testing.assert_close(a, b)
    monkeypatch.setattr("graphkit.models.links.link_predictor._BLOCK", 7)
    with torch.no_grad():
        torch.testing.assert_close(model(graph), expected.detach())


def test_sizes_are_those_of_an_edge_task(graph):
    graph.edge_label, graph.edge_attr = torch.arange(40).repeat(2) % 3, torch.rand(80, 2)
    del graph.edge_label_index
    split = gk.Split.random_edges(graph.edge_index, undirected=False)
    task = gk.EdgeTask("edges", graph, split, undirected=False)
    model = LinkPredictor.from_task(task, decoder="concat")
    assert (model.out_channels, model.edge_dim, model.symmetric) == (3, 2, False)
    assert model.reads.edge_attr
    assert model.encoder.out_channels == model.encoder.hidden_channels, "of an embedding, not of the answer"
    assert LinkPredictor.from_task(task, decoder="bilinear").edge_dim is None
    assert LinkPredictor.from_task(task, edge_dim=None).maps[0].weight.size(1) == 64
    assert LinkPredictor.from_task(tiny.link_task()).out_channels == 1


def test_the_first_cosine_is_the_plain_one(graph):
    model = LinkPredictor(GCN(6, 8), "cosine")
    assert model(graph).abs().max() <= 1 + 1e-6


@pytest.mark.parametrize("decoder", ["mlp", "l1", "l2", "average"])
def test_fixed_embeddings_are_judged_by_logistic_regression(decoder):
    """Communities: an embedding tells links by who is near whom, which is least in the mean of both ends."""
    data = gk.load("communities", num_nodes=200, num_labels=5, labels_per_node=1.0, degree=10, noise=0.05).data
    task = gk.LinkTask("links", data, gk.LinkSplit.random(data.edge_index, 200))
    task = task.transform(gk.features.DeepWalk(dim=16, lr=0.1))
    model = LinkPredictor(nn.Identity(), decoder, embedding_channels=16, num_layers=1)
    assert [tuple(p.shape) for p in model.parameters()] == [(1, 16), (1,)]
    found = gk.Trainer(max_epochs=150, lr=0.05, patience=None, progress=False).fit(model, task)
    assert found.test > (0.45 if decoder == "average" else 0.8)


def test_fixed_embeddings_alone_are_judged_by_their_dot_product():
    task = gk.load("karate-links").transform(gk.features.FastRP(dim=8, cat=False))
    x, split = task.stage_graph("test").x, task.split
    score = [(x[pairs[0]] * x[pairs[1]]).sum(1) for pairs in (split.test, split.test_negatives)]
    found = gk.Trainer(max_epochs=1, progress=False).fit(nn.Identity(), task)
    assert found.test == pytest.approx(roc_auc_score([1] * len(score[0]) + [0] * len(score[1]), torch.cat(score)))


def test_embeddings_that_are_learned_are_those_of_the_training_graph_at_all_stages():
    task = gk.load("karate-links")
    walks = gk.features.DeepWalk(dim=4)
    made = task.transform(walks)
    assert len(made.graphs) == 2, "links to validate on carry messages in the test"
    expected = walks(task.stage_graph("train")).x
    for stage in ("train", "val", "test"):
        assert torch.equal(made.stage_graph(stage).x, expected)
        assert torch.equal(made.stage_graph(stage).edge_index, task.stage_graph(stage).edge_index)
    own = task.transform(gk.features.FastRP(dim=4))
    assert not torch.equal(own.stage_graph("train").x, own.stage_graph("test").x)
    with pytest.warns(UserWarning, match=r"DeepWalk\(dim=4\) gives each graph columns of its own"):
        tiny.task("graph multiclass").transform(walks)
    with pytest.warns(UserWarning, match="each subgraph that is drawn columns of its own.*before it is sampled"):
        task.sampled(gk.samplers.NeighborSampler([2])).transform(walks)


class _Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(6, 5)

    def reset_parameters(self):
        self.lin.reset_parameters()

    def forward(self, x, edge_index):
        return self.lin(x)


ENCODERS = {
    "GCN": lambda: GCN(6, 8),
    "SheafDiffusion": lambda: SheafDiffusion(6, 8),
    "PyG": lambda: PyGGCN(6, 8, 2),
}


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("decoder", ["mlp", "bilinear", "cosine"])
def test_trains_on_any_encoder(encoder, decoder):
    task = tiny.link_task()
    model = LinkPredictor(ENCODERS[encoder](), decoder, dropout=0.5)
    trainer = gk.Trainer(max_epochs=3, progress=False)
    before = [parameter.clone() for parameter in model.parameters()]
    first = trainer.fit(model, task)
    assert all(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert trainer.fit(model, task).history == first.history, "new weights are drawn from the seed"


def test_own_modules_say_their_width(graph):
    assert LinkPredictor(_Own(), embedding_channels=5)(graph).shape == (40, 1)
    with pytest.raises(ValueError, match="_Own has no out_channels; give embedding_channels"):
        LinkPredictor(_Own())
    with pytest.raises(TypeError, match="the encoder Sequential needs a method reset_parameters"):
        LinkPredictor(nn.Sequential(nn.Linear(6, 5)))
    with pytest.raises(ValueError, match="Identity has no out_channels; give embedding_channels"):
        LinkPredictor(nn.Identity())


def test_sparse_features_reach_the_encoder():
    assert isinstance(LinkPredictor(GCN(6, 8)).required_transform(), SparseFeatures)
    assert LinkPredictor(PyGGCN(6, 8, 2)).required_transform() is None


def test_encoders_by_name():
    task = tiny.link_task()
    assert repr(LinkPredictor.from_task(task).encoder) == repr(GCN.from_task(task))
    part = {"class_path": "SheafDiffusion", "init_args": {"hidden_channels": 4}}
    model = LinkPredictor.from_task(task, encoder=part, decoder="bilinear")
    assert repr(model.encoder) == repr(SheafDiffusion.from_task(task, hidden_channels=4))
    assert model.maps[0].weight.shape == (4, 4)
    with pytest.raises(ValueError, match="unknown model 'GCNN'; did you mean 'GCN'"):
        LinkPredictor.from_task(task, encoder="GCNN")


def test_a_config_names_the_encoder():
    encoder = {"class_path": "GCN", "init_args": {"hidden_channels": 4}}
    config = {"model": {"class_path": "LinkPredictor", "init_args": {"encoder": encoder}}, "task": "karate-links"}
    experiment = gk.recipes.Experiment.from_config(config, ["--model.hidden_channels", "5"])
    task = experiment.load_task()
    assert repr(experiment.build_model(task)) == (
        "LinkPredictor(GCN(34, hidden_channels=4, out_channels=4), hidden_channels=5)"
    )
    assert len(experiment.run(max_epochs=2, progress=False).history) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_layers": 0}, "num_layers=0, must be at least 1"),
        ({"dropout": 1.0}, r"dropout=1.0, must be in \[0, 1\)"),
        ({"decoder": "dot"}, "LinkPredictor: decoder='dot', choose from: mlp, l1, l2, average, concat"),
        ({"decoder": "cosine", "out_channels": 2}, "out_channels=2, but decoder='cosine' has one; use 'mlp'"),
        ({"decoder": "bilinear", "edge_dim": 2}, "edge_dim=2, but decoder='bilinear' reads none; use 'mlp'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        LinkPredictor(GCN(6, 8), **arguments)


def test_wrong_use():
    model = LinkPredictor(GCN(6, 8))
    with pytest.raises(ValueError, match="the batch has no edge_label_index; use a LinkTask"):
        model(Data(x=torch.ones(2, 6), edge_index=torch.tensor([[0], [1]])))
    with pytest.raises(ValueError, match=r"edge_label_attr of the batch has the shape None, must be \[12, 2\]"):
        LinkPredictor(GCN(6, 8), edge_dim=2)(tiny.link_task().batches("val")[0])
    model = LinkPredictor(GCN(6, 8, readout="mean"))
    with pytest.raises(ValueError, match="the encoder gave 1 rows for 24 nodes; it must be a model without readout"):
        model(tiny.link_task().batches("val")[0])
