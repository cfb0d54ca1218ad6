"""Models called the way PyG's are, and PyG's explainers on them."""

from __future__ import annotations

from inspect import signature

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch
from torch_geometric.explain import CaptumExplainer, Explainer, GNNExplainer, GraphMaskExplainer, PGExplainer
from torch_geometric.explain.algorithm import ExplainerAlgorithm
from torch_geometric.nn import GCN as PyGGCN
from torch_geometric.nn import to_hetero
from torch_geometric.utils import get_embeddings

from graphkit import models
from graphkit.core.reads import UnreadWarning
from graphkit.models.readout import make_pool
from graphkit.nn import registry
from graphkit.testing import random_graph
from graphkit.testing.instances import factories
from graphkit.transforms import SparseFeatures, Undirected

GRAPH = Undirected()(random_graph(9, 14, weighted=True))
GRAPH.x = GRAPH.x.float()
GRAPH.edge_weight = GRAPH.edge_weight.float()
OF_NODES = {"mode": "multiclass_classification", "task_level": "node", "return_type": "raw"}
ALONG_EDGES = ["GCN", "GAT", "GIN", "SGC", "APPNP", "MPNN", "PureGCN", "RelationalGNN", "GraphSAINT", "GRAND"]
ALONG_EDGES += ["SheafNetwork", "SheafDiffusion"]


def build(name):
    torch.manual_seed(0)
    return getattr(models, name)(5, 8, out_channels=3).eval()


@pytest.mark.parametrize("name", [*ALONG_EDGES, "MLP"])
def test_a_batch_and_its_parts_give_the_same(name):
    model = build(name)
    assert torch.equal(model(GRAPH.x, GRAPH.edge_index, GRAPH.edge_weight, GRAPH.edge_attr), model(GRAPH))


def test_the_vector_of_graphs_is_enough_for_a_readout():
    model = models.GCN(5, 8, readout="mean", out_channels=3)
    batch = Batch.from_data_list([GRAPH, GRAPH, GRAPH])
    out = model(batch.x, batch.edge_index, batch.edge_weight, batch=batch.batch)
    assert torch.equal(out, model(batch))
    wrapped = models.PyGModel(PyGGCN(5, 8, 2, 3), readout="sum")
    assert torch.equal(wrapped(batch.x, batch.edge_index, batch.edge_weight, batch=batch.batch), wrapped(batch))


def test_parts_beside_a_batch_or_features_without_edges_are_refused():
    with pytest.raises(TypeError, match="GCN: edge_weight stands in the batch already"):
        build("GCN")(GRAPH, edge_weight=GRAPH.edge_weight)
    with pytest.raises(TypeError, match="GCN: x is a tensor, so edge_index is needed"):
        build("GCN")(GRAPH.x)


def explain(model, algorithm, kind="model", **further):
    masks = {} if isinstance(algorithm, PGExplainer) else {"node_mask_type": "attributes"}
    explainer = Explainer(model, algorithm, kind, OF_NODES, edge_mask_type="object", **masks)
    return explainer, lambda: explainer(GRAPH.x, GRAPH.edge_index, **further)


@pytest.mark.parametrize("name", ALONG_EDGES)
def test_gnn_explainer_finds_every_edge(name):
    model = build(name)
    before = model(GRAPH)
    explanation = explain(model, GNNExplainer(epochs=3))[1]()
    assert bool((explanation.edge_mask > 0).all())
    assert bool((explanation.node_mask.sum(1) > 0).all())
    assert torch.equal(model(GRAPH), before)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MLP", "Could not compute gradients for edges"),
        ("PPGNpp", "PPGNpp: it multiplies matrices of states of all pairs of nodes, and edge masks are for messages"),
        ("KLGNN", "KLGNN: it computes labelled copies once"),
        ("DGMLP", "DGMLP: features are averaged over edges before the model sees them"),
    ],
)
def test_what_sends_no_messages_is_refused_with_a_clear_word(name, message):
    model = build(name)
    graph = GRAPH if model.required_transform() is None else model.required_transform()(GRAPH)
    further = {key: graph[key] for key in ("combined_x", "subset_index") if key in graph}
    with pytest.raises(ValueError, match=message):
        explain(model, GNNExplainer(epochs=3), **further)[1]()
    if name != "DGMLP":  # which reads no x
        without_edges = Explainer(model, GNNExplainer(epochs=3), "model", OF_NODES, node_mask_type="attributes")
        assert bool(without_edges(GRAPH.x, GRAPH.edge_index, **further).node_mask.any())


@pytest.mark.parametrize("name", ["GRAND", "KLGNN", "PPGNpp", "SheafNetwork"])
def test_what_cannot_be_followed_by_to_hetero_is_told(name):
    with pytest.raises(TypeError, match=rf"{name} cannot be followed by torch\.fx, and so not by to_hetero"):
        to_hetero(build(name), (["a", "b"], [("a", "to", "b"), ("b", "to", "a")]))


