"""``graphkit predict``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from graphkit.cli.common import Parser, usage
from graphkit.cli.train import CONFIG_NAME
from graphkit.core.current_folder import search_last


def predict_parser() -> Parser:
    """The flags of ``graphkit predict``."""
    parser = Parser(
        prog="graphkit predict",
        description="Predict with a finished run: nodes or edges of new tables, or what its own task holds.",
    )
    parser.add_argument("run", metavar="RUN_DIR", help="the folder of a finished run")
    parser.add_argument("data", nargs="?", metavar="DATA", help="a folder with nodes.csv and edges.csv")
    parser.add_argument(
        "--stage",
        choices=("train", "val", "test", "unlabelled"),
        help="one part of the run's own task, with labels; or what has no label in it (default: all)",
    )
    parser.add_argument("--output", metavar="FILE", help="a CSV file (default: standard output)")
    return parser


def predict(arguments: list[str]) -> int:
    """Write what a finished run predicts as CSV."""
    options = predict_parser().parse_args(arguments)
    with usage():
        if options.data is not None and options.stage is not None:
            raise ValueError("--stage names a part of the run's own task; leave it out, or DATA")
        task = None if options.data is not None else task_of(Path(options.run))
        if options.data is not None and not Path(options.data).is_dir():
            raise ValueError(f"{options.data} is no folder; give one with nodes.csv and edges.csv")
    table = load(options.run, task).predict(task or options.data, options.stage, as_frame=True)
    if options.output is None:
        table.to_csv(sys.stdout)
        return 0
    Path(options.output).parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.output)
    print(f"{len(table)} predictions in {options.output}")
    return 0


def load(run_dir: str, task: Any) -> Any:
    """A finished run, whose classes may be the user's own, in the current folder.

    Args:
        run_dir: The run's folder.
        task: Its task, or ``None``.

    Raises:
        ValueError: If the run was interrupted.
    """
    from graphkit.training import load_run

    folder = Path(run_dir)
    if (folder / CONFIG_NAME).is_file() and not (folder / "result.json").exists():
        raise ValueError(f"run {run_dir} has not ended; continue it by graphkit train --resume {run_dir}")
    search_last()
    return load_run(run_dir, task=task)


def task_of(run_dir: Path, otherwise: str = "give DATA") -> Any:
    """The task that a run of ``graphkit train`` was of.

    Args:
        run_dir: The run's folder.
        otherwise: What to do where the folder does not tell (default: ``"give DATA"``).

    Raises:
        ValueError: If the folder does not tell.
    """
    from graphkit.recipes import Experiment
    from graphkit.recipes.files import read

    file = run_dir / CONFIG_NAME
    if not run_dir.is_dir():
        raise ValueError(f"there is no folder {run_dir}; give that of a finished run")
    if not file.is_file():
        raise ValueError(f"{run_dir} has no {CONFIG_NAME}, by which `graphkit train` tells the data; {otherwise}")
    return Experiment.from_config(read(file)).load_task()
