"""The recipes that come with graphkit, in a line each."""

from __future__ import annotations

from graphkit.recipes.files import read, recipe_files
from graphkit.recipes.papers import Paper


def available() -> dict[str, str]:
    """All recipes that come with graphkit, with the value that each is compared with.

    Example:
        >>> available()["gcn/cora"]
        '81.5 %, Kipf and Welling (ICLR 2017), Table 2'
    """
    compared = {}
    for name, path in recipe_files().items():
        try:
            content = read(path)
        except ValueError as error:
            compared[name] = f"broken: {error}"
            continue
        known = content.get("published") or {}
        parts = [f"{known['value']} {known.get('unit', '%')}".strip()] if "value" in known else ["no published value"]
        parts += [str(Paper.from_config(known["paper"]))] if known.get("paper") else []
        parts += [known["table"]] if known.get("table") else []
        variants = content.get("variants")
        compared[name] = f"compares {', '.join(variants)}" if variants else ", ".join(parts)
    return compared
