"""Layers in the hands of PyG's tools, and subclasses with messages of their own."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn as torch_nn
from torch_geometric import nn as pyg
from torch_geometric.data import Data
from torch_geometric.explain.algorithm.utils import set_masks
from torch_geometric.inspector import Inspector

import graphkit.nn
from graphkit.models import GCN, GIN, DRew
from graphkit.nn import (
    APPNP,
    AttentionDiffusion,
    DRewGCNConv,
    GATConv,
    GCNConv,
    GINConv,
    GINPerceptron,
    PathConv,
    RelationalConv,
    SGConv,
)
from graphkit.ops import SparseMatrix
from graphkit.testing import random_graph

GRAPH = random_graph(6, 14, weighted=True)
X, EDGES, WEIGHT = GRAPH.x.float(), GRAPH.edge_index, GRAPH.edge_weight.float()


@pytest.mark.parametrize(("cls", "sizes"), [(GCNConv, (5, 3)), (SGConv, (5, 3)), (APPNP, (2, 0.1))])
def test_what_is_cached_is_never_stale(cls, sizes):
    layer, other = cls(*sizes, cached=True), random_graph(6, 9, seed=4).edge_index
    layer(X, EDGES)
    edges, weight = layer._cached_edge_index
    assert edges.shape == (2, 14 + 6)
    assert weight.shape == (20,)
    layer.cached = False
    expected = layer(X, other)
    layer.cached = True
    assert torch.equal(layer(X, other), expected)


OF_PYG = {
    "GCNConv": (5, 3), "GATConv": (5, 3), "GATv2Conv": (5, 3), "TransformerConv": (5, 3), "SGConv": (5, 3, 2),
    "SAGEConv": (5, 3), "APPNP": (2, 0.1), "GINConv": (torch_nn.Linear(5, 3),),
    "GINEConv": (torch_nn.Linear(5, 3), 0.0, False, 4),
}  # fmt: skip


def _of_both() -> list[str]:
    shared = {name: getattr(pyg, name) for name in vars(graphkit.nn) if hasattr(pyg, name)}
    return [name for name, cls in shared.items() if isinstance(cls, type) and issubclass(cls, pyg.MessagePassing)]


@pytest.mark.parametrize("name", _of_both())
def test_a_layer_of_pygs_name_has_its_arguments_state_and_messages(name):
    own, theirs = getattr(graphkit.nn, name), getattr(pyg, name)
    assert [*inspect.signature(own.__init__).parameters] == [*inspect.signature(theirs.__init__).parameters]
    layers, sent = (own(*OF_PYG[name]), theirs(*OF_PYG[name])), []
    layers[1].load_state_dict(layers[0].state_dict())
    edges = torch.tensor([[4, 1, 2, 0, 3, 5, 1], [1, 0, 1, 5, 1, 2, 4]])
    given = (torch.arange(28.0).view(7, 4),) if name == "GINEConv" else ()
    for layer in layers:
        layer.register_message_forward_hook(lambda _, __, out: sent.append(out.flatten(1)))
    torch.testing.assert_close(layers[0](X, edges, *given), layers[1](X, edges, *given))
    for of_own, of_theirs in zip(sent[: len(sent) // 2], sent[len(sent) // 2 :], strict=True):
        torch.testing.assert_close(of_own, of_theirs)


@pytest.mark.parametrize("given", [{}, {"aggr": "max"}, {"aggr": "std", "flow": "target_to_source"}], ids=str)
def test_layers_of_a_class_have_nothing_in_common_and_what_pyg_gives_each(given):
    layers = [GCNConv(5, 3, **given) for _ in range(3)]
    held = [_held(layer) for layer in layers]
    plain = object.__new__(GCNConv)
    pyg.MessagePassing.__init__(plain, **{"aggr": "add", **given})
    assert all(_held(plain).keys() <= one.keys() for one in held)
    assert not {id(one) for one in held[1].values()} & {id(one) for one in held[2].values()}
    layers[1].explain = True
    layers[1].register_message_forward_hook(lambda *_: torch.zeros(20, 3))
    torch.testing.assert_close(layers[0](X, EDGES), _with_weights_of(layers[0], layers[2])(X, EDGES))


def _held(thing, path=()):
    """All that a layer holds and that can change, by where it stands."""
    parts = vars(thing) if isinstance(thing, torch_nn.Module | Inspector) else thing
    found = {path: thing} if path else {}
    for name, part in parts.items() if isinstance(parts, dict) else ():
        if isinstance(part, torch_nn.Module | Inspector | dict | list | set):
            found |= _held(part, (*path, name))
    return found


def _with_weights_of(other, layer):
    layer.load_state_dict(other.state_dict())
    return layer


@pytest.mark.parametrize("count", [2, 4])
def test_decomposed_layers_send_parts_of_the_channels(count):
    layer, widths = GCNConv(5, 8), []
    expected = layer(X, EDGES, WEIGHT)
    layer.register_message_forward_pre_hook(lambda _, given: widths.append(given[0]["x_j"].shape))
    layer.decomposed_layers = count
    torch.testing.assert_close(layer(X, EDGES, WEIGHT), expected)
    assert widths == [(20, 8 // count)] * count
    torch.testing.assert_close(layer(torch.stack([X, X]), EDGES, WEIGHT)[1], expected)


@pytest.mark.parametrize("aggr", ["max", "mean", ["max", "sum"]])
def test_other_aggregations_are_those_of_pygs_layer(aggr):
    theirs = pyg.GCNConv(5, 3, aggr=aggr, bias=False)
    ours = GCNConv(5, 3, aggr=aggr, bias=False)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(X, EDGES, WEIGHT), theirs(X, EDGES, WEIGHT))


def test_aggregations_side_by_side_are_refused_where_widths_must_agree():
    for layer in (GCNConv(5, 3, aggr=["max", "sum"]), SGConv(5, 3, K=2, bias=False, aggr=["max", "sum"])):
        with pytest.raises(
            ValueError,
            match=r"Conv: aggr=\['max', 'sum'\] makes (6 channels of 3|10 channels of 5), .* use aggr_",
        ):
            layer(X, EDGES)
    assert GCNConv(5, 3, aggr=["max", "sum"], aggr_kwargs={"mode": "sum"})(X, EDGES).shape == (6, 3)


def test_a_hook_of_the_aggregation_sees_messages():
    layer, seen = GCNConv(5, 3), []
    expected = layer(X, EDGES)
    layer.aggr_module.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
    torch.testing.assert_close(layer(X, EDGES), expected)
    assert seen == [(20, 3)]


@pytest.mark.filterwarnings("ignore")  # TorchScript is deprecated, and asks whether sizes are constants
def test_torchscript():
    model = torch_nn.Sequential(GCNConv(5, 3))
    scripted, traced = torch.jit.script(model[0]), torch.jit.trace(model[0], (X, EDGES))
    for x, edges in ((X, EDGES), (X[:4], EDGES[:, (EDGES < 4).all(0)])):
        torch.testing.assert_close(scripted(x, edges), model[0](x, edges))
        torch.testing.assert_close(traced(x, edges), model[0](x, edges))
    for layer in (SGConv(5, 3), GCNConv(5, 3, improved=True)):
        with pytest.raises(TypeError, match=r"Conv cannot be scripted; use torch.compile, torch.exp"):
            torch.jit.script(layer)


def test_export_for_graphs_of_any_size():
    auto, layer = torch.export.Dim.AUTO, GCNConv(5, 3)
    sizes = {"x": {0: auto}, "edge_index": {1: auto}}
    program = torch.export.export(layer, (X, EDGES), dynamic_shapes=sizes).module()
    small = X[:4], EDGES[:, (EDGES < 4).all(0)]
    torch.testing.assert_close(program(*small), layer(*small))


@pytest.mark.parametrize("layer", [PathConv(5, 3), DRewGCNConv(5, 3), AttentionDiffusion(5, 4, 2)])
def test_sparse_features_are_refused_by_name(layer):
    for x in (X.to_sparse_csr(), SparseMatrix.from_tensor(X.to_sparse_csr())):
        with pytest.raises(TypeError, match="x is a sparse matrix, must be a dense tensor"):
            layer(x, EDGES)
    with pytest.raises(TypeError, match="GCN: x is a SparseMatrix, must be a PyG Data, or a tensor of features"):
        GCN(5, 3)(x, EDGES)


def test_masks_of_paths_and_of_pairs():
    edges = torch.tensor([[0, 1, 2], [1, 2, 3]])
    layer, mask = PathConv(5, 3, length=3), torch.tensor([0.5, 0.25, 0.2])
    whole = layer(X[:4], edges)
    set_masks(layer, mask, edges, apply_sigmoid=False)
    torch.testing.assert_close(layer(X[:4], edges), whole * mask.prod())  # there is one path of that length
    model = DRew(5, 4, num_layers=2)
    data = model.required_transform()(Data(x=X, edge_index=EDGES))
    set_masks(model, torch.ones(data.hop_index.size(1)), data.hop_index, apply_sigmoid=False)
    hops = {"hop_index": data.hop_index, "hop_distance": data.hop_distance}
    assert model(X, data.hop_index, **hops).shape == (6, 4)
    with pytest.raises(ValueError, match="DRew reads pairs of nodes, hop_index, and edge masks are for these"):
        model(X, EDGES, **hops)


class OnlyLarger(GCNConv):
    """Messages from sources whose first channel is larger than the target's."""

    def message(self, x_i, x_j, edge_weight):
        return edge_weight.unsqueeze(1) * x_j * (x_j[:, :1] > x_i[:, :1])