def test_the_edges_that_decide_are_found():
    """The label of node 0 is the feature of its neighbour 1; the other neighbours have none."""
    model = models.GCN(2, 4, num_layers=1, out_channels=2).eval()
    with torch.no_grad():
        model.layers[0].lin.weight.copy_(torch.tensor([[0.0, 5.0], [0.0, 0.0]]))
    x = torch.zeros(5, 2)
    x[1, 1] = 1.0
    edges = torch.tensor([[1, 2, 3, 4], [0, 0, 0, 0]])
    torch.manual_seed(0)
    explainer = Explainer(model, GNNExplainer(epochs=100), "model", OF_NODES, edge_mask_type="object")
    assert int(explainer(x, edges, index=0).edge_mask.argmax()) == 0


def test_pg_explainer_and_graph_mask_work():
    target = torch.arange(9) % 3
    explainer, run = explain(build("GCN"), PGExplainer(epochs=2), "phenomenon", target=target, index=2)
    for epoch in range(2):
        explainer.algorithm.train(epoch, explainer.model, GRAPH.x, GRAPH.edge_index, target=target, index=2)
    assert bool((run().edge_mask > 0).any())
    of_graph_mask = explain(build("GCN"), GraphMaskExplainer(2, epochs=2, log=False), index=2)[1]()
    assert of_graph_mask.edge_mask.size(0) == GRAPH.num_edges


def test_embeddings_are_those_of_the_layers():
    model = build("GCN")
    first, second = get_embeddings(model, GRAPH.x, GRAPH.edge_index)
    assert torch.equal(second, model(GRAPH.x, GRAPH.edge_index))
    assert first.shape == (9, 8)


@pytest.mark.parametrize("name", ALONG_EDGES)
@pytest.mark.parametrize("method", ["IntegratedGradients", "Saliency"])
def test_captum_explains_models(name, method):
    pytest.importorskip("captum")
    explain = Explainer(
        build(name),
        algorithm=CaptumExplainer(method),
        explanation_type="model",
        node_mask_type="attributes",
        edge_mask_type="object",
        model_config=OF_NODES,
    )
    explanation = explain(GRAPH.x, GRAPH.edge_index, index=2)
    assert bool((explanation.edge_mask != 0).any())
    assert bool((explanation.node_mask != 0).any())


@pytest.mark.parametrize(("name", "layers"), [("GCN", 2), ("GIN", 2), ("GAT", 2)])
def test_explainers_know_how_far_a_model_reads(name, layers):
    assert ExplainerAlgorithm._num_hops(build(name)) == layers


def test_what_is_passed_by_name_is_read_or_told():
    gcn, x, edges = build("GCN"), GRAPH.x, GRAPH.edge_index
    with pytest.raises(TypeError, match="GCN: unknown argument 'edge_wieght', did you mean 'edge_weight'"):
        gcn(x, edges, edge_wieght=GRAPH.edge_weight)
    with pytest.warns(UnreadWarning, match="GCN does not read edge_attr"):
        gcn(x, edges, edge_attr=GRAPH.edge_weight.view(-1, 1))
    with pytest.warns(UnreadWarning, match="PyGModel does not read edge_weight"):
        models.PyGModel(nn.Linear(5, 3))(x, edges, GRAPH.edge_weight)


@pytest.mark.parametrize("count", [7, 11])
@pytest.mark.parametrize("readout", ["mean", "max", "lcm"])
def test_a_batch_of_other_nodes_is_refused(readout, count):
    model = models.GCN(5, 8, out_channels=3, readout=readout)
    with pytest.raises(ValueError, match=rf"batch has shape \[{count}\], expected one per node, \[9\]|index has shape"):
        model(GRAPH.x, GRAPH.edge_index, batch=torch.zeros(count, dtype=torch.long))


@pytest.mark.parametrize("given", [GRAPH, GRAPH.x.numpy()], ids=["graph", "array"])
@pytest.mark.parametrize("name", registry.names())
def test_a_layer_takes_features_and_no_graph(name, given):
    make = next(iter(factories(registry.get(name)).values()), None)
    layer = pytest.skip("no examples") if make is None else make()
    arguments = (given,) if "edge_index" not in signature(layer.forward).parameters else (given, GRAPH.edge_index)
    with pytest.raises(TypeError, match=rf"({name}|Linear): x is a \w+, must be node features; pass (data.x|a tensor)"):
        layer(*arguments)


class StepsAlone(models.LayeredModel):
    """A model that says nothing but its step."""

    sparse_features = True

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.keep_arguments(locals())
        self.layers = nn.ModuleList([nn.Linear(in_channels, 4)])
        self.readout, self.pool = "max", make_pool("max", 4)
        self.head = nn.Linear(4, out_channels)

    def step(self, i, history, batch):
        return self.layers[i](history[-1])


def test_a_model_of_steps_alone_begins_with_features_and_ends_with_readout_and_head():
    model = StepsAlone(5, 2)
    batch = Batch.from_data_list([GRAPH, GRAPH])
    batch.x[9:] += 1
    states = model.layers[0](batch.x)
    expected = model.head(torch.stack([states[:9].amax(0), states[9:].amax(0)]))
    torch.testing.assert_close(model(batch), expected)
    assert isinstance(model.required_transform(), SparseFeatures)
    model.sparse_features = False
    assert model.required_transform() is None
    del model.head, model.pool, model.readout
    torch.testing.assert_close(model(batch), states)
