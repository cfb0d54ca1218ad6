"""``graphkit rewire``."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphkit.cli.common import Parser, UsageError, usage
from graphkit.cli.wording import offer


def rewire_parser() -> Parser:
    """The flags of ``graphkit rewire`` but for those of the method."""
    parser = Parser(
        prog="graphkit rewire",
        description="Rewire the graphs of a task; write them (graphs.pt) and what changed (report.json, report.png).",
        epilog="Every other argument of the method is a flag, too: --method SDRF --tau 20 --removal_bound 0.9",
    )
    parser.add_argument("task", help="a name of `graphkit list tasks`")
    parser.add_argument("--method", required=True, help="a name of `graphkit list rewirings`")
    parser.add_argument("--budget", help="pairs to add: a number, or a share of the pairs joined, e.g. 0.1")
    parser.add_argument("--output", metavar="DIR", help="where to write (default: runs/rewire/<task>-<method>)")
    parser.add_argument("--jobs", type=int, help="parallel processes (default: one per core for expensive methods)")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def rewire(arguments: list[str]) -> int:
    """Rewire a task's graphs, write them and a report."""
    options, flags = rewire_parser().parse_known_args(arguments)
    from graphkit import datasets

    with usage():
        transform = _transform(options.method, options.budget, flags)
        datasets.card(options.task)
    from graphkit.core.files import save_tensors
    from graphkit.diagnostics.rewiring import compare_graphs, small_pair

    task = datasets.load(options.task)
    rewired = task.transform(transform, jobs=options.jobs)
    folder = Path(options.output or Path("runs") / "rewire" / f"{task.name}-{type(transform).__name__}")
    save_tensors(folder / "graphs.pt", [graph.to_dict() for graph in rewired.graphs])
    report = compare_graphs(task.graphs, rewired.graphs)
    report.save(folder / "report.json")
    report.plot(folder / "report.png", small_pair(task.graphs, rewired.graphs))
    print(f"{task.name} by {transform}")
    print(report)
    print(f"written to {folder} (graphs.pt, report.json, report.png)")
    return 0


def _transform(method: str, budget: str | None, flags: Sequence[str]) -> Any:
    """The rewiring with the arguments given as flags, each a YAML value."""
    import yaml

    from graphkit.core.validate import unknown_name
    from graphkit.transforms.rewiring import registry

    cls = registry.get(method)
    known = list(inspect.signature(cls).parameters)
    offer(lambda: [f"--{name}" for name in known])
    given: dict[str, Any] = {}
    if budget is not None:
        if "num_edges" not in known:
            raise UsageError(f"{cls.__name__} has no budget; its arguments are: {', '.join(known)}")
        given["num_edges"] = yaml.safe_load(budget)
    rest = [part for flag in flags for part in flag.split("=", 1)]
    if len(rest) % 2 or not all(name.startswith("--") for name in rest[::2]):
        raise UsageError(f"expected arguments of {cls.__name__} as --name value, got {' '.join(flags)}")
    for name, value in zip(rest[::2], rest[1::2]):
        if name[2:] not in known:
            raise UsageError(unknown_name(name[2:], known, f"argument of {cls.__name__}"))
        given[name[2:]] = yaml.safe_load(value)
    return cls(**given)
