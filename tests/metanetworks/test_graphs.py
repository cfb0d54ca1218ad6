"""Networks as graphs: parameters in order, what permutations do, the way back, and what has no place."""

import copy

import pytest
import torch
from torch import nn

from graphkit.metanetworks import EDGE_TYPES, NODE_TYPES, graph_to_state_dict, module_to_graph
from graphkit.models import MetaNetwork

RESIDUAL = EDGE_TYPES.index("residual")


class Block(nn.Module):
    """A bottleneck beside a shortcut, with parts defined in another order than they are called in."""

    def __init__(self):
        super().__init__()
        self.out, self.shortcut, self.within = nn.Linear(6, 3), nn.Linear(4, 3), nn.Linear(4, 6)

    def forward(self, x):
        return 0.5 * self.out(torch.tanh(self.within(x))) + self.shortcut(x)


class Sets(nn.Module):
    """Deep sets: elements, their mean, and a layer that reads both."""

    def __init__(self):
        super().__init__()
        self.own, self.others, self.head = nn.Linear(2, 5), nn.Linear(2, 5), nn.Linear(5, 1)

    def forward(self, x):
        return self.head(torch.relu(self.own(x) + self.others(x.mean(1, keepdim=True))).sum(1))


NETWORKS = {
    "residual at once": nn.Sequential(Block(), nn.ReLU(), nn.Linear(3, 1)),
    "deep sets": Sets(),
    "attention": nn.TransformerEncoderLayer(8, 2, 12, batch_first=True),
    "encoder": nn.TransformerEncoder(
        nn.TransformerEncoderLayer(4, 2, 6, norm_first=True), 2, norm=nn.LayerNorm(4), enable_nested_tensor=False
    ),
    "codes": nn.Sequential(nn.Embedding(7, 4), nn.RMSNorm(4), nn.Linear(4, 2, bias=False)),
    "convolutions": nn.Sequential(
        nn.Conv2d(2, 4, (3, 2), groups=2), nn.GroupNorm(2, 4), nn.GELU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 3, 1, bias=False), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2),
    ),
    "a row": nn.Sequential(
        nn.Conv1d(1, 4, 3), nn.InstanceNorm1d(4, affine=True), nn.AdaptiveAvgPool1d(1), nn.Flatten(1)
    ),
    "one layer": nn.Linear(3, 2),
}  # fmt: skip


@pytest.mark.parametrize("bias", ["node", "loop"])
@pytest.mark.parametrize("name", NETWORKS)
def test_edges_are_the_parameters_in_order(name, bias):
    net = NETWORKS[name]
    graph = module_to_graph(net, bias)
    of_parameters = graph.edge_attr[:, 2] != RESIDUAL
    assert torch.equal(graph.edge_attr[of_parameters, 0], nn.utils.parameters_to_vector(net.parameters()))
    assert (graph.edge_attr[~of_parameters, 0] == 1).all()
    parallel = torch.cat([graph.edge_index.T.to(graph.edge_attr), graph.edge_attr[:, 1:]], 1)
    assert len(parallel.unique(dim=0)) == graph.num_edges  # parallel edges are told apart
    biases = graph.x[graph.edge_index[0], 2]
    assert ((biases == NODE_TYPES.index("bias")).any() == (bias == "node")) or name in ("codes", "a row")


@pytest.mark.parametrize("name", NETWORKS)
def test_there_and_back(name):
    net = NETWORKS[name]
    other = copy.deepcopy(net)
    for parameter in other.parameters():
        nn.init.normal_(parameter)
    graph = module_to_graph(other)
    other_state = other.state_dict()
    state = graph_to_state_dict(graph, net)
    assert state.keys() == other_state.keys()
    assert all(torch.equal(state[key], other_state[key]) for key, _ in net.named_parameters())


def test_places_of_what_was_flattened():
    graph = module_to_graph(NETWORKS["convolutions"])
    last = graph.edge_attr[:, 2] == EDGE_TYPES.index("linear weight")
    assert graph.edge_attr[last, 3].tolist() == [0, 1, 2, 3] * 3 * 2
    assert graph.edge_index[0, last].diff().tolist()[:11] == [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]


def test_groups_of_channels():
    graph = module_to_graph(nn.Conv1d(4, 2, 1, groups=2, bias=False))
    assert graph.edge_index.tolist() == [[0, 1, 2, 3], [4, 4, 5, 5]]


def permuted(net, order):
    """The same function with hidden neurons in another order, and which entry each of its parameters was."""
    index, start = copy.deepcopy(net), 0
    for parameter in index.parameters():
        parameter.data = torch.arange(start, start + parameter.numel(), dtype=parameter.dtype).view_as(parameter)
        start += parameter.numel()
    for each in (net, index):
        for layer in (each[0], each[1]):
            for parameter in layer.parameters():
                parameter.data = parameter.data[order]
        weight = each[-1].weight
        spread = weight.data.view(len(weight), len(order), -1)[:, order]
        weight.data = spread.reshape(weight.shape)
    return net, nn.utils.parameters_to_vector(index.parameters()).long()


