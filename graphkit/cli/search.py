"""``graphkit search``."""

from __future__ import annotations

from graphkit.cli.common import RESUMED, Parser, kept, usage
from graphkit.core.figures import OF_SEARCHES


def search_parser() -> Parser:
    """The flags of ``graphkit search``."""
    parser = Parser(
        RESUMED,
        prog="graphkit search",
        description="Search with Optuna for the settings of a recipe with the best validation score, then test them\n"
        "with fresh seeds. Trials are kept in runs/search; the same command goes on, and several share the work.",
    )
    parser.add_argument("recipe", help="a name of `graphkit list recipes`, or a YAML file")
    parser.add_argument(
        "--space", required=True, metavar="FILE", help="YAML, e.g. model.hidden_channels: {log: [16, 256]}"
    )
    parser.add_argument("--trials", type=int, default=50, help="how many there are to be in all (default: 50)")
    parser.add_argument("--sampler", default="tpe", help="Optuna's, e.g. tpe or random, or conservative (default: tpe)")
    parser.add_argument("--pruner", help="Optuna's, e.g. median or hyperband (default: none)")
    parser.add_argument("--storage", help="a file of SQLite or the URL of a database (default: in runs/search)")
    parser.add_argument("--seeds", type=int, help="fresh seeds of the winner (default: the recipe's number)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of trials (default: 0)")
    parser.add_argument("--jobs", type=int, default=1, help="parallel processes (default: 1)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each training (default: 1)")
    parser.add_argument("--output", metavar="FILE", help="write the winner as a YAML file for reproduce and train")
    parser.add_argument("--plot", metavar="FILE", help="write a picture of the trials")
    parser.add_argument("--kind", choices=tuple(OF_SEARCHES), default="trials", help="which one (default: trials)")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def search(arguments: list[str]) -> int:
    """Search over the settings of a recipe."""
    options = vars(search_parser().parse_args(arguments))
    output, kind, picture = (options.pop(name) for name in ("output", "kind", "plot"))
    del options["debug"]
    with usage(), kept():  # what fails in a trial is recorded there
        from graphkit.tuning import search as run

        result = run(**options)
    print(result)
    if output:
        result.save(output)
        print(f"  saved       {output}")
    if picture:
        result.plot(kind, picture)
        print(f"  picture     {picture}")
    return 0
