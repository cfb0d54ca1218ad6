"""``graphkit advise``."""

from __future__ import annotations

from pathlib import Path

from graphkit.cli.common import Parser, usage


def advise_parser() -> Parser:
    """The flags of ``graphkit advise``."""
    parser = Parser(
        prog="graphkit advise",
        description="A ranked shortlist of methods for a graph, with reasons from this library's own results.",
    )
    parser.add_argument("data", metavar="DATA", help="a folder with nodes.csv and edges.csv, or a dataset's name")
    parser.add_argument("--label", metavar="COLUMN", help="of tables: the column of labels")
    parser.add_argument("--split", help="an index, 'family' or 'family/index'; of tables a column")
    parser.add_argument("--impute", metavar="WAY", help="of tables: mean, median or most_frequent fills gaps")
    parser.add_argument("--edge_weight", metavar="COLUMN", help="of tables: the column of edge weights")
    parser.add_argument("--datasets", type=int, default=3, help="how many similar datasets count (default: 3)")
    return parser


def advise(arguments: list[str]) -> int:
    """Print which methods to try first."""
    options = advise_parser().parse_args(arguments)
    from graphkit import datasets, recipes
    from graphkit.recipes.own_tables import tables_task

    with usage():
        if Path(options.data).is_dir():
            if options.label is None:
                raise ValueError(f"--label names the column of labels in {options.data}; give it")
            task = tables_task(
                options.data, options.label, options.split, impute=options.impute, edge_weight=options.edge_weight
            )
        else:
            task = datasets.load(options.data, options.split or 0)
        print(recipes.advise(task, options.datasets))
    return 0
