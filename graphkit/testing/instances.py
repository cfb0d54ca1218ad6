"""Small, fast instances of a class, built as its ``checks`` say."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from graphkit.core.checks import Checks, checks_of
from graphkit.testing.graphs import EDGE_DIM, NUM_FEATURES

# The sizes that arguments of these names get; a class with the usual signature has to say nothing.
USUAL: dict[str, Any] = {
    "in_channels": NUM_FEATURES,
    "hidden_channels": 6,
    "out_channels": 4,
    "num_layers": 2,
    "edge_dim": EDGE_DIM,
}


def factories(cls: type) -> dict[str, Callable[[], Any]]:
    """Functions that build small instances of a class, by a readable name.

    Raises:
        ValueError: If a required argument has neither a usual size nor one in the class's ``checks``.
    """
    return {name: make for name, make, _ in examples(cls, checks_of(cls))}


def examples(cls: type, checks: Checks) -> Iterator[tuple[str, Callable[[], Any], Checks]]:
    """A name, a function that builds the instance, and the ``checks`` it stands in, of each small instance of a class.

    Raises:
        ValueError: See :func:`factories`.
    """
    for example in checks.examples if checks.skip is None else ():
        if isinstance(example, Checks):
            yield from examples(cls, example)
        elif callable(example):
            yield repr(example()), example, checks
        else:
            given = {**checks.sizes, **example}
            text = ", ".join(f"{key}={value!r}" for key, value in given.items())
            make = partial(cls, **_usual_arguments(cls, given) | given)
            yield f"{cls.__name__}({text})", make, checks


def _usual_arguments(cls: type, given: Mapping[str, Any]) -> dict[str, Any]:
    arguments = {}
    for parameter in list(inspect.signature(cls).parameters.values()):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.name in USUAL:
            arguments[parameter.name] = USUAL[parameter.name]
        elif parameter.default is parameter.empty and parameter.name not in given:
            raise ValueError(
                f"no usual value for the argument {parameter.name!r} of {cls.__name__}; give it in the class's "
                f"attribute checks = Checks([{{{parameter.name!r}: ...}}]), or pass a function that builds an instance"
            )
    return arguments
