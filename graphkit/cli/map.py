"""``graphkit map``."""

from __future__ import annotations

from graphkit.cli.common import Parser, usage


def map_files_parser() -> Parser:
    """The flags of ``graphkit map``."""
    parser = Parser(
        prog="graphkit map",
        description="Write a graph that may be larger than memory into a folder of memory-mapped files.",
        epilog="In Python: task = gk.NodeTask(name, gk.MappedGraph(FOLDER), split).sampled(sampler)",
    )
    parser.add_argument("source", help="a folder with nodes.csv and edges.csv (or .parquet), or a node set of OGB")
    parser.add_argument("folder", help="the new folder")
    parser.add_argument("--label", help="the column of labels of nodes: numbers, classes from 0, -1 where missing")
    parser.add_argument("--id", help="the column of node ids (default: the first one)")
    parser.add_argument("--features", nargs="+", metavar="COLUMN", help="columns of features (default: all others)")
    parser.add_argument("--split", help="the column that says train, val or test")
    parser.add_argument(
        "--ends",
        nargs=2,
        metavar="COLUMN",
        help="columns of an edge's ends (default: source and target, else the first)",
    )
    parser.add_argument("--directed", action="store_true", help="edges lead from source to target only")
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float32", help="of features in the file")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def map_files(arguments: list[str]) -> int:
    """Write a mapped graph."""
    options = vars(map_files_parser().parse_args(arguments))
    del options["debug"]
    from graphkit import datasets

    with usage():
        graph = datasets.map_files(undirected=not options.pop("directed"), **options)
    print(f"{graph} with {graph.num_edges} edges in {options['folder']}")
    return 0