def test_a_message_of_ones_own_is_sent():
    layer = OnlyLarger(5, 3, bias=False)
    z, out = layer.lin(X), torch.zeros(6, 3)
    edges, weight = pyg.conv.gcn_conv.gcn_norm(EDGES, WEIGHT, 6)
    for (source, target), value in zip(edges.t().tolist(), weight, strict=True):
        if z[source, 0] > z[target, 0]:
            out[target] += value * z[source]
    torch.testing.assert_close(layer(X, EDGES, WEIGHT), out)


def test_containers_of_pyg():
    convs = GCNConv(5, 8), GCNConv(8, 2)
    call = "x, edge_index -> x"
    stack = pyg.Sequential("x, edge_index", [(convs[0], call), torch_nn.ReLU(), (convs[1], call)])
    assert torch.equal(stack(X, EDGES), convs[1](convs[0](X, EDGES).relu(), EDGES))
    deep = pyg.DeepGCNLayer(GCNConv(5, 5), torch_nn.LayerNorm(5), torch_nn.ReLU())
    assert deep(X, EDGES).shape == (6, 5)


class TwoLayers(torch_nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = GINConv(GINPerceptron(5, 4)), GINConv(GINPerceptron(4, 2))

    def forward(self, x, edge_index):
        return self.second(self.first(x, edge_index).relu(), edge_index)


def test_to_hetero_gives_pairs_of_features():
    kinds = [("a", "to", "b"), ("b", "to", "a")]
    network = pyg.to_hetero(TwoLayers(), (["a", "b"], kinds))
    edges = {kinds[0]: torch.tensor([[0, 1, 5], [2, 1, 0]]), kinds[1]: torch.tensor([[0, 2], [3, 1]])}
    out = network({"a": X, "b": torch.ones(3, 5)}, edges)
    assert {kind: tuple(h.shape) for kind, h in out.items()} == {"a": (6, 2), "b": (3, 2)}
    first = network.first["a__to__b"]((X, torch.ones(3, 5)), edges[kinds[0]])
    square = first.new_zeros(9, 9)
    square[edges[kinds[0]][1] + 6, edges[kinds[0]][0]] = 1
    joined = network.first["a__to__b"](torch.cat([X, torch.ones(3, 5)]), square.to_sparse_csr())
    torch.testing.assert_close(first, joined[6:])


def test_to_hetero_of_a_whole_model():
    kinds, features = [("a", "to", "b"), ("b", "to", "a")], {"a": X, "b": torch.ones(3, 5)}
    edges = {kinds[0]: torch.tensor([[0, 1, 5], [2, 1, 0]]), kinds[1]: torch.tensor([[0, 2], [3, 1]])}
    network = pyg.to_hetero(GIN(5, 8, num_layers=2, out_channels=2), (["a", "b"], kinds))
    states = features
    for layer in network.layers:
        states = states if layer is network.layers[0] else {kind: h.relu() for kind, h in states.items()}
        states = {
            "a": layer["b__to__a"]((states["b"], states["a"]), edges[kinds[1]]),
            "b": layer["a__to__b"]((states["a"], states["b"]), edges[kinds[0]]),
        }
    torch.testing.assert_close(network(features, edges), states)
    with pytest.warns(UserWarning, match="likely be baked in as a constant value"):
        pyg.to_hetero(GIN(5, 8, dropout=0.5), (["a", "b"], kinds))


def test_targets_without_features_get_sums_alone():
    layer, edges = GINConv(GINPerceptron(5, 3)), torch.tensor([[0, 1, 5], [2, 1, 0]])
    out = layer((X, None), edges, size=(6, 3))
    torch.testing.assert_close(out, layer((X, torch.zeros(3, 5)), edges))
    with pytest.raises(ValueError, match="features of targets are None; pass size"):
        layer((X, None), edges)


def test_sizes_in_third_place_as_in_pyg():
    layer, edges, pair = GINConv(GINPerceptron(5, 3)), torch.tensor([[0, 1, 5], [2, 1, 0]]), (X, X[:3])
    torch.testing.assert_close(layer(pair, edges, (6, 3)), layer(pair, edges))


def test_what_pyg_fuses_is_refused():
    layer = GCNConv(5, 3)
    with pytest.raises(TypeError, match=r"GCNConv: message_and_aggregate never runs, .* override message, or register"):
        layer.register_message_and_aggregate_forward_hook(lambda *given: None)
    with pytest.raises(TypeError, match="message_and_aggregate never runs"):
        layer.register_message_and_aggregate_forward_pre_hook(lambda *given: None)
    with pytest.raises(TypeError, match="Fused: message_and_aggregate never runs"):
        type("Fused", (GCNConv,), {"message_and_aggregate": lambda self, adj_t, x: adj_t @ x})

    for name in ("edge_update_forward_hook", "edge_update_forward_pre_hook"):
        with pytest.raises(TypeError, match=r"GATConv: edge_update never runs, .* message has the weights as alpha"):
            getattr(GATConv(5, 3), f"register_{name}")(lambda *given: None)
    with pytest.raises(TypeError, match="OwnWeights: edge_update never runs"):
        type("OwnWeights", (GATConv,), {"edge_update": lambda self, alpha_j: alpha_j})

    class Both(OnlyLarger):
        def message_and_aggregate(self, adj_t, x):
            raise AssertionError

    both, same = Both(5, 3), OnlyLarger(5, 3)
    same.load_state_dict(both.state_dict())
    torch.testing.assert_close(both(X, EDGES), same(X, EDGES))


def test_hooks_without_effect_and_masks_of_other_edges_are_refused():
    layer = RelationalConv(5, 3)
    layer.register_message_forward_hook(lambda *given: None)
    with pytest.raises(ValueError, match="RelationalConv sends them by its convs; hooks on messages"):
        layer(X, EDGES)
    layer = GCNConv(5, 3)
    set_masks(layer, torch.ones(3), EDGES[:, :3])
    with pytest.raises(ValueError, match="GCNConv has an edge mask for 3 edges, but was called with 20"):
        layer(X, EDGES)
    with pytest.raises(ValueError, match="flow='target_to_source' does not go with a sparse adjacency"):
        GCNConv(5, 3, flow="target_to_source")(X, torch.eye(6).to_sparse_csr())
