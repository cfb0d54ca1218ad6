"""``graphkit expressivity``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphkit.cli.common import Parser, UsageError, usage
from graphkit.cli.wording import offer

BASE = {"class_path": "GIN", "init_args": {"num_layers": 5}}
ALL = ("pairs", "cfi", "csl", "sr25", "exp", "cexp", "brec")


def expressivity_parser() -> Parser:
    """The flags of ``graphkit expressivity`` but for those of chosen classes."""
    parser = Parser(
        prog="graphkit expressivity",
        add_help=False,
        description="Count the pairs of graphs that a model tells apart, beside exact Weisfeiler-Leman verdicts and\n"
        "published counts; writes them as JSON with a chart. A feature or rewiring is tested in front of a GIN.\n"
        "Finished parts are saved in runs/expressivity and not repeated.",
        epilog="Every argument of the chosen classes is a flag: --model.num_layers 5, --features.walk_length 16.\n"
        "`graphkit expressivity PathNN --help` lists those of PathNN.",
    )
    parser.add_argument("-h", "--help", action="store_true", help="this text, with the flags of the chosen classes")
    parser.add_argument("subject", nargs="?", metavar="NAME", help="a model, feature or rewiring, or its import path")
    parser.add_argument("--base", metavar="MODEL", help="the model behind a transform (default: GIN, 5 layers)")
    parser.add_argument(
        "--suite",
        default="pairs,cfi,csl",
        metavar="A,B",
        help=f"{', '.join(ALL)}, sr16, sr291467, ..., or all for the first seven (default: pairs,cfi,csl)",
    )
    parser.add_argument(
        "--protocol",
        choices=("random", "brec"),
        default="random",
        help="random: untrained models in double precision against the noise of relabelled copies (default); "
        "brec: training and a statistical test per pair",
    )
    parser.add_argument("--seeds", type=int, metavar="N", help="random models to try (default: 3; brec: 10)")
    parser.add_argument("--name", help="what it is called in tables (default: the names of the classes)")
    parser.add_argument("--jobs", type=int, default=1, help="parallel processes (default: 1)")
    parser.add_argument("--fresh", action="store_true", help="repeat parts that are already there")
    parser.add_argument("--output", metavar="FILE", help="the result file (default: runs/expressivity/<name>.json)")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def expressivity(arguments: list[str]) -> int:
    """Count the pairs of graphs that a model, feature or rewiring tells apart."""
    parser = expressivity_parser()
    options, flags = parser.parse_known_args(arguments)
    with usage():
        config = _config(options.subject, options.base)
        if options.help:
            print(parser.format_help())
            if not config:
                return 0
            from graphkit.recipes.config import flags_help

            print(flags_help(config, trained=False))
            return 0
        if not config:
            raise UsageError("expressivity needs a model, feature or rewiring, e.g. graphkit expressivity GIN")
        from graphkit.recipes.config import flags_of

        offer(lambda: [f"--{name}" for name in flags_of(config, trained=False)])
        model, transform = _built(config, flags)
        suites = _suites(options.suite)
        protocol = _protocol(options.protocol, options.seeds)
        from graphkit.core.constraints import enforce
        from graphkit.expressivity import expressivity as run

        enforce(run, {"jobs": options.jobs}, "graphkit expressivity")
    result = run(model, suites, transform, protocol, options.name, options.jobs, fresh=options.fresh)
    print(result)
    path = Path(options.output or f"runs/expressivity/{result.slug}.json")
    result.to_json(path, f"graphkit expressivity {shlex.join(arguments)}")
    result.plot(path.with_suffix(".png"))
    print(f"  written to {path} and {path.with_suffix('.png').name}")
    return 0


def _config(name: str | None, base: str | None) -> dict[str, Any]:
    """The model and, if ``name`` is one, the feature or rewiring in front of it."""
    if name is None:
        return {}
    part = _part(name)
    if part != "model":
        return {part: name, "model": base or BASE}
    if base is not None:
        raise UsageError(f"--base is the model behind a feature or rewiring, but {name} is a model")
    return {"model": name}


def _part(name: str) -> str:
    """Whether a name is that of a model, a feature or a rewiring."""
    from graphkit.core.validate import unknown_name
    from graphkit.recipes.config import PARTS, find_class

    kinds = ("model", "features", "rewiring")
    for part in kinds:
        try:
            find_class(part, name)
        except ValueError:
            continue
        return part
    if "." in name:
        find_class("model", name)  # says what is wrong with the path
    choices = [choice for part in kinds for choice in PARTS[part][0].names()]
    raise UsageError(unknown_name(name, choices, "model, feature or rewiring"))


def _built(config: dict[str, Any], flags: Sequence[str]) -> tuple[Any, Any]:
    """The way to build models, and the transform in front of them."""
    from graphkit.expressivity import NamedModel
    from graphkit.recipes.config import find_class, parse_parts

    parts = parse_parts(config, flags)
    for key in ("features", "rewiring"):
        if parts[key]:
            transform = find_class(key, parts[key]["class_path"])(**parts[key]["init_args"])
            return NamedModel(**parts["model"]), transform
    return NamedModel(**parts["model"]), None


def _suites(text: str) -> list[str]:
    from graphkit.core.validate import check_choice
    from graphkit.expressivity import NAMES

    return list(ALL) if text == "all" else [check_choice(name.strip(), NAMES, "suite") for name in text.split(",")]


def _protocol(name: str, seeds: int | None) -> Any:
    from graphkit.expressivity import PairedTraining, RandomWeights

    chosen = RandomWeights if name == "random" else PairedTraining
    return chosen() if seeds is None else chosen(seeds)
