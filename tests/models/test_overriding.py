"""What a user overrides, replaces or hooks counts, also where weights are read or layers run one by one."""

import pytest
import torch
from torch import nn
from torch_geometric.data import Data

import graphkit as gk
from graphkit.models import GCN, MLP, LinkPredictor, Mowst
from graphkit.nn import DRewGCNConv, DRewGINConv, EdgewiseEnergy, GATConv, GINConv, GINPerceptron
from graphkit.nn.aggr import GRUOperator, LCMAggregation
from graphkit.training import layerwise_inference, strategies

EDGES = torch.tensor([[0, 1, 2, 3, 1], [1, 2, 3, 0, 3]])
GRAPH = Data(x=torch.randn(4, 5), edge_index=EDGES)
BY_LAYERS = [
    strategies.DirectFeedbackAlignment,
    strategies.ForwardForward,
    strategies.LayerCollaborationFF,
    strategies.LocalToGlobal,
    strategies.ScalableFF,
    strategies.SingleForward,
    strategies.TargetProjection,
    strategies.TopDownForward,
]


class _Forward(GCN):
    def forward(self, *args, **kwargs):
        return 0 * super().forward(*args, **kwargs) + 1


class _Outputs(GCN):
    def outputs(self, batch):
        return 0 * super().outputs(batch) + 1


class _States(GCN):
    def layer_states(self, batch, upto=None):
        return [0 * h + 1 for h in super().layer_states(batch, upto)]


class _Step(GCN):
    def step(self, i, history, batch):
        return 0 * super().step(i, history, batch) + 1


def _hooked(*sizes, **arguments):
    model = GCN(*sizes, **arguments)
    model.register_forward_hook(lambda module, inputs, out: 0 * out + 1)
    return model


@pytest.mark.parametrize("make", [_Forward, _Outputs, _States, _hooked])
def test_models_of_other_models_call_what_was_overridden(make):
    encoder = make(5, 4, out_channels=4)
    pairs = Data(x=GRAPH.x, edge_index=EDGES, edge_label_index=EDGES)
    scores = LinkPredictor(encoder)(pairs)
    assert torch.allclose(scores, scores[:1].expand_as(scores))
    assert len(LinkPredictor(encoder).layers) == 0
    mixed = Mowst(MLP(5, 4, out_channels=4), encoder)
    assert torch.equal(mixed.encode(GRAPH), torch.ones(4, 4))
    assert len(mixed.layers) == 0


@pytest.mark.parametrize(("make", "what"), [(_Forward, "forward"), (_Outputs, "outputs"), (_States, "layer_states")])
@pytest.mark.parametrize("strategy", BY_LAYERS)
def test_strategies_refuse_what_they_would_pass_by(strategy, make, what):
    task = gk.load("karate")
    with pytest.raises(TypeError, match=f"{strategy.__name__} runs the layers of .* its own {what} would have no"):
        gk.Trainer(strategy=strategy(), progress=False).fit(make(34, 8, out_channels=4), task)


@pytest.mark.parametrize("strategy", BY_LAYERS)
def test_strategies_warn_of_hooks_that_they_pass_by(strategy):
    with pytest.warns(UserWarning, match=f"{strategy.__name__} runs the layers of GCN one by one, so hooks on the"):
        strategy().check(_hooked(34, 8, out_channels=4), gk.load("karate"))


def test_layer_wise_evaluation_is_refused_before_training():
    task = gk.load("karate").sampled(gk.samplers.NeighborSampler([3, 3], evaluate="layerwise"))
    with pytest.raises(TypeError, match="its own forward would have no effect"):
        gk.Trainer(progress=False).fit(_Forward(34, 8, out_channels=4), task)
    with pytest.raises(TypeError, match="its own outputs would have no effect"):
        layerwise_inference(_Outputs(5, 4), GRAPH)


def test_an_overridden_step_is_not_replaced_by_products():
    model = _Step(5, 4, out_channels=4).eval()
    assert model.propagation(0, GRAPH, 4, torch.float32) is None
    assert torch.equal(layerwise_inference(model, GRAPH, chunk_size=2), torch.ones(4, 4))


def test_a_hooked_layer_is_not_replaced_by_products():
    model = GCN(5, 4, out_channels=4).eval()
    model.layers[1].register_forward_hook(lambda module, inputs, out: 0 * out + 1)
    assert torch.equal(layerwise_inference(model, GRAPH, chunk_size=2), torch.ones(4, 4))


def test_forward_of_a_perceptron():
    class Twice(GINPerceptron):
        def forward(self, x):
            return 2 * super().forward(x)

    torch.manual_seed(0)
    once = GINConv(GINPerceptron(5, 4))
    torch.manual_seed(0)
    twice = GINConv(Twice(5, 4))
    assert torch.allclose(twice(GRAPH.x, EDGES), 2 * once(GRAPH.x, EDGES), atol=1e-6)


def test_forward_of_an_operator():
    class First(GRUOperator):
        def forward(self, a, b):
            return a

    aggregation = LCMAggregation(4, 4, project=False, operator=First(4))
    x = torch.tensor([[1.0, 2, 3, 4]]).repeat(2, 1) * torch.tensor([[1.0], [3.0]])
    assert torch.allclose(aggregation(x, torch.zeros(2, dtype=torch.long)), x.mean(0, keepdim=True))


def test_what_a_node_adds_of_itself():
    class Alone(DRewGINConv):
        def update_self(self, x):
            return super().update_self(x) + 7

    torch.manual_seed(0)
    usual = DRewGINConv(5, 5).eval()
    torch.manual_seed(0)
    alone = Alone(5, 5).eval()
    assert torch.allclose(alone(GRAPH.x, EDGES), usual(GRAPH.x, EDGES) + 7, atol=1e-6)


def test_map_of_edge_features():
    class Twice(nn.Module):
        def __init__(self, lin):
            super().__init__()
            self.lin = lin

        def forward(self, x):
            return 2 * self.lin(x)

    edge_attr = torch.randn(5, 3)
    conv = GATConv(5, 4, edge_dim=3, add_self_loops=False)
    expected = conv(GRAPH.x, EDGES, 2 * edge_attr)
    conv.lin_edge = Twice(conv.lin_edge)
    assert torch.allclose(conv(GRAPH.x, EDGES, edge_attr), expected, atol=1e-6)


def test_a_part_that_is_only_read():
    class Twice(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    energy = EdgewiseEnergy(5, 4)
    energy.message_target = Twice(4, 4, bias=False)
    with pytest.raises(ValueError, match="reads its part 'message_target' without calling it, so the forward of this"):
        energy(GRAPH.x, EDGES)


def test_hooks_on_everything_are_warned_of():
    conv = DRewGCNConv(5, 4)
    for part in conv.modules():
        part.register_forward_hook(lambda *called: None)
    with pytest.warns(UserWarning, match="hooks on its aggr_module have no effect"):
        conv(GRAPH.x, EDGES)
