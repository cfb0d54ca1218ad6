"""``graphkit recommend``."""

from __future__ import annotations

import sys
from pathlib import Path

from graphkit.cli.common import Parser, usage
from graphkit.cli.predict import load, task_of

OTHERWISE = "in Python, graphkit.load_run(RUN_DIR).predict(task, stage=None, as_frame=True) tells the best items"


def recommend_parser() -> Parser:
    """The flags of ``graphkit recommend``."""
    parser = Parser(
        prog="graphkit recommend",
        description="The best items for users, by a finished run on interactions; what they have chosen is left out.",
    )
    parser.add_argument("run", metavar="RUN_DIR", help="the folder of a finished run of `graphkit train`")
    parser.add_argument("--user", nargs="+", required=True, metavar="ID", help="one or several users")
    parser.add_argument("--k", type=int, default=10, help="the number of items per user (default: 10)")
    return parser


def recommend(arguments: list[str]) -> int:
    """Print the best items of some users as CSV."""
    options = recommend_parser().parse_args(arguments)
    from graphkit.tasks import RankingTask

    with usage():
        task = task_of(Path(options.run), OTHERWISE)
        if not isinstance(task, RankingTask):
            raise ValueError(
                f"{options.run} is a run on a {task.kind} task, which ranks no items; use graphkit predict"
            )
        if options.k < 1:
            raise ValueError(f"--k {options.k}, must be at least 1")
        names = [str(user) for user in task.names(None)]
        for user in options.user:
            if user not in names:
                raise ValueError(f"task {task.name!r} has no user {user!r}; it has {len(names)}, such as {names[0]!r}")
    rows = [names.index(user) for user in options.user]
    scores = load(options.run, task).predict(task, None)
    task.frame(scores[rows], options.user, k=options.k).to_csv(sys.stdout)
    return 0
