"""``graphkit benchmark``."""

from __future__ import annotations

from graphkit.cli.common import RESUMED, Parser, add_run_options, kept, run_options, seconds_of, tell_runs, usage


def benchmark_parser() -> Parser:
    """The flags of ``graphkit benchmark``."""
    parser = Parser(
        RESUMED,
        prog="graphkit benchmark",
        description="Train a set of models on tasks and on harder variants of them: one table and one picture.\n"
        "Finished runs are kept in runs/reproduce; the same command does the rest.",
    )
    parser.add_argument("suite", help="a name, such as robustness, or a YAML file")
    parser.add_argument("--budget", metavar="TIME", help="start no run after this time, e.g. 2h or 1h30m")
    add_run_options(parser)
    parser.add_argument(
        "--output", metavar="FOLDER", help="where results are kept (default: benchmarks/results of a clone, or results)"
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def benchmark(arguments: list[str]) -> int:
    """Run a suite, or what is left of it."""
    options = benchmark_parser().parse_args(arguments)
    from graphkit.recipes import load_suite

    how, budget = run_options(options, "graphkit benchmark"), seconds_of(options.budget)
    tell_runs()
    with usage(), kept():  # runs that fail stop nothing
        result = load_suite(options.suite).run(options.output, budget, **how)
    print(result)
    print(f"  saved       {result.save()}")
    return 1 if any(reason.startswith("failed") for reason in result.failures.values()) else 0
