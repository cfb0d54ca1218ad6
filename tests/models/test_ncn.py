"""NCN and NCNC against their formulas node by node; what they may see while training; any encoder, any link task."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCN as PyGGCN

import graphkit as gk
from graphkit.models import GCN, NCN, NCNC, PureGCN, SheafDiffusion
from graphkit.nn.common_neighbours import CommonNeighbourDecoder, Completion
from graphkit.ops import sddmm
from graphkit.transforms import SparseFeatures
from tests import tiny

COMPLETIONS = {
    "NCN": None,
    "NCNC": Completion(1, scale=2.0, offset=0.1, alpha=0.8, pt=0.4),
    "NCNC, depth 2": Completion(2, scale=1.5, offset=-0.2, alpha=1.1, pt=1.5),
}
OPTIONS = [
    {},
    {"layer_norm": False, "use_xlin": False, "tail_act": True, "beta": 0.3},
    {"two_layer_lin": True, "tail_act": True},
]


def graph(n: int = 14, m: int = 30, seed: int = 0) -> Data:
    """An undirected graph whose last two nodes are isolated, and pairs: edges, strangers, equal and isolated nodes."""
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(n - 2, (2, m), generator=generator)
    edges = edges[:, edges[0] != edges[1]].sort(0).values.unique(dim=1)
    pairs = torch.cat([edges[:, :5], torch.randint(n, (2, 12), generator=generator)], dim=1)
    pairs = torch.cat([pairs, torch.tensor([[0, n - 1, n - 2], [0, 0, n - 1]])], dim=1)
    data = Data(x=torch.randn(n, 6, generator=generator, dtype=torch.float64))
    data.edge_index, data.edge_label_index = torch.cat([edges, edges.flip(0)], dim=1), pairs
    return data


def by_hand(decoder: CommonNeighbourDecoder, h: torch.Tensor, near: list[set[int]], pairs: list, depth: int):
    """The formulas of the paper, pair by pair."""
    lifted = h if decoder.xlin is None else h + decoder.xlin(h)
    scores = []
    for i, j in pairs:
        total = sum((lifted[u] for u in sorted(near[i] & near[j])), torch.zeros_like(lifted[0]))
        for mine, stranger in ((near[i] - near[j], j), (near[j] - near[i], i)) if depth else ():
            for u in sorted(mine):
                with torch.no_grad():
                    s = by_hand(decoder, lifted, near, [(stranger, u)], depth - 1)[0, 0]
                    c = decoder.completion
                    p = 1 / (1 + math.exp(-c.scale * (s.item() - c.offset)))
                    weight = c.alpha * c.pt * p / (c.pt * p + 1 - p)
                total = total + weight * lifted[u]
        both = decoder.beta * decoder.xcnlin(total[None]) + decoder.xijlin((h[i] * h[j])[None])
        scores.append(decoder.lin(both))
    return torch.cat(scores)


def decoder_for(kind: str, **options) -> CommonNeighbourDecoder:
    torch.manual_seed(1)
    return CommonNeighbourDecoder(6, 5, completion=COMPLETIONS[kind], **options).double().eval()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", COMPLETIONS)
def test_scores_and_gradients_follow_the_formulas(kind, options):
    data, decoder = graph(), decoder_for(kind, **options)
    near = [set(data.edge_index[1][data.edge_index[0] == i].tolist()) for i in range(14)]
    depth = 0 if decoder.completion is None else decoder.completion.depth
    h = data.x.requires_grad_()
    found = decoder(h, data.edge_index, data.edge_label_index)
    expected = by_hand(decoder, h, near, data.edge_label_index.t().tolist(), depth)
    torch.testing.assert_close(found, expected)
    inputs = [h, *decoder.parameters()]
    gradients = [torch.autograd.grad(out.square().sum(), inputs, allow_unused=True) for out in (found, expected)]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", COMPLETIONS)
def test_blocks_change_nothing(kind, monkeypatch):
    data, decoder = graph(), decoder_for(kind)
    expected = decoder(data.x, data.edge_index, data.edge_label_index)
    monkeypatch.setattr("graphkit.nn.common_neighbours._NEIGHBOURS", 9)
    monkeypatch.setattr("graphkit.nn.common_neighbours._ROWS", 3)
    torch.testing.assert_close(decoder(data.x, data.edge_index, data.edge_label_index), expected)
    with torch.no_grad():
        torch.testing.assert_close(decoder(data.x, data.edge_index, data.edge_label_index), expected.detach())


@pytest.mark.parametrize("kind", COMPLETIONS)
def test_symmetries(kind):
    data, decoder = graph(), decoder_for(kind)
    pairs = data.edge_label_index
    expected = decoder(data.x, data.edge_index, pairs)
    generator = torch.Generator().manual_seed(5)
    new = torch.randperm(14, generator=generator)
    x = torch.empty_like(data.x)
    x[new] = data.x
    torch.testing.assert_close(decoder(x, new[data.edge_index], new[pairs]), expected)
    torch.testing.assert_close(decoder(data.x, data.edge_index, pairs.flip(0)), expected)
    order = torch.randperm(pairs.size(1), generator=generator)
    torch.testing.assert_close(decoder(data.x, data.edge_index, pairs[:, order]), expected[order])
    alone = torch.cat([decoder(data.x, data.edge_index, pair) for pair in pairs.split(1, dim=1)])
    torch.testing.assert_close(alone, expected)
    once = data.edge_index[:, data.edge_index[0] < data.edge_index[1]]
    doubled = torch.cat([once, once[:, :4]], dim=1)
    torch.testing.assert_close(decoder(data.x, doubled, pairs), expected)


@pytest.mark.parametrize("kind", COMPLETIONS)
def test_without_edges_all_pairs_have_no_common_neighbours(kind):
    data, decoder = graph(), decoder_for(kind)
    found = decoder(data.x, data.edge_index[:, :0], data.edge_label_index)
    i, j = data.edge_label_index
    nothing = decoder.beta * decoder.xcnlin(torch.zeros(1, 6, dtype=torch.float64))
    torch.testing.assert_close(found, decoder.lin(nothing + decoder.xijlin(data.x[i] * data.x[j])))
    assert decoder(data.x, data.edge_index, data.edge_label_index[:, :0]).shape == (0, 1)


@pytest.mark.parametrize("kind", ["NCN", "NCNC"])
def test_gradients_are_differences(kind):
    data, decoder = graph(8, 12), decoder_for(kind)
    decoder.completion = None if kind == "NCN" else Completion(scale=0.0)  # constant: its weights have no gradient
    h = data.x.requires_grad_()
    assert torch.autograd.gradcheck(lambda h: decoder(h, data.edge_index, data.edge_label_index), (h,))


def test_single_precision_is_close_to_double():
    data, decoder = graph(), decoder_for("NCNC")
    expected = decoder(data.x, data.edge_index, data.edge_label_index)
    single = copy.deepcopy(decoder).float()(data.x.float(), data.edge_index, data.edge_label_index)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), expected, rtol=1e-4, atol=1e-4)


def test_memory_does_not_grow_with_the_square_of_the_nodes():
    n = 10**6  # a bit per pair would be 125 GB
    path = torch.stack([torch.arange(n - 1), torch.arange(1, n)])
    decoder = CommonNeighbourDecoder(2, 2, completion=Completion())
    assert decoder(torch.ones(n, 2), path, torch.tensor([[5, n - 3], [7, 9]])).shape == (2, 1)


# Training ------------------------------------------------------------------------------------------------------------


def without(data: Data, pairs: torch.Tensor) -> Data:
    hidden = {tuple(pair) for both in (pairs, pairs.flip(0)) for pair in both.t().tolist()}
    kept = torch.tensor([tuple(edge) not in hidden for edge in data.edge_index.t().tolist()])
    out = data.edge_subgraph(kept)
    out.edge_label_index = pairs
    return out


@pytest.mark.parametrize("model", [NCN, NCNC])
def test_training_does_not_see_the_links_that_it_predicts(model):
    torch.manual_seed(0)
    model = model(GCN(6, 8)).double()
    data = graph()
    data.edge_weight = torch.rand(data.num_edges, dtype=torch.float64)
    data.edge_label_index = data.edge_label_index[:, 2:]
    hidden = without(data, data.edge_label_index)
    assert 2 / 3 * data.num_edges < hidden.num_edges < data.num_edges
    torch.testing.assert_close(model.train()(data), model.eval()(hidden))
    assert not torch.allclose(model.eval()(data), model(hidden))
    assert data.edge_index.size(1) == data.edge_weight.numel()


def test_a_batch_of_all_links_is_taken_in_parts():
    torch.manual_seed(0)
    model = NCN(GCN(6, 8)).double()
    data = graph()
    links = data.edge_index[:, data.edge_index[0] < data.edge_index[1]]
    data.edge_label_index = torch.cat([links, torch.randint(14, links.shape)], dim=1)
    found = model.train()(data)
    model.eval()
    for k in range(3):
        part = data.edge_label_index[:, k::3]
        torch.testing.assert_close(found[k::3], model(without(data, part)))


def test_what_is_disjoint_is_left_alone():
    torch.manual_seed(0)
    model = NCN(GCN(6, 8)).double()
    data = without(graph(), graph().edge_label_index)
    torch.testing.assert_close(model.train()(data), model.eval()(data))


def test_edge_dropout_forgets_neighbours_while_training():
    data, decoder = graph(), decoder_for("NCN", edge_dropout=0.5)
    calm = decoder_for("NCN")
    arguments = data.x, data.edge_index, data.edge_label_index
    assert torch.equal(decoder(*arguments), calm(*arguments))
    draws = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        draws.append(decoder.train()(*arguments))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    isolated = (data.edge_label_index >= 12).any(0)
    assert torch.equal(draws[0][isolated], draws[2][isolated])


ENCODERS = {
    "GCN": lambda: GCN(6, 8),
    "PureGCN": lambda: PureGCN(6, 8, jumping=True),
    "SheafDiffusion": lambda: SheafDiffusion(6, 8),
    "PyG": lambda: PyGGCN(6, 8, 2),
}


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("model", [NCN, NCNC])
def test_trains_on_any_encoder(model, encoder):
    task = tiny.link_task()
    network = model(ENCODERS[encoder](), 5, dropout=0.2, edge_dropout=0.2)
    trainer = gk.Trainer(max_epochs=3, batch_size=5, progress=False)
    before = [parameter.clone() for parameter in network.parameters()]
    first = trainer.fit(network, task)
    assert all(not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    assert trainer.fit(network, task).history == first.history, "new weights are drawn from the seed"


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "hits@3", "mrr"])
def test_trains_for_any_metric_with_any_negatives(metric):
    data = tiny.graph()
    split = gk.LinkSplit.random(data.edge_index, data.num_nodes, 0.2, 0.2, disjoint=0.5)
    if metric == "mrr":
        own = {f"{stage}_negatives": getattr(split, f"{stage}_negatives")[:, :, None] for stage in ("val", "test")}
        parts = {stage: getattr(split, stage) for stage in ("train", "val", "test")}
        split = gk.LinkSplit("own negatives", **parts, **own)
    task = gk.LinkTask("tiny", data, split, metric, num_negatives=2)
    result = gk.Trainer(max_epochs=2, progress=False).fit(NCNC.from_task(task, hidden_channels=4), task)
    assert 0 <= result.test <= 1


class _CommonNeighbours(nn.Module):
    """No state but a one for each node: scores of NCN then know the number of common neighbours and nothing else."""

    out_channels = 1

    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.ones(1))

    def reset_parameters(self):
        nn.init.ones_(self.one)

    def forward(self, x):
        return self.one.expand(x.size(0), 1)


def test_learns_from_common_neighbours_alone():
    generator = torch.Generator().manual_seed(0)
    group = torch.arange(80) % 8
    same = (group[:, None] == group) & (torch.rand(80, 80, generator=generator) < 0.7)
    edges = same.triu(1).nonzero().t()
    data = Data(x=torch.ones(80, 1), edge_index=torch.cat([edges, edges.flip(0)], dim=1))
    task = gk.LinkTask("groups", data, gk.LinkSplit.random(data.edge_index, 80, 0.1, 0.2))
    network = NCN(_CommonNeighbours(), 16, layer_norm=False, use_xlin=False)
    assert gk.Trainer(max_epochs=60, progress=False).fit(network, task).test > 0.9
    batch = task.batches("test")[0]
    alike = sddmm(batch.edge_label_index, data.x, data.x)  # what the features say
    assert alike.unique().numel() == 1


# Use -----------------------------------------------------------------------------------------------------------------


def test_by_name():
    encoder = {"class_path": "PureGCN", "init_args": {"hidden_channels": 4, "jumping": True}}
    config = {"model": {"class_path": "NCNC", "init_args": {"encoder": encoder}}, "task": "karate-links"}
    experiment = gk.recipes.Experiment.from_config(config, ["--model.hidden_channels", "5", "--model.alpha", "0.5"])
    network = experiment.build_model(experiment.load_task())
    assert repr(network) == (
        "NCNC(PureGCN(34, hidden_channels=4, out_channels=4, jumping=True), hidden_channels=5, alpha=0.5)"
    )
    assert len(experiment.run(max_epochs=2, progress=False).history) == 2


def test_copies_and_state_dicts():
    data = graph()
    torch.manual_seed(0)
    first, second = (NCNC(GCN(6, 8), beta=0.5).double().eval() for _ in range(2))
    expected = first(data)
    assert not torch.equal(second(data), expected)
    second.load_state_dict(first.state_dict())
    for other in (second, copy.deepcopy(first), pickle.loads(pickle.dumps(first))):
        assert torch.equal(other(data), expected)
    for network in (first, second):
        torch.manual_seed(1)
        network.reset_parameters()
    assert torch.equal(first(data), second(data))
    assert first.scorer.beta.item() == 0.5


def test_sparse_features_reach_the_encoder():
    assert isinstance(NCN(PureGCN(6, 8)).required_transform(), SparseFeatures)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dropout": 1.0}, r"dropout=1.0, must be in \[0, 1\)"),
        ({"edge_dropout": -0.1}, r"edge_dropout=-0.1, must be in \[0, 1\)"),
        ({"depth": 0}, "depth=0, must be at least 1"),
        ({"pt": 0.0}, "pt=0.0, must be positive"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        NCNC(GCN(6, 8), **arguments)


def test_wrong_use():
    with pytest.raises(ValueError, match="NCN: _Own has no out_channels; give embedding_channels"):
        NCN(_Own())
    with pytest.raises(ValueError, match="NCN scores pairs of nodes, but the batch has no edge_label_index"):
        NCN(GCN(6, 8))(Data(x=torch.ones(2, 6), edge_index=torch.tensor([[0], [1]])))
    with pytest.raises(ValueError, match="NCN: the encoder gave 1 rows for 24 nodes"):
        NCN(GCN(6, 8, readout="mean"))(tiny.link_task().batches("val")[0])


class _Own(nn.Module):
    def reset_parameters(self):
        pass
