"""SheafDiffusion against its equations, its options, batches and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data

import graphkit as gk
from graphkit.models import ConnectionSheaf, SheafDiffusion
from graphkit.nn.sheaf import sheaf_graph, sheaf_laplacian
from graphkit.testing import random_graph
from graphkit.testing.kinds import weights_by_step
from graphkit.transforms import Undirected
from tests import tiny

GRAPH = Undirected()(random_graph(9, 22, num_isolated=1, edge_dim=None))


def test_the_trivial_sheaf_is_graph_diffusion():
    model = tiny.with_random_weights(SheafDiffusion(5, 3, num_layers=2, out_channels=4, stalk_dim=2, maps="identity"))
    degree = torch.zeros(9).index_add_(0, GRAPH.edge_index[0], torch.ones(GRAPH.num_edges)).double()
    scale = (degree + 1).rsqrt()
    adjacency = torch.zeros(9, 9).double()
    adjacency[GRAPH.edge_index[0], GRAPH.edge_index[1]] = 1
    laplacian = scale[:, None] * (degree.diag() - adjacency) * scale
    h = torch.nn.functional.elu(model.lin_in(GRAPH.x)).view(9, 2, 3)
    for layer in model.layers:
        mixed = torch.einsum("ij,njf,gf->nig", layer.conv.mix.left, h, layer.conv.mix.right)
        step = torch.einsum("vu,uif->vif", laplacian, mixed)
        h = (1 + layer.conv.epsilon.tanh()) * h - torch.nn.functional.elu(step)
    torch.testing.assert_close(model(GRAPH), model.lin_out(h.flatten(1)))
    assert model.layers[0].learner.weight is None


@pytest.mark.parametrize("maps", ["diag", "general"])
@pytest.mark.parametrize("sparse", [False, True])
def test_the_learned_sheaf(maps, sparse):
    model = tiny.with_random_weights(
        SheafDiffusion(5, 3, out_channels=2, stalk_dim=2, maps=maps, low_pass=True, sparse_learner=sparse)
    )
    h = model.encode(GRAPH)
    v, u = GRAPH.edge_index
    seen = h.view(9, 3, 3).sum(1) if sparse else h
    numbers = torch.tanh(torch.cat([seen[v], seen[u]], dim=1) @ model.layers[0].learner.weight.t())
    given = numbers if maps == "diag" else numbers.view(-1, 2, 2)
    expected = sheaf_laplacian(GRAPH.edge_index, given, maps, low_pass=True, size=9).to_dense()
    torch.testing.assert_close(model.laplacian(0, [h], GRAPH).to_dense(), expected)


@pytest.mark.parametrize("stalk_dim", [2, 3])
def test_the_official_sparse_learner_cuts_the_pair_into_pieces(stalk_dim):
    model = tiny.with_random_weights(SheafDiffusion(5, 3, stalk_dim=stalk_dim, official_sparse_learner=True))
    learner, h = model.layers[0].learner, model.encode(GRAPH)
    graph = sheaf_graph(GRAPH.edge_index, 9)
    v, u = GRAPH.edge_index
    pieces = torch.cat([h[v], h[u]], dim=1).view(-1, stalk_dim, 6).sum(1)
    expected = torch.tanh(pieces @ learner.weight.t())
    torch.testing.assert_close(graph.to_edges(learner.predict(h, graph)[0].t()), expected)


def test_a_frozen_sheaf_is_learned_once():
    model = tiny.with_random_weights(SheafDiffusion(5, 3, num_layers=3, out_channels=2, frozen=True))
    calls = []
    model.layers[0].learner.register_forward_hook(lambda *_: calls.append(1))
    model(GRAPH)
    assert len(calls) == 1
    used = weights_by_step(model, GRAPH)
    assert all(any(name.startswith("layers.0.learner") for name in names) for names in used)
    history = [model.encode(GRAPH), model.encode(GRAPH) + 1]
    first, second = (model.laplacian(i, history, GRAPH).to_dense() for i in (0, 1))
    torch.testing.assert_close(first, second)


def test_two_networks_trained_on_one_graph_work_on_another():
    model = tiny.with_random_weights(SheafDiffusion(5, 3, out_channels=2, stalk_dim=3, maps="bundle"))
    other = Undirected()(random_graph(5, 9, edge_dim=None, seed=3))
    batch = Batch.from_data_list([GRAPH, other])
    torch.testing.assert_close(model(batch), torch.cat([model(GRAPH), model(other)]))


def test_initial_weights():
    model = SheafDiffusion(5, 4, stalk_dim=3, high_pass=True)
    conv = model.layers[0].conv
    torch.testing.assert_close(conv.mix.left, torch.eye(4))
    torch.testing.assert_close(conv.mix.right @ conv.mix.right.t(), torch.eye(4))
    assert conv.epsilon.abs().max() == 0
    assert model.lin_in.bias.abs().max() > 0


def test_training_makes_graphs_undirected():
    data = tiny.graph()
    data.y = torch.arange(24) % 3
    data.edge_index = data.edge_index[:, :30]
    task = gk.NodeTask("one way", data, tiny.split(24))
    result = gk.Trainer(max_epochs=2, progress=False).fit(SheafDiffusion.from_task(task, maps="general"), task)
    assert result.epochs == 2


def test_weight_decay_can_single_out_the_sheaf():
    task = tiny.node_task()
    model = SheafDiffusion.from_task(task, maps="bundle")
    trainer = gk.Trainer(max_epochs=1, progress=False, weight_decay={"layers.*.learner.weight": 0.1, "*": 0.01})
    assert trainer.fit(model, task).epochs == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"maps": "bundle", "stalk_dim": 1}, "stalk dimension of at least 2, got 1; use maps='diag'"),
        ({"maps": "orthogonal"}, "maps='orthogonal', "),
        ({"num_layers": 0}, "num_layers=0, must be at least 1"),
        ({"stalk_dim": 0}, "stalk_dim=0, must be at least 1"),
        ({"dropout": 1.0}, r"dropout=1\.0, must be in \[0, 1\)"),
        ({"normalize": "sym"}, "normalize='sym'"),
        ({"learner_act": "relu"}, "learner_act='relu', "),
        ({"maps": "bundle", "orthogonal": "euler", "stalk_dim": 4}, "stalk dimensions 2 and 3, got 4"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SheafDiffusion(5, 4, **arguments)


def test_a_directed_graph_is_refused():
    data = Data(x=torch.ones(3, 5), edge_index=torch.tensor([[0, 1], [1, 2]]))
    with pytest.raises(ValueError, match="0 -> 1 has no reverse"):
        SheafDiffusion(5, 4)(data)


def test_continuous_time_in_one_stretch_or_several():
    options = {"maps": "general", "solver": "rk4", "step_size": 0.1, "time": 1.0}
    one = tiny.with_random_weights(SheafDiffusion(5, 3, num_layers=1, out_channels=2, **options))
    two = tiny.with_random_weights(SheafDiffusion(5, 3, num_layers=2, out_channels=2, **options))
    two.load_state_dict(
        two.state_dict()
        | one.state_dict()
        | {name.replace("layers.0", "layers.1"): value for name, value in one.state_dict().items()}
    )
    torch.testing.assert_close(two(GRAPH), one(GRAPH))
    first, second = weights_by_step(two, GRAPH)
    assert first == second == weights_by_step(one, GRAPH)[0]


def test_a_solver_that_needs_too_long_says_so():
    model = tiny.with_random_weights(SheafDiffusion(5, 3, time=1.0, max_evaluations=3))
    with pytest.raises(RuntimeError, match="more than max_evaluations=3"):
        model(GRAPH)


def test_connection_sheaf_uses_one_operator_and_wants_its_maps():
    model = tiny.with_random_weights(ConnectionSheaf(5, 3, num_layers=2, out_channels=2, stalk_dim=2))
    ready = model.required_transform()(GRAPH)
    history = [model.encode(ready)]
    expected = sheaf_laplacian(ready.edge_index, ready.restriction_maps, "bundle", size=9).to_dense()
    for i in range(2):
        torch.testing.assert_close(model.laplacian(i, history, ready).to_dense(), expected)
        history.append(model.step(i, history, ready))
    torch.testing.assert_close(model(ready), model.decode(history[-1], ready))
    with pytest.raises(ValueError, match=r"restriction_maps of shape \[\d+, 2, 2\], the batch has none"):
        model(GRAPH)
    with pytest.raises(ValueError, match="tangent bases of dimension 6 need at least 6 features"):
        ConnectionSheaf(5, 3, stalk_dim=6).required_transform()(GRAPH)
