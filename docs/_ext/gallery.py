"""Which script of the gallery uses which class or function; the API pages link to them."""

from __future__ import annotations

import functools
import json
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parents[1] / "auto_gallery"


@dataclass(frozen=True, order=True)
class Script:
    """One script: its page and its title."""

    page: str
    title: str

    @property
    def number(self) -> int:
        return int(self.page.rpartition("/")[2].split("_")[1])

    def link(self, text: str = "") -> str:
        return f":doc:`{text or self.title} </{self.page}>`"


@functools.cache
def uses() -> dict[tuple[str, str], list[Script]]:
    """The scripts by module and name of what they use, as Sphinx-Gallery found when it ran them."""
    by_target: dict[tuple[str, str], set[Script]] = {}
    for path in sorted(SCRIPTS.rglob("*.codeobj.json")):
        name, place = path.name.removesuffix(".codeobj.json"), path.parent.relative_to(SCRIPTS.parent).as_posix()
        title = path.with_name(f"{name}.py").read_text().split('"""')[1].strip().splitlines()[0]
        for ways in json.loads(path.read_text()).values():
            for target in own(ways):
                by_target.setdefault(key(target), set()).add(Script(f"{place}/{name}", title))
    return {target: sorted(scripts) for target, scripts in by_target.items()}


def own(ways: list[dict[str, Any]]) -> list[Any]:
    """What one name of a script stands for in graphkit: the ways that lead there end in it, or in its base classes."""
    places = [way for way in ways if way["module"].partition(".")[0] == "graphkit"]
    owners = [(pkgutil.resolve_name(way["module"]), way["name"]) for way in places]
    targets = [owner if isinstance(owner, type) else getattr(owner, name, None) for owner, name in owners]
    classes = [target for target in targets if isinstance(target, type)]
    return [t for t in targets if t is not None and not any(t in cls.__mro__[1:] for cls in classes)]


def key(target: Any) -> tuple[str, str]:
    """What tells a class or function apart, by whichever path it was reached."""
    return getattr(target, "__module__", ""), getattr(target, "__qualname__", "")


def link_scripts(app: Any, what: str, name: str, target: Any, options: Any, lines: list[str]) -> None:
    """Append the scripts that use a class or function to its documentation."""
    scripts = uses().get(key(target), []) if what in ("class", "function") else []
    if scripts:
        lines += ["", f"**Gallery:** {', '.join(script.link() for script in scripts)}", ""]


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", link_scripts, priority=900)
    return {"parallel_read_safe": True}
