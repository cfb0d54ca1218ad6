"""``graphkit list``, ``graphkit data`` and ``graphkit doctor``."""

from __future__ import annotations

from collections.abc import Sequence

from graphkit.cli.common import Parser, UsageError, usage
from graphkit.core.text import aligned

# what is listed -> the package that exports the classes, and their base
CLASSES = {
    "models": ("graphkit.models", "LayeredModel"),
    "rewirings": ("graphkit.transforms.rewiring", "Rewiring"),
    "features": ("graphkit.transforms.features", "NodeFeatures"),
    "samplers": ("graphkit.samplers", "Sampler"),
    "strategies": ("graphkit.training.strategies", "Strategy"),
}


def list_names_parser() -> Parser:
    """The flags of ``graphkit list``."""
    parser = Parser(prog="graphkit list", description="What train and reproduce can be given, one line each.")
    parser.add_argument("what", help="models, rewirings, features, samplers, strategies, tasks or recipes")
    return parser


def list_names(arguments: list[str]) -> int:
    """List what can be named."""
    options = list_names_parser().parse_args(arguments)
    with usage():
        from graphkit.core.validate import check_choice

        what = check_choice(options.what.lower(), (*CLASSES, "tasks", "recipes"), "kind")
    if what == "tasks":
        return data(["list"])
    _print_table(list(named(what).items()))
    return 0


def named(what: str) -> dict[str, str]:
    """What can be named, with a sentence about each.

    Args:
        what: A key of :data:`CLASSES`, ``"tasks"`` or ``"recipes"``.
    """
    if what == "recipes":
        from graphkit import recipes

        return recipes.available()
    if what == "tasks":
        from graphkit.datasets import cards

        return {name: card.title for name, card in cards().items()}
    from graphkit.core.sources import exported_classes

    return {name: _first_sentence(text) for name, text in exported_classes(*CLASSES[what]).items()}


def _first_sentence(docstring: str) -> str:
    """The docstring's first sentence, as plain text."""
    import re

    text = " ".join(docstring.split("\n\n")[0].split())
    text = re.sub(r":\w+:`~?([^`]*)`", r"\1", text).replace("``", "")
    return re.split(r"(?<=\.)\s", text)[0]


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    for line in aligned(rows):
        print(line)


def data_parser() -> Parser:
    """The flags of ``graphkit data``."""
    parser = Parser(prog="graphkit data", description="What datasets there are and where their files lie.")
    actions = parser.add_subparsers(dest="action", metavar="list | check | fetch | clear")
    actions.add_parser("list", help="all datasets: generated, at hand, or to be downloaded")
    actions.add_parser("check", help="where raw files lie and which are missing").add_argument("name", nargs="?")
    actions.add_parser("fetch", help="bring the raw files into the data folder").add_argument("name")
    clearing = "delete the raw and processed files of a dataset, and what was computed from its graphs; or of all"
    actions.add_parser("clear", help=clearing, description=clearing).add_argument("name", nargs="?")
    return parser


def data(arguments: list[str]) -> int:
    """List, check, fetch or clear datasets."""
    options = data_parser().parse_args(arguments)
    from graphkit import datasets

    if options.action is None:
        raise UsageError("data needs one of list, check, fetch, clear; see graphkit data --help")
    if options.action == "list":
        words = {"generated": "offline (generated)", "at hand": "offline (at hand)", "missing": "online"}
        cards = datasets.cards()
        _print_table([(name, words[state], cards[name].title) for name, state in datasets.available().items()])
        return 0
    if options.action == "check" and options.name is None:
        return _check_all()
    if options.name is None:
        print(f"all datasets: {_clear(None)} freed")
        return 0
    with usage():
        card = datasets.card(options.name)
    if options.action == "check":
        states = datasets.check(card.name)
        _print_table([(state, path) for path, state in states.items()] or [("generated", "needs no files")])
        return 0 if set(states.values()) <= {"local", "mirror"} else 1
    if options.action == "fetch":
        from graphkit.datasets.raw import fetch

        files = fetch(card.all_files, card.name)
        print(f"{card.name}: {len(files)} files at hand")
        return 0
    print(f"{card.name}: {_clear(card.name)} freed")
    return 0


def _clear(name: str | None) -> str:
    from graphkit.datasets.clearing import clear

    return f"{clear(name) / 2**20:.1f} MiB"


def _check_all() -> int:
    from graphkit import datasets

    rows = []
    for name, state in datasets.available().items():
        missing = [path for path, place in datasets.check(name).items() if place not in ("local", "mirror")]
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        rows.append((name, state, f"needs {missing[0]}{more}" if missing else ""))
    _print_table(rows)
    return 0


def doctor_parser() -> Parser:
    """The flags of ``graphkit doctor``."""
    return Parser(prog="graphkit doctor", description="Versions, live sparse backend, GPU, data.")


def doctor(arguments: list[str]) -> int:
    """Tell what is installed and what is wrong."""
    doctor_parser().parse_args(arguments)
    from graphkit.doctor import main

    return main()
