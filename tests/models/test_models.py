"""GCN and MLP against their equations, their options, and the adapter for other modules."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GCN as PyGGCN

from graphkit import models
from graphkit.models import GCN, MLP, PyGModel
from graphkit.ops import gcn_norm
from graphkit.testing import random_graph
from tests import tiny

GRAPH = random_graph(9, 25, num_isolated=1, edge_dim=None)


def test_gcn_is_its_equation():
    model = GCN(5, 6, num_layers=3, out_channels=4).double()
    P = gcn_norm(GRAPH.edge_index, size=9, dtype=torch.float64).to_dense()
    h = GRAPH.x
    for i, layer in enumerate(model.layers):
        h = P @ h @ layer.lin.weight.t() + layer.bias
        h = h.relu() if i < 2 else h
    torch.testing.assert_close(model(GRAPH), h)


def test_gcn_equals_pygs():
    ours, theirs = GCN(5, 6, num_layers=3, out_channels=4).double(), PyGGCN(5, 6, 3, 4).double()
    ours.load_state_dict({k.replace("convs", "layers"): v for k, v in theirs.state_dict().items()})
    torch.testing.assert_close(ours(GRAPH), theirs(GRAPH.x, GRAPH.edge_index))


def test_outputs_of_nodes_are_pooled_on_request():
    model = GCN(5, 6, num_layers=3, out_channels=4, norm="layer_norm", readout="mean", pool_outputs=True).double()
    plain = GCN(5, 6, num_layers=3, out_channels=4, norm="layer_norm").double()
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(model(GRAPH), plain(GRAPH).mean(0, keepdim=True))
    with pytest.raises(ValueError, match="GCN: pool_outputs=True, must come with a readout, such as 'mean'"):
        GCN(5, pool_outputs=True)
    with pytest.raises(ValueError, match=r"GCN: head_dropout=.*, must come with a readout that has a head"):
        GCN(5, head_dropout=0.5)


def test_gcn_uses_edge_weights_and_the_mlp_no_edges():
    weighted = random_graph(9, 25, num_isolated=1, weighted=True, edge_dim=None)
    model, mlp = GCN(5, 6).double(), MLP(5, 6).double()
    bare = Data(x=weighted.x, edge_index=weighted.edge_index)
    assert not torch.allclose(model(weighted), model(bare))
    torch.testing.assert_close(mlp(weighted), mlp(Data(x=weighted.x)))


def test_residual_and_norm_and_activation():
    model = GCN(6, 6, num_layers=2, out_channels=6, norm="layer_norm", residual=True, act="elu").double()
    data = Data(x=torch.randn(9, 6).double(), edge_index=GRAPH.edge_index)
    h = nn.functional.elu(model.norms[0](model.layers[0](data.x, data.edge_index))) + data.x
    torch.testing.assert_close(model(data), model.layers[1](h, data.edge_index) + h)


def test_a_linear_residual_comes_before_norm_and_activation():
    model = GCN(5, 6, num_layers=2, out_channels=3, norm="layer_norm", residual="linear").double()
    h = model.norms[0](model.layers[0](GRAPH.x, GRAPH.edge_index) + model.skips[0](GRAPH.x)).relu()
    torch.testing.assert_close(model(GRAPH), model.layers[1](h, GRAPH.edge_index) + model.skips[1](h))
    with pytest.raises(ValueError, match="GCN: residual='linaer', did you mean 'linear'"):
        GCN(5, residual="linaer")


@pytest.mark.parametrize("readout", ["mean", "sum", "max"])
def test_readouts(readout):
    model = GCN(5, 6, out_channels=2, readout=readout).double()
    graphs = [GRAPH, random_graph(4, 5, edge_dim=None, seed=3)]
    out = model(Batch.from_data_list(graphs))
    for row, graph in zip(out, graphs, strict=True):
        h = GRAPH.x if graph is GRAPH else graph.x
        for layer in model.layers:
            h = layer(h, graph.edge_index).relu()
        pooled = {"mean": h.mean(0), "sum": h.sum(0), "max": h.amax(0)}[readout]
        torch.testing.assert_close(row, model.head(pooled))


def test_dropout_comes_before_every_layer():
    model = GCN(5, 400, num_layers=2, out_channels=3, dropout=0.5)
    seen = []
    for layer in model.layers:
        layer.register_forward_pre_hook(lambda _, args: seen.append((args[0] == 0).float().mean().item()))
    data = Data(x=torch.ones(300, 5), edge_index=torch.empty(2, 0, dtype=torch.long))
    model.train()(data)
    model.eval()(data)
    assert seen[0] == pytest.approx(0.5, abs=0.08)
    assert seen[1] == pytest.approx(seen[3] + 0.5 * (1 - seen[3]), abs=0.05)
    assert seen[2] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_layers": 0}, "GCN: num_layers=0, must be at least 1"),
        ({"dropout": 1.0}, r"GCN: dropout=1\.0, must be in \[0, 1\)"),
        ({"norm": "batchnorm"}, "GCN: norm='batchnorm', did you mean 'batch_norm'"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        GCN(5, 6, **arguments)


def test_sizes_from_a_task():
    model = GCN.from_task(tiny.task("graph multilabel"), hidden_channels=8)
    assert repr(model) == "GCN(6, hidden_channels=8, out_channels=2, readout='mean')"
    assert MLP.from_task(tiny.task("node regression"), out_channels=5).out_channels == 5
    with pytest.raises(ValueError, match="unknown argument of GCN 'hiden_channels'; did you mean 'hidden_channels'"):
        GCN.from_task(tiny.task("node multiclass"), hiden_channels=8)


class _ByName(nn.Module):
    def forward(self, x, edge_index, edge_weight=None, other=None):
        assert other is None
        return x if edge_weight is None else x + edge_weight.sum()


def test_the_adapter_passes_what_the_batch_has():
    weighted = random_graph(9, 25, weighted=True)
    torch.testing.assert_close(PyGModel(_ByName())(GRAPH), GRAPH.x)
    torch.testing.assert_close(PyGModel(_ByName())(weighted), weighted.x + weighted.edge_weight.sum())
    batch = Batch.from_data_list([GRAPH, GRAPH])
    torch.testing.assert_close(PyGModel(_ByName(), readout="mean")(batch), torch.stack([GRAPH.x.mean(0)] * 2))
    batch.readout_mask = torch.arange(batch.num_nodes) % GRAPH.num_nodes == 3
    torch.testing.assert_close(PyGModel(_ByName(), readout="mask")(batch), torch.stack([GRAPH.x[3]] * 2))
    with pytest.raises(ValueError, match=r"'gnp' needs to know how wide its elements are: in_channels"):
        PyGModel(_ByName(), readout="gnp")
    pooled = PyGModel(PyGGCN(5, 8, 2, 4), readout="gnp").double()
    assert pooled(batch).shape == (2, 4)
    assert any(name.startswith("pool.") for name, _ in pooled.named_parameters())
    assert repr(PyGModel(_ByName())) == "_ByName()"
    with pytest.raises(
        TypeError, match=r"_ByName\.forward needs 'edge_index', which the batch does not have \(it has x\)"
    ):
        PyGModel(_ByName())(Data(x=GRAPH.x))


@pytest.mark.parametrize("name", ["GCN", "MLP", "GIN", "RelationalGNN", "MPNN"])
def test_features_may_be_dropped_less_than_states(name):
    torch.manual_seed(0)
    data = Data(x=torch.rand(6, 4), edge_index=torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]]))
    make = getattr(models, name)

    def random(**rates):
        model = make(4, 8, num_layers=2, out_channels=2, **rates)
        return not torch.equal(model.train()(data), model.eval()(data))

    assert random(dropout=0.5)
    assert random(dropout=0.5, input_dropout=0.0)
    assert random(input_dropout=0.5)
    assert not random(dropout=0.0)
    assert random(readout="nodes", head_dropout=0.5)
    kept = make(4, 8, num_layers=1, out_channels=2, dropout=0.5, input_dropout=0.0)
    assert torch.equal(kept.train()(data), kept.eval()(data))
    with pytest.raises(ValueError, match=r"input_dropout=1\.0, must be in"):
        make(4, 8, input_dropout=1.0)


def test_old_names_of_the_contract_warn_and_count():
    with pytest.warns(FutureWarning, match=r"looks_back is now uses_history"):

        class Old(GCN):
            looks_back = True

    assert Old(3, 4).uses_history
    with pytest.warns(FutureWarning, match=r"reach is now num_hops"):
        assert GCN.reach == 2
    with pytest.warns(FutureWarning, match=r"Blind.reads_features is now reads.x"):

        class Blind(GCN):
            reads_features = False

    assert Blind.reads == replace(GCN.reads, x=False)
    with pytest.warns(FutureWarning, match=r"GCN.reads_features is now reads.x"):
        assert GCN.reads_features


def test_shared_arguments_are_told_with_the_defaults_of_the_class():
    text = " ".join(models.ShaDowGNN.__doc__.split())
    assert "hidden_channels: The width of hidden states (default: 256). num_layers: The number of layers" in text
    assert text.index("in_channels:") < text.index("hidden_channels:") < text.index("conv: ``")

    class Wide(GCN):
        """Wide layers.

        Args:
            dropout: How much is dropped (default: 0.25).
        """

        def __init__(
            self, in_channels: int, hidden_channels: int = 512, dropout: float = 0.25, norm: str = "layer_norm"
        ):
            super().__init__(in_channels, hidden_channels, dropout=dropout, norm=norm)

    assert Wide.__doc__.splitlines()[2:8] == [
        "Args:",
        "    in_channels: The number of node features; -1 takes it from the first batch.",
        "    hidden_channels: The width of hidden states (default: 512).",
        "    dropout: How much is dropped (default: 0.25).",
        '    norm: ``"batch_norm"``, ``"layer_norm"`` or ``None`` (default: ``"layer_norm"``).',
        "",
    ]
    assert "\nRaises:\n" in Wide.__doc__


@pytest.mark.parametrize("name", ["GCN", "GRAND", "ShaDowGNN", "PathNN", "KLGNN", "SheafNetwork"])
def test_models_that_read_features_say_so(name):
    model = models.registry.get(name)(5, 8)
    assert model.reads.x
    with pytest.raises(ValueError, match=f"{name} reads node features, but the batch has no x; add some"):
        model.encode(Data(edge_index=random_graph().edge_index, num_nodes=8))
