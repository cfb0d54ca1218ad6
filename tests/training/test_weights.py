"""Weights as safetensors, and models that are saved without a run."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import safetensors.torch
import torch
from torch import nn

import graphkit as gk
from tests import tiny
from tests.training import runs

TASK = tiny.task("node multiclass")


def model():
    return gk.models.GCN.from_task(TASK, hidden_channels=8, norm="batch_norm")


def test_a_saved_model_is_the_same_in_a_new_process(tmp_path):
    saved, x, edges = model().double().eval(), TASK.data.x.double(), TASK.data.edge_index
    gk.save(torch.compile(saved), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    torch.save([x, edges, saved(x, edges)], tmp_path / "wanted.pt")
    code = (
        "import sys, torch, graphkit as gk; x, edges, wanted = torch.load(sys.argv[1] + '/wanted.pt');"
        "assert torch.equal(gk.load_model(sys.argv[1])(x, edges), wanted)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_a_run_folder_is_one_of_a_model(tmp_path):
    _, trained = runs.fit(model(), TASK, run_dir=tmp_path, max_epochs=2)
    assert runs.same(gk.load_model(tmp_path), trained)
    with pytest.raises(ValueError, match="holds a run, must be another folder"):
        gk.save(trained, tmp_path)


def test_versions_and_damage_are_noticed(tmp_path):
    gk.save(model(), tmp_path)
    path = tmp_path / "config.json"
    described = json.loads(path.read_text())
    path.write_text(json.dumps(described | {"versions": {**described["versions"], "torch": "1.0"}}))
    with pytest.warns(UserWarning, match=r"model .* was written with torch 1\.0 \(here"):
        gk.load_model(tmp_path)
    path = tmp_path / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"model\.safetensors cannot be read \(its checksum is wrong\); restore a"):
        gk.load_weights(model(), tmp_path)
    with pytest.raises(FileNotFoundError, match=r"has no config\.json; give the folder that gk\.save has written"):
        gk.load_model(tmp_path / "nowhere")


def test_weights_from_elsewhere_have_no_checksum(tmp_path):
    given = model()
    safetensors.torch.save_file(given.state_dict(), tmp_path / "net.safetensors")
    assert runs.same(gk.load_weights(model(), tmp_path / "net.safetensors"), given)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight


class Extra(nn.Linear):
    def __init__(self):
        super().__init__(2, 2)
        self.seen = 7

    def get_extra_state(self):
        return self.seen

    def set_extra_state(self, state):
        self.seen = state


def test_shared_tensors_and_a_state_of_more_than_tensors(tmp_path):
    tied, extra = Tied(), Extra()
    gk.save(tied, tmp_path)
    loaded = gk.load_weights(Tied(), tmp_path)
    assert loaded.second.weight is loaded.first.weight
    assert runs.same(loaded, tied)
    extra.seen = 8
    gk.save(extra, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.pt"}
    assert gk.load_model(tmp_path, Extra()).seen == 8
    message = r"cannot build the model \(Extra does not keep .*; give it: load_model\(path, model=model\)"
    with pytest.raises(ValueError, match=message):
        gk.load_model(tmp_path)


def test_a_run_of_an_older_graphkit_is_loaded(tmp_path):
    _, trained = runs.fit(model(), TASK, run_dir=tmp_path, max_epochs=2)
    (tmp_path / "model.safetensors").unlink()
    torch.save(trained.state_dict(), tmp_path / "model.pt")
    assert runs.same(gk.load_run(tmp_path).model, trained)
    _, other = runs.fit(model(), TASK, run_dir=tmp_path, max_epochs=1, overwrite=True, seed=5)
    assert not runs.same(other, trained)
    for name in ("model.safetensors", "model.pt"):
        assert runs.same(gk.load_weights(model(), tmp_path / name), other), f"{name} is of the older run"


def test_sizes_that_the_first_batch_decides():
    with pytest.raises(ValueError, match=r"save: layers\.0\.lin\.weight of GCN has no size yet; call the model once"):
        gk.save(gk.models.GCN(-1, 8), "unused")
