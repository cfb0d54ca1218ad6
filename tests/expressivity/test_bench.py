"""Runs that are interrupted, refused or wrong; tables, files and the command line."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn
from torch_geometric.data import Data

from graphkit.cli import main
from graphkit.datasets import load_graphs
from graphkit.expressivity import NamedModel, PairedTraining, RandomWeights, Suite, expressivity
from graphkit.models import GIN
from graphkit.transforms.features import RandomWalkPE

ONE = RandomWeights(seeds=1, copies=2)


def gin(in_channels):
    return GIN(in_channels, 8, out_channels=16, readout="sum")


def kept(folder):
    (path,) = Path(folder).rglob("*.json")
    return path


@pytest.mark.parametrize("protocol", [ONE, PairedTraining(seeds=1, epochs=1)], ids=lambda protocol: protocol.name)
def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, monkeypatch, protocol):
    whole = expressivity(gin, ["pairs"], RandomWalkPE(8), protocol, folder=tmp_path / "whole")
    measured = []
    measure = type(protocol).measure

    def stop(self, models, graphs, unit):
        if len(measured) == 2:
            raise KeyboardInterrupt
        measured.append(unit)
        return measure(self, models, graphs, unit)

    monkeypatch.setattr(type(protocol), "measure", stop)
    units = 10 if protocol is ONE else 5
    with pytest.raises(
        KeyboardInterrupt, match=f"2 of {units} parts of pairs are saved in .*; the same command does the"
    ):
        expressivity(gin, ["pairs"], RandomWalkPE(8), protocol, folder=tmp_path / "parts")
    monkeypatch.setattr(type(protocol), "measure", measure)
    again = expressivity(gin, ["pairs"], RandomWalkPE(8), protocol, folder=tmp_path / "parts")
    assert kept(tmp_path / "parts").name == kept(tmp_path / "whole").name
    parts, all_at_once = (json.loads(kept(tmp_path / name).read_text()) for name in ("parts", "whole"))
    assert parts["units"] == all_at_once["units"]
    assert again.seconds == parts["seconds"] > 0
    assert torch.equal(again.suites["pairs"].verdict.separated, whole.suites["pairs"].verdict.separated)


def test_processes_get_only_the_graphs_of_their_part(tmp_path, monkeypatch):
    sizes = []

    def count(calls, jobs):
        for call in calls:
            sizes.append(len(pickle.dumps(call)))
            yield call[0](*call[1])

    monkeypatch.setattr("graphkit.expressivity.bench.parallel", count)
    ones, ring = torch.ones(100_000, 1), torch.tensor([[0, 1, 2], [1, 2, 0]])
    graphs = [Data(x=ones[3 * i : 3 * i + 3], edge_index=ring) for i in range(4)]
    suite = Suite.from_pairs("mine", list(zip(graphs[:2], graphs[2:], strict=True)))
    expressivity(gin, [suite], protocol=ONE, folder=tmp_path)
    assert max(sizes) < 20_000


def test_what_is_finished_is_not_measured_again(tmp_path, monkeypatch):
    first = expressivity(gin, ["pairs"], protocol=ONE, folder=tmp_path)
    path = kept(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(RandomWeights, "measure", None)
        again = expressivity(gin, ["pairs"], protocol=ONE, folder=tmp_path)
    assert again.rows() == first.rows()
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])  # damaged: measured anew
    expressivity(gin, ["pairs"], protocol=ONE, folder=tmp_path)
    assert json.loads(path.read_text())["units"] == json.loads(whole)["units"]
    for other in (
        {"model": lambda n: GIN(n, 8, num_layers=3, out_channels=16, readout="sum")},
        {"transform": RandomWalkPE(8)},
        {"transform": RandomWalkPE(9)},
        {"protocol": RandomWeights(seeds=1, copies=3)},
    ):
        expressivity(**{"model": gin, "suites": ["pairs"], "protocol": ONE, "folder": tmp_path, "name": "GIN"} | other)
    assert len(list(tmp_path.rglob("*.json"))) == 5


def test_processes_change_nothing(tmp_path):
    arguments = (NamedModel("GIN", {"hidden_channels": 8}), ["pairs"], RandomWalkPE(8), ONE)
    alone = expressivity(*arguments, folder=tmp_path / "alone")
    expressivity(*arguments, jobs=2, folder=tmp_path / "two")
    stored = [json.loads(kept(tmp_path / name).read_text())["units"] for name in ("alone", "two")]
    assert stored[0] == stored[1]
    assert alone.suites["pairs"].num_separated == 3


def test_a_given_model_is_drawn_anew_and_stays_as_it_was(tmp_path):
    model = gin(1)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert expressivity(model, ["pairs"], protocol=ONE, folder=tmp_path).suites["pairs"].num_separated == 0
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}


class Same(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, batch):
        return torch.full((batch.num_graphs, 2), self.value)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda n: GIN(n, 8), "2 graphs gave 12 rows of outputs; the model needs a readout"),
        (lambda n: Same(float("nan")), "the model's outputs are not finite"),
    ],
)
def test_a_model_that_cannot_run_fails_before_any_work(tmp_path, model, message):
    with pytest.raises(ValueError, match=message):
        expressivity(model, "pairs", folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_model_without_weights_and_with_equal_outputs(tmp_path):
    found = expressivity(lambda n: Same(0.0), "pairs", folder=tmp_path)
    assert found.suites["pairs"].num_separated == 0


def test_settings_that_cannot_be(tmp_path):
    with pytest.raises(ValueError, match="RandomWeights: copies=0, must be at least 1"):
        RandomWeights(copies=0)
    with pytest.raises(ValueError, match="PairedTraining: epochs=0, must be at least 1"):
        PairedTraining(epochs=0)
    with pytest.raises(ValueError, match="paired training needs 16 outputs, the model has 2"):
        expressivity(lambda n: Same(0.0), "pairs", protocol=PairedTraining(), folder=tmp_path)
    with pytest.raises(ValueError, match="suite 'none' has no pairs"):
        Suite.from_pairs("none", [])


def test_nothing_global_changes(tmp_path):
    before = torch.random.get_rng_state()
    expressivity(gin, Suite.from_pairs("one", [tuple(load_graphs("sr16"))]), folder=tmp_path)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("protocol", [ONE, PairedTraining(seeds=1, epochs=1)], ids=lambda protocol: protocol.name)
def test_graphs_that_a_model_refuses_are_counted(tmp_path, protocol):
    options = {"hidden_channels": 16, "norm": None, "head_layers": 0, "paths": "simple", "max_paths": 500}
    found = expressivity(NamedModel("PathNN", options), ["pairs"], protocol=protocol, folder=tmp_path)
    result = found.suites["pairs"]
    assert result.verdict.refused.tolist() == [False, False, True, True, True]
    assert result.verdict.separated.tolist() == [True, True, False, False, False]
    assert found.rows()[0][:5] == ["suite", "category", "pairs", "separated", "refused"]


def test_the_table_the_file_and_the_picture(tmp_path):
    own = Suite.from_pairs("mine", [tuple(load_graphs("sr16"))])
    found = expressivity(gin, ["pairs", "csl", own], RandomWalkPE(16), ONE, "walks", folder=tmp_path)
    text = str(found)
    assert "walks: pairs told apart by random weights (seeds 1, copies 2)" in text
    assert "csl: relative noise" in text
    assert "45 beyond 1-WL" in text
    assert found.rows()[-1] == ["mine", "", "1", "0", "—", "—", "—", "—"]
    found.to_json(tmp_path / "walks.json", "a command")
    content = json.loads((tmp_path / "walks.json").read_text())
    assert content["expressivity"] == "walks"
    assert content["transform"] == "RandomWalkPE(walk_length=16)"
    assert content["suites"]["pairs"]["separated pairs"] == "0-2"
    assert content["suites"]["pairs"]["beyond"] == {"1-WL": 3, "1,1-WL": 0, "2-FWL": 0, "1,2-WL": 0}
    assert content["suites"]["pairs"]["categories"]["CFI(K5)"]["exact"]["1,2-WL"] == 0
    assert content["suites"]["csl"]["separated"] == 45
    found.plot(tmp_path / "walks.png")
    assert (tmp_path / "walks.png").read_bytes()[:4] == b"\x89PNG"


# The command line


@pytest.mark.usefixtures("own_folder")
def test_a_feature_on_the_command_line(capsys):
    flags = "--features.walk_length 16 --model.hidden_channels 8 --suite pairs --seeds 1 --output out/walks.json"
    assert main(["expressivity", "random-walk-pe", *flags.split()]) == 0
    printed = capsys.readouterr().out
    assert "GIN + RandomWalkPE: pairs told apart by random weights (seeds 1, copies 4)" in printed
    assert "out/walks.json" in printed
    content = json.loads(Path("out/walks.json").read_text())
    assert content["command"] == f"graphkit expressivity random-walk-pe {flags}"
    assert content["model"].startswith("GIN(17, hidden_channels=8, num_layers=5, out_channels=16, readout='sum'")
    assert content["suites"]["pairs"]["separated"] == 3
    assert Path("out/walks.png").is_file()


@pytest.mark.usefixtures("own_folder")
@pytest.mark.parametrize(
    "arguments",
    ["GCN", "torch_geometric.nn.GraphSAGE", "VirtualNode --base MPNN", "GIN --protocol brec --seeds 1"],
)
def test_models_rewirings_and_classes_of_pyg(capsys, arguments):
    assert main(["expressivity", *arguments.split(), "--suite", "sr16"]) == 0
    (path,) = Path("runs/expressivity").glob("*.json")
    assert json.loads(path.read_text())["suites"]["sr16"]["pairs"] == 1
    assert str(path) in capsys.readouterr().out


@pytest.mark.usefixtures("own_folder")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "expressivity needs a model, feature or rewiring"),
        ("GINN", "unknown model, feature or rewiring 'GINN'; did you mean 'GIN'?"),
        ("no.such.Net", "cannot import no.such"),
        ("torch_geometric.nn.GNI", "did you mean 'GIN'?"),
        ("GIN --suite csk", "unknown suite 'csk'; did you mean 'csl'?"),
        ("GIN --base GCN", "--base is the model behind a feature or rewiring, but GIN is a model"),
        ("GIN --model.layers 3", "unknown argument 'model.layers'"),
        ("GIN --trainer.lr 3", "unknown argument 'trainer.lr'"),
        ("GIN --seeds 0", "RandomWeights: --seeds 0, must be at least 1"),
        ("GIN --jobs 0", "graphkit expressivity: --jobs 0, must be at least 1, or -1"),
        ("GIN --protocol breck", "invalid choice: 'breck'"),
    ],
)
def test_wrong_use_is_one_line(capsys, arguments, message):
    assert main(["expressivity", *arguments.split()]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path("runs").exists()


@pytest.mark.usefixtures("own_folder")
def test_missing_and_damaged_data_are_one_clear_error(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("GRAPHKIT_MIRROR", raising=False)
    assert main(["expressivity", "GIN", "--suite", "brec"]) == 1
    missing = capsys.readouterr().err
    assert "expressive/BREC/brec_400_pairs.g6" in missing
    assert "GRAPHKIT_MIRROR" in missing
    place = tmp_path / "mirror" / "expressive" / "BREC" / "brec_400_pairs.g6"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"?" * 159546)  # the right length
    monkeypatch.setenv("GRAPHKIT_MIRROR", str(tmp_path / "mirror"))
    assert main(["expressivity", "GIN", "--suite", "brec"]) == 1
    assert "sha256" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_help_lists_the_flags_of_the_chosen_classes(capsys):
    assert main(["expressivity", "RandomWalkPE", "--help"]) == 0
    printed = capsys.readouterr().out
    assert "--features.walk_length" in printed
    assert "--model.num_layers" in printed
    assert "--trainer" not in printed
