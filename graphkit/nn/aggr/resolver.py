"""Aggregations by name: graphkit's first, then PyG's."""

from __future__ import annotations

import inspect
from typing import Any

from torch_geometric.nn import aggr as pyg
from torch_geometric.nn.aggr import Aggregation
from torch_geometric.nn.resolver import aggregation_resolver

from graphkit.core.registry import Registry
from graphkit.core.validate import unknown_name

registry: Registry[Aggregation] = Registry("aggregation", Aggregation, "graphkit.nn.aggr")


def resolve(name: str, channels: int | None, **kwargs: Any) -> Aggregation:
    r"""Build the aggregation called ``name``: graphkit's (``"lcm"``, ``"gnp"``, ``"recurrent"``), else PyG's.

    Arguments called ``in_channels`` and ``out_channels`` get ``channels``.

    Args:
        name: The class name, with or without ``Aggregation``; case, dashes and underscores do not matter.
        channels: The width of elements and results; ``None`` if it is unknown.
        **kwargs: Further arguments of the class.

    Raises:
        ValueError: If there is no such aggregation, or it needs a width or argument that is unknown.

    Example:
        >>> resolve("lcm", 8, project=False)
        LCMAggregation(8, 8, project=False)
        >>> resolve("softmax", 8, learn=True)
        SoftmaxAggregation(learn=True)
    """
    cls = _find(name)
    if cls is None:
        return aggregation_resolver(name, **kwargs)
    widths = {key: channels for key in ("in_channels", "out_channels") if key in inspect.signature(cls).parameters}
    if channels is None and widths.keys() - kwargs:
        raise ValueError(f"the aggregation {name!r} needs to know how wide its elements are: {', '.join(widths)}")
    known = inspect.signature(cls).parameters.values()
    missing = [p.name for p in known if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    if missing := [name for name in missing if name not in widths | kwargs]:
        raise ValueError(f"the aggregation {name!r} needs {missing[0]!r}; give it, e.g. by readout_kwargs")
    return cls(**widths | kwargs)


def _find(name: str) -> type[Aggregation] | None:
    own, pyg_classes = registry.classes(), _pyg_classes()
    by_key = {_key(key): cls for key, cls in [*pyg_classes.items(), *own.items()]}
    if _key(name) in by_key:
        return by_key[_key(name)]
    if _key(name) == "add":
        return None
    short = sorted({key.removesuffix("Aggregation") for key in [*own, *pyg_classes]})
    raise ValueError(unknown_name(name, short, "aggregation"))


def _pyg_classes() -> dict[str, type[Aggregation]]:
    return {
        key: cls
        for key, cls in vars(pyg).items()
        if isinstance(cls, type) and issubclass(cls, Aggregation) and cls is not Aggregation
    }


def _key(name: str) -> str:
    plain = name.lower().replace("-", "").replace("_", "").replace(" ", "")
    return plain.removesuffix("aggregation")