@pytest.mark.parametrize("bias", ["node", "loop"])
@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 2)),
        nn.Sequential(nn.Conv2d(2, 5, 2), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(20, 2)),
    ],
)
def test_permuting_hidden_neurons_permutes_what_is_returned(net, bias):
    torch.manual_seed(0)
    net = net.double()
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    order = torch.tensor([3, 0, 4, 1, 2])
    other, entry = permuted(copy.deepcopy(net), order)
    graph, other_graph = module_to_graph(net, bias), module_to_graph(other, bias)
    assert not torch.equal(graph.edge_attr[:, 0], other_graph.edge_attr[:, 0])
    options = {"norm": "layer_norm", "residual": True, "mlp_layers": 2, "codes": True}
    of_edges = MetaNetwork(3, 8, 3, 2, 6, readout="edges", **options).double()
    torch.testing.assert_close(of_edges(other_graph), of_edges(graph)[entry])
    pooled = MetaNetwork(3, 8, 3, 2, 6, readout="mean", **options).double()
    torch.testing.assert_close(pooled(other_graph), pooled(graph))
    broken = other_graph.clone()
    broken.edge_attr[:, 0] = graph.edge_attr[:, 0].flip(0)
    assert not torch.allclose(pooled(broken), pooled(graph))


def test_heads_and_their_channels_may_be_permuted():
    torch.manual_seed(0)
    net = nn.MultiheadAttention(6, 2).double()
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    within = torch.tensor([4, 5, 3, 1, 0, 2])  # heads exchanged, channels of each in another order
    of_values = torch.tensor([5, 3, 4, 2, 1, 0])
    other = copy.deepcopy(net)
    rows = torch.cat([within, 6 + within, 12 + of_values])
    other.in_proj_weight.data, other.in_proj_bias.data = net.in_proj_weight.data[rows], net.in_proj_bias.data[rows]
    other.out_proj.weight.data = net.out_proj.weight.data[:, of_values]
    x = torch.randn(4, 1, 6, dtype=torch.double)
    torch.testing.assert_close(other(x, x, x)[0], net(x, x, x)[0])
    model = MetaNetwork(3, 8, 4, 2, 6, act="silu", codes=True, readout="sum").double()
    torch.testing.assert_close(model(module_to_graph(other)), model(module_to_graph(net)))
    other.out_proj.weight.data = net.out_proj.weight.data[:, within]  # another function
    assert not torch.allclose(model(module_to_graph(other)), model(module_to_graph(net)))


def test_gradients_reach_the_weights():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    MetaNetwork(3, 8, 2, 1, 6, readout="mean")(module_to_graph(net)).sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.parameters())


class Odd(nn.Module):
    def __init__(self, forward, **layers):
        super().__init__()
        self.how = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.how(self, x)


def _tied():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    return net


REFUSED = {
    "0 is a LSTM, must be one of Linear, Conv1d": nn.Sequential(nn.LSTM(2, 2)),
    "1 is a PReLU, must be one of": nn.Sequential(nn.Linear(2, 2), nn.PReLU()),
    "1. takes 5 inputs, but 4 neurons lead there": nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 2)),
    "1. takes 8 inputs, but 4 neurons lead there": nn.Sequential(nn.Linear(3, 4), nn.Linear(8, 2)),
    "parameter 'a.weight' is read 2 times": Odd(lambda s, x: s.a(s.a(x)), a=nn.Linear(3, 3)),
    "parameter 'b.weight' is read never": Odd(lambda s, x: s.a(x), a=nn.Linear(3, 3), b=nn.Linear(3, 3)),
    "parameters '0.weight' and '1.weight' are the same": _tied(),
    "reshape .* has no place in the graph": Odd(lambda s, x: s.a(x).reshape(-1), a=nn.Linear(3, 3)),
    "getitem .* has no place in the graph": Odd(lambda s, x: s.a(x)[:, 0], a=nn.Linear(3, 3)),
    "mul .* of 2 values.* has no place": Odd(lambda s, x: s.a(x) * s.b(x), a=nn.Linear(3, 3), b=nn.Linear(3, 3)),
    "torch.fx cannot follow Odd.forward": Odd(lambda s, x: s.a(x) if x.sum() > 0 else x, a=nn.Linear(3, 3)),
    "3 and 2 neurons are added": Odd(lambda s, x: s.a(x) + s.b(x), a=nn.Linear(3, 3), b=nn.Linear(3, 2)),
    "the module returns 2 values": Odd(lambda s, x: (s.a(x), s.b(x)), a=nn.Linear(3, 3), b=nn.Linear(3, 2)),
    "the module has no parameters": nn.Sequential(nn.ReLU()),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_has_no_place(message):
    with pytest.raises((TypeError, ValueError), match=f"module_to_graph: {message}"):
        module_to_graph(REFUSED[message])


def test_another_module():
    with pytest.raises(ValueError, match="graph_to_state_dict: the graph has 8 parameters, but the module 4; give the"):
        graph_to_state_dict(module_to_graph(nn.Linear(3, 2)), nn.Linear(3, 1))


def test_types_that_are_none():
    graph = module_to_graph(nn.Linear(3, 2))
    graph.x[0, 2] = 99
    with pytest.raises(ValueError, match="types in x of MetaNetwork"):
        MetaNetwork(3, 8, edge_dim=6, codes=True)(graph)
    with pytest.raises(
        ValueError, match="MetaNetwork: in_channels=2 and edge_dim=6, must be at least 3 with codes=True"
    ):
        MetaNetwork(2, 8, edge_dim=6, codes=True)
    with pytest.raises(ValueError, match="MetaNetwork: edge_attr has 6 columns, but edge_dim=5"):
        MetaNetwork(3, 8, edge_dim=5)(graph)
