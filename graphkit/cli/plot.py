"""``graphkit plot``."""

from __future__ import annotations

from pathlib import Path

from graphkit.cli.common import Parser, usage
from graphkit.cli.predict import task_of

KINDS = ("curves", "confusion", "calibration", "embeddings")


def plot_parser() -> Parser:
    """The flags of ``graphkit plot``."""
    parser = Parser(
        prog="graphkit plot",
        description="Draw finished runs: learning curves (of several seeds with a band), or what one run predicts.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN_DIR", help="the folder of a finished run; of curves several")
    parser.add_argument("--kind", choices=KINDS, default="curves", help="the picture (default: curves)")
    parser.add_argument("--stage", choices=("train", "val", "test"), default="test", help="a part (default: test)")
    parser.add_argument("--output", metavar="FILE", help="the picture (default: RUN_DIR/KIND.png of the first run)")
    return parser


def plot(arguments: list[str]) -> int:
    """Draw finished runs."""
    options = plot_parser().parse_args(arguments)
    from graphkit.training import Result, load_run
    from graphkit.training.plots import plot_results

    first = Path(options.runs[0])
    path = Path(options.output or first / f"{options.kind}.png")
    with usage():
        missing = [run for run in options.runs if not (Path(run) / "result.json").is_file()]
        if missing:
            raise ValueError(f"{missing[0]} is no finished run: it has no result.json")
        if options.kind != "curves" and len(options.runs) > 1:
            raise ValueError(f"--kind {options.kind} is of one run, {len(options.runs)} are given")
        task = None if options.kind == "curves" else task_of(first)
    if task is None:
        plot_results([Result.load(Path(run) / "result.json") for run in options.runs], path)
    else:
        load_run(first, task=task).plot(options.kind, stage=options.stage, path=path)
    print(path)
    return 0
