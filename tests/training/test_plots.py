"""Pictures of runs show what they should."""

from __future__ import annotations

import copy
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from torch_geometric.data import Data

import graphkit as gk
from graphkit.cli import main
from graphkit.core.figures import COLOURS, OF_RUNS
from graphkit.training.plots import plot_calibration, plot_confusion, plot_embeddings, plot_results
from graphkit.training.showing import pairs_around


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "karate"
    arguments = ["--model", "GCN", "--task", "karate", "--trainer.max_epochs", "3"]
    assert main(["train", *arguments, "--trainer.run_dir", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("kind", [kind for kind in OF_RUNS if kind != "umap"])
def test_each_kind_by_name_and_on_the_command_line(folder: Path, kind: Any, capsys: pytest.CaptureFixture[str]) -> None:
    figure = gk.load_run(folder, task=gk.load("karate")).plot(kind)
    assert figure.axes
    assert main(["plot", str(folder), "--kind", kind]) == 0
    assert (folder / f"{kind}.png").stat().st_size > 5000
    assert capsys.readouterr().out.endswith(f"{kind}.png\n")


def test_a_result_of_fit_has_all_pictures_until_its_weights_change(tmp_path: Path) -> None:
    task, trainer = gk.load("karate"), gk.Trainer(max_epochs=3, progress=False)
    model = gk.models.GCN.from_task(task, hidden_channels=8)
    result = trainer.fit(model, task)
    counts = np.array([int(text.get_text()) for text in result.plot("confusion").axes[0].texts])
    assert counts.reshape(4, 4).trace() / counts.sum() == pytest.approx(result.test)
    result.plot("calibration", stage="val", path=tmp_path / "val.pdf")
    assert (tmp_path / "val.pdf").read_bytes().startswith(b"%PDF")
    assert not hasattr(copy.deepcopy(result), "_kept")
    gk.Trainer(max_epochs=1, progress=False).fit(model, task)
    assert result.plot().axes, "curves are in the result itself"
    with pytest.raises(ValueError, match=r"Result.plot: kind='confusion' .* its weights have changed since"):
        result.plot("confusion")
    result.save(tmp_path / "result.json")
    with pytest.raises(ValueError, match=r"which a loaded result does not hold; use gk.load_run"):
        gk.Result.load(tmp_path / "result.json").plot("confusion")


def test_a_kind_that_is_not_there_and_a_path_in_its_place(tmp_path: Path) -> None:
    result = gk.Trainer(max_epochs=1, progress=False).fit(gk.models.MLP(34, 8, out_channels=4), gk.load("karate"))
    with pytest.raises(ValueError, match=r"Result.plot: unknown kind of picture 'confusoin'; did you mean 'confusion'"):
        result.plot("confusoin")
    with pytest.raises(ValueError, match="index=3 is of kind='edges'"):
        result.plot(index=3)
    with pytest.warns(FutureWarning, match=r"Result.plot\(path\) is now Result.plot\(path=path\)") as warned:
        result.plot(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").exists()
    assert warned[0].filename == __file__


class OneNeighbour(torch.nn.Module):
    """Of class 1 exactly if some edge leads to the node from node 0."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        source, target = edge_index
        found = torch.zeros(len(x)).index_add(0, target, (source == 0).float()).clamp(max=1)
        return self.scale * torch.stack([1 - found, 4 * found], dim=1)


def test_an_edge_counts_as_the_probability_without_it_tells() -> None:
    edges = torch.tensor([[0, 1, 1, 2, 3, 3], [1, 0, 2, 1, 3, 4]])
    data = Data(x=torch.ones(5, 1), edge_index=edges, y=torch.tensor([0, 1, 0, 1, 0]))
    task = gk.NodeTask("path", data, gk.Split("mine", [0, 3], [2, 4], [1]))
    trainer = gk.Trainer(max_epochs=1, lr=1e-12, warm_start=True, progress=False)
    axes = trainer.fit(OneNeighbour(), task).plot("edges").axes[0]
    before, after = torch.tensor([0.0, 4.0]).softmax(0)[1], torch.tensor([1.0, 0.0]).softmax(0)[1]
    assert axes.get_title() == f"node 1: class 1, probability {before:.2f}"
    (drawn,) = (part for part in axes.collections if isinstance(part, LineCollection))
    np.testing.assert_allclose(drawn.get_linewidths(), [5.5, 0.5])  # 0-1 is all there is, 1-2 nothing, 3-4 is not near
    assert to_hex(drawn.get_colors()[0]) == COLOURS[0].lower()
    assert before > after
    with pytest.raises(ValueError, match="index=5, must be from 0 to 4"):
        trainer.fit(OneNeighbour(), task).plot("edges", index=5)


def test_only_small_graphs_have_pictures_of_edges() -> None:
    ring = Data(edge_index=torch.stack([torch.arange(101), torch.arange(101).roll(1)]), num_nodes=101)
    with pytest.raises(ValueError, match="a graph of 101 nodes, must be of at most 100"):
        pairs_around(ring)
    assert pairs_around(ring, 50).size(1) == 29, "a node and its 29 nearest ones on a ring are a path"


def test_umap_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    states, label = torch.eye(4), torch.tensor([0, 0, 1, 1])
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match="pip install umap-learn"):
        plot_embeddings(states, label, "ab", umap=True)
    fake = SimpleNamespace(UMAP=lambda random_state: SimpleNamespace(fit_transform=lambda x: 2 * x[:, :2]))
    monkeypatch.setitem(sys.modules, "umap", fake)
    axes = plot_embeddings(states, label, "ab", umap=True).axes[0]
    np.testing.assert_allclose(axes.collections[0].get_offsets(), [[2.0, 0.0], [0.0, 2.0]])
    assert axes.get_xlabel() == "UMAP 1"


def test_what_lacks_data_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"Run.plot: kind='confusion' .* the folder does not hold; give task="):
        gk.load_run(folder).plot("confusion")
    assert main(["plot", str(folder), str(folder), "--kind", "confusion"]) == 2
    assert "is of one place, 2 are given" in capsys.readouterr().err


def test_seeds_become_a_curve_with_a_band(folder: Path) -> None:
    first = gk.Result.load(folder / "result.json")
    other = [{**row, "train_loss": row["train_loss"] + 2.0} for row in first.history]
    figure = plot_results([first, replace(first, seed=1, history=other)])
    line, band = figure.axes[0].lines[0], figure.axes[0].collections[0]
    losses = np.array([row["train_loss"] for row in first.history])
    np.testing.assert_allclose(line.get_ydata(), losses + 1.0)
    heights = band.get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose([heights.min(), heights.max()], [min(losses) + 1 - 2**0.5, max(losses) + 1 + 2**0.5])


def test_confusion_counts_and_calibration_measures() -> None:
    shares = torch.tensor([[0.95, 0.05], [0.85, 0.15], [0.25, 0.75], [0.65, 0.35]])
    label = torch.tensor([0, 1, 1, 0])
    texts = [text.get_text() for text in plot_confusion(shares, label, ["cat", "dog"]).axes[0].texts]
    assert texts == ["2", "0", "1", "1"]
    # apart are 0.95 and 1, 0.85 and 0, 0.75 and 1, 0.65 and 1: (0.05 + 0.85 + 0.25 + 0.35) / 4
    assert plot_calibration(shares, label).axes[0].get_title() == "expected calibration error 0.375"


def test_embeddings_are_principal_components() -> None:
    states = torch.tensor([[3.0, 0.0, 0.0], [-3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])
    axes = plot_embeddings(states, torch.tensor([0, 0, 1, 1]), "ab").axes[0]
    first, second = (part.get_offsets() for part in axes.collections)
    np.testing.assert_allclose(np.abs(first), [[3.0, 0.0]] * 2, atol=1e-12)
    np.testing.assert_allclose(np.abs(second), [[0.0, 1.0]] * 2, atol=1e-12)
    assert axes.get_xlabel() == "first component, 90%"
