"""Over-squashing curves, the report of a rewiring, and the command that writes it."""

from __future__ import annotations

import json

import networkx as nx
import pytest
import torch
from torch_geometric.data import Data

import graphkit as gk
from graphkit.algorithms import effective_resistance
from graphkit.cli import main
from graphkit.diagnostics import compare_graphs, plot_sensitivity, sensitivity
from graphkit.testing import random_graph
from graphkit.transforms.rewiring import EffectiveResistance


def barbell():
    graph = nx.barbell_graph(5, 3)
    edges = torch.tensor(list(graph.edges)).t()
    return Data(x=torch.eye(13), edge_index=torch.cat([edges, edges.flip(0)], 1))


@pytest.mark.parametrize("name", ["GCN", "GRAND", "RelationalGNN"])
def test_sensitivity_is_the_norm_of_the_jacobian(name):
    data = random_graph(9, 20, num_isolated=1)
    torch.manual_seed(0)
    model = gk.models.registry.get(name)(5, 6).double().train()
    found = sensitivity(model, data, num_targets=4)
    assert model.training

    def last_state(x):
        batch = Data(x=x, edge_index=data.edge_index)
        history = [model.encode(batch)]
        for i in range(len(model.layers)):
            history.append(model.step(i, history, batch))
        return history[-1]

    jacobian = torch.autograd.functional.jacobian(last_state, data.x)  # node, channel, node, feature
    expected = jacobian.square().sum((1, 3)).sqrt()[found.target, found.source]
    torch.testing.assert_close(found.norm, expected)
    resistance = effective_resistance(data.edge_index, num_nodes=9)[found.source, found.target]
    torch.testing.assert_close(found.resistance, resistance)
    assert found.target.unique().numel() <= 4
    assert (found.source != found.target).all()


def test_sensitivity_falls_with_resistance_and_rewiring_raises_it(tmp_path):
    data = barbell()
    torch.manual_seed(0)
    model = gk.models.GCN(13, 8, num_layers=8)
    before = sensitivity(model, data, num_targets=13)
    after = sensitivity(model, EffectiveResistance(3)(data), num_targets=13)
    far = before.distance >= 5
    assert before.norm[far].mean() < 0.1 * before.norm[before.distance == 1].mean()
    pairs = list(zip(before.source[far].tolist(), before.target[far].tolist()))
    norm_after = dict(zip(zip(after.source.tolist(), after.target.tolist()), after.norm.tolist()))
    assert sum(norm_after[pair] for pair in pairs) > 2 * float(before.norm[far].sum())
    places, norms = before.curve("distance")
    assert places.tolist() == list(range(1, 7))
    assert norms[0] > norms[-1]
    resistances, norms = before.curve(bins=5)
    assert resistances.numel() == 5
    assert norms[0] > norms[-1]
    plot_sensitivity({"before": before, "after": after}, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000


def test_the_report_of_two_known_graphs(tmp_path):
    path, cycle = nx.path_graph(6), nx.cycle_graph(6)
    graphs = [Data(edge_index=torch.tensor(list(g.edges)).t(), num_nodes=6) for g in (path, cycle)]
    report = compare_graphs(graphs[:1], graphs[1:])
    assert report.num_pairs == [5, 6]
    assert report.num_components == [1, 1]
    assert report.total_resistance == pytest.approx([35.0, 17.5])
    assert report.diameter == [5, 3]
    assert report.degrees == [[0, 2, 4], [0, 0, 6]]
    assert sum(report.curvature[0]) == 5
    assert report.curvature[1][20 - 10] == 6, "a cycle of six is flat"
    report.plot(tmp_path / "report.png", (graphs[0], graphs[1]))
    assert (tmp_path / "report.png").stat().st_size > 10_000


def test_a_graph_that_falls_apart_is_told_and_drawn(tmp_path, monkeypatch):
    before = barbell()
    stays = before.edge_index.sum(0) > 1  # all but the pair 0, 1
    after = Data(x=before.x, edge_index=torch.cat([before.edge_index[:, stays], torch.tensor([[0, 9], [9, 0]])], 1))
    cut = Data(edge_index=before.edge_index[:, (before.edge_index != 6).all(0)], num_nodes=13)
    report = compare_graphs([before, before], [cut, cut])
    assert report.num_components == [1, 3]
    assert report.total_resistance[1] < report.total_resistance[0]
    assert "components differ; resistance and diameter leave out what is infinite" in str(report)
    assert "components differ" not in str(compare_graphs([before], [after]))
    shown = []
    monkeypatch.setattr("graphkit.diagnostics.rewiring.save_figure", lambda figure, path: shown.append(figure))
    compare_graphs([before], [after]).plot(tmp_path / "report.png", (before, after))
    degrees, curvature, first, second = shown[0].axes
    assert degrees.get_title() == "degrees of 1 graphs"
    assert degrees.get_legend()
    assert curvature.get_legend()
    assert first.get_title() == "before: 24 pairs, 1 component"
    assert [text.get_text() for text in second.get_legend().get_texts()] == ["23 kept", "1 added", "1 removed"]
    places = [panel.collections[0].get_offsets().tolist() for panel in (first, second)]
    assert places[0] == places[1], "the same layout"
    assert first.get_xlim() == second.get_xlim()


def test_graphs_that_do_not_belong_together_are_refused():
    graph = barbell()
    smaller = Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)
    for before, after, message in (
        ([graph], [graph, graph], "1 graphs before and 2 after"),
        ([], [], "0 graphs before and 0 after"),
        ([graph, graph], [graph, smaller], "graph 1 has 13 nodes before and 2 after"),
    ):
        with pytest.raises(ValueError, match=f"compare_graphs: {message}"):
            compare_graphs(before, after)


def test_the_command_writes_graphs_and_report(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path / "data"))
    folder = tmp_path / "out"
    command = ["rewire", "karate", "--method", "sdrf", "--budget", "5", "--tau", "20", "--output", str(folder)]
    assert main(command) == 0
    assert "SDRF(num_edges=5, tau=20)" in capsys.readouterr().out
    (graph,) = torch.load(folder / "graphs.pt", weights_only=True)
    expected = gk.rewiring.SDRF(5, tau=20)(gk.load("karate").data)
    assert torch.equal(graph["edge_index"], expected.edge_index)
    assert torch.equal(graph["edge_type"], expected.edge_type)
    report = json.loads((folder / "report.json").read_text())
    assert report["total_resistance"] == pytest.approx(expected.total_resistance[0].tolist())
    assert (folder / "report.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "sdfr"], "did you mean 'SDRF'"),
        (["--method", "LASER", "--budget", "3"], "LASER has no budget; its arguments are: num_snapshots, rho"),
        (["--method", "SDRF", "--taus", "3"], "unknown argument of SDRF 'taus'; did you mean 'tau'"),
        (["--method", "SDRF", "--budget", "-3"], "--num_edges -3, must be at least 0"),
        (["--method", "SDRF", "--tau"], "expected arguments of SDRF as --name value"),
    ],
)
def test_wrong_usage(arguments, message, capsys):
    assert main(["rewire", "karate", *arguments]) == 2
    assert message in capsys.readouterr().err
