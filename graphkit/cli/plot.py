"""``graphkit plot``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from graphkit.cli.common import Parser, UsageError, usage
from graphkit.cli.predict import load, task_of
from graphkit.core.figures import OF_RESULTS, OF_RUNS


def plot_parser() -> Parser:
    """The flags of ``graphkit plot``."""
    kinds = [
        f"kinds of {what}:\n" + "\n".join(f"  {kind:12} {shows}" for kind, shows in of.items())
        for what, of in (("runs", OF_RUNS), ("result files", OF_RESULTS))
    ]
    parser = Parser(
        prog="graphkit plot",
        description="Draw finished runs, or what `graphkit reproduce` has measured.\n\n" + "\n\n".join(kinds),
    )
    parser.add_argument(
        "runs", nargs="+", metavar="PLACE", help="the folder of a run, of curves several; or a result file"
    )
    parser.add_argument("--kind", choices=(*OF_RUNS, *OF_RESULTS), help="the picture (default: the first of its list)")
    parser.add_argument("--stage", choices=("train", "val", "test"), default="test", help="a part (default: test)")
    parser.add_argument("--index", type=int, help="of edges: the node or graph (default: the first of the part)")
    parser.add_argument("--output", metavar="FILE", help="the picture (default: KIND.png beside the first of PLACE)")
    return parser


def plot(arguments: list[str]) -> int:
    """Draw finished runs, or a result."""
    options = plot_parser().parse_args(arguments)
    first = Path(options.runs[0])
    of_runs = first.suffix != ".json"
    kind = options.kind or next(iter(OF_RUNS if of_runs else OF_RESULTS))
    default = first / f"{kind}.png" if of_runs else first.with_name(f"{first.stem}-{kind}.png")
    path = Path(options.output or default)
    if len(options.runs) > 1 and kind != "curves":
        raise UsageError(f"--kind {kind} is of one place, {len(options.runs)} are given")
    if of_runs:
        _plot_runs(options, kind, path)
    else:
        with usage():
            from graphkit.recipes import RecipeResult

            RecipeResult.load(first).plot(kind, path)
    print(path)
    return 0


def _plot_runs(options: argparse.Namespace, kind: str, path: Path) -> None:
    from graphkit.training import Result
    from graphkit.training.plots import plot_results

    first = Path(options.runs[0])
    missing = [run for run in options.runs if not (Path(run) / "result.json").is_file()]
    if missing:
        raise UsageError(
            f"{missing[0]} is no finished run: it has no result.json; give the folder of one (--trainer.run_dir), or "
            "the JSON file of a recipe's result"
        )
    of_recipe = [run for run in options.runs if "key" in json.loads((Path(run) / "result.json").read_text())]
    if of_recipe:
        raise UsageError(
            f"{of_recipe[0]} keeps the scores of one run of a recipe, of which there are no curves; give the JSON file "
            "that `graphkit reproduce` has saved, or train this run by `graphkit train --config RECIPE`"
        )
    if kind == "curves":
        plot_results([Result.load(Path(run) / "result.json") for run in options.runs], path)
        return
    with usage():
        run = load(str(first), task_of(first, "its own task is what pictures of predictions are of"))
        run.plot(kind, stage=options.stage, path=path, index=options.index)
