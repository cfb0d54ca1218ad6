"""The picture of the architecture: every room with its lines of code, imports between rooms as arcs.

Both are read from the sources when the documentation is built; the order of the rooms is the one that the import
checker enforces (``[tool.importlinter]`` in ``pyproject.toml``).
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Arc, FancyBboxPatch

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "graphkit"
FOUNDATION = "core"  # used by every room: its arcs would hide the others


def layers() -> list[list[str]]:
    """The rooms from top to bottom, those side by side together."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    lines = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [re.findall(r"\w+", line) for line in lines if "__main__" not in line]


def files(room: str) -> list[Path]:
    """The sources of one room."""
    single = PACKAGE / f"{room}.py"
    return [single] if single.exists() else sorted((PACKAGE / room).rglob("*.py"))


def imports(room: str) -> Counter[str]:
    """How many import statements of a room name each other room."""
    named: Counter[str] = Counter()
    for path in files(room):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if modules == ["graphkit"]:  # `from graphkit import ops, nn`
                modules = [f"graphkit.{alias.name}" for alias in node.names]
            named.update(module.split(".")[1] for module in modules if module.startswith("graphkit."))
    drawn = {name for layer in layers() for name in layer} - {room, FOUNDATION}
    return Counter({name: count for name, count in named.items() if name in drawn})


def lines_of_code(room: str) -> int:
    return sum(len(path.read_text().splitlines()) for path in files(room))


def picture() -> Figure:
    """Rooms from top to bottom, arcs from the room that imports (colour) down to the one it imports."""
    order = [room for layer in layers() for room in layer]
    figure = Figure(figsize=(7.5, 0.42 * len(order)))
    axes = figure.subplots()
    axes.set(xlim=(0, 10), ylim=(-len(order) + 0.3, 0.7))
    axes.axis("off")
    row = {room: -i for i, room in enumerate(order)}
    for i, room in enumerate(order):
        color = f"C{i % 10}"
        axes.add_patch(FancyBboxPatch((0.1, row[room] - 0.3), 3.6, 0.6, "round,pad=0.02", fc="white", ec=color, lw=1.5))
        axes.text(0.25, row[room], f"graphkit.{room}", va="center", family="monospace", fontsize=9)
        axes.text(3.6, row[room], f"{lines_of_code(room)} lines", va="center", ha="right", fontsize=8, color="gray")
        for other, count in imports(room).items():
            height = row[room] - row[other]
            width = 12 * height / len(order)
            style = {"lw": 0.5 + 0.5 * count**0.5, "color": color, "alpha": 0.75}
            if height > 0:
                axes.add_patch(Arc((3.75, row[other] + height / 2), width, height, theta1=-90, theta2=90, **style))
            else:  # an import that points up: the checker forbids it, the picture would show it
                axes.annotate("", (0, row[other]), (0, row[room]), arrowprops={"color": "red", "arrowstyle": "->"})
            axes.plot(3.75, row[other], "<", color=color, markersize=3)
    figure.tight_layout(pad=0.2)
    return figure


def draw(app: Any) -> None:
    """Write the picture where ``architecture.rst`` shows it."""
    target = Path(app.srcdir) / "auto_gallery" / "rooms.svg"
    target.parent.mkdir(exist_ok=True)
    picture().savefig(target)


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", draw, priority=900)  # after the gallery has made its folder
    return {"parallel_read_safe": True}
