"""Pictures of runs show what they should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import graphkit as gk
from graphkit.cli import main
from graphkit.training.plots import plot_calibration, plot_confusion, plot_embeddings, plot_results


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "karate"
    arguments = ["--model", "GCN", "--task", "karate", "--trainer.max_epochs", "3"]
    assert main(["train", *arguments, "--trainer.run_dir", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("kind", ["curves", "confusion", "calibration", "embeddings"])
def test_each_kind_by_name_and_on_the_command_line(folder: Path, kind: Any, capsys: pytest.CaptureFixture[str]) -> None:
    figure = gk.load_run(folder, task=gk.load("karate")).plot(kind)
    assert figure.axes
    assert main(["plot", str(folder), "--kind", kind]) == 0
    assert (folder / f"{kind}.png").stat().st_size > 5000
    assert capsys.readouterr().out.endswith(f"{kind}.png\n")


def test_what_lacks_data_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="kind='confusion' is of the data"):
        gk.load_run(folder).plot("confusion")
    assert main(["plot", str(folder), str(folder), "--kind", "confusion"]) == 2
    assert "is of one run, 2 are given" in capsys.readouterr().err


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
