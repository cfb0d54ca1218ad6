"""``graphkit reproduce``."""

from __future__ import annotations

from graphkit.cli.common import Parser, UsageError, usage


def reproduce(arguments: list[str]) -> int:
    """Run a recipe and compare with the published value."""
    parser = Parser(
        prog="graphkit reproduce",
        description="Run a recipe over its seeds, print paper and measurement, and keep the result as JSON.\n"
        "Finished seeds are kept in runs/reproduce and not repeated.",
    )
    parser.add_argument("recipe", help="a name of `graphkit list recipes`, or a YAML file")
    parser.add_argument("--seeds", metavar="N", help="a number of seeds, or a list: 0,3,5 (default: the recipe's)")
    parser.add_argument("--split", metavar="S", help="other splits, e.g. geom-gcn/0,geom-gcn/1 (default: the recipe's)")
    parser.add_argument("--jobs", type=int, default=1, help="parallel processes (default: 1)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each run (default: 1)")
    parser.add_argument("--fresh", action="store_true", help="repeat seeds that are already there")
    parser.add_argument("--output", metavar="FILE", help="the result file (default: benchmarks/results/<recipe>.json)")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args(arguments)
    from graphkit import recipes
    from graphkit.datasets import card
    from graphkit.datasets.splits import choose

    with usage():
        recipe = recipes.load(options.recipe)
        seeds = _numbers(options.seeds, "--seeds")
        splits = [int(s) if s.isdecimal() else s for s in options.split.split(",")] if options.split else None
        for split in splits or ():
            choose(card(recipe.experiment.config["task"]["name"]), split)
        for name in ("jobs", "threads"):
            if getattr(options, name) == 0:
                raise UsageError(f"--{name} must not be 0")
    result = recipe.run(seeds, splits, jobs=options.jobs, threads=options.threads, fresh=options.fresh)
    print(result)
    if result.missing:
        return 1
    print(f"  saved       {result.save(options.output)}")
    return 0


def _numbers(text: str | None, flag: str) -> int | list[int] | None:
    if text is None:
        return None
    if not all(part.strip().isdecimal() for part in text.split(",")) or text.strip() == "0":
        raise UsageError(f"{flag}: expected a number of at least 1 or a list such as 0,3,5, got {text!r}")
    numbers = [int(part) for part in text.split(",")]
    return numbers[0] if "," not in text else numbers
