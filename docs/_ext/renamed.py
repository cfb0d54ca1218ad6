"""Old names of attributes are left out of the reference; reading them, as autodoc does, would print warnings."""

from __future__ import annotations

import inspect
from typing import Any

from sphinx.util.inspect import safe_getattr

from graphkit.core.deprecation import RenamedAttribute


def attribute(owner: type, name: str, *default: Any) -> Any:
    """The attribute of a class; an old name is not there."""
    if isinstance(inspect.getattr_static(owner, name, None), RenamedAttribute):
        raise AttributeError(name)
    return safe_getattr(owner, name, *default)


def setup(app: Any) -> dict[str, bool]:
    app.add_autodoc_attrgetter(type, attribute)
    return {"parallel_read_safe": True}
