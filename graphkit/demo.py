"""``python -m graphkit.demo``: one complete run, with nothing to download.

On minesweeper a node's neighbours say whether it is a mine and the node itself says next to nothing, so a network that
uses the graph must beat one that does not.
"""

from __future__ import annotations

if __name__ == "__main__":
    from graphkit.core.current_folder import leave_out

    leave_out()

from pathlib import Path

import graphkit as gk
from graphkit.core.text import aligned
from graphkit.metrics import format_score
from graphkit.training.plots import plot_results
from graphkit.training.result import Result

COLUMNS = ("model", "test", "validation", "best epoch", "parameters", "seconds")


def run(folder: str | Path = "runs/demo", max_epochs: int = 120, patience: int = 30) -> list[Result]:
    """Train GCN and MLP on minesweeper, print a table and draw the training curves.

    Args:
        folder: Where the run folders and the picture go (default: ``runs/demo``).
        max_epochs: The largest number of epochs (default: 120).
        patience: Stop after this many epochs without a better validation (default: 30).
    """
    folder = Path(folder)
    task = gk.load("minesweeper")
    print(task.describe())
    results = []
    for model_class in (gk.models.GCN, gk.models.MLP):
        name = model_class.__name__
        print(f"training {name} ...", flush=True)
        model = model_class.from_task(
            task, hidden_channels=64, num_layers=5, dropout=0.2, norm="batch_norm", residual=True
        )
        trainer = gk.Trainer(max_epochs=max_epochs, patience=patience, lr=0.01, run_dir=folder / name.lower())
        results.append(trainer.fit(model, task, overwrite=True))
    plot_results(results, folder / "curves.png")
    print(f"\n{task.metric} on {task.name}, split {task.split.name} [{task.split.hash}]\n{table(results)}\n")
    print(f"training curves  {folder / 'curves.png'}")
    print(f"run folders      {', '.join(str(result.run_dir) for result in results)}")
    return results


def table(results: list[Result]) -> str:
    """One line per run."""
    rows = [COLUMNS]
    for result in results:
        scores = (format_score(result.test, result.metric), format_score(result.val, result.metric))
        cost = (f"{result.num_parameters:,}", f"{result.seconds:.1f}")
        rows.append((result.model.split("(")[0], *scores, str(result.best_epoch), *cost))
    header, *lines = aligned(rows, words=0)
    return "\n".join([header, "-" * len(header), *lines])


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)  # on a graph of this size more threads only wait for each other
    run()
