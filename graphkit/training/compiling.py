"""The model's forward through ``torch.compile`` for the time of a run."""

from __future__ import annotations

import inspect
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from graphkit.core.validate import suggestion


def check_options(options: Mapping[str, Any]) -> str | None:
    """The constraint of the arguments of ``torch.compile``."""
    known = list(inspect.signature(torch.compile).parameters)[1:]
    unknown = next((name for name in options if name not in known), None)
    return None if unknown is None else f"{unknown!r} is no argument of torch.compile; {suggestion(unknown, known)}"


@contextmanager
def compiled(model: nn.Module, options: bool | Mapping[str, Any]) -> Iterator[None]:
    """Let calls of the model run compiled; afterwards it is what it was, and its weights keep their names.

    What torch cannot compile runs as ever, unless ``fullgraph=True`` asks for an error, and is told of at the end.
    """
    if options is False:
        yield
        return
    import torch._dynamo

    arguments = {} if options is True else dict(options)
    before, earlier = _counts(), model._compiled_call_impl
    model.compile(**arguments)
    try:
        # torch counts recompilations per process, and so the models of all runs
        config = {"suppress_errors": not arguments.get("fullgraph", False), "recompile_limit": 64}
        with torch._dynamo.config.patch(config):
            yield
    finally:
        model._compiled_call_impl = earlier
    _tell_of_the_rest(model, _counts() - before)


def _counts() -> Counter[str]:
    """How many pieces of code torch was given and could compile, and why it could not go on, by reason."""
    from torch._dynamo.utils import counters

    reasons = counters["graph_break"] + counters["unimplemented"]
    return Counter(counters["frames"]) + Counter({f"reason: {text.splitlines()[0]}": n for text, n in reasons.items()})


def _tell_of_the_rest(model: nn.Module, counts: Counter[str]) -> None:
    reasons = [key for key in counts if key.startswith("reason: ")]
    failed = counts["total"] - counts["ok"]
    if reasons or failed:
        warnings.warn(
            f"compile: torch has compiled {counts['ok']} of {counts['total']} pieces of {type(model).__name__}; the "
            f"rest ran as without compile ({'; '.join(reasons) or 'TORCH_LOGS=dynamo says why'})",
            stacklevel=6,
        )
